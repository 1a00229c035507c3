"""Uploads known in an SQLite file: for any number of processes on one machine."""

from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self, TypeVar

import msgspec

from holdfast.decide.uploads.room import Room, Used, check
from holdfast.decide.uploads.vocabulary import Phase, Upload
from holdfast.errors import Evicted, Unavailable
from holdfast.stores import rows
from holdfast.stores.blobs import Saved
from holdfast.stores.ledger import Entry
from holdfast.stores.sqlite_thread import Database, SqliteThread

T = TypeVar("T")

_VERSION: Final = 1
_SCHEMA: Final = """
CREATE TABLE uploads (
    id TEXT PRIMARY KEY, owner TEXT NOT NULL, phase TEXT NOT NULL, expires REAL NOT NULL, turn INTEGER NOT NULL,
    safe INTEGER NOT NULL, length INTEGER, state TEXT NOT NULL, sha256 TEXT, result TEXT, problem TEXT,
    facts TEXT NOT NULL, reserved INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX uploads_by_owner ON uploads (owner, phase);
CREATE INDEX uploads_by_time ON uploads (phase, expires);
CREATE INDEX uploads_held ON uploads (owner, reserved) WHERE reserved > 0;
CREATE TABLE owners (owner TEXT PRIMARY KEY, released INTEGER NOT NULL) STRICT, WITHOUT ROWID;
"""
_INSERT: Final = f"INSERT INTO uploads ({rows.COLUMNS}, reserved) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"  # noqa: S608 - constants
_SELECT: Final = f"SELECT {rows.COLUMNS} FROM uploads WHERE "  # noqa: S608 - constants
_CLAIM: Final = """
UPDATE uploads SET turn = turn + 1, expires = ?2 WHERE id = ?1 AND phase = ?3 AND (?4 IS NULL OR expires <= ?4)
"""
_SAVE: Final = f"""
UPDATE uploads SET safe = ?, state = ?, length = coalesce(?, length), expires = ?, phase = coalesce(?, phase)
WHERE id = ? AND turn = ? AND phase IN {rows.UNFINISHED}
"""  # noqa: S608 - constants
_ADVANCE: Final = f"""
UPDATE uploads SET phase = ?, sha256 = coalesce(?, sha256), result = coalesce(?, result),
    problem = coalesce(?, problem), expires = coalesce(?, expires)
WHERE id = ? AND turn = ? AND phase IN {rows.UNFINISHED} RETURNING owner
"""  # noqa: S608 - constants
_HELD: Final = "SELECT coalesce(sum(reserved), 0) FROM uploads WHERE reserved > 0 AND id <> ?"
_COUNT: Final = f"SELECT count(*) FROM uploads WHERE owner = ? AND phase IN {rows.UNFINISHED} AND id <> ?"  # noqa: S608 - constants


