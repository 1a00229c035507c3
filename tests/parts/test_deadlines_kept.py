"""What becomes of work whose time is over, looked at from inside one process."""

import asyncio
import gc
import json
import logging
import math
import time
import weakref

import pytest
from calling import answering, call, scope_of
from waiting import until

from holdfast import context, deadlines, logs, problems
from holdfast.asgi import ASGIApp
from holdfast.context import ContextSettings, Gone
from holdfast.errors import DeadlinePassed
from holdfast.parts.deadlines import DeadlineSettings, layer, timeouts_of

pytestmark = pytest.mark.anyio
LONG = 3600.0


@pytest.fixture
def anyio_backend():
    return "asyncio"


def kept(app: ASGIApp, told: list | None = None, trusted: tuple[str, ...] = (), **settings) -> ASGIApp:
    """An application whose deadlines are kept."""
    found = layer(app, timeouts_of(DeadlineSettings(**settings)))
    found = logs.layer(problems.layer(found), (told if told is not None else []).append)
    return context.layer(found, ContextSettings(trusted_proxies=trusted))


def asking(**more) -> dict:
    """A request whose sender gives it some milliseconds."""
    milliseconds = more.pop("milliseconds", 40)
    return scope_of(headers=[("holdfast-timeout-ms", str(milliseconds))], **more)


async def for_ever(scope, receive, send):
    await asyncio.Event().wait()


# -- the deadline --


@pytest.mark.parametrize("how", ["setting", "route", "header"])
async def test_what_is_not_done_in_time_is_ended_and_answered_504(how):
    settings = {"setting": {"timeout_s": 0.04}, "route": {"timeout_routes": ("GET /*=0.04",)}, "header": {}}[how]
    told: list = []
    answer = await call(kept(for_ever, told, **settings), asking() if how == "header" else scope_of())
    assert answer.status == 504
    assert json.loads(answer.body)["type"] == "urn:holdfast:problem:deadline-passed"
    assert [(fact.outcome, fact.problem, fact.status) for fact in told] == [("cancelled", "deadline-passed", 504)]


async def test_what_is_done_in_time_is_left_alone():
    assert (await call(kept(answering(), timeout_s=LONG))).body == b"ok"
    assert (await call(kept(answering(), timeout_s=0))).body == b"ok"


async def test_a_request_that_is_over_before_it_begins_is_refused_and_says_that_it_was_not_begun():
    told: list = []
    answer = await call(kept(answering(), told), asking(milliseconds=0))
    assert answer.status == 504
    assert answer.header("holdfast-not-executed") == "1"
    assert [fact.outcome for fact in told] == ["refused"]


async def test_a_handler_that_is_resumed_too_late_does_no_more_work():
    done: list[str] = []

    async def app(scope, receive, send):
        await asyncio.sleep(0)
        time.sleep(0.06)  # the loop is held up, and with it the timer
        done.append("before")
        await asyncio.sleep(0)
        done.append("after")

    assert (await call(kept(app), asking())).status == 504
    assert done == ["before"]


async def test_its_cleaning_up_is_waited_for():
    done: list[str] = []

    async def app(scope, receive, send):
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0.01)
            done.append("clean")

    assert (await call(kept(app), asking())).status == 504
    assert done == ["clean"]


async def test_an_exception_that_comes_of_the_end_is_not_taken_for_a_failure():
    async def app(scope, receive, send):
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise ValueError("cut off") from None

    assert (await call(kept(app), asking())).status == 504


async def test_a_client_can_shorten_but_not_lengthen_and_a_trusted_peer_up_to_the_ceiling():
    seen: list[float] = []

    async def app(scope, receive, send):
        seen.append(deadlines.remaining() or math.inf)
        await answering()(scope, receive, send)

    for milliseconds, trusted in ((5_000, ()), (90_000, ()), (90_000, ("203.0.113.9",)), (900_000, ("203.0.113.9",))):
        await call(kept(app, trusted=trusted, timeout_s=60, timeout_ceiling_s=300), asking(milliseconds=milliseconds))
    assert [math.ceil(left) for left in seen] == [5, 60, 90, 300]


