"""Deadlines of real processes: what is too late is ended, also across two services, and streams are left alone."""

import http.client
import json
import socket
import time

import pytest
from running import Running, serving, wait_until
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

APP = """
    import asyncio, time
    import httpx2
    from fastapi import FastAPI, Request, WebSocket
    from fastapi.responses import StreamingResponse
    from holdfast import deadlines
    from holdfast.contrib.httpx2 import Deadlined

    app = FastAPI()
    ended = []

    @app.get("/ended")
    async def tell():
        return ended

    @app.api_route("/wait", methods=["GET", "POST"])
    async def wait(request: Request, name: str = ""):
        ended.append(f"began {name}")
        try:
            await asyncio.sleep(3600)
        finally:
            ended.append(f"ended {name}")

    @app.get("/busy")
    async def busy():
        await asyncio.sleep(0)
        time.sleep(0.3)
        await asyncio.sleep(0)
        ended.append("went on")

    @app.post("/short")
    async def short(name: str):
        ended.append(f"began {name}")
        await asyncio.sleep(0.5)
        ended.append(f"finished {name}")
        return "done"

    @app.get("/stream")
    async def stream():
        async def lines():
            for _ in range(15):
                yield "line\\n"
                await asyncio.sleep(0.1)
        return StreamingResponse(lines())

    @app.get("/stuck")
    async def stuck():
        async def lines():
            yield "line\\n"
            await asyncio.sleep(3600)
        return StreamingResponse(lines())

    @app.post("/take")
    async def take(request: Request):
        return len(await request.body())

    @app.get("/left")
    async def left(request: Request):
        return {"left": deadlines.remaining(), "header": request.headers.get("holdfast-timeout-ms")}

    @app.get("/ask")
    async def ask(url: str):
        async with httpx2.AsyncClient(transport=Deadlined(httpx2.AsyncHTTPTransport()), timeout=60) as client:
            return (await client.get(url)).json()

    @app.websocket("/talk")
    async def talk(websocket: WebSocket):
        await websocket.accept()
        while True:
            await websocket.send_text(await websocket.receive_text())

    @app.websocket("/never")
    async def never(websocket: WebSocket):
        await asyncio.sleep(3600)
"""


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    settings = {
        "HOLDFAST_TIMEOUT_S": "1",
        "HOLDFAST_TIMEOUT_IDLE_S": "2.5",
        "HOLDFAST_TIMEOUT_ROUTES": "/ask=30, GET /ended=30",
    }
    with serving(tmp_path_factory.mktemp("deadlines"), APP, **settings) as running:
        yield running


@pytest.fixture(scope="module")
def patient(tmp_path_factory):
    """The same application with the default of thirty seconds."""
    with serving(tmp_path_factory.mktemp("patient"), APP) as running:
        yield running


def ask(running: Running, path: str, method: str = "GET", **headers: str) -> tuple[int, dict[str, str], object]:
    connection = http.client.HTTPConnection("127.0.0.1", running.port, timeout=20)
    try:
        connection.request(method, path, headers={name.replace("_", "-"): value for name, value in headers.items()})
        answer = connection.getresponse()
        body = answer.read()
        return answer.status, {k.lower(): v for k, v in answer.getheaders()}, json.loads(body) if body else None
    finally:
        connection.close()


def ended(running: Running) -> list[str]:
    found = ask(running, "/ended")[2]
    assert isinstance(found, list)
    return found


def test_a_request_that_takes_too_long_is_ended_and_answered_504_and_its_line_says_why(running):
    status, headers, problem = ask(running, "/wait?name=slow")
    assert (status, problem["type"]) == (504, "urn:holdfast:problem:deadline-passed")
    line = running.request_line(headers["x-request-id"])
    assert (line["outcome"], line["problem"], line["status"]) == ("cancelled", "deadline-passed", 504)
    assert line["level"] == "info"
    assert {"began slow", "ended slow"} <= set(ended(running))


@pytest.mark.parametrize("name", ["holdfast_timeout_ms", "x_envoy_expected_rq_timeout_ms", "x_yataxi_client_timeoutms"])
def test_a_client_that_says_how_long_it_waits_is_answered_by_then(patient, name):
    began = time.monotonic()
    status, _, _ = ask(patient, "/wait", **{name: "100"})
    assert status == 504
    assert time.monotonic() - began < 15  # and not after thirty


def test_a_client_cannot_have_more_than_it_is_given(running):
    assert ask(running, "/wait", holdfast_timeout_ms="3600000")[0] == 504


def test_a_handler_that_blocks_beyond_its_deadline_does_no_more_once_it_waits(patient):
    assert ask(patient, "/busy", grpc_timeout="100m")[0] == 504
    assert "went on" not in ended(patient)


