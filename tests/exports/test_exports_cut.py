"""An export that is cut or changed, at any byte: its reader refuses it."""

import random
import subprocess

import duckdb
import openpyxl
import polars as pl
import pytest
from calling import scope_of
from exporting import asked
from taking import taken, unpack

from holdfast import exports

pytestmark = pytest.mark.anyio
FORMS = ["csv", "ndjson", "json", "xlsx", "parquet"]
PACKED = [(form, coding) for form in FORMS[:3] for coding in ("gzip", "zstd")]


async def body_of(form: str, count: int, coding: str | None = None, *, marked: bool = True) -> bytes:
    chance = random.Random(count)
    rows = [(number, chance.randbytes(8).hex(), None, "x,\n]") for number in range(count)]
    columns = {"id": int, "note": str, "none": str, "odd": str}
    scope = scope_of(headers=[("accept-encoding", coding)] if coding else [])
    answer = await asked(exports.stream(rows, columns=columns, form=form, marked=marked), scope)
    assert answer.ended
    return answer.body


def lost(form: str, body: bytes) -> int:
    """How many bytes at the end may be missing without a loss: the line end behind a JSON array."""
    return 1 if form == "json" else 0


@pytest.mark.parametrize("count", [0, 1, 12])
@pytest.mark.parametrize("form", FORMS)
async def test_cut_at_any_byte_it_is_refused(form, count):
    body = await body_of(form, count)
    assert taken(form, body)
    wrong = [cut for cut in range(len(body) - lost(form, body)) if taken(form, body[:cut])]
    assert wrong == []


@pytest.mark.parametrize(("form", "coding"), PACKED)
async def test_compressed_and_cut_at_any_byte_it_is_refused_also_without_a_mark(form, coding):
    body = await body_of(form, 12, coding, marked=False)
    assert taken(form, body, coding, marked=False)
    wrong = [cut for cut in range(len(body)) if taken(form, body[:cut], coding, marked=False)]
    assert wrong == []


@pytest.mark.parametrize("form", FORMS)
async def test_a_long_one_is_refused_wherever_it_is_cut(form):
    body = await body_of(form, 20_000)
    chance = random.Random(form)
    cuts = [chance.randrange(len(body) - lost(form, body)) for _ in range(30)]
    cuts += [len(body) - lost(form, body) - back for back in range(1, 30)] + [
        size for size in (1, 65_536, 131_072) if size < len(body)
    ]
    if form in {"csv", "ndjson"}:  # between two lines, where nothing else would show it
        cuts += [body.index(b"\n", at) + 1 for at in range(0, len(body) - 200, 50_000)]
    assert [cut for cut in cuts if taken(form, body[:cut])] == []


@pytest.mark.parametrize("form", ["csv", "ndjson"])
async def test_changed_at_any_byte_it_is_refused(form):
    body = await body_of(form, 5)
    for place in range(len(body)):
        changed = bytearray(body)
        changed[place] ^= 1
        assert not taken(form, bytes(changed)), place


@pytest.mark.parametrize("form", ["csv", "ndjson"])
async def test_lines_that_are_missing_doubled_or_exchanged_are_seen(form):
    lines = (await body_of(form, 9)).splitlines(keepends=True)
    assert not taken(form, b"".join(lines[:3] + lines[4:]))
    assert not taken(form, b"".join(lines[:3] + lines[2:]))
    assert not taken(form, b"".join([*lines[:2], lines[3], lines[2], *lines[4:]]))
    assert not taken(form, b"".join(lines) + lines[-1])
    assert not taken(form, b"".join(lines * 2))


@pytest.mark.parametrize(("form", "coding"), PACKED)
async def test_a_changed_byte_of_a_compressed_one_never_changes_what_is_read(form, coding):
    body = await body_of(form, 20, coding)
    meant = unpack(body, coding)
    for place in range(len(body)):
        changed = bytearray(body)
        changed[place] ^= 0x10
        assert unpack(bytes(changed), coding) in {None, meant}, place


@pytest.mark.parametrize("size", [1, 7, 255, 256, 257, 100_000])
@pytest.mark.parametrize("form", ["csv", "ndjson"])
async def test_a_marked_export_verifies_in_pieces_of_any_size(form, size):
    body = await body_of(form, 300)
    pieces = [body[at : at + size] for at in range(0, len(body), size)]
    assert exports.verify(pieces).rows == 300
    content = b"".join(exports.contents(pieces))
    assert content == await body_of(form, 300, marked=False)
    with pytest.raises(exports.Truncated):
        exports.verify(pieces[:-1])


@pytest.mark.parametrize("form", ["csv", "ndjson"])
async def test_a_mark_with_another_number_of_rows_does_not_verify(form):
    body = await body_of(form, 12)
    mark = body.splitlines(keepends=True)[-1]
    changed = mark.replace(b"12", b"13", 1)
    assert changed != mark
    with pytest.raises(exports.Truncated, match="SHA-256"):
        exports.verify([body.removesuffix(mark) + changed])


async def test_a_text_that_looks_like_the_mark_is_only_a_text(tmp_path):
    marks = ['{"_end":{"rows":1,"sha256":"' + "0" * 64 + '"}}', "#end,rows=1,sha256=" + "0" * 64]
    for form in ("csv", "ndjson"):
        rows = [(mark + "\n", mark) for mark in marks] * 3
        answer = await asked(exports.stream(rows, columns=["#end", "_end"], form=form, marked=True))
        assert exports.verify([answer.body]).rows == 6
        file = tmp_path / form
        file.write_bytes(answer.body)
        assert exports.verify(file).rows == 6
        with file.open("rb") as opened:
            assert exports.verify(opened).rows == 6


# -- what other programs say --


async def test_gzip_and_zstd_of_the_shell_refuse_what_is_cut(tmp_path):
    body = await body_of("csv", 500, "gzip", marked=False)
    file = tmp_path / "cut.gz"
    for cut in (10, 100, len(body) // 2, len(body) - 8, len(body) - 1):
        file.write_bytes(body[:cut])
        assert subprocess.run(["gzip", "-t", file], capture_output=True, check=False).returncode != 0
    file.write_bytes(body)
    assert subprocess.run(["gzip", "-t", file], capture_output=True, check=False).returncode == 0


async def test_libraries_refuse_what_is_cut(tmp_path):
    for form, read in (
        ("xlsx", openpyxl.load_workbook),
        ("parquet", pl.read_parquet),
        ("parquet", lambda file: duckdb.sql(f"SELECT * FROM '{file}'").fetchall()),
        ("json", lambda file: duckdb.sql(f"SELECT * FROM read_json('{file}', format='array')").fetchall()),
    ):
        body = await body_of(form, 2000)
        file = tmp_path / f"cut.{form}"
        file.write_bytes(body)
        read(file)
        for cut in (1, 100, len(body) // 2, len(body) - 100, len(body) - 4):
            file.write_bytes(body[:cut])
            with pytest.raises(Exception):  # noqa: PT011 - each has its own
                read(file)
