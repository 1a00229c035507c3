"""Exports as files in a store: whole or not there, given out whole or in parts, and taken up where they were cut."""

import asyncio
import base64
import contextlib
import csv
import errno
import hashlib
import io
import json
import os
import subprocess

import httpx2
import pytest
from calling import scope_of
from exporting import asked
from exporting_shop import begun
from running import serving

from holdfast import exports, uploads
from holdfast.decide.names import name_in
from holdfast.errors import BadRequest, InsufficientStorage, NotFound, RangeNotSatisfiable
from holdfast.exports import ExportSettings

pytestmark = pytest.mark.anyio
FORMS = ["csv", "ndjson", "json", "xlsx", "parquet"]


@pytest.fixture(params=["disk", "memory"])
async def blobs(request, tmp_path):
    place = str(tmp_path / "files") if request.param == "disk" else "memory:"
    async with uploads.blobs_at(place) as found:
        yield found


def rows(count: int, error: BaseException | None = None):
    def made():
        for number in range(count):
            yield (number, f"tea {number}")
        if error is not None:
            raise error

    return made


async def saved(blobs, count: int = 5000, form: str = "csv", **how) -> exports.Kept:
    return await exports.save(rows(count), into=blobs, form=form, columns={"id": int, "name": str}, **how)


def files_under(folder) -> list:
    return [path for path in folder.rglob("*") if path.is_file()]


async def body_of(kept, blobs, **headers) -> tuple[int, dict[str, str], bytes]:
    named = [(name.replace("_", "-"), value) for name, value in headers.items() if name != "method"]
    answer = await asked(exports.download(kept, blobs), scope_of(headers=named, method=headers.get("method", "GET")))
    assert answer.ended
    return answer.status, {key.decode(): value.decode() for key, value in answer.headers}, answer.body


@pytest.mark.parametrize("form", FORMS)
async def test_what_is_saved_is_what_would_have_been_streamed(blobs, form):
    kept = await saved(blobs, form=form, name="teas")
    status, headers, body = await body_of(kept, blobs)
    assert status == 200
    assert (kept.name, kept.rows, kept.size) == (f"teas.{form}", 5000, len(body))
    assert kept.sha256 == hashlib.sha256(body).hexdigest()
    if form != "xlsx":  # which has the time in it
        streamed = exports.stream(rows(5000), columns={"id": int, "name": str}, form=form, name="teas")
        assert body == (await asked(streamed)).body
    assert headers["content-type"] == kept.media_type
    assert headers["etag"] == f'"{kept.sha256}"'
    assert headers["repr-digest"] == f"sha-256=:{base64.b64encode(bytes.fromhex(kept.sha256)).decode()}:"
    assert int(headers["content-length"]) == len(body)
    assert headers["accept-ranges"] == "bytes"
    assert headers["x-content-type-options"] == "nosniff"
    assert name_in(headers["content-disposition"]) == f"teas.{form}"


async def test_a_saved_export_may_be_marked_and_verifies(blobs):
    kept = await saved(blobs, form="ndjson", marked=True)
    _, _, body = await body_of(kept, blobs)
    assert exports.verify([body]).rows == kept.rows == 5000


async def test_an_export_without_rows_is_a_file_too(blobs):
    kept = await saved(blobs, 0, form="ndjson")
    assert (kept.size, kept.rows) == (0, 0)
    assert await body_of(kept, blobs) == (200, (await body_of(kept, blobs))[1], b"")
    kept = await saved(blobs, 0)
    assert (await body_of(kept, blobs))[2] == b'"id","name"\n'


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("count", [0, 1, 20_000])
async def test_an_error_at_any_place_leaves_nothing_in_the_store(tmp_path, form, count):
    async with uploads.blobs_at(tmp_path / "files") as blobs:
        before = files_under(tmp_path)
        with pytest.raises(ValueError, match="broken"):
            await exports.save(rows(count, ValueError("broken")), into=blobs, form=form, columns=["id", "name"])
        assert files_under(tmp_path) == before


async def test_a_save_that_is_cancelled_leaves_nothing_in_the_store(tmp_path):
    async with uploads.blobs_at(tmp_path / "files") as blobs:
        before = files_under(tmp_path)
        for wait in (*(0.0002 * turn for turn in range(40)), 0.05, 0.2):
            saving = asyncio.create_task(exports.save(rows(10**9), into=blobs, form="csv", columns=["id", "name"]))
            await asyncio.sleep(wait)
            saving.cancel()
            with pytest.raises(asyncio.CancelledError):
                await saving
            assert files_under(tmp_path) == before


async def test_a_save_that_is_cancelled_about_its_end_is_whole_or_not_there(tmp_path):
    async with uploads.blobs_at(tmp_path / "files") as blobs:
        for turn in range(80):
            before = set(files_under(tmp_path))
            saving = asyncio.create_task(saved(blobs, 5))
            await asyncio.sleep(0.0003 * turn)
            saving.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                kept = await saving
                assert (await body_of(kept, blobs))[2].count(b"\n") == 6
                continue
            assert set(files_under(tmp_path)) == before


async def test_a_store_that_is_full_says_so_and_keeps_nothing(tmp_path, monkeypatch):
    async with uploads.blobs_at(tmp_path / "files") as blobs:
        before = files_under(tmp_path)

        def full(*arguments):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        for name in ("write", "pwrite", "writev", "pwritev"):
            monkeypatch.setattr(os, name, full)
        settings = ExportSettings(spool_bytes=0)
        with pytest.raises(InsufficientStorage):
            await exports.save(rows(50_000), into=blobs, form="csv", columns=["id", "name"], settings=settings)
        monkeypatch.undo()
        assert files_under(tmp_path) == before


# -- given out --


