"""Traces by OpenTelemetry, exported over OTLP/HTTP. Imported only if an endpoint is set: it costs memory and a start.

Sampling, batching, the exporter's headers and certificates, and more resource attributes come from the standard
`OTEL_*` variables, which the library reads by itself. A span holds names, numbers and ids: never a text, a key, a
token, a session's id, a path or an address.
"""

import asyncio
import logging
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from uuid import UUID

import structlog
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, Tracer, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from ouija_es import __version__
from ouija_es.domain.events import AttemptFailed, AttemptSkipped, AttemptStarted, AttemptSucceeded
from ouija_es.domain.vocabulary import Provider
from ouija_es.telemetry import conventions

CLOSE_SECONDS = 2.0
MODEL_CHARACTERS = 100
"""Of a model's name as the provider tells it: it comes from outside."""

log = structlog.get_logger()

_W3C = TraceContextTextMapPropagator()


class OtelTracer:
    """One process's tracer. `endpoint` is the full URL that spans are POSTed to."""

    def __init__(self, endpoint: str, instance: UUID) -> None:
        # Its lines quote the collector's replies and the endpoint's URL; `_Watched` says what operators need.
        logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)
        ours = {
            conventions.SERVICE_NAME: "ouija_es",
            conventions.SERVICE_VERSION: __version__,
            conventions.SERVICE_INSTANCE_ID: str(instance),
        }
        # OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES win; at exit the service itself closes, within its bound.
        resource = Resource(ours).merge(OTELResourceDetector().detect())
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(_Watched(OTLPSpanExporter(endpoint))))
        self._tracer = self._provider.get_tracer("ouija_es", __version__)

    def request(self, method: str, traceparent: str | None, tracestate: str | None) -> "OtelRequestSpan":
        """A server span."""
        parent = Context()
        if traceparent is not None:
            carrier = {"traceparent": traceparent, "tracestate": tracestate or ""}
            parent = _W3C.extract(carrier, parent)
        return OtelRequestSpan(
            self._tracer, method if method in conventions.METHODS else conventions.OTHER_METHOD, parent
        )

    @contextmanager
    def projecting(self, events: int, position: int) -> Iterator[None]:
        """A root span named `project`."""
        attributes = {conventions.EVENTS: events, conventions.POSITION: position}
        span = self._tracer.start_span("project", Context(), attributes=attributes)
        try:
            yield
        finally:
            span.end()

    async def close(self) -> None:
        """Exports what is left; a collector that hangs is left behind after `CLOSE_SECONDS`."""
        thread = threading.Thread(target=self._provider.shutdown, daemon=True)
        thread.start()
        await asyncio.to_thread(thread.join, CLOSE_SECONDS)


class OtelRequestSpan:
    """See `tracing.RequestSpan`."""

    def __init__(self, tracer: Tracer, method: str, parent: Context) -> None:
        self._tracer = tracer
        self._method = method
        self._span = tracer.start_span(
            method, parent, kind=SpanKind.SERVER, attributes={conventions.HTTP_METHOD: method}
        )
        self._below = set_span_in_context(self._span, Context())
        self._attempt: Span | None = None
        context = self._span.get_span_context()
        self.trace_id, self.span_id = f"{context.trace_id:032x}", f"{context.span_id:016x}"

    def asked(self, question_id: UUID) -> None:
        """The question's id leads to its history."""
        self._span.set_attribute(conventions.QUESTION_ID, str(question_id))

    @contextmanager
    def recording(self) -> Iterator[None]:
        """A span named `record`."""
        span = self._tracer.start_span("record", self._below)
        try:
            yield
        except BaseException as error:
            _fail(span, getattr(error, "reason", None) or type(error).__name__)
            raise
        finally:
            span.end()

    def step(self, step: AttemptStarted | AttemptFailed | AttemptSkipped | AttemptSucceeded) -> None:
        """A CLIENT span a call; the table is read in this process."""
        match step:
            case AttemptStarted():
                self._attempt = self._started(step)
            case AttemptSkipped():
                self._span.add_event(
                    "attempt skipped",
                    {conventions.PROVIDER: step.provider.value, conventions.REASON: step.reason.value},
                )
            case AttemptFailed():
                self._end_attempt(step.reason.value)
            case AttemptSucceeded():
                if self._attempt is not None:
                    self._attempt.set_attributes(_reply(step))
                self._end_attempt(None)

    def headers(self) -> dict[str, str]:
        """`traceparent` of the attempt. The caller's `tracestate` is not for a third party, and stays here."""
        carrier: dict[str, str] = {}
        if self._attempt is not None:
            _W3C.inject(carrier, set_span_in_context(self._attempt, Context()))
        return {name: value for name, value in carrier.items() if name == "traceparent"}

    def failed(self, error_type: str) -> None:
        """Also ends an attempt that was cut off."""
        self._end_attempt("cancelled")
        _fail(self._span, error_type)

    def responded(self, route: str | None, status: int) -> None:
        """The name is known by now."""
        if route is not None:
            self._span.update_name(f"{self._method} {route}")
            self._span.set_attribute(conventions.HTTP_ROUTE, route)
        self._span.set_attribute(conventions.HTTP_STATUS, status)

    def end(self) -> None:
        """Handed to the exporter's queue, which never waits."""
        self._span.end()

    def _started(self, step: AttemptStarted) -> Span:
        if step.provider is Provider.DATABASE:
            return self._tracer.start_span(
                "canned answer", self._below, attributes={conventions.PROVIDER: step.provider.value}
            )
        return self._tracer.start_span(
            f"{conventions.GEN_AI_CHAT} {step.model}",
            self._below,
            kind=SpanKind.CLIENT,
            attributes={
                conventions.GEN_AI_OPERATION: conventions.GEN_AI_CHAT,
                conventions.GEN_AI_PROVIDER: step.provider.value,
                conventions.GEN_AI_REQUEST_MODEL: step.model,
                conventions.ATTEMPT: step.attempt,
            },
        )

    def _end_attempt(self, error_type: str | None) -> None:
        span, self._attempt = self._attempt, None
        if span is None:
            return
        if error_type is not None:
            _fail(span, error_type)
        span.end()


class _Watched(SpanExporter):
    """Says when exporting begins to fail and when it works again, not every time."""

    def __init__(self, exporter: SpanExporter) -> None:
        self._exporter = exporter
        self._works = True

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """On the exporter's own thread."""
        result = self._exporter.export(spans)
        works = result is SpanExportResult.SUCCESS
        if works != self._works:
            self._works = works
            log.warning("traces are exported again" if works else "traces cannot be exported")
        return result

    def shutdown(self) -> None:
        """Ends a retry that is waiting."""
        self._exporter.shutdown()


def _reply(step: AttemptSucceeded) -> dict[str, str | int]:
    attributes: dict[str, str | int] = {}
    if step.provider is not Provider.DATABASE:
        attributes[conventions.GEN_AI_RESPONSE_MODEL] = step.model[:MODEL_CHARACTERS]
    if step.input_tokens is not None:
        attributes[conventions.GEN_AI_INPUT_TOKENS] = step.input_tokens
    if step.output_tokens is not None:
        attributes[conventions.GEN_AI_OUTPUT_TOKENS] = step.output_tokens
    if step.reason is not None:
        attributes[conventions.REASON] = step.reason.value
    return attributes


def _fail(span: Span, error_type: str) -> None:
    span.set_attribute(conventions.ERROR_TYPE, error_type)
    span.set_status(Status(StatusCode.ERROR))
