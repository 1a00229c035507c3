"""Guarded, against a loud client: one that asks as much as it can, has no measure, or guesses passwords."""

import asyncio
import contextlib
import time
from collections.abc import Coroutine, Mapping, Sequence
from typing import Final

import msgspec

from holdfast.decide.verdicts import Judgement, broken, kept, not_proven
from holdfast.prove.acts.loud_client.guessing import Guessing, guessing, unguarded
from holdfast.prove.counters import sampling
from holdfast.prove.http import Wire
from holdfast.prove.props.canary import fair, watched_machine
from holdfast.prove.props.greedy import Greedy, Wish, greedy
from holdfast.prove.props.ordinary import Fared, excuse, fared, harmed, load
from holdfast.prove.props.resumable import creation, largest_in, options
from holdfast.prove.running import App
from holdfast.prove.scenario import Facts, Scenario
from holdfast.prove.sending import request
from holdfast.prove.stage import Stage, send

_BEFORE_S: Final = 1.5
_LOUD_S: Final = 4.0
_QUICK_LOUD_S: Final = 2.5
_READERS: Final = 64
_BIG_HEADS: Final = 16
_BIG_BODIES: Final = 16
_EXPORTS: Final = 8
_BIG_HEAD: Final = 128 << 10
_BIG_BODY: Final = 256 << 10
_HUGE_HEAD: Final = 2 << 20
"""Above what any server takes that has a limit; the largest that is usual is 1 MB."""
_ENDLESS: Final = 32 << 20
"""So much of each body is sent, and its end never comes."""
_ANNOUNCED: Final = 10 << 30
_PIECE: Final = 1 << 16
_FELT_MS: Final = 1000.0
"""A hundred connections queue before others even where each is served at once: only more than that is harm."""
_PATIENCE_S: Final = 8.0
_GROWTH_LEAST: Final = 20 << 20
_MEND_HEAD: Final = "Limit the head of a request: `holdfast run` does, with 64 KiB (HOLDFAST_DOOR_HEAD_MAX_BYTES)."
_MEND_BODY: Final = (
    "Read no body that nobody asked for, and limit those that are read whole: refuse with 413 above what the route "
    "needs, or have a proxy in front do so (client_max_body_size)."
)
_MEND_LARGEST: Final = "Refuse with 413 what is announced to be larger than Tus-Max-Size: `holdfast.uploads` does."
_MEND_LOUD: Final = (
    "Limit what one client may ask for: HOLDFAST_RATE with `holdfast run`, or a limit in the proxy in front."
)


class Greed(msgspec.Struct, frozen=True):
    """One request without measure."""

    name: str
    sent: int = 0
    """Bytes that the backend took."""
    status: int = 0
    """What it answered; 0: nothing."""
    cut: bool = False
    """It ended the connection."""
    took_s: float = 0.0

    @property
    def ended(self) -> bool:
        """Whether the backend put an end to it, by an answer or without."""
        return bool(self.status) or self.cut


class LoudClient(Facts, frozen=True, kw_only=True):
    """What became of a client without measure, and of others meanwhile."""

    head: Greed
    """A head of 2 MB."""
    bodies: tuple[Greed, ...] = ()
    """Bodies without an end."""
    grew: int | None = None
    """Bytes by which the backend's own memory was larger while the bodies came; None: it could not be seen."""
    before: Fared
    during: Fared
    seconds: float = 0.0
    sent: int = 0
    """What the loud client sent in this time, and what became of it."""
    answered: int = 0
    refused: int = 0
    cut: int = 0
    statuses: Mapping[str, int] = {}
    """How often it was answered with what."""
    alive: bool = True
    """Whether the backend's process is there at the end."""
    guesses: Guessing = Guessing()
    largest: int = 0
    """The most bytes of an upload by what the backend says itself; 0 where it says nothing."""
    larger: int = 0
    """The status of one that was announced to have one byte more."""


