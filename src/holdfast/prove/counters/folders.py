"""The files in folders, open or not: what uploads and exports leave behind."""

import os
from collections.abc import Iterable
from pathlib import Path

from holdfast.decide.counts import Folder, Stored


def folder(path: str | Path) -> tuple[Folder, list[str]]:
    """A folder and all below it; in words what could not be seen. One that is not there is empty."""
    top = os.fspath(path)
    found: list[Stored] = []
    unseen: list[str] = []

    def refused(error: OSError) -> None:
        if not isinstance(error, FileNotFoundError):
            unseen.append(f"the folder {error.filename}: {(error.strerror or '').lower()}")

    for where, _, names in os.walk(top, onerror=refused):
        found += _stored(top, where, names)
    return Folder(top, None if unseen else sorted(found)), unseen


def _stored(top: str, where: str, names: Iterable[str]) -> Iterable[Stored]:
    for name in names:
        place = os.path.join(where, name)  # noqa: PTH118 - no path object for each
        try:
            yield Stored(os.path.relpath(place, top), os.lstat(place).st_size)
        except FileNotFoundError:  # it was just removed
            continue
