"""Style sheets, scripts and pictures: read once, served from memory.

The address of each has a hash of them all in it, so that a browser may keep it for good, and a page never gets a script
of another version than its own.
"""

import hashlib
import mimetypes
from collections.abc import Mapping
from pathlib import Path
from typing import Final

_TYPES: Final = {".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8"}
_KEPT: Final = "public, max-age=31536000, immutable"
_ASKED_AGAIN: Final = "no-cache"


class Asset:
    """One file."""

    def __init__(self, name: str, content: bytes) -> None:
        """The file `name`, which holds `content`."""
        self.content = content
        self.media_type = _TYPES.get(Path(name).suffix) or mimetypes.guess_type(name)[0] or "application/octet-stream"
        self.etag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'

    def headers(self, *, lasting: bool) -> Mapping[str, str]:
        """What it is sent with; `lasting` where its address will always mean it."""
        return {
            "cache-control": _KEPT if lasting else _ASKED_AGAIN,
            "etag": self.etag,
            "x-content-type-options": "nosniff",
            "cross-origin-resource-policy": "same-origin",
        }


class Assets:
    """All files of a folder, by their names in it. Whatever is asked for is looked up, and never a path."""

    def __init__(self, folder: Path) -> None:
        """Read them all. Blocks."""
        found = sorted(path for path in folder.rglob("*") if path.is_file())
        names = [path.relative_to(folder).as_posix() for path in found]
        self._assets = {name: Asset(name, path.read_bytes()) for name, path in zip(names, found, strict=True)}
        etags = "\n".join(f"{name} {asset.etag}" for name, asset in self._assets.items())
        self.version = hashlib.sha256(etags.encode()).hexdigest()[:16]

    def get(self, name: str) -> Asset | None:
        """The file of that name."""
        return self._assets.get(name)

    def url(self, name: str) -> str:
        """Its address. Raises KeyError if there is no such file: a fault in a template."""
        if name not in self._assets:
            raise KeyError(name)
        return f"/static/{self.version}/{name}"
