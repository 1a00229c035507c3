"""What a team says of its backend: `[tool.holdfast.prove]` in pyproject.toml, or a file of the same keys.

All mistakes are named at once, each with the words that are allowed there.
"""

import difflib
import tomllib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple, cast

from holdfast.errors import HoldfastError

_METHODS: Final = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS")
BODIES: Final = ("bytes", "csv")
"""What a body may be made of: so many bytes of chance, or a table of so many rows."""

Table = Mapping[str, object]


class ConfigInvalid(HoldfastError):
    """The configuration of `holdfast prove` has mistakes."""

    code = "prove-config-invalid"
    advice = "Correct them; `holdfast prove --plan` shows what is understood."


class Template(NamedTuple):
    """A request to be sent.

    Texts may contain `{name}`, which is another for each request, `{n}` its number, `{id}` what an answer named,
    `{rows}` how many are wanted, `{folder}` where the backend keeps things, `{secret}` a made-up password, and
    `{token}` what signing in gave.
    """

    method: str
    path: str
    headers: Mapping[str, str] = {}
    json: object = None
    form: Mapping[str, str] | None = None
    file: str = ""
    """The field of a multipart form that carries a file."""
    body: str = ""
    """One of BODIES, or a text."""
    id: str = ""
    """Where the answer names what was made: a dotted path in its JSON, or `header:Location`."""
    content: str = ""
    """The path that gives back what was sent."""
    key: str = ""
    """The header that makes a repeated request take effect once."""
    resumable: str = ""
    """Where uploads can be gone on with, by tus."""
    fill: "Template | None" = None
    """What to send so that there is something to export: its body has as many rows as are wanted."""

    @property
    def shown(self) -> str:
        """As one writes it."""
        return f"{self.method} {self.path}"


class SignIn(NamedTuple):
    """How to sign in: what to send, and where the answer has the token."""

    request: Template
    token: str = ""
    """A dotted path in the JSON of the answer; empty where it sets a cookie."""
    header: str = "Authorization: Bearer {token}"


class Config(NamedTuple):
    """What is said of a backend."""

    app: str = ""
    serve: str = ""
    ready: str = ""
    ready_within_s: float = 30.0
    openapi: str = ""
    environment: Mapping[str, str] = {}
    headers: Mapping[str, str] = {}
    sign_in: SignIn | None = None
    read: Template | None = None
    slow: tuple[Template, ...] = ()
    upload: Template | None = None
    export: Template | None = None
    write: Template | None = None
    calls_out: Template | None = None
    socket: Template | None = None
    dependencies: Mapping[str, str] = {}
    """Variables that name what the backend depends on, and where that is; `stand-in` for an HTTP server of ours."""
    where: str = ""
    """The file it was read from."""


class _Mistakes:
    """What is wrong, found while reading."""

    def __init__(self) -> None:
        self.found: list[str] = []

    def __call__(self, where: str, what: str) -> None:
        self.found.append(f"{where}: {what}")

    def unknown(self, where: str, table: Table, allowed: Sequence[str]) -> None:
        for key in table:
            if key not in allowed:
                near = difflib.get_close_matches(key, allowed, 1)
                hint = f"did you mean {near[0]!r}? " if near else ""
                self(f"{where}.{key}" if where else key, f"not known; {hint}Allowed: {', '.join(allowed)}.")


_REQUEST_KEYS: Final = ("request", "headers", "json", "form", "file", "body")
_MORE_KEYS: Final[Mapping[str, tuple[str, ...]]] = {
    "upload": ("id", "content", "resumable"),
    "export": ("fill",),
    "write": ("id", "content", "key"),
    "sign-in": ("token", "header"),
}


def read_config(folder: Path, file: Path | None = None) -> Config:
    """What `file` says, or the pyproject.toml of `folder`; an empty one where there is none. Raises ConfigInvalid."""
    where = file or folder / "pyproject.toml"
    if not where.is_file():
        if file is not None:
            raise ConfigInvalid(f"There is no file {file}.")
        return Config()
    try:
        whole = cast("dict[str, object]", tomllib.loads(where.read_text()))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigInvalid(f"{where} is not TOML: {error}") from error
    for name in ("tool", "holdfast", "prove"):
        found = whole.get(name)
        if not isinstance(found, dict):
            if name == "tool" and file is not None:
                break  # a file of its own may have the keys alone
            return Config(where=str(where))
        whole = cast("dict[str, object]", found)
    return parse(whole, str(where))


def parse(table: Table, where: str = "") -> Config:
    """What a table of the configuration says. Raises ConfigInvalid with all that is wrong."""
    mistakes = _Mistakes()
    known: dict[str, object] = {}
    mistakes.unknown("", table, [name.replace("_", "-") for name in _READERS])
    for name, reader in _READERS.items():
        key = name.replace("_", "-")
        if key in table:
            known[name] = reader(key, table[key], mistakes)
    if table.get("app") and table.get("serve"):
        mistakes("serve", "say either `app` or `serve`, not both.")
    if mistakes.found:
        raise ConfigInvalid(
            f"{where or 'The configuration'} has {len(mistakes.found)} mistake(s):\n  " + "\n  ".join(mistakes.found)
        )
    return Config(**known, where=where)  # pyright: ignore[reportArgumentType] - each reader gives what its field wants


