"""Content codings: gzip, and zstd where it is installed."""

import zlib
from collections.abc import Callable
from typing import Any, Final, Protocol

from holdfast.errors import ExtraMissing

_GZIP: Final = 31
"""zlib's way to say: 32 KiB of memory to look back, and gzip's header and footer."""


class Packer(Protocol):
    """Compresses one export."""

    def pack(self, content: bytes) -> bytes:
        """Take some of it; what can be sent already."""
        ...

    def flush(self) -> bytes:
        """What makes everything so far readable: dear, so for what would wait long."""
        ...

    def end(self) -> bytes:
        """What is left, and the footer."""
        ...


class Plain:
    """As it is."""

    def pack(self, content: bytes) -> bytes:
        """As it is."""
        return content

    def flush(self) -> bytes:
        """Nothing."""
        return b""

    def end(self) -> bytes:
        """Nothing."""
        return b""


class Gzip:
    """RFC 1952. Its footer has a checksum and the length."""

    def __init__(self) -> None:
        """Begin."""
        self._deflate = zlib.compressobj(1, zlib.DEFLATED, _GZIP)

    def pack(self, content: bytes) -> bytes:
        """As Packer."""
        return self._deflate.compress(content)

    def flush(self) -> bytes:
        """As Packer."""
        return self._deflate.flush(zlib.Z_SYNC_FLUSH)

    def end(self) -> bytes:
        """As Packer."""
        return self._deflate.flush()


class Zstd:
    """RFC 8878, with a checksum at its end."""

    def __init__(self) -> None:
        """Begin. Raises ExtraMissing."""
        zstd = _zstd()
        if zstd is None:
            raise ExtraMissing("zstd needs the extra `zstd`: pip install holdfast[zstd].")
        parameter: Any = zstd.CompressionParameter
        self._modes: Any = zstd.ZstdCompressor
        self._compressor: Any = zstd.ZstdCompressor(
            options={parameter.compression_level: 1, parameter.checksum_flag: 1, parameter.window_log: 19}
        )

    def pack(self, content: bytes) -> bytes:
        """As Packer."""
        return self._compressor.compress(content)

    def flush(self) -> bytes:
        """As Packer."""
        return self._compressor.flush(self._modes.FLUSH_BLOCK)

    def end(self) -> bytes:
        """As Packer."""
        return self._compressor.flush(self._modes.FLUSH_FRAME)


def _zstd() -> Any:
    try:
        from backports import zstd  # noqa: PLC0415 - an extra
    except ModuleNotFoundError:
        return None
    return zstd


def codings() -> tuple[str, ...]:
    """What can be offered here, the better first."""
    return ("gzip",) if _zstd() is None else ("zstd", "gzip")


PACKERS: Final[dict[str | None, Callable[[], Packer]]] = {None: Plain, "gzip": Gzip, "zstd": Zstd}
