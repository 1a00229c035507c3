"""Every cell of the grid: it holds, or it is written down why it does not, and then it really does not."""

import re

import pytest
from grid.cells import CELLS
from grid.gaps import GAPS, NUMBERS, applies, explained
from grid.shop import FRAMEWORKS, SERVERS

PLACES = [
    pytest.param(framework, server, cell, id=f"{framework}-{server}-{cell.name}")
    for framework in FRAMEWORKS
    for server in SERVERS
    for cell in CELLS
    if applies(framework, server, cell)
]
FAILURES = (AssertionError, OSError, ValueError)  # a refused connection, a timeout, a body that is no JSON


@pytest.mark.parametrize(("framework", "server", "cell"), PLACES)
def test_a_cell_holds_or_it_is_explained_why_not(street, framework, server, cell):
    shop = street.shop(framework, server)
    number = NUMBERS.get((framework, server, cell.name))
    if number is None:
        cell.look(shop)
        return
    shows = re.compile(GAPS[number - 1].shows)
    failure = failure_of(cell, shop.hurried())
    if failure is None or not shows.search(failure):
        failure = failure_of(cell, shop)  # without hurry: a busy machine may have failed it otherwise
    assert failure is not None, "it holds: take the note out"
    assert shows.search(failure), failure


def failure_of(cell, shop):
    """What the failure says, if the cell does not hold."""
    try:
        cell.look(shop)
    except FAILURES as error:
        return f"{type(error).__name__}: {error}"
    return None


def test_a_place_is_explained_once_and_is_there():
    places = [place for place, _ in explained()]
    cells = {cell.name: cell for cell in CELLS}
    assert len(places) == len({*places})
    assert len(cells) == len(CELLS)
    assert [cell for _, _, cell in places if cell not in cells] == []


def test_no_gap_speaks_of_places_that_are_not_looked_at():
    cells = {cell.name: cell for cell in CELLS}
    seen = {number for (framework, server, cell), number in explained() if applies(framework, server, cells[cell])}
    assert seen == set(range(1, len(GAPS) + 1))
