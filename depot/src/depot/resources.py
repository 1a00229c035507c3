"""What the depot depends on: opened at start in the order of need, closed in reverse, replaceable in a test.

with resources.override(Herald, Recorder()): ...
"""

import logging
from collections.abc import AsyncGenerator
from typing import Annotated

import httpx2

from depot import accounts, passwords, terminal
from depot.background import Background
from depot.blobs import Blobs
from depot.database import Database
from depot.intake import Intake
from depot.migrations import migrate
from depot.pages.rendering import Pages
from depot.search import Search
from depot.sessions import Sessions
from depot.settings import DepotSettings, FirstAccount, SessionSettings
from depot.signing_in import Doorkeeper
from depot.webhook import Herald, Silence, Webhook
from holdfast import Resources, offload, settings
from holdfast.contrib.fastapi import given

logger = logging.getLogger(__name__)
resources = Resources()


@resources.application()
def depot_settings() -> DepotSettings:
    """Read from the environment. Plain, for there is nothing to wait for."""
    return settings.load_all(DepotSettings, FirstAccount, SessionSettings)[0]  # so that all faults are named at once


@resources.application()
def first_account() -> FirstAccount:
    """As `depot_settings`."""
    return settings.load(FirstAccount)


@resources.application()
def session_settings() -> SessionSettings:
    """As `depot_settings`."""
    return settings.load(SessionSettings)


@resources.application(open_within=300)  # a migration may take its time
async def database(chosen: DepotSettings, first: FirstAccount) -> AsyncGenerator[Database]:
    """The database in its newest shape, with at least one account."""
    await offload.thread(chosen.files_folder.mkdir, parents=True, exist_ok=True)
    await offload.thread(migrate, chosen.database_path, chosen.data / "migration.lock")
    opened = Database(chosen.database_path)
    try:
        await _ensure_account(opened, first, chosen.url)
        yield opened
    finally:
        await offload.thread(opened.close)


async def _ensure_account(database: Database, first: FirstAccount, url: str) -> None:
    if await database.read(accounts.any_there):
        if not await database.read(accounts.any_with_password):
            logger.warning("nobody can sign in to the pages yet: python -m depot accounts password NAME")
        return
    token, password = first.token or accounts.new_token(), first.password or passwords.new_password()
    if await database.write(accounts.make_first, token, await offload.thread(passwords.hashed, password)):
        made_up = {"token": None if first.token else token, "password": None if first.password else password}
        terminal.show_first_account(accounts.FIRST, made_up, f"{url}/sign-in")


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
async def sessions(database: Database, lasting: SessionSettings) -> Sessions:
    return Sessions(database, lasting)


@resources.application()
async def search(database: Database) -> Search:
    return Search(database)


@resources.application()
async def doorkeeper(database: Database, sessions: Sessions) -> Doorkeeper:
    return Doorkeeper(database, sessions)


@resources.application()
async def background(
    database: Database, blobs: Blobs, herald: Herald, sessions: Sessions
) -> AsyncGenerator[Background]:
    """The tasks beside the requests."""
    tasks = Background(database, blobs, Intake(database, blobs, herald), sessions)
    async with tasks.running():
        yield tasks


@resources.application()
async def pages() -> Pages:
    """The pages' templates and static files, read once."""
    return await offload.thread(Pages)


# What a handler writes as the type of a parameter to get it.
Db = Annotated[Database, given(resources, Database)]
Store = Annotated[Blobs, given(resources, Blobs)]
Work = Annotated[Background, given(resources, Background)]
Signed = Annotated[Sessions, given(resources, Sessions)]
Door = Annotated[Doorkeeper, given(resources, Doorkeeper)]
Searching = Annotated[Search, given(resources, Search)]
Look = Annotated[Pages, given(resources, Pages)]
Chosen = Annotated[DepotSettings, given(resources, DepotSettings)]
