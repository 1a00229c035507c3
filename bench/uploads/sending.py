"""The client: bodies over raw sockets, by sendfile from memory, in a process of its own.

    echo JOB | python sending.py

JOB is JSON: `port`, `way` (form, put, tus), `streams`, `bytes` of each, `source` (a file that is sent again and again),
and `slow_s`: 0, or the seconds over which each body is spread. Prints JSON: `seconds`, `cpu_s`. What a
dialect wants before its bytes is done when the clock starts; it stops at the last answer.
"""

import json
import os
import select
import socket
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

PIECE: Final = 1 << 20
EDGE: Final = "an-edge-that-no-file-has"
FORM: Final = (
    f'--{EDGE}\r\nContent-Disposition: form-data; name="file"; filename="x.bin"\r\n'
    "Content-Type: application/octet-stream\r\n\r\n"
).encode()
TAIL: Final = f"\r\n--{EDGE}--\r\n".encode()
TUS: Final = "Tus-Resumable: 1.0.0\r\n"


def head(method: str, path: str, length: int, more: str = "") -> bytes:
    """The head of a request."""
    return f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{more}Content-Length: {length}\r\n\r\n".encode()


class Answer:
    """An answer, as far as it has come."""

    def __init__(self) -> None:
        self._data = b""
        self.fields: dict[str, str] = {}
        """Its headers, once they are there, in lower case."""

    def take(self, data: bytes) -> bool:
        """More of it; whether it is whole."""
        if not data:
            sys.exit("the server closed the connection")
        self._data += data
        start, ended, body = self._data.partition(b"\r\n\r\n")
        if not ended:
            return False
        if not start.startswith(b"HTTP/1.1 2"):
            sys.exit(f"refused: {self._data[:600]!r}")
        self.fields = dict(line.split(": ", 1) for line in start.decode().lower().split("\r\n")[1:])
        return len(body) >= int(self.fields.get("content-length", "0"))


class Stream:
    """One upload on one connection."""

    def __init__(self, port: int, way: str, size: int, source: int) -> None:
        self._source = source
        self._source_bytes = os.fstat(source).st_size
        self._port = port
        self.connection: socket.socket = socket.socket()
        self.answer = Answer()
        self._size = size
        self._tail = b""
        self._sent = 0
        if way == "form":
            kind = f"Content-Type: multipart/form-data; boundary={EDGE}\r\n"
            self._head = head("POST", "/upload", size + len(FORM) + len(TAIL), kind) + FORM
            self._tail = TAIL
        elif way == "put":
            self._head = head("PUT", "/upload", size)
        else:
            place = "/upload/" + self._created(size).rpartition("/")[2]
            kind = "Upload-Offset: 0\r\nContent-Type: application/offset+octet-stream\r\n"
            self._head = head("PATCH", place, size, TUS + kind)

    def _created(self, size: int) -> str:
        """Begin a tus upload; where it is."""
        answer = Answer()
        with socket.create_connection(("127.0.0.1", self._port)) as connection:
            connection.sendall(head("POST", "/upload", 0, f"{TUS}Upload-Length: {size}\r\n"))
            while not answer.take(connection.recv(65536)):
                pass
        return answer.fields["location"]

    def begin(self) -> None:
        """Connect, and send the head."""
        self.connection.connect(("127.0.0.1", self._port))
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.connection.sendall(self._head)
        self.connection.setblocking(False)

    def push(self, most: int = PIECE) -> bool:
        """Send at most so many bytes of the body; whether all of it was sent."""
        if self._sent < self._size:
            start = self._sent % self._source_bytes
            count = min(most, self._size - self._sent, self._source_bytes - start)
            self._sent += os.sendfile(self.connection.fileno(), self._source, start, count)
            return False
        self._tail = self._tail[self.connection.send(self._tail) if self._tail else 0 :]
        return not self._tail

    def hear(self) -> bool:
        """Whether the answer is whole."""
        return self.answer.take(self.connection.recv(65536))


def at_full_rate(streams: Iterable[Stream]) -> None:
    """Push all streams as fast as they are taken, and hear their answers."""
    poll = select.epoll()
    under_way = {stream.connection.fileno(): stream for stream in streams}
    for number in under_way:
        poll.register(number, select.EPOLLOUT)
    while under_way:
        for number, event in poll.poll(60) or sys.exit("the server takes nothing any more"):
            stream = under_way[number]
            if event & select.EPOLLIN:
                if stream.hear():
                    del under_way[number]
                    poll.unregister(number)
            elif stream.push():
                poll.modify(number, select.EPOLLIN)


def slowly(streams: list[Stream], size: int, seconds: float) -> None:
    """Spread each body over `seconds`; the last piece of all comes at the end."""
    steps = max(1, round(seconds / 0.25))
    began = time.perf_counter()
    for step in range(steps):
        for number, stream in enumerate(streams):
            stream.push(-(-size // steps))
            if number % 20 == 0:  # not all at once: the steps of different clients have nothing to do with each other
                due = began + (step + number / len(streams)) * seconds / steps
                time.sleep(max(0.0, due - time.perf_counter()))
    at_full_rate(streams)


def main() -> None:
    """Do the job."""
    job: dict[str, Any] = json.loads(sys.stdin.readline())
    source = os.open(Path(job["source"]), os.O_RDONLY)
    streams = [Stream(job["port"], job["way"], job["bytes"], source) for _ in range(job["streams"])]
    print("ready", flush=True)
    sys.stdin.readline()
    began, cpu = time.perf_counter(), time.process_time()
    for stream in streams:
        stream.begin()
    if job["slow_s"]:
        slowly(streams, job["bytes"], job["slow_s"])
    else:
        at_full_rate(streams)
    print(json.dumps({"seconds": time.perf_counter() - began, "cpu_s": time.process_time() - cpu}))


if __name__ == "__main__":
    main()