async def gather(stage: Stage) -> LoudClient:
    """Ask for ordinary things; send what has no measure; be loud while others ask for ordinary things; guess."""
    target = stage.target
    seconds = _QUICK_LOUD_S if stage.quick else _LOUD_S
    async with stage.app() as app:
        _, first = await send(app, target.read)
        before = fared([await load(app, target, _BEFORE_S)])
        stage.tell("a head of 2 MB, and bodies without an end")
        async with sampling(app.pid) as samples:
            head, *bodies = await asyncio.gather(*_without_measure(stage, app))
        stage.tell("one client is loud")
        async with watched_machine(app.pid) as machine, greedy(app.port, _wishes(stage, app)) as client:
            during = fared([await load(app, target, seconds)])
        largest, larger = await _larger(stage, app)
        stage.tell("one client guesses a password")
        guesses = await guessing(app, target, stage.chance)
        facts = LoudClient(
            well=f"{target.read.shown} said {first.shown}; {before.shown}" if first.good and before.good else "",
            fault=_fault(client, seconds),
            head=head,
            bodies=tuple(bodies),
            grew=samples.over_start,
            before=before,
            during=during,
            seconds=seconds,
            sent=client.sent,
            answered=client.answered,
            refused=client.refused,
            cut=client.cut,
            statuses={str(status): count for status, count in client.statuses.most_common()},
            alive=app.alive,
            guesses=guesses,
            largest=largest,
            larger=larger,
        )
    return fair(facts, judge, excuse(machine, facts.before, facts.during))


def _fault(client: Greedy, seconds: float) -> str:
    if not client.sent:
        return ""
    return (
        f"one client, {_READERS + _BIG_HEADS + _BIG_BODIES} connections, {client.sent / seconds:.0f} requests a second"
    )


# -- what it sends --


def _without_measure(stage: Stage, app: App) -> Sequence[Coroutine[None, None, Greed]]:
    """A huge head, and bodies without an end to where nobody wants one, and to where one is read whole."""
    read = request(stage.target.read, app.names)
    head = app.client.head(read.method, read.path, read.headers)[:-2] + b"X-Large: "
    chunk = b"%x\r\n%b\r\n" % (_PIECE, b"a" * _PIECE)
    plain = b"a" * _PIECE
    post = app.client.head("POST", read.path, read.headers, length=_ANNOUNCED)
    found = [
        _poured(app, f"a head of {_HUGE_HEAD >> 20} MB", head, plain, _HUGE_HEAD, b"\r\n\r\n"),
        _poured(app, f"GET {read.path} with chunks", app.client.head("GET", read.path, read.headers, length=-1), chunk),
        _poured(
            app, f"POST {read.path} with chunks", app.client.head("POST", read.path, read.headers, length=-1), chunk
        ),
        _poured(app, f"POST {read.path} of {_ANNOUNCED >> 30} GB", post, plain),
    ]
    if (write := stage.target.write) is not None and not write.file:
        sent = request(write, app.names)
        first = app.client.head(sent.method, sent.path, sent.headers, length=_ANNOUNCED) + b'{"a": "'
        found.append(_poured(app, f"{sent.method} {sent.path} of {_ANNOUNCED >> 30} GB", first, plain))
    return found


async def _poured(app: App, name: str, first: bytes, piece: bytes, most: int = _ENDLESS, last: bytes = b"") -> Greed:
    """Send `first`, then pieces until there are `most` bytes, then `last`; stop as soon as anything comes back."""
    began = time.monotonic()
    sent, status, ended = 0, 0, False
    with contextlib.suppress(OSError, TimeoutError):
        async with asyncio.timeout(_PATIENCE_S), app.client.wire() as wire:
            hearing = asyncio.create_task(_heard(wire))
            try:
                with contextlib.suppress(OSError):  # what it said before it cut is heard below
                    await wire.send(first)
                    while sent < most and not hearing.done():
                        await wire.send(piece)
                        sent += len(piece)
                    await wire.send(last)
                status, ended = await hearing, True
            finally:
                hearing.cancel()
                _leave(wire)
    return Greed(name, sent, status, cut=ended and not status, took_s=round(time.monotonic() - began, 3))


