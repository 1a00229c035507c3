"""loguru: its messages become lines of ours, with the same redaction and request ID."""

import logging
from types import TracebackType
from typing import TYPE_CHECKING

from loguru import logger

if TYPE_CHECKING:
    from loguru import Message, RecordException


def install() -> None:
    """Send what loguru logs through the standard logging tree, in place of the sinks that it has.

    What was bound to the logger (`logger.bind(file_id=3)`) becomes fields.
    """
    logger.remove()
    logger.add(_forward, level=0, format="{message}", catch=True)


def _forward(message: "Message") -> None:
    said = message.record
    record = logging.LogRecord(
        name=said["name"] or "loguru",
        level=said["level"].no,
        pathname=said["file"].path,
        lineno=said["line"],
        msg=said["message"],
        args=(),
        exc_info=_exception(said["exception"]),
        func=said["function"],
    )
    vars(record).update({key: value for key, value in said["extra"].items() if key not in vars(record)})
    target = logging.getLogger(record.name)
    if target.isEnabledFor(record.levelno):
        target.handle(record)


def _exception(
    found: "RecordException | None",
) -> tuple[type[BaseException], BaseException, TracebackType | None] | None:
    if found is None or found.type is None or found.value is None:
        return None
    return found.type, found.value, found.traceback
