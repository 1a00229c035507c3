"""Putting the logs in place: one handler at the root of the standard logging tree."""

import logging
import os
import sys
import threading
from types import TracebackType
from typing import Annotated, Final, Literal

import msgspec

from holdfast.decide.redaction import Redactor
from holdfast.events import RequestFinished
from holdfast.logs import canonical, console
from holdfast.logs.lines import encode, fields_of, timestamp
from holdfast.logs.pipe import Pipe
from holdfast.logs.regain import regain as take_back
from holdfast.settings import Settings, option

_TAKEN_OVER: Final = ("uvicorn", "uvicorn.error", "uvicorn.asgi", "gunicorn.error", "hypercorn.error", "granian")
_SILENCED: Final = ("uvicorn.access", "gunicorn.access", "hypercorn.access", "granian.access")
"""Their lines are what the canonical line says, without a request ID."""


class LogSettings(Settings, prefix="HOLDFAST_LOG", title="log"):
    """What is written to the log, and how."""

    level: Annotated[Literal["debug", "info", "warning", "error"], option("The least level that is written.")] = "info"
    format: Annotated[
        Literal["auto", "json", "console"],
        option("json: one object a line. console: for people. auto: console on a terminal, else json."),
    ] = "auto"
    redact: Annotated[
        tuple[str, ...],
        option("Names of fields that are redacted beside the built-in ones; with a minus before it one is lifted."),
    ] = ()
    locals: Annotated[
        bool, option("Whether an exception's line shows the variables of the function it was raised in, redacted.")
    ] = False


class Logs(logging.Handler):
    """The handler through which every line goes: it makes the line, redacts it, and queues it. It never waits."""

    def __init__(self, settings: LogSettings, fd: int, *, lock: str | None = None) -> None:
        """Lines go to the file descriptor `fd`; processes that share it name the same `lock` file."""
        super().__init__()
        self.settings = settings
        self.redactor: Redactor = Redactor(settings.redact)
        self._people = settings.format == "console" or (settings.format == "auto" and os.isatty(fd))
        self.pipe: Pipe[RequestFinished] = Pipe(fd, self._dropped_line, self._request_line, lock=lock)

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record of the standard logging tree."""
        self.pipe.write(self._line(fields_of(record, self.redactor, show_locals=self.settings.locals)))

    def request_finished(self, fact: RequestFinished) -> None:
        """Write the canonical line of a request."""
        if canonical.LOGGER.isEnabledFor(canonical.level_of(fact)):
            self.pipe.write_fact(fact, len(fact.path) + len(fact.query))

    def _request_line(self, fact: RequestFinished) -> bytes:
        try:
            line = canonical.line_of(fact, self.redactor)
            return self._line(msgspec.structs.asdict(line)) if self._people else canonical.encode_line(line)
        except Exception as error:  # noqa: BLE001 - fail closed, but say that the request was there
            return self._line(
                {
                    "time": timestamp(fact.at),
                    "level": "error",
                    "event": "request",
                    "request_id": fact.request_id,
                    "status": fact.status,
                    "outcome": fact.outcome,
                    "reason": f"the line could not be redacted: {type(error).__name__}",
                }
            )

    def _line(self, fields: dict[str, object]) -> bytes:
        if self._people:
            return console.render({key: value for key, value in fields.items() if value is not msgspec.UNSET}).encode(
                "utf-8", "replace"
            )
        return encode(fields)

    def _dropped_line(self, lines: int) -> bytes:
        record = logging.LogRecord(
            "holdfast.logs", logging.WARNING, __file__, 0, "log lines dropped: the reader is slow", (), None
        )
        record.lines = lines
        return self._line(fields_of(record, self.redactor))


_installed: Logs | None = None


def configure(settings: LogSettings | None = None, *, fd: int = 1, lock: str | None = None) -> Logs:
    """Send everything that is logged through Holdfast: standard logging, uvicorn's lines, warnings, lost exceptions.

    Other handlers of the root logger are taken away, so that no line leaves unredacted beside ours. To be called once,
    early; a second call replaces the first.
    """
    global _installed
    settings = settings or LogSettings()
    previous, _installed = _installed, Logs(settings, fd, lock=lock)
    root = logging.getLogger()
    for handler in root.handlers[:]:
        root.removeHandler(handler)
    root.addHandler(_installed)
    root.setLevel(settings.level.upper())
    for name in _TAKEN_OVER:
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
        logger.setLevel(logging.NOTSET)
    for name in _SILENCED:
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = False
    logging.captureWarnings(capture=True)
    sys.excepthook = _log_uncaught
    threading.excepthook = _log_uncaught_in_thread
    if previous is not None:
        previous.pipe.close()
    return _installed


def regain() -> None:
    """Take the logs back, where an application has configured logging since; without `configure`, do nothing."""
    if _installed is not None:
        take_back(_installed, _installed.settings.level.upper(), _SILENCED)


def installed() -> Logs | None:
    """The handler that `configure` put in place, if it was called."""
    return _installed


_also: Final[list[canonical.Listener]] = []


def also_tell(listener: canonical.Listener) -> None:
    """Tell `listener` of each request that has ended, from now on: on the event loop, so it should be quick."""
    _also.append(listener)


def tell_no_more(listener: canonical.Listener) -> None:
    """Take back `also_tell`."""
    _also.remove(listener)


def tell(fact: RequestFinished) -> None:
    """Tell of a request that has ended: whoever asked for it, and the log, which gets the canonical line.

    The line goes through our handler or, without it, the standard logging tree.
    """
    for listener in _also:
        listener(fact)
    logs = _installed
    if logs is not None:
        logs.request_finished(fact)
    elif canonical.LOGGER.isEnabledFor(level := canonical.level_of(fact)):
        canonical.LOGGER.log(level, "request", extra=fact._asdict())


def _log_uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, trace)
        return
    logging.getLogger("holdfast.process").critical("an exception ended the process", exc_info=error)
    if _installed is not None:
        _installed.pipe.flush()


def _log_uncaught_in_thread(args: threading.ExceptHookArgs) -> None:
    if args.exc_value is not None and not isinstance(args.exc_value, SystemExit):
        name = args.thread.name if args.thread else None
        logging.getLogger("holdfast.process").error(
            "an exception ended a thread", exc_info=args.exc_value, extra={"thread_name": name}
        )
