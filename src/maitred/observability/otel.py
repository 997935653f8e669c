"""OpenTelemetry: traces and logs for a collector, from the same events that are recorded. An extra: `maitred[otel]`.

Spans come from the call sites (`tracing.span`) and from events that carry a duration; every event and every log line
becomes a log record, with the ids of the span that it happened in. What goes out of an event is what the registry
admitted, and of a log line its fields, so no guest data.

The SDK's own processors drop the oldest silently and can hold a shutdown for half a minute. Here queues are bounded,
what doesn't fit or can't be delivered is counted, and the end takes two seconds at most.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, MutableMapping, Sequence
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import structlog
from opentelemetry import trace
from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk._logs import LoggerProvider, LogRecordProcessor, ReadableLogRecord, ReadWriteLogRecord
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SpanExportResult
from opentelemetry.trace import SpanContext, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from opentelemetry.util.types import AttributeValue

from maitred import __version__
from maitred.observability import events, inline_events, tracing
from maitred.observability.event import Event, JsonValue, Severity
from maitred.observability.producer import ProcessKind
from maitred.observability.recorder import EventSink
from maitred.observability.registry import UnregisteredEvent, admit
from maitred.observability.telling import warn

MOST_WAITING = 4_096
"""Events and log lines, or spans, or log records, that wait at most; each kind for itself."""

_BATCH = 512
_PAUSE_S = 0.5
_EXPORT_S = 2.0
_END_S = 2.0
_LONGEST_TEXT = 1_000
_READ_AT_ONCE = 80

# The events that are spans too, and the key of their duration in milliseconds.
_SPANS: Final = {
    events.QUOTE.name: "planner_duration_ms",
    inline_events.CONFIRM_SUCCEEDED.name: "durationMs",
    inline_events.CONFIRM_FAILED.name: "durationMs",
}
# The flight record is for replays, and the ids are there already.
_LEFT_OUT: Final = frozenset({"planner_record", "trace_id"})
_SEVERITY: Final = {
    Severity.INFO: SeverityNumber.INFO,
    Severity.NOTICE: SeverityNumber.INFO2,
    Severity.WARNING: SeverityNumber.WARN,
    Severity.ERROR: SeverityNumber.ERROR,
    Severity.CRITICAL: SeverityNumber.FATAL,
}
_LEVEL: Final = {
    "debug": SeverityNumber.DEBUG,
    "info": SeverityNumber.INFO,
    "warning": SeverityNumber.WARN,
    "error": SeverityNumber.ERROR,
    "critical": SeverityNumber.FATAL,
}


@dataclass(frozen=True, slots=True)
class _Happened:
    """An event, or the fields of a log line, with the moment in nanoseconds since 1970 and the span around it."""

    what: Event | dict[str, Any]
    at_ns: int
    inside: SpanContext


class Telemetry:
    """An event sink that passes every event on and keeps it to be sent; and the tracer of `tracing`.

    Like the recorder it belongs to one event loop's thread, and recording neither waits nor raises. `dropped` counts
    by reason what never reached the collector.
    """

    def __init__(self, endpoint: str, sink: EventSink, *, kind: ProcessKind) -> None:
        """`endpoint` is the collector's address, to which /v1/traces and /v1/logs are added."""
        self.dropped: Counter[str] = Counter()
        self.sent: Counter[str] = Counter()
        self._pass_on = sink.record_observability_event
        self._happened: deque[_Happened] = deque()
        self._spans: deque[ReadableSpan] = deque()
        self._logs: deque[ReadableLogRecord] = deque()
        base = endpoint.rstrip("/")
        self._span_exporter = OTLPSpanExporter(f"{base}/v1/traces", timeout=_EXPORT_S)
        self._log_exporter = OTLPLogExporter(f"{base}/v1/logs", timeout=_EXPORT_S)
        resource = Resource.create(
            {"service.name": "maitred", "service.version": __version__, "maitred.process": kind},
        )
        self._tracers = TracerProvider(resource=resource, shutdown_on_exit=False)
        self._tracers.add_span_processor(_Spans(self._keep_span))
        self._tracer = self._tracers.get_tracer("maitred", __version__)
        loggers = LoggerProvider(resource=resource, shutdown_on_exit=False)
        loggers.add_log_record_processor(_Logs(self._keep_log))
        self._logger = loggers.get_logger("maitred", __version__)
        self._w3c = TraceContextTextMapPropagator()
        self._away = False
        self._ending = asyncio.Event()

    def record_observability_event(self, event: Event) -> None:
        """Passes the event on and keeps it to be sent. Never waits, never raises."""
        self._pass_on(event)
        self._keep(event)

    def line(self, _logger: object, level: str, fields: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        """A processor of structlog: the line gets the ids of the span that it was written in, and is sent too."""
        inside = trace.get_current_span().get_span_context()
        self._keep({**fields, "level": level})
        if inside.is_valid:
            fields["trace_id"] = trace.format_trace_id(inside.trace_id)
            fields["span_id"] = trace.format_span_id(inside.span_id)
        return fields

    def _keep(self, what: Event | dict[str, Any]) -> None:
        if len(self._happened) >= MOST_WAITING:
            self.dropped["queue_full"] += 1
            return
        self._happened.append(_Happened(what, time.time_ns(), trace.get_current_span().get_span_context()))

    def span(self, name: tracing.SpanName, traceparent: str | None) -> AbstractContextManager[None]:
        """See `tracing.Tracer`."""
        return self._span(name, traceparent)

    @contextmanager
    def _span(self, name: tracing.SpanName, traceparent: str | None) -> Iterator[None]:
        around = None if traceparent is None else self._w3c.extract({"traceparent": traceparent})
        # What an error says may hold anything: only its class is told, by the events.
        with self._tracer.start_as_current_span(
            name, context=around, record_exception=False, set_status_on_exception=False
        ) as span:
            try:
                yield
            except BaseException:
                span.set_status(Status(StatusCode.ERROR))
                raise

    def trace_id(self) -> str | None:
        """See `tracing.Tracer`."""
        inside = trace.get_current_span().get_span_context()
        return trace.format_trace_id(inside.trace_id) if inside.is_valid else None

    @asynccontextmanager
    async def sending(self) -> AsyncIterator[None]:
        """Traces, and sends what comes of it, until it is left; then what is left over, for two seconds at most."""
        logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)  # says again and again what `dropped` counts
        task = asyncio.create_task(self._run(), name="maitred-otel")
        processors = structlog.get_config()["processors"]
        structlog.configure(processors=[*processors[:-1], self.line, processors[-1]])
        try:
            with tracing.traced_by(self):
                yield
        finally:
            structlog.configure(processors=processors)
            self._ending.set()
            try:
                await asyncio.wait({task}, timeout=_END_S)
            finally:
                task.cancel()
                await asyncio.wait({task}, timeout=_END_S)
                self._span_exporter.shutdown()  # type: ignore[no-untyped-call] # the SDK's own omission
                self._log_exporter.shutdown()  # type: ignore[no-untyped-call] # the same
            self.dropped["unsent"] += len(self._happened) + len(self._spans) + len(self._logs)
            if lost := +self.dropped:
                warn("otel.dropped", **lost)

    async def _run(self) -> None:
        while not self._ending.is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(self._ending.wait(), _PAUSE_S)
            await self._send_all()
        await self._send_all()

    async def _send_all(self) -> None:
        while self._happened or self._spans or self._logs:
            await self._read_some()
            await self._export("spans", self._spans, self._span_exporter.export)
            await self._export("logs", self._logs, self._log_exporter.export)

    async def _read_some(self) -> None:
        """Makes spans and log records of what happened. Reading an event is what its writer does anyway, and once."""
        for turn in range(min(len(self._happened), _BATCH)):
            happened = self._happened.popleft()
            try:
                if isinstance(happened.what, Event):
                    self._tell_event(happened, happened.what)
                else:
                    self._tell_line(happened, happened.what)
            except Exception:  # noqa: BLE001 - whatever was handed in, the others have to get through
                self.dropped["invalid"] += 1
            if turn % _READ_AT_ONCE == 0:
                await asyncio.sleep(0)

    def _tell_event(self, happened: _Happened, event: Event) -> None:
        try:
            declaration, context = admit(event)
        except UnregisteredEvent:
            self.dropped["unregistered"] += 1
            return
        attributes: dict[str, AttributeValue] = {
            f"maitred.{name}": str(given)
            for name, given in (("booking_id", event.booking_id), ("restaurant_id", event.restaurant_id))
            if given is not None
        }
        attributes.update(_flat(context))
        inside, name = happened.inside, declaration.name
        if (key := _SPANS.get(name)) is not None:
            spent = context[key]
            if isinstance(spent, (int, float)):
                inside = self._timed(name, happened, spent, attributes, failed=declaration.severity is Severity.ERROR)
        self._emit(name, happened.at_ns, inside, _SEVERITY[declaration.severity], attributes)

    def _timed(
        self, name: str, happened: _Happened, ms: float, attributes: Mapping[str, AttributeValue], *, failed: bool
    ) -> SpanContext:
        span = self._tracer.start_span(
            name,
            context=_context(happened.inside),
            start_time=happened.at_ns - int(ms * 1e6),
            attributes=attributes,
            record_exception=False,
        )
        if failed or "planner_error" in attributes:
            span.set_status(Status(StatusCode.ERROR))
        span.end(end_time=happened.at_ns)
        return span.get_span_context()

    def _tell_line(self, happened: _Happened, fields: dict[str, Any]) -> None:
        level, event = str(fields.pop("level", "info")), str(fields.pop("event", ""))
        fields.pop("timestamp", None)
        attributes = {
            name: value if isinstance(value, (bool, int, float)) else str(value)[:_LONGEST_TEXT]
            for name, value in fields.items()
            if value is not None and name not in ("trace_id", "span_id", "exc_info", "stack_info", "exception")
        }
        self._emit(event, happened.at_ns, happened.inside, _LEVEL.get(level, SeverityNumber.INFO), attributes)

    def _emit(
        self,
        name: str,
        at_ns: int,
        inside: SpanContext,
        severity: SeverityNumber,
        attributes: Mapping[str, AttributeValue],
    ) -> None:
        self._logger.emit(
            LogRecord(
                timestamp=at_ns,
                observed_timestamp=at_ns,
                context=_context(inside),
                severity_number=severity,
                severity_text=severity.name,
                body=name,
                event_name=name,
                attributes=attributes,
            )
        )

    async def _export(self, what: str, waiting: deque[Any], export: Any) -> None:
        batch = [waiting.popleft() for _ in range(min(len(waiting), _BATCH))]
        if not batch:
            return
        try:
            delivered = await _aside(partial(_delivered, export, batch))
        except asyncio.CancelledError:
            # nobody knows whether it arrived; sending it again could show it twice
            self.dropped["unknown"] += len(batch)
            raise
        if delivered:
            self.sent[what] += len(batch)
        else:
            self.dropped["undelivered"] += len(batch)
        if delivered is self._away:
            self._away = not delivered
            warn("otel.collector_away" if self._away else "otel.collector_back")

    def _keep_span(self, span: ReadableSpan) -> None:
        self._put(self._spans, span)

    def _keep_log(self, record: ReadableLogRecord) -> None:
        self._put(self._logs, record)

    def _put(self, waiting: deque[Any], what: object) -> None:
        if len(waiting) >= MOST_WAITING:
            self.dropped["queue_full"] += 1
        else:
            waiting.append(what)


