"""What a scenario is given: the backend as it is known, instances of it, chance, a folder, and somebody to tell."""

import random
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

from holdfast.prove.config import Config, Template
from holdfast.prove.http import Answer
from holdfast.prove.neighbours import neighbours
from holdfast.prove.running import App, running
from holdfast.prove.sending import Request, found_in, request, table


class Target(NamedTuple):
    """What is known of a backend: what was configured, and what was found."""

    config: Config
    read: Template
    """A cheap GET that answers 2xx."""
    slow: tuple[Template, ...] = ()
    upload: Template | None = None
    export: Template | None = None
    write: Template | None = None
    calls_out: Template | None = None
    socket: Template | None = None
    schema: str = ""
    """The path of the OpenAPI document, if there is one."""
    reads: tuple[Template, ...] = ()
    """All that can be asked for without knowing anything, and answered 2xx."""

    def has(self, need: str) -> bool:
        """Whether it is known what a scenario needs."""
        if need == "dependencies":
            return bool(self.config.dependencies)
        if need == "schema":
            return bool(self.schema)
        return bool(getattr(self, need.replace("-", "_")))


class Stage:
    """Where one run of a scenario takes place."""

    def __init__(
        self,
        target: Target,
        cwd: Path,
        folder: Path,
        *,
        seed: int,
        secret: str,
        quick: bool,
        tell: Callable[[str], None],
    ) -> None:
        """`folder` is for this run alone; `tell` takes a few words about how far it is."""
        self.target: Target = target
        self.folder: Path = folder
        self.seed: int = seed
        self.chance: random.Random = random.Random(seed)  # noqa: S311 - to be repeated, not to be secret
        self.quick: bool = quick
        """Whether it should be over soon."""
        self.secret: str = secret
        self.tell: Callable[[str], None] = tell
        self._cwd = cwd
        self._apps = 0

    @asynccontextmanager
    async def app(self, environ: Mapping[str, str] | None = None, output: int | None = None) -> AsyncGenerator[App]:
        """A backend of its own, with nothing in it, ready and signed in; before each neighbour is a fault proxy.

        `output` is the descriptor that it writes to, where that is not to be its log.
        """
        self._apps += 1
        folder = self.folder / f"app-{self._apps}"
        config = self.target.config
        async with neighbours(config, self.seed) as found:
            environ = {**{each.variable: each.value for each in found.values()}, **(environ or {})}
            async with running(config, self._cwd, folder, environ, self.secret, output) as app:
                app.neighbours = found
                yield app


async def send(
    app: App,
    template: Template,
    known: Mapping[str, str] | None = None,
    *,
    content: bytes | None = None,
    timeout_s: float = 30.0,
) -> tuple[Request, Answer]:
    """Send what a template says, signed in; what was sent, and its answer.

    Where its path wants an `{id}` that is not known, something is made first that has one.
    """
    names = {**app.names, **(known or {})}
    if "{id}" in template.path and "id" not in names:
        names["id"] = app.names["id"] = await _made(app)
    sent = request(template, names, content)
    answer = await app.client.ask(sent.method, sent.path, headers=sent.headers, body=sent.body, timeout_s=timeout_s)
    return sent, answer


async def _made(app: App) -> str:
    """The ID of something that was just made, by the first role that names one."""
    for template in (app.config.upload, app.config.write):
        if template is not None and template.id:
            content = table(10) if template is app.config.upload else None
            sent = request(template, app.names, content)
            answer = await app.client.ask(sent.method, sent.path, headers=sent.headers, body=sent.body)
            if answer.good:
                return found_in(answer, template.id)
    return ""
