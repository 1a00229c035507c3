"""The report as one HTML page, which needs nothing beside itself."""

from collections.abc import Sequence
from html import escape

from holdfast.profile.report import ByLine, Node, Report, by_route, running, shown, tree, waiting

_ROWS = 40
_LEAST = 0.002
"""The share of the time below which a line of the tree is left out."""
_OPEN = 0.05
"""The share from which on a branch of the tree is open."""

_STYLE = """
:root { color-scheme: light dark; --ground: #fbfaf8; --ink: #23211d; --soft: #6b675f; --rule: #e4e0d8; --bar: #cfe0dd;
  --own: #14605a; }
@media (prefers-color-scheme: dark) {
  :root { --ground: #191b1c; --ink: #e6e3dd; --soft: #9a968d; --rule: #32363a; --bar: #24423f; --own: #7cc7bd; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 72rem; padding: 2rem 1.25rem 4rem; background: var(--ground); color: var(--ink);
  font: 15px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.4rem; margin: 0; } h2 { font-size: 1.05rem; margin: 2.5rem 0 .25rem; }
p { margin: .25rem 0 .75rem; max-width: 46rem; color: var(--soft); }
.whole { display: flex; height: 1.75rem; margin: 1.25rem 0 .5rem; border: 1px solid var(--rule); border-radius: 4px;
  overflow: hidden; font-size: .85rem; line-height: 1.7rem; }
.whole span { padding: 0 .6rem; overflow: hidden; white-space: nowrap; } .whole .runs { background: var(--bar); }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th { text-align: left; font-weight: 500; color: var(--soft); font-size: .85rem; }
th, td { padding: .3rem .75rem .3rem .4rem; border-bottom: 1px solid var(--rule); vertical-align: top; }
th:first-child { min-width: 12rem; }
td.number, th.number { text-align: right; white-space: nowrap; }
code { font: .87em ui-monospace, monospace; overflow-wrap: anywhere; }
.own { color: var(--own); } .soft { color: var(--soft); }
.share { background: linear-gradient(to right, var(--bar) var(--of), transparent var(--of)); }
details, .leaf { padding-left: 1rem; border-left: 1px solid var(--rule); }
.tree > details, .tree > .leaf { padding-left: 0; border: 0; }
summary, .leaf { padding: .1rem 0; } .leaf { padding-left: 2rem; } summary { cursor: pointer; }
summary:focus-visible { outline: 2px solid var(--own); outline-offset: 2px; }
.time { display: inline-block; min-width: 7.5rem; padding: 0 .5rem; margin-right: .75rem; color: var(--soft);
  font-variant-numeric: tabular-nums; }
"""


def page(report: Report) -> str:
    """A page that shows what a report says: routes, lines that ran, lines that waited, and the tree of what ran."""
    app = escape(report.processes[0].app)
    return "\n".join(
        [
            '<!doctype html><html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>Profile of {app}</title><style>{_STYLE}</style></head><body><main>",
            *_head(report, app),
            *_routes(report),
            *_running(report),
            *_waiting(report),
            *_tree(report),
            "</main></body></html>\n",
        ]
    )


def _head(report: Report, app: str) -> list[str]:
    share = min(1.0, report.running_s / report.loop_s)
    number, first = len(report.processes), report.processes[0]
    samples = sum(one.samples for one in report.processes)
    loops = f"{number} event loops" if number > 1 else "One event loop"
    pids = ", ".join(str(one.pid) for one in report.processes)
    return [
        f"<h1>Profile of {app}</h1>",
        f"<p>{loops} for {first.seconds:.1f} s (process {pids}).",
        f"{samples:,} looks, which took {report.cost:.1%} of the time.</p>",
        f'<div class="whole" role="img" aria-label="running {share:.1%} of the time">',
        f'<span class="runs" style="width:{share:.2%}">running {share:.1%}</span>',
        f"<span>waiting for something to do {1 - share:.1%}</span></div>",
    ]


