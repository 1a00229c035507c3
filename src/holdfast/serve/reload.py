"""For development: which Python files have changed."""

import asyncio
import os
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Final

_POLL_S: Final = 0.4
_LEFT_OUT: Final = frozenset({".git", ".venv", "venv", "node_modules", "__pycache__", "site-packages"})


async def changes(folder: Path) -> AsyncGenerator[Path]:
    """Each Python file below `folder` that is written from now on, as it is noticed."""
    known = await asyncio.to_thread(_times, folder)
    while True:
        await asyncio.sleep(_POLL_S)
        now = await asyncio.to_thread(_times, folder)
        changed = [path for path, written in now.items() if known.get(path) != written]
        known = now
        if changed:
            yield changed[0]


def _times(folder: Path) -> dict[Path, int]:
    times: dict[Path, int] = {}
    for root, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if name not in _LEFT_OUT]
        for name in files:
            if name.endswith(".py"):
                path = Path(root) / name
                try:
                    times[path] = path.stat().st_mtime_ns
                except OSError:
                    continue
    return times
