"""`holdfast run` on applications that never heard of it, and on ones that cannot be served."""

import signal
import socket
import time

import httpx2
import pytest
from running import serving, wait_until

BARE = """
    async def app(scope, receive, send):
        assert scope["type"] == "http"
        if scope["path"] == "/nothing":
            return
        if scope["path"] == "/half":
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"10")]})
            await send({"type": "http.response.body", "body": b"half", "more_body": True})
            return
        if scope["path"] == "/breaks":
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"half", "more_body": True})
            raise RuntimeError("in the middle")
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        await send({"type": "http.response.start", "status": 200, "headers": [(b"x-request-id", b"the-apps-own")]})
        await send({"type": "http.response.body", "body": repr(scope["headers"]).encode() + body})
"""


@pytest.fixture(scope="module")
def bare(tmp_path_factory):
    with serving(tmp_path_factory.mktemp("bare"), BARE) as running:
        yield running


def test_a_bare_application_without_lifespan_is_served_and_gets_request_ids(bare):
    answer = httpx2.post(f"{bare.url}/echo", content=b"hello", headers={"x-request-id": "mine"})
    assert answer.content.endswith(b"hello")
    line = bare.request_line(answer.headers["x-request-id"])
    assert (line["client_request_id"], line["status"], line["outcome"]) == ("mine", 200, "ok")
    assert (line["method"], line["path"]) == ("POST", "/echo")


def test_an_answer_carries_one_request_id_and_it_is_ours(bare):
    answer = httpx2.get(f"{bare.url}/")
    assert len(answer.headers.get_list("x-request-id")) == 1
    assert answer.headers["x-request-id"] != "the-apps-own"


def test_an_application_that_answers_nothing_is_answered_for(bare):
    answer = httpx2.get(f"{bare.url}/nothing")
    assert (answer.status_code, answer.json()["type"]) == (500, "urn:holdfast:problem:unforeseen")
    assert bare.request_line(answer.headers["x-request-id"])["outcome"] == "failed"


@pytest.mark.parametrize("path", ["/half", "/breaks"])
def test_an_answer_that_stops_in_the_middle_is_cut_and_never_looks_whole(bare, path):
    with pytest.raises(httpx2.RemoteProtocolError), httpx2.stream("GET", f"{bare.url}{path}") as answer:
        request_id = answer.headers["x-request-id"]
        answer.read()
    assert bare.request_line(request_id)["outcome"] == "cut"


def test_a_trailer_never_becomes_a_header(bare):
    answer = bare.raw(
        b"POST /trailers HTTP/1.1\r\nhost: x\r\nconnection: close\r\ntransfer-encoding: chunked\r\n"
        b"trailer: authorization\r\n\r\n5\r\nhello\r\n0\r\nauthorization: Bearer stolen\r\n\r\n"
    )
    assert answer.startswith(b"HTTP/1.1 200")
    assert b"stolen" not in answer
    assert b"]hello" in answer


def test_headers_that_are_too_large_are_refused_with_431_and_an_id(bare):
    answer = bare.raw(b"GET / HTTP/1.1\r\nhost: x\r\n" + b"x-long: " + b"y" * 100_000 + b"\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 431")
    assert b"urn:holdfast:problem:headers-too-large" in answer
    request_id = answer.partition(b"x-request-id: ")[2][:36].decode()
    line = bare.request_line(request_id)
    assert (line["status"], line["outcome"], line["problem"]) == (431, "refused", "headers-too-large")


def test_headers_that_never_end_are_refused_before_they_fill_the_memory(bare):
    with socket.create_connection(("127.0.0.1", bare.port), timeout=10) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nhost: x\r\nx-long: ")
        with pytest.raises(OSError):  # noqa: PT011 - reset or broken pipe, whichever the kernel is quicker with
            for _ in range(2000):
                connection.sendall(b"y" * 65536)
            connection.recv(1)
            raise AssertionError("131 MB of one header were taken")


def test_headers_below_the_limit_are_served_also_when_they_come_in_pieces(bare):
    head = b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n" + b"".join(
        b"x-%d: %s\r\n" % (n, b"y" * 990) for n in range(60)
    )
    with socket.create_connection(("127.0.0.1", bare.port), timeout=10) as connection:
        for start in range(0, len(head), 7000):
            connection.sendall(head[start : start + 7000])
            time.sleep(0.005)  # so that the pieces arrive apart; the outcome does not depend on it
        connection.sendall(b"\r\n")
        assert connection.recv(4096).startswith(b"HTTP/1.1 200")


