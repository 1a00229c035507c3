"""WebSockets: uvicorn's protocol, which closes with 1012 (service restart) when the server drains."""

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol


class WebSocket(WebSocketsSansIOProtocol):
    """One WebSocket connection."""

    @property
    def idle(self) -> bool:
        """A WebSocket ends with its task, which the server waits for."""
        return False
