"""A registry of svcs, kept: its services with the lifetimes of Holdfast."""

from collections.abc import AsyncIterator, Iterator

import pytest
import svcs
from calling import answering, call

from holdfast.app import Holdfast
from holdfast.contrib.svcs import adopt
from holdfast.errors import ResourceUnknown
from holdfast.resources import Resources

pytestmark = pytest.mark.anyio


class Pool: ...


class Session:
    def __init__(self, pool: Pool) -> None:
        self.pool = pool


class Clock: ...


class Desk:
    """A registry of svcs as a team has it, and what happened."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.well = True
        self.registry = svcs.Registry()
        self.registry.register_value(Pool, Pool(), on_registry_close=self.close_pool, ping=self.ping)
        self.registry.register_factory(Session, self.session, suppress_context_exit=False)
        self.registry.register_factory(Clock, self.clock)

    async def session(self, svcs_container: svcs.Container) -> AsyncIterator[Session]:
        pool = await svcs_container.aget(Pool)
        self.told.append("begin")
        try:
            yield Session(pool)
        except Exception as error:
            self.told.append(f"rollback for {type(error).__name__}")
            raise
        self.told.append("commit")

    def clock(self) -> Iterator[Clock]:
        yield Clock()
        self.told.append("clock stopped")

    async def close_pool(self) -> None:
        self.told.append("pool closed")

    def ping(self, pool: Pool) -> None:
        if not self.well:
            raise OSError("the pool is dry")


async def test_services_of_svcs_are_resources_and_close_in_reverse():
    desk = Desk()
    async with adopt(desk.registry) as resources:
        async with resources.container() as container:
            session = await container.get(Session)
            assert await container.get(Session) is session
            assert await container.get(Pool) is session.pool
            assert isinstance(await container.get(Clock), Clock)
            assert await (await container.get(svcs.Container)).aget(Session) is session
            assert desk.told == ["begin"]
        assert desk.told == ["begin", "clock stopped", "commit"]
    assert desk.told == ["begin", "clock stopped", "commit", "pool closed"]


async def test_our_resources_and_those_of_svcs_need_each_other():
    desk, ours = Desk(), Resources()

    @ours.request()
    def greeting(session: Session) -> str:
        return f"from {type(session.pool).__name__}"

    assert adopt(desk.registry, ours) is ours
    async with ours, ours.container() as container:
        assert await container.get(str) == "from Pool"


async def test_a_request_closes_its_services_before_its_answer_starts():
    desk = Desk()
    resources = adopt(desk.registry)

    async def app(scope, receive, send):
        await resources.get(Session)

        async def sending(message):
            await send(message)
            desk.told.append(message["type"])

        await answering()(scope, receive, sending)

    async with resources:
        answer = await call(Holdfast(app, own_logs=False))
    assert answer.status == 200
    assert desk.told == ["begin", "commit", "http.response.start", "http.response.body", "pool closed"]


async def test_an_exception_reaches_the_services_that_asked_for_it():
    desk = Desk()

    async def work(resources: Resources) -> None:
        async with resources.container() as container:
            await container.get(Session)
            await container.get(Clock)
            raise KeyError("stock")

    async with adopt(desk.registry) as resources:
        with pytest.raises(KeyError):
            await work(resources)
    assert desk.told == ["begin", "clock stopped", "rollback for KeyError", "pool closed"]


async def test_the_pings_of_svcs_are_asked():
    desk = Desk()
    async with adopt(desk.registry) as resources:
        assert (await resources.ping())["svcs_registry"].well
        desk.well = False
        assert (await resources.ping())["svcs_registry"].why == "OSError"


async def test_a_service_of_svcs_is_overridden_like_any_other():
    desk, fake = Desk(), Clock()
    async with adopt(desk.registry) as resources:
        with resources.override(Clock, fake):
            async with resources.container() as container:
                assert await container.get(Clock) is fake
        with pytest.raises(ResourceUnknown):
            await resources.get(int)
