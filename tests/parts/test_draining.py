import asyncio

import pytest

from holdfast.decide.lifecycle import Event, State
from holdfast.parts.drain import Draining, Lifecycle, draining

pytestmark = pytest.mark.anyio


async def test_whoever_waits_for_the_draining_is_woken_by_it():
    told = Draining()
    waiting = [asyncio.create_task(told.wait()) for _ in range(3)]
    await asyncio.sleep(0)
    assert not told
    told.begin()
    await asyncio.wait_for(asyncio.gather(*waiting), 5)
    await asyncio.wait_for(told.wait(), 5)
    assert told


async def test_it_can_begin_in_another_thread():
    told = Draining()
    waiting = asyncio.create_task(told.wait())
    await asyncio.sleep(0)
    await asyncio.to_thread(told.begin)
    await asyncio.wait_for(waiting, 5)


async def test_a_life_that_ends_begins_the_draining_and_leaves_none_behind():
    first = Lifecycle()
    first.handle(Event.STARTED)
    assert not draining.is_set()
    first.handle(Event.HURRY)
    assert draining.is_set()
    first.handle(Event.IDLE)
    first.handle(Event.CLOSED)
    assert not draining.is_set()


async def test_every_change_is_told_once_and_a_signal_that_means_nothing_is_not():
    told: list = []
    life = Lifecycle(told.append)
    for event in (Event.STARTED, Event.STARTED, Event.TERM, Event.DELAY_OVER, Event.IDLE, Event.CLOSED, Event.TERM):
        life.handle(event)
    assert [fact.after for fact in told] == ["serving", "leaving", "draining", "closing", "stopped"]


async def test_waiting_for_the_end_of_a_state_ends_with_it_or_with_the_time():
    life = Lifecycle()
    assert await life.wait_while(State.STARTING, 0.01) is False
    waiting = asyncio.create_task(life.wait_while(State.STARTING, 5))
    await asyncio.sleep(0)
    life.handle(Event.STARTED)
    assert await waiting is True
