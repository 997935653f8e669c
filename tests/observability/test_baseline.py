"""The baseline's figures, against computations of their own."""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg.types.json import Jsonb

from maitred.model.reason import ReasonCode
from maitred.observability import events, inline_events
from maitred.observability.baseline import NOTHING, Baseline, Distribution, Share, baseline
from maitred.observability.baseline_scan import BEGIN, QUOTE, scan
from maitred.observability.events import Event, RunResult, Trigger
from maitred.observability.recorder import state_event_statement
from maitred.storage.database import Database, Statement
from tests.observability.test_order_statistics import exact_rank

# Rows here are made by hand, with the keys that a baseline reads and no others.
pytestmark = pytest.mark.foreign_events

SINCE = datetime(2025, 11, 6, 12, 0, tzinfo=UTC)
UNTIL = SINCE + timedelta(hours=4)
QUANTILES = ("0.5", "0.95", "0.99")

_tick = count()


def quote(
    duration_ms: float | None = 1.0,
    *,
    booking_id: UUID | None = None,
    restaurant_id: UUID | None = None,
    trigger: Trigger = "creation",
    attempt_index: int = 0,
    success: bool = True,
    reason: ReasonCode | None = None,
    at: datetime | None = None,
    **more: Any,
) -> Event:
    return events.quote(
        restaurant_id=restaurant_id,
        booking_id=booking_id,
        trigger=trigger,
        attempt_index=attempt_index,
        duration_ms=duration_ms,
        success=success,
        reason=reason,
        at=at or SINCE + timedelta(milliseconds=next(_tick)),
        **more,
    )


def summary(
    result: RunResult = "succeeded", *, attempts: int = 1, booking_id: UUID | None = None, total_ms: float | None = 1.0
) -> Event:
    return events.summary(
        restaurant_id=None,
        booking_id=booking_id,
        trigger="creation",
        result=result,
        attempts_used=attempts,
        max_attempts=4,
        total_duration_ms=total_ms,
        at=SINCE + timedelta(milliseconds=next(_tick)),
    )


async def tell(database: Database, told: Iterable[Event]) -> None:
    await database.transact([state_event_statement(event) for event in told])


async def read(database: Database) -> Baseline:
    return await baseline(database, since=SINCE, until=UNTIL)


def interpolated(values: Sequence[float], quantile: float) -> float:
    """percentile_cont, from its definition in the SQL standard."""
    ordered = sorted(values)
    place = quantile * (len(ordered) - 1)
    below, above = ordered[math.floor(place)], ordered[math.ceil(place)]
    return below + (above - below) * (place - math.floor(place))


def assert_describes(found: Distribution, values: Sequence[float]) -> None:
    """Every figure of the distribution, computed a second time in Python."""
    assert found.n == len(values)
    if not values:
        assert found == NOTHING
        return
    assert found.mean == pytest.approx(math.fsum(values) / len(values))
    assert found.max == max(values)
    fewest = dict(zip(QUANTILES, (6, 73, 368), strict=True))
    for quantile, percentile in zip(QUANTILES, (found.median, found.p95, found.p99), strict=True):
        assert percentile is not None
        assert percentile.value == pytest.approx(interpolated(values, float(quantile)), rel=1e-12)
        if len(values) < fewest[quantile]:
            assert percentile.upper is None
        else:
            assert percentile.upper == sorted(values)[exact_rank(len(values), quantile) - 1]


Call = tuple[float, Trigger, bool]


