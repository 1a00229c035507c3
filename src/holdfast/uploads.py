"""Uploads that lose nothing: tus, the IETF draft, forms and plain bodies. Keeps *durable* and *bounded*.

    files = uploads.Uploads(blobs=uploads.blobs_at("files"), ledger=uploads.ledger_at("uploads.sqlite"), authorise=who)

Here the stores are chosen; `Uploads` works with any that keep the protocols `holdfast.stores.blobs` and `.ledger`.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from holdfast.asgi import ASGIApp, Receive, Scope, Send
from holdfast.decide.names import disposition, kept_name
from holdfast.decide.uploads.room import Room
from holdfast.decide.uploads.vocabulary import Phase, Upload
from holdfast.errors import ExtraMissing
from holdfast.parts import lifespan
from holdfast.parts.drain import draining
from holdfast.parts.uploads.application import UploadsApp
from holdfast.parts.uploads.hooks import Authorise, Finished, Quota, Scan, Verdict, Whole
from holdfast.parts.uploads.settings import PaceSettings, UploadSettings
from holdfast.parts.uploads.taking import Offered
from holdfast.stores.blobs import Blobs
from holdfast.stores.ledger import Ledger
from holdfast.stores.memory_ledger import MemoryLedger

__all__ = [
    "Authorise",
    "Blobs",
    "Finished",
    "Ledger",
    "Offered",
    "PaceSettings",
    "Phase",
    "Quota",
    "Room",
    "Scan",
    "Upload",
    "UploadSettings",
    "Uploads",
    "Verdict",
    "Whole",
    "blobs_at",
    "disposition",
    "kept_name",
    "ledger_at",
]

_IN_MEMORY: Final = 4 << 30
"""Bytes that a store in memory takes at most; more than what the settings keep free."""


class Uploads(UploadsApp):
    """Where uploads arrive: see `UploadsApp`. Once `holdfast run` drains, requests end resumably."""

    def __init__(
        self,
        *,
        blobs: Blobs,
        ledger: Ledger,
        authorise: Authorise,
        quota: Quota | None = None,
        scan: Scan | None = None,
        finished: Finished | None = None,
        types: Sequence[str] = (),
        at: str = "",
        url: str | None = None,
        settings: UploadSettings | None = None,
        pace: PaceSettings | None = None,
    ) -> None:
        """As `UploadsApp`."""
        super().__init__(
            blobs=blobs,
            ledger=ledger,
            authorise=authorise,
            quota=quota,
            scan=scan,
            finished=finished,
            types=types,
            at=at,
            url=url,
            settings=settings,
            pace=pace,
            draining=draining.is_set,
        )

    def around(self, app: ASGIApp) -> ASGIApp:
        """`app`, with uploads at the path `at`, and what they need open as long as it lives."""
        layered = lifespan.layer(super().around(app), self.running(), _nothing, _nothing)

        async def uploads(scope: Scope, receive: Receive, send: Send) -> None:  # servers look whether it is `async`
            await layered(scope, receive, send)

        return uploads


def _nothing() -> None:
    """Nobody waits to hear of it."""


def ledger_at(place: str | Path) -> Ledger:
    """A ledger in an SQLite file, in PostgreSQL (`postgresql://...`), in memory (`memory:`). Raises ExtraMissing."""
    if place == "memory:":
        return MemoryLedger()
    try:
        if isinstance(place, str) and place.startswith(("postgresql://", "postgres://")):
            from holdfast.stores.postgres import PostgresLedger  # noqa: PLC0415 - its driver is an extra

            return PostgresLedger(place)
        from holdfast.stores.sqlite import SqliteLedger  # noqa: PLC0415 - as above

        return SqliteLedger(place)
    except ModuleNotFoundError as error:
        raise _missing(error) from error


def blobs_at(place: str | Path) -> Blobs:
    """A store in a folder, in S3 for `s3://bucket/prefix`, in memory for `memory:`. Raises ExtraMissing."""
    if place == "memory:":
        from holdfast.stores.memory import Memory  # noqa: PLC0415 - whoever uploads nothing needs no store

        return Memory(_IN_MEMORY)
    if isinstance(place, str) and place.startswith("s3://"):
        try:
            from holdfast.stores.s3 import S3  # noqa: PLC0415 - its client is an extra
        except ModuleNotFoundError as error:
            raise _missing(error) from error
        return S3(place)
    from holdfast.stores.disk import Disk  # noqa: PLC0415 - as above

    return Disk(Path(place))


def _missing(error: ModuleNotFoundError) -> ExtraMissing:
    return ExtraMissing(f"This store needs {error.name}: an extra of holdfast brings it: uploads, postgres or s3.")
