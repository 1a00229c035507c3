"""What an OpenAPI document says that `prove` can use. A document that is wrong is no failure: what cannot be read in it
is left out, and said."""

import math
import re
from collections.abc import Mapping
from typing import Final, NamedTuple, cast

_PARAMETER: Final = re.compile(r"\{([^{}/:]+)[^{}/]*\}")
_METHODS: Final = ("get", "post", "put", "patch", "delete")
_MOST_OPERATIONS: Final = 2_000
_DEPTH: Final = 8


class Operation(NamedTuple):
    """A method of a path."""

    method: str
    path: str
    parameters: tuple[str, ...] = ()
    """Those in the path."""
    required: tuple[str, ...] = ()
    """Those that a request must have elsewhere."""
    consumes: tuple[str, ...] = ()
    produces: tuple[str, ...] = ()
    file: str = ""
    """The field of a multipart form that is a file."""
    example: object = None
    """A JSON body that fits the schema, as far as that is told without trying."""
    secured: bool = False
    accepted: bool = False
    """Whether it may answer 202: what was asked for is done later."""
    values: Mapping[str, tuple[str, ...]] = {}
    """What may stand for each query parameter that is required, as far as the document says."""
    numbers: Mapping[str, int | None] = {}
    """Whole numbers that may stand in the query, each with the most that it may be, where the document says."""

    @property
    def plain(self) -> bool:
        """Whether it can be asked for without knowing anything."""
        return not self.parameters and not self.required

    @property
    def shown(self) -> str:
        """As one writes it."""
        return f"{self.method} {self.path}"


Table = Mapping[str, object]


def operations(document: object) -> tuple[list[Operation], list[str]]:
    """The operations of a document, and what in it could not be read."""
    root = _table(document)
    wrong: list[str] = []
    if not str(root.get("openapi", "")).startswith("3."):
        return [], ["the document says no version 3 of OpenAPI"]
    found: list[Operation] = []
    for path, item in _table(root.get("paths")).items():
        if not path.startswith("/"):
            wrong.append(f"the path {path[:80]!r} does not begin with /")
            continue
        for method, operation in _table(item).items():
            if method in _METHODS and len(found) < _MOST_OPERATIONS:
                try:
                    found.append(_operation(root, method, path, _table(item), _table(operation)))
                except RecursionError:
                    wrong.append(f"{method.upper()} {path[:80]} has references without an end")
    return found, wrong


def _operation(root: Table, method: str, path: str, item: Table, operation: Table) -> Operation:
    parameters = [
        _resolved(root, each) for each in (*_list(item.get("parameters")), *_list(operation.get("parameters")))
    ]
    content = _table(_resolved(root, operation.get("requestBody")).get("content"))
    answers = _table(operation.get("responses"))
    security = operation.get("security", root.get("security"))
    return Operation(
        method.upper(),
        path,
        parameters=tuple(_PARAMETER.findall(path)),
        required=tuple(
            str(each.get("name")) for each in parameters if each.get("required") and each.get("in") != "path"
        ),
        consumes=tuple(content),
        produces=tuple(
            kind
            for status, each in answers.items()
            if status.startswith("2")
            for kind in _table(_resolved(root, each).get("content"))
        ),
        file=_file_field(root, content),
        example=_example(root, _table(_table(content.get("application/json")).get("schema")))
        if "application/json" in content
        else None,
        secured=bool(security),
        accepted="202" in answers,
        values={
            str(each.get("name")): _values(root, each)
            for each in parameters
            if each.get("required") and each.get("in") == "query"
        },
        numbers=_numbers(root, parameters),
    )


def _numbers(root: Table, parameters: list[Table]) -> dict[str, int | None]:
    found: dict[str, int | None] = {}
    for each in parameters:
        schema = _resolved(root, each.get("schema"))
        choices = [_resolved(root, one) for one in _list(schema.get("anyOf"))] or [schema]
        number = next((one for one in choices if one.get("type") == "integer"), None)
        if each.get("in") == "query" and number is not None:
            most = number.get("maximum")
            found[str(each.get("name"))] = int(most) if isinstance(most, int | float) and math.isfinite(most) else None
    return found


def _values(root: Table, parameter: Table) -> tuple[str, ...]:
    """What may stand for a parameter; none where the document names nothing."""
    schema = _resolved(root, parameter.get("schema"))
    named = [*_list(schema.get("enum")), *_list(schema.get("examples"))]
    named += [
        place[given] for place in (parameter, schema) for given in ("example", "default", "const") if given in place
    ]
    return tuple(dict.fromkeys(str(one) for one in named if isinstance(one, str | int | float)))


