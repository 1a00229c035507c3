"""The depot as an application: `depot.app:app`.

It is FastAPI as everyone knows it. `holdfast run depot.app:app` puts Holdfast around it, so that nothing here is about
logs, request IDs, error pages or shutting down.
"""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from depot import exports, files, reports
from depot.background import News
from depot.errors import SignInNeeded
from depot.pages import sign_in
from depot.pages.router import router as pages
from depot.resources import resources
from depot.uploads import AT
from holdfast import uploads
from holdfast.contrib.fastapi import problem_details


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncGenerator[None]:
    """Open what the depot depends on, serve, close it."""
    async with resources:
        yield


class Resumable:
    """Uploads that can be gone on with: an application of its own, which is open among the resources."""

    def __init__(self, path: str) -> None:
        """`path` is the route, as log and metrics tell of it."""
        self._path = path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        scope["path_template"] = self._path
        incoming = await resources.get(uploads.Uploads)
        await incoming(scope, receive, send)
        (await resources.get(News)).set()


def create_app() -> FastAPI:
    """Build the application. Nothing is read or opened before it starts; tests override `resources` before that."""
    app = FastAPI(title="Depot", description="Takes files in, and gives reports back.", lifespan=lifespan)
    app.include_router(files.router)
    app.include_router(reports.router)
    app.include_router(exports.router)
    app.include_router(pages)
    app.router.routes.extend(Route(path, Resumable(path)) for path in (AT, f"{AT}/{{upload_id}}"))
    app.add_exception_handler(SignInNeeded, sign_in.needed)
    problem_details(app)
    return app


app = create_app()
