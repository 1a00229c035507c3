"""What PostgreSQL sees of its clients, by asyncpg."""

from typing import Any, Final

import asyncpg

from holdfast.decide.counts import Session
from holdfast.errors import Unavailable

_ACTIVITY: Final = """
SELECT pid, coalesce(application_name, ''), coalesce(usename, ''), coalesce(datname, ''),
    coalesce(host(client_addr), ''), coalesce(client_port, 0),
    CASE WHEN query = '<insufficient privilege>' THEN NULL ELSE coalesce(state, 'starting') END,
    extract(epoch FROM clock_timestamp() - xact_start)::float8
FROM pg_stat_activity
WHERE pid <> pg_backend_pid() AND datid IS NOT NULL AND usesysid IS NOT NULL
    AND coalesce(backend_type, 'client backend') = 'client backend'
ORDER BY pid
"""
"""Who may not see another user's session sees that there is one, and neither its kind nor what it does."""
APPLICATION: Final = "holdfast prove"


async def activity(dsn: str, timeout_s: float) -> list[Session]:
    """All sessions but the one that this takes. Raises Unavailable."""
    try:
        return await _activity(dsn, timeout_s)
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, ValueError) as error:
        raise Unavailable(f"PostgreSQL does not say who its clients are: {error or type(error).__name__}") from error


async def _activity(dsn: str, timeout_s: float) -> list[Session]:
    untyped: Any = asyncpg
    settings = {"application_name": APPLICATION}
    connection: Any = await untyped.connect(dsn, timeout=timeout_s, command_timeout=timeout_s, server_settings=settings)
    try:
        return [Session(*row) for row in await connection.fetch(_ACTIVITY)]
    finally:
        await connection.close(timeout=timeout_s)