def _routes(report: Report) -> list[str]:
    rows = [
        [
            _share(f"<code>{escape(row.route)}</code>", row.running_s / report.loop_s),
            _number(f"{row.ended:,}"),
            _number(f"{row.running_s:.2f} s"),
            _number(f"{row.running_s / report.loop_s:.1%}"),
            _number(f"{row.running_s / row.ended * 1000:.2f} ms" if row.ended else "-"),
            _number(f"{row.in_flight:.1f}"),
        ]
        for row in by_route(report)[:_ROWS]
    ]
    heads = ("route", "#requests", "#running", "#share", "#each", "#in flight")
    return _section("Routes", "How long each held the event loop, and how many were under way on average.", heads, rows)


def _running(report: Report) -> list[str]:
    rows = [
        [
            _share(_line(report, row), row.amount / report.loop_s),
            _number(f"{row.amount:.2f} s"),
            _number(f"{row.amount / report.loop_s:.1%}"),
            f"<td><code>{escape(row.route)}</code></td>",
        ]
        for row in running(report)[:_ROWS]
        if row.amount / report.loop_s >= _LEAST
    ]
    said = "What holds the event loop, and with it every other request: the innermost line of the application."
    return _section("Running", said, ("line", "#time", "#share", "route"), rows)


def _waiting(report: Report) -> list[str]:
    rows = [
        [f"<td>{_line(report, row)}</td>", _number(f"{row.amount:.1f}"), f"<td><code>{escape(row.route)}</code></td>"]
        for row in waiting(report)[:_ROWS]
        if row.amount >= 0.05
    ]
    said = "Where tasks of requests wait, and how many on average. The event loop is free meanwhile."
    return _section("Waiting", said, ("line", "#tasks", "route"), rows)


def _tree(report: Report) -> list[str]:
    return [
        "<h2>What ran, as a tree</h2>",
        "<p>Below each route what it called, down to what took the time. Lines of the application are coloured.</p>",
        '<div class="tree">',
        *(_node(report, node) for node in tree(report) if node.amount / report.loop_s >= _LEAST),
        "</div>",
    ]


def _node(report: Report, node: Node) -> str:
    share = node.amount / report.loop_s
    time = f"{node.amount:.2f} s · {share:.1%}"
    said = f'<span class="time share" style="--of:{share:.2%}">{time}</span>{_place(report, node)}'
    below = [one for one in node.below if one.amount / report.loop_s >= _LEAST]
    if not below:
        return f'<div class="leaf">{said}</div>'
    opened = " open" if share >= _OPEN else ""
    return f"<details{opened}><summary>{said}</summary>{''.join(_node(report, one) for one in below)}</details>"


def _place(report: Report, node: Node) -> str:
    line = node.line
    if not line.function:
        return f"<code>{escape(line.file)}</code>"
    kind = "own" if line.own else "soft"
    return f'<code class="{kind}">{escape(_where(report, line.file, line.line))}{escape(line.function)}</code>'


def _line(report: Report, row: ByLine) -> str:
    kind = "own" if row.line.own else "soft"
    inside = f' <span class="soft">in <code>{escape(row.inside)}</code></span>' if row.inside else ""
    where = _where(report, row.line.file, row.line.line)
    return f'<code class="{kind}">{escape(where)}{escape(row.line.function)}</code>{inside}'


def _where(report: Report, file: str, line: int) -> str:
    return f"{shown(file, [one.folder for one in report.processes])}:{line} " if file else ""


def _share(content: str, share: float) -> str:
    return f'<td class="share" style="--of:{share:.2%}">{content}</td>'


def _number(content: str) -> str:
    return f'<td class="number">{content}</td>'


def _section(title: str, said: str, heads: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """A table; a head that begins with # stands above numbers."""
    named = [f'<th class="number">{head[1:]}</th>' if head[0] == "#" else f"<th>{head}</th>" for head in heads]
    body = [f"<tr>{''.join(row)}</tr>" for row in rows] or [f'<tr><td colspan="{len(heads)}">nothing</td></tr>']
    table = f"<table><thead><tr>{''.join(named)}</tr></thead><tbody>{''.join(body)}</tbody></table>"
    return [f"<h2>{title}</h2>", f"<p>{said}</p>", f'<div class="wide">{table}</div>']
