"""OpenTelemetry: off it isn't there; on, spans, log records and events belong together, and nobody waits for it."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from typing import Any
from uuid import uuid4

import psycopg
import pytest
import pytest_asyncio
import structlog
from pydantic import ValidationError

from maitred.auto_assign.inline import auto_assign_inline
from maitred.auto_assign.retry import SINGLE_ATTEMPT
from maitred.auto_assign.run import auto_assign_and_confirm_if_possible
from maitred.bootstrap import open_application
from maitred.observability import events, otel, tracing
from maitred.observability.event import Event, Severity
from maitred.observability.otel import MOST_WAITING, Telemetry
from maitred.observability.recorder import Recorder
from maitred.observability.registry import TRACE_ID
from maitred.settings import Settings
from maitred.storage.database import Database
from tests.cli.command import environment
from tests.house import Events, House, at_dawn, build_house
from tests.observability.collector import Collector, collecting, plain

WHO: dict[str, Any] = {"restaurant_id": uuid4(), "booking_id": uuid4()}


@pytest.fixture
def collector() -> Iterator[Collector]:
    with collecting() as found:
        yield found


@pytest_asyncio.fixture
async def house(database: Database) -> AsyncIterator[House]:
    yield await build_house(database)


def skipped(turn: int = 0) -> Event:
    return events.exited_already_confirmed(**WHO, trigger="creation", attempt_index=turn)


def of(house: House, telemetry: Telemetry) -> None:
    house.desk = replace(house.desk, events=telemetry)


async def test_an_inline_attempt_is_one_trace_in_spans_log_records_and_events(
    house: House, collector: Collector
) -> None:
    telemetry = Telemetry(collector.url, house.events, kind="server")
    of(house, telemetry)
    async with telemetry.sending():
        result = await auto_assign_inline(house.desk, await house.book(2), now=at_dawn)
    assert result.confirmed
    spans = {span.name: span for span in collector.spans}
    outer, quote = spans["inline_attempt"], spans["auto_assign.quote"]
    assert quote.parent_span_id == outer.span_id
    assert quote.trace_id == outer.trace_id
    assert quote.start_time_unix_nano >= outer.start_time_unix_nano - 1_000_000
    assert quote.end_time_unix_nano <= outer.end_time_unix_nano + 1_000_000
    told = plain(quote.attributes)
    assert told["maitred.booking_id"] == str(result.booking_id)
    assert told["planner_success"] is True
    assert isinstance(told["planner_internal.plan_ms"], float)
    assert "planner_record" not in told
    ids = {event.event_type: event.context["trace_id"] for event in house.events.kept}
    assert set(ids.values()) == {outer.trace_id.hex()}
    logs = {log.event_name: log for log in collector.logs}
    assert set(ids) <= set(logs)
    assert {log.trace_id for log in collector.logs} == {outer.trace_id}
    assert logs["auto_assign.quote"].span_id == quote.span_id
    assert collector.resources[0]["service.name"] == "maitred"
    assert collector.resources[0]["maitred.process"] == "server"
    assert +telemetry.dropped == {}


async def test_events_that_ride_a_transaction_carry_the_trace_too(house: House, collector: Collector) -> None:
    telemetry = Telemetry(collector.url, house.events, kind="worker")
    of(house, telemetry)
    booking = await house.book(2)
    async with telemetry.sending():
        await auto_assign_and_confirm_if_possible(
            house.desk, booking, now=at_dawn, trigger="creation", rules=SINGLE_ATTEMPT
        )
    [run] = [span for span in collector.spans if span.name == "run"]
    (summary,) = await house.stored_events("auto_assign.summary")
    context = summary["context"]
    assert isinstance(context, dict)
    assert context["trace_id"] == run.trace_id.hex()


async def test_a_trace_id_gets_into_the_table_through_the_recorder(
    database_url: str, database: Database, collector: Collector
) -> None:
    recorder = Recorder(database_url, queue_size=10)
    await recorder.start()
    telemetry = Telemetry(collector.url, recorder, kind="cli")
    async with telemetry.sending():
        with tracing.span("http_request"):
            telemetry.record_observability_event(skipped(1))
        telemetry.record_observability_event(skipped(2))
    await recorder.close()
    rows = await database.fetch("SELECT context FROM observability_events ORDER BY context->>'attempt_index'")
    [span] = collector.spans
    assert [row["context"].get("trace_id") for row in rows] == [span.trace_id.hex(), None]
    assert "trace_id" not in rows[1]["context"]


async def test_attempts_at_the_same_time_have_traces_of_their_own(house: House, collector: Collector) -> None:
    telemetry = Telemetry(collector.url, house.events, kind="server")
    of(house, telemetry)
    bookings = [await house.book(2) for _ in range(3)]
    async with telemetry.sending():
        await asyncio.gather(*(auto_assign_inline(house.desk, each, now=at_dawn) for each in bookings))
    by_booking: dict[object, set[object]] = {}
    for event in house.events.kept:
        by_booking.setdefault(event.booking_id, set()).add(event.context["trace_id"])
    assert [len(by_booking[each]) for each in bookings] == [1, 1, 1]
    assert len(set().union(*by_booking.values())) == 3


@pytest.mark.parametrize(
    ("given", "continued"),
    [
        ("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", True),
        ("00-00000000000000000000000000000000-b7ad6b7169203331-01", False),
        ("nonsense", False),
        ("", False),
    ],
)
async def test_a_callers_trace_goes_on_and_what_is_none_is_left_alone(
    collector: Collector, given: str, continued: bool
) -> None:
    telemetry = Telemetry(collector.url, Events(), kind="server")
    async with telemetry.sending():
        with tracing.span("http_request", traceparent=given):
            found = telemetry.trace_id()
    assert (found == "0af7651916cd43dd8448eb211c80319c") is continued
    assert [span.trace_id.hex() for span in collector.spans] == [found]


async def test_a_log_line_has_its_trace_and_is_sent_with_its_fields_only(
    collector: Collector, capsys: pytest.CaptureFixture[str]
) -> None:
    telemetry = Telemetry(collector.url, Events(), kind="server")
    log = structlog.get_logger("test")
    async with telemetry.sending():
        with tracing.span("run"):
            log.warning("something.happened", booking_id="b", waited_s=1.5)
            trace_id = telemetry.trace_id()
        log.info("outside")
    assert f"trace_id={trace_id}" in capsys.readouterr().out.replace("\x1b[35m", "").replace("\x1b[0m", "").replace(
        "\x1b[36m", ""
    )
    inside, outside = collector.logs
    assert (inside.event_name, inside.trace_id.hex(), inside.severity_text) == ("something.happened", trace_id, "WARN")
    assert plain(inside.attributes) == {"booking_id": "b", "waited_s": 1.5}
    assert (outside.event_name, outside.trace_id) == ("outside", b"")


async def test_what_an_error_says_does_not_leave_the_process(collector: Collector) -> None:
    telemetry = Telemetry(collector.url, Events(), kind="server")
    async with telemetry.sending():
        with pytest.raises(ValueError, match="Ada"), tracing.span("run"):
            raise ValueError("Ada Lovelace, ada@example.org")
    [span] = collector.spans
    assert span.status.code == span.status.STATUS_CODE_ERROR
    assert b"Ada" not in span.SerializeToString()


async def test_what_the_registry_does_not_know_is_not_sent(collector: Collector) -> None:
    kept: list[Event] = []

    class Sink:
        def record_observability_event(self, event: Event) -> None:
            kept.append(event)

    telemetry = Telemetry(collector.url, Sink(), kind="server")
    odd = [
        Event("x", "guest.called", Severity.INFO, {"name": "Ada"}),
        Event("auto_assign", "auto_assign.exited_already_confirmed", Severity.INFO, {"name": "Ada", "trace_id": "Ada"}),
    ]
    async with telemetry.sending():
        for event in odd:
            telemetry.record_observability_event(event)
        telemetry.record_observability_event(None)  # type: ignore[arg-type] # what no type checker saw
    assert len(kept) == 3
    assert [log.event_name for log in collector.logs] == ["auto_assign.exited_already_confirmed"]
    assert b"Ada" not in collector.logs[0].SerializeToString()
    assert (telemetry.dropped["unregistered"], telemetry.dropped["invalid"]) == (1, 1)


@pytest.mark.parametrize("trouble", ["nobody", "refuses", "hangs"])
async def test_a_collector_in_trouble_holds_up_nobody_and_what_it_misses_is_counted(
    house: House, collector: Collector, trouble: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(otel, "_END_S", 0.3)
    collector.status, collector.hanging = (400 if trouble == "refuses" else 200), trouble == "hangs"
    url = "http://127.0.0.1:1" if trouble == "nobody" else collector.url
    telemetry = Telemetry(url, house.events, kind="server")
    of(house, telemetry)
    async with asyncio.timeout(60):
        async with telemetry.sending():
            result = await auto_assign_inline(house.desk, await house.book(2), now=at_dawn)
    assert result.confirmed
    collector.hang.set()
    assert telemetry.sent.total() == 0
    # of each event one log record, and two spans
    assert telemetry.dropped.total() >= len(house.events.kept)
    assert set(telemetry.dropped) <= {"undelivered", "unknown", "unsent"}


async def test_the_queue_is_bounded_and_what_does_not_fit_is_counted(collector: Collector) -> None:
    kept = Events()
    telemetry = Telemetry(collector.url, kept, kind="server")
    for turn in range(MOST_WAITING + 7):
        telemetry.record_observability_event(skipped(turn))
    assert telemetry.dropped["queue_full"] == 7
    assert len(kept.kept) == MOST_WAITING + 7
    async with asyncio.timeout(60), telemetry.sending():
        pass
    assert len(collector.logs) == MOST_WAITING


async def test_without_it_events_carry_no_trace_and_a_span_is_nothing() -> None:
    with tracing.span("run") as nothing:
        assert nothing is None
        assert TRACE_ID.name not in skipped().context
    assert tracing.span("run") is tracing.span("http_request")
    assert tracing.tracer is None


async def test_the_application_sends_what_it_does_and_says_how_much(
    database_url: str, collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAITRED_DATABASE_URL", database_url)
    monkeypatch.setenv("MAITRED_OTEL_ENDPOINT", collector.url + "/")
    monkeypatch.setenv("MAITRED_METRICS_ADDRESS", "127.0.0.1:0")
    async with open_application(Settings(), kind="worker") as app:
        app.desk.events.record_observability_event(skipped())
        assert app.metrics is not None
        for _ in range(200):
            if collector.logs:
                break
            await asyncio.sleep(0.05)
        text = ""
        for _ in range(200):  # the collector has it a moment before the answer has arrived
            text = (await app.metrics.text()).decode()
            if 'maitred_otel_sent_total{what="logs"} 1.0' in text:
                break
            await asyncio.sleep(0.05)
        assert 'maitred_otel_sent_total{what="logs"} 1.0' in text
        assert 'maitred_otel_dropped_total{reason="queue_full"} 0.0' in text
    with psycopg.connect(database_url) as connection:
        assert connection.execute("SELECT count(*) FROM observability_events").fetchone() == (1,)
    assert tracing.tracer is None


def test_nothing_of_opentelemetry_is_imported_without_it() -> None:
    code = (
        "import sys, maitred.bootstrap, maitred.worker, maitred.cli, maitred.cli.start, maitred.observability.metrics;"
        "sys.exit('opentelemetry' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_asked_for_without_the_extra_it_says_what_to_install(database_url: str) -> None:
    code = (
        "import sys; sys.modules['opentelemetry'] = None\n"
        "from maitred.cli import main; sys.argv = ['maitred', 'runs', 'list']; main()"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code],
        env=environment(MAITRED_DATABASE_URL=database_url, MAITRED_OTEL_ENDPOINT="http://127.0.0.1:4318"),
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 2
    assert "maitred[otel]" in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize("wrong", ["127.0.0.1:4318", "ftp://x", "http://", "http://u:p@x", "http://x?y", "http://x y"])
def test_an_endpoint_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch, wrong: str) -> None:
    monkeypatch.setenv("MAITRED_OTEL_ENDPOINT", wrong)
    with pytest.raises(ValidationError, match="otel_endpoint"):
        Settings()
