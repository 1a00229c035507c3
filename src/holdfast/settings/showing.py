"""Settings for people: what each one is and where that comes from, and the table for the documentation."""

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from holdfast.settings.declare import Declared, Settings, options_of
from holdfast.settings.sources import Fault, Sources, read_sources, settle
from holdfast.settings.values import allowed, shown


@dataclass(frozen=True, slots=True)
class Row:
    """One setting as `holdfast settings` shows it; a secret is never in it."""

    title: str
    about: str
    """The first line of what its class says of itself."""
    variable: str
    value: str
    source: str
    """`environment` (with another variable's name if it was read), a file's name, `default`, or `missing`."""
    allowed: str
    doc: str
    fault: str | None
    """Why the value cannot be used, the text that SettingsInvalid carries too; None when all is well."""


def explain(
    classes: Iterable[type[Settings]], *, environ: Mapping[str, str] | None = None, folder: Path | None = None
) -> list[Row]:
    """Describe every setting of `classes`, wrong and missing ones too. Arguments as for `load_all`; raises nothing."""
    sources = read_sources(environ, folder)
    return [_row(cls, wanted, sources) for cls in classes for wanted in options_of(cls)]


def _row(cls: type[Settings], wanted: Declared, sources: Sources) -> Row:
    outcome = settle(wanted, sources)
    if isinstance(outcome, Fault):
        value, fault = outcome.found, outcome.text
    else:
        value, fault = shown(outcome.value), None
    says = (wanted.variable, value, outcome.source, allowed(wanted.kind), wanted.doc, fault)
    return Row(cls.settings_title, about(cls), *says)


def about(cls: type[Settings]) -> str:
    """Return the first line of the docstring of `cls`."""
    # A dataclass without a docstring is given its signature as one.
    text = (cls.__doc__ or "").strip()
    return "" if text.startswith(f"{cls.__name__}(") else text.partition("\n")[0]


def render(rows: Sequence[Row], width: int = 100) -> str:
    """Lay `rows` out as text of at most `width` columns, a group per class; `!` stands before a fault."""
    first = max((len(row.variable) for row in rows), default=0)
    last = max((len(row.source) for row in rows), default=0)
    room = max(12, width - first - last - 6)
    middle = min(room, max((len(row.value) for row in rows), default=0))
    lines: list[str] = []
    for (title, says), group in groupby(rows, key=lambda row: (row.title, row.about)):
        lines += ["", *textwrap.wrap(f"{title}: {says}".removesuffix(": "), width)]
        for row in group:
            value = row.value if len(row.value) <= middle else f"{row.value[: middle - 1]}…"
            mark = "!" if row.fault else " "
            lines.append(f"{mark} {row.variable:<{first}}  {value:<{middle}}  {row.source}".rstrip())
            lines += _below(f"{row.doc} Allowed: {row.allowed}.", width)
    return "\n".join(lines[1:])


def _below(text: str, width: int) -> list[str]:
    return textwrap.wrap(text, width, initial_indent="    ", subsequent_indent="    ")


# -- documentation --

BEGIN, END = "<!-- settings: begin -->", "<!-- settings: end -->"


def markdown(classes: Iterable[type[Settings]]) -> str:
    """Describe the settings of `classes` as a Markdown table per class; the same on every machine."""
    return "\n\n".join(_section(cls) for cls in classes)


def _section(cls: type[Settings]) -> str:
    lines = [
        f"### `[{cls.settings_title}]`",
        "",
        about(cls),
        "",
        "| variable | default | allowed | |",
        "|---|---|---|---|",
    ]
    for wanted in options_of(cls):
        names = " or ".join(f"`{name}`" for name in wanted.variables)
        cells = (names, wanted.default_words, allowed(wanted.kind), wanted.doc)
        lines.append(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |")
    return "\n".join(lines)


def refreshed(page: str, classes: Iterable[type[Settings]]) -> str:
    """Return `page` with the tables of `classes` between its two markers. Raises ValueError without markers."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        msg = f"the page needs the lines {BEGIN} and {END}"
        raise ValueError(msg)
    return f"{before}{BEGIN}\n\n{markdown(classes)}\n\n{END}{after}"