async def _heard(wire: Wire) -> int:
    """The status of what comes; 0 where the connection ends instead."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        found = b""
        while b"\r\n" not in found and (piece := await wire.receive(timeout_s=3600)):
            found += piece
        return int(found.split(b" ", 2)[1])
    return 0


async def _larger(stage: Stage, app: App) -> tuple[int, int]:
    """The most bytes that a resumable upload may have, and what one is answered that announces one more."""
    where = stage.target.upload.resumable if stage.target.upload is not None else ""
    if not where:
        return 0, 0
    asked = options(where)
    most = largest_in(await app.client.ask(asked.method, asked.path, headers=asked.headers))
    if most is None:
        return 0, 0
    sent = creation(where, most + 1, "large.csv")
    return most, (await app.client.ask(sent.method, sent.path, headers=sent.headers, body=sent.body)).status


def _leave(wire: Wire) -> None:
    with contextlib.suppress(OSError):  # it has ended already
        wire.reset()


def _wishes(stage: Stage, app: App) -> list[Wish]:
    """What the loud client asks for, again and again: what is cheap, what is too large, what is long."""
    read = request(stage.target.read, app.names)
    large = app.client.head(read.method, read.path, {**read.headers, "X-Large": "a" * _BIG_HEAD})
    body = app.client.head("POST", read.path, read.headers, length=_BIG_BODY) + b"a" * _BIG_BODY
    found = [
        Wish(app.client.head(read.method, read.path, read.headers), _READERS),
        Wish(large, _BIG_HEADS),
        Wish(body, _BIG_BODIES),
    ]
    if (export := stage.target.export) is not None:
        sent = request(export, app.names)
        found.append(Wish(app.client.head(sent.method, sent.path, sent.headers), _EXPORTS))
    return found


def judge(facts: LoudClient) -> Judgement:
    """What has no measure is refused or cut and fills no memory, and others are served as before."""
    if not facts.sent or not facts.before.good:
        return not_proven("The loud client was not heard, or nobody was served before.")
    if not facts.alive:
        return broken("The backend ended under one loud client.", "ended", mend=_MEND_LOUD, certain=True)
    if found := _measureless(facts) or unguarded(facts.guesses):
        return found
    rate = facts.sent / facts.seconds
    if harm := harmed(facts.before, facts.during, _FELT_MS):
        return broken(
            f"While one client sent {rate:.0f} requests a second, {harm}.",
            f"{facts.during.good} of {facts.during.asked} served, p90 {facts.during.p90_ms:.0f} ms",
            mend=_MEND_LOUD,
        )
    return kept(
        f"While one client sent {rate:.0f} requests a second, of which {facts.answered} of {facts.sent} were let in, "
        f"others had {facts.during.shown} ({facts.before.p90_ms:.0f} ms before){_stopped(facts.guesses)}.",
        f"p90 {facts.before.p90_ms:.0f} to {facts.during.p90_ms:.0f} ms",
    )


def _stopped(guesses: Guessing) -> str:
    if guesses.stopped is None:
        return ""
    return f"; guesses were stopped with {guesses.stopped or 'a cut'} by the {guesses.tried}th"


def _measureless(facts: LoudClient) -> Judgement | None:
    """What is wrong with how heads and bodies without measure were taken, if anything is."""
    head = facts.head
    if 0 < head.status < 400:
        why = f"A request with {head.name} was answered {head.status} as if that were usual."
        return broken(why, f"{head.name} taken", mend=_MEND_HEAD, certain=True)
    if facts.largest and 200 <= facts.larger < 300:
        why = f"Tus-Max-Size says {facts.largest} bytes, and an upload of one more was answered {facts.larger}."
        return broken(why, f"{facts.largest + 1} bytes taken", mend=_MEND_LARGEST, certain=True)
    poured = max((one.sent for one in facts.bodies), default=0)
    if facts.grew is not None and facts.grew > _GROWTH_LEAST and poured > _GROWTH_LEAST:
        worst = max(facts.bodies, key=lambda one: one.sent)
        why = (
            f"The backend's memory grew by {facts.grew >> 20} MB while {len(facts.bodies)} bodies without an end came; "
            f"of {worst.name} it took {worst.sent >> 20} MB."
        )
        return broken(why, f"{facts.grew >> 20} MB more memory", mend=_MEND_BODY, certain=True)
    for one in facts.bodies:
        if not one.ended and one.sent >= _ENDLESS:
            why = (
                f"Of a body without an end ({one.name}) {one.sent >> 20} MB were taken, and within {one.took_s:.0f} s "
                "it was neither refused nor cut."
            )
            return broken(why, f"{one.sent >> 20} MB taken", mend=_MEND_BODY)
    if not head.ended:
        return not_proven(f"A request with {head.name} had no answer within {head.took_s:.0f} s.", mend=_MEND_HEAD)
    return None


SCENARIO: Final = Scenario(
    name="loud-client",
    promise="guarded",
    part="against a loud client",
    title="one client sends as much as it can, heads and bodies without measure too, beside ordinary ones",
    seconds=10,
    facts=LoudClient,
    gather=gather,
    judge=judge,
)
