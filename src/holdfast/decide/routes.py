"""Which route a framework has matched, as far as it says so in the scope.

Django, Quart, Falcon and BlackSheep leave nothing there.
"""

from collections.abc import Mapping

from holdfast.asgi import Scope


def route_of(scope: Scope) -> str | None:
    """The route template that a framework left in the scope; where only a mount matched, that of the mount.

    Starlette and FastAPI leave the route itself, Litestar a `path_template`, which any other application may set too.
    A root path is no part of it.
    """
    route = scope.get("route")
    path = getattr(route, "path", None)
    if isinstance(path, str):
        if "fastapi" in scope:
            path = _included(scope["fastapi"], route) or path
        return _mounted(scope, "" if hasattr(route, "routes") else path) if "app_root_path" in scope else path
    template = scope.get("path_template")
    if isinstance(template, str) and template:  # Litestar leaves an empty one where what is mounted is not its own
        return template
    return _mounted(scope, "") if "app_root_path" in scope else None


def _included(chosen: Mapping[str, object], route: object) -> str | None:
    """The whole template where FastAPI's route is of an included router, which does not know what it is below."""
    included = chosen.get("effective_route_context")
    path = getattr(included, "path", None)
    return path if isinstance(path, str) and getattr(included, "original_route", None) is route else None


def _mounted(scope: Scope, path: str) -> str:
    """`path` below what it is mounted on. There the scope has the values of parameters: their names are put back."""
    root: str = scope.get("root_path", "").removeprefix(scope["app_root_path"])
    names = {str(value): name for name, value in scope.get("path_params", {}).items() if f"{{{name}" not in path}
    if names:
        root = "/".join(f"{{{names[part]}}}" if part in names else part for part in root.split("/"))
    return root + path
