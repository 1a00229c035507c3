"""FastAPI: resources as parameters, and its 422 as a problem document.

def handler(session: Annotated[AsyncSession, given(resources, AsyncSession)]) -> ...: ...

problem_details(app)
"""

from collections.abc import AsyncIterator, Mapping, MutableMapping, Sequence
from typing import Any, Final, TypeVar

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.params import Depends

from holdfast.errors import HoldfastError, Invalid
from holdfast.problems import log_failure, problem, told_as
from holdfast.resources import Resources

T = TypeVar("T")


def given(resources: Resources, key: type[T], *, name: str | None = None, claim: bool = False) -> Depends:
    """A parameter that is the resource `key` of `resources`: `Annotated[Key, given(resources, Key)]`.

    It is closed once the handler has returned and its answer is made, before any of it is sent; a failure to close is
    an exception of the request like any other, and an exception of the handler is raised inside the provider. With
    `claim` the resource stays open until the answer has ended: for a handler that streams from it.

    A dependency of yours with a `yield` that takes a request's resource must say `Depends(..., scope="function")`, so
    that it ends first; FastAPI tells at the start if one does not.
    """
    if resources.lives_long(key, name=name):

        async def find() -> T:
            return await resources.get(key, name=name)

        return Depends(find)

    async def provide() -> AsyncIterator[T]:
        async with resources.joined(claim=claim) as container:
            yield await (container.claim if claim else container.get)(key, name=name)

    return Depends(provide, scope="request" if claim else "function")


# -- problems --

_OURS: Final = {"$ref": "#/components/schemas/InvalidProblem"}
_THEIRS: Final = {"$ref": "#/components/schemas/HTTPValidationError"}
_TEXT: Final = {"type": "string"}
_SCHEMA: Final[Mapping[str, object]] = {
    "type": "object",
    "title": "InvalidProblem",
    "description": "Problem details (RFC 9457) of a request with values that are not valid.",
    "required": ["type", "title", "status", "detail", "errors"],
    "properties": {
        "type": {**_TEXT, "const": "urn:holdfast:problem:invalid"},
        "title": _TEXT,
        "status": {"type": "integer", "const": 422},
        "detail": _TEXT,
        "advice": _TEXT,
        "request_id": {"type": ["string", "null"]},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["detail", "in"],
                "properties": {
                    "detail": {**_TEXT, "description": "What is wrong."},
                    "in": {**_TEXT, "description": "body, query, path, header or cookie."},
                    "name": {**_TEXT, "description": "The parameter, outside a body."},
                    "pointer": {**_TEXT, "description": "Where in the body: a JSON pointer (RFC 6901)."},
                    "position": {"type": "integer", "description": "The byte at which a body stops being JSON."},
                },
            },
        },
    },
}


def problem_details(app: FastAPI) -> None:
    """Answer what FastAPI finds invalid, and errors of ours, with problem documents; OpenAPI says so too.

    The document names each fault and where it is, and never repeats what was sent: FastAPI's own answer does, and that
    may be a password.
    """
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HoldfastError, _ours)
    describe = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            _describe(describe())
        return describe()

    app.openapi = openapi


async def _invalid(request: Request, error: Exception) -> Response:
    errors: Sequence[Mapping[str, Any]] = error.errors() if isinstance(error, RequestValidationError) else ()
    return _response(Invalid(errors=[_fault(found) for found in errors]), request)


async def _ours(request: Request, error: Exception) -> Response:
    """An error of ours, on a server or in a test client without Holdfast around the application."""
    log_failure(error)
    return _response(told_as(error), request)


def _response(error: HoldfastError, request: Request) -> Response:
    made = problem(error, request.scope)
    response = Response(made.body, made.status)
    response.raw_headers = made.headers
    return response


def _fault(found: Mapping[str, Any]) -> dict[str, object]:
    """One fault in the words of the document; `input`, `ctx` and `url` stay behind."""
    place, *path = found["loc"]
    fault: dict[str, object] = {"detail": str(found["msg"]), "in": str(place)}
    if found["type"] == "json_invalid":
        fault["position"] = path[0]
    elif place == "body":
        fault["pointer"] = "".join("/" + str(step).replace("~", "~0").replace("/", "~1") for step in path)
    elif path:
        fault["name"] = ".".join(map(str, path))
    return fault


def _describe(document: MutableMapping[str, Any]) -> None:
    """Put our schema wherever FastAPI's own 422 stands in its OpenAPI document."""
    found = False
    for path in document.get("paths", {}).values():
        for operation in path.values():
            answer = operation.get("responses", {}).get("422", {})
            if answer.get("content", {}).get("application/json", {}).get("schema") == _THEIRS:
                answer["content"] = {"application/problem+json": {"schema": _OURS}}
                found = True
    if found:
        schemas = document["components"]["schemas"]
        schemas["InvalidProblem"] = _SCHEMA
        schemas.pop("HTTPValidationError", None)
        schemas.pop("ValidationError", None)
