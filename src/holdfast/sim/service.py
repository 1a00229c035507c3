"""What a request costs: pieces of calculation with waits between them, and what a refusal costs beside it."""

from collections import deque
from collections.abc import Callable
from math import fsum
from random import Random
from typing import NamedTuple

from holdfast.sim.request import Request

_DRAWN = 4096


class Slice(NamedTuple):
    """A piece of calculation on the loop, and what the handler waits for afterwards. Times in seconds."""

    cpu_s: float
    wait_s: float = 0.0
    pooled: bool = False
    """It waits for a connection of the pool, then keeps it for `wait_s`."""
    thread_s: float = 0.0
    """It has this much calculated in a thread."""
    calls: bool = False
    """It asks the next service."""


class Service(NamedTuple):
    """A handler and what stands around it. Times in seconds."""

    slices: tuple[Slice, ...]
    refuse_s: float
    """What it costs to read a request and to refuse it."""
    pool: int = 0
    """How many connections the pool has; 0: there is none."""
    threads: int = 4
    spread: float = 4.0
    """The shape of the gamma distribution that calculation follows; large: always the same. 0: a long tail."""
    wait_spread: float = 0.0
    """The sigma of the lognormal distribution that waits follow; below 0: anything from 0 to twice the mean."""
    turn_s: float = 15e-6
    """What a turn of the loop costs by itself."""
    accept_s: float = 25e-6
    """What it costs to accept a connection."""
    drop_s: float = 5e-6
    """What it costs to forget a request whose client has gone."""
    accept_at_once: int = 0
    """How many connections are accepted in a turn; 0: all that wait."""
    backlog: int = 2048

    @property
    def cpu_s(self) -> float:
        """What serving one request costs, on average."""
        return fsum(part.cpu_s + part.thread_s for part in self.slices)

    @property
    def alone_s(self) -> float:
        """How long one request takes on an idle worker, on average."""
        return self.cpu_s + fsum(part.wait_s for part in self.slices)

    @property
    def capacity(self) -> float:
        """How many requests a second can be served at most."""
        held_s = fsum(part.wait_s for part in self.slices if part.pooled)
        by_cpu = 1 / (self.cpu_s + self.accept_s)
        return min(by_cpu, self.pool / held_s) if self.pool and held_s else by_cpu

    @property
    def refusal(self) -> float:
        """What a refusal of a new connection costs, in multiples of serving one: the r of the bound."""
        return (self.refuse_s + self.accept_s) / (self.cpu_s + self.accept_s)

    def bound(self, load: float) -> float:
        """The most goodput, as a share of capacity, at `load` times the capacity: what is refused costs too."""
        left_s = 1 - load * self.capacity * (self.accept_s + self.refuse_s)
        return max(0.0, min(load, 1.0, left_s / (self.cpu_s - self.refuse_s) / self.capacity))


def drawn(chance: Random, spread: float) -> list[float]:
    """Factors with mean 1 that calculation is multiplied with."""
    if spread == 0.0:
        return [chance.lognormvariate(-0.5, 1.0) for _ in range(_DRAWN)]
    return [chance.gammavariate(spread, 1 / spread) for _ in range(_DRAWN)]


def drawn_waits(chance: Random, sigma: float) -> list[float]:
    """Factors with mean 1 that waits are multiplied with; below 0: anything from 0 to 2."""
    if sigma < 0:
        return [chance.uniform(0, 2) for _ in range(_DRAWN)]
    return [chance.lognormvariate(-sigma * sigma / 2, sigma) for _ in range(_DRAWN)] if sigma else [1.0]


class Pool:
    """Connections to a neighbour, first come, first served."""

    def __init__(self, size: int) -> None:
        """All are free."""
        self.free: int = size
        self.skips: Callable[[Request], bool] = lambda _: False
        """Whether who waited does not want it any more."""
        self._waiting: deque[tuple[Callable[[Request], None], Request]] = deque()

    def acquire(self, use: Callable[[Request], None], request: Request) -> None:
        """Use a connection, now or once one is free."""
        if self.free:
            self.free -= 1
            use(request)
        else:
            self._waiting.append((use, request))

    def release(self) -> None:
        """Give a connection on, or back."""
        while self._waiting:
            use, request = self._waiting.popleft()
            if not request.done and not self.skips(request):
                use(request)
                return
        self.free += 1
