"""Bodies as they arrive from an ASGI server: pieces of one file, or of the files of a form."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from holdfast.asgi import Receive
from holdfast.errors import ExtraMissing
from holdfast.parts.uploads.intake import ClientLeft

if TYPE_CHECKING:
    from holdfast.parts.uploads.form import Event, FileBegins, Form


class Body:
    """The body of one request, piece by piece."""

    def __init__(self, receive: Receive) -> None:
        """Nothing is read until `more` is called."""
        self._receive = receive
        self._ended = False

    async def more(self) -> bytes | None:
        """The next piece, which may be empty; None at the end. Raises ClientLeft."""
        if self._ended:
            return None
        message = await self._receive()
        if message["type"] != "http.request":
            raise ClientLeft
        self._ended = not message.get("more_body", False)
        return message.get("body", b"")


class FormBody:
    """The body of one request that is a form: its files, one after the other, and its fields."""

    def __init__(
        self, receive: Receive, content_type: str, content_length: int | None, *, max_files: int = 100
    ) -> None:
        """Begin by the headers of the request. Raises UnsupportedMedia, BadRequest, ExtraMissing."""
        self._body = Body(receive)
        self._form = _form(content_type, content_length, max_files)
        self._events: Iterator[Event] = iter(())
        self.fields: list[tuple[str, str]] = []
        """Names and values of the fields that came so far."""

    async def file(self) -> "FileBegins | None":
        """The next file, whose bytes `more` gives; None at the end. Raises BadRequest, TooLarge, ClientLeft."""
        from holdfast.parts.uploads.form import Field, FileBegins  # noqa: PLC0415 - the parser is an extra

        while (event := await self._next()) is not None:
            if isinstance(event, Field):
                self.fields.append((event.name, event.value))
            elif isinstance(event, FileBegins):
                return event
        return None

    async def more(self) -> bytes | None:
        """The next piece of the file; None at its end. Raises BadRequest, TooLarge, ClientLeft."""
        from holdfast.parts.uploads.form import FileBytes  # noqa: PLC0415 - the parser is an extra

        event = await self._next()
        return event.data if isinstance(event, FileBytes) else None

    async def _next(self) -> "Event | None":
        while True:
            event = next(self._events, None)
            if event is not None:
                return event
            piece = await self._body.more()
            if piece is None:
                self._form.finish()
                return None
            self._events = self._form.feed(piece)


def _form(content_type: str, content_length: int | None, max_files: int) -> "Form":
    try:
        from holdfast.parts.uploads.form import Form, FormLimits  # noqa: PLC0415 - the parser is an extra
    except ModuleNotFoundError as error:
        raise ExtraMissing("Forms need the extra `uploads`: pip install holdfast[uploads].") from error
    return Form(content_type, content_length, FormLimits(files=max_files))
