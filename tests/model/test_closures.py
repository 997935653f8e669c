"""Closures: by service day and by instant, of the venue, a service, a zone, tables; across both clock changes."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maitred.errors import InvalidInput
from maitred.model.closure import Closure, Days
from maitred.model.floor import Floor, Table
from maitred.model.period import Period
from maitred.model.policy import Service, TurnBand, VenuePolicy, Window
from maitred.model.reason import ReasonCode

BANDS = (TurnBand(20, 90),)
LUNCH = Service("lunch", time(12), time(15), BANDS, buffer_after_min=0)
DINNER = Service("dinner", time(18), time(1, 30), BANDS, buffer_before_min=10, buffer_after_min=0)
FLOOR = Floor(1, (Table(1, "T1", 1, 2), Table(2, "T2", 1, 4), Table(3, "P1", 2, 4)), zones={1: "Hall", 2: "Patio"})


def policy(*closures: Closure) -> VenuePolicy:
    return VenuePolicy("Europe/London", (LUNCH, DINNER), closures=closures)


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[misc,arg-type]  # year, month, day, hour, minute


def closed(found: VenuePolicy, starts_at: datetime) -> bool:
    return found.window(starts_at, 2) is ReasonCode.CLOSED


def out(found: VenuePolicy, starts_at: datetime) -> set[str]:
    window = found.window(starts_at, 2)
    assert isinstance(window, Window)
    mask = found.closed_tables(FLOOR, window)
    return {table.number for table in FLOOR.tables if FLOOR.bit_of[table.id] & mask}


def test_a_closed_day_is_the_service_day_also_after_midnight() -> None:
    shut = policy(Closure(Days(date(2030, 1, 10), date(2030, 1, 10))))
    assert closed(shut, utc(2030, 1, 10, 12))
    assert closed(shut, utc(2030, 1, 11, 0, 15))
    assert not closed(shut, utc(2030, 1, 10, 0, 15))  # the dinner of the ninth
    assert not closed(shut, utc(2030, 1, 11, 12))


def test_a_closed_service_leaves_the_others_open() -> None:
    shut = policy(Closure(Days(date(2030, 1, 10), date(2030, 1, 12)), service="lunch"))
    assert closed(shut, utc(2030, 1, 12, 14, 59))
    assert not closed(shut, utc(2030, 1, 12, 18))


def test_a_period_closes_every_meal_that_reaches_into_it() -> None:
    shut = policy(Closure(Period(utc(2030, 1, 10, 20), utc(2030, 1, 10, 21))))
    assert not closed(shut, utc(2030, 1, 10, 18, 30))  # until 20:00
    assert closed(shut, utc(2030, 1, 10, 18, 31))
    assert closed(shut, utc(2030, 1, 10, 20, 59))
    assert not closed(shut, utc(2030, 1, 10, 21))


def test_closed_tables_are_out_with_their_buffers_and_nothing_else_is() -> None:
    shut = policy(
        Closure(Period(utc(2030, 1, 10, 20), utc(2030, 1, 10, 21)), table_ids=frozenset({2})),
        Closure(Days(date(2030, 1, 10), date(2030, 1, 10)), service="lunch", zone_id=2),
    )
    assert out(shut, utc(2030, 1, 10, 12)) == {"P1"}
    assert out(shut, utc(2030, 1, 10, 20, 30)) == {"T2"}
    assert out(shut, utc(2030, 1, 10, 21, 5)) == {"T2"}  # the ten minutes before it reach into the closure
    assert out(shut, utc(2030, 1, 10, 21, 10)) == set()
    assert out(shut, utc(2030, 1, 11, 12)) == set()


@pytest.mark.parametrize("day", [date(2030, 3, 31), date(2030, 10, 27)])
def test_a_closed_day_is_closed_from_its_first_to_its_last_minute_when_the_clocks_change(day: date) -> None:
    around = VenuePolicy(
        "Europe/London",
        (Service("night", time(0), time(0), BANDS, allow_overrun=True),),
        closures=(Closure(Days(day, day)),),
    )
    instants = [utc(day.year, day.month, day.day) + timedelta(minutes=15 * place) for place in range(-16, 4 * 30)]
    for instant in instants:
        assert closed(around, instant) == (instant.astimezone(around.zone).date() == day), instant


@given(
    first=st.dates(date(2030, 3, 25), date(2030, 4, 5)),
    length=st.integers(0, 3),
    service=st.sampled_from([None, "lunch", "dinner"]),
    offset=st.integers(0, 20 * 96),
)
def test_by_day_means_exactly_the_windows_of_these_service_days(
    first: date, length: int, service: str | None, offset: int
) -> None:
    last = first + timedelta(days=length)
    starts_at = utc(2030, 3, 22) + timedelta(minutes=15 * offset)
    plain = policy().window(starts_at, 2)
    found = policy(Closure(Days(first, last), service=service)).window(starts_at, 2)
    if isinstance(plain, ReasonCode):
        assert found is plain
    elif first <= plain.service_day <= last and service in (None, plain.service):
        assert found is ReasonCode.CLOSED
    else:
        assert found == plain


@given(start=st.integers(-3_000, 3_000), minutes=st.integers(1, 3_000), offset=st.integers(-3_000, 3_000))
def test_finding_closures_by_day_misses_none(start: int, minutes: int, offset: int) -> None:
    change = utc(2030, 3, 31, 1)
    begins = change + timedelta(minutes=start)
    period = Period(begins, begins + timedelta(minutes=minutes))
    plain = policy().window(change + timedelta(minutes=offset), 2)
    if isinstance(plain, ReasonCode):
        return
    shut = policy(Closure(period))
    tables = policy(Closure(period, zone_id=1))
    assert closed(shut, plain.dining.start) == period.overlaps(plain.dining)
    assert bool(tables.closed_tables(FLOOR, plain)) == period.overlaps(plain.blocked)


def test_what_is_no_closure_is_refused() -> None:
    with pytest.raises(InvalidInput, match="before the first day"):
        Closure(Days(date(2030, 1, 2), date(2030, 1, 1)))
    with pytest.raises(InvalidInput, match="1000 days"):
        Closure(Days(date(2030, 1, 2), date(2033, 1, 1)))
    with pytest.raises(InvalidInput, match="beside a zone"):
        Closure(Days(date(2030, 1, 2), date(2030, 1, 2)), zone_id=1, table_ids=frozenset({1}))
