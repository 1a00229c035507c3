"""Which encoding a file is in. One pass over its bytes before it is read, so that the answer holds for all of it."""

import codecs
from dataclasses import dataclass
from typing import BinaryIO, Final

from depot.reading.problems import Problems

_CHUNK: Final = 1 << 20
_MARKS: Final = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_CONTROL: Final = bytes(set(range(32)) - set(b"\t\n\f\r\x1b"))
_BINARY_SHARE: Final = 0.05
_BINARY_LEAST: Final = 8


@dataclass(frozen=True, slots=True)
class Encoding:
    """How to decode a file."""

    codec: str
    """The name that Python's codecs know."""
    errors: str
    """`strict`, or `replace` where some bytes are not of the encoding."""
    has_nul: bool
    """Whether there is a NUL character anywhere: rare, so that readers look for it only then."""


def marked(head: bytes) -> str | None:
    """The codec that a byte order mark at the start of `head` names; None without one."""
    return next((codec for mark, codec in _MARKS if head.startswith(mark)), None)


def is_binary(head: bytes) -> bool:
    """Whether the first bytes of a file hold too many control characters to be text."""
    if not head or marked(head):
        return False
    control = len(head) - len(head.translate(None, _CONTROL))
    return control > max(_BINARY_LEAST, _BINARY_SHARE * len(head))


def find(stream: BinaryIO, problems: Problems) -> Encoding:
    """Read `stream` to its end and tell its encoding: the marked one, or UTF-8, or Windows-1252 if it is not UTF-8.

    What is not as it should be is noted in `problems`. The stream is at its start again afterwards.
    """
    stream.seek(0)
    mark = marked(stream.read(4))
    codec = mark or "utf-8"
    stream.seek(0)
    try:
        has_nul = _decode_all(stream, codec)
    except _BadBytes as bad:
        if mark:
            problems.add(bad.line, f"bytes that are not {codec.upper()}, as its mark says; read as U+FFFD")
        else:
            codec = "cp1252"
            problems.add(bad.line, "not UTF-8 from here on; the whole file was read as Windows-1252")
        return Encoding(codec, "replace", has_nul=True)
    finally:
        stream.seek(0)
    return Encoding(codec, "strict", has_nul)


class _BadBytes(Exception):
    def __init__(self, line: int) -> None:
        super().__init__(line)
        self.line = line


def _decode_all(stream: BinaryIO, codec: str) -> bool:
    decoder = codecs.getincrementaldecoder(codec)()
    lines, has_nul = 1, False
    try:
        while chunk := stream.read(_CHUNK):
            text = decoder.decode(chunk)
            lines += text.count("\n")
            has_nul = has_nul or "\0" in text
        decoder.decode(b"", final=True)
    except UnicodeDecodeError as error:
        good = error.object[: error.start].decode(codec, "replace")
        raise _BadBytes(lines + good.count("\n")) from error
    return has_nul
