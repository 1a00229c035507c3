"""Functions for other processes: those find them by their names, so they stand in a module."""

import ctypes
import logging
import os
import signal
import sys
import time
from pathlib import Path

import holdfast


def where(*arguments, **named) -> tuple[int, tuple, dict]:
    return os.getpid(), arguments, named


def context() -> tuple[str | None, float | None]:
    """The request that it is for, and how many seconds are left for it."""
    record = holdfast.current()
    deadline = getattr(record, "deadline", None)
    return record and record.id, deadline and deadline - time.monotonic()


def fail(error: BaseException) -> None:
    raise error


class Peculiar(Exception):
    """An exception that can be pickled, but not made anew."""

    def __init__(self, one, two) -> None:
        super().__init__(f"{one} and {two}")


def fail_peculiarly() -> None:
    raise Peculiar(1, 2)


def bring_what_cannot_be_sent():
    return lambda: None


class Odd:
    """What can be sent, and not be taken."""

    def __reduce__(self):
        return (fail, (ValueError("odd"),))


def bring_what_cannot_be_taken() -> Odd:
    return Odd()


def die(how: str) -> None:
    if how == "segfault":
        ctypes.string_at(0)
    if how == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if how == "exits":
        os._exit(7)
    sys.exit(3)


def log(words: str, **extra) -> None:
    logging.getLogger("calculating").warning(words, extra=extra)


def log_failure() -> None:
    try:
        fail(KeyError("lost"))
    except KeyError:
        logging.getLogger("calculating").exception("it failed")


def say_and_wait(path: str, until: str | None = None) -> str:
    """Say in the file `path` who it is, then wait until there is the file `until`, else for ever."""
    Path(f"{path}.part").write_text(str(os.getpid()))
    Path(f"{path}.part").rename(path)
    while until is None or not Path(until).exists():
        time.sleep(0.005)
    return "done"


def calculate_for_ever(path: str) -> None:
    Path(f"{path}.part").write_text(str(os.getpid()))
    Path(f"{path}.part").rename(path)
    while True:
        sum(range(10_000_000))
