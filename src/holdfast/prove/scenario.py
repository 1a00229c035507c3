"""What a scenario is: it gathers facts about a running backend, and a pure function judges them.

The two are apart so that an old run can be judged again, and so that a judgement can be tested without a backend.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import msgspec

from holdfast.decide.verdicts import Judgement
from holdfast.prove.charts import Chart
from holdfast.prove.stage import Stage


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What was seen. Each scenario has its own, with what it needs beside these."""

    well: str = ""
    """How it was seen that the backend was well before."""
    fault: str = ""
    """How it was seen that the fault really happened."""
    limit: str = ""
    """What of this machine kept it from being shown, if anything did."""


F = TypeVar("F", bound=Facts)


def no_charts(_: Facts) -> Sequence[Chart]:
    """Nothing to look at."""
    return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario(Generic[F]):
    """One way of breaking a backend, and what it says of one promise."""

    name: str
    """In kebab-case, as `--only` wants it."""
    promise: str
    title: str
    """What is done, in a line."""
    seconds: float
    """About how long it takes with a quick backend."""
    facts: type[F]
    gather: Callable[[Stage], Awaitable[F]]
    judge: Callable[[F], Judgement]
    needs: tuple[str, ...] = ()
    """What must be known of the backend: keys of the configuration, such as `upload`."""
    part: str = ""
    """Which part of the promise, where it has several: `against kill`."""
    quick: bool = False
    """Whether it belongs to `--quick`."""
    charts: Callable[[F], Sequence[Chart]] = no_charts


AnyScenario = Scenario[Any]
"""A scenario of whatever facts."""
