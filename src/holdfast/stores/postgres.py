"""Uploads known in PostgreSQL, by asyncpg: for any number of machines."""

import asyncio
from collections.abc import AsyncGenerator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Any, Final, Self

import asyncpg

from holdfast.decide.uploads.room import Room, Used, check
from holdfast.decide.uploads.vocabulary import Phase, Upload
from holdfast.errors import Evicted, HoldfastError, InsufficientStorage, Unavailable
from holdfast.stores import rows
from holdfast.stores.blobs import Saved
from holdfast.stores.ledger import Entry

_VERSION: Final = 1
_LOCK: Final = 4_711_070_401
"""Our advisory lock: one reservation at a time, and one that makes the tables."""
_SCHEMA: Final = """
CREATE TABLE holdfast_uploads (
    id text PRIMARY KEY, owner text NOT NULL, phase text NOT NULL, expires double precision NOT NULL,
    turn bigint NOT NULL, safe bigint NOT NULL, length bigint, state text NOT NULL, sha256 text, result text,
    problem text, facts text NOT NULL, reserved bigint NOT NULL
);
CREATE INDEX holdfast_uploads_by_owner ON holdfast_uploads (owner, phase);
CREATE INDEX holdfast_uploads_by_time ON holdfast_uploads (phase, expires);
CREATE INDEX holdfast_uploads_held ON holdfast_uploads (owner, reserved) WHERE reserved > 0;
CREATE TABLE holdfast_uploads_owners (owner text PRIMARY KEY, released bigint NOT NULL);
CREATE TABLE holdfast_uploads_version (version integer NOT NULL);
"""
_INSERT: Final = f"""
INSERT INTO holdfast_uploads ({rows.COLUMNS}, reserved) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
"""  # noqa: S608 - constants
_SELECT: Final = f"SELECT {rows.COLUMNS} FROM holdfast_uploads WHERE "  # noqa: S608 - constants
_CLAIM: Final = f"""
UPDATE holdfast_uploads SET turn = turn + 1, expires = $2
WHERE id = $1 AND phase = $3 AND ($4::float8 IS NULL OR expires <= $4) RETURNING {rows.COLUMNS}
"""  # noqa: S608 - constants
_SAVE: Final = f"""
UPDATE holdfast_uploads SET safe = $3, state = $4, length = coalesce($5, length), expires = $6,
    phase = coalesce($7, phase)
WHERE id = $1 AND turn = $2 AND phase IN {rows.UNFINISHED} RETURNING 1
"""  # noqa: S608 - constants
_ADVANCE: Final = f"""
UPDATE holdfast_uploads SET phase = $3, sha256 = coalesce($4, sha256), result = coalesce($5, result),
    problem = coalesce($6, problem), expires = coalesce($7, expires), reserved = CASE WHEN $8 THEN reserved ELSE 0 END
WHERE id = $1 AND turn = $2 AND phase IN {rows.UNFINISHED} RETURNING owner
"""  # noqa: S608 - constants
_RELEASED: Final = """
INSERT INTO holdfast_uploads_owners AS known VALUES ($1, 1)
ON CONFLICT (owner) DO UPDATE SET released = known.released + 1
"""
_HELD: Final = "SELECT coalesce(sum(reserved), 0)::bigint FROM holdfast_uploads WHERE reserved > 0 AND id <> $1"
_COUNT: Final = f"SELECT count(*) FROM holdfast_uploads WHERE owner = $2 AND phase IN {rows.UNFINISHED} AND id <> $1"  # noqa: S608 - constants