async def test_what_was_waited_in_front_of_us_counts():
    scope = scope_of()
    found = context.begin(scope, Gone(), ())
    found.waited_s = 5.0
    deadline = deadlines_given(found, timeout_s=30)
    assert 24 < deadline - time.monotonic() <= 25


def deadlines_given(record, **settings) -> float:
    from holdfast.parts.deadlines import give

    return give(record, timeouts_of(DeadlineSettings(**settings)))


def test_the_clock_of_the_record_is_the_one_of_deadlines():
    assert time.get_clock_info("perf_counter").implementation == time.get_clock_info("monotonic").implementation


# -- whose cancellation it is --


async def test_a_shutdown_is_told_apart():
    told: list = []
    begun = asyncio.Event()

    async def app(scope, receive, send):
        begun.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(call(kept(app, told, timeout_s=LONG)))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert [(fact.outcome, fact.problem) for fact in told] == [("cancelled", "stopping")]


async def test_a_shutdown_at_the_same_time_wins():
    begun = asyncio.Event()
    may_end = asyncio.Event()

    async def app(scope, receive, send):
        begun.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            begun.clear()
            try:
                await may_end.wait()
            finally:
                raise

    task = asyncio.create_task(call(kept(app), asking()))
    await begun.wait()
    await until(lambda: not begun.is_set())  # the deadline has ended it, and it cleans up
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_timeouts_and_task_groups_of_the_application_work_as_ever():
    seen: list[str] = []

    async def app(scope, receive, send):
        try:
            async with asyncio.timeout(0.001):
                await asyncio.Event().wait()
        except TimeoutError:
            seen.append("timeout")
        with pytest.raises(ExceptionGroup):
            async with asyncio.TaskGroup() as group:
                group.create_task(failing())
                await asyncio.Event().wait()
        task = asyncio.current_task()
        assert task is not None
        seen.append(f"cancelling {task.cancelling()}")
        await answering()(scope, receive, send)

    async def failing():
        raise ValueError

    assert (await call(kept(app, timeout_s=LONG))).body == b"ok"
    assert seen == ["timeout", "cancelling 0"]


async def test_a_deadline_inside_a_task_group_ends_its_tasks():
    ended: list[str] = []

    async def waiting():
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("child")

    async def app(scope, receive, send):
        async with asyncio.TaskGroup() as group:
            group.create_task(waiting())
            group.create_task(waiting())

    assert (await call(kept(app), asking())).status == 504
    assert ended == ["child", "child"]


async def test_the_task_goes_on_as_if_nothing_had_been_cancelled():
    for app in (for_ever, swallowing):
        await call(kept(app), asking())
        task = asyncio.current_task()
        assert task is not None
        assert task.cancelling() == 0


async def swallowing(scope, receive, send):
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        await answering()(scope, receive, send)


async def test_a_handler_that_swallows_the_end_is_told_of_once(caplog):
    app = kept(swallowing)
    with caplog.at_level(logging.WARNING, "holdfast.deadlines"):
        for _ in range(3):
            assert (await call(app, asking(path="/swallows"))).status == 200
    assert [record.route for record in caplog.records] == ["/swallows"]


async def test_a_handler_that_goes_on_for_long_after_its_end_is_told_of(caplog):
    may_end = asyncio.Event()

    async def app(scope, receive, send):
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            await may_end.wait()
            raise

    with caplog.at_level(logging.WARNING, "holdfast.deadlines"):
        task = asyncio.create_task(call(kept(app), asking(path="/goes-on")))
        await until(lambda: caplog.records)
    may_end.set()
    assert (await task).status == 504
    assert [record.route for record in caplog.records] == ["/goes-on"]


# -- sections that must not be cut --


async def test_a_shielded_section_is_finished_and_ended_at_the_next_wait():
    done: list[str] = []

    async def app(scope, receive, send):
        async with deadlines.shielded():
            await asyncio.sleep(0.08)
            done.append("committed")
        await asyncio.sleep(LONG)
        done.append("went on")

    assert (await call(kept(app), asking())).status == 504
    assert done == ["committed"]


