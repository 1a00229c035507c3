"""SIGTERM under load: what the scenario says of backends that end well, and of those that lose something."""

import msgspec
import pytest
from proving import HOLDFAST, UVICORN, proving, verdict

from holdfast.decide.verdicts import Verdict
from holdfast.prove.acts.drain.acknowledged import Acknowledged
from holdfast.prove.http import Answer
from holdfast.prove.props.steady import Fate, fate_of
from holdfast.prove.props.underway import opcodes, parsed
from holdfast.prove.scenarios.drain import SCENARIO, Drain, Moment, charts, gather, judge

pytestmark = pytest.mark.anyio

KEPT = Drain(
    well="40 of 40", fault="SIGTERM", moments=(Moment(-0.1, 4), Moment(0.0, 2, 2)), answered=9, refused=3,
    underway=("an upload",), ended_s=1.2, exit_code=0,
    kept_back=Acknowledged(marked=200, found=200), ready="/ready", unready_s=0.0, closed_s=1.0, far=10,
)  # fmt: skip

SOURCE = """
    import asyncio, os, signal, sqlite3
    from pathlib import Path
    from fastapi import BackgroundTasks, FastAPI, Request, Response, WebSocket
    from fastapi.responses import StreamingResponse

    app = FastAPI()
    FOLDER = Path(os.environ["SHOP_DATA"])


    @app.get("/")
    async def read():
        return {}


    @app.get("/slow")
    async def slow():
        await asyncio.sleep(1.0)
        return {}


    @app.post("/files")
    async def upload(request: Request, work: BackgroundTasks):
        body = await request.body()
        name = os.urandom(8).hex()
        (FOLDER / f"{name}.data").write_bytes(body)
        return {"id": name}


    @app.get("/files/{name}")
    async def content(name: str):
        return Response((FOLDER / f"{name}.data").read_bytes())


    @app.get("/export.csv")
    async def export():
        async def rows():
            for path in sorted(FOLDER.glob("*.data")):
                data = path.read_bytes()
                for at in range(0, len(data), 65536):
                    yield data[at:at + 65536]
                    await asyncio.sleep(0)
        return StreamingResponse(rows(), media_type="text/csv")


    @app.websocket("/live")
    async def live(socket: WebSocket):
        await socket.accept()
        await socket.receive()

"""
DRAINING = f"env HOLDFAST_DRAIN_DELAY_S=0.3 {HOLDFAST}"
KNOWN = {
    "read": "GET /",
    "slow": ["GET /slow"],
    "upload": {"request": "POST /files", "id": "id", "content": "/files/{id}"},
    "export": {"request": "GET /export.csv", "fill": {"request": "POST /files", "body": "csv"}},
    "socket": "GET /live",
}
LATER = """
    async def upload(request: Request, work: BackgroundTasks):
        body = await request.body()
        name = os.urandom(8).hex()
        async def store():
            await asyncio.sleep(2.0)
            (FOLDER / f"{name}.data").write_bytes(body)
        asyncio.get_running_loop().create_task(store())
        return {"id": name}
"""
DYING = """
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))


    @app.on_event("startup")
    async def dying():
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, os._exit, 0)
"""
STORING = SOURCE[SOURCE.index("    async def upload(") : SOURCE.index('    @app.get("/files/{name}")')]


@pytest.mark.parametrize(
    ("facts", "kind", "why"),
    [
        ({}, Verdict.KEPT, "9 requests were answered, 3 were refused and none was lost"),
        ({"lost": ("a request: reset",), "lost_number": 3}, Verdict.BROKEN, "Lost: a request: reset; so were 2 more"),
        ({"ended_s": -1.0, "exit_code": None}, Verdict.BROKEN, "still ran 30 s after"),
        ({"exit_code": 1}, Verdict.BROKEN, "exit code 1"),
        ({"exit_code": -15}, Verdict.KEPT, "exit code -15"),
        ({"left": 2}, Verdict.BROKEN, "2 of its processes"),
        ({"again": "in use", "kept_back": Acknowledged(marked=2)}, Verdict.BROKEN, "with the same data: in use"),
        ({"kept_back": Acknowledged(marked=200, found=150)}, Verdict.BROKEN, "Of 200 rows acknowledged just before"),
        ({"kept_back": Acknowledged(jobs=2, undone="POST /jobs is cut")}, Verdict.BROKEN, "POST /jobs is cut"),
        ({"kept_back": Acknowledged(hurried="GET /x looked whole")}, Verdict.BROKEN, "looked whole"),
        ({"far_cut": 1}, Verdict.KEPT, ""),
        ({"far_cut": 7}, Verdict.BROKEN, "7 requests of clients that are 0.15 s away got no answer"),
        ({"closed_s": 0.0, "unready_s": -1.0}, Verdict.BROKEN, "/ready, asked ten times a second, had not said so"),
        ({"closed_s": 0.0, "unready_s": -1.0, "ready": ""}, Verdict.KEPT, ""),
        ({"closed_s": 0.3, "unready_s": 0.1}, Verdict.BROKEN, "had said so 0.2 s before"),
        ({"closed_s": -1.0, "unready_s": -1.0}, Verdict.KEPT, ""),
        ({"changed": "the upload has 3 of 5 bytes"}, Verdict.BROKEN, "3 of 5 bytes"),
    ],
)
def test_what_is_judged(facts, kind, why):
    judgement = judge(msgspec.structs.replace(KEPT, **facts))
    assert judgement.verdict is kind
    assert why in judgement.why


