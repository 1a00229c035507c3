"""The OpenTelemetry trace that is current, where the application uses OpenTelemetry. It is joined, never made."""

import sys


def current_trace_id() -> str | None:
    """The current span's trace ID as 32 hex digits; None without OpenTelemetry or outside a span."""
    module = sys.modules.get("opentelemetry.trace")
    if module is None:  # nobody can have made a span, and looking must not load the package
        return None
    context = module.get_current_span().get_span_context()
    return f"{context.trace_id:032x}" if context.is_valid else None
