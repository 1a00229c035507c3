"""What came of the requests, as numbers."""

from array import array
from collections.abc import Callable
from hashlib import blake2b
from statistics import fmean

from holdfast.decide.admission import Priority
from holdfast.sim.request import End


def quantile(values: list[float], share: float) -> float:
    """The value below which `share` of them are; 0 where there are none."""
    if not values:
        return 0.0
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


class Record:
    """A line for each user: when it was wanted, when it was settled, how. Attempts are counted beside that."""

    def __init__(self) -> None:
        """Nobody has come."""
        self._offered_at = array("d")
        self._offered_by = array("i")
        self._wanted = array("d")
        self._settled = array("d")
        self._ends = array("b")
        self._whose = array("i")
        self.attempts: int = 0
        self.attempt_times: array[float] = array("d")
        self.told: array[float] = array("d")
        """How long each refusal took to reach its client."""
        self.told_at: array[float] = array("d")

    # -- what happens --

    def offered(self, when: float, priority: Priority, tenant: int) -> None:
        """A user wants something."""
        self._offered_at.append(when)
        self._offered_by.append(tenant * 4 + priority)

    def attempted(self, when: float) -> None:
        """A request is sent."""
        self.attempts += 1
        self.attempt_times.append(when)

    def refused(self, when: float, took_s: float) -> None:
        """A refusal has reached a client."""
        self.told_at.append(when)
        self.told.append(took_s)

    def settled(self, wanted: float, when: float, end: End, priority: Priority, tenant: int) -> None:
        """A user has an answer, or has none and will not try again."""
        self._wanted.append(wanted)
        self._settled.append(when)
        self._ends.append(end)
        self._whose.append(tenant * 4 + priority)

    # -- what it comes to --

    def digest(self) -> str:
        """Of all that happened, to compare two runs by."""
        whole = blake2b(digest_size=16)
        for column in (self._offered_at, self._wanted, self._settled, self._ends, self._whose, self.told):
            whole.update(column.tobytes())
        return whole.hexdigest()

    def count(self, begin: float = 0.0, end: float = float("inf")) -> int:
        """How many users came within this time."""
        return sum(begin <= at < end for at in self._offered_at)

    def ends(self, begin: float = 0.0, end: float = float("inf")) -> dict[End, int]:
        """How many of those that came within this time ended how."""
        found = dict.fromkeys(End, 0)
        for at, how in zip(self._wanted, self._ends, strict=True):
            if begin <= at < end:
                found[End(how)] += 1
        return found

    def goodput(self, begin: float, end: float) -> float:
        """How many a second were answered in time, by when they were answered."""
        good = sum(how == End.SERVED and begin <= at < end for at, how in zip(self._settled, self._ends, strict=True))
        return good / (end - begin)

    def latencies(self, begin: float, end: float, share: float = 0.99) -> float:
        """A quantile of the time from the wish to the answer, of those that were answered at all, late ones too."""
        return quantile(
            [
                at - wanted
                for wanted, at, how in zip(self._wanted, self._settled, self._ends, strict=True)
                if how <= End.LATE and begin <= at < end
            ],
            share,
        )

    def served(self, begin: float, end: float, which: Callable[[Priority, int], bool]) -> float:
        """The share of some users, by priority and tenant, that were answered in time."""
        came = sum(
            begin <= at < end and which(Priority(by % 4), by // 4)
            for at, by in zip(self._offered_at, self._offered_by, strict=True)
        )
        good = sum(
            how == End.SERVED and begin <= wanted < end and which(Priority(by % 4), by // 4)
            for wanted, how, by in zip(self._wanted, self._ends, self._whose, strict=True)
        )
        return good / came if came else 1.0

    def refusals(self, begin: float, end: float) -> int:
        """How many refusals reached a client within this time."""
        return sum(begin <= at < end for at in self.told_at)

    def telling(self, begin: float, end: float, share: float = 0.99) -> float:
        """A quantile of the time that refusals took to reach their clients."""
        return quantile([took for at, took in zip(self.told_at, self.told, strict=True) if begin <= at < end], share)

    def seconds(self, until: float, step: float = 1.0) -> list[float]:
        """Goodput in each step of time, a second."""
        found = [0.0] * int(until / step)
        for at, how in zip(self._settled, self._ends, strict=True):
            index = int(at / step)
            if how == End.SERVED and index < len(found):
                found[index] += 1 / step
        return found

    def steady_after(self, begin: float, end: float, share: float, step: float = 0.1) -> float:
        """How long after `begin` goodput stays at `share` of its later mean, over half a second each."""
        series = self.seconds(end, step)[int(begin / step + 0.5) :]
        later = fmean(series[len(series) // 2 :])
        for index in range(len(series) - 5):
            if fmean(series[index : index + 5]) >= share * later:
                return index * step
        return end - begin
