"""Finding the application that is named on the command line, and putting Holdfast around it."""

import importlib
import inspect
import sys
from collections.abc import Callable
from pathlib import Path
from typing import cast

from holdfast import logs
from holdfast.app import Holdfast
from holdfast.asgi import ASGIApp
from holdfast.context import ContextSettings
from holdfast.errors import AppNotFound
from holdfast.parts.drain import Lifecycle


def find(name: str) -> ASGIApp:
    """The application that `module:variable` or `module:function()` names.

    Raises AppNotFound, which says what was found instead. What the module itself raises passes unchanged.
    """
    module_name, separator, attribute = name.partition(":")
    if not separator or not module_name or not attribute:
        raise AppNotFound(f"{name!r} is not of the form module:variable.")
    folder = str(Path.cwd())
    if folder not in sys.path:
        sys.path.insert(0, folder)
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is not None and (module_name == error.name or module_name.startswith(error.name + ".")):
            raise AppNotFound(f"There is no module {error.name!r} to be imported from {folder}.") from error
        raise
    called = attribute.endswith("()")
    found: object = module
    for part in attribute.removesuffix("()").split("."):
        found = getattr(found, part, None)
        if found is None:
            raise AppNotFound(f"The module {module_name!r} has no {part!r}. {_offers(vars(module))}")
    if called:
        found = cast("Callable[[], object]", found)()
    return _checked(name, found)


def _offers(names: dict[str, object]) -> str:
    likely = [
        name for name, value in names.items() if not name.startswith("_") and _is_asgi(value) and _takes(value) == 3
    ]
    return f"Perhaps {' or '.join(likely)} is meant." if likely else ""


def _is_asgi(value: object) -> bool:
    if inspect.isclass(value) or not callable(value):
        return False
    call = value if inspect.isfunction(value) else inspect.getattr_static(type(value), "__call__", None)
    return inspect.iscoroutinefunction(call)


def _checked(name: str, found: object) -> ASGIApp:
    if not callable(found):
        raise AppNotFound(f"{name!r} is a {type(found).__name__}, which cannot be called.")
    if _is_asgi(found) or _takes(found) in {3, -1}:
        return cast("ASGIApp", found)
    if _takes(found) != 2:
        raise AppNotFound(f"{name!r} is not called with scope, receive and send, so it is no ASGI application.")
    raise AppNotFound(
        f"{name!r} looks like a WSGI application, which is not served: name the application in Django's asgi.py, "
        "or wrap Flask's with asgiref.wsgi.WsgiToAsgi."
    )


def _takes(found: object) -> int:
    """How many positional parameters something callable takes; -1 where that cannot be known."""
    try:
        parameters = inspect.signature(cast("Callable[..., object]", found)).parameters.values()
    except (TypeError, ValueError):
        return -1
    return len([p for p in parameters if p.kind in {p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD}])


def wrap(app: ASGIApp, settings: ContextSettings) -> Holdfast:
    """Holdfast around `app`; an application that is a Holdfast already stays what it is."""
    if isinstance(app, Holdfast):
        return app
    return Holdfast(app, settings=settings, lifecycle=Lifecycle(), own_logs=False)


def adopt_loggers() -> None:
    """Let all lines go out the same way: those of a logging of the application's own, of structlog and of loguru."""
    logs.regain()
    if "structlog" in sys.modules:
        from holdfast.contrib import structlog  # noqa: PLC0415 - only where the application uses it

        structlog.install()
    if "loguru" in sys.modules:
        from holdfast.contrib import loguru  # noqa: PLC0415 - as above

        loguru.install()
