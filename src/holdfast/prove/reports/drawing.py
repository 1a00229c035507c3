"""Charts as SVG, for a page that is light or dark."""

import math
from collections.abc import Callable, Sequence
from html import escape
from typing import Final, NamedTuple

from holdfast.prove.charts import Chart, Series

_WIDTH: Final = 640
_HEIGHT: Final = 280
_LEFT: Final = 64
_RIGHT: Final = 20
_TOP: Final = 18
_BOTTOM: Final = 46
_MARKS: Final = 5
_MOST_POINTS: Final = 400
_MOST_WHOLE: Final = 30
_LETTER: Final = 6.7
_LETTERS: Final = 84
"""So many fit side by side below a chart."""


class _Axis(NamedTuple):
    least: float
    most: float
    log: bool
    whole: bool = False
    """Only whole numbers mean something."""

    def share(self, value: float) -> float:
        """Where a value is, from 0 to 1."""
        place: Callable[[float], float] = math.log10 if self.log else float
        begin, end = place(self.least), place(self.most)
        return (place(min(max(value, self.least), self.most)) - begin) / (end - begin)

    def marks(self) -> list[float]:
        if self.log:
            decades = range(math.ceil(math.log10(self.least)), math.floor(math.log10(self.most)) + 1)
            found = [10.0**power for power in decades]
            return found if len(found) > 1 else [self.least, self.most]
        step = _round_step((self.most - self.least) / _MARKS)
        if self.whole:
            step = max(1.0, step)
        first = math.ceil(self.least / step)
        return [number * step for number in range(first, math.floor(self.most / step + 1e-9) + 1)]


def _round_step(rough: float) -> float:
    """1, 2 or 5 times a power of ten, at least as large."""
    power = 10.0 ** math.floor(math.log10(rough))
    return next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough * 0.999)


def _axis(values: Sequence[float], *, log: bool, from_zero: bool) -> _Axis:
    if log:
        positive = [value for value in values if value > 0] or [1.0]
        least, most = min(positive), max(positive)
        return _Axis(least, most if most > least else least * 10, log=True)
    least, most = (0.0 if from_zero else min(values)), max(values)
    whole = all(value == int(value) for value in values) and most <= _MOST_WHOLE
    return _Axis(least, most * (1.0 if whole else 1.05) if most > least else least + 1.0, log=False, whole=whole)


def drawing(chart: Chart) -> str:
    """A chart; a sentence where there is nothing to draw."""
    points = [point for series in chart.series for point in series.points]
    if not points:
        return "<p>Nothing was measured that could be drawn.</p>"
    marked = [mark.at for mark in chart.marks if mark.axis == "x"]
    across = _axis([x for x, _ in points] + marked, log=chart.log_x, from_zero=False)
    if chart.names:
        across = _Axis(-0.5, len(chart.names) - 0.5, log=False)
    up = _axis(
        [y for _, y in points] + [mark.at for mark in chart.marks if mark.axis == "y"], log=chart.log_y, from_zero=True
    )
    plot = _Plot(across, up)
    label = escape(f"{chart.title}. {chart.says}", quote=True)
    return "\n".join(
        [
            f'<svg class="chart" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{label}">',
            *plot.axes(chart),
            *plot.marks(chart),
            *(plot.series(series, number) for number, series in enumerate(chart.series)),
            "</svg>",
            _legend(chart.series),
        ]
    )