class SqliteLedger:
    """A ledger in one file."""

    def __init__(self, path: Path | str, *, patience_s: float = 5.0) -> None:
        """Keep it in the file `path`, whose folder is there; wait `patience_s` seconds where others write."""
        self._path = Path(path)
        self._patience_s = patience_s
        self._thread: SqliteThread | None = None

    async def __aenter__(self) -> Self:
        """Open the file, and make its tables where there are none. Raises Unavailable."""
        thread = SqliteThread(self._path, _SCHEMA, _VERSION, patience_s=self._patience_s)
        await thread.opened()
        self._thread = thread
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Finish what is waiting, and close the file."""
        thread, self._thread = self._thread, None
        if thread is not None:
            await thread.close()

    async def create(self, upload: Upload, reserve: int, room: Room) -> None:
        """As every ledger: see `holdfast.stores.ledger.Ledger`, here and below."""

        def work(db: Database) -> None:
            check(room, _used(db, upload.owner, upload.id), reserve)
            db.run(_INSERT, rows.values(upload, reserve))

        await self._write(work)

    async def reserve(self, upload_id: str, turn: int, total: int, room: Room) -> None:
        """Change what is reserved."""

        def work(db: Database) -> None:
            owner = db.row("SELECT owner FROM uploads WHERE id = ? AND turn = ?", (upload_id, turn))
            if owner is None:
                raise Evicted
            check(room, _used(db, owner[0], upload_id), total)
            db.run("UPDATE uploads SET reserved = ? WHERE id = ?", (total, upload_id))

        await self._write(work)

    async def released(self, owner: str) -> int:
        """How many of an owner's were finished."""
        return await self._read(lambda db: _released(db, owner))

    async def find(self, upload_id: str) -> Entry | None:
        """An upload."""
        return await self._read(lambda db: _find(db, upload_id))

    async def claim(
        self, upload_id: str, expires: float, phase: Phase, *, over_at: float | None = None
    ) -> Entry | None:
        """Take the next turn."""

        def work(db: Database) -> Entry | None:
            return _find(db, upload_id) if db.run(_CLAIM, (upload_id, expires, str(phase), over_at)) else None

        return await self._write(work)

    async def turns(self, upload_ids: Collection[str]) -> Mapping[str, int]:
        """The present turn of each."""
        return dict(await self._read(lambda db: _among(db, "id, turn", upload_ids)))

    async def save(
        self,
        upload_id: str,
        turn: int,
        saved: Saved,
        *,
        length: int | None,
        expires: float,
        phase: Phase | None = None,
    ) -> None:
        """Note how far the bytes are safe."""
        values = (saved.offset, saved.state, length, expires, phase, upload_id, turn)

        def work(db: Database) -> None:
            if not db.run(_SAVE, values):
                raise Evicted

        await self._write(work)

    async def advance(
        self,
        upload_id: str,
        turn: int,
        phase: Phase,
        *,
        sha256: str | None = None,
        result: str | None = None,
        problem: str | None = None,
        expires: float | None = None,
        holds: bool = False,
    ) -> None:
        """Go to another phase."""

        def work(db: Database) -> None:
            advanced = db.rows(_ADVANCE, (str(phase), sha256, result, problem, expires, upload_id, turn))
            if not advanced:
                raise Evicted
            if phase is Phase.FINISHING or holds:
                return
            db.run("UPDATE uploads SET reserved = 0 WHERE id = ?", (upload_id,))
            if phase is Phase.FINISHED:
                db.run(
                    "INSERT INTO owners VALUES (?, 1) ON CONFLICT DO UPDATE SET released = released + 1", advanced[0]
                )

        await self._write(work)

    async def remove(self, upload_id: str, *, expired_at: float | None = None) -> bool:
        """Forget an upload."""
        gone = "DELETE FROM uploads WHERE id = ?1 AND (?2 IS NULL OR expires <= ?2)"
        return await self._write(lambda db: db.run(gone, (upload_id, expired_at)) > 0)

    async def known(self, upload_ids: Collection[str]) -> set[str]:
        """Which are known."""
        return {row[0] for row in await self._read(lambda db: _among(db, "id", upload_ids))}

    async def expired(self, now: float, limit: int) -> Sequence[Entry]:
        """Whose time is over."""
        over = "phase IN ('receiving', 'finished', 'refused') AND expires <= ? ORDER BY expires LIMIT ?"
        return await self._read(lambda db: [rows.entry(row) for row in db.rows(_SELECT + over, (now, limit))])

    async def finishing(self, now: float, limit: int) -> Sequence[Entry]:
        """Whose end was left in the middle."""
        left = "phase = 'finishing' AND expires <= ? ORDER BY expires LIMIT ?"
        return await self._read(lambda db: [rows.entry(row) for row in db.rows(_SELECT + left, (now, limit))])

    async def _read(self, work: Callable[[Database], T]) -> T:
        return await self._open().call(work, writes=False)

    async def _write(self, work: Callable[[Database], T]) -> T:
        return await self._open().call(work, writes=True)

    def _open(self) -> SqliteThread:
        if self._thread is None:
            raise Unavailable("The ledger of uploads is not open.")
        return self._thread


# -- what is asked --


def _find(db: Database, upload_id: str) -> Entry | None:
    row = db.row(f"{_SELECT} id = ?", (upload_id,))
    return None if row is None else rows.entry(row)


def _among(db: Database, columns: str, upload_ids: Collection[str]) -> Sequence[tuple[Any, ...]]:
    wanted = msgspec.json.encode(list(upload_ids)).decode()
    return db.rows(f"SELECT {columns} FROM uploads WHERE id IN (SELECT value FROM json_each(?))", (wanted,))  # noqa: S608 - columns are constants


def _released(db: Database, owner: str) -> int:
    row = db.row("SELECT released FROM owners WHERE owner = ?", (owner,))
    return 0 if row is None else row[0]


def _used(db: Database, owner: str, but: str) -> Used:
    mine, count = db.rows(f"{_HELD} AND owner = ?", (but, owner)), db.rows(_COUNT, (owner, but))
    return Used(mine[0][0], count[0][0], db.rows(_HELD, (but,))[0][0], _released(db, owner))
