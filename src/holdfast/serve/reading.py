"""What comes in on a connection: heads that are checked before anything is made of them, and bodies.

Trailers are dropped: the parser would append them to the live headers, and a trailer must never become a credential.
"""

import asyncio
import socket
import urllib.parse
from abc import abstractmethod
from typing import Any, Final, Literal, cast

import httptools
from uvicorn._types import HTTPScope
from uvicorn.config import Config
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT, FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from holdfast.asgi import Headers
from holdfast.context import Gone
from holdfast.decide.slowness import Arrival
from holdfast.errors import BadRequest, HeadersTooLarge, HoldfastError, RequestTimeout, Unforeseen, UriTooLong
from holdfast.serve.acceptor import Accepted
from holdfast.serve.cycle import Cycle
from holdfast.serve.state import DoorState

_DISTINCT: Final = frozenset({b"holdfast-priority", b"priority", b"sec-purpose"})
"""Headers that say how important a request is."""
_NOTED: Final = frozenset({b"host", b"expect", b"te", b"content-length", b"transfer-encoding"}) | _DISTINCT


class Reading(HttpToolsProtocol):
    """One connection, as far as what comes in on it is concerned.

    Its own attributes are slots: with more than thirty, each of thousands of connections would have a dictionary whose
    keys it shares with no other.
    """

    __slots__ = (
        "accepted",
        "arrival",
        "begun",
        "distinct",
        "gone",
        "has_body",
        "head_awaited",
        "head_bytes",
        "head_fed",
        "hosts",
        "idle_since",
        "in_head",
        "refused",
        "socket",
        "takes_trailers",
    )
    server_state: DoorState
    transport: asyncio.Transport
    flow: FlowControl
    scheme: Literal["http", "https"] | None
    server: tuple[str, int | None] | None
    client: tuple[str, int] | None
    expect_100_continue: bool
    takes_trailers: bool
    has_body: bool
    distinct: bool
    headers: Headers
    scope: HTTPScope
    cycle: Cycle | None  # pyright: ignore[reportIncompatibleVariableOverride] - None before the first request, there too
    parser: httptools.HttpRequestParser  # None only once the connection is lost, when nothing is fed any more

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
        accepted: Accepted | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self.accepted: Accepted | None = accepted
        """What is known of the connection, until it is made."""
        self.socket: socket.socket | None = accepted.connection if accepted is not None else None
        self.gone: Gone = Gone()
        self.idle_since: float | None = None
        """Since when the connection waits for its next request, by the loop; None while something is going on."""
        self.in_head: bool = True
        self.head_bytes: int = 0
        """What the headers parsed so far have."""
        self.head_fed: int = 0
        """What was fed since the request began, also of a header that does not end."""
        self.begun: bool = False
        """Whether a request has begun, and is not whole yet."""
        self.head_awaited: bool = False
        """Whether somebody looks after it that the head comes in time."""
        self.hosts: int = 0
        self.refused: bool = False
        self.arrival: Arrival | None = None
        """How the body arrives, where it is not whole yet."""

    @abstractmethod
    def refuse(self, kind: type[HoldfastError]) -> None:
        """Answer with the problem of `kind`, and close."""

    @abstractmethod
    def only_observed(self, kind: type[HoldfastError]) -> bool:
        """Whether nothing is refused, only told of."""

    @abstractmethod
    def take(self, version: str) -> None:
        """Do what is to be done with a request whose head is whole and well."""

    @abstractmethod
    def whole(self) -> None:
        """Hear that the request is whole that was answered already."""

    def connection_made(self, transport: asyncio.Transport) -> None:
        """A client has connected: its first request is to come."""
        accepted, self.accepted = self.accepted, None
        if accepted is None:
            super().connection_made(transport)
        else:  # what uvicorn's does, without asking the kernel again for what is known
            self.connections.add(self)
            self.transport, self.flow, self.scheme = transport, FlowControl(transport), "http"
            self.server, self.client = accepted.here, accepted.peer
        self._await_head()
        if accepted is not None and accepted.read:
            self.data_received(accepted.read)

    def data_received(self, data: bytes) -> None:
        """Feed the parser, unless this connection was refused."""
        if self.refused:
            return
        self.idle_since = None
        if self.in_head:
            self.head_fed += len(data)
        while data:
            data = self._feed(data)
        if self.in_head:
            if self.begun and not self.head_awaited:
                self._await_head()
        elif self.arrival is None and self.server_state.slow is not None and not self.refused:
            self.server_state.slow.await_body(self)
        if self.in_head and self.head_fed > self.server_state.head_max_bytes and not self.refused:
            self.refuse(HeadersTooLarge if self.headers else UriTooLong)

    def _feed(self, data: bytes) -> bytes:
        """Feed the parser. Returns what it is to be fed next."""
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            if self._should_upgrade():
                self.handle_websocket_upgrade()
            elif not self.refused:
                again = self._without_offer() + data[upgrade.args[0] :]
                if not self.parser.should_keep_alive():  # it has seen `Connection: close`, and would read no more
                    self.parser = httptools.HttpRequestParser(self)
                    self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
                return again
        except httptools.HttpParserCallbackError as error:
            self.logger.error("the door failed", exc_info=error)
            self.refuse(Unforeseen)
        except httptools.HttpParserError:
            self.refuse(BadRequest)
        return b""

    def _without_offer(self) -> bytes:
        """The head again, without an offer that is not taken: with it the parser would not look for a body."""
        line = b"%s %s HTTP/%s\r\n" % (
            self.parser.get_method(),
            self.url,
            self.parser.get_http_version().encode(),
        )
        kept = [name + b": " + value + b"\r\n" for name, value in self.headers if name != b"upgrade"]
        return line + b"".join(kept) + b"\r\n"

    def on_message_begin(self) -> None:
        """A request begins."""
        self.url = b""
        self.expect_100_continue = self.takes_trailers = self.has_body = self.distinct = False
        self.headers = []
        scope: dict[str, Any] = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "server": self.server,
            "client": self.client,
            "scheme": self.scheme,
            "root_path": self.root_path,
            "headers": self.headers,
            "state": self.app_state.copy(),
            Gone.SCOPE_KEY: self.gone,
        }
        self.scope = cast("HTTPScope", scope)  # uvicorn's name for it
        self.in_head = self.begun = True
        self.head_bytes = self.head_fed = self.hosts = 0

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header, or a trailer, which is dropped."""
        if not self.in_head:
            return
        self.head_bytes += len(name) + len(value) + 4
        name = name.lower()
        if name in _NOTED:
            if name == b"host":
                self.hosts += 1
            elif name == b"te":
                self.takes_trailers = b"trailers" in value.lower()
            elif name in _DISTINCT:
                self.distinct = True
            elif name != b"expect":
                self.has_body = value != b"0"
            elif value.lower() == b"100-continue":
                self.expect_100_continue = True
        self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        """The head is whole: look whether it is well."""
        self.in_head = False
        if self.head_awaited:
            self.forget_head()
        if self.refused:
            return
        parser, scope = self.parser, cast("dict[str, Any]", self.scope)
        scope["method"] = parser.get_method().decode("ascii")
        version = parser.get_http_version()
        if version != "1.1":
            scope["http_version"] = version
        fault = self._fault(version)
        if fault is not None:
            self.refuse(fault)
        elif not parser.should_upgrade():
            self.take(version)
        elif scope["method"] == "CONNECT":
            self.refuse(BadRequest)
        # else it is a WebSocket, which another protocol class serves; or it is fed again, without the offer

    def _fault(self, version: str) -> type[HoldfastError] | None:
        """What is wrong with the head."""
        size = self.head_bytes + len(self.url)
        if size > self.server_state.head_max_bytes and not self.only_observed(HeadersTooLarge):
            return UriTooLong if len(self.url) * 2 > size else HeadersTooLarge
        if self.hosts != 1 and (self.hosts or version == "1.1"):
            return BadRequest  # RFC 9112, section 3.2: which host is meant must be plain to everybody on the way
        if not self.parser.should_upgrade():
            try:
                self._set_path(cast("dict[str, Any]", self.scope))
            except (httptools.HttpParserInvalidURLError, UnicodeDecodeError):
                return BadRequest
        return None

    def _set_path(self, scope: dict[str, Any]) -> None:
        url = httptools.parse_url(self.url)
        raw_path = url.path or b"/"
        path = raw_path.decode("ascii")
        root = self.root_path  # the proxy took it away, and the application is told the whole path
        scope["path"] = root + (urllib.parse.unquote(path) if "%" in path else path)
        scope["raw_path"] = root.encode("ascii") + raw_path if root else raw_path
        scope["query_string"] = url.query or b""

    def on_body(self, body: bytes) -> None:
        """A piece of a body."""
        cycle = self.cycle
        if cycle is None or self.refused or self.parser.should_upgrade() or cycle.response_complete:
            return
        cycle.body += body
        if self.arrival is not None:
            self.arrival.came(len(body))
        if len(cycle.body) > HIGH_WATER_LIMIT:
            self.flow.pause_reading()
        cycle.message_event.set()

    def on_message_complete(self) -> None:
        """The request is whole."""
        self.in_head = True
        self.begun = False
        if self.arrival is not None:
            self.forget_body()
        if self.refused or self.parser.should_upgrade():
            return
        cycle = self.cycle
        if cycle is None or cycle.response_complete:
            self.whole()
            return
        cycle.more_body = False
        cycle.message_event.set()

    # -- in time --

    def _await_head(self) -> None:
        if self.server_state.slow is not None:
            self.head_awaited = True
            self.server_state.slow.await_head(self)

    def forget_head(self) -> None:
        """No head is waited for any more."""
        if self.head_awaited and self.server_state.slow is not None:
            self.head_awaited = False
            self.server_state.slow.forget_head(self)

    def forget_body(self) -> None:
        """No body is waited for any more."""
        if self.arrival is not None and self.server_state.slow is not None:
            self.server_state.slow.forget_body(self)

    @property
    @abstractmethod
    def awaited(self) -> bool:
        """Whether the application waits for more of a body."""

    def too_slow(self) -> None:
        """End a connection on which a head or a body comes too slowly."""
        if self.transport.is_closing():
            return
        if self.in_head and not self.begun:
            self.transport.close()  # it never asked for anything
        else:
            self.refuse(RequestTimeout)
