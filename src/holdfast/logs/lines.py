"""From a log record to one JSON line: the fields, their redaction, and the encoding."""

import logging
import time
import traceback
from collections.abc import Mapping
from types import TracebackType
from typing import Final, cast

import msgspec

from holdfast import trace
from holdfast.context import current
from holdfast.decide.redaction import Redactor

ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None]

_STANDARD: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "color_message"}
_CONTEXT: Final = frozenset({"time", "level", "event", "logger", "source", "request_id", "exception"})
_LEVELS: Final = {"CRITICAL": "critical", "ERROR": "error", "WARNING": "warning", "INFO": "info", "DEBUG": "debug"}
_LOCAL_CHARS: Final = 200

_encode = msgspec.json.Encoder(enc_hook=str).encode


class _Second:
    """The text of the present second, made once a second."""

    __slots__ = ("number", "text")

    def __init__(self) -> None:
        self.number, self.text = -1, ""


_second = _Second()


def timestamp(seconds: float) -> str:
    """`seconds` since the epoch as RFC 3339 in UTC, with microseconds."""
    whole = int(seconds)
    second = _second
    if whole != second.number:
        # the text first: another thread that sees the new number must not find the old text
        second.text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(whole))
        second.number = whole
    return f"{second.text}.{int((seconds - whole) * 1_000_000):06d}Z"


def fields_of(record: logging.LogRecord, redactor: Redactor, *, show_locals: bool = False) -> dict[str, object]:
    """Everything that the line of `record` says, redacted. Never raises: what cannot be redacted is left out."""
    try:
        return _redacted(record, redactor, show_locals=show_locals)
    except Exception as error:  # noqa: BLE001 - fail closed: a line that cannot be redacted is written without content
        return {
            "time": timestamp(record.created),
            "level": "error",
            "event": "a log line could not be redacted and was left out",
            "logger": record.name,
            "source": f"{record.filename}:{record.lineno}",
            "reason": type(error).__name__,
            **_of_request(),
        }


def encode(fields: Mapping[str, object]) -> bytes:
    """One JSON object on a line of its own, as UTF-8."""
    try:
        return _encode(fields) + b"\n"
    except UnicodeEncodeError:  # a lone surrogate somewhere
        return _encode(_well_formed(fields)) + b"\n"


def _well_formed(value: object) -> object:
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, dict):
        return {_well_formed(str(k)): _well_formed(v) for k, v in cast("dict[object, object]", value).items()}
    if isinstance(value, list | tuple):
        return [_well_formed(item) for item in cast("list[object]", value)]
    return value


def _redacted(record: logging.LogRecord, redactor: Redactor, *, show_locals: bool) -> dict[str, object]:
    fields: dict[str, object] = {
        "time": timestamp(record.created),
        "level": _LEVELS.get(record.levelname, record.levelname.lower()),
        "event": redactor.text(record.getMessage()),
        "logger": record.name,
        "source": _source(record),
        **redactor.fields(_of_request()),
    }
    extra = {key: value for key, value in vars(record).items() if key not in _STANDARD}
    if extra:
        told = redactor.fields(extra)
        fields.update((f"extra_{key}" if key in _CONTEXT else key, value) for key, value in told.items())
    if record.exc_info and record.exc_info[1] is not None:
        fields["exception"] = exception_fields(record.exc_info[1], redactor, show_locals=show_locals)
    if record.stack_info:
        fields["stack"] = redactor.text(record.stack_info)
    return fields


def _source(record: logging.LogRecord) -> str:
    """Where the line comes from: for an exception, where it was raised."""
    trace = record.exc_info[2] if record.exc_info else None
    if trace is None:
        return f"{record.filename}:{record.lineno}"
    while trace.tb_next is not None:
        trace = trace.tb_next
    return f"{trace.tb_frame.f_code.co_filename.rpartition('/')[2]}:{trace.tb_lineno}"


def _of_request() -> dict[str, object]:
    record = current()
    trace_id = trace.current_trace_id()
    if record is None:
        return {"trace_id": trace_id} if trace_id else {}
    fields: dict[str, object] = {
        "request_id": record.id,
        "route": record.route,
        "actor": record.actor,
        "action": record.action,
        "trace_id": trace_id or record.trace_id,
    }
    return {key: value for key, value in fields.items() if value is not None}


def exception_fields(error: BaseException, redactor: Redactor, *, show_locals: bool = False) -> dict[str, object]:
    """What a line says of an exception: type, message, traceback, and if asked for the locals of its last frame."""
    fields: dict[str, object] = {
        "type": f"{type(error).__module__}.{type(error).__qualname__}",
        "message": redactor.text(_message(error)),
        "traceback": redactor.text("".join(traceback.format_exception(error))),
    }
    if show_locals:
        frames = list(traceback.walk_tb(error.__traceback__))
        if frames:
            shown = {name: _shown(value, redactor) for name, value in frames[-1][0].f_locals.items()}
            fields["locals"] = redactor.fields(shown)
    return fields


def _message(error: BaseException) -> str:
    try:
        return str(error)
    except Exception as broken:  # noqa: BLE001 - a message that cannot be made is told as such
        return f"<str() of the exception raised {type(broken).__name__}>"


def _shown(value: object, redactor: Redactor) -> object:
    if isinstance(value, dict | list | tuple):
        return cast("object", value)  # looked through by name
    try:
        return redactor.text(repr(value))[:_LOCAL_CHARS]  # cut only after: half a secret is not recognised
    except Exception:  # noqa: BLE001 - as above
        return f"<{type(value).__name__}>"
