"""Many workers behind a load balancer that knows nothing of their load, and a chain of services."""

from bisect import bisect
from collections.abc import Callable
from itertools import accumulate

from holdfast.sim.clients import Budgeted
from holdfast.sim.request import End, Request
from holdfast.sim.service import Service
from holdfast.sim.worker import Act, Front, Worker
from holdfast.sim.world import World


class Fleet:
    """Replicas of one service; each request goes to one by chance."""

    def __init__(
        self,
        world: World,
        service: Service,
        make: Callable[[Worker], Front],
        count: int,
        *,
        weights: tuple[float, ...] = (1.0,),
        grey: float = 0.0,
        grey_slower: float = 3.0,
    ) -> None:
        """`weights` are dealt out in turn; a share `grey` of the replicas is slower, by `grey_slower`."""
        self.world = world
        self.workers: list[Worker] = []
        every = int(1 / grey) if grey else 0
        for index in range(count):
            slower = grey_slower if every and index % every == 0 else 1.0
            self.workers.append(Worker(world, service, make, f"replica {index}", slower))
        shares = [weights[index % len(weights)] for index in range(count)]
        self._ends = list(accumulate(shares)) if len(set(shares)) > 1 else []
        self._chance = world.chance("load balancer")
        self.out: set[int] = set()
        """Replicas that the load balancer knows to be out."""

    def send(self, request: Request) -> None:
        """Send a request to a replica by chance, but to none that is known to be out."""
        index = self._pick()
        while index in self.out:
            index = self._pick()
        self.workers[index].receive(request)

    def _pick(self) -> int:
        if not self._ends:
            return int(self._chance.random() * len(self.workers))
        return min(bisect(self._ends, self._chance.random() * self._ends[-1]), len(self.workers) - 1)

    @property
    def busy_s(self) -> float:
        """The processor time of all."""
        return sum(worker.busy_s for worker in self.workers)


class Calls:
    """How one service asks the next: with what remains of its time, and perhaps a second attempt within a budget."""

    def __init__(
        self, world: World, target: Callable[[Request], None], *, retries: bool, passes_on: bool = True
    ) -> None:
        """`passes_on`: the next service learns how much time remains; otherwise it has a second."""
        self.world = world
        self.attempts: int = 0
        self._target = target
        self._passes_on = passes_on
        self._budget = Budgeted(most=1, at_once=True) if retries else None
        self._count = 0
        self._asked: dict[int, tuple[Request, Act]] = {}

    def ask(self, request: Request, then: Act) -> None:
        """Send a request on. What is itself a retry is not retried."""
        self._send(request, then, 0)

    def _send(self, request: Request, then: Act, attempt: int) -> None:
        now = self.world.now
        self._count += 1
        self.attempts += 1
        gives_up = request.gives_up - max(0.005, 0.02 * (request.gives_up - now)) if self._passes_on else now + 1.0
        sent = Request(self, self._count, now, now, gives_up)
        sent.attempt = max(attempt, request.attempt)
        sent.priority, sent.tenant = request.priority, request.tenant
        self._asked[self._count] = (request, then)
        self.world.at(max(now, gives_up), self._give_up, sent)
        self._target(sent)

    def answered(self, request: Request, end: End, when: float) -> None:
        """Hear how it ended."""
        if end not in {End.DROPPED, End.ABANDONED}:
            self.world.at(when, self._heard, (request, end))

    def _heard(self, heard: tuple[Request, End]) -> None:
        request, end = heard
        asked = self._asked.pop(request.number, None)
        if asked is None:
            return
        whose, then = asked
        if end is End.SERVED:
            if self._budget is not None:
                self._budget.succeeded(request)
        elif self._budget is not None and self._budget.again_after(request, end, 0.5) is not None:
            self._send(whose, then, request.attempt + 1)
            return
        then((whose, end is End.SERVED))

    def _give_up(self, request: Request) -> None:
        asked = self._asked.pop(request.number, None)
        if asked is not None:
            asked[1]((asked[0], False))
