"""The OpenTelemetry trace that is current, where the application uses OpenTelemetry. It is joined, never made."""

import sys


def current_trace_id() -> str | None:
    """The current span's trace ID as 32 hex digits; None without OpenTelemetry or outside a span."""
    if "opentelemetry.sdk.trace" not in sys.modules:  # without it nobody makes spans, and looking must not load it
        return None
    context = sys.modules["opentelemetry.trace"].get_current_span().get_span_context()
    return f"{context.trace_id:032x}" if context.is_valid else None
