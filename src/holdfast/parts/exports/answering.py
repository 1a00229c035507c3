"""What is sent as an answer: an ASGI application that a handler returns."""

from holdfast.asgi import Receive, Scope, Send


class Answering:
    """An answer. FastAPI takes it as the type that a handler returns."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        raise NotImplementedError

    @classmethod
    def __get_pydantic_core_schema__(cls, source: object, handler: object) -> dict[str, str]:
        """Pydantic is to let it through as it is."""
        return {"type": "any"}
