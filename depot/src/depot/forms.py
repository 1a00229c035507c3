"""Multipart forms: the bytes of the field `file`, as they come, and the small fields before it.

The parser of the package `multipart` takes bytes and gives events; it never reads or waits, and so neither does this:
plain functions, that whoever reads the request calls.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Final

from multipart import MultipartError, MultipartSegment, ParserLimitReached, PushMultipartParser

from holdfast import BadRequest, Invalid, TooLarge, UnsupportedMedia

_BOUNDARY: Final = re.compile(r';\s*boundary=(?:"([^"]{1,200})"|([^\s;"]{1,200}))', re.IGNORECASE)
_FIELD: Final = "file"
_MOST_FIELDS: Final = 32
_OTHERS_LIMIT: Final = 64 * 1024

Check = Callable[[Mapping[str, str]], None]
"""Sees the fields that stand before the file, and raises if it must not be taken."""


def _take(_: Mapping[str, str]) -> None:
    """Take every file."""


class UploadForm:
    """One form with one file. What else is in it is small: kept before the file, and read over behind it."""

    def __init__(self, content_type: str, content_length: int | None, check: Check = _take) -> None:
        """Begin a form by its request's headers; `check` is asked before the first byte of the file comes out.

        Raises UnsupportedMedia, BadRequest.
        """
        if content_type.partition(";")[0].strip().lower() != "multipart/form-data":
            raise UnsupportedMedia("Of multipart bodies only multipart/form-data is taken.")
        boundary = _BOUNDARY.search(content_type)
        if boundary is None:
            raise BadRequest("The Content-Type names no boundary.")
        self.name: str | None = None
        """The file's name, once its field has begun."""
        self._check = check
        self._before: dict[str, bytearray] = {}
        self._field: bytearray | None = None
        self._in_file = False
        self._others = 0
        length = -1 if content_length is None else content_length
        marker = boundary[1] or boundary[2]
        self._closing = f"\r\n--{marker}--".encode()
        self._tail = b""
        """The last bytes so far, enough for `_closing` and a line end."""
        try:
            self._parser = PushMultipartParser(
                marker, content_length=length, max_segment_count=_MOST_FIELDS, strict=True
            )
        except (MultipartError, UnicodeError) as error:
            raise BadRequest(f"The form cannot be read: {error}.") from error

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """Yield what of `chunk` belongs to the file. Raises BadRequest, Invalid, TooLarge, or as the check does."""
        if self._tail.rstrip(b"\r\n").endswith(self._closing) and not chunk.strip(b"\r\n"):
            return  # the line end behind the last boundary, in a packet of its own: the parser would not have it
        self._tail = (self._tail + chunk[-len(self._closing) - 2 :])[-len(self._closing) - 2 :]
        try:
            for event in self._parser.parse(chunk):
                if isinstance(event, MultipartSegment):
                    self._begin(event)
                elif event and self._in_file:
                    yield bytes(event)
                elif event:
                    self._keep_or_pass_over(event)
        except ParserLimitReached as error:
            raise TooLarge(f"The form is too large: {error}.") from error
        except MultipartError as error:
            raise BadRequest(f"The form cannot be read: {error}.") from error

    def finish(self) -> str:
        """All has been fed: the file's name. Raises BadRequest if the form is not whole, Invalid if it has no file."""
        try:
            self._parser.close()
        except MultipartError as error:
            raise BadRequest(f"The form cannot be read: {error}.") from error
        if self.name is None:
            raise Invalid(f"The form has no file in a field named {_FIELD!r}.")
        return self.name

    def _begin(self, segment: MultipartSegment) -> None:
        self._in_file = segment.name == _FIELD
        self._field = None
        if not self._in_file:
            if self.name is None:
                self._field = self._before.setdefault(segment.name or "", bytearray())
            return
        if self.name is not None:
            raise Invalid(f"The form has more than one field {_FIELD!r}: send one file at a time.")
        if not segment.filename:
            raise Invalid(f"The field {_FIELD!r} has no file name.")
        self._check({name: value.decode("utf-8", "replace") for name, value in self._before.items()})
        self.name = segment.filename

    def _keep_or_pass_over(self, piece: bytes | bytearray) -> None:
        self._others += len(piece)
        if self._others > _OTHERS_LIMIT:
            raise TooLarge(f"The form has more than {_OTHERS_LIMIT} bytes beside its file.")
        if self._field is not None:
            self._field += piece