def test_a_stream_goes_on_beyond_the_deadline(running):
    connection = http.client.HTTPConnection("127.0.0.1", running.port, timeout=20)
    connection.request("GET", "/stream")
    assert connection.getresponse().read() == b"line\n" * 15
    connection.close()


def test_a_stream_that_is_silent_is_cut_and_never_looks_whole(running):
    connection = http.client.HTTPConnection("127.0.0.1", running.port, timeout=20)
    connection.request("GET", "/stuck")
    answer = connection.getresponse()
    with pytest.raises(http.client.IncompleteRead):
        answer.read()
    connection.close()
    line = running.request_line(answer.getheader("x-request-id") or "")
    assert (line["outcome"], line["problem"]) == ("cancelled", "deadline-passed")


def test_a_body_may_take_longer_than_the_deadline_to_arrive(running):
    with socket.create_connection(("127.0.0.1", running.port), timeout=20) as connection:
        connection.sendall(b"POST /take HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 12\r\n\r\n")
        for _ in range(12):
            connection.sendall(b"x")
            time.sleep(0.2)  # twice the deadline in all
        answer = connection.makefile("rb").read()
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert answer.endswith(b"12")


def test_a_websocket_has_no_deadline_but_is_closed_when_it_is_silent(running):
    with connect(f"ws://127.0.0.1:{running.port}/talk") as websocket:
        request_id = websocket.response.headers["x-request-id"]
        for _ in range(8):
            time.sleep(0.2)
            websocket.send("still here")
            assert websocket.recv(timeout=10) == "still here"
        with pytest.raises(ConnectionClosed) as closed:
            websocket.recv(timeout=20)
    assert closed.value.rcvd is not None
    assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (1001, "silent for too long")
    assert running.request_line(request_id)["outcome"] == "cancelled"


def test_a_websocket_that_is_not_accepted_in_time_is_denied_with_504(running):
    with pytest.raises(InvalidStatus) as denied:
        connect(f"ws://127.0.0.1:{running.port}/never")
    assert denied.value.response.status_code == 504
    assert json.loads(denied.value.response.body)["type"] == "urn:holdfast:problem:deadline-passed"


def test_the_deadline_is_passed_on_to_the_next_service_with_less_time(running, patient):
    status, _, seen = ask(running, f"/ask?url={patient.url}/left", holdfast_timeout_ms="10000")
    assert status == 200
    assert 0 < int(seen["header"]) <= 9_800
    assert 0 < seen["left"] <= int(seen["header"]) / 1000


def test_the_next_service_ends_its_work_when_the_first_waits_no_more(running, patient):
    _, _, problem = ask(running, f"/ask?url={patient.url}/wait?name=chained", holdfast_timeout_ms="400")
    assert problem["type"] == "urn:holdfast:problem:deadline-passed"  # of the second, which has less time, or the first
    wait_until(lambda: "ended chained" in ended(patient), "the work of the second service has ended")


def leave(running: Running, head: str, began: str) -> None:
    """Ask, and leave once the work has begun."""
    with socket.create_connection(("127.0.0.1", running.port), timeout=20) as connection:
        connection.sendall(f"{head} HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n".encode())
        wait_until(lambda: began in ended(running), began)


def test_work_for_a_client_that_has_left_is_ended_where_nothing_is_half_done_by_that(patient):
    leave(patient, "GET /wait?name=gone", "began gone")
    wait_until(lambda: "ended gone" in ended(patient), "the work has ended")

    def outcomes() -> list[str]:
        return [line["outcome"] for line in patient.events("request") if line.get("query") == "name=gone"]

    wait_until(outcomes, "a line")
    assert outcomes() == ["client_left"]


def test_work_that_changes_something_is_finished_though_its_client_has_left(patient):
    leave(patient, "POST /short?name=order", "began order")
    wait_until(lambda: "finished order" in ended(patient), "the work has been finished")


def test_with_observe_nothing_is_ended_and_the_log_tells_what_would_be(tmp_path):
    with serving(tmp_path, APP, "--observe", HOLDFAST_TIMEOUT_S="0.1") as running:
        assert ask(running, "/short?name=a", "POST")[0] == 200
        told = running.events("observed: a request would be ended")
    assert [(line["path"], line["why"]) for line in told] == [("/short", "the deadline has passed")]


def test_settings_that_are_wrong_stop_the_start_and_are_named(tmp_path):
    with serving(tmp_path, APP, ready=False, HOLDFAST_TIMEOUT_ROUTES="/x", HOLDFAST_RATE="lots") as running:
        assert running.ended() != 0
        text = "".join(running.output + running.errors)
    assert "HOLDFAST_TIMEOUT_ROUTES" in text
    assert "HOLDFAST_RATE" in text