def test_an_address_that_is_too_long_is_refused_with_414(bare):
    answer = bare.raw(b"GET /" + b"a" * 80_000 + b" HTTP/1.1\r\nhost: x\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 414")


@pytest.mark.parametrize(
    "nonsense",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost: x\r\nbad header\r\n\r\n",
        b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: many\r\n\r\n",
        b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    ],
)
def test_what_is_no_http_is_answered_with_a_400_problem_and_an_id(bare, nonsense):
    answer = bare.raw(nonsense)
    assert answer.startswith(b"HTTP/1.1 400")
    assert b"urn:holdfast:problem:bad-request" in answer
    assert bare.request_line(answer.partition(b"x-request-id: ")[2][:36].decode())["outcome"] == "refused"


def test_a_body_that_turns_into_nonsense_is_refused_under_the_id_of_its_request(bare):
    answer = bare.raw(b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\nnonsense\r\n")
    assert answer.startswith(b"HTTP/1.1 400")
    request_id = answer.partition(b"x-request-id: ")[2][:36].decode()
    assert bare.request_line(request_id)["status"] == 400


def test_pipelined_requests_are_answered_in_their_order_before_nonsense_closes(bare):
    good = b"POST /%d HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\n\r\n%d"
    answer = bare.raw(good % (1, 1) + good % (2, 2) + b"nonsense\r\n\r\n")
    assert answer.count(b"HTTP/1.1 200") >= 1
    assert answer.index(b"]1") < (answer.index(b"]2") if b"]2" in answer else len(answer))


def test_a_client_that_leaves_is_told_of_in_its_line(tmp_path):
    app = """
        import asyncio
        async def app(scope, receive, send):
            if scope["type"] != "http": raise RuntimeError
            if scope["path"] == "/slow":
                await receive()
                await receive()
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"ok"})
    """
    with serving(tmp_path, app) as running:
        with socket.create_connection(("127.0.0.1", running.port)) as connection:
            connection.sendall(b"GET /slow HTTP/1.1\r\nhost: x\r\n\r\n")
            wait_until(lambda: httpx2.get(f"{running.url}/").status_code == 200, "the server is awake")
        wait_until(lambda: [e for e in running.events("request") if e["path"] == "/slow"], "a line for /slow")
        assert [e["outcome"] for e in running.events("request") if e["path"] == "/slow"] == ["client_left"]


def test_with_observe_what_would_be_refused_is_served_and_reported(tmp_path):
    with serving(tmp_path, BARE, "--observe") as running:
        answer = httpx2.get(f"{running.url}/", headers={"x-long": "y" * 100_000})
        assert answer.status_code == 200
        wait_until(lambda: running.events("observed: would refuse"), "the report")
        assert running.events("observed: would refuse")[0]["problem"] == "headers-too-large"


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("from fastapi import FastAPI\nserver = FastAPI()", "Perhaps server is meant"),
        ("import nowhere_to_be_found", "No module named 'nowhere_to_be_found'"),
        ("app = 3", "which cannot be called"),
        ("def app(environ, start_response): return [b'']", "WSGI"),
        (
            "from fastapi import FastAPI\nfrom contextlib import asynccontextmanager\n@asynccontextmanager\n"
            "async def life(app):\n    raise RuntimeError('no database')\n    yield\napp = FastAPI(lifespan=life)",
            "no database",
        ),
    ],
)
def test_what_cannot_be_served_is_explained_and_ends_with_3(tmp_path, source, said):
    with serving(tmp_path, source, ready=False) as running:
        assert running.ended() == 3
        assert any(said in str(line) for line in running.lines), running.output


def test_a_start_that_hangs_can_be_stopped(tmp_path):
    hangs = """
        import asyncio
        async def app(scope, receive, send):
            print("starting", flush=True)
            await asyncio.Event().wait()
    """
    with serving(tmp_path, hangs, ready=False) as running:
        wait_until(lambda: "starting\n" in running.output, "the start")
        running.signal(signal.SIGTERM)
        assert running.ended() == 0


