"""Reports: all records as CSV, and what is in them in short."""

import csv
import io
import json
import statistics
from collections import Counter, defaultdict
from typing import Any

from fastapi import APIRouter, Response
from pydantic import BaseModel
from sqlalchemy import select

from twin.auth import CurrentUser
from twin.database import Db, File, Record

router = APIRouter(prefix="/api/reports", tags=["reports"])


class Summary(BaseModel):
    """What is in the records of a user, column by column."""

    records: int
    columns: dict[str, dict[str, Any]]


@router.get(
    "/records.csv",
    response_class=Response,
    responses={200: {"content": {"text/csv": {"schema": {"type": "string"}}}}},
)
async def records_csv(user: CurrentUser, db: Db, file: str | None = None) -> Response:
    """All records of the user, or of one file."""
    query = select(Record.file_id, Record.row, Record.data).join(File).where(File.user_id == user.id)
    if file is not None:
        query = query.where(File.id == file)
    rows = db.execute(query.order_by(Record.id)).fetchall()
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    writer.writerow(["file_id", "row", "data"])
    writer.writerows(rows)
    headers = {"Content-Disposition": 'attachment; filename="records.csv"'}
    return Response(buffer.getvalue(), media_type="text/csv", headers=headers)


def describe(values: list[Any]) -> dict[str, Any]:
    """A column: of numbers their mean and so on, of anything else how many different ones and the most frequent."""
    try:
        numbers = [float(value) for value in values]
    except (TypeError, ValueError):
        counter = Counter(str(value) for value in values)
        return {"count": len(values), "unique": len(counter), "top": counter.most_common(3)}
    return {
        "count": len(numbers),
        "mean": statistics.mean(numbers),
        "median": statistics.median(numbers),
        "deviation": statistics.pstdev(numbers),
    }


@router.get("/summary")
async def summary(user: CurrentUser, db: Db) -> Summary:
    """What is in all records of the user."""
    rows = db.execute(select(Record.data).join(File).where(File.user_id == user.id)).fetchall()
    columns: dict[str, list[Any]] = defaultdict(list)
    for row in rows:
        for name, value in json.loads(row.data).items():
            columns[name].append(value)
    return Summary(records=len(rows), columns={name: describe(values) for name, values in columns.items()})
