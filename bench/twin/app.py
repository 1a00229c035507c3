"""The twin of the depot: the depot's job, files in and reports out, written as most tutorials write it.

    uvicorn twin.app:app            in the folder above this one; TWIN_DATA, TWIN_WEBHOOK_URL, TWIN_PASSWORD

It is here to be proven beside the depot, so that what a promise is worth can be seen. Each habit in it is one that
widely read guides teach: a session for each request in a dependency with `yield`, `await file.read()`,
`BackgroundTasks`, `requests`, a CSV built in `io.StringIO`, a loop behind a WebSocket, a middleware that logs each
request and makes JSON of exceptions. Nothing in it was put there to fail. It does what it says, on a laptop as in its
guides: it checks who may see what, hashes passwords, binds parameters, and makes no path of a name that a client chose.

On purpose it has nothing that those guides leave for later: no limits, deadlines, request IDs, redaction, idempotency
keys, queue that survives a restart, fsync, pages or migrations. It uses nothing of Holdfast.
"""

import logging
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import datetime

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict
from sqlalchemy import select
from starlette.middleware.base import RequestResponseEndpoint

from twin import auth, files, reports
from twin.auth import CurrentUser
from twin.database import Base, Db, Note, SessionLocal, User, engine
from twin.settings import PASSWORD

logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
logger = logging.getLogger(__name__)


class NoteIn(BaseModel):
    """A new note."""

    text: str


class NoteOut(BaseModel):
    """A note that was written down."""

    model_config = ConfigDict(from_attributes=True)

    id: int
    text: str
    created: datetime


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncGenerator[None]:
    """Make the tables and the first user if they are not there."""
    Base.metadata.create_all(engine)
    db = SessionLocal()
    if db.scalars(select(User)).first() is None:
        db.add(User(name="first", password=auth.hash_password(PASSWORD)))
        db.commit()
        print("created user first")
    db.close()
    yield


app = FastAPI(title="The twin", lifespan=lifespan)
app.include_router(auth.router)
app.include_router(files.router)
app.include_router(reports.router)


@app.middleware("http")
async def log_requests(request: Request, call_next: RequestResponseEndpoint) -> Response:
    """Log every request and its answer."""
    body = await request.body()
    logger.info(f"{request.method} {request.url} headers={dict(request.headers)} body={body[:1000]!r}")
    start = time.time()
    try:
        response = await call_next(request)
    except Exception as e:
        logger.error(f"{request.method} {request.url.path} failed: {e}")
        return JSONResponse(status_code=500, content={"error": str(e)})
    logger.info(f"{request.method} {request.url.path} {response.status_code} in {time.time() - start:.3f} s")
    return response


@app.get("/health")
async def health() -> dict[str, str]:
    """Whether it is up."""
    return {"status": "ok"}


@app.post("/api/notes", status_code=201, tags=["notes"])
def create_note(note: NoteIn, user: CurrentUser, db: Db) -> NoteOut:
    """Write a note down."""
    saved = Note(user_id=user.id, text=note.text)
    db.add(saved)
    db.commit()
    return NoteOut.model_validate(saved)


@app.get("/api/notes", tags=["notes"])
def list_notes(user: CurrentUser, db: Db) -> list[NoteOut]:
    """All notes of the user, the newest first."""
    notes = db.scalars(select(Note).where(Note.user_id == user.id).order_by(Note.id.desc())).all()
    return [NoteOut.model_validate(note) for note in notes]