def test_a_hangup_of_the_terminal_leaves_a_single_process_serving(bare):
    bare.signal(signal.SIGHUP)
    wait_until(lambda: any("SIGHUP is ignored" in line["event"] for line in bare.lines), "the reason")
    assert httpx2.get(bare.url).status_code == 200


def test_wrong_settings_stop_the_start_and_all_are_named_at_once(tmp_path):
    with serving(
        tmp_path, BARE, ready=False, HOLDFAST_DRAIN_GRACE_S="soon", HOLDFAST_WORKERS="0", HOLDFAST_LOG_LEVEL="loud"
    ) as running:
        assert running.ended() == 2
        said = "".join(running.errors)
        for variable in ("HOLDFAST_DRAIN_GRACE_S", "HOLDFAST_WORKERS", "HOLDFAST_LOG_LEVEL"):
            assert variable in said


def test_a_port_that_is_taken_is_named(tmp_path, bare):
    with serving(tmp_path, BARE, "--port", str(bare.port), ready=False) as running:
        assert running.ended() == 2
        assert f"127.0.0.1:{bare.port} cannot be listened on" in "".join(running.errors)


def test_an_application_that_is_a_holdfast_already_is_not_wrapped_twice(tmp_path):
    app = """
        from fastapi import FastAPI
        from holdfast import Holdfast
        app = Holdfast(FastAPI())
    """
    with serving(tmp_path, app) as running:
        answer = httpx2.get(f"{running.url}/nowhere")
        assert answer.json()["type"] == "urn:holdfast:problem:not-found"
        assert len(answer.headers.get_list("x-request-id")) == 1
        running.signal(signal.SIGTERM)
        assert running.ended() == 0
        found = [e for e in running.events("request") if e["request_id"] == answer.headers["x-request-id"]]
        assert len(found) == 1


def test_structlog_and_loguru_lines_carry_the_request_id_and_are_redacted(tmp_path):
    app = """
        import structlog
        from loguru import logger
        from fastapi import FastAPI
        app = FastAPI()

        @app.get("/")
        async def home():
            structlog.get_logger().info("from structlog", file_id=3, password="hunter2")
            logger.bind(file_id=4, password="hunter2").info("from loguru")
            try:
                1 / 0
            except ZeroDivisionError:
                logger.exception("loguru failed")
                structlog.get_logger().exception("structlog failed")
            return {}
    """
    with serving(tmp_path, app) as running:
        request_id = httpx2.get(running.url).headers["x-request-id"]
        running.request_line(request_id)
        lines = {line["event"]: line for line in running.lines if line.get("request_id") == request_id}
        assert (lines["from structlog"]["file_id"], lines["from loguru"]["file_id"]) == (3, 4)
        assert "ZeroDivisionError" in lines["loguru failed"]["exception"]["type"]
        assert "ZeroDivisionError" in lines["structlog failed"]["exception"]["type"]
        assert "hunter2" not in "".join(running.output + running.errors)


def test_a_reader_that_does_not_read_never_stops_the_server(tmp_path):
    import os
    import subprocess
    import sys
    import textwrap

    from running import free_port

    (tmp_path / "shop.py").write_text(
        textwrap.dedent(
            """
            import logging
            async def app(scope, receive, send):
                if scope["type"] != "http": raise RuntimeError
                for _ in range(200):
                    logging.getLogger("shop").info("x" * 1000)
                await send({"type": "http.response.start", "status": 200, "headers": []})
                await send({"type": "http.response.body", "body": b"ok"})
            """
        )
    )
    port = free_port()
    read, write = os.pipe()
    process = subprocess.Popen(
        [sys.executable, "-m", "holdfast", "run", "shop:app", "--port", str(port)], cwd=tmp_path, stdout=write
    )
    os.close(write)
    url = f"http://127.0.0.1:{port}"

    def up() -> bool:
        try:
            return httpx2.get(f"{url}/-/ready").status_code == 200
        except httpx2.HTTPError:
            return False

    try:
        wait_until(up, "ready")
        assert {httpx2.get(url, timeout=10).status_code for _ in range(80)} == {
            200
        }  # 16 MB of lines, a pipe holds 64 KB
        seen = b""
        with os.fdopen(read, "rb") as pipe:
            while b"log lines dropped" not in seen:
                seen = seen[-200:] + pipe.read(65536)
                if len(seen) > 400:
                    httpx2.get(url, timeout=10)
    finally:
        process.kill()
        process.wait()
    assert b'"lines":' in seen