async def _aside(work: Callable[[], bool]) -> bool:
    """What it returns, done in a thread that holds up nobody's end; the loop's own are waited for."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[bool] = loop.create_future()

    def tell(result: bool) -> None:
        if not done.done():
            done.set_result(result)

    def run() -> None:
        result = work()
        with suppress(RuntimeError):  # the loop has ended meanwhile
            loop.call_soon_threadsafe(tell, result)

    threading.Thread(target=run, daemon=True, name="maitred-otel").start()
    return await done


def _delivered(export: Any, batch: Sequence[Any]) -> bool:
    try:
        result = export(batch)
    except Exception:  # noqa: BLE001 - any way of not being delivered is one
        return False
    return bool(result.name == SpanExportResult.SUCCESS.name)


def _context(inside: SpanContext) -> Context:
    return trace.set_span_in_context(trace.NonRecordingSpan(inside), Context())


def _flat(context: Mapping[str, JsonValue]) -> dict[str, AttributeValue]:
    """One level of names with dots, without nulls."""
    found: dict[str, AttributeValue] = {}
    for name, value in context.items():
        if value is None or name in _LEFT_OUT:
            continue
        if isinstance(value, dict):
            found.update({f"{name}.{inner}": each for inner, each in _flat(value).items()})
        elif isinstance(value, list):
            found[name] = [str(each) for each in value]
        else:
            found[name] = value
    return found


class _Spans(SpanProcessor):
    """Hands on every span that has ended."""

    def __init__(self, keep: Any) -> None:
        self._keep = keep

    def on_end(self, span: ReadableSpan) -> None:
        """Called by the SDK."""
        if span.context is not None and span.context.trace_flags.sampled:
            self._keep(span)


class _Logs(LogRecordProcessor):
    """Hands on every log record."""

    def __init__(self, keep: Any) -> None:
        self._keep = keep

    def on_emit(self, log_record: ReadWriteLogRecord) -> None:
        """Called by the SDK."""
        self._keep(
            ReadableLogRecord(
                log_record=log_record.log_record,
                resource=log_record.resource or Resource.create({}),
                instrumentation_scope=log_record.instrumentation_scope,
                limits=log_record.limits,
            )
        )

    def shutdown(self) -> None:
        """Nothing to do: `Telemetry` ends itself."""

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Nothing waits here."""
        return timeout_millis >= 0
