"""The OpenTelemetry trace that is current, where the application uses OpenTelemetry. It is joined, never made."""

import sys
from typing import Final

SDK: Final = "opentelemetry.sdk.trace"
"""The module without which nobody makes spans."""


def current_trace_id() -> str | None:
    """The current span's trace ID as 32 hex digits; None without OpenTelemetry or outside a span."""
    if SDK not in sys.modules:  # looking must not load it
        return None
    context = sys.modules["opentelemetry.trace"].get_current_span().get_span_context()
    return f"{context.trace_id:032x}" if context.is_valid else None
