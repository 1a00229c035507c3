"""Our numbers as text, in both formats. prometheus_client could write them, in many times the time."""

from collections.abc import Iterator
from itertools import accumulate
from typing import Final

from holdfast.decide.metrics import Numbers
from holdfast.parts.metrics.families import FAMILIES, Family

END: Final = b"# EOF\n"
"""What an answer in OpenMetrics ends with."""


def text_of(numbers: Numbers, *, openmetrics: bool) -> bytes:
    """All families in the order of their list, without the end. They differ in the name of a counter alone."""
    lines: list[str] = []
    for family in FAMILIES:
        name = family.name.removesuffix("_total") if openmetrics else family.name
        lines += (f"# HELP {name} {family.help}", f"# TYPE {name} {family.kind}")
        rows = numbers.get(family.name, {})
        for labels in sorted(key for key in rows if family.fits(key, rows[key])):
            pairs = ",".join(f'{key}="{_escaped(value)}"' for key, value in zip(family.labels, labels, strict=True))
            values = rows[labels]
            lines += _histogram(family, pairs, values) if family.bounds else (_line(family.name, pairs, values),)
    return ("\n".join(lines) + "\n").encode()


def _line(name: str, pairs: str, values: list[float]) -> str:
    return f"{name}{{{pairs}}} {values[0]!r}" if pairs else f"{name} {values[0]!r}"


def _histogram(family: Family, pairs: str, values: list[float]) -> Iterator[str]:
    before = f"{family.name}_bucket{{{pairs}," if pairs else f"{family.name}_bucket{{"
    total, *counts = values
    for bound, count in zip((*family.bounds, "+Inf"), accumulate(counts), strict=True):
        yield f'{before}le="{bound}"}} {count!r}'
    yield _line(f"{family.name}_count", pairs, [sum(counts)])
    yield _line(f"{family.name}_sum", pairs, [total])


def _escaped(value: str) -> str:
    """As it may stand between quotation marks; none of our labels has a new line."""
    return value.replace("\\", r"\\").replace('"', r"\"")
