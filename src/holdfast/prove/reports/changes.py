"""What changed since an earlier proof, and for how long each verdict has been so."""

import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple, cast

from holdfast.prove.record import Proof
from holdfast.prove.reports.json import read

HISTORY: Final = Path(".holdfast") / "proofs.jsonl"
_MOST_LINES: Final = 500
_UNITS: Final = (("day", 86_400.0), ("hour", 3_600.0), ("minute", 60.0))


class Change(NamedTuple):
    """A promise before and now."""

    before: str
    now: str
    number_before: str = ""


def changes(proof: Proof, baseline: Path) -> dict[str, Change]:
    """What each promise was in the file of an earlier proof, and is now. Raises ProofUnreadable."""
    promises = cast("dict[str, dict[str, object]]", read(baseline)["promises"])
    return {
        each.name: Change(
            str(promises.get(each.name, {}).get("verdict", "not there")),
            each.judgement.verdict.value,
            str(promises.get(each.name, {}).get("number", "")),
        )
        for each in proof.promises
    }


def table(found: Mapping[str, Change]) -> str:
    """The changes as text, worst first; a line where there are none."""
    changed = {name: change for name, change in found.items() if change.before != change.now}
    if not changed:
        return "Since the baseline: no verdict has changed."
    order = ("broken", "not proven", "kept")
    lines = [
        f"  {name:<12} {change.before} -> {change.now}"
        for name, change in sorted(changed.items(), key=lambda item: order.index(item[1].now))
    ]
    return "\n".join(["Since the baseline:", *lines])


# -- history --


def remember(proof: Proof, folder: Path) -> None:
    """Add the verdicts to the history of a folder, and forget the oldest. Where it cannot be written there is none."""
    path = folder / HISTORY
    line = json.dumps(
        {
            "at": round(proof.began),
            "backend": proof.shown,
            "verdicts": {each.name: each.judgement.verdict.value for each in proof.promises if each.outcomes},
        }
    )
    try:
        path.parent.mkdir(exist_ok=True)
        ignore = path.with_name(".gitignore")
        if not ignore.exists():
            ignore.write_text("*\n")
        kept = [*_lines(path), line][-_MOST_LINES:]
        fresh = path.with_suffix(".new")
        fresh.write_text("\n".join(kept) + "\n")
        fresh.replace(path)
    except OSError:
        return


def ages(proof: Proof, folder: Path, now: float | None = None) -> dict[str, str]:
    """For each promise since when its verdict has been what it is, as far as the history tells."""
    now = time.time() if now is None else now
    past = [each for each in _past(folder / HISTORY) if each.backend == proof.shown]
    found: dict[str, str] = {}
    for promise in proof.promises:
        since, proofs = _since(past, promise.name, promise.judgement.verdict.value)
        if proofs:
            found[promise.name] = f"{promise.judgement.verdict.value} in {proofs + 1} proofs, for {_age(now - since)}."
    return found


class _Past(NamedTuple):
    at: float
    backend: str
    verdicts: Mapping[str, str]


def _past(path: Path) -> list[_Past]:
    found: list[_Past] = []
    for line in _lines(path):
        try:
            entry = json.loads(line)
            found.append(_Past(float(entry["at"]), str(entry["backend"]), dict(entry["verdicts"])))
        except (ValueError, KeyError, TypeError):
            continue  # a line that was cut
    return found


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except (OSError, UnicodeDecodeError):
        return []


def _since(past: Sequence[_Past], name: str, verdict: str) -> tuple[float, int]:
    since, proofs = 0.0, 0
    for entry in reversed(past):
        if name not in entry.verdicts:
            continue  # it was not asked that time
        if entry.verdicts[name] != verdict:
            break
        since, proofs = entry.at, proofs + 1
    return since, proofs


def _age(seconds: float) -> str:
    for unit, length in _UNITS:
        if seconds >= length:
            number = int(seconds / length)
            return f"{number} {unit}{'s' if number > 1 else ''}"
    return "less than a minute"
