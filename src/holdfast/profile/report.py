"""What was seen of a service, and what is made of it: by route, by line, as a tree. Pure, and without values.

What a report holds are names of files and functions, line numbers, route templates and times; nothing of what a request
brought, and no variable.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Final

import msgspec

NO_REQUEST: Final = "(no request)"
"""Stands for the route of what runs for none."""


class Line(msgspec.Struct, frozen=True, array_like=True):
    """One line of a stack."""

    file: str
    line: int
    """0 for a function that is not written in Python."""
    function: str
    own: bool
    """Whether it is the application's, and not a library's."""


class Stack(msgspec.Struct, array_like=True):
    """A stack, and how much of it was seen."""

    route: str
    lines: list[Line]
    """The outermost first."""
    amount: float
    """Of what ran: seconds. Of what waits: how many did, on average."""


class Route(msgspec.Struct, array_like=True):
    """The requests of one route."""

    route: str
    ended: int = 0
    """How many have ended in the time."""
    in_flight: float = 0.0
    """How many were under way, on average."""


class Process(msgspec.Struct):
    """What was seen of one process."""

    pid: int
    slot: int
    app: str
    folder: str
    """Where it was started: files below are told without it."""
    seconds: float
    idle_s: float
    """How long its event loop waited for something to do."""
    samples: int
    cost_s: float
    """How long looking took, in the event loop's thread."""
    running: list[Stack]
    waiting: list[Stack]
    routes: list[Route]


class Report(msgspec.Struct):
    """What was seen of a service, all its processes together."""

    processes: list[Process]

    @property
    def loop_s(self) -> float:
        """The time that the event loops had."""
        return sum(one.seconds for one in self.processes) or 1e-9

    @property
    def running_s(self) -> float:
        """How long they ran something."""
        return sum(stack.amount for one in self.processes for stack in one.running)

    @property
    def cost(self) -> float:
        """The share of the loops' time that looking itself took, without what the hook costs between two looks."""
        return sum(one.cost_s for one in self.processes) / self.loop_s


class ByRoute(msgspec.Struct):
    """One row: a route."""

    route: str
    ended: int
    running_s: float
    in_flight: float


class ByLine(msgspec.Struct):
    """One row: a line of the application, or of a library where none of the application's is in the stack."""

    line: Line
    inside: str
    """The function that the line had called, innermost; empty for the line itself."""
    route: str
    amount: float


class Node(msgspec.Struct):
    """A line in the tree of what ran, with what it called."""

    line: Line
    amount: float = 0.0
    below: list["Node"] = []


def by_route(report: Report) -> list[ByRoute]:
    """Routes, those first that the loops spent most on."""
    rows: dict[str, ByRoute] = {}

    def row(route: str) -> ByRoute:
        return rows.setdefault(route, ByRoute(route, 0, 0.0, 0.0))

    for process in report.processes:
        for stack in process.running:
            row(stack.route).running_s += stack.amount
        for route in process.routes:
            row(route.route).ended += route.ended
            row(route.route).in_flight += route.in_flight
    return sorted(rows.values(), key=lambda found: (-found.running_s, -found.in_flight, found.route))


def running(report: Report) -> list[ByLine]:
    """The lines that ran, those first that took longest."""
    return _by_line(report, lambda process: process.running)


def waiting(report: Report) -> list[ByLine]:
    """The lines at which tasks waited, those first at which most did."""
    return _by_line(report, lambda process: process.waiting)


def _by_line(report: Report, stacks: Callable[[Process], Sequence[Stack]]) -> list[ByLine]:
    rows: dict[tuple[Line, str, str], ByLine] = {}
    for process in report.processes:
        for stack in stacks(process):
            line = next((found for found in reversed(stack.lines) if found.own), stack.lines[-1])
            inside = stack.lines[-1].function if stack.lines[-1] is not line else ""
            found = rows.setdefault((line, inside, stack.route), ByLine(line, inside, stack.route, 0.0))
            found.amount += stack.amount
    return sorted(rows.values(), key=lambda found: (-found.amount, found.line.file, found.line.line))


def tree(report: Report) -> list[Node]:
    """What ran, as a tree: below each route's name what it called. Library code above the application's is left out."""
    roots: list[Node] = []
    for process in report.processes:
        for stack in process.running:
            level = _into(roots, Line(stack.route, 0, "", own=False), stack.amount)
            for line in _from_application(stack.lines):
                level = _into(level, line, stack.amount)
    _sort(roots)
    return roots


def _from_application(lines: Sequence[Line]) -> Sequence[Line]:
    first = next((index for index, line in enumerate(lines) if line.own), 0)
    return lines[first:]


def _into(level: list[Node], line: Line, amount: float) -> list[Node]:
    node = next((one for one in level if one.line == line), None)
    if node is None:
        node = Node(line, below=[])
        level.append(node)
    node.amount += amount
    return node.below


def _sort(level: list[Node]) -> None:
    level.sort(key=lambda node: -node.amount)
    for node in level:
        _sort(node.below)


def shown(file: str, folders: Iterable[str]) -> str:
    """A file as it is shown: below a folder of the service without that, a library's without where it is installed."""
    for folder in folders:
        if file.startswith(f"{folder}/"):
            return file.removeprefix(f"{folder}/")
    _, installed, inside = file.rpartition("/site-packages/")
    if installed:
        return inside
    _, standard, inside = file.rpartition("/lib/python3")
    return inside.partition("/")[2] if standard else file
