"""Data folders of the first version: there the content of a file lay in the folder itself, and now lies one below.

Plain functions, run in a thread once at each start; there is nothing to do from the second on. Several processes may do
it at the same time.
"""

import fcntl
import logging
import os
import re
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final

_WHOLE: Final = re.compile(r"[0-9a-f]{32}")
_PART: Final = re.compile(r"\.[0-9a-f]{32}\.part")

_SOME: Final = 500

logger = logging.getLogger(__name__)


def move(folder: Path, known: Callable[[Iterable[str]], set[str]]) -> None:
    """Move the files that the database knows to where they are looked for now; remove what uploads had left behind.

    `known` says which of some IDs are those of files.
    """
    with os.scandir(folder) as entries:
        names = [entry.name for entry in entries]
    flat = [name for name in names if _WHOLE.fullmatch(name)]
    for start in range(0, len(flat), _SOME):
        _move(folder, flat[start : start + _SOME], known)
    for name in filter(_PART.fullmatch, names):
        with suppress(FileNotFoundError):
            _remove(folder / name)
    if flat:
        logger.info("files of an older version were moved", extra={"files": len(flat)})


def _move(folder: Path, flat: Iterable[str], known: Callable[[Iterable[str]], set[str]]) -> None:
    mine = known(flat)
    for name in flat:
        with suppress(FileNotFoundError):  # another process moves them too
            if name in mine:
                (folder / name[:2]).mkdir(mode=0o700, exist_ok=True)
                (folder / name).rename(folder / name[:2] / name)
            else:
                _remove(folder / name)


def _remove(path: Path) -> None:
    with path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return  # a process of that version is still at it
        path.unlink(missing_ok=True)