class _Plot(NamedTuple):
    across: _Axis
    up: _Axis

    def x(self, value: float) -> float:
        return _LEFT + self.across.share(value) * (_WIDTH - _LEFT - _RIGHT)

    def y(self, value: float) -> float:
        return _HEIGHT - _BOTTOM - self.up.share(value) * (_HEIGHT - _TOP - _BOTTOM)

    def axes(self, chart: Chart) -> list[str]:
        found: list[str] = []
        for mark in self.up.marks():
            y = self.y(mark)
            found.append(f'<line class="grid" x1="{_LEFT}" y1="{y:.1f}" x2="{_WIDTH - _RIGHT}" y2="{y:.1f}"/>')
            found.append(f'<text x="{_LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{shown(mark)}</text>')
        foot = _HEIGHT - _BOTTOM
        if chart.names:
            found += self.names(chart.names)
        else:
            found += [
                f'<text x="{self.x(mark):.1f}" y="{foot + 18}" text-anchor="middle">{shown(mark)}</text>'
                for mark in self.across.marks()
            ]
            middle = (_LEFT + _WIDTH - _RIGHT) / 2
            title = f'<text class="soft" x="{middle}" y="{foot + 38}" text-anchor="middle">{escape(chart.x)}</text>'
            found.append(title)
        found.append(f'<line class="axis" x1="{_LEFT}" y1="{foot}" x2="{_WIDTH - _RIGHT}" y2="{foot}"/>')
        turned = f'transform="rotate(-90 14 {foot / 2 + 8})" text-anchor="middle"'
        return [*found, f'<text class="soft" x="14" y="{foot / 2 + 8}" {turned}>{escape(chart.y)}</text>']

    def names(self, names: Sequence[str]) -> list[str]:
        """Names of kinds in two rows, for they are longer than numbers; cut to the room that there is."""
        most = max(6, 2 * _LETTERS // max(1, len(names)) - 2)
        found: list[str] = []
        for place, name in enumerate(names):
            short = name if len(name) <= most else f"{name[: most - 1]}…"
            y = _HEIGHT - _BOTTOM + 15 + place % 2 * 14
            half = len(short) * _LETTER / 2
            x = min(max(self.x(place), half), _WIDTH - half)
            text = f'<text class="kind" x="{x:.1f}" y="{y}" text-anchor="middle">'
            found.append(f"{text}<title>{escape(name)}</title>{escape(short)}</text>")
        return found

    def marks(self, chart: Chart) -> list[str]:
        found: list[str] = []
        for number, mark in enumerate(chart.marks):
            if mark.axis == "x":
                x = self.x(mark.at)
                side, anchor = (-4, "end") if x > _WIDTH * 0.7 else (4, "start")
                found.append(_line(x, _TOP, x, _HEIGHT - _BOTTOM))
                found.append(_name(x + side, _TOP + 12 + number % 4 * 15, anchor, mark.name))
            else:
                y = self.y(mark.at)
                found.append(_line(_LEFT, y, _WIDTH - _RIGHT, y))
                found.append(_name(_WIDTH - _RIGHT, y - 4, "end", mark.name))
        return found

    def series(self, series: Series, number: int) -> str:
        look = "bound" if series.kind == "bound" else f"c{number % 6}"
        places = [(self.x(x), self.y(y)) for x, y in _thinned(series.points)]
        dots = "".join(f'<circle class="{look}" cx="{x:.1f}" cy="{y:.1f}" r="3.5"/>' for x, y in places)
        if series.kind == "dots":
            return dots
        line = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        return f'<polyline class="line {look}" points="{line}"/>' + (
            dots if len(places) <= 20 and look != "bound" else ""
        )


def _line(x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<line class="mark" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def _name(x: float, y: float, anchor: str, name: str) -> str:
    return f'<text class="soft" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(name)}</text>'


def _thinned(points: Sequence[tuple[float, float]]) -> Sequence[tuple[float, float]]:
    """Not more points than one can see: of each stretch the highest."""
    if len(points) <= _MOST_POINTS:
        return points
    size = math.ceil(len(points) / _MOST_POINTS)
    return [max(points[begin : begin + size], key=lambda point: point[1]) for begin in range(0, len(points), size)]


def _legend(series: Sequence[Series]) -> str:
    names = [
        f'<span><i class="{"bound" if each.kind == "bound" else f"c{number % 6}"}"></i>{escape(each.name)}</span>'
        for number, each in enumerate(series)
        if each.name
    ]
    return f'<p class="legend">{"".join(names)}</p>' if names else ""


def shown(value: float) -> str:
    """A number on an axis."""
    if abs(value) >= 10_000:
        return f"{value / 1000:,.0f}k"
    return f"{value:,.0f}" if abs(value) >= 100 or value == int(value) else f"{value:.3g}"
