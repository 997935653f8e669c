"""What /metrics counts, and that counting never gets in the way of recording."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
import pytest_asyncio
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from maitred.auto_assign.begin import begin_run
from maitred.auto_assign.changes import move_booking
from maitred.auto_assign.retry import SINGLE_ATTEMPT, RetryRules
from maitred.auto_assign.run import auto_assign_and_confirm_if_possible
from maitred.booking.change import Move
from maitred.model.reason import ReasonCode
from maitred.observability import events, inline_events
from maitred.observability.event import Event, Severity
from maitred.observability.metrics import TRIGGERS, CountedEvents, Durations, Metrics
from maitred.observability.metrics_database import DatabaseFigures
from maitred.observability.metrics_listener import MOST_BYTES, MOST_CONNECTIONS, listening
from maitred.observability.metrics_page import MetricsPage
from maitred.observability.objectives import OBJECTIVES, bounds
from maitred.observability.recorder import NullRecorder, Recorder, state_event_statement
from maitred.observability.registry import CONSTRUCTORS
from maitred.observability.values import Packs
from maitred.settings import Settings
from maitred.storage.database import Database
from tests.house import DAWN, NOON, Events, House, at_dawn, build_house
from tests.observability.drawing import BY_TYPE, arguments


@pytest_asyncio.fixture
async def house(database: Database) -> House:
    return await build_house(database)


WHO: dict[str, Any] = {"restaurant_id": uuid4(), "booking_id": uuid4()}


def page_of(counted: CountedEvents) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    text = Metrics(counted, NullRecorder()).text().decode()
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def value(counted: CountedEvents, name: str, **labels: str) -> float | None:
    return page_of(counted).get((name, frozenset(labels.items())))


def quote(**changed: Any) -> Event:
    told: dict[str, Any] = {
        "trigger": "creation",
        "attempt_index": 0,
        "duration_ms": 3.0,
        "success": True,
        **WHO,
        **changed,
    }
    return events.quote(**told)


def test_every_event_is_passed_on_and_counted_by_type() -> None:
    kept = Events()
    counted = CountedEvents(kept)
    made = [quote(), quote(), inline_events.quote_error(**WHO, attempt_id=uuid4(), duration_ms=1.0)]
    for event in made:
        counted.record_observability_event(event)
    assert kept.kept == made
    assert value(counted, "maitred_events_total", event="auto_assign.quote") == 2
    assert value(counted, "maitred_events_total", event="inline_auto_assign.quote_error") == 1
    assert value(counted, "maitred_events_total", event="auto_assign.hard_stop") == 0


@pytest.mark.parametrize("objective", OBJECTIVES, ids=lambda each: each.name)
def test_a_histogram_has_a_bound_exactly_at_its_objective(objective: object) -> None:
    limit = objective.limit_s  # type: ignore[attr-defined] # parametrize loses the type
    limits = bounds(objective)  # type: ignore[arg-type] # the same
    assert limit in limits
    durations = Durations(limits)
    durations.observe((), limit)
    durations.observe((), limit * 1.000001)
    buckets = {sample.labels.get("le"): sample.value for sample in durations.family("x_seconds", "x", ()).samples}
    assert buckets[repr(limit)] == 1
    assert buckets["+Inf"] == 2


def test_planner_calls_are_measured_in_seconds_and_a_cache_hit_is_none() -> None:
    counted = CountedEvents(NullRecorder())
    counted.record_observability_event(quote(duration_ms=250.0))
    counted.record_observability_event(quote(duration_ms=251.0, success=False, reason=ReasonCode.NO_CAPACITY))
    counted.record_observability_event(
        quote(duration_ms=0.0, success=False, reason=ReasonCode.NO_CAPACITY, cache_hit=True)
    )
    name = "maitred_planner_call_seconds"
    assert value(counted, f"{name}_bucket", trigger="creation", success="true", le="0.25") == 1
    assert value(counted, f"{name}_bucket", trigger="creation", success="false", le="0.25") == 0
    assert value(counted, f"{name}_count", trigger="creation", success="false") == 1
    assert value(counted, "maitred_planner_cache_hits_total", trigger="creation") == 1
    assert value(counted, "maitred_planner_refusals_total", trigger="creation", category="hard") == 2


def test_a_lost_race_and_an_error_are_counted() -> None:
    counted = CountedEvents(NullRecorder())
    counted.record_observability_event(quote(internal=events.PlannerInternal(replans=2)))
    counted.record_observability_event(quote(success=False, error=asyncio.CancelledError()))
    assert value(counted, "maitred_planner_lost_races_total") == 2
    assert value(counted, "maitred_planner_errors_total", trigger="creation") == 1


def test_an_inline_success_counts_from_the_attempts_beginning_to_the_confirmation() -> None:
    counted = CountedEvents(NullRecorder())
    inline: dict[str, Any] = {**WHO, "attempt_id": uuid4()}
    counted.record_observability_event(
        inline_events.succeeded(**inline, hold_id=uuid4(), quote_duration_ms=600.0, confirm_duration_ms=500.0)
    )
    counted.record_observability_event(inline_events.timeout(**inline, timeout_ms=4000.0, elapsed_ms=4001.0))
    counted.record_observability_event(inline_events.confirm_failed(**inline, hold_id=uuid4(), duration_ms=1.0))
    assert value(counted, "maitred_inline_attempt_seconds_bucket", result="succeeded", le="1.0") == 0
    assert value(counted, "maitred_inline_attempt_seconds_sum", result="succeeded") == pytest.approx(1.1)
    assert value(counted, "maitred_quote_to_confirmed_seconds_count", path="inline") == 1
    assert (
        value(counted, "maitred_inline_attempts_total", result="confirm_failed") == 1
    )  # knows no duration: never good
    assert value(counted, "maitred_inline_attempt_seconds_count", result="confirm_failed") is None
    assert value(counted, "maitred_inline_attempt_seconds_count", result="no_hold") == 0


@given(st.data())
def test_whatever_the_constructors_are_given_no_id_becomes_a_label_and_nothing_raises(data: st.DataObject) -> None:
    counted = CountedEvents(NullRecorder())
    name = data.draw(st.sampled_from(sorted(CONSTRUCTORS)))
    event = CONSTRUCTORS[name](**data.draw(arguments(CONSTRUCTORS[name], BY_TYPE)))
    counted.record_observability_event(event)
    for ids in (event.restaurant_id, event.booking_id, event.id):
        assert str(ids) not in Metrics(counted, NullRecorder()).text().decode()


@pytest.mark.parametrize("word", ["Ann Example", "ann@example.org", "+49 30 1234", "", None, 7, ["x"]])
def test_a_word_from_no_list_never_becomes_a_label(word: object) -> None:
    counted = CountedEvents(NullRecorder())
    context = {"trigger": word, "planner_reason_category": word, "planner_success": False, "planner_duration_ms": 1}
    counted.record_observability_event(Event("x", "auto_assign.quote", Severity.INFO, context))  # type: ignore[arg-type]
    counted.record_observability_event(Event("x", "auto_assign.summary", Severity.INFO, {"result": word}))  # type: ignore[dict-item]
    counted.record_observability_event(Event("x", str(word), Severity.INFO, {}))
    labels = {text for _, labels in page_of(counted) for name, text in labels if name in ("trigger", "category")}
    assert labels <= {*TRIGGERS, "hard", "transient", "unknown", "other"}
    assert counted.uncounted == 1
    if isinstance(word, str) and word:
        assert word not in Metrics(counted, NullRecorder()).text().decode()


def test_counting_leaves_the_flight_record_to_the_writer() -> None:
    class Record(Packs):
        packings = 0

        def packed(self) -> bytes:
            Record.packings += 1
            return b""

    CountedEvents(NullRecorder()).record_observability_event(quote(record=Record()))
    assert Record.packings == 0


def test_what_cannot_be_counted_is_recorded_all_the_same() -> None:
    class Broken:
        event_type = ["no name"]  # noqa: RUF012 - not hashable, on purpose

    handed: list[object] = []

    class Sink:
        def record_observability_event(self, event: Event) -> None:
            handed.append(event)

    counted = CountedEvents(Sink())
    broken = Broken()
    counted.record_observability_event(broken)  # type: ignore[arg-type] # what no type checker saw
    assert handed == [broken]
    assert counted.uncounted == 1


async def test_the_recorders_own_figures_are_on_the_page(database_url: str) -> None:
    recorder = Recorder(database_url, queue_size=1)
    counted = CountedEvents(recorder)
    counted.record_observability_event(quote())
    counted.record_observability_event(quote())
    text = Metrics(counted, recorder).text().decode()
    assert "maitred_recorder_accepted_total 1.0" in text
    assert 'maitred_recorder_dropped_total{reason="queue_full"} 1.0' in text
    assert 'maitred_recorder_dropped_total{reason="refused"} 0.0' in text
    await recorder.close()


async def test_the_databases_figures_are_what_its_tables_say(house: House) -> None:
    counted = CountedEvents(NullRecorder())
    figures = DatabaseFigures(house.database, counted)
    booking = await house.book(2)
    await _run(house, booking, ended=False)
    done = await _run(house, await house.book(2), ended=True)
    figures.run_ended(done)
    await house.database.fetch(
        "INSERT INTO messages (restaurant_id, booking_id, kind, channel, once, state) SELECT %(r)s, %(b)s,"
        " 'confirmation', 'mail', s, s FROM unnest(array['waiting', 'dead', 'sent']) s",
        {"r": house.restaurant_id, "b": booking},
    )
    await figures.refresh()
    told = {sample.name: sample.value for family in figures.collect() for sample in family.samples}
    assert told["maitred_database_up"] == 1
    assert (told["maitred_messages_waiting"], told["maitred_messages_dead"]) == (1, 1)
    assert (told["maitred_runs_live"], told["maitred_runs_overdue"]) == (1, 1)
    assert value(counted, "maitred_quote_to_confirmed_seconds_sum", path="run") == pytest.approx(42)
    await figures.refresh()
    assert value(counted, "maitred_quote_to_confirmed_seconds_count", path="run") == 1
    await figures.close()


async def test_every_run_that_ended_anywhere_is_counted_once(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("maitred.observability.metrics_database.KEPT_S", 0.0)
    before = await house.book(2)
    await auto_assign_and_confirm_if_possible(house.desk, before, now=at_dawn, trigger="loop", rules=SINGLE_ATTEMPT)
    counted = CountedEvents(NullRecorder())
    figures = DatabaseFigures(house.database, counted)
    early = datetime.now(UTC)
    # an operations run, and one that a move ends
    booking = await house.book(2)
    await auto_assign_and_confirm_if_possible(
        house.desk, booking, now=at_dawn, trigger="ultra_fast", rules=SINGLE_ATTEMPT
    )
    moved = await house.book(2)
    await begin_run(house.desk, moved, trigger="creation", rules=RetryRules(), now=DAWN)
    await move_booking(house.desk, moved, Move(NOON + timedelta(hours=2), 2), rules=RetryRules(), now=at_dawn)
    for _ in range(3):
        await figures.refresh()
        assert value(counted, "maitred_runs_ended_total", trigger="ultra_fast", result="succeeded") == 1
        assert value(counted, "maitred_runs_ended_total", trigger="creation", result="exhausted") == 1
        assert value(counted, "maitred_runs_ended_total", trigger="loop", result="succeeded") == 0
    # one that was committed late, behind those that were seen
    late = state_event_statement(
        events.summary(
            **{**WHO, "booking_id": None},
            trigger="modification",
            attempts_used=1,
            max_attempts=1,
            result="cutoff",
            total_duration_ms=1.0,
            at=early,
        )
    )
    await house.database.transact([late])
    await figures.refresh()
    assert value(counted, "maitred_runs_ended_total", trigger="modification", result="cutoff") == 1
    await figures.close()


async def test_a_scrape_goes_on_without_the_database(database_url: str) -> None:
    database = Database(database_url)  # never opened
    recorder = Recorder(database_url, queue_size=10)
    page = MetricsPage("127.0.0.1:0", recorder, database)
    text = (await page.text()).decode()
    assert "maitred_database_up 0.0" in text
    assert "maitred_runs_live" not in text
    assert "maitred_recorder_accepted_total" in text
    await recorder.close()


async def test_a_scrape_does_not_wait_for_a_database_that_says_nothing() -> None:
    class Silent:
        asked = 0

        async def transact(self, _statements: object) -> list[list[object]]:
            self.asked += 1
            await asyncio.Event().wait()
            raise AssertionError

    silent = Silent()
    figures = DatabaseFigures(silent, CountedEvents(NullRecorder()))  # type: ignore[arg-type] # a database that hangs
    async with asyncio.timeout(10):
        await figures.refresh()
        await figures.refresh()
    assert silent.asked == 1  # one question under way, however many scrapes
    assert next(iter(figures.collect())).samples[0].value == 0
    await figures.close()


async def _run(house: House, booking: UUID, *, ended: bool) -> UUID:
    rows = await house.database.fetch(
        "INSERT INTO runs (id, restaurant_id, booking_id, trigger, policy, max_attempts, party_size, due_at,"
        " created_at, ended_at, result)"
        " VALUES (gen_random_uuid(), %(r)s, %(b)s, 'creation', 2, 4, 2, now() - interval '2 min',"
        " now() - interval '42 s', CASE WHEN %(e)s THEN now() END, CASE WHEN %(e)s THEN 'succeeded' END) RETURNING id",
        {"r": house.restaurant_id, "b": booking, "e": ended},
    )
    return UUID(str(rows[0]["id"]))


async def _ask(bound: tuple[str, int], sent: bytes) -> bytes:
    reader, writer = await asyncio.open_connection(*bound)
    try:
        writer.write(sent)
        await writer.drain()
        async with asyncio.timeout(10):
            return await reader.read()
    except ConnectionError:
        return b""
    finally:
        writer.close()


async def _page() -> bytes:
    return b"x_total 1\n"


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n", b"200"),
        (b"GET /metrics?x=1 HTTP/1.0\r\n\r\n", b"200"),
        (b"GET /healthz HTTP/1.1\r\n\r\n", b"200"),
        (b"POST /metrics HTTP/1.1\r\n\r\n", b"405"),
        (b"GET / HTTP/1.1\r\n\r\n", b"404"),
        (b"GET /../metrics HTTP/1.1\r\n\r\n", b"404"),
        (b"nonsense\r\n\r\n", b"400"),
        (b"GET /metrics HTTP/1.1\r\nX: " + b"x" * MOST_BYTES * 2 + b"\r\n\r\n", b"400"),
    ],
)
async def test_the_listener_answers_two_gets_and_nothing_else(sent: bytes, status: bytes) -> None:
    async with listening("127.0.0.1:0", _page) as bound:
        assert bound is not None
        answer = await _ask(bound, sent)
        if not answer:  # refused while it was still sending: as good
            assert len(sent) > MOST_BYTES
            return
        assert answer.split(b" ")[1] == status


async def test_connections_beyond_the_bound_are_closed_at_once() -> None:
    async with listening("127.0.0.1:0", _page) as bound:
        assert bound is not None
        idle = [await asyncio.open_connection(*bound) for _ in range(MOST_CONNECTIONS)]
        await asyncio.sleep(0)
        assert await _ask(bound, b"GET /healthz HTTP/1.1\r\n\r\n") == b""
        for _, writer in idle:
            writer.close()


async def test_who_says_nothing_is_hung_up_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("maitred.observability.metrics_listener.DEADLINE_S", 0.05)
    async with listening("127.0.0.1:0", _page) as bound:
        assert bound is not None
        assert await _ask(bound, b"GET /met") == b""


async def test_an_address_that_is_taken_does_not_keep_the_work_from_going_on() -> None:
    async with listening("127.0.0.1:0", _page) as bound:
        assert bound is not None
        async with listening(f"127.0.0.1:{bound[1]}", _page) as second:
            assert second is None


@pytest.mark.parametrize("given_address", ["9464", "host", "host:99999", "a b:1", "http://x:1"])
def test_an_address_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch, given_address: str) -> None:
    monkeypatch.setenv("MAITRED_METRICS_ADDRESS", given_address)
    with pytest.raises(ValueError, match="metrics_address"):
        Settings()
