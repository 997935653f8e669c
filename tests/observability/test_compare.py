"""Comparisons on real tables: which bookings belong to a side, and inline against jobs."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import numpy as np
import pytest

from maitred.errors import InvalidInput
from maitred.model.reason import ReasonCode
from maitred.observability import events, inline_events
from maitred.observability.compare import Comparison, compare
from maitred.observability.compare_measures import Difference, Name
from maitred.observability.compare_rule import Verdict
from maitred.observability.compare_selector import Selector
from maitred.observability.events import Event, Trigger
from maitred.observability.recorder import state_event_statement
from maitred.storage.database import Database

SINCE = datetime(2025, 11, 6, 12, 0, tzinfo=UTC)
MIDDLE = SINCE + timedelta(hours=2)
UNTIL = MIDDLE + timedelta(hours=2)

FIRST = Selector("first", SINCE, MIDDLE)
SECOND = Selector("second", MIDDLE, UNTIL)
ALL_DAY = Selector("all", SINCE, UNTIL)
INLINE = replace(ALL_DAY, text="inline", triggers=frozenset({"inline_creation"}))
JOB = replace(ALL_DAY, text="job", triggers=frozenset({"creation"}))


def call(booking_id: UUID | None, ms: float, at: datetime, trigger: Trigger = "creation", **more: Any) -> Event:
    settled: dict[str, Any] = {"attempt_index": 0, "success": False, "restaurant_id": None, **more}
    return events.quote(booking_id=booking_id, trigger=trigger, duration_ms=ms, at=at, **settled)


def seated(booking_id: UUID, at: datetime) -> Event:
    return events.succeeded(
        restaurant_id=None, booking_id=booking_id, trigger="creation", attempt_index=0, duration_ms=1.0, at=at
    )


async def tell(database: Database, told: list[Event]) -> None:
    for start in range(0, len(told), 200):
        await database.transact([state_event_statement(event) for event in told[start : start + 200]])


async def read(database: Database, a: Selector, b: Selector) -> Comparison:
    return await compare(database, a, b)


def known(comparison: Comparison, name: Name) -> Difference:
    found = next(each for each in comparison.measures if each.name is name)
    assert isinstance(found, Difference)
    return found


async def test_two_windows_side_by_side(database: Database) -> None:
    rng, told = np.random.default_rng(1), []
    for place in range(120):
        booking, later = uuid4(), place % 2 == 1
        at = (MIDDLE if later else SINCE) + timedelta(seconds=place)
        told += [call(booking, float(ms), at) for ms in rng.lognormal(1.0, 0.1, 2) * (2.0 if later else 1.0)]
        if later or place % 4 == 0:
            told.append(seated(booking, at))
    await tell(database, told)
    found = await read(database, FIRST, SECOND)
    assert (found.a.bookings, found.b.bookings) == (60, 60)
    assert (found.a.planner_ms.n, found.b.planner_ms.n) == (120, 120)
    assert (found.a.seated.part, found.b.seated.part) == (30, 60)
    assert not found.paired
    assert known(found, Name.MEDIAN).is_worse
    assert known(found, Name.SEATED).is_better
    assert known(found, Name.ATTEMPTS).is_small
    assert found.judgement.verdict is Verdict.WORSE  # whatever was gained in seats
    assert not found.a.completeness.complete


async def test_sides_by_strategy_release_and_venue(database: Database) -> None:
    venue = uuid4()
    await database.fetch(
        "INSERT INTO restaurants (id, slug, name, timezone) VALUES (%(id)s, 'a-venue', 'A venue', 'UTC')", {"id": venue}
    )
    told = []
    for place in range(4):
        booking, adjacent = uuid4(), place % 2 == 0
        told += [
            call(
                booking,
                1.0,
                SINCE,
                require_adjacency=adjacent,
                max_tables=3,
                restaurant_id=venue if place < 3 else None,
                success=True,
            ),
            seated(booking, SINCE),
        ]
    await tell(database, told)
    strict = replace(ALL_DAY, strategies=frozenset({"required/3"}))
    found = await read(database, strict, replace(ALL_DAY, strategies=frozenset({"free/3"}), venue="a-venue"))
    assert (found.a.bookings, found.a.seated.part) == (2, 2)
    assert (found.b.bookings, found.b.planner_ms.n) == (1, 1)
    context = told[0].context
    here, elsewhere = replace(ALL_DAY, release=str(context["release"])), replace(ALL_DAY, release="none")
    found = await read(database, here, elsewhere)
    assert (found.a.bookings, found.b.bookings) == (4, 0)
    assert found.judgement.verdict is Verdict.NOT_ENOUGH


async def test_previews_cache_hits_and_calls_without_a_booking_are_left_out(database: Database) -> None:
    one = uuid4()
    await tell(
        database,
        [
            call(one, 1.0, SINCE),
            call(one, 2.0, SINCE, trigger="manual"),
            call(one, 0.0, SINCE, cache_hit=True, reason=ReasonCode.NO_CAPACITY),
            call(None, 3.0, SINCE),
        ],
    )
    found = await read(database, FIRST, ALL_DAY)
    assert (found.a.bookings, found.a.planner_ms.n, found.a.planner_ms.max) == (1, 1, 1.0)


async def test_the_same_side_twice_is_refused(database: Database) -> None:
    with pytest.raises(InvalidInput, match="the same as A"):
        await read(database, FIRST, replace(FIRST, text="said otherwise"))


TRUE_RATIO = 1.06


def inline_and_job(bookings: int, seed: int) -> list[Event]:
    """Inline seats the easy ones. A job, slower by 6%, gets what inline had no tables for, and what timed out; hard
    bookings take longer in both and more attempts in the job."""
    rng, told = np.random.default_rng(seed), []
    for place in range(bookings):
        booking, attempt, at = uuid4(), uuid4(), SINCE + timedelta(seconds=place)
        hard = rng.normal()
        ms = float(np.exp(2.0 + 0.5 * hard + rng.normal(0, 0.3)))
        inline: dict[str, Any] = {"attempt_id": attempt, "trigger": "inline_creation"}
        if late := rng.random() < 0.05:
            limit = {"timeout_ms": 4_000.0, "elapsed_ms": 4_000.0}
            told.append(
                inline_events.timeout(restaurant_id=None, booking_id=booking, attempt_id=attempt, at=at, **limit)
            )
        told.append(call(booking, 3_999.0 if late else ms, at, error=TimeoutError() if late else None, **inline))
        if not late and hard + rng.normal(0, 0.5) < 0.5:
            continue
        for index in range(1 + int(rng.poisson(max(1.0 + hard, 0.0)))):
            again = float(np.exp(2.0 + 0.5 * hard + rng.normal(0, 0.3)) * TRUE_RATIO)
            told.append(call(booking, again, at + timedelta(seconds=10 * (index + 1)), attempt_index=index))
    return told


async def test_inline_is_compared_with_jobs_only_over_bookings_that_both_worked_on(database: Database) -> None:
    told = inline_and_job(1_500, seed=3)
    await tell(database, told)
    found = await read(database, INLINE, JOB)
    assert found.paired
    assert found.a.bookings == found.b.bookings == found.a.planner_ms.n == found.b.planner_ms.n
    assert found.left_out > 0
    assert [each.name for each in found.measures] == [Name.MEDIAN, Name.P95]
    median, p95 = (known(found, name) for name in (Name.MEDIAN, Name.P95))
    for each in (median, p95):
        assert each.lower is not None
        assert each.upper is not None
        assert each.lower < np.log(TRUE_RATIO) < each.upper

    # what comparing everything with everything would have said
    alone = [await read(database, replace(ALL_DAY, triggers=None), side) for side in (INLINE, JOB)]
    inline, job = (each.b.planner_ms.median for each in alone)
    assert inline is not None
    assert job is not None
    assert job.value / inline.value > 1.4
    turned = await read(database, JOB, INLINE)
    assert turned.paired
    assert known(turned, Name.MEDIAN).estimate == pytest.approx(-median.estimate)
