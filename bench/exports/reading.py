"""The client: answers over raw sockets, read into one buffer and thrown away, in a process of its own.

    echo JOB | python reading.py

JOB is JSON: `port`, `path`, `accept` (content codings, or nothing), `streams`, how many at once. Prints JSON:
`seconds`, `cpu_s`, `size`, the bytes of all bodies with what frames their chunks, and `first_s`, the seconds until the
last stream had its first byte. An answer that is not whole ends it.
"""

import json
import select
import socket
import sys
import time
from collections.abc import Sequence
from typing import Any, Final

ROOM: Final = memoryview(bytearray(1 << 20))
END: Final = b"0\r\n\r\n"
"""The last chunk."""


class Refused(Exception):
    """The answer is none, or not whole."""


class Answer:
    """One request on one connection, and how much of its answer has come."""

    def __init__(self, port: int, path: str, accept: str = "") -> None:
        """Connect, and ask."""
        self.size: int = 0
        self.first: float = 0.0
        """When the first byte of the body came."""
        self._head = b""
        self._tail = b""
        self.connection: socket.socket = socket.create_connection(("127.0.0.1", port))
        self._accept = accept.encode()
        coding = f"Accept-Encoding: {accept}\r\n" if accept else ""
        self.connection.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n{coding}\r\n".encode())

    def take(self) -> bool:
        """Read what is there; whether that was all."""
        count = self.connection.recv_into(ROOM)
        if not count:
            self._check()
            self.connection.close()
            return True
        if self.first:
            self._count(ROOM[:count])
        else:
            self._begin(bytes(ROOM[:count]))
        return False

    def _begin(self, data: bytes) -> None:
        self._head += data
        _, ended, body = self._head.partition(b"\r\n\r\n")
        if ended and not self._head.startswith(b"HTTP/1.1 200 "):
            raise Refused(f"refused: {self._head[:2000]!r}")
        if ended and body:
            self.first = time.perf_counter()
            self._head = self._head[: -len(body)].lower()
            self._count(memoryview(body))

    def _count(self, data: memoryview) -> None:
        self.size += len(data)
        self._tail = (self._tail + bytes(data[-len(END) :]))[-len(END) :]

    def _check(self) -> None:
        chunked = b"transfer-encoding: chunked" in self._head
        if not self.first or (self._tail != END if chunked else self._length() != self.size):
            raise Refused(f"the answer broke off after {self.size} bytes: {self._head!r}")
        if self._accept and b"content-encoding: " + self._accept not in self._head:
            raise Refused(f"it is not compressed: {self._head!r}")

    def _length(self) -> int:
        return int((self._head.partition(b"content-length: ")[2] or b"0").split(b"\r\n")[0])


def read(answers: Sequence[Answer]) -> None:
    """Read all of them to their ends."""
    poll = select.epoll()
    under_way = {answer.connection.fileno(): answer for answer in answers}
    for number in under_way:
        poll.register(number, select.EPOLLIN)
    while under_way:
        for number, _ in poll.poll(120) or sys.exit("the server sends nothing any more"):
            if under_way[number].take():  # closing takes it out of the poll
                del under_way[number]


def main() -> None:
    """Do the job."""
    job: dict[str, Any] = json.loads(sys.stdin.readline())
    print("ready", flush=True)
    sys.stdin.readline()
    began, cpu = time.perf_counter(), time.process_time()
    answers = [Answer(job["port"], job["path"], job["accept"]) for _ in range(job["streams"])]
    try:
        read(answers)
    except Refused as error:
        sys.exit(str(error))
    found = {"seconds": time.perf_counter() - began, "cpu_s": time.process_time() - cpu}
    found |= {"size": sum(one.size for one in answers), "first_s": max(one.first for one in answers) - began}
    print(json.dumps(found))


if __name__ == "__main__":
    main()