def _file_field(root: Table, content: Table) -> str:
    for kind in ("multipart/form-data",):
        schema = _resolved(root, _table(content.get(kind)).get("schema"))
        for name, each in _table(schema.get("properties")).items():
            field = _resolved(root, each)
            inner = _resolved(root, field.get("items"))
            if _is_binary(field) or _is_binary(inner):
                return name
    return ""


def _is_binary(schema: Table) -> bool:
    return schema.get("type") == "string" and (schema.get("format") == "binary" or "contentMediaType" in schema)


def _example(root: Table, schema: Table, depth: int = 0) -> object:
    """A value that fits, of what is required alone."""
    schema = _resolved(root, schema)
    for given in ("example", "default", "const"):
        if given in schema:
            return schema[given]
    for several in ("examples", "enum"):
        if values := _list(schema.get(several)):
            return values[0]
    for choice in ("anyOf", "oneOf", "allOf"):
        if (options := _list(schema.get(choice))) and depth < _DEPTH:
            return _example(root, _table(options[0]), depth + 1)
    kind = schema.get("type")
    if isinstance(kind, list):
        kind = cast("list[object]", kind)[0] if kind else None
    if kind == "object" or "properties" in schema:
        properties = _table(schema.get("properties"))
        wanted = [str(name) for name in _list(schema.get("required"))] if depth < _DEPTH else []
        return {name: _example(root, _table(properties.get(name)), depth + 1) for name in wanted}
    return _plain_example(str(kind), schema)


def _plain_example(kind: str, schema: Table) -> object:
    if kind in {"integer", "number"}:
        return schema.get("minimum", 1)
    if kind == "boolean":
        return True
    if kind == "array":
        return []
    formats = {"email": "someone@example.com", "date": "2026-01-01", "date-time": "2026-01-01T00:00:00Z",
               "uuid": "00000000-0000-4000-8000-000000000000", "uri": "https://example.com/"}  # fmt: skip
    least = schema.get("minLength")
    return formats.get(str(schema.get("format")), "x" * max(4, least if isinstance(least, int) and least < 1000 else 4))


def _resolved(root: Table, value: object, depth: int = 0) -> Table:
    """What a `$ref` within the document points at."""
    table = _table(value)
    reference = table.get("$ref")
    if not isinstance(reference, str) or not reference.startswith("#/") or depth > _DEPTH:
        return table
    found: object = root
    for piece in reference[2:].split("/"):
        found = _table(found).get(piece.replace("~1", "/").replace("~0", "~"))
    return _resolved(root, found, depth + 1)


def _table(value: object) -> Table:
    if not isinstance(value, dict):
        return {}
    return {str(key): each for key, each in cast("dict[object, object]", value).items()}


def _list(value: object) -> list[object]:
    return cast("list[object]", value) if isinstance(value, list) else []


# -- what an operation is probably for --

_TABLES: Final = ("text/csv", "application/x-ndjson", "application/vnd.apache.parquet", "application/jsonl")
_EXPORTS: Final = ("export", "report", "download", "dump")
_SIGNS: Final = ("login", "signin", "sign-in", "token", "logout", "register", "password", "health", "webhook")


class Roles(NamedTuple):
    """Which operations are probably what."""

    read: Operation | None = None
    upload: Operation | None = None
    export: Operation | None = None
    write: Operation | None = None


def roles(found: list[Operation]) -> Roles:
    """Guess what operations are for; only what can be asked for without knowing anything."""
    plain = [one for one in found if one.plain]
    gets = [one for one in plain if one.method == "GET"]
    exports = [one for one in gets if set(one.produces) & set(_TABLES)] or [
        one for one in gets if any(word in one.path.lower() for word in _EXPORTS)
    ]
    reads = [one for one in gets if one not in exports]
    uploads = [
        one
        for one in plain
        if one.method in {"POST", "PUT"} and (one.file or "application/octet-stream" in one.consumes)
    ]
    writes = [
        one
        for one in plain
        if one.method == "POST"
        and isinstance(one.example, dict)
        and not any(word in one.path.lower() for word in _SIGNS)
    ]
    return Roles(*(found[0] if found else None for found in (reads, uploads, exports, writes)))
