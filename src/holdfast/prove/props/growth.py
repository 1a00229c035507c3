"""Whether memory grows with what goes through it: peaks at growing sizes, compared with one another."""

from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from holdfast.decide.counts import Sample
from holdfast.prove.charts import Chart, Series
from holdfast.prove.counters import Samples

MB: Final = 1 << 20
_NOISE_MB: Final = 28.0
"""So much may come and go by itself: caches that fill, memory that an allocator keeps."""
_SHARE: Final = 0.35
"""Up to this share of what more went through, memory counts as flat."""
_GROWS: Final = 0.5
"""From this share on it grows."""

FEWEST_LOOKS: Final = 4
"""With fewer looks a peak may have been missed: what seems flat is not shown to be. What was seen to grow, did."""


class Peak(msgspec.Struct, frozen=True):
    """The most memory while so much went through."""

    phase: str
    """What went on, such as `sending`."""
    size_mb: float
    over_mb: float
    """Over what it had at the very beginning."""
    looks: int = FEWEST_LOOKS
    """How often it was looked at."""


class Growth(msgspec.Struct, frozen=True):
    """How memory went from all that is smaller to the largest.

    Buffers, caches and allocators fill up to where they are full, and stay so: that is no growth. So the largest is
    compared with whatever took most before it.
    """

    phase: str
    less_mb: float
    """The size of the one before."""
    more_mb: float
    """How much larger the largest was."""
    grown_mb: float
    """How much more memory it took."""

    @property
    def bound_mb(self) -> float:
        """As far as that, it is flat."""
        return max(_NOISE_MB, _SHARE * self.more_mb)

    @property
    def flat(self) -> bool:
        """Whether memory stayed flat."""
        return self.grown_mb <= self.bound_mb

    @property
    def grows(self) -> bool:
        """Whether it clearly grew."""
        return not self.flat and self.grown_mb > _GROWS * self.more_mb

    @property
    def number(self) -> str:
        """In short."""
        return f"{max(0.0, self.grown_mb):.0f} MB more for {self.more_mb:.0f} MB"

    @property
    def sentence(self) -> str:
        """In a sentence without its end."""
        return (
            f"From {self.less_mb:.0f} to {self.less_mb + self.more_mb:.0f} MB, memory while {self.phase} grew by "
            f"{max(0.0, self.grown_mb):.0f} MB (flat is up to {self.bound_mb:.0f} MB)"
        )


def growths(peaks: Iterable[Peak]) -> list[Growth]:
    """For each phase, what the largest took beyond all that is smaller; the worst first."""
    phases: dict[str, list[Peak]] = {}
    for peak in peaks:
        phases.setdefault(peak.phase, []).append(peak)
    found: list[Growth] = []
    for phase, ones in phases.items():
        largest = max(one.size_mb for one in ones)
        smaller = [one for one in ones if one.size_mb < largest]
        if smaller:
            less = max(one.size_mb for one in smaller)
            most = max(one.over_mb for one in ones if one.size_mb == largest)
            found.append(Growth(phase, less, largest - less, most - max(one.over_mb for one in smaller)))
    return sorted(found, key=lambda one: one.bound_mb - one.grown_mb)


def unseen(samples: Samples) -> str:
    """Why not all of the memory could be seen; empty where it could."""
    why = next(iter(samples.unseen.values()), "")
    return f"the memory of a process could not be seen ({why})" if why else ""


def peak(series: Sequence[Sample], phase: str, size: int, span: tuple[float, float]) -> Peak:
    """The most memory that was seen in a span of time, over that of the first look."""
    begin, end = span
    inside = [one.anonymous for one in series if begin <= one.at <= end]
    nearest = min(series, key=lambda one: abs(one.at - end)).anonymous
    return Peak(phase, size / MB, (max(inside, default=nearest) - series[0].anonymous) / MB, len(inside))


def missed(peaks: Sequence[Peak]) -> str:
    """Why what seems flat is not shown to be: it was looked at too rarely where it mattered most."""
    fewest = min(peaks, key=lambda one: (-one.size_mb, one.looks))
    if fewest.looks >= FEWEST_LOOKS:
        return ""
    return f"its memory could be looked at only {fewest.looks} times while {fewest.phase} {fewest.size_mb:.0f} MB"


def over_size(peaks: Sequence[Peak], title: str, x: str) -> Chart:
    """Memory over size, a line for each phase, and what would be one byte for each byte."""
    phases = list(dict.fromkeys(one.phase for one in peaks))
    lines = [
        Series(phase, tuple((one.size_mb, one.over_mb) for one in peaks if one.phase == phase)) for phase in phases
    ]
    sizes = sorted({one.size_mb for one in peaks})
    whole = Series("all of it in memory", tuple((size, size) for size in sizes), "bound")
    return Chart(
        title, "A line that stays low is memory that does not grow with what goes through.", x, "MB", (*lines, whole)
    )
