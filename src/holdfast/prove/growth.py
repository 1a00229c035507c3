"""Whether memory grows with what goes through it: peaks at growing sizes, compared with one another."""

from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from holdfast.decide.counts import Sample
from holdfast.prove.charts import Chart, Series

MB: Final = 1 << 20
_NOISE_MB: Final = 24.0
"""So much may come and go by itself: caches that fill, memory that an allocator keeps."""
_SHARE: Final = 0.25
"""Up to this share of what more went through, memory counts as flat."""
_GROWS: Final = 0.5
"""From this share on it grows."""


class Peak(msgspec.Struct, frozen=True):
    """The most memory while so much went through."""

    phase: str
    """What went on, such as `sending`."""
    size_mb: float
    over_mb: float
    """Over what it had at the very beginning."""


class Growth(msgspec.Struct, frozen=True):
    """How memory went from the smallest to the largest."""

    phase: str
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


def growths(peaks: Iterable[Peak]) -> list[Growth]:
    """For each phase, what the largest took beyond the smallest; the worst first."""
    phases: dict[str, list[Peak]] = {}
    for peak in peaks:
        phases.setdefault(peak.phase, []).append(peak)
    found: list[Growth] = []
    for phase, ones in phases.items():
        ones.sort(key=lambda one: one.size_mb)
        most = max(one.over_mb for one in ones[1:]) if len(ones) > 1 else ones[0].over_mb
        found.append(Growth(phase, ones[-1].size_mb - ones[0].size_mb, most - ones[0].over_mb))
    return sorted(found, key=lambda one: one.bound_mb - one.grown_mb)


def peak(series: Sequence[Sample], phase: str, size: int, span: tuple[float, float]) -> Peak:
    """The most memory that was seen in a span of time, over that of the first look."""
    begin, end = span
    inside = [one.anonymous for one in series if begin <= one.at <= end]
    nearest = min(series, key=lambda one: abs(one.at - end)).anonymous
    return Peak(phase, size / MB, (max(inside, default=nearest) - series[0].anonymous) / MB)


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