def drawn_calls(size: int, seed: int) -> list[Call]:
    """Durations as they are: most short, a few very long, some the same. Hypothesis alone would keep lists short."""
    drawn = random.Random(seed)
    triggers: tuple[Trigger, ...] = ("creation", "loop")
    return [
        (round(drawn.lognormvariate(1, 2), drawn.randint(0, 3)), drawn.choice(triggers), drawn.random() < 0.7)
        for _ in range(size)
    ]


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(
    calls=st.builds(
        drawn_calls, st.sampled_from([0, 1, 2, 5, 6, 72, 73, 367, 368, 369]) | st.integers(0, 500), st.integers()
    )
)
async def test_percentiles_are_those_of_percentile_cont_and_of_the_definition(
    calls: list[Call], database: Database
) -> None:
    # the table is shared by all examples; a venue of its own keeps each apart
    venue = uuid4()
    await tell(database, [quote(ms, restaurant_id=venue, trigger=how, success=well) for ms, how, well in calls])
    found = (await baseline(database, since=SINCE, until=UNTIL, restaurant_id=venue)).planner

    assert_describes(found.overall, [ms for ms, _, _ in calls])
    assert found.by_source.keys() == {"auto_assign" for _ in calls}
    for each in found.by_source.values():
        assert_describes(each, [ms for ms, _, _ in calls])
    assert found.by_trigger.keys() == {how for _, how, _ in calls}
    for trigger, each in found.by_trigger.items():
        assert_describes(each, [ms for ms, how, _ in calls if how == trigger])
    assert found.by_success.keys() == {str(well).lower() for _, _, well in calls}
    for success, each in found.by_success.items():
        assert_describes(each, [ms for ms, _, well in calls if str(well).lower() == success])

    (row,) = await database.fetch(
        "SELECT percentile_cont(ARRAY[0.5, 0.95, 0.99])"
        " WITHIN GROUP (ORDER BY (context->>'planner_duration_ms')::double precision) AS asked"
        " FROM observability_events WHERE restaurant_id = %(venue)s",
        {"venue": venue},
    )
    ours = [each.value for each in (found.overall.median, found.overall.p95, found.overall.p99) if each is not None]
    assert ours == (row["asked"] or [])


@pytest.mark.parametrize(("n", "p95_open", "p99_open"), [(72, True, True), (73, False, True), (368, False, False)])
async def test_with_too_few_values_the_bound_is_open(
    n: int, p95_open: bool, p99_open: bool, database: Database
) -> None:
    await tell(database, [quote(float(ms)) for ms in range(n)])
    found = (await read(database)).planner.overall
    assert found.p95 is not None
    assert found.p99 is not None
    assert (found.p95.upper is None, found.p99.upper is None) == (p95_open, p99_open)
    assert_describes(found, [float(ms) for ms in range(n)])


async def test_an_empty_window_is_a_baseline_of_nothing(database: Database) -> None:
    found = await read(database)
    assert found.cuts == {each: {} for each in ("source", "trigger", "strategy", "venue", "day")}
    assert replace(found, cuts={}, completeness=None) == Baseline(SINCE, UNTIL)
    assert found.events == 0
    assert found.rates[0].events == 0


async def test_the_window_is_half_open_and_the_restaurant_is_respected(database: Database) -> None:
    ours, theirs = uuid4(), uuid4()
    moment = timedelta(microseconds=1)
    await tell(
        database,
        [
            quote(1.0, restaurant_id=ours, at=SINCE - moment),
            quote(2.0, restaurant_id=ours, at=SINCE),
            quote(3.0, restaurant_id=ours, at=UNTIL - moment),
            quote(4.0, restaurant_id=ours, at=UNTIL),
            quote(5.0, restaurant_id=theirs, at=SINCE),
        ],
    )
    assert_describes((await read(database)).planner.overall, [2.0, 3.0, 5.0])
    found = await baseline(database, since=SINCE, until=UNTIL, restaurant_id=ours)
    assert_describes(found.planner.overall, [2.0, 3.0])
    assert found.restaurant_id == ours


@pytest.mark.parametrize(
    ("since", "until"),
    [
        (SINCE.replace(tzinfo=None), UNTIL),
        (SINCE, UNTIL.replace(tzinfo=None)),
        (SINCE, SINCE),
        (UNTIL, SINCE),
    ],
)
async def test_a_window_needs_zones_and_a_length(since: datetime, until: datetime, database: Database) -> None:
    with pytest.raises(ValueError, match="window"):
        await baseline(database, since=since, until=until)


async def test_attempts_are_counted_per_run_and_per_booking(database: Database) -> None:
    one, two = uuid4(), uuid4()
    await tell(
        database,
        [
            summary(attempts=1, booking_id=one),
            summary("exhausted", attempts=4, booking_id=two),
            summary(attempts=2, booking_id=two),
            summary("cutoff", attempts=0, booking_id=None),
        ],
    )
    found = (await read(database)).attempts
    assert_describes(found.per_run, [1, 4, 2, 0])
    assert_describes(found.per_booking, [1, 6])
    assert (found.retries, found.runs_retried) == (4, 2)


