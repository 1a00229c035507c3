"""What a file is, by its first bytes. What its sender says it is proves nothing.

The table holds what can be told apart for certain and what is dangerous to mistake, such as a page or a program under
the name of a picture. Everything else is `application/octet-stream`.
"""

import re
from collections.abc import Sequence
from typing import Final, NamedTuple

ENOUGH: Final = 1_024
"""How many of a file's first bytes are looked at."""
UNKNOWN: Final = "application/octet-stream"


class Signature(NamedTuple):
    """Bytes at an offset, and what they are a sign of."""

    offset: int
    bytes: bytes
    media_type: str


def _at(offset: int, media_type: str, *texts: bytes) -> list[Signature]:
    return [Signature(offset, text, media_type) for text in texts]


# The first that fits counts, so what is more special stands further up.
SIGNATURES: Final[Sequence[Signature]] = (
    *_at(0, "image/png", b"\x89PNG\r\n\x1a\n"),
    *_at(0, "image/jpeg", b"\xff\xd8\xff"),
    *_at(0, "image/gif", b"GIF87a", b"GIF89a"),
    *_at(0, "image/tiff", b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"),
    *_at(0, "image/bmp", b"BM"),
    *_at(0, "image/vnd.microsoft.icon", b"\0\0\1\0"),
    *_at(0, "image/vnd.adobe.photoshop", b"8BPS"),
    *_at(0, "image/jxl", b"\xff\x0a", b"\0\0\0\x0cJXL \r\n\x87\n"),
    *_at(0, "image/jp2", b"\0\0\0\x0cjP  \r\n\x87\n"),
    *_at(8, "image/webp", b"WEBP"),
    *_at(8, "audio/wav", b"WAVE"),
    *_at(8, "video/x-msvideo", b"AVI "),
    *_at(4, "image/avif", b"ftypavif", b"ftypavis"),
    *_at(4, "image/heic", b"ftypheic", b"ftypheix", b"ftypmif1"),
    *_at(4, "video/quicktime", b"ftypqt  "),
    *_at(4, "audio/mp4", b"ftypM4A "),
    *_at(4, "video/3gpp", b"ftyp3g"),
    *_at(4, "video/mp4", b"ftyp"),
    *_at(0, "video/x-matroska", b"\x1aE\xdf\xa3"),
    *_at(0, "video/x-flv", b"FLV\1"),
    *_at(0, "video/mpeg", b"\0\0\1\xba", b"\0\0\1\xb3"),
    *_at(0, "audio/ogg", b"OggS"),
    *_at(0, "audio/flac", b"fLaC"),
    *_at(0, "audio/midi", b"MThd"),
    *_at(0, "audio/mpeg", b"ID3", b"\xff\xfb", b"\xff\xf3", b"\xff\xf2"),
    *_at(0, "application/pdf", b"%PDF-"),
    *_at(0, "application/postscript", b"%!PS"),
    *_at(0, "application/rtf", b"{\\rtf"),
    *_at(0, "application/x-ole-storage", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"),
    *_at(30, "application/vnd.oasis.opendocument.text", b"mimetypeapplication/vnd.oasis.opendocument.text"),
    *_at(
        30, "application/vnd.oasis.opendocument.spreadsheet", b"mimetypeapplication/vnd.oasis.opendocument.spreadsheet"
    ),
    *_at(30, "application/epub+zip", b"mimetypeapplication/epub+zip"),
    *_at(0, "application/zip", b"PK\3\4", b"PK\5\6", b"PK\7\10"),
    *_at(0, "application/gzip", b"\x1f\x8b"),
    *_at(0, "application/x-bzip2", b"BZh"),
    *_at(0, "application/x-xz", b"\xfd7zXZ\0"),
    *_at(0, "application/zstd", b"\x28\xb5\x2f\xfd"),
    *_at(0, "application/x-7z-compressed", b"7z\xbc\xaf\x27\x1c"),
    *_at(0, "application/vnd.rar", b"Rar!\x1a\7"),
    *_at(257, "application/x-tar", b"ustar"),
    *_at(0, "application/vnd.sqlite3", b"SQLite format 3\0"),
    *_at(0, "application/vnd.apache.parquet", b"PAR1"),
    *_at(0, "application/vnd.apache.arrow.file", b"ARROW1\0\0"),
    *_at(0, "application/x-hdf5", b"\x89HDF\r\n\x1a\n"),
    *_at(0, "application/wasm", b"\0asm"),
    *_at(0, "application/x-executable", b"\x7fELF", b"\xca\xfe\xba\xbe", b"\xcf\xfa\xed\xfe", b"\xce\xfa\xed\xfe"),
    *_at(0, "application/vnd.microsoft.portable-executable", b"MZ"),
    *_at(0, "text/x-script", b"#!"),
    *_at(0, "font/woff2", b"wOF2"),
    *_at(0, "font/woff", b"wOFF"),
    *_at(0, "font/otf", b"OTTO"),
    *_at(0, "font/ttf", b"\0\1\0\0\0"),
)
_RIFF: Final = frozenset({"image/webp", "audio/wav", "video/x-msvideo"})
_MARK: Final = b"\xef\xbb\xbf"
# What a browser would take for a page; https://mimesniff.spec.whatwg.org names the tags.
_PAGE: Final = re.compile(
    rb"<(?:!doctype\s+html|html|head|script|iframe|h1|div|font|table|a|style|title|b|body|br|p|meta|object|embed|link|form)"
    rb"[\s/>]|<!--",
    re.IGNORECASE,
)
_DRAWING: Final = re.compile(rb"<(?:[a-z]+:)?svg[\s>]", re.IGNORECASE)


def sniffed(start: bytes) -> str:
    """The media type of a file that begins with `start`, of which `ENOUGH` bytes suffice.

    Text that is none of these is unknown too: whether it is a table or a letter, its bytes do not say.
    """
    start = bytes(start[:ENOUGH])
    for signature in SIGNATURES:
        if start.startswith(signature.bytes, signature.offset):
            if signature.media_type in _RIFF and not start.startswith(b"RIFF"):
                continue
            if signature.offset == 30 and not start.startswith(b"PK\3\4"):
                continue
            return signature.media_type
    return _markup(start.removeprefix(_MARK).lstrip())


def _markup(text: bytes) -> str:
    if _PAGE.match(text):
        return "image/svg+xml" if text.startswith(b"<!--") and _DRAWING.search(text) else "text/html"
    if _DRAWING.match(text) or (text[:5].lower() in {b"<?xml", b"<!doc"} and _DRAWING.search(text)):
        return "image/svg+xml"
    if text[:5].lower() == b"<?xml":
        return "text/html" if re.search(rb"<html[\s>]", text, re.IGNORECASE) else "application/xml"
    return UNKNOWN
