"""Uploads as an ASGI application: a request is told apart, authorised, parsed, carried out and answered."""

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from typing import Final, NamedTuple
from urllib.parse import parse_qs

from holdfast.asgi import ASGIApp, Receive, Scope, Send, header
from holdfast.decide.uploads.dialect import Answer, Terms
from holdfast.decide.uploads.dialects import discovery
from holdfast.decide.uploads.head import head, is_upload_id
from holdfast.decide.uploads.vocabulary import Upload
from holdfast.errors import NotFound
from holdfast.parts.uploads.engine import Engine
from holdfast.parts.uploads.hooks import Authorise, Finished, Hooks, Quota, Scan
from holdfast.parts.uploads.receiving import Received, received
from holdfast.parts.uploads.serving import Serving, answered
from holdfast.parts.uploads.settings import PaceSettings, UploadSettings
from holdfast.parts.uploads.taking import Asked, Check, taken
from holdfast.problems import log_failure
from holdfast.settings import load
from holdfast.stores.blobs import Blobs
from holdfast.stores.ledger import Ledger

_PROXIES: Final = frozenset(
    {b"forwarded", b"via", b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host", b"x-forwarded-prefix"}
)


class _Place(NamedTuple):
    """What a request addresses."""

    base: str
    """The path of the place where uploads begin."""
    upload_id: str | None
    location: str
    """What the ID of an upload is appended to, with a slash, to make an address that is right for this client."""


class UploadsApp:
    """Where uploads arrive. An ASGI application to be mounted, or put around another one at a path."""

    def __init__(
        self,
        *,
        blobs: Blobs,
        ledger: Ledger,
        authorise: Authorise,
        quota: Quota | None = None,
        scan: Scan | None = None,
        finished: Finished | None = None,
        types: Sequence[str] = (),
        at: str = "",
        url: str | None = None,
        settings: UploadSettings | None = None,
        pace: PaceSettings | None = None,
        draining: Callable[[], bool] = lambda: False,
    ) -> None:
        """Keep bytes in `blobs`, and what is known of uploads in `ledger`.

        `authorise`, `quota`, `scan` and `finished` are the application's: see `holdfast.parts.uploads.hooks`. `types`
        are the media types that are taken (`image/*`), all if none is named. `at` is the path that `around` answers.
        `url` is the public URL of that place, for addresses of uploads; without it they are made from each request.
        Settings are read from the environment unless given. Raises SettingsInvalid.
        """
        self.engine: Engine = Engine(
            blobs,
            ledger,
            Hooks(authorise, quota, scan, finished),
            settings or load(UploadSettings),
            pace or load(PaceSettings),
            types=tuple(types),
            draining=draining,
        )
        self._authorise = authorise
        self._at = at.rstrip("/")
        self._url = None if url is None else url.rstrip("/")

    def running(self) -> AbstractAsyncContextManager[None]:
        """What uploads need while the application lives: enter it at the start, leave it at the end."""
        return self.engine.running()

    def receive(
        self,
        scope: Scope,
        receive: Receive,
        *,
        owner: str,
        types: Sequence[str] = (),
        max_bytes: int | None = None,
        max_files: int = 100,
    ) -> AbstractAsyncContextManager[Received]:
        """The files of a request, for a handler of one's own: a form's, or the body itself.

        Nothing is asked but the quota: `owner` is whoever the handler let in. On entering, everything was received,
        checked, scanned and is durable under its ID; the hook `finished` is not called. If the block raises, the
        files go. `types` are the media types that are taken, all if none is named; a file has at most `max_bytes`.
        Raises what is wrong as a HoldfastError.
        """
        most = self.engine.limits.max_size
        limits = self.engine.limits._replace(
            types=tuple(types), max_size=most if max_bytes is None else min(max_bytes, most or max_bytes)
        )
        return received(self.engine, scope, receive, owner, limits, max_files)

    async def take(
        self,
        scope: Scope,
        receive: Receive,
        *,
        authorise: Authorise | None = None,
        name: str | None = None,
        check: Check | None = None,
        max_files: int = 100,
    ) -> tuple[Upload, ...]:
        """The files of a request, as a request to this place would bring them, for a handler that answers itself.

        All hooks are asked, so what the application calls each file is its `result`; they are durable when this
        returns. `authorise` is asked in the place of the hook of that name. `name` is what a body that is a file is
        called. `check` sees each file before a byte of it is kept, and raises if it is not taken. The earlier files
        of a form stay if a later one is refused; the problem's member `files` names them. Raises what is wrong as a
        HoldfastError.
        """
        return await taken(self.engine, scope, receive, Asked(authorise or self._authorise, name, check, max_files))

    def around(self, app: ASGIApp) -> ASGIApp:
        """`app`, with uploads at the path `at`. `running` is to be entered beside it."""

        async def uploads(scope: Scope, receive: Receive, send: Send) -> None:
            await (self if scope["type"] == "http" and self._is_mine(scope) else app)(scope, receive, send)

        return uploads

    def _is_mine(self, scope: Scope) -> bool:
        path = _below_root(scope)
        return path == self._at or path.startswith(self._at + "/")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or one life as the whole application of a server."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif scope["type"] == "http":
            await self._serve(scope, receive, send)

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        async with AsyncExitStack() as stack:
            try:
                await stack.enter_async_context(self.running())
            except Exception as error:  # noqa: BLE001 - the server is told, and ends
                log_failure(error)
                await send({"type": "lifespan.startup.failed", "message": str(error)})
                return
            await send({"type": "lifespan.startup.complete"})
            await receive()
        await send({"type": "lifespan.shutdown.complete"})

    # -- one request --

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        place = self._place(scope)
        if place is None:
            await answered(scope, send, Answer(404, (), NotFound()))
            return
        asked = head(
            scope["method"],
            scope["headers"],
            upload_id=place.upload_id,
            base=place.base,
            name=_name_in_query(scope),
            http_version=scope.get("http_version", "1.1"),
        )
        terms = Terms(place.location, self.engine.limits, time.time())
        if asked.method == "OPTIONS":
            await answered(scope, send, discovery(asked, terms))
            return
        await Serving(self.engine, self._authorise, scope, receive, send, asked, terms).serve()

    def _place(self, scope: Scope) -> _Place | None:
        """What is addressed; None if nothing is there."""
        whole: str = scope["path"]
        path = _below_root(scope).removeprefix(self._at) if self._at else _below_root(scope)
        base, _, last = path.rstrip("/").rpartition("/")
        upload_id = last if is_upload_id(last) else None
        if (base if upload_id is not None else base + last).strip("/"):
            return None
        place = whole.rstrip("/")
        place = place.rpartition("/")[0] if upload_id is not None else place
        return _Place(place, upload_id, self._location(scope, place, whole, upload_id))

    def _location(self, scope: Scope, place: str, whole: str, upload_id: str | None) -> str:
        if self._url is not None:
            return self._url
        if not _behind_proxy(scope):
            host = header(scope, b"host")
            if host is not None and host.isascii():
                return f"{scope.get('scheme', 'http')}://{host.decode()}{place}"
        if upload_id is not None or whole.endswith("/"):
            return "."
        return place.rpartition("/")[2] or "."


def _below_root(scope: Scope) -> str:
    path: str = scope["path"]
    root: str = scope.get("root_path", "")
    return path.removeprefix(root) if root and f"{path}/".startswith(f"{root.rstrip('/')}/") else path


def _behind_proxy(scope: Scope) -> bool:
    """Whether a proxy says that it is there: then only the client knows by which address it came."""
    return any(name in _PROXIES for name, _ in scope["headers"])


def _name_in_query(scope: Scope) -> str | None:
    query = parse_qs(scope.get("query_string", b"").decode("latin-1"), errors="replace", max_num_fields=20)
    return next(iter(query.get("name", ())), None)