async def test_planner_calls_are_counted_per_booking(database: Database) -> None:
    one, two = uuid4(), uuid4()
    await tell(database, [quote(booking_id=one), quote(booking_id=two), quote(None, booking_id=two), quote()])
    assert_describes((await read(database)).calls_per_booking, [1, 2])


async def test_a_retry_delay_lies_between_consecutive_attempts_of_one_booking_and_run(database: Database) -> None:
    one, two = uuid4(), uuid4()

    def at(seconds: float) -> datetime:
        return SINCE + timedelta(seconds=seconds)

    await tell(
        database,
        [
            quote(booking_id=one, attempt_index=0, at=at(0)),
            quote(booking_id=two, attempt_index=0, at=at(1)),
            quote(booking_id=one, attempt_index=1, at=at(5)),
            quote(booking_id=two, attempt_index=1, at=at(7.5)),
            quote(booking_id=one, attempt_index=2, at=at(20)),
            # another run of the same booking
            quote(booking_id=one, attempt_index=0, at=at(3_000)),
            quote(booking_id=one, attempt_index=1, at=at(3_005)),
            # a person looks in between
            quote(booking_id=one, attempt_index=0, trigger="manual", at=at(3_010)),
            # one attempt's measurement was lost: the time over the gap is no delay
            quote(booking_id=one, attempt_index=3, at=at(3_100)),
            # nobody knows which booking this was
            quote(booking_id=None, attempt_index=0, at=at(0)),
            quote(booking_id=None, attempt_index=1, at=at(9)),
        ],
    )
    assert_describes((await read(database)).attempts.retry_delay_ms, [5_000, 6_500, 15_000, 5_000])


async def test_results_have_their_attempts_and_times(database: Database) -> None:
    skipped = events.summary(
        restaurant_id=None,
        booking_id=None,
        trigger="creation",
        result="exhausted",
        attempts_used=1,
        max_attempts=2,
        total_duration_ms=30.0,
        skipped_initial_attempt=True,
        inline_skip_reason=ReasonCode.NO_CAPACITY,
        at=SINCE,
    )
    await tell(
        database,
        [
            summary(total_ms=1.5),
            summary(total_ms=2.5, attempts=3),
            summary(total_ms=None),
            skipped,
            replace(skipped, id=uuid4()),
        ],
    )
    succeeded, exhausted = (await read(database)).results
    assert (succeeded.result, succeeded.runs, succeeded.skipped_first, succeeded.skip_reasons) == ("succeeded", 3, 0, 0)
    assert_describes(succeeded.attempts_used, [1, 3, 1])
    assert_describes(succeeded.total_duration_ms, [1.5, 2.5])
    assert (exhausted.result, exhausted.runs, exhausted.skipped_first, exhausted.skip_reasons) == ("exhausted", 2, 2, 1)


async def test_failures_are_counted_by_code_and_a_missing_one_is_no_reason(database: Database) -> None:
    await tell(
        database,
        [
            quote(success=False, reason=ReasonCode.NO_CAPACITY),
            quote(success=False, reason=ReasonCode.NO_CAPACITY),
            quote(success=False),
            quote(success=True),
        ],
    )
    assert (await read(database)).failures == (("hard.no_capacity", 2), ("NO_REASON", 1))


async def test_events_per_hour_by_family(database: Database) -> None:
    hour = timedelta(hours=1)
    await tell(
        database,
        [
            quote(at=SINCE),
            quote(at=SINCE + hour / 2),
            quote(at=SINCE + hour),
            replace(quote(at=SINCE), event_type="inline_auto_assign.no_hold"),
        ],
    )
    found = await read(database)
    assert found.events == 4
    assert found.events_by_type == {"auto_assign.quote": 3, "inline_auto_assign.no_hold": 1}
    assert [(each.family, each.events, each.per_hour, each.busiest_hour) for each in found.rates] == [
        (None, 4, 1.0, 3),
        ("auto_assign", 3, 0.75, 2),
        ("inline_auto_assign", 1, 0.25, 1),
    ]
    assert [(each.hour, each.event_type, each.events) for each in found.hours] == [
        (SINCE, "auto_assign.quote", 2),
        (SINCE, "inline_auto_assign.no_hold", 1),
        (SINCE + hour, "auto_assign.quote", 1),
    ]


