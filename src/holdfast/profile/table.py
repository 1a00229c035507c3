"""The report as text for a terminal."""

from collections.abc import Sequence

from holdfast.profile.report import ByLine, Report, by_route, running, shown, waiting

_ROWS = 15
_LEAST = 0.001


def table(report: Report) -> str:
    """What a report says, in three tables: routes, lines that ran, lines that waited."""
    parts = [_head(report), _routes(report), _running(report), _waiting(report)]
    return "\n".join(part for part in parts if part)


def _head(report: Report) -> str:
    first = report.processes[0]
    number = len(report.processes)
    loops = f"{number} event loops" if number > 1 else "event loop"
    samples = sum(one.samples for one in report.processes)
    share = report.running_s / report.loop_s
    return (
        f"{first.app}: {loops}, {first.seconds:.1f} s, {samples:,} looks ({report.cost:.1%} of the time)\n"
        f"running {share:.1%}, waiting for something to do {max(0.0, 1 - share):.1%}\n"
    )


def _routes(report: Report) -> str:
    rows = [("route", "requests", "running", "share", "each", "in flight")]
    for row in by_route(report)[:_ROWS]:
        each = f"{row.running_s / row.ended * 1000:.2f} ms" if row.ended else "-"
        share = f"{row.running_s / report.loop_s:.1%}"
        numbers = (f"{row.ended:,}", f"{row.running_s:.2f} s", share, each, f"{row.in_flight:.1f}")
        rows.append((row.route, *numbers))
    return _aligned("Routes: time on the event loop, and on average how many are under way", rows)


def _running(report: Report) -> str:
    rows = [("share", "time", "line", "in", "route")]
    for row in running(report)[:_ROWS]:
        share = row.amount / report.loop_s
        if share >= _LEAST:
            rows.append((f"{share:.1%}", f"{row.amount:.2f} s", *_named(report, row)))
    return _aligned("Running: what holds the event loop, by line", rows, left_from=2)


def _waiting(report: Report) -> str:
    rows = [("tasks", "line", "in", "route")]
    rows += [(f"{row.amount:.1f}", *_named(report, row)) for row in waiting(report)[:_ROWS] if row.amount >= 0.05]
    return _aligned("Waiting: where tasks wait, and how many on average", rows, left_from=1)


def _named(report: Report, row: ByLine) -> tuple[str, str, str]:
    folders = [process.folder for process in report.processes]
    where = f"{shown(row.line.file, folders)}:{row.line.line} " if row.line.file else ""
    return f"{where}{row.line.function}", row.inside, row.route


def _aligned(title: str, rows: Sequence[Sequence[str]], left_from: int | None = None) -> str:
    """Columns: the first to the left and the others to the right; or to the left from one on."""
    if len(rows) == 1:
        return ""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines: list[str] = []
    for row in rows:
        left = [column == 0 if left_from is None else column >= left_from for column in range(len(row))]
        cells = [
            f"{cell:<{width}}" if to_left else f"{cell:>{width}}"
            for cell, width, to_left in zip(row, widths, left, strict=True)
        ]
        lines.append("  " + "  ".join(cells).rstrip())
    return "\n".join([title, *lines, ""])
