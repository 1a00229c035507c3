"""The same lines, for people at a terminal."""

from collections.abc import Mapping
from typing import Final, cast

_COLOURS: Final = {"debug": "2", "info": "32", "warning": "33", "error": "31", "critical": "1;31"}
_SHOWN_APART: Final = frozenset(
    {"time", "level", "event", "logger", "source", "exception", "request_id", "stack", "path", "query"}
)
_REQUEST_WORDS: Final = ("method", "path", "status", "duration_ms", "outcome")


def render(fields: Mapping[str, object], *, colour: bool = True) -> str:
    """One line for people: the time of day, the level, what happened, its fields; a traceback below."""
    paint = _paint if colour else _plain
    level = str(fields.get("level", "info"))
    head = f"{paint(str(fields.get('time', ''))[11:23], '2')} {paint(f'{level:<8}', _COLOURS.get(level, '0'))}"
    parts = [head, paint(_event(fields), "1")]
    shown_in_event = _REQUEST_WORDS if fields.get("event") == "request" else ()
    for key, value in fields.items():
        if key not in _SHOWN_APART and key not in shown_in_event and value not in (None, ""):
            parts.append(f"{paint(key + '=', '2')}{_value(value)}")
    request_id = fields.get("request_id")
    if request_id:
        parts.append(paint(str(request_id), "36"))
    return " ".join(parts) + "\n" + _below(fields)


def _event(fields: Mapping[str, object]) -> str:
    if fields.get("event") != "request":
        return _value(fields.get("event", ""))
    return (
        f"{fields.get('method')} {_value(fields.get('path', ''))} {fields.get('status')} "
        f"{fields.get('duration_ms')} ms {fields.get('outcome')}"
    )


def _value(value: object) -> str:
    """The value on one line: a control character from outside must not move the cursor of whoever reads."""
    text = str(value)
    return text if text.isprintable() else "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text)


def _below(fields: Mapping[str, object]) -> str:
    exception = fields.get("exception")
    text = str(fields.get("stack") or "")
    if isinstance(exception, dict):
        text = str(cast("dict[str, object]", exception).get("traceback", ""))
    return "".join(f"  {_value(line)}\n" for line in text.splitlines())


def _paint(text: str, code: str) -> str:
    return f"\x1b[{code}m{text}\x1b[0m"


def _plain(text: str, code: str) -> str:
    del code
    return text
