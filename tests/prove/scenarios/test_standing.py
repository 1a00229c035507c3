"""What makes a backend stand still."""

import asyncio
import shutil

import pytest
from proving import proving, verdict

from holdfast.decide.verdicts import Verdict
from holdfast.prove.acts.slow_handler.slow_disk import SlowDisk
from holdfast.prove.acts.slow_handler.standing import Standing, Tried
from holdfast.prove.scenarios.slow_handler import SCENARIO, SlowHandler, judge


def facts(held_ms: tuple[float, ...], quiet_ms: tuple[float, ...]) -> SlowHandler:
    standing = Standing("while it was asked for POST /login", held_ms, quiet_ms, "GET /health and GET /nowhere")
    return SlowHandler(well="yes", fault="yes", tried=Tried(kinds=5, standing=(standing,)))


@pytest.mark.parametrize(
    ("held_ms", "quiet_ms"),
    [
        pytest.param((310.0, 300.0, 305.0, 320.0), (4.0, 3.0, 60.0, 5.0), id="each time"),
        pytest.param((590.0, 580.0), (4.0, 5.0), id="twice for long"),
        pytest.param((4000.0,), (0.0,), id="for ever"),
    ],
)
def test_what_stands_still_each_time_and_never_in_between_is_broken(held_ms, quiet_ms):
    found = judge(facts(held_ms, quiet_ms))
    assert found.verdict is Verdict.BROKEN
    assert "while it was asked for POST /login; neither GET /health nor GET /nowhere." in found.why
    assert judge(facts(held_ms, quiet_ms), patience=8.0).verdict is Verdict.BROKEN


@pytest.mark.parametrize(
    ("held_ms", "quiet_ms"),
    [
        pytest.param((310.0, 3.0, 305.0, 320.0), (4.0, 3.0, 5.0, 5.0), id="not each time"),
        pytest.param((310.0, 300.0, 305.0, 320.0), (4.0, 3.0, 140.0, 5.0), id="in between, too"),
        pytest.param((310.0, 300.0), (4.0, 3.0), id="not seen often enough"),
        pytest.param((90.0, 90.0, 90.0, 90.0), (4.0, 3.0, 5.0, 5.0), id="hardly"),
        pytest.param((), (), id="never"),
    ],
)
def test_what_chance_may_have_done_is_not(held_ms, quiet_ms):
    assert judge(facts(held_ms, quiet_ms)).verdict is not Verdict.BROKEN


def test_only_what_an_event_loop_stores_itself_counts(tmp_path):
    seen, folder = tmp_path / "disk.txt", tmp_path.__class__("/data")
    others = [
        '7 openat(AT_FDCWD</app>, "/proc/self/stat", O_RDONLY) = 9 (DELAYED)',
        '7 pwrite64(9</data/files/b>, "something else", 14, 0) = 14',
        '7 sendto(9<TCP:[1]>, "marked", 6, 0, NULL, 0) = 6',
        '7 write(9</elsewhere/b>, "marked", 6) = 6',
        '8 pwrite64(9</data/files/b>, "marked", 6, 0) = 6',
    ]
    waits = "7 epoll_wait(3</anon_inode>, [], 1, 5) = 0\n" * 5
    seen.write_text(waits + "\n".join(others))
    assert not SlowDisk(seen).stored_by_loop(folder, "marked")
    seen.write_text(waits + '7 pwrite64(9</data/files/b>, "marked", 6, 0 <unfinished ...>')
    assert SlowDisk(seen).stored_by_loop(folder, "marked") == "pwrite64 of files/b"


SHOP = """
    import asyncio, hashlib, os, re, sqlite3, time, uuid
    from pathlib import Path

    DATA, BAD = Path(os.environ["SHOP_DATA"]), os.environ["SHOP_BAD"]
    with sqlite3.connect(DATA / "shop.sqlite") as once:
        once.execute("CREATE TABLE IF NOT EXISTS items (id INTEGER)")
    NAME = re.compile(r'filename="((?:[^"]|\\\\.)*)"' if BAD == "names" else r'filename="((?:[^"\\\\]|\\\\.)*)"')
    FORM = b'<form action="/login" method="post"><input name="user"><input type="password" name="password"></form>'

    async def called(bad, function, *args):
        return function(*args) if bad == BAD else await asyncio.to_thread(function, *args)

    def items():
        connection = sqlite3.connect(DATA / "shop.sqlite", timeout=20)
        try:
            return connection.execute("SELECT * FROM items").fetchall()
        finally:
            connection.close()

    def store(content):
        with (DATA / uuid.uuid4().hex).open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())

    async def app(scope, receive, send):
        if scope["type"] != "http":
            return
        status, body, headers = 200, b"{}", dict(scope["headers"])
        match scope["method"], scope["path"]:
            case "GET", "/items":
                if b"authorization" in headers:
                    await called("sessions", hashlib.pbkdf2_hmac, "sha256", b"secret", b"salt", 450_000)
                await called("database", items)
            case "GET", "/login": body = FORM
            case "POST", "/login":
                await called("passwords", hashlib.pbkdf2_hmac, "sha256", b"secret", b"salt", 900_000)
                status = 403
            case "POST", "/files":
                NAME.search(headers.get(b"content-disposition", b"").decode())
                await called("disk", store, (await receive()).get("body", b""))
            case "GET", "/": pass
            case _: status = 404
        length = (b"content-length", b"%d" % len(body))
        await send({"type": "http.response.start", "status": status, "headers": [length]})
        await send({"type": "http.response.body", "body": body})
"""


def real(tmp_path, bad: str) -> SlowHandler:
    async def main() -> SlowHandler:
        said = {"environment": {"SHOP_BAD": bad}, "upload": {"request": "POST /files", "body": "csv"}}
        async with proving(tmp_path, SHOP, read="GET /items", **said) as stage:
            return await SCENARIO.gather(stage)

    return asyncio.run(main())


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        ("passwords", "while it was asked for POST /login from the form on the page /login"),
        ("database", "while another process had the database shop.sqlite for itself"),
        ("sessions", "GET /items with a wrong bearer token"),
        ("names", "with a Content-Disposition that does not end"),
        pytest.param(
            "disk", "of the event loop's thread, which stores that itself (write of ",
            marks=pytest.mark.skipif(shutil.which("strace") is None, reason="there is no strace"),
        ),
    ],
)  # fmt: skip
def test_what_holds_everything_up_is_named(tmp_path, bad, said):
    found = verdict(SCENARIO, real(tmp_path, bad))
    assert found.verdict is Verdict.BROKEN, found.why
    assert said in found.why


def test_a_backend_that_does_all_of_it_elsewhere_stands_still_for_nothing(tmp_path):
    seen = real(tmp_path, "nothing")
    found = verdict(SCENARIO, seen)
    assert found.verdict is Verdict.KEPT or "machine" in found.why, found.why
    assert seen.tried.kinds > 10
    assert seen.tried.databases
    assert seen.tried.disk or shutil.which("strace") is None
