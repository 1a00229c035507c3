"""FastAPI's `UploadFile`, as documented and as people save it: copied to a file."""

import shutil
import uuid
from pathlib import Path

from fastapi import FastAPI, UploadFile
from fastapi.responses import PlainTextResponse

app = FastAPI()
FOLDER = Path("saved")
FOLDER.mkdir(exist_ok=True)


@app.get("/small")
async def small() -> PlainTextResponse:
    """What is asked for meanwhile."""
    return PlainTextResponse("ok")


@app.post("/upload")
def upload(file: UploadFile) -> dict[str, int]:
    """Save a file; neither synced nor hashed."""
    with (FOLDER / uuid.uuid4().hex).open("wb") as out:
        shutil.copyfileobj(file.file, out)
        return {"size": out.tell()}