@pytest.mark.parametrize(
    ("asks", "part"),
    [
        ("bytes=0-0", slice(0, 1)),
        ("bytes=10-19", slice(10, 20)),
        ("bytes=100-", slice(100, None)),
        ("bytes=-7", slice(-7, None)),
        ("bytes=0-999999999", slice(0, None)),
        ("bytes=-999999999", slice(0, None)),
    ],
)
async def test_a_part_that_is_asked_for_is_given(blobs, asks, part):
    kept = await saved(blobs)
    _, _, whole = await body_of(kept, blobs)
    status, headers, body = await body_of(kept, blobs, range=asks)
    assert status == 206
    assert body == whole[part]
    start = whole.index(body) if len(body) > 100 else int(headers["content-range"].split()[1].split("-")[0])
    assert headers["content-range"] == f"bytes {start}-{start + len(body) - 1}/{kept.size}"
    assert int(headers["content-length"]) == len(body)


async def test_a_part_that_is_not_there_is_refused_with_the_size(blobs):
    kept = await saved(blobs)
    for asks in (f"bytes={kept.size}-", "bytes=-0"):
        with pytest.raises(RangeNotSatisfiable) as caught:
            await body_of(kept, blobs, range=asks)
        assert caught.value.headers == {"content-range": f"bytes */{kept.size}"}
    with pytest.raises(BadRequest):
        await body_of(kept, blobs, range="bytes=5-1")


async def test_a_part_is_given_only_of_the_file_that_the_client_has(blobs):
    kept = await saved(blobs)
    etag = f'"{kept.sha256}"'
    assert (await body_of(kept, blobs, range="bytes=5-", if_range=etag))[0] == 206
    for other in ('"other"', f"W/{etag}", "Sun, 29 Nov 2026 15:00:00 GMT"):
        status, _, body = await body_of(kept, blobs, range="bytes=5-", if_range=other)
        assert (status, len(body)) == (200, kept.size)


async def test_who_has_the_file_already_is_told_so(blobs):
    kept = await saved(blobs)
    etag = f'"{kept.sha256}"'
    for known in (etag, f'"x", {etag}', "*", f"W/{etag}"):
        status, headers, body = await body_of(kept, blobs, if_none_match=known)
        assert (status, body, headers["etag"]) == (304, b"", etag)
    assert (await body_of(kept, blobs, if_none_match='"other"'))[0] == 200


async def test_head_tells_everything_and_gives_nothing(blobs):
    kept = await saved(blobs)
    _, headers, _ = await body_of(kept, blobs)
    assert await body_of(kept, blobs, method="HEAD") == (200, headers, b"")


async def test_a_download_that_is_cut_over_and_over_goes_on_until_it_is_whole(blobs):
    kept = await saved(blobs, 20_000, form="json")
    got = b""
    cuts = 0
    while len(got) < kept.size:
        end = min(len(got) + 70_001, kept.size)
        status, _, piece = await body_of(kept, blobs, range=f"bytes={len(got)}-", if_range=f'"{kept.sha256}"')
        assert status == 206
        got += piece[: end - len(got)]
        cuts += 1
    assert cuts > 5
    assert hashlib.sha256(got).hexdigest() == kept.sha256
    assert len(json.loads(got)) == 20_000


async def test_a_file_that_was_removed_is_not_found_before_the_first_byte(blobs):
    kept = await saved(blobs)
    await blobs.remove(kept.id)
    with pytest.raises(NotFound):
        await body_of(kept, blobs)


async def test_a_name_from_any_script_is_the_files_name(blobs):
    kept = await saved(blobs, 1, name="Чай „1“/..\r\n=é🜚")
    _, headers, _ = await body_of(kept, blobs)
    assert "\n" not in headers["content-disposition"]
    assert name_in(headers["content-disposition"]) == "Чай „1“/..\ufffd\ufffd=é🜚.csv"


async def test_two_saves_at_once_are_two_files(blobs):
    first, second = await asyncio.gather(saved(blobs, 3), saved(blobs, 4))
    assert first.id != second.id
    for kept, count in ((first, 3), (second, 4)):
        _, _, body = await body_of(kept, blobs)
        assert len(list(csv.reader(io.StringIO(body.decode())))) == count + 1


# -- served --

SHOP = """
    from contextlib import asynccontextmanager

    from fastapi import FastAPI
    from holdfast import exports, uploads

    kept = {}


    @asynccontextmanager
    async def lifespan(app):
        async with uploads.blobs_at("files") as blobs:
            rows = ((number, "x" * 1000) for number in range(5000))
            kept["blobs"] = blobs
            kept["file"] = await exports.save(rows, into=blobs, form="ndjson", columns=["id", "note"], name="teas")
            yield


    app = FastAPI(lifespan=lifespan)


    @app.get("/file")
    async def file():
        return exports.download(kept["file"], kept["blobs"])
"""


def test_a_download_that_is_cut_is_taken_up_by_curl_where_it_was(tmp_path):
    with serving(tmp_path / "shop", SHOP) as shop:
        whole = httpx2.get(f"{shop.url}/file", headers={"accept-encoding": "identity"})
        file = tmp_path / "teas.ndjson"
        with begun(shop.port, "/file") as client:
            _, _, body = client.recv(1_000_000).partition(b"\r\n\r\n")
            while len(body) < 1_500_000:
                body += client.recv(65536)
        file.write_bytes(body)
        assert len(body) < len(whole.content)
        subprocess.run(["curl", "-sS", "-C", "-", "-o", file, f"{shop.url}/file"], check=True)
        assert file.read_bytes() == whole.content
        assert whole.headers["content-length"] == str(len(whole.content))
        known = httpx2.get(f"{shop.url}/file", headers={"if-none-match": whole.headers["etag"]})
        assert (known.status_code, known.content) == (304, b"")
