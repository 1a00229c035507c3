"""Where settings come from: the environment, the secrets directory, and a file beside the application."""

import os
import stat
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from io import FileIO
from pathlib import Path
from typing import Annotated, cast

from holdfast.settings.declare import Declared, Settings, option, options_of
from holdfast.settings.values import Refused, Taken, allowed, judge, quoted, shown

FILE = "holdfast.toml"
SECRET_BYTES = 64 * 1024


class Secrets(Settings, prefix="HOLDFAST_SECRETS", title="secrets"):
    """Where secrets are read from that are not in the environment."""

    dir: Annotated[
        Path,
        option(
            "The folder that holds one file per secret, named as the variable, in capitals or in small letters.",
            default="/run/secrets, when it exists",
        ),
    ] = Path("/run/secrets")


@dataclass(frozen=True, slots=True)
class Found:
    """A raw value and the source that it came from."""

    raw: object
    source: str
    place: str
    """How a fault names the setting: its variable, and where the value stands if that is elsewhere."""


@dataclass(frozen=True, slots=True)
class Settled:
    """The typed value of a setting."""

    value: object
    source: str


@dataclass(frozen=True, slots=True)
class Fault:
    """Why a setting has no value: `text` for people, `found` as it may be shown."""

    text: str
    found: str
    source: str


@dataclass(frozen=True, slots=True)
class Sources:
    """Everything that was there when the settings were loaded."""

    environ: Mapping[str, str]
    file: str = FILE
    tables: Mapping[str, object] = field(default_factory=dict[str, object])
    secrets: Path | None = None
    faults: tuple[str, ...] = ()
    """What is wrong with a source itself."""

    def table(self, title: str) -> Mapping[str, object]:
        """Return the table `title` of the file; empty when it has none."""
        table = self.tables.get(title)
        return cast("Mapping[str, object]", table) if isinstance(table, dict) else {}


def read_sources(environ: Mapping[str, str] | None, folder: Path | None) -> Sources:
    """Read the file in `folder` and find the secrets directory; what cannot be read is among the faults."""
    environ = os.environ if environ is None else environ
    file, tables, faults = _read_file(Path.cwd() if folder is None else folder)
    plain = Sources(environ, file, tables)
    secrets = settle(options_of(Secrets)[0], plain)
    if isinstance(secrets, Fault):
        return Sources(environ, file, tables, None, (*faults, secrets.text))
    directory = cast("Path", secrets.value)
    if directory.is_dir():
        return Sources(environ, file, tables, directory, faults)
    if secrets.source != "default":
        missing = f"HOLDFAST_SECRETS_DIR: found {quoted(str(directory))}, allowed: a folder that exists"
        return Sources(environ, file, tables, None, (*faults, missing))
    return Sources(environ, file, tables, None, faults)


def settle(wanted: Declared, sources: Sources) -> Settled | Fault:
    """Find the value of one setting, or say what is wrong."""
    found = _find(wanted, sources)
    if isinstance(found, Fault):
        return found
    if found is None:
        return _by_default(wanted)
    match judge(wanted.kind, found.raw):
        case Taken(value):
            return Settled(value, found.source)
        case Refused():
            seen = "a value (not shown)" if wanted.kind.secret else quoted(found.raw)
            text = f"{found.place}: found {seen}, allowed: {allowed(wanted.kind)}"
            return Fault(text, "***" if wanted.kind.secret else seen, found.source)


def _by_default(wanted: Declared) -> Settled | Fault:
    if wanted.default is not None:
        return Settled(wanted.default(), "default")
    text = f"{wanted.variable}: missing, allowed: {allowed(wanted.kind)}; {wanted.doc}"
    return Fault(text, shown(None), "missing")


# -- finding --


def _find(wanted: Declared, sources: Sources) -> Found | Fault | None:
    if not wanted.kind.secret:
        return _in_environment(wanted, sources) or _in_file(wanted, sources)
    in_file = _in_file(wanted, sources)
    if in_file is not None:
        text = (
            f"{in_file.place}: found a secret in a file that others read (not shown), "
            "allowed: only the environment or the secrets directory"
        )
        return Fault(text, "***", in_file.source)
    return _in_environment(wanted, sources) or _in_secrets(wanted, sources)


def _in_environment(wanted: Declared, sources: Sources) -> Found | None:
    for name in wanted.variables:
        text = sources.environ.get(name)
        if text:
            elsewhere = name != wanted.variable
            place = f"{wanted.variable} (from {name})" if elsewhere else name
            return Found(text, f"environment, {name}" if elsewhere else "environment", place)
    return None


def _in_file(wanted: Declared, sources: Sources) -> Found | None:
    table = sources.table(wanted.title)
    if wanted.key not in table:
        return None
    place = f"{wanted.variable} (from {sources.file}, [{wanted.title}] {wanted.key})"
    return Found(table[wanted.key], sources.file, place)


def _in_secrets(wanted: Declared, sources: Sources) -> Found | Fault | None:
    for name in _file_names(wanted):
        path = sources.secrets and sources.secrets / name
        if path is None or not os.path.lexists(path):
            continue
        source = f"secret file {name}"
        text = _read_secret(path)
        if isinstance(text, Unreadable):
            words = f"{wanted.variable} (from {source}): {text.reason}, allowed: {allowed(wanted.kind)}"
            return Fault(words, "***", source)
        if text:
            return Found(text, source, f"{wanted.variable} (from {source})")
    return None


def _file_names(wanted: Declared) -> Iterator[str]:
    for name in wanted.variables:
        yield name
        yield name.lower()


# -- reading --


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A secret file that cannot be used."""

    reason: str


def _read_secret(path: Path) -> str | Unreadable:
    """Read a small regular file without its last line end. A pipe or a device there must not hold up the start."""
    try:
        with FileIO(path, opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK)) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                return Unreadable("is not a regular file")
            content = file.read(SECRET_BYTES + 1)
        if len(content) > SECRET_BYTES:
            return Unreadable(f"is longer than {SECRET_BYTES // 1024} KB")
        text = content.decode()
    except OSError as error:
        return Unreadable(f"cannot be read ({error.strerror})")
    except UnicodeDecodeError:
        return Unreadable("is not UTF-8 text")
    return text.removesuffix("\n").removesuffix("\r")


def _read_file(folder: Path) -> tuple[str, Mapping[str, object], tuple[str, ...]]:
    """Return the name, the tables and the faults of the settings file; `holdfast.toml` goes before pyproject.toml."""
    if os.path.lexists(folder / FILE):
        tables, faults = _read_toml(folder / FILE)
        return FILE, tables, faults
    project = folder / "pyproject.toml"
    if not project.is_file():
        return FILE, {}, ()
    whole, faults = _read_toml(project)
    tool = whole.get("tool")
    tables: object = cast("dict[str, object]", tool).get("holdfast", {}) if isinstance(tool, dict) else {}
    if not isinstance(tables, dict):
        return project.name, {}, (f"{project.name}: found a value in the place of the table [tool.holdfast]",)
    return project.name, cast("dict[str, object]", tables), faults


def _read_toml(path: Path) -> tuple[dict[str, object], tuple[str, ...]]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8")), ()
    except OSError as error:
        return {}, (f"{path.name}: cannot be read ({error.strerror})",)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        return {}, (f"{path.name}: is not valid TOML: {error}",)
