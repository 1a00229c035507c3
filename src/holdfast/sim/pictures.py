"""The pictures of the documentation, as SVG that follows the reader's light or dark."""

from holdfast.sim.phase import LOADS, PEOPLE, TRIGGERS, Cell, diagram
from holdfast.sim.runs import MIDDLE, RIVALS, Make, ours, steady
from holdfast.sim.service import Service

_STYLE = """<style>
  text { font: 12px system-ui, sans-serif; fill: #333 } .quiet { fill: #777 } .name { font-weight: 600 }
  .axis { stroke: #bbb; stroke-width: 1 } .bound { stroke: #999; stroke-dasharray: 4 4 }
  .ours { stroke: #0a7d6c; stroke-width: 2.5 } .other { stroke: #b08a3c }
  .third { stroke: #7a7fb5 } .fourth { stroke: #b5707a }
  path { fill: none; stroke-width: 1.5 } .well { fill: #8cc7b5 } .low { fill: #e3c17a } .gone { fill: #c9645f }
  @media (prefers-color-scheme: dark) {
    text { fill: #ddd } .quiet { fill: #999 } .axis { stroke: #555 } .ours { stroke: #3fc1a9 }
    .other { stroke: #d1a94f } .third { stroke: #9da3e0 } .fourth { stroke: #d9929c }
    .well { fill: #3d7a69 } .low { fill: #9a7a35 } .gone { fill: #9b3f3b }
  }
</style>"""
_LEVELS = (0.5, 0.8, 1.0, 1.2, 1.6, 2.0, 3.0, 5.0, 7.0, 10.0)
_CURVES: tuple[tuple[str, str, Make], ...] = (
    ("ours", "Holdfast", ours),
    ("other", "Gradient2", RIVALS["Gradient2"]),
    ("third", "fixed 100", RIVALS["fixed 100"]),
    ("fourth", "success AIMD", RIVALS["success AIMD"]),
)


def _svg(width: int, height: int, title: str, parts: list[str]) -> str:
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" aria-label="{title}">'
    return "\n".join([head, f"<title>{title}</title>", _STYLE, *parts, "</svg>", ""])


def _text(x: float, y: float, text: str, kind: str = "", anchor: str = "start") -> str:
    return f'<text x="{x:g}" y="{y:g}" class="{kind}" text-anchor="{anchor}">{text}</text>'


def _panel(x: float, y: float, name: str, cells: list[Cell]) -> list[str]:
    parts = [_text(x, y - 8, name, "name")]
    for found in cells:
        column, row = LOADS.index(found.load), TRIGGERS.index(found.trigger)
        kind = "well" if not found.metastable else "low" if found.share > 0.2 else "gone"
        top = y + (len(TRIGGERS) - 1 - row) * 22
        parts.append(f'<rect x="{x + column * 20:g}" y="{top:g}" width="18" height="20" rx="2" class="{kind}"/>')
    foot = y + len(TRIGGERS) * 22 + 12
    parts += [_text(x, foot, f"{LOADS[0]:g}", "quiet"), _text(x + 198, foot, f"{LOADS[-1]:g} x", "quiet", "end")]
    return parts


def phase_picture(diagrams: dict[str, list[Cell]]) -> str:
    """Load to the right, size of the trigger upwards, one panel for each limiter."""
    parts: list[str] = []
    for index, (name, cells) in enumerate(diagrams.items()):
        parts += _panel(46 + index % 3 * 228, 34 + index // 3 * 172, name, cells)
    for row in range(2):
        parts += [_text(38, 52 + row * 172, "8 s", "quiet", "end"), _text(38, 140 + row * 172, "0.5 s", "quiet", "end")]
    parts.append(
        _text(46, 362, "Load before and after, to the right; the trigger in seconds of the capacity, upwards.", "quiet")
    )
    for x, kind, says in ((46, "well", "back within 20 s"), (196, "low", "in part"), (290, "gone", "not back")):
        parts += [f'<rect x="{x}" y="374" width="12" height="12" rx="2" class="{kind}"/>', _text(x + 18, 385, says)]
    return _svg(730, 396, "Where a service does not come back by itself", parts)


def goodput_picture(curves: dict[str, list[float]], service: Service) -> str:
    """Goodput against load, with the bound."""

    def place(load: float, share: float) -> str:
        return f"{60 + (load - 0.5) / 9.5 * 520:.1f},{250 - share * 210:.1f}"

    parts = ['<path class="axis" d="M60,30 V250 H590"/>']
    parts += [_text(52, 254 - share * 210, f"{share:g}", "quiet", "end") for share in (0, 0.5, 1)]
    parts += [
        _text(60 + (load - 0.5) / 9.5 * 520, 268, f"{load:g} x", "quiet", "middle") for load in (1, 2, 3, 5, 7, 10)
    ]
    bound = " ".join(place(load, service.bound(load)) for load in _LEVELS)
    parts.append(f'<path class="bound" d="M{bound}"/>')
    for index, (kind, name, _) in enumerate(_CURVES):
        points = " ".join(place(load, share) for load, share in zip(_LEVELS, curves[name], strict=True))
        parts.append(f'<path class="{kind}" d="M{points}"/>')
        parts += [f'<path class="{kind}" d="M606,{60 + index * 22} h22"/>', _text(634, 64 + index * 22, name)]
    parts += ['<path class="bound" d="M606,148 h22"/>', _text(634, 152, "the bound g*")]
    parts.append(_text(60, 18, "Goodput, as a share of the capacity", "quiet"))
    return _svg(740, 280, "Goodput against load", parts)


def pictures() -> dict[str, str]:
    """Run what is drawn, and draw it: names of files and their texts."""
    curves = {
        name: [steady(MIDDLE, make, load, 12).record.goodput(2, 12) / MIDDLE.capacity for load in _LEVELS]
        for _, name, make in _CURVES
    }
    return {
        "sim-goodput.svg": goodput_picture(curves, MIDDLE),
        "sim-metastable.svg": phase_picture({name: diagram(make) for name, make in PEOPLE.items()}),
    }
