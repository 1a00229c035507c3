"""The stores, each empty: in memory, on disk, and in two real S3 servers."""

import contextlib
import secrets
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import s3_servers

from holdfast.stores.blobs import Blobs
from holdfast.stores.disk import Disk
from holdfast.stores.memory import Memory
from holdfast.stores.s3 import S3
from holdfast.stores.s3_client import Times

TIMES = Times(connect_s=2.0, answer_s=10.0, tries=3)


@pytest.fixture(scope="session")
def seaweed() -> Iterator[s3_servers.Server]:
    with s3_servers.seaweed() as server:
        yield server


@pytest.fixture(scope="session")
def rclone() -> Iterator[s3_servers.Server]:
    with s3_servers.rclone() as server:
        yield server


def speak_to(server: s3_servers.Server, patch: pytest.MonkeyPatch) -> None:
    """Have the usual variables name a server."""
    for name, value in server.environ().items():
        patch.setenv(name, value)


class Kind:
    """One kind of store, and how to have another process's view of the same bytes."""

    def __init__(self, name: str, make, part: int = 64 * 1024) -> None:
        self.name = name
        self.make = make
        self.part = part
        """So large are the first parts in S3: rclone takes smaller ones than S3 does."""

    @property
    def reads_unpublished(self) -> bool:
        return not self.name.startswith("s3")

    @property
    def shared(self) -> bool:
        """Whether two stores see the same bytes, as two processes do."""
        return self.name != "memory"


@pytest.fixture(params=["memory", "disk", "s3-seaweed", "s3-rclone"])
def kind(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Kind:
    name = request.param
    if name == "memory":
        only = Memory()
        return Kind(name, lambda: only)
    if name == "disk":
        return Kind(name, lambda: Disk(tmp_path / "blobs", wait_s=0.3))
    speak_to(request.getfixturevalue(name.removeprefix("s3-")), monkeypatch)
    url = f"s3://{s3_servers.BUCKET}/{secrets.token_hex(4)}"
    part = 5 << 20 if name == "s3-seaweed" else 64 * 1024
    return Kind(name, lambda: S3(url, part_bytes=part, times=TIMES), part)


@pytest.fixture
def unit(kind: Kind) -> int:
    """The size of a part: what is smaller, of the same size, or larger is kept in different ways."""
    return kind.part


@pytest.fixture
async def blobs(kind: Kind) -> AsyncIterator[Blobs]:
    async with kind.make() as store:
        yield store


@pytest.fixture
async def others(kind: Kind) -> AsyncIterator[Blobs]:
    """The same bytes, as another process sees them."""
    if not kind.shared:
        pytest.skip("the memory of one process is nobody else's")
    async with contextlib.AsyncExitStack() as stack:
        yield await stack.enter_async_context(kind.make())
