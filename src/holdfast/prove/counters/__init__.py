"""Counters: what can be counted of a backend from outside, without its help: Linux's /proc, folders, PostgreSQL's view.

    before = counted(pid, ["/tmp/uploads"])
    async with sampling(pid) as samples:
        ...
    left = await settled(pid, before, within_s=5.0)
    assert left.clean, left.words()

The records are in `holdfast.decide.counts`, what is left over in `holdfast.decide.leftovers`. No root is needed for the
processes of one's own user; what may not be seen is told as such, and never as zero.
"""

from collections.abc import Sequence

from holdfast.decide.counts import Session
from holdfast.errors import ExtraMissing
from holdfast.prove.counters.counting import counted
from holdfast.prove.counters.folders import folder
from holdfast.prove.counters.proc import NotLinux
from holdfast.prove.counters.sampling import Samples, sampling
from holdfast.prove.counters.settling import settled
from holdfast.prove.counters.trees import Tree, tree

__all__ = [
    "NotLinux",
    "Samples",
    "Tree",
    "counted",
    "folder",
    "sampling",
    "sessions",
    "settled",
    "tree",
]


async def sessions(dsn: str, timeout_s: float = 5.0) -> Sequence[Session]:
    """The clients of a PostgreSQL server as it sees them, but for this one: `counts._replace(sessions=...)`.

    Their states are None where `dsn` names a user who may not see them. Raises ExtraMissing without asyncpg,
    Unavailable where the server does not answer.
    """
    try:
        from holdfast.prove.counters.postgres import activity  # noqa: PLC0415 - its driver is an extra
    except ModuleNotFoundError as error:
        raise ExtraMissing("PostgreSQL's view needs the extra `postgres`: pip install holdfast[postgres].") from error
    return await activity(dsn, timeout_s)
