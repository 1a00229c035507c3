"""Taking the logs back from an application that has configured logging itself, as it was imported or started."""

import logging
import sys
from typing import Final

_OURS: Final = ("holdfast", "uvicorn")


def writes_to_console(handler: logging.Handler) -> bool:
    """Whether what the handler is given goes to standard output or error, also by way of a queue."""
    behind: tuple[logging.Handler, ...] = getattr(getattr(handler, "listener", None), "handlers", ())
    if behind:
        return any(writes_to_console(other) for other in behind)
    stream: object = getattr(handler, "stream", None) or getattr(getattr(handler, "console", None), "file", None)
    return stream is not None and any(stream is end for end in (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__))


def regain(ours: logging.Handler, level: str, silenced: tuple[str, ...]) -> None:
    """Put our handler back at the root.

    Handlers that write to the console are taken away wherever they are, for what they write is neither redacted nor
    JSON; others, such as files, stay. Loggers of ours and of the server that were switched off speak again, those in
    `silenced` stay silent.
    """
    root = logging.getLogger()
    known = [found for found in root.manager.loggerDict.values() if isinstance(found, logging.Logger)]
    for logger in (root, *known):
        taken = [handler for handler in logger.handlers if handler is not ours and writes_to_console(handler)]
        for handler in taken:
            logger.removeHandler(handler)
        if taken:
            logger.propagate = logger.name not in silenced
        if logger.name.startswith(_OURS):
            logger.disabled = False
    if ours not in root.handlers:
        root.addHandler(ours)
    root.setLevel(level)
