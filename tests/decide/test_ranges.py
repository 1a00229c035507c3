"""Which bytes of a file a request asks for."""

import pytest

from holdfast.decide import ranges
from holdfast.errors import BadRequest, HoldfastError, RangeNotSatisfiable


@pytest.mark.parametrize(
    ("header", "part"),
    [
        (None, None),
        ("bytes=0-0", (0, 1)),
        ("bytes=2-4", (2, 5)),
        ("BYTES= 5-", (5, 10)),
        ("bytes=5-999", (5, 10)),
        ("bytes=-3", (7, 10)),
        ("bytes=-99", (0, 10)),
        ("bytes=0-1,5-6", None),
        ("bytes=10-", RangeNotSatisfiable),
        ("bytes=-0", RangeNotSatisfiable),
        ("bytes=4-2", BadRequest),
        ("bytes=-", BadRequest),
        ("bytes=", BadRequest),
        ("bytes=a-b", BadRequest),
        ("bytes=1-2,x", BadRequest),
        ("lines=1-2", BadRequest),
        ("bytes=" + "9" * 50 + "-", BadRequest),
    ],
)
def test_a_range_is_a_part_or_an_error(header: str | None, part: tuple | type[HoldfastError] | None) -> None:
    if isinstance(part, type):
        with pytest.raises(part):
            ranges.asked(header, 10)
    else:
        assert ranges.asked(header, 10) == part
        assert ranges.asked(header, 10, still_valid=False) is None
