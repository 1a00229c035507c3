"""Forms (multipart/form-data, RFC 7578) as they arrive: bytes in, events out, and nothing kept but small fields.

The parser of the package `multipart` does no reading and no waiting, and neither does this: whoever receives the
request feeds it. Bytes of files are passed on as they come, so a form may be larger than memory.
"""

import re
from collections.abc import Iterator
from typing import Final, NamedTuple, TypeAlias

from multipart import MultipartError, MultipartSegment, ParserLimitReached, PushMultipartParser

from holdfast.decide.names import kept_name
from holdfast.decide.uploads.head import MEDIA_TYPE
from holdfast.errors import BadRequest, TooLarge, UnsupportedMedia

_BOUNDARY: Final = re.compile(r';\s*boundary=(?:"([^"]{1,200})"|([^\s;",]{1,200}))', re.IGNORECASE)
_LONGEST_TYPE: Final = 1_024
_MOST_BEHIND: Final = 4_096


class FormLimits(NamedTuple):
    """What a form may have beside the bytes of its files."""

    files: int = 100
    """How many files."""
    fields: int = 100
    """How many fields that are no files."""
    field_bytes: int = 65_536
    """Bytes of one field's value."""
    fields_bytes: int = 262_144
    """Bytes of the values of all fields together."""
    header_bytes: int = 4_096
    """Bytes of one line in the head of a part."""
    headers: int = 8
    """Lines in the head of a part."""


class Field(NamedTuple):
    """A field that is no file, whole."""

    name: str
    value: str


class FileBegins(NamedTuple):
    """A file: what comes next are its bytes."""

    field: str
    """The name of the field that it was sent in."""
    name: str | None
    """The client's name for it, as it is kept; None if it has none."""
    media_type: str | None
    """What the client says it is."""


class FileBytes(NamedTuple):
    """Bytes of the file that began last."""

    data: bytes


class FileEnds(NamedTuple):
    """The file is whole."""


Event: TypeAlias = Field | FileBegins | FileBytes | FileEnds


class Form:
    """One form. Feed it what arrives, in order, then finish it.

    An input for a file into which the user put none (no name, no bytes) gives no event.
    """

    def __init__(self, content_type: str, content_length: int | None, limits: FormLimits | None = None) -> None:
        """Begin a form by the headers of its request. Raises UnsupportedMedia, BadRequest."""
        if content_type.partition(";")[0].strip().lower() != "multipart/form-data":
            raise UnsupportedMedia("Of multipart bodies only multipart/form-data is taken.")
        boundary = _BOUNDARY.search(content_type[:_LONGEST_TYPE])
        if boundary is None:
            raise BadRequest("The Content-Type names no boundary.")
        self._limits = limits or FormLimits()
        self._files = 0
        self._fields = 0
        self._fields_bytes = 0
        self._behind = -1
        """Bytes behind the end of the form, once it was reached."""
        self._part: _Part | None = None
        try:
            self._parser = PushMultipartParser(
                boundary[1] or boundary[2],
                content_length=-1 if content_length is None else content_length,
                max_header_size=self._limits.header_bytes,
                max_header_count=self._limits.headers,
                max_segment_count=self._limits.files + self._limits.fields,
                strict=True,
            )
        except (MultipartError, UnicodeError) as error:
            raise BadRequest(f"The form cannot be read: {error}.") from error

    def feed(self, chunk: bytes) -> Iterator[Event]:
        """What `chunk` brings. Take all of it before the next. Raises BadRequest, TooLarge."""
        if not chunk:
            return
        if self._behind >= 0:
            self._pass_over(len(chunk))
            return
        try:
            for event in self._parser.parse(chunk):
                if isinstance(event, MultipartSegment):
                    self._begin(event)
                elif event:
                    yield from self._more(bytes(event))
                elif event is None:
                    yield from self._end()
        except ParserLimitReached as error:
            raise TooLarge(f"The form is too large: {error}.") from error
        except MultipartError as error:
            self._ended_before(error)
            self._pass_over(len(chunk))

    def finish(self) -> None:
        """All has been fed. Raises BadRequest if the form is not whole."""
        try:
            self._parser.close()
        except MultipartError as error:
            raise BadRequest(f"The form cannot be read: {error}.") from error

    def _begin(self, segment: MultipartSegment) -> None:
        if segment.filename is None:
            self._fields += 1
            if self._fields > self._limits.fields:
                raise TooLarge(f"The form has more than {self._limits.fields} fields.")
            self._part = _Part(segment, bytearray())
            return
        self._files += 1
        if self._files > self._limits.files:
            raise TooLarge(f"The form has more than {self._limits.files} files.")
        self._part = _Part(segment, None)

    def _more(self, data: bytes) -> Iterator[Event]:
        part = self._part
        if part is None:
            return
        if part.value is None:
            yield from part.announced()
            yield FileBytes(data)
            return
        part.value.extend(data)
        self._fields_bytes += len(data)
        if len(part.value) > self._limits.field_bytes:
            raise TooLarge(f"A field of the form has more than {self._limits.field_bytes} bytes.")
        if self._fields_bytes > self._limits.fields_bytes:
            raise TooLarge(f"The fields of the form have more than {self._limits.fields_bytes} bytes.")

    def _end(self) -> Iterator[Event]:
        part, self._part = self._part, None
        if part is None:
            return
        if part.value is not None:
            yield Field(part.field, _text(part.value))
        elif part.begun or part.name is not None:
            yield from part.announced()
            yield FileEnds()

    def _ended_before(self, error: MultipartError) -> None:
        """Return if the form had reached its end, so that what the parser would not have is only what stands behind."""
        try:
            self._parser.close()
        except MultipartError:
            raise BadRequest(f"The form cannot be read: {error}.") from error
        self._behind = 0

    def _pass_over(self, size: int) -> None:
        self._behind += size
        if self._behind > _MOST_BEHIND:
            raise BadRequest("There is more behind the end of the form.")


class _Part:
    """The part that is being read."""

    def __init__(self, segment: MultipartSegment, value: bytearray | None) -> None:
        self.field: str = segment.name or ""
        self.name: str | None = kept_name(segment.filename) if segment.filename else None
        self.value: bytearray | None = value
        """What has come of a field; None for a file."""
        self.begun: bool = False
        kind = (segment.content_type or "").lower()
        self._media_type = kind if MEDIA_TYPE.fullmatch(kind) else None

    def announced(self) -> Iterator[Event]:
        """The event that begins the file, the first time."""
        if not self.begun:
            self.begun = True
            yield FileBegins(self.field, self.name, self._media_type)


def _text(value: bytes | bytearray) -> str:
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        raise BadRequest("A field of the form is not UTF-8.") from None
