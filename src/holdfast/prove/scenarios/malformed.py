"""Explained: what does not fit the OpenAPI document is refused with a reason, and nothing makes the backend fail."""

import time
from collections import Counter
from typing import Final

import msgspec

from holdfast.decide.verdicts import Judgement, broken, kept, not_proven
from holdfast.errors import ExtraMissing
from holdfast.prove.acts.malformed.generating import Case, generated
from holdfast.prove.http import Answer
from holdfast.prove.props.telling import failed, gives_away, tells_nothing
from holdfast.prove.running import App
from holdfast.prove.scenario import Facts, Scenario
from holdfast.prove.stage import Stage, send

_MOST: Final = 200
_LEAST: Final = 20
"""Fewer show nothing."""
_ENOUGH: Final = 40
_MOST_S: Final = 7.0
_LATE_S: Final = 12.0
"""So much longer where there are not enough yet."""
_FIRST_S: Final = 25.0
"""Until the first is made, on a machine that is busy."""
_PATIENCE_S: Final = 5.0
_SHOWN: Final = 120
_MEND: Final = (
    "Check what comes in where it comes in, and answer what does not fit with 4xx and the reason; "
    "Holdfast's problem details answer what nobody catches."
)


class Wrong(msgspec.Struct, frozen=True):
    """A request whose answer is wrong."""

    operation: str
    sent: str
    """Its address, as far as it is short."""
    what: str
    """In words."""
    status: int
    certain: bool = True
    """Whether it came the same way twice."""


class Malformed(Facts, frozen=True):
    """What became of the requests that were made of the document."""

    cases: int = 0
    operations: int = 0
    refused: int = 0
    """Answered with 4xx."""
    accepted: int = 0
    unanswered: int = 0
    wrong: tuple[Wrong, ...] = ()
    missing: str = ""
    """What is not installed."""
    after: str = ""
    """What is wrong with an ordinary request afterwards."""


async def gather(stage: Stage) -> Malformed:
    """Send what schemathesis makes of the document, for some seconds."""
    async with stage.app() as app:
        _, first = await send(app, stage.target.read)
        document = (await app.client.ask("GET", stage.target.schema)).json()
        well = f"{stage.target.read.shown} said {first.shown}" if first.good else ""
        try:
            seen = await _seen(app, document, stage)
        except ExtraMissing as error:
            return Malformed(well=well, missing=str(error).partition("\n")[0])
        _, last = await send(app, stage.target.read)
    cases = [case for case, _ in seen]
    counts = Counter(answer.status // 100 for _, answer in seen)
    return Malformed(
        well=well,
        fault=f"{len(seen)} requests were made of {stage.target.schema}" if seen else "",
        cases=len(seen),
        operations=len({case.operation for case in cases}),
        refused=counts[4],
        accepted=counts[2] + counts[3],
        unanswered=counts[0],
        wrong=tuple(wrong for case, answer in seen if (wrong := _wrong(case, answer))),
        after="" if last.good or last.status == 401 else f"{stage.target.read.shown} said {last.shown}",
    )


async def _seen(app: App, document: object, stage: Stage) -> list[tuple[Case, Answer]]:
    """The cases and their answers; a failure is asked for twice, and counts if it comes twice."""
    found: list[tuple[Case, Answer]] = []
    most_s = _MOST_S / 2 if stage.quick else _MOST_S
    began = time.monotonic()
    until = began + _FIRST_S
    async with generated(document, stage.seed % 1_000_000, stage.folder) as cases:
        async for case in cases:
            if not found:
                until = time.monotonic() + most_s
            answer = await _ask(app, case)
            if failed(answer.status):
                again = await _ask(app, case)
                answer = answer if failed(again.status) else again
            found.append((case, answer))
            stage.tell(f"{len(found)} requests")
            late = time.monotonic() - until
            if len(found) >= _MOST or not app.alive or late > (0.0 if len(found) >= _ENOUGH else _LATE_S):
                break
    return found


async def _ask(app: App, case: Case) -> Answer:
    own = {name.lower() for name in app.client.headers}
    headers = {name: value for name, value in case.headers.items() if name.lower() not in own}
    return await app.client.ask(case.method, case.path, headers=headers, body=case.body, timeout_s=_PATIENCE_S)


def _wrong(case: Case, answer: Answer) -> Wrong | None:
    sent = case.path.encode() + (case.body or b"")
    if inside := gives_away(answer, sent):
        what = f"{inside} in the answer, which was {answer.status}"
    elif failed(answer.status):
        what = f"answered with {answer.status}, twice"
    elif told := tells_nothing(answer, case.method):
        what = f"answered with {told}"
    else:
        return None
    return Wrong(case.operation, f"{case.method} {case.path}"[:_SHOWN], what, answer.status)


def judge(facts: Malformed) -> Judgement:
    """No failure, nothing of the inside, a reason with each refusal."""
    if facts.missing:
        return not_proven(f"{facts.missing}.", mend="Install it; it makes requests of the OpenAPI document.")
    number = f"{facts.cases - len(facts.wrong)} of {facts.cases} answered well"
    if facts.wrong:
        worst = max(facts.wrong, key=lambda one: one.status >= 500)
        routes = len({one.operation for one in facts.wrong})
        return broken(
            f"{worst.sent} was {worst.what}; {len(facts.wrong)} of {facts.cases} requests to {routes} of "
            f"{facts.operations} operations had a wrong answer.",
            number,
            mend=_MEND,
            certain=worst.certain,
        )
    if facts.after:
        return broken(f"After {facts.cases} requests, {facts.after}.", number, mend=_MEND)
    if facts.cases - facts.unanswered < _LEAST:
        return not_proven(f"Only {facts.cases - facts.unanswered} requests were answered in time.", number=number)
    return kept(
        f"Of {facts.cases} requests made of the document for {facts.operations} operations {facts.refused} were "
        f"refused with a reason and {facts.accepted} served; none made it fail.",
        number,
    )


SCENARIO: Final = Scenario(
    name="malformed",
    promise="explained",
    title="sends what schemathesis makes of the OpenAPI document: what fits it and what does not",
    seconds=11,
    facts=Malformed,
    gather=gather,
    judge=judge,
    needs=("schema",),
    part="against malformed requests",
)