@pytest.mark.parametrize(
    "context",
    [
        None,
        {},
        [],
        "text",
        {"planner_duration_ms": "12", "planner_success": "yes", "attempt_index": {}, "trigger": None},
        {
            "planner_duration_ms": True,
            "planner_success": {},
            "attempt_index": [],
            "cache_hit": 1,
            "planner_strategy": 5,
        },
        {"planner_strategy": {"requireAdjacency": [], "maxTables": {}}, "planner_internal": "x", "attemptId": 7},
        {"attemptsUsed": "three", "totalDurationMs": None, "result": None, "skippedInitialAttempt": 1},
    ],
)
async def test_rows_of_other_systems_may_hold_anything(context: object, database: Database) -> None:
    for event_type in ("auto_assign.quote", "auto_assign.summary"):
        await database.fetch(
            "INSERT INTO observability_events (created_at, source, event_type, context, booking_id)"
            " VALUES (%(at)s, 's', %(event_type)s, %(context)s, gen_random_uuid())",
            {"at": SINCE, "event_type": event_type, "context": None if context is None else Jsonb(context)},
        )
    found = await read(database)
    assert found.planner.overall == NOTHING
    assert found.attempts.per_run == NOTHING
    assert found.events == 2
    assert [line.result for line in found.results] == ["NO_RESULT"]


async def test_previews_stand_apart_from_what_held_tables(database: Database) -> None:
    one = uuid4()
    await tell(database, [quote(1.0, booking_id=one), quote(900.0, trigger="manual", booking_id=one)])
    found = await read(database)
    assert_describes(found.planner.overall, [1.0])
    assert found.planner.by_trigger.keys() == {"creation"}
    assert_describes(found.previews, [900.0])
    assert_describes(found.calls_per_booking, [1])


async def test_cache_hits_are_counted_and_are_no_planner_times(database: Database) -> None:
    cached = quote(0.0, success=False, reason=ReasonCode.NO_CAPACITY, cache_hit=True)
    await tell(database, [quote(5.0), cached, replace(cached, id=uuid4())])
    found = await read(database)
    assert_describes(found.planner.overall, [5.0])
    assert found.cache_hits == 2
    assert found.failures == ()
    assert found.cuts["trigger"]["creation"].cache_hits == 2


async def test_lost_races_are_the_plans_made_anew(database: Database) -> None:
    lost = [quote(internal=events.PlannerInternal(replans=replans)) for replans in (0, 2, 1)]
    await tell(database, [*lost, quote(internal=None)])
    found = await read(database)
    assert found.lost_races == 3
    assert found.cuts["trigger"]["creation"].lost_races == 3


def inline_timeout(attempt_id: UUID, limit_ms: float) -> Event:
    return inline_events.timeout(
        restaurant_id=None,
        booking_id=uuid4(),
        attempt_id=attempt_id,
        timeout_ms=limit_ms,
        elapsed_ms=limit_ms + 1,
        at=SINCE,
    )


async def test_a_call_that_timed_out_counts_as_at_least_its_limit(database: Database) -> None:
    attempt = uuid4()
    cut_off = quote(
        3_998.0, trigger="inline_creation", success=False, error=asyncio.CancelledError(), attempt_id=attempt
    )
    fast = [quote(float(ms)) for ms in range(1, 10)]
    await tell(database, [*fast, cut_off, inline_timeout(attempt, 4_000.0)])
    found = (await read(database)).planner.overall
    assert (found.n, found.max, found.max_at_least, found.timed_out) == (10, 4_000.0, True, 1)
    assert found.median is not None
    assert found.p99 is not None
    assert (found.median.value, found.median.at_least) == (5.5, False)
    assert found.p99.at_least
    assert found.p99.upper is None


