"""The same application behind what is put in front of one today, each part set up as its own documentation shows."""

import logging
import sys
import time
from collections.abc import Sequence

import structlog
from app import Item
from asgi_correlation_id import CorrelationIdMiddleware, correlation_id
from fastapi import FastAPI, Request, Response
from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from prometheus_fastapi_instrumentator import Instrumentator
from slowapi import Limiter, _rate_limit_exceeded_handler
from slowapi.errors import RateLimitExceeded
from slowapi.util import get_remote_address
from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint


class Nowhere(SpanExporter):
    """Exports nothing: sending spans over a network would cost more."""

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Take the spans."""
        del spans
        return SpanExportResult.SUCCESS


def log_as_json() -> None:
    """Both structlog's lines and the standard library's as JSON on standard output."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso"),
        structlog.processors.StackInfoRenderer(),
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                structlog.processors.JSONRenderer(),
            ],
        )
    )
    logging.basicConfig(handlers=[handler], level=logging.INFO)


log_as_json()
log = structlog.stdlib.get_logger("access")


class AccessLog(BaseHTTPMiddleware):
    """Times each request, says so in a header, and writes its line."""

    async def dispatch(self, request: Request, call_next: RequestResponseEndpoint) -> Response:
        """Serve one request."""
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=correlation_id.get())
        started = time.perf_counter()
        response = await call_next(request)
        duration = time.perf_counter() - started
        response.headers["X-Process-Time"] = str(duration)
        log.info(
            "request",
            method=request.method,
            path=request.url.path,
            query=request.url.query,
            status=response.status_code,
            client=request.client.host if request.client else None,
            duration_ms=round(duration * 1000, 3),
        )
        return response


def limited(request: Request, error: Exception) -> Response:
    """The answer to a client that asks too often."""
    assert isinstance(error, RateLimitExceeded)
    return _rate_limit_exceeded_handler(request, error)


limiter = Limiter(key_func=get_remote_address)
app = FastAPI()
app.state.limiter = limiter
app.add_exception_handler(RateLimitExceeded, limited)
app.add_middleware(AccessLog)
app.add_middleware(CorrelationIdMiddleware)
Instrumentator().instrument(app).expose(app)
provider = TracerProvider()
provider.add_span_processor(BatchSpanProcessor(Nowhere()))
FastAPIInstrumentor.instrument_app(app, tracer_provider=provider)


@app.get("/items/{item_id}")
@limiter.limit("100000000/minute")  # pyright: ignore[reportUnknownMemberType, reportUntypedFunctionDecorator] - slowapi leaves it open
async def item(request: Request, item_id: int) -> Item:
    """The same item."""
    del request
    return Item(id=item_id, name=f"item {item_id}")
