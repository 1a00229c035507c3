"""Resources in plain code: declared, opened in order, passed in, replaced, closed whatever happens."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Annotated, Protocol, Self

import anyio
import pytest

from holdfast.decide.wiring import Key, Need, Scope, Wire, faults, opening_order
from holdfast.errors import (
    NotFound,
    ResourceCycle,
    ResourceError,
    ResourceFailed,
    ResourceNotClosed,
    ResourceUnknown,
)
from holdfast.resources import Container, Named, Resources, open_containers

pytestmark = pytest.mark.anyio


class Engine:
    """Stands for a pool of connections; `Session` for one of them. Both write down what happens to them."""

    def __init__(self, name: str = "main") -> None:
        self.name = name
        self.told: list[str] = []


class Session:
    def __init__(self, engine: Engine) -> None:
        self.engine = engine


class Repository:
    def __init__(self, session: Session) -> None:
        self.session = session


class Mailer(Protocol):
    def send(self, text: str) -> str: ...


class RealMailer:
    def send(self, text: str) -> str:
        return f"sent {text}"


class FakeMailer:
    def send(self, text: str) -> str:
        return f"kept {text}"


def shop(engine: Engine) -> Resources:
    """A registry with an engine, a session on it and a repository on that."""
    resources = Resources()

    @resources.application()
    async def pool() -> AsyncIterator[Engine]:
        engine.told.append("pool opened")
        yield engine
        engine.told.append("pool closed")

    @resources.request()
    async def session(engine: Engine) -> AsyncIterator[Session]:
        engine.told.append("begin")
        try:
            yield Session(engine)
        except BaseException as error:
            engine.told.append(f"rollback for {type(error).__name__}")
            raise
        engine.told.append("commit")

    resources.request()(Repository)
    return resources


# -- opening and closing --


async def test_resources_open_in_order_and_close_in_reverse():
    engine = Engine()
    async with shop(engine) as resources:
        assert engine.told == ["pool opened"]
        async with resources.container() as container:
            assert await container.get(Engine) is engine
            assert engine.told == ["pool opened"]
            repository = await container.get(Repository)
            assert await container.get(Session) is repository.session
            assert repository.session.engine is engine
        assert engine.told == ["pool opened", "begin", "commit"]
    assert engine.told == ["pool opened", "begin", "commit", "pool closed"]
    assert open_containers() == []


async def test_each_container_has_its_own():
    async with shop(Engine()) as resources, resources.container() as one:
        first = await one.get(Session)
        async with resources.container() as other:
            assert await other.get(Session) is not first
            assert await resources.get(Session) is await other.get(Session)
        assert await resources.get(Session) is first


async def test_an_exception_of_the_block_reaches_the_provider_and_comes_out_again():
    engine = Engine()
    async with shop(engine) as resources:
        with pytest.raises(KeyError, match="stock"):
            await get_and_fail(resources, Session)
    assert engine.told == ["pool opened", "begin", "rollback for KeyError", "pool closed"]


async def test_concurrent_requests_for_one_resource_open_it_once():
    resources, opened, go = Resources(), [], asyncio.Event()

    @resources.request()
    async def slow() -> AsyncIterator[Engine]:
        opened.append(1)
        await go.wait()
        yield Engine()

    async with resources.container() as container, asyncio.TaskGroup() as group:
        asked = [group.create_task(container.get(Engine)) for _ in range(20)]
        await until(lambda: opened)
        go.set()
    assert len(opened) == 1
    assert len({id(task.result()) for task in asked}) == 1


async def test_when_the_one_who_opens_is_cancelled_the_next_one_opens():
    resources, opened, go = Resources(), [], asyncio.Event()

    @resources.request()
    async def slow() -> AsyncIterator[Engine]:
        opened.append(1)
        await go.wait()
        yield Engine()

    async with resources.container() as container:
        first, second = (asyncio.create_task(container.get(Engine)) for _ in range(2))
        await until(lambda: opened)
        first.cancel()
        await until(lambda: len(opened) == 2)
        go.set()
        assert isinstance(await second, Engine)
        assert first.cancelled()


async def test_a_cancelled_block_still_closes_to_the_end():
    resources, told, closing, go = Resources(), [], asyncio.Event(), asyncio.Event()

    @resources.request()
    async def connection() -> AsyncIterator[Engine]:
        try:
            yield Engine()
        finally:
            closing.set()
            await go.wait()
            told.append("closed")

    async def work() -> None:
        async with resources.container() as container:
            await container.get(Engine)
            await asyncio.Event().wait()

    async with resources:
        task = asyncio.create_task(work())
        await until(lambda: open_containers())
        task.cancel()
        await closing.wait()
        task.cancel()  # a second time, in the middle of the closing
        await until(task.done)
        assert told == []
        go.set()
    assert told == ["closed"]  # the end of the application waits for it


async def test_what_was_being_opened_when_the_request_was_cancelled_is_closed_too():
    resources, told = Resources(), []

    @resources.request()
    async def connection() -> AsyncIterator[Engine]:
        try:
            told.append("connecting")
            await asyncio.Event().wait()
            yield Engine()
        finally:
            told.append("closed")

    async def work() -> None:
        async with resources.container() as container:
            await container.get(Engine)

    task = asyncio.create_task(work())
    await until(lambda: told)
    task.cancel()
    await asyncio.wait([task])
    await until(lambda: told == ["connecting", "closed"])


async def test_a_resource_is_entered_and_left_in_the_same_task():
    resources = Resources()

    @resources.request()
    async def group() -> AsyncIterator[anyio.abc.TaskGroup]:
        async with anyio.create_task_group() as group:
            yield group
            group.cancel_scope.cancel()

    async def ask(container: Container) -> anyio.abc.TaskGroup:
        return await container.get(anyio.abc.TaskGroup)

    async with resources.container() as container:
        group = await asyncio.create_task(ask(container))
        group.start_soon(asyncio.Event().wait)


async def test_a_closing_that_hangs_is_given_up_after_its_deadline_and_the_others_still_close(caplog):
    resources, told = Resources(), []

    @resources.application(close_within=0.01)
    async def first() -> AsyncIterator[Engine]:
        yield Engine()
        told.append("first closed")

    @resources.application(close_within=0.01)
    async def stuck(engine: Engine) -> AsyncIterator[Session]:
        yield Session(engine)
        await asyncio.Event().wait()

    @resources.application()
    async def failing(session: Session) -> AsyncIterator[Repository]:
        yield Repository(session)
        raise OSError("the disk is gone")

    with caplog.at_level(logging.ERROR, "holdfast.resources"):
        async with resources:
            pass
    assert told == ["first closed"]
    assert resources_of(caplog) == ["failing", "stuck"]


async def test_a_closing_that_is_too_late_is_an_error_of_the_block():
    resources = Resources()

    @resources.request(close_within=0.01)
    async def stuck() -> AsyncIterator[Engine]:
        yield Engine()
        await asyncio.Event().wait()

    with pytest.raises(ResourceNotClosed, match=r"stuck did not close within 0\.01 s"):
        async with resources.container() as container:
            await container.get(Engine)


async def test_the_exception_that_closes_a_request_is_the_one_that_failed_first(caplog):
    engine = Engine()
    resources = shop(engine)

    @resources.request(name="broken")
    async def broken(session: Session) -> AsyncIterator[Session]:
        yield session
        raise OSError("the line is cut")

    async with resources:
        with pytest.raises(OSError, match="the line is cut"):
            async with resources.container() as container:
                await container.get(Session, name="broken")
    assert engine.told == ["pool opened", "begin", "rollback for OSError", "pool closed"]
    assert resources_of(caplog) == ["broken"]


async def test_a_failure_to_close_does_not_hide_the_exception_of_the_block(caplog):
    resources = Resources()

    @resources.request()
    async def bad() -> AsyncIterator[Engine]:
        try:
            yield Engine()
        finally:
            raise OSError("cannot roll back")

    with pytest.raises(KeyError, match="stock"):
        await get_and_fail(resources, Engine)
    assert "cannot roll back" in caplog.text


async def test_a_claimed_resource_and_what_it_needs_outlive_the_others():
    engine = Engine()
    resources = shop(engine)

    @resources.request()
    async def mailer() -> AsyncIterator[RealMailer]:
        yield RealMailer()
        engine.told.append("mailer closed")

    async with resources, resources.joined(claim=True) as container:
        async with resources.joined():
            await container.claim(Repository)
            await container.get(RealMailer)
        assert engine.told == ["pool opened", "begin", "mailer closed"]
    assert engine.told == ["pool opened", "begin", "mailer closed", "commit", "pool closed"]


async def test_what_is_asked_for_after_the_end_is_refused_with_advice():
    async with shop(Engine()) as resources:
        async with resources.container() as container:
            await container.get(Session)
        with pytest.raises(ResourceError, match=r"asked for after the end of .*test_resources\.py:\d+"):
            await container.get(Session)
    assert open_containers() == []


# -- failing to open --


async def test_a_failure_at_the_start_names_the_resource_and_closes_what_was_open():
    engine = Engine()
    resources = shop(engine)

    @resources.application()
    async def broker(engine: Engine) -> AsyncIterator[RealMailer]:
        raise ConnectionRefusedError("no broker at port 5672")
        yield RealMailer()

    with pytest.raises(ResourceFailed, match=r"broker could not be opened: .*no broker at port 5672") as caught:
        async with resources:
            pytest.fail("it started")
    assert isinstance(caught.value.__cause__, ConnectionRefusedError)
    assert engine.told == ["pool opened", "pool closed"]


async def test_the_caller_reads_nothing_of_what_is_inside():
    error = ResourceFailed("shop.pool could not be opened: OSError: postgres://user:secret@db")
    assert error.detail == "A resource could not be opened."
    assert error.members == {}


async def test_an_opening_that_takes_too_long_fails_and_is_undone():
    resources, told = Resources(), []

    @resources.application(open_within=0.01)
    async def slow() -> AsyncIterator[Engine]:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            told.append("stopped")
            raise
        yield Engine()

    with pytest.raises(ResourceFailed, match=r"slow could not be opened: .*not open within 0\.01 s"):
        async with resources:
            pytest.fail("it started")
    await until(lambda: told == ["stopped"])


async def test_an_error_that_is_an_answer_comes_through_from_a_request_resource():
    resources = Resources()

    @resources.request()
    async def nobody() -> Session:
        raise NotFound("no such shop")

    async with resources.container() as container:
        with pytest.raises(NotFound):
            await container.get(Session)


async def test_all_who_wait_hear_of_a_failure():
    resources, asked, go = Resources(), [], asyncio.Event()

    @resources.request()
    async def failing() -> AsyncIterator[Engine]:
        asked.append(1)
        await go.wait()
        raise OSError("no")
        yield Engine()

    async with resources.container() as container:
        tasks = [asyncio.create_task(container.get(Engine)) for _ in range(3)]
        await until(lambda: asked)
        go.set()
        results = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(result) for result in results] == [ResourceFailed] * 3
    assert len(asked) == 1


async def test_a_resource_that_ends_by_itself_is_logged_and_not_well(caplog):
    resources, go = Resources(), asyncio.Event()

    @resources.application()
    async def consumer() -> AsyncIterator[Engine]:
        async with asyncio.TaskGroup() as group:
            group.create_task(failing())
            yield Engine()

    async def failing() -> None:
        await go.wait()
        raise OSError("the queue is gone")

    async with resources:
        assert await resources.ping() == {}
        go.set()
        await until(lambda: "a resource ended by itself" in caplog.text)
        health = (await resources.ping())["consumer"]
        assert (health.well, health.why) == (False, "ended by itself")


# -- declaring --


class Client:
    state = "new"

    async def __aenter__(self) -> Self:
        self.state = "open"
        return self

    async def __aexit__(self, *exc: object) -> None:
        self.state = "closed"


class Lock(Client): ...


async def test_every_kind_of_provider():
    resources = Resources()

    @resources.request()
    @asynccontextmanager
    async def decorated() -> AsyncGenerator[Engine, None]:
        yield Engine("decorated")

    @resources.request(name="returned")
    def returned(engine: Engine) -> AbstractAsyncContextManager[Engine]:
        return contextlib.nullcontext(engine)

    @resources.request()
    async def awaited(returned: Annotated[Engine, Named("returned")]) -> Session:
        return Session(returned)

    @resources.request()
    def entered(session: Session, missing: NotFound | None = None) -> Client:
        assert missing is None
        return Client()

    @resources.request(enter=False)
    def not_entered() -> Lock:
        return Lock()

    @resources.request(type=Mailer)
    def typed() -> object:
        return RealMailer()

    resources.request()(Repository)
    resources.value(dict[str, int], {"a": 1})
    async with resources.container() as container:
        assert (await container.get(Repository)).session.engine.name == "decorated"
        client = await container.get(Client)
        assert client.state == "open"
        assert (await container.get(Lock)).state == "new"
        assert (await container.get(Mailer)).send("it") == "sent it"
        assert await container.get(dict[str, int]) == {"a": 1}
    assert client.state == "closed"


def plain_generator():
    yield 1


def no_annotation():
    return 1


def untyped_parameter(engine) -> int:
    return 1


def by_position(engine: Engine, /) -> int:
    return 1


def by_an_unknown_name() -> "Nowhere":  # noqa: F821
    return 1


@pytest.mark.parametrize(
    ("provider", "why"),
    [
        (plain_generator, "write `async def`"),
        (no_annotation, "does not say what it makes"),
        (untyped_parameter, "`engine` has no type"),
        (by_position, "remove the `/`"),
        (by_an_unknown_name, "'Nowhere' means nothing"),
        (str, "does not say what it needs"),
    ],
)
def test_a_provider_that_does_not_say_enough_is_refused_where_it_is_declared(provider, why):
    with pytest.raises(ResourceError, match=why) as caught:
        Resources().request()(provider)
    assert f".{provider.__name__}" in str(caught.value)


def test_a_second_provider_of_one_type_is_refused():
    resources = shop(Engine())
    with pytest.raises(ResourceError, match="give one of them a name="):
        resources.value(Engine, Engine())


async def test_wiring_that_cannot_work_stops_the_start_and_names_all_of_it():
    resources = Resources()
    resources.application()(Repository)
    resources.request()(Session)
    with pytest.raises(ResourceError) as caught:
        async with resources:
            pytest.fail("it started")
    assert "nothing provides Engine: " in str(caught.value)
    assert "Session needs it as `engine`" in str(caught.value)
    assert "Repository lives as long as the application and needs" in str(caught.value)
    with pytest.raises(ResourceError):
        async with resources.container():
            pytest.fail("it started")


async def test_a_circle_that_shows_only_when_it_runs_is_an_error_not_a_deadlock():
    resources = Resources()

    @resources.request()
    async def session() -> Session:
        await resources.get(Repository)
        return Session(Engine())

    resources.request()(Repository)
    async with asyncio.timeout(5), resources.container():
        with pytest.raises(ResourceCycle, match="Session -> Repository -> Session"):
            await resources.get(Session)


def test_the_rules_find_circles_loose_ends_and_the_order():
    def wire(name: str, *needs: str, scope: Scope = Scope.APPLICATION, optional: bool = False) -> Wire:
        keys = tuple(Need(need, Key(need), optional) for need in needs)
        return Wire(Key(name), scope, name, keys)

    def table(*wires: Wire) -> dict[Key, Wire]:
        return {each.key: each for each in wires}

    good = table(wire("c", "a"), wire("b", "missing", optional=True), wire("a"), wire("r", "a", scope=Scope.REQUEST))
    assert faults(good) == []
    assert [key.type for key in opening_order(good)] == ["a", "c", "b"]
    assert [type(fault) for fault in faults(table(wire("a", "b"), wire("b", "c"), wire("c", "a")))] == [ResourceCycle]
    assert [type(fault) for fault in faults(table(wire("a", "a")))] == [ResourceCycle]
    assert [str(fault) for fault in faults(table(wire("a", "b")))] == ["nothing provides 'b': a needs it as `b`"]


async def test_an_unknown_type_is_named_with_what_is_near():
    resources = Resources()
    resources.value(Engine, Engine(), name="replica")
    with pytest.raises(ResourceUnknown, match=r'nothing provides Engine: .*; declared are Engine "replica"'):
        await resources.get(Engine)


# -- outside requests --


async def test_application_resources_and_values_are_there_outside_a_request_and_request_resources_say_what_to_do():
    resources = shop(Engine())
    resources.value(int, 42)
    assert await resources.get(int) == 42
    with pytest.raises(ResourceError, match="enter `async with resources` first"):
        await resources.get(Engine)
    async with resources:
        assert isinstance(await resources.get(Engine), Engine)
        with pytest.raises(ResourceError, match=r"enter `async with resources\.container\(\)`"):
            await resources.get(Session)
        with pytest.raises(ResourceError, match="open already"):
            await resources.__aenter__()


# -- overriding --


async def test_an_override_with_a_value_holds_for_its_block():
    resources = Resources()

    @resources.application(type=Mailer)
    async def mailer() -> AsyncIterator[RealMailer]:
        yield RealMailer()

    async with resources:
        with resources.override(Mailer, FakeMailer()):
            assert (await resources.get(Mailer)).send("it") == "kept it"
            with resources.override(Mailer, RealMailer()):
                assert (await resources.get(Mailer)).send("it") == "sent it"
            assert (await resources.get(Mailer)).send("it") == "kept it"
        assert (await resources.get(Mailer)).send("it") == "sent it"


async def test_what_is_overridden_before_the_start_is_not_opened():
    engine, fake = Engine(), Engine("fake")
    resources = shop(engine)
    with resources.override(Engine, fake):
        async with resources, resources.container():
            assert (await resources.get(Repository)).session.engine is fake
    assert engine.told == []
    assert fake.told == ["begin", "commit"]


async def test_an_override_with_a_provider_is_opened_and_closed_like_the_real_one():
    engine = Engine()
    resources = shop(engine)

    async def fake(engine: Engine) -> AsyncIterator[Session]:
        engine.told.append("fake begin")
        yield Session(engine)
        engine.told.append("fake end")

    with resources.override(Session, provider=fake):
        async with resources, resources.container():
            await resources.get(Repository)
        assert engine.told == ["pool opened", "fake begin", "fake end", "pool closed"]


async def test_an_override_that_could_have_no_effect_is_refused():
    async def fake() -> AsyncIterator[Engine]:
        yield Engine()

    resources = shop(Engine())
    with pytest.raises(ResourceUnknown, match="nothing to override"), resources.override(int, 1):
        pass
    async with resources:
        with pytest.raises(ResourceError, match="override it before the start"):
            resources.override(Engine, provider=fake).__enter__()


# -- health --


async def test_pings_say_who_is_well_and_why_not(caplog):
    resources, dead = Resources(), [OSError("password=hunter2")]

    async def fine(engine: Engine) -> None:
        assert isinstance(engine, Engine)

    def failing(session: Session) -> None:
        if dead:
            raise dead[0]

    @resources.application(ping=fine)
    async def pool() -> AsyncIterator[Engine]:
        yield Engine()

    @resources.application(ping=failing)
    def broker(engine: Engine) -> Session:
        return Session(engine)

    @resources.application(name="slow one", ping=lambda _: asyncio.Event().wait())
    def slow() -> int:
        return 1

    @resources.application(ping=lambda _: False)
    def refusing() -> str:
        return "no"

    assert {name: health.why for name, health in (await resources.ping()).items()} == {
        "pool": "not open",
        "broker": "not open",
        "slow one": "not open",
        "refusing": "not open",
    }
    caplog.clear()
    caplog.set_level(logging.INFO)
    async with resources:
        for _ in range(2):
            health = await resources.ping(within=0.05)
        assert {name: answer.why for name, answer in health.items()} == {
            "pool": None,
            "broker": "OSError",
            "slow one": "no answer within 0.05 s",
            "refusing": "its ping says so",
        }
        assert [answer.well for answer in health.values()] == [True, False, False, False]
        assert 0.05 <= health["slow one"].seconds < 5
        dead.clear()
        assert (await resources.ping(within=0.05))["broker"].well
        assert resources_of(caplog) == ["pool", "broker"]  # told when it changes, not at each ping


async def get_and_fail(resources: Resources, key: type) -> None:
    async with resources.container() as container:
        await container.get(key)
        raise KeyError("stock")


def resources_of(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Whom the log speaks of."""
    return [record.resource.rpartition(".")[2] for record in caplog.records if hasattr(record, "resource")]


async def until(holds) -> None:
    """Wait until it is so; fail if it never is."""
    async with asyncio.timeout(5):
        while not holds():
            await asyncio.sleep(0.001)
