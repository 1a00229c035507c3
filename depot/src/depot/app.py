"""The depot as an application: `depot.app:app`.

It is FastAPI as everyone knows it. `holdfast run depot.app:app` puts Holdfast around it, so that nothing here is about
logs, request IDs, error pages or shutting down.
"""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from depot import files, reports
from depot.errors import SignInNeeded
from depot.pages import sign_in
from depot.pages.router import router as pages
from depot.resources import resources
from holdfast.contrib.fastapi import problem_details


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncGenerator[None]:
    """Open what the depot depends on, serve, close it."""
    async with resources:
        yield


def create_app() -> FastAPI:
    """Build the application. Nothing is read or opened before it starts; tests override `resources` before that."""
    app = FastAPI(title="Depot", description="Takes files in, and gives reports back.", lifespan=lifespan)
    app.include_router(files.router)
    app.include_router(reports.router)
    app.include_router(pages)
    app.add_exception_handler(SignInNeeded, sign_in.needed)
    problem_details(app)
    return app


app = create_app()