class PostgresLedger:
    """A ledger in a PostgreSQL database, in tables whose names begin with `holdfast_uploads`."""

    def __init__(self, url: str, *, connections: int = 4, patience_s: float = 10.0) -> None:
        """Keep it in the database at `url`, over at most `connections` for each process.

        What takes longer than `patience_s` seconds is Unavailable.
        """
        self._url = url
        self._connections = connections
        self._patience_s = patience_s
        self._pool: Any = None  # asyncpg says nothing of its types

    async def __aenter__(self) -> Self:
        """Connect, and make the tables where there are none. Raises Unavailable."""
        with _ours():
            connecting: Any = asyncpg.create_pool(  # pyright: ignore[reportUnknownMemberType] - it has no types
                self._url,
                min_size=1,
                max_size=self._connections,
                timeout=self._patience_s,
                command_timeout=self._patience_s,
                # whatever the database says, a commit is durable here when it returns
                server_settings={"synchronous_commit": "on", "application_name": "holdfast uploads"},
            )
            self._pool = await connecting
        try:
            await self._prepare()
        except BaseException:
            await self.__aexit__(None, None, None)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let the connections go."""
        pool, self._pool = self._pool, None
        if pool is not None:
            try:
                async with asyncio.timeout(self._patience_s):
                    await pool.close()
            except TimeoutError:
                pool.terminate()

    async def _prepare(self) -> None:
        async with self._transaction(alone=True) as db:
            if await db.fetchval("SELECT to_regclass('holdfast_uploads_version')") is None:
                await db.execute(_SCHEMA)
                await db.execute("INSERT INTO holdfast_uploads_version VALUES ($1)", _VERSION)
            version = await db.fetchval("SELECT version FROM holdfast_uploads_version")
            if version != _VERSION:
                raise Unavailable(f"The ledger has version {version}, and this program reads {_VERSION}.")

    async def create(self, upload: Upload, reserve: int, room: Room) -> None:
        """As every ledger: see `holdfast.stores.ledger.Ledger`, here and below."""
        async with self._transaction(alone=True) as db:
            check(room, await _used(db, upload.owner, upload.id), reserve)
            await db.execute(_INSERT, *rows.values(upload, reserve))

    async def reserve(self, upload_id: str, turn: int, total: int, room: Room) -> None:
        """Change what is reserved."""
        async with self._transaction(alone=True) as db:
            found = "SELECT owner FROM holdfast_uploads WHERE id = $1 AND turn = $2 FOR UPDATE"
            owner = await db.fetchval(found, upload_id, turn)
            if owner is None:
                raise Evicted
            check(room, await _used(db, owner, upload_id), total)
            await db.execute("UPDATE holdfast_uploads SET reserved = $2 WHERE id = $1", upload_id, total)

    async def released(self, owner: str) -> int:
        """How many of an owner's were finished."""
        async with self._connection() as db:
            return await _released(db, owner)

    async def find(self, upload_id: str) -> Entry | None:
        """An upload."""
        async with self._connection() as db:
            row = await db.fetchrow(f"{_SELECT} id = $1", upload_id)
        return None if row is None else rows.entry(tuple(row))

    async def claim(
        self, upload_id: str, expires: float, phase: Phase, *, over_at: float | None = None
    ) -> Entry | None:
        """Take the next turn."""
        async with self._connection() as db:
            row = await db.fetchrow(_CLAIM, upload_id, expires, str(phase), over_at)
        return None if row is None else rows.entry(tuple(row))

    async def turns(self, upload_ids: Collection[str]) -> Mapping[str, int]:
        """The present turn of each."""
        async with self._connection() as db:
            found = await db.fetch("SELECT id, turn FROM holdfast_uploads WHERE id = ANY($1)", list(upload_ids))
        return {row[0]: row[1] for row in found}

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
        async with self._connection() as db:
            noted = await db.fetchval(_SAVE, upload_id, turn, saved.offset, saved.state, length, expires, phase)
        if noted is None:
            raise Evicted

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
        keeps = holds or phase in {Phase.RECEIVING, Phase.FINISHING}
        values = (upload_id, turn, str(phase), sha256, result, problem, expires, keeps)
        async with self._transaction(alone=phase is Phase.FINISHED) as db:
            owner = await db.fetchval(_ADVANCE, *values)
            if owner is None:
                raise Evicted
            if phase is Phase.FINISHED and not holds:
                await db.execute(_RELEASED, owner)

    async def remove(self, upload_id: str, *, expired_at: float | None = None) -> bool:
        """Forget an upload."""
        gone = "DELETE FROM holdfast_uploads WHERE id = $1 AND ($2::float8 IS NULL OR expires <= $2) RETURNING 1"
        async with self._connection() as db:
            return await db.fetchval(gone, upload_id, expired_at) is not None

    async def known(self, upload_ids: Collection[str]) -> set[str]:
        """Which are known."""
        return set(await self.turns(upload_ids))

    async def expired(self, now: float, limit: int) -> Sequence[Entry]:
        """Whose time is over."""
        return await self._over("phase IN ('receiving', 'finished', 'refused')", now, limit)

    async def finishing(self, now: float, limit: int) -> Sequence[Entry]:
        """Whose end was left in the middle."""
        return await self._over("phase = 'finishing'", now, limit)

    async def _over(self, phases: str, now: float, limit: int) -> Sequence[Entry]:
        async with self._connection() as db:
            found = await db.fetch(
                f"{_SELECT} {phases} AND expires <= $1 ORDER BY expires LIMIT $2",
                now,
                limit,
            )
        return [rows.entry(tuple(row)) for row in found]

    @asynccontextmanager
    async def _connection(self) -> AsyncGenerator[Any]:
        if self._pool is None:
            raise Unavailable("The ledger of uploads is not open.")
        with _ours():
            async with self._pool.acquire(timeout=self._patience_s) as db:
                yield db

    @asynccontextmanager
    async def _transaction(self, *, alone: bool) -> AsyncGenerator[Any]:
        """A transaction; `alone`: no other of these is under way, so that what is read holds until it is written."""
        async with self._connection() as db, db.transaction():
            if alone:
                await db.execute("SELECT pg_advisory_xact_lock($1)", _LOCK)
            yield db


class _ours:  # noqa: N801 - read as a word: `with _ours():`
    """What asyncpg raises becomes an error of ours."""

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, asyncpg.DiskFullError | asyncpg.OutOfMemoryError):
            raise InsufficientStorage from error
        if isinstance(error, _FAILURES) and not isinstance(error, HoldfastError):
            raise Unavailable(
                "The ledger of uploads cannot be used at the moment.", headers={"retry-after": "5"}
            ) from error


_FAILURES: Final = (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError)


async def _released(db: Any, owner: str) -> int:
    found = await db.fetchval("SELECT released FROM holdfast_uploads_owners WHERE owner = $1", owner)
    return found or 0


async def _used(db: Any, owner: str, but: str) -> Used:
    return Used(
        owner_bytes=await db.fetchval(f"{_HELD} AND owner = $2", but, owner),
        owner_uploads=await db.fetchval(_COUNT, but, owner),
        all_bytes=await db.fetchval(_HELD, but),
        released=await _released(db, owner),
    )
