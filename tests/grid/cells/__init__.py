"""The rows of the grid."""

from grid.cell import Cell
from grid.cells import answers, bodies, ends, life, records, sockets, wire

GROUPS = (
    answers.group,
    bodies.into,
    bodies.out,
    ends.failures,
    ends.leaving,
    wire.wire,
    wire.hostile,
    sockets.group,
    life.life,
    life.draining,
    life.below,
    records.ids,
    records.logs,
    records.problems,
)
CELLS: list[Cell] = [cell for group in GROUPS for cell in group.cells]
