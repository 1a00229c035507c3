"""Loading settings: all of them or none, with every fault named at once; and names that nobody declared."""

import difflib
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar, overload

from holdfast.errors import SettingsInvalid
from holdfast.settings.declare import Declared, Settings, declared, options_of
from holdfast.settings.sources import Fault, Settled, Sources, read_sources, settle
from holdfast.settings.values import quoted

S = TypeVar("S", bound=Settings)
A = TypeVar("A", bound=Settings)
B = TypeVar("B", bound=Settings)
C = TypeVar("C", bound=Settings)
D = TypeVar("D", bound=Settings)
E = TypeVar("E", bound=Settings)
F = TypeVar("F", bound=Settings)

OURS = "HOLDFAST_"

logger: logging.Logger = logging.getLogger(__name__)


def load(cls: type[S], environ: Mapping[str, str] | None = None, folder: Path | None = None) -> S:
    """Load the settings that `cls` declares; see `load_all`."""
    return load_all(cls, environ=environ, folder=folder)[0]


@overload
def load_all(a: type[A], /, *, environ: Mapping[str, str] | None = None, folder: Path | None = None) -> tuple[A]: ...
@overload
def load_all(
    a: type[A], b: type[B], /, *, environ: Mapping[str, str] | None = None, folder: Path | None = None
) -> tuple[A, B]: ...
@overload
def load_all(
    a: type[A],
    b: type[B],
    c: type[C],
    /,
    *,
    environ: Mapping[str, str] | None = None,
    folder: Path | None = None,
) -> tuple[A, B, C]: ...
@overload
def load_all(
    a: type[A],
    b: type[B],
    c: type[C],
    d: type[D],
    /,
    *,
    environ: Mapping[str, str] | None = None,
    folder: Path | None = None,
) -> tuple[A, B, C, D]: ...
@overload
def load_all(
    a: type[A],
    b: type[B],
    c: type[C],
    d: type[D],
    e: type[E],
    /,
    *,
    environ: Mapping[str, str] | None = None,
    folder: Path | None = None,
) -> tuple[A, B, C, D, E]: ...
@overload
def load_all(
    a: type[A],
    b: type[B],
    c: type[C],
    d: type[D],
    e: type[E],
    f: type[F],
    /,
    *,
    environ: Mapping[str, str] | None = None,
    folder: Path | None = None,
) -> tuple[A, B, C, D, E, F]: ...
@overload
def load_all(
    *classes: type[Settings], environ: Mapping[str, str] | None = None, folder: Path | None = None
) -> tuple[Settings, ...]: ...
def load_all(
    *classes: type[Settings], environ: Mapping[str, str] | None = None, folder: Path | None = None
) -> tuple[Settings, ...]:
    """Load the settings of all `classes`, in their order, from `environ` and the settings file in `folder`.

    `environ` is the process's own environment when it is left out, `folder` the current folder. Raises
    SettingsInvalid with every fault of every class, so that one start is enough to find them all.
    """
    sources = read_sources(environ, folder)
    outcomes = [{wanted.key: settle(wanted, sources) for wanted in options_of(cls)} for cls in classes]
    faults = [*sources.faults, *_table_faults(classes, sources)]
    faults += [outcome.text for outcome in _faulty(outcomes)]
    if faults:
        raise SettingsInvalid(list(dict.fromkeys(faults)))
    return tuple(_made(cls, outcome) for cls, outcome in zip(classes, outcomes, strict=True))


def _faulty(outcomes: Iterable[Mapping[str, Settled | Fault]]) -> Iterator[Fault]:
    return (one for settled in outcomes for one in settled.values() if isinstance(one, Fault))


def _made(cls: type[Settings], outcome: Mapping[str, Settled | Fault]) -> Settings:
    values = {key: one.value for key, one in outcome.items() if isinstance(one, Settled)}
    return cls(**values)


def _table_faults(classes: Sequence[type[Settings]], sources: Sources) -> Iterator[str]:
    """Name the keys of the file's tables that no class with that title declares."""
    for title in dict.fromkeys(cls.settings_title for cls in classes):
        found = sources.tables.get(title, {})
        if not isinstance(found, dict):
            yield f"{sources.file}: found {quoted(found)} in the place of the table [{title}]"
        keys = [option.key for option in _known(declared()) if option.title == title]
        for key in sources.table(title):
            if key not in keys:
                meant = _near(key, keys)
                hint = f"did you mean {meant}?" if meant else f"allowed: {', '.join(sorted(set(keys)))}"
                yield f"{sources.file}: [{title}] {key} is not a setting; {hint}"


def _known(classes: Iterable[type[Settings]]) -> list[Declared]:
    return [option for cls in classes for option in options_of(cls)]


# -- names that nobody declared --


@dataclass(frozen=True, slots=True)
class Unknown:
    """A variable or a table of the settings file that looks like a setting, but that nothing reads."""

    name: str
    source: str
    meant: str | None
    """The declared name that is nearest, when one is near."""

    def __str__(self) -> str:
        """Say it in one sentence, with what was probably meant."""
        hint = f"; did you mean {self.meant}?" if self.meant else ""
        return f"{self.name} ({self.source}) is not a setting{hint}"


def unknown(*, environ: Mapping[str, str] | None = None, folder: Path | None = None) -> list[Unknown]:
    """List the names that nothing reads: each `HOLDFAST_` variable, others near a declared one, tables of the file.

    Call it once everything that declares settings is imported: what is not yet declared would be listed too.
    """
    sources = read_sources(environ, folder)
    titles = {cls.settings_title for cls in declared()}
    tables = [name for name in sources.tables if name not in titles]
    return [
        *_unknown_variables(sources.environ),
        *(Unknown(f"[{name}]", sources.file, _near(name, titles)) for name in tables),
    ]


def _unknown_variables(environ: Iterable[str]) -> Iterator[Unknown]:
    classes = declared()
    variables = {name for option in _known(classes) for name in option.variables}
    starts = [OURS, *sorted({f"{cls.settings_prefix}_" for cls in classes})]
    for name in sorted(set(environ) - variables):
        start = next((start for start in starts if name.startswith(start)), None)
        meant = None if start is None else _near(name, variables, start)
        # Another program may have variables that begin like the application's, but none that begin like Holdfast's.
        if meant or start == OURS:
            yield Unknown(name, "environment", meant)


def warn_of_unknown(*, environ: Mapping[str, str] | None = None, folder: Path | None = None) -> None:
    """Log a warning for each of `unknown`: a name of another version must not stop this one, but may be a slip."""
    for one in unknown(environ=environ, folder=folder):
        logger.warning(
            "setting unknown", extra={"setting": one.name, "found_in": one.source, "did_you_mean": one.meant}
        )


def _near(name: str, known: Iterable[str], start: str = "") -> str | None:
    """Return the known name that `name` is probably a slip of; both begin with `start`, which does not count."""
    ends = {one.removeprefix(start): one for one in sorted(known) if one.startswith(start)}
    close = difflib.get_close_matches(name.removeprefix(start), ends, n=1, cutoff=0.75)
    return ends[close[0]] if close else None