@pytest.mark.parametrize("seen", ["a reason", "an error"])
async def test_a_call_that_says_so_itself_timed_out_with_the_time_it_took(seen: str, database: Database) -> None:
    how: dict[str, Any] = {"reason": ReasonCode.TIMEOUT} if seen == "a reason" else {"error": TimeoutError()}
    await tell(database, [quote(1.0), quote(50.0, success=False, **how)])
    found = (await read(database)).planner.overall
    assert (found.max, found.max_at_least, found.timed_out) == (50.0, True, 1)


async def test_a_call_that_a_guest_broke_off_took_the_time_it_took(database: Database) -> None:
    left = quote(30.0, trigger="inline_creation", success=False, error=asyncio.CancelledError(), attempt_id=uuid4())
    shut_down = quote(40.0, success=False, error=asyncio.CancelledError())
    await tell(database, [left, shut_down, inline_timeout(uuid4(), 4_000.0)])
    found = (await read(database)).planner.overall
    assert_describes(found, [30.0, 40.0])
    assert found.timed_out == 0


@pytest.mark.parametrize("confirmed", [True, False])
async def test_a_quote_that_came_back_before_the_time_ran_out_took_its_time(
    confirmed: bool, database: Database
) -> None:
    attempt = uuid4()
    came_back = quote(20.0, trigger="inline_creation", success=confirmed, attempt_id=attempt)
    await tell(database, [came_back, inline_timeout(attempt, 4_000.0)])
    assert_describes((await read(database)).planner.overall, [20.0])


async def test_quote_to_confirmed_is_told_of_the_inline_flow_and_of_jobs_apart(database: Database) -> None:
    one, two, attempt = uuid4(), uuid4(), uuid4()
    await tell(
        database,
        [
            quote(9.0, booking_id=one, trigger="inline_modification", attempt_id=attempt, max_tables=2),
            inline_events.succeeded(
                restaurant_id=None,
                booking_id=one,
                attempt_id=attempt,
                hold_id=uuid4(),
                quote_duration_ms=9.0,
                confirm_duration_ms=3.0,
                at=SINCE,
            ),
            quote(8.0, booking_id=two, require_adjacency=False, max_tables=5),
            events.succeeded(
                restaurant_id=None, booking_id=two, trigger="creation", attempt_index=0, duration_ms=70.0, at=SINCE
            ),
        ],
    )
    cuts = (await read(database)).cuts
    for dimension, inline, job in (
        ("source", "bookings.inline_auto_assign", "auto_assign"),
        ("trigger", "inline_modification", "creation"),
        ("strategy", "default/2", "free/5"),
    ):
        assert_describes(cuts[dimension][inline].confirmed_ms, [12.0])
        assert_describes(cuts[dimension][job].confirmed_ms, [70.0])


async def test_each_dimension_has_all_measures(database: Database) -> None:
    one, two, venue = uuid4(), uuid4(), uuid4()
    await database.fetch(
        "INSERT INTO restaurants (id, slug, name, timezone) VALUES (%(id)s, 'a-venue', 'A venue', 'UTC')", {"id": venue}
    )
    tomorrow = UNTIL + timedelta(days=1)

    def of(booking_id: UUID, restaurant_id: UUID | None, at: datetime, adjacency: bool | None) -> list[Event]:
        many: dict[str, Any] = {"booking_id": booking_id, "restaurant_id": restaurant_id}
        return [
            quote(2.0, at=at, success=False, require_adjacency=adjacency, max_tables=3, **many),
            quote(
                4.0, at=at + timedelta(seconds=7), attempt_index=1, require_adjacency=adjacency, max_tables=3, **many
            ),
            replace(summary(attempts=2, booking_id=booking_id), restaurant_id=restaurant_id, created_at=at),
        ]

    await tell(database, [*of(one, venue, SINCE, True), *of(two, None, tomorrow, None)])
    found = await baseline(database, since=SINCE, until=tomorrow + timedelta(days=1))
    for dimension, first, second in (
        ("strategy", "required/3", "default/3"),
        ("venue", "a-venue", "NO_RESTAURANT"),
        ("day", f"{SINCE:%Y-%m-%d}", f"{tomorrow:%Y-%m-%d}"),
    ):
        assert found.cuts[dimension].keys() == {first, second}
        for name in (first, second):
            cut = found.cuts[dimension][name]
            assert_describes(cut.planner_ms, [2.0, 4.0])
            assert_describes(cut.retry_delay_ms, [7_000.0])
            assert_describes(cut.attempts_per_run, [2])
            assert cut.found == 1
            assert cut.results == {"succeeded": 1}
    assert [cut.events for cut in found.cuts["day"].values()] == [3, 3]
    assert found.cuts["source"]["auto_assign"].events == 6
    assert [(each.start.day, each.planner_ms.n) for each in found.over_time] == [(SINCE.day, 2), (tomorrow.day, 2)]
    assert sum(each.calls for each in found.histogram) == 4
    assert found.attempts.runs_by_attempts == ((2, 2),)


