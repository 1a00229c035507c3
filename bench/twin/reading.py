"""Files to records, in the background, and the webhook that is told of it."""

import csv
import json
import logging
from collections.abc import Iterator
from typing import Any

import requests

from twin.database import File, Record, SessionLocal
from twin.settings import FILES, WEBHOOK_URL

logger = logging.getLogger(__name__)


def rows_of(file: File) -> Iterator[dict[str, Any]]:
    """The rows of a CSV or NDJSON file; none of any other."""
    name = file.name.lower()
    with open(FILES / file.id, newline="", encoding="utf-8") as f:
        if name.endswith(".csv"):
            yield from csv.DictReader(f)
        elif name.endswith((".ndjson", ".jsonl")):
            for line in f:
                if line.strip():
                    yield json.loads(line)


def notice(file: File) -> dict[str, Any]:
    """What the webhook is told."""
    about = {"id": file.id, "name": file.name, "size": file.size, "state": file.state, "records": file.records}
    return {"event": f"file.{file.state}", "file": about}


def read_records(file_id: str) -> None:
    """Read a file into records and tell the webhook."""
    db = SessionLocal()
    try:
        file = db.get(File, file_id)
        if file is None:
            return
        file.state = "reading"
        db.commit()
        try:
            for number, row in enumerate(rows_of(file), start=1):
                db.add(Record(file_id=file_id, row=number, data=json.dumps(row)))
                file.records = number
                if number % 500 == 0:
                    db.commit()
            file.state = "ready"
            db.commit()
        except Exception as e:
            print(f"could not read {file_id}: {e}")
            db.rollback()
            file.state = "failed"
            file.error = str(e)
            db.commit()
        print(f"{file.name}: {file.state}, {file.records} records")
        if WEBHOOK_URL:
            try:
                response = requests.post(WEBHOOK_URL, json=notice(file))
                logger.info(f"webhook {WEBHOOK_URL} answered {response.status_code}")
            except Exception as e:
                logger.error(f"webhook failed: {e}")
    finally:
        db.close()
