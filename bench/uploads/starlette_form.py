"""Starlette's form, as documented; the file is parsed into a temporary one, and dropped."""

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route


async def small(request: Request) -> Response:  # noqa: ARG001 - the framework passes it
    """What is asked for meanwhile."""
    return PlainTextResponse("ok")


async def upload(request: Request) -> Response:
    """Take a form."""
    async with request.form() as form:
        return PlainTextResponse(str(len(form)))


app = Starlette(routes=[Route("/small", small), Route("/upload", upload, methods=["POST"])])
