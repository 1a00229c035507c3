"""What is known of a backend before anything is broken: its first look at a running one, beside what was configured."""

from collections.abc import Callable, Iterable, Mapping
from typing import Final, NamedTuple, cast

from holdfast.decide.openapi import Operation, operations, roles
from holdfast.prove.config import Config, Template
from holdfast.prove.running import App, AppFailed
from holdfast.prove.sending import table
from holdfast.prove.stage import Target, send

_SCHEMAS: Final = ("/openapi.json", "/schema/openapi.json", "/api/openapi.json", "/api/schema/?format=json")
_READS: Final = ("/", "/health", "/healthz", "/ping", "/api", "/status")
_MOST_READS: Final = 12
_SLOW_S: Final = 2.0

LINES: Final[Mapping[str, str]] = {
    "read": 'read = "GET /items"',
    "slow": 'slow = ["GET /reports/year"]',
    "upload": 'upload = { request = "POST /files", file = "file", id = "id", content = "/files/{id}/content" }',
    "export": 'export = { request = "GET /items.csv", fill = { request = "POST /files", file = "file" } }',
    "write": 'write = { request = "POST /items", json = { name = "{name}" }, id = "id", content = "/items/{id}" }',
    "calls-out": 'calls-out = "POST /items/1/notify"',
    "socket": 'socket = "GET /live"',
    "dependencies": 'dependencies = { WEBHOOK_URL = "stand-in" }',
    "schema": 'openapi = "/openapi.json"',
}
"""The line of [tool.holdfast.prove] that would tell what could not be found."""


class NothingFound(AppFailed):
    """No GET route of the backend answers 2xx."""

    code = "prove-nothing-found"
    advice = 'Say one in [tool.holdfast.prove]: read = "GET /path"; and sign-in, if it needs one.'


class Found(NamedTuple):
    """What a first look found."""

    target: Target
    how: Mapping[str, str]
    """By role, where it is known from."""
    missing: Mapping[str, str]
    """By role, why it is not known."""
    notes: tuple[str, ...]


class _Look:
    """A first look, under way."""

    def __init__(self, app: App, config: Config, tell: Callable[[str], None]) -> None:
        self.app = app
        self.config = config
        self.tell = tell
        self.how: dict[str, str] = {}
        self.missing: dict[str, str] = {}
        self.notes: list[str] = []
        self.schema = ""
        self.operations: list[Operation] = []

    async def read_schema(self) -> None:
        for path in (self.config.openapi,) if self.config.openapi else _SCHEMAS:
            answer = await self.app.client.ask("GET", path)
            if not answer.good:
                continue
            self.operations, wrong = operations(answer.json())
            self.notes += [f"{path}: {each}" for each in wrong[:5]]
            if self.operations:
                self.schema = path
                return
        where = self.config.openapi or "the usual places"
        self.missing["schema"] = f"there is no OpenAPI document in {where} that can be read"

    async def answers(self, template: Template, content: bytes | None = None) -> str:
        """Empty if it answers 2xx; otherwise what it said."""
        self.tell(f"trying {template.shown}")
        _, answer = await send(self.app, template, content=content, timeout_s=20.0)
        return "" if answer.good else f"{template.shown} said {answer.shown}"

    async def role(self, name: str, configured: Template | None, guessed: Operation | None) -> Template | None:
        """What plays a role: what is configured, or else what the document seems to say; if it works."""
        template = configured or (_guessed(guessed) if guessed else None)
        if template is None:
            self.missing.setdefault(name, "nothing of the kind is known")
            return None
        wrong = await self.answers(template, table(3) if name == "upload" else None)
        source = "configured" if configured else f"from {self.schema}"
        if wrong:
            self.missing[name] = f"{wrong} ({source})"
            return None
        self.how[name] = source
        return template

    async def reads(self, candidates: Iterable[Template]) -> tuple[Template, ...]:
        found: list[Template] = []
        for template in candidates:
            if len(found) < _MOST_READS and not await self.answers(template):
                found.append(template)
        return tuple(found)


async def look(app: App, config: Config, tell: Callable[[str], None]) -> Found:
    """Look at a running backend. Raises NothingFound where no GET answers."""
    seen = _Look(app, config, tell)
    await seen.read_schema()
    guesses = roles(seen.operations)
    plain = [Template(one.method, one.path) for one in seen.operations if one.plain and one.method == "GET"]
    candidates = [config.read] if config.read else plain or [Template("GET", path) for path in _READS]
    reads = await seen.reads(candidates)
    if not reads:
        tried = ", ".join(one.shown for one in candidates[:6])
        raise NothingFound(f"No GET route answers 2xx; tried {tried}.\n{app.tail()}")
    exported = guesses.export is not None and f"GET {guesses.export.path}"
    read = next((one for one in reads if one.shown != exported), reads[0])
    seen.how["read"] = "configured" if config.read else f"from {seen.schema}" if seen.schema else "tried"
    upload = await seen.role("upload", config.upload, guesses.upload)
    target = Target(
        config,
        read,
        slow=config.slow,
        upload=upload,
        export=await seen.role("export", config.export, guesses.export),
        write=await seen.role("write", config.write, guesses.write),
        calls_out=config.calls_out,
        socket=config.socket,
        schema=seen.schema,
        reads=reads,
    )
    for need in LINES:
        if target.has(need):
            seen.how.setdefault(need, "configured")
        else:
            seen.missing.setdefault(need, "nothing of the kind is known")
    return Found(target, seen.how, seen.missing, tuple(seen.notes))


def _guessed(operation: Operation) -> Template:
    if operation.file:
        return Template(operation.method, operation.path, file=operation.file)
    if isinstance(operation.example, dict):
        return Template(operation.method, operation.path, json=cast("dict[str, object]", operation.example))
    return Template(operation.method, operation.path)
