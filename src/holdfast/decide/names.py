"""Names that clients give to files. They are data: kept, shown and sent back, and never a path."""

import re
import unicodedata
from typing import Final
from urllib.parse import quote, unquote_to_bytes

LONGEST: Final = 255
"""Characters of a name that are kept."""
UNNAMED: Final = "unnamed"
"""What a file is called whose client gave it no name that can be shown."""
# control characters, halves of surrogate pairs, line separators, and what turns the direction of writing around
_UNFIT: Final = frozenset({"Cc", "Cs", "Zl", "Zp"})
_TURNING: Final = re.compile("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_LONGEST_HEADER: Final = 4_096
_PARAMETER: Final = re.compile(r';\s*(filename\*?)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s;"]+))', re.IGNORECASE)
_NOT_PLAIN: Final = re.compile(r'[^ !#-$&-.0-\[\]-~]|[\\"%/]')


def kept_name(given: str) -> str:
    """The name as it is kept: at most 255 characters, what cannot be shown replaced by U+FFFD, never empty."""
    name = "".join("\ufffd" if unicodedata.category(one) in _UNFIT else one for one in given[: 2 * LONGEST])
    return _TURNING.sub("\ufffd", name).strip()[:LONGEST].strip() or UNNAMED


def name_in(disposition: str | None) -> str | None:
    """The file name in a Content-Disposition header (RFC 6266), as it is kept; None if there is none.

    `filename*` goes first. A header that is not well-formed, or longer than 4,096 characters, names nothing.
    """
    if disposition is None or len(disposition) > _LONGEST_HEADER:
        return None
    found: dict[str, str] = {}
    for key, quoted, token in _PARAMETER.findall(disposition):
        found.setdefault(key.lower(), re.sub(r"\\(.)", r"\1", quoted) if quoted else token)
    extended = _extended(found.get("filename*", ""))
    if extended:
        return kept_name(extended)
    plain = found.get("filename")
    return kept_name(_as_meant(plain)) if plain else None


def disposition(name: str) -> str:
    """The Content-Disposition header (RFC 6266) that makes a browser save a file under `name`, and never show it."""
    plain = _NOT_PLAIN.sub("_", name)
    header = f'attachment; filename="{plain}"'
    return header if plain == name else f"{header}; filename*=UTF-8''{quote(name, safe='', errors='replace')}"


def _extended(value: str) -> str | None:
    """Decode what RFC 8187 describes: CHARSET'LANGUAGE'PERCENT-ENCODED."""
    parts = value.split("'", 2)
    if len(parts) != 3 or parts[0].lower() not in {"utf-8", "iso-8859-1"}:
        return None
    return unquote_to_bytes(parts[2]).decode(parts[0], "replace")


def _as_meant(value: str) -> str:
    """Headers arrive as Latin-1, but nearly every client means UTF-8."""
    try:
        return value.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return value
