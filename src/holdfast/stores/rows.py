"""An upload as a row: what every ledger that keeps tables writes and reads."""

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from holdfast.decide.uploads.vocabulary import Digest, Kind, Phase, Upload
from holdfast.stores.blobs import Saved
from holdfast.stores.ledger import Entry

COLUMNS: Final = "id, owner, phase, expires, turn, safe, length, state, sha256, result, problem, facts"
"""In the order of `entry`."""
UNFINISHED: Final = f"('{Phase.RECEIVING}', '{Phase.FINISHING}')"
"""The phases in which something is reserved, for SQL."""


class Facts(msgspec.Struct, omit_defaults=True):
    """What does not change after the creation."""

    created: float
    name: str | None = None
    media_type: str | None = None
    metadata: str = ""
    kind: Kind = Kind.WHOLE
    parts: tuple[str, ...] = ()
    digests: tuple[Digest, ...] = ()


def facts(upload: Upload) -> str:
    """The column `facts` of an upload."""
    kept = Facts(
        created=upload.created,
        name=upload.name,
        media_type=upload.media_type,
        metadata=upload.metadata,
        kind=upload.kind,
        parts=upload.parts,
        digests=upload.digests,
    )
    return msgspec.json.encode(kept).decode()


def values(upload: Upload, reserved: int) -> tuple[object, ...]:
    """The row of a new upload: `COLUMNS`, and what is reserved for it."""
    return (
        upload.id,
        upload.owner,
        str(upload.phase),
        upload.expires,
        upload.turn,
        upload.offset,
        upload.length,
        "",
        upload.sha256,
        upload.result,
        upload.problem,
        facts(upload),
        reserved,
    )


def entry(row: Sequence[Any]) -> Entry:
    """The entry that a row of `COLUMNS` is."""
    upload_id, owner, phase, expires, turn, safe, length, state, sha256, result, problem, told = row
    known = msgspec.json.decode(told, type=Facts)
    upload = Upload(
        id=upload_id,
        owner=owner,
        created=known.created,
        expires=expires,
        phase=Phase(phase),
        offset=safe,
        length=length,
        name=known.name,
        media_type=known.media_type,
        metadata=known.metadata,
        kind=known.kind,
        parts=known.parts,
        digests=known.digests,
        sha256=sha256,
        result=result,
        problem=problem,
        turn=turn,
    )
    return Entry(upload, Saved(safe, state))
