"""What the machine gives without HTTP: `python floor.py HOW STREAMS BYTES [PORT]`. It prints the seconds, or serves.

write      write that many bytes to each of so many files and sync them, from memory
hashed     the same, with SHA-256 beside the writing
sink       take connections and throw away what comes; the answer is sent after BYTES
saved      take connections; write, hash and sync what comes, each in a thread of its own, then answer
"""

import hashlib
import os
import socket
import sys
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

PIECE = 1 << 20
ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
HASHING = ThreadPoolExecutor(4)


class Saving:
    """One file that is written, and hashed beside it, then synced."""

    def __init__(self, name: str, *, hashed: bool) -> None:
        self._file = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        self._hash = hashlib.sha256() if hashed else None

    def add(self, piece: bytes | memoryview) -> None:
        """Write a piece."""
        hashing: Future[None] | None = None
        if self._hash is not None:
            hashing = HASHING.submit(self._hash.update, piece)
        while piece:
            piece = memoryview(piece)[os.write(self._file, piece) :]
        if hashing is not None:
            hashing.result()

    def end(self) -> None:
        """Sync and close."""
        os.fdatasync(self._file)
        os.close(self._file)


def from_memory(streams: int, size: int, *, hashed: bool) -> float:
    """Write `size` bytes to each of `streams` files, all at the same time."""
    source = memoryview(os.urandom(16 * PIECE))

    def one(number: int) -> None:
        saving = Saving(f"floor-{number}", hashed=hashed)
        done = 0
        while done < size:
            start = done % len(source)
            piece = source[start : start + min(PIECE, size - done)]
            saving.add(piece)
            done += len(piece)
        saving.end()

    began = time.perf_counter()
    _all_at_once([threading.Thread(target=one, args=(number,)) for number in range(streams)])
    took = time.perf_counter() - began
    for number in range(streams):
        Path(f"floor-{number}").unlink()
    return took


def _all_at_once(threads: list[threading.Thread]) -> None:
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def serve(port: int, *, saved: bool) -> None:
    """Take connections until ended, a thread for each."""
    with socket.create_server(("127.0.0.1", port), backlog=1024) as listening:
        while True:
            connection, _ = listening.accept()
            threading.Thread(target=_take, args=(connection,), kwargs={"saved": saved}, daemon=True).start()


def _take(connection: socket.socket, *, saved: bool) -> None:
    """One request; its head is cut off at the first empty line, and names its length."""
    room = memoryview(bytearray(PIECE))
    with connection:
        while head := connection.recv(65536):
            start, _, rest = head.partition(b"\r\n\r\n")
            size = int((start.lower().partition(b"content-length: ")[2] or b"0").split(b"\r\n")[0])
            saving = Saving(f"floor-{threading.get_ident()}", hashed=True) if saved and size else None
            if saving is not None:
                saving.add(rest)
            left = size - len(rest)
            while left > 0 and (came := connection.recv_into(room, min(left, PIECE), socket.MSG_WAITALL)):
                if saving is not None:
                    saving.add(room[:came])
                left -= came
            if saving is not None:
                saving.end()
            connection.sendall(ANSWER)


if __name__ == "__main__":
    how, numbers = sys.argv[1], list(map(int, sys.argv[2:]))
    if how in {"sink", "saved"}:
        serve(numbers[2], saved=how == "saved")
    else:
        print(from_memory(numbers[0], numbers[1], hashed=how == "hashed"))
