"""Finding the services of this machine by their control sockets, and asking them."""

import contextlib
import socket
from pathlib import Path
from typing import TypeVar

import msgspec

from holdfast.serve.control import Question, Refusal, Who

T = TypeVar("T")
_WHO_S = 5.0


def ask(place: Path, question: Question, kind: type[T], timeout_s: float) -> T | Refusal:
    """Ask the process that listens at `place`; the answer, of the `kind` that is expected, or a Refusal.

    Raises OSError where nobody answers, or not in time.
    """
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(timeout_s)
        connection.connect(str(place))
        connection.sendall(msgspec.json.encode(question) + b"\n")
        whole = bytearray()
        while piece := connection.recv(1 << 20):
            whole += piece
    if not whole:
        raise ConnectionResetError("it has ended, or answers its own user alone")
    try:
        return msgspec.json.decode(bytes(whole), type=kind)
    except msgspec.ValidationError:
        return msgspec.json.decode(bytes(whole), type=Refusal)


def there(folder: Path) -> list[tuple[Path, Who]]:
    """The processes that answer in `folder`. Raises PermissionError where it is another user's."""
    found: list[tuple[Path, Who]] = []
    for path in sorted(folder.iterdir()) if folder.exists() else []:
        with contextlib.suppress(ConnectionError, TimeoutError, FileNotFoundError):
            who = ask(path, Question("who"), Who, _WHO_S) if path.suffix == ".sock" else None
            if isinstance(who, Who):
                found.append((path, who))
    return found