async def test_an_answer_that_follows_a_shielded_section_at_once_is_given():
    async def app(scope, receive, send):
        async with deadlines.shielded():
            await asyncio.sleep(0.08)
        await answering()(scope, receive, send)

    assert (await call(kept(app), asking())).status == 200


async def test_what_asyncio_shields_goes_on_by_itself():
    committed, may_commit = asyncio.Event(), asyncio.Event()

    async def commit():
        await may_commit.wait()
        committed.set()

    kept_alive: list[asyncio.Task] = []

    async def app(scope, receive, send):
        kept_alive.append(asyncio.create_task(commit()))
        await asyncio.shield(kept_alive[0])

    assert (await call(kept(app), asking())).status == 504
    may_commit.set()
    await asyncio.wait_for(committed.wait(), 10)


# -- streams --


async def test_an_answer_that_has_begun_has_no_deadline_any_more():
    left: list[float | None] = []

    async def app(scope, receive, send):
        left.append(deadlines.remaining())
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(4):
            await send({"type": "http.response.body", "body": b"x", "more_body": True})
            await asyncio.sleep(0.03)
        left.append(deadlines.remaining())
        await send({"type": "http.response.body", "body": b"end"})

    answer = await call(kept(app), asking())
    assert (answer.body, answer.ended) == (b"xxxxend", True)
    assert left[0] is not None
    assert left[1] is None


async def test_a_stream_that_is_silent_for_too_long_is_cut():
    told: list = []

    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"x", "more_body": True})
        await asyncio.Event().wait()

    with pytest.raises(Exception) as cut:  # noqa: PT011 - the kind is ours alone
        await call(kept(app, told, timeout_s=0.02, timeout_idle_s=0.08))
    assert problems.is_logged(cut.value)
    assert isinstance(cut.value.__cause__, DeadlinePassed)
    assert [(fact.outcome, fact.problem) for fact in told] == [("cancelled", "deadline-passed")]


async def test_what_follows_an_answer_is_let_finish():
    done = asyncio.Event()

    async def app(scope, receive, send):
        await answering()(scope, receive, send)
        await asyncio.sleep(0.1)
        done.set()

    assert (await call(kept(app, timeout_idle_s=0.05), asking())).status == 200
    assert done.is_set()


def in_pieces(app: ASGIApp, pieces: int, pause_s: float) -> ASGIApp:
    """The application with a body that comes in pieces, with a pause before each."""

    async def slow(scope, receive, send):
        left = iter(range(pieces, -1, -1))

        async def hear():
            number = next(left, None)
            if number is None:
                return await asyncio.Event().wait()
            await asyncio.sleep(pause_s)
            return {"type": "http.request", "body": b"x", "more_body": number > 0}

        await app(scope, hear, send)

    return slow


async def reads_all(scope, receive, send):
    while (await receive()).get("more_body"):
        pass
    await asyncio.sleep(float(scope["query_string"] or b"0"))
    await answering()(scope, receive, send)


async def test_a_body_that_arrives_is_not_ended_by_the_services_own_deadline():
    app = in_pieces(kept(reads_all, timeout_s=1, timeout_idle_s=LONG), 25, 0.06)
    assert (await call(app, scope_of(method="POST"))).status == 200


async def test_once_the_body_is_whole_the_time_for_the_answer_begins():
    app = in_pieces(kept(reads_all, timeout_s=0.15, timeout_idle_s=LONG), 2, 0.03)
    assert (await call(app, scope_of(method="POST") | {"query_string": b"3600"})).status == 504


async def test_a_body_that_stops_arriving_is_ended():

    async def app(scope, receive, send):
        pieces = [{"type": "http.request", "body": b"x", "more_body": True}]

        async def stalls():
            return pieces.pop() if pieces else await asyncio.Event().wait()

        await kept(reads_all, timeout_s=LONG, timeout_idle_s=0.1)(scope, stalls, send)

    assert (await call(app, scope_of(method="POST"))).status == 504


