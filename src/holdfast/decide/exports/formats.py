"""The formats of exports, and which of them a request asks for: by name, by extension, or by what it accepts."""

from collections.abc import Sequence
from typing import Final, NamedTuple

from holdfast.decide.exports.errors import NotAcceptable, UnknownFormat


class Format(NamedTuple):
    """A format."""

    name: str
    """Also the extension of files."""
    media_type: str
    """As it is answered."""
    others: tuple[str, ...] = ()
    """Media types that also ask for it."""
    packed: bool = False
    """Whether it is compressed already."""
    proves_its_end: bool = False
    """Whether a reader sees by the format alone that nothing is missing."""


CSV: Final = Format("csv", "text/csv; charset=utf-8", ("application/csv",))
NDJSON: Final = Format(
    "ndjson", "application/x-ndjson", ("application/ndjson", "application/jsonl", "application/jsonlines")
)
JSON: Final = Format("json", "application/json", (), proves_its_end=True)
XLSX: Final = Format(
    "xlsx",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    packed=True,
    proves_its_end=True,
)
PARQUET: Final = Format(
    "parquet",
    "application/vnd.apache.parquet",
    ("application/parquet", "application/x-parquet"),
    packed=True,
    proves_its_end=True,
)
FORMATS: Final[tuple[Format, ...]] = (CSV, NDJSON, JSON, XLSX, PARQUET)
"""All of them; where a request accepts several alike, the earlier one."""

_BY_NAME: Final = {one.name: one for one in FORMATS} | {"jsonl": NDJSON}


def named(name: str) -> Format:
    """The format called `name`, which may be written as an extension. Raises UnknownFormat."""
    found = _BY_NAME.get(name.lower().removeprefix("."))
    if found is None:
        raise UnknownFormat(formats=[one.name for one in FORMATS])
    return found


def by_path(path: str) -> Format | None:
    """The format that the last part of a path ends with; None where it has no extension of a format."""
    _, dot, extension = path.rpartition("/")[2].rpartition(".")
    return _BY_NAME.get(extension.lower()) if dot else None


def accepted(accept: str | None, offered: Sequence[Format] = FORMATS) -> Format:
    """The format that an Accept header asks for (RFC 9110, section 12.5.1). Raises NotAcceptable."""
    if accept is None or not accept.strip():
        return offered[0]
    wanted = weighted(accept)
    rated = [(_quality(one, wanted), -place) for place, one in enumerate(offered)]
    quality, place = max(rated)
    if quality <= 0:
        types = [_essence(one.media_type) for one in offered]
        raise NotAcceptable(f"This export comes as {', '.join(types)}.", media_types=types)
    return offered[-place]


def weighted(header: str) -> dict[str, float]:
    """What a header with weights names, in lower case, each with its quality from 0 to 1."""
    found: dict[str, float] = {}
    for item in header.split(","):
        name, *parameters = (part.strip().lower() for part in item.split(";"))
        if name:
            found[name] = next((_weight(one[2:]) for one in parameters if one.startswith("q=")), 1.0)
    return found


def _weight(text: str) -> float:
    try:
        return min(1.0, max(0.0, float(text)))
    except ValueError:
        return 0.0


def _quality(one: Format, wanted: dict[str, float]) -> float:
    """The most particular range that fits decides."""
    kinds = [_essence(one.media_type), *one.others]
    exact = [wanted[kind] for kind in kinds if kind in wanted]
    if exact:
        return max(exact)
    family = kinds[0].partition("/")[0] + "/*"
    return wanted.get(family, wanted.get("*/*", 0.0))


def _essence(media_type: str) -> str:
    return media_type.partition(";")[0]


def coding(accept_encoding: str | None, offered: Sequence[str]) -> str | None:
    """The content coding to answer with, of those `offered`, the better first; None for the content as it is.

    RFC 9110, section 12.5.3. A client that says nothing gets no coding, for many that say nothing know none.
    """
    if accept_encoding is None:
        return None
    wanted = weighted(accept_encoding)
    plain = wanted.get("identity", 0.0)
    rated = [(wanted.get(one, wanted.get("*", 0.0)), -place) for place, one in enumerate(offered)]
    quality, place = max(rated, default=(0.0, 0))
    return offered[-place] if quality > 0 and quality >= plain else None
