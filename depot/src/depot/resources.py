"""What the depot depends on: opened at start in the order of need, closed in reverse, replaceable in a test.

with resources.override(Herald, Recorder()): ...
"""

import logging
from collections.abc import AsyncGenerator
from typing import Annotated

import httpx2

from depot import accounts, terminal
from depot.background import Background
from depot.blobs import Blobs
from depot.database import Database
from depot.intake import Intake
from depot.migrations import migrate
from depot.settings import DepotSettings
from depot.webhook import Herald, Silence, Webhook
from holdfast import Resources, offload, settings
from holdfast.contrib.fastapi import given

resources = Resources()


@resources.application()
def depot_settings() -> DepotSettings:
    """Read from the environment. Plain, for there is nothing to wait for."""
    return settings.load(DepotSettings)


@resources.application(open_within=300)  # a migration may take its time
async def database(chosen: DepotSettings) -> AsyncGenerator[Database]:
    """The database in its newest shape, with at least one account."""
    await offload.thread(chosen.files_folder.mkdir, parents=True, exist_ok=True)
    await offload.thread(migrate, chosen.database_path, chosen.data / "migration.lock")
    opened = Database(chosen.database_path)
    try:
        token = await opened.write(accounts.ensure_first, chosen.first_token)
        if token is not None:
            terminal.show_first_token(accounts.FIRST, token)
        yield opened
    finally:
        await offload.thread(opened.close)


@resources.application()
async def blobs(chosen: DepotSettings, database: Database) -> Blobs:  # noqa: ARG001 - which makes the folder
    return Blobs(chosen.files_folder, limit=chosen.max_file_mb << 20)


@resources.application()
async def client() -> AsyncGenerator[httpx2.AsyncClient]:
    """The client for services outside. Its own log would write their addresses, which may be secrets."""
    logging.getLogger("httpx2").setLevel(logging.WARNING)
    async with httpx2.AsyncClient(timeout=httpx2.Timeout(5.0)) as opened:
        yield opened


@resources.application()
async def herald(chosen: DepotSettings, client: httpx2.AsyncClient) -> AsyncGenerator[Herald]:
    """Who is told of files that are done: the webhook, if there is one."""
    if chosen.webhook_url is None:
        yield Silence()
        return
    webhook = Webhook(client, chosen.webhook_url.reveal())
    async with webhook.sending():
        yield webhook


@resources.application()
async def background(database: Database, blobs: Blobs, herald: Herald) -> AsyncGenerator[Background]:
    """The tasks beside the requests."""
    tasks = Background(database, blobs, Intake(database, blobs, herald))
    async with tasks.running():
        yield tasks


# What a handler writes as the type of a parameter to get it.
Db = Annotated[Database, given(resources, Database)]
Store = Annotated[Blobs, given(resources, Blobs)]
Work = Annotated[Background, given(resources, Background)]
