"""What the depot depends on: opened at start in the order of need, closed in reverse, replaceable in a test.

with resources.override(Herald, Recorder()): ...
"""

import logging
from collections.abc import AsyncGenerator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Final

import httpx2

from depot import accounts, flat_files, passwords, terminal
from depot.background import Background, News
from depot.database import Database
from depot.intake import Intake
from depot.leases import Leases
from depot.making import Making
from depot.migrations import migrate
from depot.pages.rendering import Pages
from depot.preparing import Preparing
from depot.scanning import scan
from depot.search import Search
from depot.sessions import Sessions
from depot.settings import DepotSettings, FirstAccount, ReportSettings, SessionSettings, StoreSettings
from depot.signing_in import Doorkeeper
from depot.uploads import AT, Arrivals, known
from depot.webhook import Herald, Silence, Webhook
from holdfast import Resources, exports, offload, settings, uploads
from holdfast.contrib.fastapi import given

logger = logging.getLogger(__name__)
resources = Resources()

# One account is often many people and programs, so it may have more uploads than Holdfast grants an owner by itself.
_AT_ONCE: Final = 256
_UNFINISHED: Final = 1_000
# The rows of a report are a copy, so they hold up nobody else while they wait for one that reads slowly.
_HOLD_S: Final = 86_400

_EVERY: Final = (
    DepotSettings,
    StoreSettings,
    uploads.UploadSettings,
    uploads.PaceSettings,
    exports.ExportSettings,
    ReportSettings,
    FirstAccount,
    SessionSettings,
)


@resources.application()
def depot_settings() -> DepotSettings:
    """Read from the environment. Plain, for there is nothing to wait for."""
    settings.load_all(*_EVERY)  # so that all faults are named at once
    return settings.load(DepotSettings)


@resources.application()
def store_settings() -> StoreSettings:
    """As `depot_settings`."""
    return settings.load(StoreSettings)


@resources.application()
def report_settings() -> ReportSettings:
    """As `depot_settings`."""
    return settings.load(ReportSettings)


@resources.application()
def export_settings() -> exports.ExportSettings:
    """As `depot_settings`."""
    chosen = settings.load(exports.ExportSettings)
    return replace(chosen, hold_s=max(chosen.hold_s, _HOLD_S))


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
    await offload.thread(chosen.data.mkdir, parents=True, exist_ok=True)
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


@resources.application(enter=False)  # `incoming` opens it
async def blobs(chosen: DepotSettings, store: StoreSettings, database: Database) -> uploads.Blobs:
    """Where the bytes of files lie."""
    if store.blobs is not None and store.blobs.startswith("s3://"):
        return uploads.blobs_at(store.blobs)
    usual = chosen.data / "files"
    folder = usual if store.blobs is None else Path(store.blobs)
    await offload.thread(folder.mkdir, parents=True, exist_ok=True)
    if folder.resolve() == usual.resolve():  # other folders are no business of the first version's
        await offload.thread(flat_files.move, folder, lambda ids: database.transact(lambda db: known(db, ids)))
    return uploads.blobs_at(folder)


@resources.application()
async def leases(chosen: DepotSettings, database: Database) -> Leases:  # noqa: ARG001 - whose folder is there then
    folder = chosen.beside_database("leases")
    await offload.thread(folder.mkdir, exist_ok=True)
    return Leases(folder)


@resources.application()
async def making(database: Database, leases: Leases) -> AsyncGenerator[Making]:
    """What tells the database how far reports are."""
    opened = Making(database, leases)
    async with opened.running():
        yield opened


@resources.application()
async def preparing(
    incoming: uploads.Uploads,  # noqa: ARG001 - which has the store open
    database: Database,
    blobs: uploads.Blobs,
    leases: Leases,
    making: Making,
    chosen: exports.ExportSettings,
    keeping: ReportSettings,
) -> Preparing:
    return Preparing(database, blobs, leases, making, chosen, timedelta(hours=keeping.kept_hours))


@resources.application()
def news() -> News:
    """How those who serve requests tell the background of something to do."""
    return News()


@resources.application(open_within=60)
async def incoming(
    chosen: DepotSettings,
    store: StoreSettings,
    blobs: uploads.Blobs,
    database: Database,
    sessions: Sessions,
) -> AsyncGenerator[uploads.Uploads]:
    """Where files come in. As long as it is open, so is the store of their bytes."""
    hooks = Arrivals(database, sessions, quota_mb=store.quota_mb)
    taking = settings.load(uploads.UploadSettings)
    opened = uploads.Uploads(
        blobs=blobs,
        ledger=uploads.ledger_at(chosen.beside_database("uploads.sqlite")),
        authorise=hooks.authorise,
        quota=hooks.quota,
        scan=scan,
        finished=hooks.finished,
        at=AT,
        settings=replace(
            taking,
            max_bytes=min(taking.max_bytes, chosen.max_file_mb << 20),
            at_once=max(taking.at_once, _AT_ONCE),
            unfinished_max=max(taking.unfinished_max, _UNFINISHED),
        ),
    )
    async with opened.running():
        yield opened


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
    database: Database,
    blobs: uploads.Blobs,
    leases: Leases,
    herald: Herald,
    sessions: Sessions,
    preparing: Preparing,
    news: News,
) -> AsyncGenerator[Background]:
    """The tasks beside the requests."""
    tasks = Background(database, blobs, leases, Intake(database, blobs, leases, herald), sessions, preparing, news)
    async with tasks.running():
        yield tasks


@resources.application()
async def pages() -> Pages:
    """The pages' templates and static files, read once."""
    return await offload.thread(Pages)


# What a handler writes as the type of a parameter to get it.
Db = Annotated[Database, given(resources, Database)]
Store = Annotated[uploads.Blobs, given(resources, uploads.Blobs)]
Incoming = Annotated[uploads.Uploads, given(resources, uploads.Uploads)]
Work = Annotated[News, given(resources, News)]
Following = Annotated[Making, given(resources, Making)]
Keeping = Annotated[ReportSettings, given(resources, ReportSettings)]
Exporting = Annotated[exports.ExportSettings, given(resources, exports.ExportSettings)]
Signed = Annotated[Sessions, given(resources, Sessions)]
Door = Annotated[Doorkeeper, given(resources, Doorkeeper)]
Searching = Annotated[Search, given(resources, Search)]
Look = Annotated[Pages, given(resources, Pages)]
Chosen = Annotated[DepotSettings, given(resources, DepotSettings)]
