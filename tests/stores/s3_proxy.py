"""A proxy in front of an S3 server that lets chosen calls fail, for real: with an answer, late, or not at all."""

import contextlib
import http.client
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

ERROR = (
    '<?xml version="1.0" encoding="UTF-8"?><Error><Code>{code}</Code><Message>Please try again.</Message>'
    "<RequestId>1</RequestId></Error>"
)
CODES = {500: "InternalError", 503: "SlowDown"}


@dataclass
class Call:
    """What a client asks."""

    method: str
    target: str
    query: dict[str, list[str]]
    copies: bool

    @property
    def name(self) -> str:
        """Which of S3's operations it is."""
        marks = {"uploads", "uploadId", "list-type"} & set(self.query)
        names = {
            ("POST", "uploads"): "begin",
            ("POST", "uploadId"): "complete",
            ("PUT", "uploadId"): "copy part" if self.copies else "part",
            ("DELETE", "uploadId"): "abort",
            ("GET", "uploadId"): "list parts",
            ("GET", "uploads"): "list uploads",
            ("GET", "list-type"): "list",
        }
        plain = {"PUT": "put", "GET": "get", "HEAD": "head", "DELETE": "delete"}
        return names.get((self.method, next(iter(marks), "")), plain.get(self.method, "?"))


@dataclass
class Trouble:
    """What is done to a call; each says whether it has dealt with it."""

    status: int | None = None
    """Answer this instead."""
    reset: bool = False
    """Break the connection, without asking the server."""
    lose: bool = False
    """Ask the server, and break the connection instead of answering."""
    cut: int | None = None
    """Break the connection after so many bytes of the answer's body."""
    wait: threading.Event | None = None
    """Ask the server only once this is set; the client does not hear of it in time."""


@dataclass
class Proxy:
    """A proxy that runs. `decide` says what to do to a call; it is asked in the thread of each connection."""

    url: str
    decide: Callable[[Call], Trouble | None] = lambda _: None


class Handler(BaseHTTPRequestHandler):
    """One connection of a client."""

    protocol_version = "HTTP/1.1"
    server: "Server"

    def log_message(self, *_: object) -> None:
        return

    def _handle(self) -> None:
        parts = urlsplit(self.path)
        copies = "x-amz-copy-source" in self.headers
        call = Call(self.command, self.path, parse_qs(parts.query, keep_blank_values=True), copies)
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        trouble = self.server.proxy.decide(call) or Trouble()
        if trouble.reset:
            self._break()
        elif trouble.status is not None:
            self._answer(trouble.status, {}, ERROR.format(code=CODES[trouble.status]).encode())
        else:
            if trouble.wait is not None:
                trouble.wait.wait(30)
            with contextlib.suppress(ConnectionError):
                self._pass_on(body, trouble)

    def _pass_on(self, body: bytes, trouble: Trouble) -> None:
        connection = http.client.HTTPConnection(*self.server.upstream, timeout=30)
        try:
            connection.request(self.command, self.path, body, dict(self.headers))
            answer = connection.getresponse()
            content = answer.read()
        finally:
            connection.close()
        if trouble.lose:
            self._break()
            return
        self._answer(answer.status, dict(answer.getheaders()), content, trouble.cut)

    def _answer(self, status: int, headers: dict[str, str], content: bytes, cut: int | None = None) -> None:
        self.send_response_only(status)
        for name, value in headers.items():
            if name.lower() not in {"connection", "transfer-encoding", "content-length", "keep-alive"}:
                self.send_header(name, value)
        length = headers.get("Content-Length", len(content)) if self.command == "HEAD" else len(content)
        self.send_header("content-length", str(length))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content[:cut])
        if cut is not None and cut < len(content):
            self.wfile.flush()
            self._break()

    def _break(self) -> None:
        # So that the other side sees a reset, not an end.
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True
        self.connection.close()

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _handle


class Server(ThreadingHTTPServer):
    """Takes connections; one that a test broke is nothing to report."""

    daemon_threads = True
    request_queue_size = 64
    proxy: Proxy
    upstream: tuple[str, int]

    def handle_error(self, request: object, client_address: object) -> None:
        return


@contextlib.contextmanager
def in_front_of(url: str) -> Iterator[Proxy]:
    """A proxy in front of the server at `url`."""
    with Server(("127.0.0.1", 0), Handler) as server:
        parts = urlsplit(url)
        server.upstream = (parts.hostname, parts.port)
        server.proxy = Proxy(f"http://127.0.0.1:{server.server_address[1]}")
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield server.proxy
        finally:
            server.shutdown()
            thread.join(5)
