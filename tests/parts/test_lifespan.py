import asyncio
from contextlib import asynccontextmanager

import pytest

from holdfast.parts import lifespan

pytestmark = pytest.mark.anyio


class Life:
    """The server's side of the lifespan protocol."""

    def __init__(self, app, opened):
        self.order: list[str] = []
        self.to_app: asyncio.Queue = asyncio.Queue()
        self.from_app: asyncio.Queue = asyncio.Queue()
        layered = lifespan.layer(app, opened, lambda: self.order.append("started"), lambda: self.order.append("ended"))
        self.task = asyncio.ensure_future(layered({"type": "lifespan"}, self.to_app.get, self.from_app.put))

    async def say(self, what: str) -> dict:
        await self.to_app.put({"type": f"lifespan.{what}"})
        return await asyncio.wait_for(self.from_app.get(), 5)


def resource(order: list[str], *, fails: bool = False):
    @asynccontextmanager
    async def opened():
        if fails:
            raise RuntimeError("no database")
        order.append("opened")
        yield
        order.append("closed")

    return opened()


def speaking(order: list[str], *, fails: bool = False):
    async def app(scope, receive, send):
        assert (await receive())["type"] == "lifespan.startup"
        order.append("app starts")
        await send({"type": "lifespan.startup.failed" if fails else "lifespan.startup.complete"})
        if not fails:
            assert (await receive())["type"] == "lifespan.shutdown"
            order.append("app ends")
            await send({"type": "lifespan.shutdown.complete"})

    return app


async def silent(scope, receive, send):
    raise RuntimeError("only http here")


async def returns_at_once(scope, receive, send):
    return


async def test_resources_are_opened_before_the_application_and_closed_after_it():
    order: list[str] = []
    life = Life(speaking(order), resource(order))
    assert (await life.say("startup"))["type"] == "lifespan.startup.complete"
    assert (await life.say("shutdown"))["type"] == "lifespan.shutdown.complete"
    await life.task
    assert order == ["opened", "app starts", "app ends", "closed"]
    assert life.order == ["started", "ended"]


@pytest.mark.parametrize("app", [silent, returns_at_once])
async def test_an_application_without_lifespan_gets_the_same(app):
    order: list[str] = []
    life = Life(app, resource(order))
    assert (await life.say("startup"))["type"] == "lifespan.startup.complete"
    assert order == ["opened"]
    assert (await life.say("shutdown"))["type"] == "lifespan.shutdown.complete"
    await life.task
    assert order == ["opened", "closed"]


async def test_a_resource_that_cannot_be_opened_fails_the_start_and_the_application_is_not_asked():
    order: list[str] = []
    life = Life(speaking(order), resource(order, fails=True))
    message = await life.say("startup")
    assert (message["type"], message["message"]) == ("lifespan.startup.failed", "no database")
    await life.task
    assert order == []


async def test_an_application_that_fails_to_start_has_its_resources_closed():
    order: list[str] = []
    life = Life(speaking(order, fails=True), resource(order))
    assert (await life.say("startup"))["type"] == "lifespan.startup.failed"
    await life.task
    assert order == ["opened", "app starts", "closed"]
    assert life.order == []
