"""Readers of exports, as their users have them: does one take what has arrived for the whole?"""

import gzip
import io
import json
import zipfile
import zlib

import pyarrow as pa
import pyarrow.parquet as pq
from backports import zstd
from python_calamine import CalamineError, CalamineWorkbook

from holdfast import exports

CODINGS = (None, "gzip", "zstd")


def taken(form: str, body: bytes, coding: str | None = None, *, marked: bool = True) -> bool:
    """Whether the usual reader of a format takes `body` for a whole file. `marked` is about CSV and NDJSON."""
    unpacked = unpack(body, coding)
    if unpacked is None:
        return False
    if form in {"csv", "ndjson"} and not marked:
        return coding is not None
    return READERS[form](unpacked)


def unpack(body: bytes, coding: str | None) -> bytes | None:
    """Without the content coding; None where that refuses."""
    if coding is None:
        return body
    if not body:
        return None
    try:
        return gzip.decompress(body) if coding == "gzip" else zstd.decompress(body)
    except (EOFError, OSError, zlib.error, zstd.ZstdError):
        return None


def _verified(body: bytes) -> bool:
    try:
        exports.verify([body])
    except exports.Truncated:
        return False
    return True


def _json(body: bytes) -> bool:
    try:
        json.loads(body)
    except ValueError:
        return False
    return True


def _xlsx(body: bytes) -> bool:
    """By two readers of two makers: if one takes it, it is taken."""
    try:
        CalamineWorkbook.from_filelike(io.BytesIO(body)).get_sheet_by_index(0).to_python()
    except (CalamineError, zipfile.BadZipFile, OSError):
        return _zip(body)
    return True


def _zip(body: bytes) -> bool:
    try:
        return zipfile.ZipFile(io.BytesIO(body)).testzip() is None
    except (zipfile.BadZipFile, OSError, EOFError):
        return False


def _parquet(body: bytes) -> bool:
    try:
        pq.read_table(io.BytesIO(body))
    except (pa.ArrowException, OSError):
        return False
    return True


READERS = {"csv": _verified, "ndjson": _verified, "json": _json, "xlsx": _xlsx, "parquet": _parquet}
