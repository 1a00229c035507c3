"""Two pictures as SVG, for pages that are light or dark."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, NamedTuple

WIDTH: Final = 760
HEIGHT: Final = 400
LEFT: Final = 62
RIGHT: Final = 22
TOP: Final = 64
BOTTOM: Final = 52
LEGEND_ROW: Final = 20

STYLE: Final = """
  .paper { fill: #ffffff } .grid { stroke: #e3e6ea } .axis { stroke: #6b7480 } .load { fill: #eef1f4 }
  text { font: 13px system-ui, sans-serif; fill: #2b3138 } .title { font-size: 15px; font-weight: 600 }
  .line { fill: none; stroke-width: 2; stroke-linejoin: round } .bound { stroke: #6b7480; stroke-dasharray: 5 4 }
  .c0 { stroke: #0b6e8f; stroke-width: 3.5 } .c1 { stroke: #c2570c } .c2 { stroke: #8a5a9e } .c3 { stroke: #5c8a2f }
  .c4 { stroke: #b0892a } .c5 { stroke: #b3446c } .c6 { stroke: #5b6b9a } .c7 { stroke: #7a7a7a }
  @media (prefers-color-scheme: dark) {
    .paper { fill: #14181d } .grid { stroke: #2a3038 } .axis { stroke: #8b95a1 } .load { fill: #1c2229 }
    text { fill: #d5dae0 } .bound { stroke: #8b95a1 }
    .c0 { stroke: #4fc3e8 } .c1 { stroke: #f0935a } .c2 { stroke: #c79bdb } .c3 { stroke: #9ccc65 }
    .c4 { stroke: #e2bd5f } .c5 { stroke: #ee8db0 } .c6 { stroke: #9fb0e0 } .c7 { stroke: #a8a8a8 }
  }
"""


class Curve(NamedTuple):
    """A line in a picture."""

    name: str
    points: Sequence[tuple[float, float]]
    bound: bool = False
    """It shows what is possible, not what was measured."""


class Axis(NamedTuple):
    """One direction of a picture."""

    title: str
    least: float
    most: float
    marks: Sequence[float]
    spaced: Callable[[float], float] = float
    """What makes distances of values, such as a logarithm."""

    def share(self, value: float) -> float:
        """Where a value is between the ends, from 0 to 1."""
        begin, end = self.spaced(self.least), self.spaced(self.most)
        return (min(max(self.spaced(value), begin), end) - begin) / (end - begin)


def picture(
    title: str, across: Axis, up: Axis, curves: Sequence[Curve], shaded: tuple[float, float] | None = None
) -> str:
    """A picture with a legend below its title; `shaded` is a stretch of the axis across with another background."""
    rows = (len(curves) + 2) // 3
    plot = _Plot(across, up, TOP + rows * LEGEND_ROW)
    height = plot.bottom + BOTTOM
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img">',
            f"<title>{_safe(title)}</title>",
            f"<style>{STYLE}</style>",
            f'<rect class="paper" width="{WIDTH}" height="{height}" rx="8"/>',
            f'<text class="title" x="{LEFT}" y="32">{_safe(title)}</text>',
            *_legend(curves),
            *([plot.shade(*shaded)] if shaded else []),
            *plot.axes(),
            *(plot.curve(curve, number) for number, curve in _numbered(curves)),
            "</svg>",
            "",
        ]
    )


class _Plot(NamedTuple):
    across: Axis
    up: Axis
    top: int

    @property
    def bottom(self) -> int:
        return self.top + HEIGHT - TOP - BOTTOM

    def x(self, value: float) -> float:
        return LEFT + self.across.share(value) * (WIDTH - LEFT - RIGHT)

    def y(self, value: float) -> float:
        return self.bottom - self.up.share(value) * (self.bottom - self.top)

    def shade(self, begin: float, end: float) -> str:
        left, right = self.x(begin), self.x(end)
        place = f'x="{left:.1f}" y="{self.top}" width="{right - left:.1f}" height="{self.bottom - self.top}"'
        return f'<rect class="load" {place}/>'

    def axes(self) -> list[str]:
        found: list[str] = []
        for mark in self.up.marks:
            y = f"{self.y(mark):.1f}"
            found.append(f'<line class="grid" x1="{LEFT}" y1="{y}" x2="{WIDTH - RIGHT}" y2="{y}"/>')
            found.append(f'<text x="{LEFT - 8}" y="{self.y(mark) + 4:.1f}" text-anchor="end">{mark:g}</text>')
        for mark in self.across.marks:
            x = f"{self.x(mark):.1f}"
            found.append(f'<line class="axis" x1="{x}" y1="{self.bottom}" x2="{x}" y2="{self.bottom + 5}"/>')
            found.append(f'<text x="{x}" y="{self.bottom + 20}" text-anchor="middle">{mark:g}</text>')
        found.append(f'<line class="axis" x1="{LEFT}" y1="{self.bottom}" x2="{WIDTH - RIGHT}" y2="{self.bottom}"/>')
        middle = (LEFT + WIDTH - RIGHT) / 2
        found.append(
            f'<text x="{middle}" y="{self.bottom + 42}" text-anchor="middle">{_safe(self.across.title)}</text>'
        )
        y = (self.top + self.bottom) / 2
        turned = f'transform="rotate(-90 18 {y})" text-anchor="middle"'
        return [*found, f'<text x="18" y="{y}" {turned}>{_safe(self.up.title)}</text>']

    def curve(self, curve: Curve, number: int) -> str:
        points = " ".join(f"{self.x(x):.1f},{self.y(y):.1f}" for x, y in curve.points)
        return f'<polyline class="line {_look(curve, number)}" points="{points}"/>'


def _numbered(curves: Sequence[Curve]) -> list[tuple[int, Curve]]:
    """The first one, which is drawn thickest, comes last, so that it lies above the others."""
    return list(enumerate(curves))[::-1]


def _look(curve: Curve, number: int) -> str:
    return "bound" if curve.bound else f"c{min(number, 7)}"


def _legend(curves: Sequence[Curve]) -> list[str]:
    found: list[str] = []
    for number, curve in enumerate(curves):
        x, y = LEFT + number % 3 * 226, 52 + number // 3 * LEGEND_ROW
        found.append(f'<line class="line {_look(curve, number)}" x1="{x}" y1="{y}" x2="{x + 22}" y2="{y}"/>')
        found.append(f'<text x="{x + 28}" y="{y + 4}">{_safe(curve.name)}</text>')
    return found


def _safe(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace('"', "&quot;")


def written(path: Path, text: str) -> None:
    """Put it into its file."""
    path.write_text(text)