async def test_seated_are_bookings_and_not_runs(database: Database) -> None:
    seated, not_seated, only_looked_at = uuid4(), uuid4(), uuid4()
    await tell(
        database,
        [
            summary("exhausted", booking_id=seated),
            summary("succeeded", booking_id=seated),
            quote(booking_id=not_seated, success=False),
            quote(booking_id=only_looked_at, trigger="manual"),
        ],
    )
    found = (await read(database)).seated
    assert (found.part, found.of, found.value) == (1, 2, 0.5)
    assert found.lower is not None
    assert found.upper is not None
    assert 0 < found.lower < 0.5 < found.upper < 1
    assert (await baseline(database, since=UNTIL, until=UNTIL + timedelta(hours=1))).seated == Share()


async def test_the_baseline_says_how_complete_its_events_are(database: Database) -> None:
    await tell(database, [quote()])
    complete = (await read(database)).completeness
    assert complete is not None
    assert not complete.complete
    assert "1 measurement without a number" in complete.sentence


async def test_everything_is_read_from_one_snapshot(database: Database) -> None:
    await tell(database, [quote(trigger="creation")])
    async with database.session() as session:
        await session.send([BEGIN, Statement("SELECT count(*) FROM observability_events", {})])
        await tell(database, [quote(trigger="loop")])
        found = await scan(session, since=SINCE, until=UNTIL, restaurant_id=None)
    assert len(found.records[QUOTE]) == 1
    assert [row["trigger"] for row in found.words[QUOTE]] == ["creation"]
    assert sum(each.events for each in found.hours) == 1


async def test_words_and_venues_are_not_mixed_up(database: Database) -> None:
    drawn = random.Random(4)
    triggers: tuple[Trigger, ...] = ("creation", "modification", "loop", "ultra_fast")
    venues = [uuid4() for _ in range(5)]
    told = [
        quote(
            float(number),
            booking_id=uuid4(),
            restaurant_id=drawn.choice(venues),
            trigger=drawn.choice(triggers),
            success=drawn.random() < 0.5,
            max_tables=drawn.choice([None, 1, 2, 3]),
            require_adjacency=drawn.choice([None, True, False]),
            attempt_index=drawn.randint(0, 3),
            at=SINCE + timedelta(seconds=drawn.randint(0, 14_000)),
        )
        for number in range(1, 400)
    ]
    await tell(database, told)
    found = await read(database)

    def ms_by(read_word: Callable[[Event], str]) -> dict[str, float]:
        largest: dict[str, float] = {}
        for event in told:  # durations rise, so the last of a word has the largest
            largest[read_word(event)] = float(str(event.context["planner_duration_ms"]))
        return largest

    assert ms_by(lambda event: str(event.restaurant_id)) == {
        name: cut.planner_ms.max for name, cut in found.cuts["venue"].items()
    }
    assert ms_by(lambda event: str(event.context["trigger"])) == {
        name: cut.planner_ms.max for name, cut in found.cuts["trigger"].items()
    }


async def test_a_number_that_no_double_has_room_for_is_not_known(database: Database) -> None:
    await database.fetch(
        "INSERT INTO observability_events (created_at, source, event_type, context)"
        " SELECT %(at)s, 's', 'auto_assign.quote', jsonb_build_object('planner_duration_ms', ms::numeric)"
        " FROM unnest('{1e400,-1e400,1e-400,5}'::text[]) AS ms",
        {"at": SINCE},
    )
    assert_describes((await read(database)).planner.overall, [0.0, 5.0])
