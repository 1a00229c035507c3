"""Guessing: one client tries wrong passwords for one name, one after the other, until it is told to wait.

    guessed = await guessing(app, stage.target, stage.chance)

Who is told to wait then says to be somebody else, in a header that only a proxy is believed about.
"""

import asyncio
import random
import string
import time
from typing import Final

import msgspec

from holdfast.decide.verdicts import Judgement, broken
from holdfast.prove.http import Answer, Client
from holdfast.prove.props.signing_in import SigningIn, signing_in
from holdfast.prove.running import App
from holdfast.prove.stage import Target

ADDRESS: Final = "127.0.0.3"
"""Where it comes from: no proxy is there, and servers that trust one at 127.0.0.1 by themselves do not trust it."""
MOST: Final = 101
"""One more than may fail in a row by NIST SP 800-63B, 3.2.2, and in an hour by OWASP ASVS 4.0.3, 2.2.1."""
_AT_ONCE: Final = 4
_WITHIN_S: Final = 25.0
_TIMEOUT_S: Final = 10.0
_BUSY: Final = frozenset({0, 503})
"""What says that it is too much for the moment; some proxies say so to one client alone, and go on saying it."""
_PAUSES_S: Final = (0.3, 0.7, 1.0)
_ALIKE: Final = 64
"""A page that says something else is longer or shorter by more bytes than this."""
_PRETENDING: Final = (False, True, True, False, True, False, False, True)
"""In which tries it says to be another. A bucket that fills while it asks lets in whoever comes, in no such order."""
_MEND: Final = (
    "After some wrong passwords let nobody try again at once, counted by name and by address: answer 429 with "
    "Retry-After, before the password is looked at."
)
_MEND_ADDRESS: Final = (
    "Believe X-Forwarded-For and Forwarded only from proxies that you name: `holdfast run` does "
    "(HOLDFAST_TRUSTED_PROXIES), and uvicorn with --forwarded-allow-ips."
)


class Guessing(msgspec.Struct, frozen=True):
    """What became of wrong passwords."""

    where: str = ""
    """What they were sent to; empty where nobody knows how one signs in."""
    tried: int = 0
    said: int = 0
    """The status of what is said for a wrong one."""
    stopped: int | None = None
    """The status of what was said instead, after some; 0 where the connection was cut, None where nothing was."""
    seconds: float = 0.0
    let_in: bool | None = None
    """Whether the right password was taken at once after them; None where that is not known."""
    pretended: int = 0
    """Tries after it was told to wait, as somebody else."""
    believed: int = 0
    """Those of them that were heard, while each that came without pretence was not."""
    unclear: str = ""
    """Why nothing could be seen."""


async def guessing(app: App, target: Target, chance: random.Random) -> Guessing:
    """Try wrong passwords."""
    door = await signing_in(app, target)
    if door is None:
        return Guessing()
    return await _Guesser(app, door, chance).guess()


class _Guesser:
    def __init__(self, app: App, door: SigningIn, chance: random.Random) -> None:
        self.app = app
        self.door = door
        self.chance = chance
        self.client: Client = app.stranger.at(ADDRESS)
        self.first = Answer(0, {}, b"", 0.0)

    async def ask(self, password: str, *, as_another: bool = False) -> Answer:
        sent = self.door.with_password(password)
        address = f"203.0.113.{self.chance.randrange(1, 255)}"
        pretence = {"X-Forwarded-For": address, "Forwarded": f"for={address}"} if as_another else {}
        headers = {**sent.headers, **pretence}
        return await self.client.ask(sent.method, sent.path, headers=headers, body=sent.body, timeout_s=_TIMEOUT_S)

    async def wrong(self, *, as_another: bool = False) -> Answer:
        word = "".join(self.chance.choices(string.ascii_letters + string.digits, k=24))
        return await self.ask(word, as_another=as_another)

    def heard(self, answer: Answer) -> bool:
        """Whether it was answered as the first was."""
        waits = "retry-after" in answer.headers and "retry-after" not in self.first.headers
        alike = abs(answer.length - self.first.length) <= _ALIKE
        return not answer.error and answer.status == self.first.status and alike and not waits

    async def guess(self) -> Guessing:
        began = time.monotonic()
        self.first = await self.wrong()
        if self.first.status in _BUSY:
            await asyncio.sleep(sum(_PAUSES_S))
            self.first = await self.wrong()
        found = Guessing(self.door.shown, 1, self.first.status)
        if not self.door.refused(self.first):
            return msgspec.structs.replace(found, unclear=f"a wrong password was answered with {self.first.shown}")
        tried, stop = 1, None
        while stop is None and tried < MOST and time.monotonic() - began < _WITHIN_S:
            answers = await asyncio.gather(*(self.wrong() for _ in range(min(_AT_ONCE, MOST - tried))))
            tried += len(answers)
            stop = next((answer for answer in answers if not self.heard(answer)), None)
            if stop is not None and stop.status in _BUSY:
                stop = await self.still_busy(stop)
        found = msgspec.structs.replace(found, tried=tried, seconds=round(time.monotonic() - began, 1))
        if stop is None:
            return msgspec.structs.replace(found, let_in=await self.right())
        pretended, believed = await self.pretend()
        return msgspec.structs.replace(found, stopped=stop.status, pretended=pretended, believed=believed)

    async def still_busy(self, said: Answer) -> Answer | None:
        """What is said instead of what was said first, again and again; None where it was only busy."""
        for pause_s in _PAUSES_S:
            await asyncio.sleep(pause_s)
            said = await self.wrong()
            if self.heard(said):
                return None
            if said.status not in _BUSY:
                break
        return said

    async def right(self) -> bool | None:
        """Whether the right password is taken now, where it is known: who locks a name in silence says nothing else."""
        if self.door.page:
            return None
        answer = await self.ask(self.app.names["secret"])
        return answer.good or answer.status in {302, 303}

    async def pretend(self) -> tuple[int, int]:
        """Go on, now and then as somebody else: how often, and how often that helped where nothing else did."""
        heard = [(another, self.heard(await self.wrong(as_another=another))) for another in _PRETENDING]
        if any(known for another, known in heard if not another):
            return 0, 0  # the wait was over by itself
        return sum(another for another, _ in heard), sum(known for _, known in heard)


def unguarded(facts: Guessing) -> Judgement | None:
    """What is wrong with how guesses were met, if anything is. None of it is chance."""
    if facts.pretended and facts.believed == facts.pretended:
        why = (
            f"A client that had to wait after {facts.tried} wrong passwords ({facts.stopped or 'a cut'} from "
            f"{facts.where}) was heard again each time that it named another address in X-Forwarded-For, "
            f"{facts.believed} times."
        )
        return broken(why, "X-Forwarded-For believed", mend=_MEND_ADDRESS, certain=True)
    if facts.tried >= MOST and facts.stopped is None and facts.let_in is not False:
        then = ", and the right one was taken right after them" if facts.let_in else ""
        why = (
            f"{facts.tried} wrong passwords in a row for one name, in {facts.seconds:.0f} s from one address, were each"
            f" answered {facts.said} by {facts.where}, and none was told to wait{then}."
        )
        return broken(why, f"{facts.tried} guesses heard", mend=_MEND, certain=True)
    return None
