"""The other client: `python asking.py PORT` asks for something small again and again until a line comes on stdin.

It prints the milliseconds that each answer took, as JSON. It runs before others where the system lets it, so that what
is measured is the server's delay and not its own.
"""

import contextlib
import json
import os
import select
import socket
import sys
import time

ASKED = b"GET /small HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
PAUSE_S = 0.002


def main() -> None:
    """Ask until told to end."""
    with contextlib.suppress(PermissionError):
        os.nice(-15)
    took: list[float] = []
    with socket.create_connection(("127.0.0.1", int(sys.argv[1]))) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while not select.select([sys.stdin], [], [], PAUSE_S)[0]:
            began = time.perf_counter()
            connection.sendall(ASKED)
            answer = connection.recv(65536)
            while not answer.endswith(b"ok"):
                answer += connection.recv(65536)
            took.append((time.perf_counter() - began) * 1000)
    print(json.dumps(took))


if __name__ == "__main__":
    main()
