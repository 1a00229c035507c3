"""A neighbour that is slow, gone or silent."""

import asyncio

import msgspec
import pytest
from proving import proving, verdict

from holdfast.decide.verdicts import Verdict
from holdfast.prove.acts.dependency.silence import Silence, silences
from holdfast.prove.props.meanwhile import Pace
from holdfast.prove.scenarios.dependency import SCENARIO, Dependency, Needing, OneNeighbour, Wrong, charts, judge

SHOP = """
    import asyncio, os, socket
    from urllib.parse import urlsplit

    WHERE = urlsplit(os.environ["RATES_URL"])
    ASKED = b"GET / HTTP/1.1\\r\\nHost: rates\\r\\nConnection: close\\r\\n\\r\\n"

    async def waiting():
        async with asyncio.timeout(2):
            reader, writer = await asyncio.open_connection(WHERE.hostname, WHERE.port)
            try:
                writer.write(ASKED)
                if not await reader.read():
                    raise ConnectionError
            finally:
                writer.close()

    async def blocking():
        with socket.create_connection((WHERE.hostname, WHERE.port), timeout=2) as made:
            made.sendall(ASKED)
            if not made.recv(1000):
                raise ConnectionError

    async def app(scope, receive, send):
        if scope["type"] != "http":
            return
        status = 200
        if scope["path"] == "/rates" or EVERY:
            try:
                await CALLED()
            except OSError:
                status = 503
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": b"{}"})
"""


NOTICES = """
    import asyncio, itertools, json, os
    from urllib.parse import urlsplit

    WHERE = urlsplit(os.environ["HOOK_URL"])
    ITEMS, WORK, NOTICES, TASKS = {}, asyncio.Queue(), asyncio.Queue(), []
    NUMBERS = itertools.count(10_001)

    async def call():
        reader, writer = await asyncio.open_connection(WHERE.hostname, WHERE.port)
        try:
            writer.write(b"POST / HTTP/1.1\\r\\nHost: hook\\r\\nConnection: close\\r\\nContent-Length: 0\\r\\n\\r\\n")
            await reader.read()
        finally:
            writer.close()

    async def sender():
        while True:
            await NOTICES.get()
            try:
                async with asyncio.timeout(DEADLINE):
                    await call()
            except (OSError, TimeoutError):
                pass
            NOTICES.task_done()

    async def worker():
        while True:
            item = await WORK.get()
            await asyncio.sleep(0.01)
            item["state"] = "ready"
            NOTICES.put_nowait(item)
            if WAITS:
                await NOTICES.join()

    async def app(scope, receive, send):
        if scope["type"] != "http":
            return
        if not TASKS:
            TASKS.extend(asyncio.create_task(each()) for each in (sender, sender, sender, worker, worker, worker))
        said = ITEMS.get(scope["path"].rpartition("/")[2], {"items": len(ITEMS)})
        if scope["method"] == "POST":
            said = {"id": str(next(NUMBERS)), "state": "new"}
            ITEMS[said["id"]] = item = dict(said)
            WORK.put_nowait(item)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": json.dumps(said).encode()})
"""


def pace(p97: float = 10.0, asked: int = 40, good: int = -1, hung: int = 0) -> Pace:
    return Pace("GET /items", asked, asked if good < 0 else good, 0, hung, p97 / 2, p97, p97)


def wrong(reads: Pace = pace(), *needing: Needing, acted: bool = True) -> Wrong:
    return Wrong("took connections and said nothing", acted, reads, needing)


def neighbour(*seen: Wrong, **more: object) -> OneNeighbour:
    said = {"name": "RATES_URL", "needed": False, "used": True, "before": pace(), "back_s": 0.5, **more}
    return OneNeighbour(wrong=seen, **said)


def silence(**more: object) -> Silence:
    said = {"name": "HOOK_URL", "what": "POST /items", "acted": True, "ends": ('state: "ready"',), "well_s": 0.2}
    return Silence(**{**said, "made": 12, "prompt": 12, "bound_s": 3.0, "stuck": 12, "back_s": 4.0, **more})


def facts(*found: OneNeighbour, **more: object) -> Dependency:
    return Dependency(**{"well": "yes", "fault": "yes", "neighbours": found, **more})


def call(took_s: float = 2.0, status: int = 503, error: str = "") -> Needing:
    return Needing("POST /notify", status, took_s, error)


