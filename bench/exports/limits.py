"""What no server in Python is likely to beat: the databases' own programs, and a COPY that is thrown away.

`python limits.py URL ROWS` copies in this process, and prints the seconds and those of its CPU.
"""

import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import Final

import asyncpg
import uvloop
from orders import SQL

SHELL: Final = shutil.which("sqlite3")


def psql(program: str, url: str, rows: int) -> tuple[float, float]:
    """Seconds, and seconds of its CPU."""
    return _timed([program, url, "-qc", rf"\copy ({SQL.format(rows)}) to /dev/null csv"])


def sqlite_shell(path: str, rows: int) -> tuple[float, float]:
    """The same of `sqlite3 -csv`."""
    assert SHELL is not None
    return _timed([SHELL, "-csv", path, SQL.format(rows)])


def copied(url: str, rows: int) -> tuple[float, float]:
    """The same of a COPY by asyncpg, without starting Python."""
    out = subprocess.run([sys.executable, __file__, url, str(rows)], check=True, capture_output=True)
    seconds, cpu = map(float, out.stdout.split())
    return seconds, cpu


def _timed(command: Sequence[str]) -> tuple[float, float]:
    began, cpu = time.perf_counter(), _children_s()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began, _children_s() - cpu


def _children_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


async def copy(url: str, rows: int) -> tuple[float, float]:
    """Throw away what COPY gives."""
    connection = await asyncpg.connect(url)
    began, cpu = time.perf_counter(), time.process_time()

    async def drop(made: bytes) -> None:
        pass

    await connection.copy_from_query(SQL.format(rows), output=drop, format="csv")
    took = time.perf_counter() - began, time.process_time() - cpu
    await connection.close()
    return took


if __name__ == "__main__":
    print(*uvloop.run(copy(sys.argv[1], int(sys.argv[2]))))