async def test_a_sender_who_says_how_long_it_waits_is_believed_however_long_its_body_takes():
    app = in_pieces(kept(reads_all, timeout_s=LONG), 100, 0.01)
    assert (await call(app, asking(method="POST"))).status == 504


# -- the client leaves --


async def leaving(app: ASGIApp, method: str, hears: bool = False, **settings):
    """Serve a request whose client leaves as soon as the application waits. What became of the request."""
    told: list = []
    client = Gone()
    began = asyncio.Event()

    async def announced(scope, receive, send):
        began.set()
        await app(scope, receive, send)

    async def receive():
        return await asyncio.Event().wait()

    async def send(message):
        pass

    scope = scope_of(method=method) | {Gone.SCOPE_KEY: client}
    task = asyncio.create_task(kept(announced, told, **settings)(scope, receive, send))
    await began.wait()
    await asyncio.sleep(0)
    client.leave()
    await asyncio.wait_for(task, 20)
    return told[0].outcome


async def test_safe_work_for_a_client_that_left_is_ended_at_once():
    ended: list[str] = []

    async def app(scope, receive, send):
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(scope["method"])

    for method in ("GET", "HEAD", "QUERY"):
        assert await leaving(app, method) == "client_left"
    assert ended == ["GET", "HEAD", "QUERY"]


async def test_other_work_is_finished():
    ended: list[str] = []

    async def app(scope, receive, send):
        await asyncio.sleep(0.05)
        ended.append(scope["method"])

    for method in ("POST", "DELETE"):
        await leaving(app, method)
    assert ended == ["POST", "DELETE"]


async def test_a_route_can_say_otherwise():
    ended: list[str] = []

    @deadlines.route(ends_when_client_leaves=True)
    async def endpoint():
        """It has nothing to lose."""

    async def app(scope, receive, send):
        scope["endpoint"] = endpoint
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("POST")

    assert await leaving(app, "POST") == "client_left"
    assert ended == ["POST"]


async def test_who_listens_for_the_leaving_has_a_second_to_go_by_itself():
    ended: list[str] = []

    async def polite(scope, receive, send):
        listening = asyncio.create_task(receive())
        await asyncio.sleep(0)
        ended.append("began")
        await asyncio.sleep(0.05)
        ended.append("by itself")
        listening.cancel()

    async def stubborn(scope, receive, send):
        listening = asyncio.create_task(receive())
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("in the end")
            listening.cancel()

    began = time.monotonic()
    assert await leaving(polite, "GET") == "client_left"
    assert await leaving(stubborn, "GET") == "client_left"
    assert time.monotonic() - began >= 1.0
    assert ended == ["began", "by itself", "in the end"]


async def test_a_commit_is_not_cut_by_a_client_that_leaves():
    done: list[str] = []

    async def app(scope, receive, send):
        async with deadlines.shielded():
            await asyncio.sleep(0.05)
            done.append("committed")
        await asyncio.Event().wait()

    assert await leaving(app, "GET") == "client_left"
    assert done == ["committed"]


# -- what is passed on --


async def test_tasks_and_threads_know_the_deadline_of_their_request():
    seen: list[float | None] = []

    async def child():
        seen.append(deadlines.remaining())

    async def app(scope, receive, send):
        await asyncio.create_task(child())
        seen.append(await asyncio.to_thread(deadlines.remaining))
        seen.append(float(deadlines.headers()["Holdfast-Timeout-Ms"]) / 1000)
        text = deadlines.grpc_timeout()
        assert text is not None
        seen.append(float(text.removesuffix("m")) / 1000)
        await answering()(scope, receive, send)

    await call(kept(app, timeout_s=LONG), asking(milliseconds=50_000))
    for left in seen:
        assert left is not None
        assert 20 < left <= 50
    assert seen[2] is not None
    assert seen[2] <= 49  # two percent go for the way
    assert deadlines.remaining() is None
    assert deadlines.headers() == {}