def test_a_neighbour_that_slows_nothing_else_is_kept():
    found = judge(facts(neighbour(wrong(pace(60.0), call()))))
    assert found.verdict is Verdict.KEPT
    assert "97 of 100 requests that do not need it were answered within 60 ms" in found.why


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (neighbour(wrong(pace(4000.0))), "GET /items took 4000 ms (97 of 100 within; 10 ms before)"),
        (neighbour(wrong(pace(good=20))), "20 of 40 requests for GET /items had no good answer"),
        (neighbour(wrong(pace(), call(10.0, 0, "no answer"))), "POST /notify had no answer within 8 s"),
        (neighbour(wrong(pace(), call(0.1, 0, "it ended"))), "POST /notify got no answer at all: it ended"),
        (neighbour(wrong(pace(good=0, hung=40)), needed=True), "40 of 40 requests for GET /items had no answer"),
        (neighbour(wrong(), back_s=None), "RATES_URL was well again, and within 8 s nothing used it"),
        (neighbour(wrong(), reads_back=False), "After RATES_URL was well again, GET /items was not answered well"),
        (neighbour(wrong(), left=45), "45 connections to RATES_URL more than before"),
    ],
)
def test_what_breaks_it_is_told_with_its_number(found, said):
    judgement = judge(facts(found))
    assert judgement.verdict is Verdict.BROKEN
    assert said in judgement.why
    assert judgement.mend


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (silence(prompt=4, late=8), '4 of 12 things that POST /items made came to state: "ready" as soon as before'),
        (silence(back_s=None, left=4), "within 12 s nothing used it, and 4 of 12 connections"),
        (silence(prompt=0, late=12), ""),  # they may need it
        (silence(prompt=11, late=1), ""),
        (silence(prompt=5, late=0), ""),
        (silence(acted=False, back_s=None), ""),
    ],
)
def test_what_a_silence_may_hold_up(found, said):
    judgement = judge(facts(neighbour(wrong()), silences=(found,)))
    assert judgement.verdict is (Verdict.BROKEN if said else Verdict.KEPT)
    assert said in judgement.why


def test_reads_that_need_it_may_fail_as_long_as_they_are_told():
    found = judge(facts(neighbour(wrong(pace(4000.0, good=0)), needed=True)))
    assert found.verdict is Verdict.KEPT
    assert "Every read needs RATES_URL" in found.why


def test_a_neighbour_that_nothing_calls_proves_nothing():
    found = judge(facts(neighbour(wrong(acted=False), used=False, back_s=None)))
    assert found.verdict is Verdict.NOT_PROVEN
    assert "Nothing that is known calls RATES_URL." in found.why


def test_a_backend_that_ends_is_broken():
    assert judge(facts(neighbour(wrong()), alive=False)).verdict is Verdict.BROKEN


def test_with_more_patience_only_what_no_busy_machine_explains_is_broken():
    assert judge(facts(neighbour(wrong(pace(1500.0)))), patience=8).verdict is Verdict.KEPT
    assert judge(facts(neighbour(wrong(pace(4000.0)))), patience=8).verdict is Verdict.BROKEN


def test_the_chart_begins_with_how_it_was_before():
    [chart] = charts(facts(neighbour(wrong(pace(60.0)))))
    assert chart.series[0].points == ((0.0, 10.0), (1.0, 60.0))


def test_facts_are_json():
    found = facts(neighbour(wrong(pace(), call())), silences=(silence(),))
    assert msgspec.json.decode(msgspec.json.encode(found), type=Dependency) == found


def real(tmp_path, called: str, *, every: bool = False) -> Dependency:
    async def main() -> Dependency:
        source = SHOP.replace("CALLED", called).replace("EVERY", str(every))
        said = {"calls_out": "POST /rates", "dependencies": {"RATES_URL": "stand-in"}}
        async with proving(tmp_path, source, read="GET /", **said) as stage:
            return await SCENARIO.gather(stage)

    return asyncio.run(main())


def test_a_call_that_is_waited_for_slows_nothing_else(tmp_path):
    found = verdict(SCENARIO, real(tmp_path, "waiting"))
    assert found.verdict is Verdict.KEPT or "machine" in found.why, found.why


def test_a_call_that_blocks_slows_everything(tmp_path):
    found = verdict(SCENARIO, real(tmp_path, "blocking"))
    assert found.verdict is Verdict.BROKEN or "machine" in found.why, found.why
    assert "it does not need it" in found.why or "they do not need it" in found.why


def test_reads_that_need_it_fail_and_are_well_again(tmp_path):
    facts = real(tmp_path, "waiting", every=True)
    assert facts.neighbours[0].needed
    assert facts.neighbours[0].reads_back
    assert verdict(SCENARIO, facts).verdict is Verdict.KEPT


def silent(tmp_path, deadline: str, *, waits: bool = False) -> Dependency:
    async def main() -> Dependency:
        write = {"request": "POST /items", "json": {"name": "{name}"}, "id": "id", "content": "/items/{id}"}
        source = NOTICES.replace("DEADLINE", deadline).replace("WAITS", str(waits))
        async with proving(tmp_path, source, read="GET /", write=write, dependencies={"HOOK_URL": "stand-in"}) as stage:
            return facts(neighbour(wrong()), silences=tuple(await silences(stage)))

    return asyncio.run(main())


def test_calls_with_a_deadline_hold_up_no_others(tmp_path):
    found = silent(tmp_path, "1")
    assert verdict(SCENARIO, found).verdict is Verdict.KEPT
    assert found.silences[0].acted
    assert found.silences[0].ends == ('state: "ready"',)
    assert found.silences[0].prompt == 12


def test_calls_without_one_do(tmp_path):
    found = verdict(SCENARIO, silent(tmp_path, "None"))
    assert found.verdict is Verdict.BROKEN
    assert "within 12 s nothing used it, and 3 of 3 connections" in found.why


def test_work_that_waits_for_who_is_to_be_told_is_late(tmp_path):
    found = verdict(SCENARIO, silent(tmp_path, "4", waits=True))
    assert found.verdict is Verdict.BROKEN
    assert 'came to state: "ready" as soon as before, so they do not need it' in found.why
