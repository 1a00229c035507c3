"""A proof as one HTML page, which needs nothing beside itself."""

import shlex
import time
from collections.abc import Mapping
from html import escape
from typing import Final

import msgspec

from holdfast.decide.verdicts import Verdict
from holdfast.prove.record import Outcome, Promised, Proof, plain_facts
from holdfast.prove.repeating import repeat
from holdfast.prove.reports.changes import Change
from holdfast.prove.reports.drawing import drawing
from holdfast.prove.reports.looks import STYLE

_MOST_FACTS: Final = 20_000
_WORDS: Final = (
    "The backend was started, put under real faults, and looked at from outside. <em>Kept</em> was seen to hold, "
    "<em>broken</em> has a counterexample, and <em>not proven</em> is neither; only kept counts."
)


def page(proof: Proof, changes: Mapping[str, Change] | None = None, ages: Mapping[str, str] | None = None) -> str:
    """The page. `changes` are those since a baseline, `ages` for how long each verdict has been so; both by promise."""
    name = escape(_name(proof.shown))
    return "\n".join(
        [
            '<!doctype html><html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>Proof of {name}</title><style>{STYLE}</style></head><body><main>",
            *_head(proof, name),
            *_glance(proof),
            "<h2>Promises</h2>",
            *(_promise(proof, promise, changes or {}, ages or {}) for promise in proof.promises),
            *_time(proof),
            "</main></body></html>\n",
        ]
    )


def _name(shown: str) -> str:
    """The backend, of the words that name it on the command line."""
    words = shlex.split(shown)
    return words[1] if words[:1] == ["--serve"] else words[0] if words else shown


def _head(proof: Proof, name: str) -> list[str]:
    when = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(proof.began))
    machine = ", ".join(str(value) for value in proof.machine.values())
    counts = "".join(
        f'<li class="{_kind(verdict)}"><b>{proof.count(verdict)}</b> {verdict.value}</li>' for verdict in Verdict
    )
    return [
        f"<h1>What held: {name}</h1>",
        f'<p class="soft">{when}, in {proof.took_s:.0f} s, seed {proof.seed}. {escape(machine)}.</p>',
        f'<ul class="counts">{counts}</ul>',
        f"<p>{_WORDS}</p>",
        f"<p><code>{escape(repeat(proof))}</code></p>",
    ]


def _glance(proof: Proof) -> list[str]:
    """All verdicts on one screen."""
    rows = [
        f'<tr><td>{_chip(each.judgement.verdict)}</td><td><a href="#{each.name}">{each.name}</a></td>'
        f"<td>{escape(each.judgement.number)}</td></tr>"
        for each in proof.promises
    ]
    return [f'<table class="glance"><tbody>{"".join(rows)}</tbody></table>']


def _chip(verdict: Verdict, more: str = "") -> str:
    return f'<span class="verdict {more} {_kind(verdict)}">{verdict.value}</span>'


def _kind(verdict: Verdict) -> str:
    return verdict.value.replace(" ", "-")


def _promise(proof: Proof, promise: Promised, changes: Mapping[str, Change], ages: Mapping[str, str]) -> str:
    judgement = promise.judgement
    verdict = _chip(judgement.verdict)
    more = [text for text in (ages.get(promise.name, ""), _changed(changes.get(promise.name))) if text]
    return "\n".join(
        [
            f'<section class="promise" id="{promise.name}">',
            f"<h3>{verdict} {promise.name}</h3>",
            f'<p class="soft">{escape(promise.sentence)}</p>',
            f"<p>{escape(judgement.why)}</p>",
            f'<p class="mend">{escape(judgement.mend)}</p>' if judgement.mend else "",
            f'<p class="soft">{escape(" ".join(more))}</p>' if more else "",
            *(_outcome(proof, each, alone=len(promise.outcomes) == 1) for each in promise.outcomes if each.attempts),
            "</section>",
        ]
    )


def _changed(change: Change | None) -> str:
    if change is None or change.before == change.now:
        return ""
    return f"It was {change.before} before."


def _outcome(proof: Proof, came: Outcome, *, alone: bool) -> str:
    part = f" ({escape(came.scenario.part)})" if came.scenario.part else ""
    flaky = ' <span class="flaky">flaky</span>' if came.flaky else ""
    said = "" if alone else f"<p>{escape(came.judgement.why)}</p>"
    verdict = _chip(came.judgement.verdict, "small")
    opened = " open" if came.judgement.verdict is Verdict.BROKEN or came.charts else ""
    charts = [
        f"<figure><figcaption><b>{escape(chart.title)}</b> {escape(chart.says)}</figcaption>{drawing(chart)}</figure>"
        for chart in came.charts
        if len({x for series in chart.series for x, _ in series.points}) > 1  # one place is no picture
    ]
    return "\n".join(
        [
            f"<details{opened}><summary>{verdict} {escape(came.scenario.name)}{part}{flaky}",
            f'<span class="soft">{escape(came.scenario.title)}, {came.took_s:.1f} s</span></summary>',
            said,
            *charts,
            *_evidence(came),
            f"<p><code>{escape(repeat(proof, came.scenario.name))}</code></p>",
            "</details>",
        ]
    )


def _evidence(came: Outcome) -> list[str]:
    found: list[str] = []
    for number, attempt in enumerate(came.attempts, 1):
        if attempt.facts is None:
            found.append(f"<p>Run {number}: {escape(attempt.failure)}</p>")
            continue
        facts = attempt.facts
        text = msgspec.json.format(msgspec.json.encode(plain_facts(facts)), indent=1).decode()[:_MOST_FACTS]
        seen = f"Well before: {escape(facts.well or 'not seen')}. The fault: {escape(facts.fault or 'not seen')}."
        found += [
            f'<p class="soft">Run {number}. {seen}</p>',
            f'<details class="facts"><summary>All that was seen</summary><pre>{escape(text)}</pre></details>',
        ]
    return found


def _time(proof: Proof) -> list[str]:
    ran = sorted((each for each in proof.outcomes if each.attempts), key=lambda each: -each.took_s)
    longest = max((each.took_s for each in ran), default=0.0) or 1.0
    rows = [
        f'<tr><td class="share" style="--of:{each.took_s / longest:.1%}">{escape(each.scenario.name)}</td>'
        f'<td class="number">{each.took_s:.1f} s</td><td class="number">{len(each.attempts)}</td></tr>'
        for each in ran
    ]
    head = '<tr><th>scenario</th><th class="number">took</th><th class="number">runs</th></tr>'
    return ["<h2>Where the time went</h2>", f"<table><thead>{head}</thead><tbody>{''.join(rows)}</tbody></table>"]
