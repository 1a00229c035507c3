"""Files: send, list, look at, fetch, delete; how far one is read."""

import asyncio
import hashlib
import logging
from datetime import datetime

import requests
from fastapi import APIRouter, BackgroundTasks, HTTPException, UploadFile, WebSocket, WebSocketDisconnect
from fastapi.responses import FileResponse
from pydantic import BaseModel, ConfigDict
from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from twin.auth import CurrentUser, find_user
from twin.database import Db, File, Record, User
from twin.reading import notice, read_records
from twin.settings import FILES, WEBHOOK_URL

logger = logging.getLogger(__name__)
router = APIRouter(prefix="/api/files", tags=["files"])


class FileOut(BaseModel):
    """What is told of a file."""

    model_config = ConfigDict(from_attributes=True)

    id: str
    name: str
    size: int
    sha256: str
    created: datetime
    state: str
    records: int
    error: str | None


class Notified(BaseModel):
    """What the webhook answered."""

    status: int


def get_file(db: Session, user: User, file_id: str) -> File:
    """A file of the user; 404 if there is none."""
    file = db.scalars(select(File).where(File.id == file_id, File.user_id == user.id)).first()
    if file is None:
        raise HTTPException(404, "File not found")
    return file


@router.post("", status_code=201)
async def upload_file(file: UploadFile, user: CurrentUser, db: Db, background_tasks: BackgroundTasks) -> FileOut:
    """Save a file. CSV and NDJSON are then read into records in the background."""
    contents = await file.read()
    saved = File(
        user_id=user.id,
        name=file.filename or "unnamed",
        size=len(contents),
        sha256=hashlib.sha256(contents).hexdigest(),
    )
    db.add(saved)
    db.commit()
    with open(FILES / saved.id, "wb") as f:
        f.write(contents)
    logger.info(f"{user.name} uploaded {saved.name}, {saved.size} bytes")
    background_tasks.add_task(read_records, saved.id)
    return FileOut.model_validate(saved)


@router.get("")
def list_files(user: CurrentUser, db: Db) -> list[FileOut]:
    """All files of the user, the newest first."""
    files = db.scalars(select(File).where(File.user_id == user.id).order_by(File.created.desc())).all()
    return [FileOut.model_validate(file) for file in files]


@router.get("/{file_id}")
def show_file(file_id: str, user: CurrentUser, db: Db) -> FileOut:
    """One file."""
    return FileOut.model_validate(get_file(db, user, file_id))


@router.get("/{file_id}/content", response_class=FileResponse)
def download_file(file_id: str, user: CurrentUser, db: Db) -> FileResponse:
    """The file as it was sent."""
    file = get_file(db, user, file_id)
    return FileResponse(FILES / file.id, filename=file.name, media_type="application/octet-stream")


@router.delete("/{file_id}", status_code=204)
def delete_file(file_id: str, user: CurrentUser, db: Db) -> None:
    """Delete a file and its records."""
    file = get_file(db, user, file_id)
    (FILES / file.id).unlink()
    db.execute(delete(Record).where(Record.file_id == file.id))
    db.delete(file)
    db.commit()


@router.post("/{file_id}/notify")
async def notify(file_id: str, user: CurrentUser, db: Db) -> Notified:
    """Tell the webhook again."""
    file = get_file(db, user, file_id)
    if not WEBHOOK_URL:
        raise HTTPException(400, "There is no webhook")
    response = requests.post(WEBHOOK_URL, json=notice(file))
    return Notified(status=response.status_code)


@router.websocket("/{file_id}/progress")
async def progress(websocket: WebSocket, file_id: str, token: str, db: Db) -> None:
    """Send how far a file is read, until it is."""
    user = find_user(db, token)
    file = db.get(File, file_id)
    if user is None or file is None or file.user_id != user.id:
        await websocket.close(code=1008)
        return
    await websocket.accept()
    try:
        while True:
            db.refresh(file)
            await websocket.send_json({"state": file.state, "records": file.records})
            if file.state in {"ready", "failed"}:
                break
            await asyncio.sleep(0.5)
        await websocket.close()
    except WebSocketDisconnect:
        print(f"client stopped following {file_id}")
