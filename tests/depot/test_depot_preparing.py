"""Reports that are made files, by themselves, without a server."""

import asyncio
import contextlib
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from depot import making
from depot.database import Database
from depot.leases import Leases
from depot.migrations import migrate
from depot.models import READY, WAITING, Account, Export, now
from depot.preparing import Preparing
from holdfast import exports, uploads

pytestmark = pytest.mark.anyio


def wanted(session: Session) -> None:
    account = Account(name="someone", token_sha256="-", created=now())
    session.add(account)
    session.flush()
    making.new(session, account, "records", "csv", "a" * 32, WAITING)


def state(session: Session) -> str:
    return session.scalars(select(Export.state)).one()


@pytest.mark.parametrize("turns", [1, 2, 3, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 20_000])
async def test_a_report_whose_making_is_stopped_waits_for_the_next_process(tmp_path: Path, turns: int) -> None:
    for folder in ("leases", "files"):
        (tmp_path / folder).mkdir()
    migrate(str(tmp_path / "depot.sqlite"), tmp_path / "lock")
    with contextlib.closing(Database(str(tmp_path / "depot.sqlite"))) as database:
        await database.write(wanted)
        leases = Leases(tmp_path / "leases")
        async with uploads.blobs_at(tmp_path / "files") as blobs:
            preparing = Preparing(
                database,
                blobs,
                leases,
                making.Making(database, leases),
                exports.ExportSettings(),
                timedelta(hours=1),
            )
            task = asyncio.create_task(preparing.prepare_next())
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait({task})
        assert await database.read(state) in {WAITING, READY}
