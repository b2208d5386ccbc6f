"""Traces for OpenTelemetry. In: what is known of a request when it has ended. Out: its spans, sent over OTLP/HTTP.

One span for the request and one for each phase of it. Needs ``auricle[tracing]``, and is imported only where a setting
asks for it. Knows nothing of routes; holds no text, file name, query or key.
"""

import time
from importlib.metadata import version

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import SpanKind, Status, StatusCode, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from starlette.datastructures import Headers
from starlette.types import Scope

from server.request_record import RequestRecord

__all__ = ["RequestTracer"]

SERVER_ERROR = 500
EXPORT_TIMEOUT_S = 5.0  # also what a receiver that is away adds to the service's end


class RequestTracer:
    """Sends the spans of every request, in the background; a receiver that is away costs spans and no requests.

    A client's ``traceparent`` is their parent, and decides whether they are sampled; ``OTEL_TRACES_SAMPLER`` else.
    """

    def __init__(self, processor: SpanProcessor) -> None:
        resource = Resource.create({"service.name": "auricle", "service.version": version("auricle")})
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        self._provider.add_span_processor(processor)
        self._tracer = self._provider.get_tracer("auricle")

    @classmethod
    def to_endpoint(cls, url: str) -> "RequestTracer":
        """One that sends to a collector's address, path included."""
        return cls(BatchSpanProcessor(OTLPSpanExporter(endpoint=url, timeout=EXPORT_TIMEOUT_S)))

    def observe(self, record: RequestRecord, scope: Scope, *, route: str, method: str, status: int) -> None:
        """Tell of a request that has just ended; the names are those of OpenTelemetry's conventions for HTTP."""
        parent = TraceContextTextMapPropagator().extract(dict(Headers(scope=scope)))
        known = {
            "http.request.method": method,
            "http.route": route,
            "http.response.status_code": status or None,
            "error.type": record.error_code,
            "auricle.request_id": record.request_id,
            "auricle.model": record.model,
            "auricle.key": record.key_name,
            "auricle.audio_s": record.audio_s,
            "auricle.first_text_s": record.first_text_s,
        }
        offset_s = time.time() - time.monotonic()
        span = self._tracer.start_span(
            f"{method} {route}",
            context=parent,
            kind=SpanKind.SERVER,
            attributes={name: value for name, value in known.items() if value is not None},
            start_time=_nanoseconds(record.started_at + offset_s),
        )
        if status >= SERVER_ERROR:
            span.set_status(Status(StatusCode.ERROR))
        context = set_span_in_context(span)
        for phase in record.phases:
            part = self._tracer.start_span(
                phase.name, context=context, start_time=_nanoseconds(phase.started_at + offset_s)
            )
            part.end(_nanoseconds(phase.ended_at + offset_s))
        span.end(_nanoseconds(time.monotonic() + offset_s))

    def close(self) -> None:
        """Send what is left. Blocks, for as long as the exporter waits for its receiver."""
        self._provider.shutdown()


def _nanoseconds(seconds: float) -> int:
    return round(seconds * 1e9)