# -- readers: each gives the value, and notes what is wrong --


def _text(where: str, value: object, mistakes: _Mistakes) -> str:
    if isinstance(value, str):
        return value
    mistakes(where, f"a text is wanted, not {_kind(value)}.")
    return ""


def _path(where: str, value: object, mistakes: _Mistakes) -> str:
    text = _text(where, value, mistakes)
    if text and not text.startswith("/"):
        mistakes(where, f"a path begins with /, and {text!r} does not.")
    return text


def _seconds(where: str, value: object, mistakes: _Mistakes) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 < value <= 600:
        return float(value)
    mistakes(where, "a number of seconds from 1 to 600 is wanted.")
    return 1.0


def _texts(where: str, value: object, mistakes: _Mistakes) -> Mapping[str, str]:
    if not isinstance(value, dict):
        mistakes(where, f'a table of texts is wanted, as in {{ NAME = "value" }}, not {_kind(value)}.')
        return {}
    table = cast("dict[str, object]", value)
    return {key: _text(f"{where}.{key}", each, mistakes) for key, each in table.items()}


def _template(where: str, value: object, mistakes: _Mistakes) -> Template:
    if isinstance(value, str):
        method, path = _request(where, value, mistakes)
        return Template(method, path)
    if not isinstance(value, dict):
        mistakes(where, f'"GET /path" is wanted, or a table with `request`, not {_kind(value)}.')
        return Template("GET", "/")
    return _described(where, cast("dict[str, object]", value), mistakes)


def _described(where: str, table: Table, mistakes: _Mistakes) -> Template:
    more = _MORE_KEYS.get(where, ())
    mistakes.unknown(where, table, (*_REQUEST_KEYS, *more))
    if "request" not in table:
        mistakes(where, '`request` is missing, as in request = "POST /files".')
    method, path = _request(f"{where}.request", table.get("request", "GET /"), mistakes)
    texts = {
        key: _text(f"{where}.{key}", table[key], mistakes)
        for key in ("file", "body", "id", "content", "key", "resumable")
        if key in table and (key in more or key in _REQUEST_KEYS)
    }
    return Template(
        method,
        path,
        headers=_texts(f"{where}.headers", table.get("headers", {}), mistakes),
        json=table.get("json"),
        form=_texts(f"{where}.form", table["form"], mistakes) if "form" in table else None,
        fill=_template(f"{where}.fill", table["fill"], mistakes) if "fill" in table and "fill" in more else None,
        **texts,
    )


def _request(where: str, value: object, mistakes: _Mistakes) -> tuple[str, str]:
    text = _text(where, value, mistakes)
    method, _, path = text.strip().partition(" ")
    if method.upper() not in _METHODS or not path.strip().startswith("/"):
        mistakes(where, f'"METHOD /path" is wanted, as in "GET /files", not {text!r}. Methods: {", ".join(_METHODS)}.')
        return "GET", "/"
    return method.upper(), path.strip()


def _templates(where: str, value: object, mistakes: _Mistakes) -> tuple[Template, ...]:
    each = cast("list[object]", value) if isinstance(value, list) else [value]
    return tuple(_template(where, one, mistakes) for one in each)


def _sign_in(where: str, value: object, mistakes: _Mistakes) -> SignIn:
    request = _template(where, value, mistakes)
    table = cast("dict[str, object]", value) if isinstance(value, dict) else {}
    token = _text(f"{where}.token", table.get("token", ""), mistakes)
    header = _text(f"{where}.header", table.get("header", SignIn._field_defaults["header"]), mistakes)
    if "{token}" not in header or ":" not in header:
        mistakes(f"{where}.header", '"Name: value with {token}" is wanted.')
    return SignIn(request, token, header)


def _kind(value: object) -> str:
    words = {"bool": "true or false", "int": "a number", "float": "a number", "list": "a list", "dict": "a table"}
    return words.get(type(value).__name__, type(value).__name__)


_READERS: Final[Mapping[str, Callable[[str, object, _Mistakes], object]]] = {
    "app": _text,
    "serve": _text,
    "ready": _path,
    "ready_within_s": _seconds,
    "openapi": _path,
    "environment": _texts,
    "headers": _texts,
    "sign_in": _sign_in,
    "read": _template,
    "slow": _templates,
    "upload": _template,
    "export": _template,
    "write": _template,
    "calls_out": _template,
    "socket": _template,
    "dependencies": _texts,
}
KEYS: Final = tuple(name.replace("_", "-") for name in _READERS)
"""The keys of the configuration."""