async def test_a_block_has_less_time_and_never_more():
    async def app(scope, receive, send):
        outer = deadlines.at()
        with deadlines.limit(5):
            assert 0 < (deadlines.remaining() or 0) <= 5
            with deadlines.limit(50):
                assert 0 < (deadlines.remaining() or 0) <= 5
        assert deadlines.at() == outer
        with pytest.raises(DeadlinePassed), deadlines.limit(0.02):
            await asyncio.Event().wait()
        assert deadlines.at() == outer
        await answering()(scope, receive, send)

    assert (await call(kept(app, timeout_s=LONG))).body == b"ok"


async def test_a_block_works_outside_a_request_and_leaves_nothing_cancelled():
    with pytest.raises(DeadlinePassed), deadlines.limit(0.01):
        await asyncio.Event().wait()
    with deadlines.limit(LONG):
        assert deadlines.remaining() is not None
        deadlines.check()
    with pytest.raises(DeadlinePassed), deadlines.limit(0):
        deadlines.check()
    with pytest.raises(KeyError), deadlines.limit(LONG):
        raise KeyError
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0


def test_a_block_in_a_thread_without_a_loop_knows_its_time():
    with deadlines.limit(5):
        assert 0 < (deadlines.remaining() or 0) <= 5
    assert deadlines.remaining() is None


# -- watching only --


async def test_where_it_is_only_observed_nothing_is_ended_and_it_is_told(caplog):
    async def app(scope, receive, send):
        assert deadlines.remaining() is None
        await asyncio.sleep(0.1)
        await answering()(scope, receive, send)

    with caplog.at_level(logging.WARNING, "holdfast.deadlines"):
        for _ in range(2):
            answer = await call(kept(app, timeout_observe=True), asking(path="/slow"))
            assert (answer.status, answer.body) == (200, b"ok")
        assert (await call(kept(answering(), timeout_observe=True), asking(milliseconds=0))).status == 200
    told = [record for record in caplog.records if record.message.startswith("observed")]
    assert [record.path for record in told] == ["/slow"]  # sampled: a line a second


# -- how it is done --


async def test_a_thousand_requests_share_one_timer():
    loop = asyncio.get_running_loop()
    may_end = asyncio.Event()
    waits = 0

    async def app(scope, receive, send):
        nonlocal waits
        waits += 1
        await may_end.wait()
        await answering()(scope, receive, send)

    before = len([timer for timer in loop._scheduled if not timer.cancelled()])
    app_ = kept(app, timeout_s=LONG)
    tasks = [asyncio.create_task(call(app_)) for _ in range(1000)]
    await until(lambda: waits == 1000)
    assert len([timer for timer in loop._scheduled if not timer.cancelled()]) - before <= 1
    may_end.set()
    assert {(await task).status for task in tasks} == {200}


async def test_short_deadlines_are_met_among_long_ones():
    app = kept(for_ever, timeout_s=LONG)
    long_ones = [asyncio.create_task(call(app)) for _ in range(50)]
    answers = await asyncio.gather(*(call(app, asking(milliseconds=n)) for n in range(1, 40)))
    assert {answer.status for answer in answers} == {504}
    assert not [task for task in long_ones if task.done()]
    for task in long_ones:
        task.cancel()
    await asyncio.wait(long_ones)


async def test_nothing_of_a_request_is_left_for_the_garbage_collector():
    class Held:
        """What a handler holds."""

    seen: list[weakref.ref] = []

    async def app(scope, receive, send):
        held = Held()
        seen.append(weakref.ref(held))
        await asyncio.sleep(0)
        await answering()(scope, receive, send)

    async def late(scope, receive, send):
        held = Held()
        seen.append(weakref.ref(held))
        await asyncio.Event().wait()

    gc.collect()
    gc.disable()
    try:
        await call(kept(app, timeout_s=LONG))
        await call(kept(late), asking())
        await asyncio.sleep(0)
        assert [ref() for ref in seen] == [None, None]
    finally:
        gc.enable()


async def test_an_application_that_is_no_coroutine_is_driven_as_well():
    def app(scope, receive, send):
        return asyncio.ensure_future(answering()(scope, receive, send))

    assert (await call(kept(app))).body == b"ok"


async def test_holdfast_inside_holdfast_keeps_one_deadline():
    assert (await call(kept(kept(for_ever)), asking())).status == 504
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0