def test_the_chart_has_the_moments():
    (chart,) = charts(KEPT)
    assert [each.name for each in chart.marks] == ["SIGTERM", "connections refused", "process ended"]
    assert chart.series[1].points == ((-0.1, 0), (0.0, 2))


@pytest.mark.parametrize(
    ("answer", "fate"),
    [
        (Answer(200, {}, b"", 0.0), Fate.ANSWERED),
        (Answer(404, {}, b"", 0.0), Fate.ANSWERED),
        (Answer(500, {}, b"", 0.0), Fate.FAILED),
        (Answer(503, {}, b"", 0.0), Fate.REFUSED),
        (Answer(0, {}, b"", 0.0, error="refused"), Fate.REFUSED),
        (Answer(200, {}, b"h", 0.0, error="the connection ended without a whole answer"), Fate.LOST),
        (Answer(0, {}, b"", 0.0, error="the connection ended"), Fate.LOST),
    ],
)
def test_what_became_of_a_request(answer, fate):
    assert fate_of(answer)[0] is fate


def test_an_answer_that_is_cut_is_no_whole_one():
    whole = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
    assert parsed(whole).body == b"abc"
    assert not parsed(whole).error
    assert parsed(whole[:-5]).error
    assert parsed(b"").error


def test_the_frames_of_a_websocket():
    assert opcodes(b"\x81\x02hi\x88\x02\x03\xf4") == [1, 8]
    assert opcodes(b"\x82\x7e\x00\x80" + bytes(128) + b"\x88\x00") == [2, 8]
    assert opcodes(b"\x81") == []


# uvicorn is not here: on a busy machine it resets connections that it has accepted and not yet read from.


async def test_a_server_that_finishes_what_it_began_keeps_the_promise(tmp_path):
    async with proving(tmp_path, SOURCE, serve=DRAINING, **KNOWN) as stage:
        facts = await gather(stage)
    assert verdict(SCENARIO, facts).verdict is Verdict.KEPT, judge(facts).why
    assert len(facts.underway) == 5
    assert facts.kept_back.marked == facts.kept_back.found == 2000


@pytest.mark.parametrize(
    ("source", "serve", "why"),
    [
        (SOURCE + DYING, UVICORN, "Lost: "),
        (SOURCE, f"{UVICORN} --timeout-graceful-shutdown 0", "Lost: "),
        (SOURCE.replace(STORING, LATER + "\n\n"), DRAINING, "after the restart"),
    ],
    ids=["it ends at once", "it gives nobody time", "it stores later"],
)
async def test_one_that_does_not_breaks_it(tmp_path, source, serve, why):
    async with proving(tmp_path, source, serve=serve, **KNOWN) as stage:
        facts = await gather(stage)
    judgement = verdict(SCENARIO, facts)
    assert judgement.verdict is Verdict.BROKEN
    assert why in judgement.why


async def test_one_that_never_says_that_it_leaves_breaks_it(tmp_path):
    async with proving(tmp_path, SOURCE, serve=DRAINING, ready="/", read="GET /") as stage:
        facts = await gather(stage)
    judgement = verdict(SCENARIO, facts)
    assert judgement.verdict is Verdict.BROKEN
    assert "/, asked ten times a second, had not said so" in judgement.why


async def test_one_that_closes_what_is_kept_without_a_word_breaks_it(tmp_path):
    async with proving(tmp_path, SOURCE, read="GET /") as stage:
        facts = await gather(stage)
    assert facts.far_cut > 1
    assert verdict(SCENARIO, facts).verdict is Verdict.BROKEN


JOBS = """
    import asyncio, os
    from pathlib import Path
    from fastapi import FastAPI

    FOLDER = Path(os.environ["SHOP_DATA"])
    RESUMES = os.environ["SHOP_RESUMES"] == "yes"
    app = FastAPI()
    tasks = set()


    def make(name):
        async def making():
            await asyncio.sleep(1.2)
            (FOLDER / name).write_text("done")
        task = asyncio.get_running_loop().create_task(making())
        tasks.add(task)
        task.add_done_callback(tasks.discard)


    @app.on_event("startup")
    async def resume():
        for path in FOLDER.glob("*.job"):
            if RESUMES and path.read_text() == "waiting":
                make(path.name)


    @app.get("/")
    async def read():
        return {}


    @app.post("/jobs", status_code=202)
    async def ask():
        name = os.urandom(8).hex() + ".job"
        (FOLDER / name).write_text("waiting")
        make(name)
        return {"id": name, "status": "waiting"}


    @app.get("/jobs/{name}")
    async def look(name: str):
        return {"id": name, "status": (FOLDER / name).read_text()}
"""


@pytest.mark.parametrize("resumes", ["yes", "no"])
async def test_work_that_was_accepted_is_done_after_the_restart(tmp_path, resumes):
    known = {"read": "GET /", "openapi": "/openapi.json", "environment": {"SHOP_RESUMES": resumes}}
    async with proving(tmp_path, JOBS, serve=DRAINING, **known) as stage:
        facts = await gather(stage)
    assert facts.kept_back.jobs
    judgement = verdict(SCENARIO, facts)
    assert judgement.verdict is (Verdict.KEPT if resumes == "yes" else Verdict.BROKEN), judgement.why
    assert resumes == "yes" or "'waiting' after the restart" in judgement.why
