"""A server of which it is known what it does, by the path that is asked. Prints its port; ends with its stdin.

    python load_server.py [--stall AFTER LENGTH] [--paced SECONDS]

AFTER the first request it stands still for LENGTH seconds. With --paced it serves one request at a time, and each takes
just as long: it keeps to a timetable, so that a late timer costs the next ones nothing.
"""

import argparse
import asyncio
import contextlib
import sys
import time

ANSWERS = {
    "good": b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood",
    "wrong": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nwrong",
    "refuse": b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n",
    "rate": b"HTTP/1.1 429 Too Many Requests\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nno\r\n0\r\n\r\n",
    "fail": b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n",
    "garbage": b"220 mail.example ESMTP\r\n\r\n",
    "half": b"HTTP/1.1 200 OK\r\nContent-Length: 400\r\n\r\ngood",
    "closing": b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood",
    "until-the-end": b"HTTP/1.1 200 OK\r\n\r\ngood",
}
CLOSES = {"half", "closing", "until-the-end", "garbage"}


class Server:
    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.free = 0.0
        self.began = False

    async def talk(self, reader, writer) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError), contextlib.closing(writer):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                self.stall()
                if self.options.paced:
                    now = asyncio.get_running_loop().time()
                    self.free = max(now, self.free) + self.options.paced
                    await asyncio.sleep(self.free - now)
                path = head.split(b" ")[1].decode().strip("/")
                if path == "reset":
                    writer.transport.abort()
                    return
                if path == "hang":
                    await reader.read()
                    return
                writer.write(ANSWERS[path])
                if path in CLOSES:
                    return

    def stall(self) -> None:
        if self.options.stall and not self.began:
            after, length = self.options.stall
            asyncio.get_running_loop().call_later(after, time.sleep, length)
        self.began = True


async def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--stall", type=float, nargs=2)
    parser.add_argument("--paced", type=float, default=0.0)
    server = await asyncio.start_server(Server(parser.parse_args()).talk, "127.0.0.1", 0, backlog=2000)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(main())
