"""The page of the grid shows what the tests hold. `WRITE_DOCS=1` writes it anew."""

import os

from grid.cells import CELLS
from grid.gaps import GAPS
from grid.page import PAGE, mark, numbers, written
from grid.shop import FRAMEWORKS, SERVERS


def test_the_page_shows_the_grid_as_it_is():
    page = PAGE.read_text()
    if os.environ.get("WRITE_DOCS"):
        PAGE.write_text(written(page))
    assert PAGE.read_text() == written(page), "WRITE_DOCS=1 pytest tests/grid/test_grid_page.py writes it anew"


def test_every_note_is_shown_where_it_belongs():
    shown = numbers()
    assert {*shown.values()} == {*range(1, len({gap.why for gap in GAPS}) + 1)}
    marks = " ".join(mark(framework, cell, shown) for cell in CELLS for framework in FRAMEWORKS)
    assert all(f"no {number}" in marks for number in shown.values())


def test_under_holdfast_run_nothing_is_missing_that_uvicorn_has():
    missing = {server: {place[::2] for place in numbers() if place[1] == server} for server in SERVERS}
    shared = {cell.name for cell in CELLS if not cell.ours}
    assert {place for place in missing["holdfast"] if place[1] in shared} < missing["uvicorn"]
