"""structlog: its events become lines of ours, with the same redaction and request ID."""

import structlog


def install() -> None:
    """Send what structlog logs through the standard logging tree, where Holdfast's handler writes it.

    Processors that the application has configured stay, up to the one that renders; key-value pairs become fields.
    Loggers that were made and used before, with `cache_logger_on_first_use`, keep what they cached.
    """
    configured = structlog.get_config()["processors"] if structlog.is_configured() else _DEFAULT
    kept = [processor for processor in configured if not _renders(processor)]
    structlog.configure(
        processors=[*kept, structlog.stdlib.render_to_log_kwargs],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
    )


_DEFAULT = [structlog.contextvars.merge_contextvars, structlog.stdlib.PositionalArgumentsFormatter()]
_DROPPED = (
    structlog.processors.TimeStamper,  # the line has its time
    structlog.processors.ExceptionRenderer,  # the handler needs the exception itself
    structlog.processors.MaybeTimeStamper,
)


def _renders(processor: object) -> bool:
    """Whether a processor makes text of the event, or something that the handler makes itself."""
    named = type(processor).__name__ if not callable(getattr(processor, "__name__", None)) else ""
    return (
        isinstance(processor, _DROPPED)
        or named.endswith("Renderer")
        or processor is structlog.stdlib.ProcessorFormatter.wrap_for_formatter
        or processor is structlog.stdlib.add_log_level
        or processor is structlog.processors.format_exc_info
    )
