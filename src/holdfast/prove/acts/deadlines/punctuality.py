"""What requests whose time was over, or whose database was held, say of deadlines. Pure."""

from typing import Final

from holdfast.decide.verdicts import Judgement, broken
from holdfast.prove.acts.deadlines.overdue import GIVEN_S, HOLDFAST, HURRIED, Overdue, Said

_LONG_S: Final = 2.0
"""What is shorter tells nobody's patience from another's."""
_AS_LONG: Final = 0.8
_NEVER: Final = 0.9
_OWN: Final = "Holdfast-Timeout-Ms"
_MEND: Final = (
    "Give each request a deadline, also where it waits for the database: `holdfast run` has HOLDFAST_TIMEOUT_S."
)
_MEND_ASKED: Final = "Go by what the sender says of its patience, and cancel what is overdue: `holdfast run` does both."
_MEND_LEFT: Final = (
    "Stop when the client has gone: `holdfast run` cancels the handler of a GET. What catches CancelledError goes on."
)


def judged(found: Overdue) -> Judgement | None:
    """The first thing that breaks the promise; None where nothing does."""
    return _begun(found) or (_waited(found) or _not_heard(found) or _left(found) if found.hung else None)


def _usual(found: Overdue) -> Said:
    """The request that said nothing."""
    return next(one for one in found.waited if not one.header)


def _begun(found: Overdue) -> Judgement | None:
    """Whether a request was begun whose time was over; only of a backend that says that it keeps such times."""
    for one in found.over:
        if found.holdfasts and one.name == _OWN and 200 <= one.status < 300:
            return broken(
                f"{one.what} with `{one.header}` was answered with {one.status}, although its time was over before it "
                f"was begun; other answers have the problem {HOLDFAST}deadline-passed.",
                str(one.status),
                mend=_MEND_ASKED,
                certain=True,
            )
        if one.status == 504 and one.problem.startswith(HOLDFAST) and not one.not_executed:
            return broken(
                f"{one.what} with `{one.header}` was answered with 504 and without Holdfast-Not-Executed: "
                f"it was begun, although its time was over before that.",
                "begun",
                mend="Look at the clock before the handler is called.",
                certain=True,
            )
    return None


def _waited(found: Overdue) -> Judgement | None:
    one = _usual(found)
    if one.status or one.took_s < _NEVER * found.patience_s:
        return None
    return broken(
        f"{one.what} had no answer after {found.patience_s:g} s while another process held its database "
        f"({', '.join(found.databases)}); if it has a deadline, it is longer than that.",
        f"more than {found.patience_s:g} s",
        mend=_MEND,
    )


def _wanted(found: Overdue) -> set[str]:
    """The headers that it hears by its own account: as an answer has shown, or as Holdfast's backends say."""
    return set(HURRIED) if found.holdfasts else {one.name for one in found.over if one.status == 504}


def _not_heard(found: Overdue) -> Judgement | None:
    usual = _usual(found)
    if usual.took_s < _LONG_S:
        return None
    for one in found.waited:
        if one.name in _wanted(found) and one.took_s > _AS_LONG * usual.took_s:
            return broken(
                f"While another process held its database, {one.what} with `{one.header}` took {one.took_s:.1f} s, "
                f"as long as one that said nothing ({usual.took_s:.1f} s), although the backend knows such deadlines.",
                f"{one.took_s:.1f} s",
                mend=_MEND_ASKED,
            )
    return None


def _left(found: Overdue) -> Judgement | None:
    lines = found.lines_s
    if not lines or len(lines) < found.left or found.left_for_s < _LONG_S - GIVEN_S:
        return None
    if min(lines) < _AS_LONG * found.left_for_s:
        return None
    return broken(
        f"{found.left} clients left {found.read} while another process held its database, and by its log each was "
        f"worked at for {min(lines):.1f} s more, as long as there was something to wait for.",
        f"{min(lines):.1f} s for nobody",
        mend=_MEND_LEFT,
    )


def told(found: Overdue) -> list[str]:
    """What shows that it is punctual."""
    if not found.hung:
        return []
    usual = _usual(found)
    hurried = [one for one in found.waited if one.header and one.took_s < _AS_LONG * usual.took_s]
    said = f" (and {hurried[0].took_s:.1f} s where {hurried[0].name} asked for {GIVEN_S:g} s)" if hurried else ""
    took = f"was answered with {usual.status} after {usual.took_s:.1f} s{said}"
    shown = [f"While another process held its database, {usual.what} {took}"]
    if found.lines_s and len(found.lines_s) == found.left and max(found.lines_s) < _AS_LONG * found.left_for_s:
        shown.append(f"what {found.left} clients had left was given up within {max(found.lines_s):.1f} s")
    return shown
