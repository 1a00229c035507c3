"""The page of the grid: its tables, made from the same declarations that the tests assert."""

import importlib.metadata
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from grid.cell import Cell
from grid.cells import CELLS, GROUPS
from grid.gaps import GAPS, NUMBERS, applies
from grid.shop import FRAMEWORKS, SERVERS

PAGE = Path(__file__).parents[2] / "docs" / "grid.md"
TITLES = {
    "bare": "no framework",
    "fastapi": "FastAPI",
    "starlette": "Starlette",
    "litestar": "Litestar",
    "django": "Django",
    "quart": "Quart",
    "falcon": "Falcon",
    "blacksheep": "BlackSheep",
}
TESTED = ("fastapi", "starlette", "litestar", "django", "quart", "falcon", "blacksheep")
ONLY_OURS = " (`holdfast run`)"
BELOW = ("uvicorn", "uvloop", "httptools", "websockets")


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def numbers() -> dict[tuple[str, str, str], int]:
    """The number of the note for each place that does not hold, in the order in which a reader meets them."""
    places = [
        (framework, server, cell.name)
        for cell in CELLS
        for framework in FRAMEWORKS
        for server in SERVERS
        if applies(framework, server, cell)
    ]
    order: dict[str, int] = {}
    return {
        place: order.setdefault(GAPS[NUMBERS[place] - 1].why, len(order) + 1) for place in places if place in NUMBERS
    }


def mark(framework: str, cell: Cell, shown: dict[tuple[str, str, str], int]) -> str:
    """What stands in the table for a framework and a cell: one mark, or two where the servers differ."""
    marks = [
        "yes" if (number := shown.get((framework, server, cell.name))) is None else f"no {number}"
        for server in SERVERS
        if applies(framework, server, cell)
    ]
    return " / ".join(dict.fromkeys(marks)) or "-"


def grid() -> str:
    """One table for each group of cells."""
    shown = numbers()
    head = ["", *(TITLES[framework] for framework in FRAMEWORKS)]
    tables: list[str] = []
    for group in GROUPS:
        only_ours = all(cell.ours for cell in group.cells)
        rows = [
            [
                cell.says + (ONLY_OURS if cell.ours and not only_ours else ""),
                *(mark(f, cell, shown) for f in FRAMEWORKS),
            ]
            for cell in group.cells
        ]
        tables.append(f"**{group.title}{ONLY_OURS if only_ours else ''}**\n\n{table(head, rows)}")
    return "\n\n".join(tables)


def notes() -> str:
    """The notes, each with its number."""
    reasons = {number: GAPS[NUMBERS[place] - 1].why for place, number in numbers().items()}
    return "\n".join(f"{number}. {why}" for number, why in sorted(reasons.items()))


def counted(server: str, frameworks: Sequence[str] = FRAMEWORKS, *, shared: bool = False) -> str:
    """How many cells hold, of how many; with `shared` of those only that are looked at under both servers."""
    places = [
        (framework, server, cell.name)
        for framework in frameworks
        for cell in CELLS
        if applies(framework, server, cell) and not (shared and cell.ours)
    ]
    return f"{len([place for place in places if place not in NUMBERS])} of {len(places)}"


def totals() -> str:
    """How many cells hold, for each framework and server."""
    rows = {TITLES[name]: (name,) for name in FRAMEWORKS} | {"all": FRAMEWORKS}
    return table(
        ["", "`holdfast run`", "of these, what uvicorn is asked too", "uvicorn"],
        (
            [title, counted("holdfast", names), counted("holdfast", names, shared=True), counted("uvicorn", names)]
            for title, names in rows.items()
        ),
    )


def versions() -> str:
    """What was tested."""
    above = ", ".join(f"{TITLES[name]} {importlib.metadata.version(name)}" for name in TESTED)
    return f"{above};\nbelow them {', '.join(f'{name} {importlib.metadata.version(name)}' for name in BELOW)}."


def written(page: str) -> str:
    """The page, with its tables as they should be."""
    for name, text in {"totals": totals(), "versions": versions(), "grid": grid(), "notes": notes()}.items():
        begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
        assert page.count(begin) == page.count(end) == 1, f"the page needs the lines {begin} and {end}, once each"
        page = re.sub(f"(?s){begin}.*{end}", lambda _, text=f"{begin}\n\n{text}\n\n{end}": text, page)
    return page
