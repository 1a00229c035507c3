"""What is saved of an upload in S3, for the ledger: a few hundred bytes of JSON, however large the upload is."""

from typing import Final

import msgspec

from holdfast.stores.blobs import Saved

NUMBERS: Final = 10_000
"""So many numbers there are for the parts of a multipart upload."""
_STEP: Final = 1_000
_GROWTH: Final = 3


class Run(msgspec.Struct, frozen=True, array_like=True):
    """Parts with numbers in a row, each of the same size."""

    first: int
    count: int
    size: int


class Piece(msgspec.Struct, frozen=True, array_like=True):
    """A side object: bytes that are too few for a part."""

    key: str
    size: int


class State(msgspec.Struct, frozen=True, omit_defaults=True):
    """The parts of an upload, and the side objects with what comes behind them."""

    upload: str = ""
    """The ID of the multipart upload; empty before its first part."""
    runs: tuple[Run, ...] = ()
    tail: tuple[Piece, ...] = ()

    @property
    def in_parts(self) -> int:
        """How many bytes are in parts."""
        return sum(run.count * run.size for run in self.runs)

    @property
    def in_tail(self) -> int:
        """How many bytes are in side objects."""
        return sum(piece.size for piece in self.tail)

    @property
    def last(self) -> int:
        """The last number that is used."""
        return self.runs[-1].first + self.runs[-1].count - 1 if self.runs else 0

    def sizes(self) -> dict[int, int]:
        """The size of each part, by number."""
        return {number: run.size for run in self.runs for number in range(run.first, run.first + run.count)}

    def with_part(self, number: int, size: int) -> "State":
        """Add a part, behind all others, that holds the tail."""
        if number <= self.last:
            raise AssertionError("the numbers of parts follow their order")
        before = self.runs[-1] if self.runs else Run(0, 0, 0)
        if number == before.first + before.count and size == before.size:
            runs = (*self.runs[:-1], Run(before.first, before.count + 1, size))
        else:
            runs = (*self.runs, Run(number, 1, size))
        return State(self.upload, runs, ())

    def saved(self) -> Saved:
        """Write it down."""
        return Saved(self.in_parts + self.in_tail, msgspec.json.encode(self).decode())


def read(saved: Saved) -> State:
    """Read what `State.saved` wrote. Raises ValueError if it is something else."""
    state = msgspec.json.decode(saved.state, type=State) if saved.state else State()
    if state.in_parts + state.in_tail != saved.offset:
        raise ValueError("the saved state is of another offset")
    return state


def size_of(number: int, smallest: int) -> int:
    """How large the part with a number is, in bytes: they grow eightfold, so that the numbers suffice for long.

    With parts of 8 MiB at first, files of 492 GiB find room.
    """
    return smallest << min((number - 1) // _STEP, _GROWTH)
