"""What an admitted request pays for the rules: `holdfast run` with and without them, and plain uvicorn.

The technique, the application and the client are those of bench/request_cost.py: all servers share a core and take
turns of a third of a second, in one order and then the other, and each turn is compared with the turns beside it.
"""

import sys
from typing import Final, NamedTuple

import request_cost
from runs import middle
from serving import CORES

PLAIN: Final = request_cost.BARE
"""FastAPI on uvicorn, with nothing around it."""
WITH: Final = "holdfast run"
WITHOUT: Final = "holdfast run, overload rules off"


class Overhead(NamedTuple):
    """What was found."""

    turns: request_cost.Results

    def more_us(self) -> list[float]:
        """Microseconds of CPU that a request takes more with the rules: the median of each round."""
        rounds = zip(self.turns[WITH], self.turns[WITHOUT], strict=True)
        return [middle([on.cpu_us - off.cpu_us for on, off in zip(*turns, strict=True)]) for turns in rounds]

    def table(self) -> str:
        """In Markdown."""
        return request_cost.table(self.turns)


def measured(rounds: int, seconds: float, switch: str) -> Overhead:
    """All rounds; `switch` is the setting that turns the rules off, such as HOLDFAST_SHED=off."""
    run = (sys.executable, "-m", "holdfast", "run", "app:app")
    contenders = (  # who is at an end has two turns in a row, in warm caches: so both that are compared are
        request_cost.Contender(WITH, run, logs=True),
        request_cost.Contender(PLAIN, request_cost._uvicorn("app:app"), logs=False),
        request_cost.Contender(WITHOUT, ("env", switch, *run), logs=True),
    )
    return Overhead(request_cost.alternate(rounds, seconds, CORES, contenders))
