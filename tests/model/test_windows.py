"""A booking's window: turn times, buffers, clamping, services across midnight, and both clock changes."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maitred.errors import InvalidInput
from maitred.model.period import Period, as_micros, from_micros
from maitred.model.policy import (
    OutsideService,
    Service,
    TurnBand,
    VenuePolicy,
    Window,
    local_instants,
    service_period,
)
from maitred.model.reason import ReasonCode

LONDON = ZoneInfo("Europe/London")
BANDS = (TurnBand(2, 60), TurnBand(4, 75), TurnBand(6, 85), TurnBand(8, 90))
LUNCH = Service("lunch", time(12), time(15), BANDS, allow_overrun=True)
DINNER = Service("dinner", time(17), time(22), BANDS)
LATE = Service("late", time(20), time(2, 30), BANDS)


def venue(*services: Service, outside: OutsideService = OutsideService.FIRST_SERVICE) -> VenuePolicy:
    return VenuePolicy("Europe/London", services or (LUNCH, DINNER), outside)


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[misc,arg-type]  # year, month, day, hour, minute


def window(policy: VenuePolicy, starts_at: datetime, party: int) -> Window:
    found = policy.window(starts_at, party)
    assert isinstance(found, Window)
    return found


@pytest.mark.parametrize(("party", "minutes"), [(1, 60), (2, 60), (3, 75), (6, 85), (8, 90), (20, 90)])
def test_turn_time_follows_the_band_and_larger_parties_use_the_last(party: int, minutes: int) -> None:
    found = window(venue(), utc(2025, 11, 6, 18, 0), party)
    assert found.dining.minutes == minutes
    assert found.blocked.minutes == minutes + 5


def test_a_service_without_overrun_cuts_the_window_at_its_end() -> None:
    found = window(venue(), utc(2025, 11, 6, 21, 30), 2)
    assert found.dining == Period(utc(2025, 11, 6, 21, 30), utc(2025, 11, 6, 22, 0))
    assert found.blocked == found.dining


def test_a_service_with_overrun_does_not() -> None:
    assert window(venue(), utc(2025, 11, 6, 14, 45), 2).dining.end == utc(2025, 11, 6, 15, 45)


def test_a_start_outside_every_service_uses_the_first_one() -> None:
    found = window(venue(), utc(2025, 11, 6, 15, 30), 2)
    assert (found.service, found.dining.minutes) == ("lunch", 60)


def test_unless_the_venue_refuses() -> None:
    policy = venue(outside=OutsideService.REFUSE)
    assert policy.window(utc(2025, 11, 6, 15, 0), 2) is ReasonCode.OUTSIDE_SERVICE


def test_a_booking_that_leaves_no_dining_time_is_refused() -> None:
    assert venue(DINNER).window(utc(2025, 11, 6, 22, 0), 2) is ReasonCode.NO_DINING_TIME
    assert venue(DINNER).window(utc(2025, 11, 6, 23, 0), 2) is ReasonCode.NO_DINING_TIME


def test_a_service_includes_its_start_and_not_its_end() -> None:
    assert window(venue(), utc(2025, 11, 6, 17, 0), 2).service == "dinner"
    assert window(venue(), utc(2025, 11, 6, 15, 0), 2).dining.minutes == 60  # first service, not clamped


def test_half_past_one_on_the_night_the_clocks_go_back_happens_twice() -> None:
    first, second = local_instants(date(2025, 10, 26), time(1, 30), LONDON)
    assert (first, second) == (utc(2025, 10, 26, 0, 30), utc(2025, 10, 26, 1, 30))
    for instant in (first, second):
        found = window(venue(LATE), instant, 2)
        assert found.service_day == date(2025, 10, 25)
        assert found.dining == Period(instant, instant + timedelta(minutes=60))
        assert found.service == "late"


def test_a_window_across_the_clock_change_lasts_real_minutes() -> None:
    before_change = utc(2025, 10, 26, 0, 30)  # 01:30 summer time; an hour later it is 01:30 again
    found = window(venue(LATE), before_change, 2)
    assert found.dining.end.astimezone(LONDON).time() == time(1, 30)
    assert found.dining.minutes == 60


def test_a_time_that_the_clocks_skip_does_not_exist() -> None:
    assert local_instants(date(2025, 3, 30), time(1, 30), LONDON) == ()


def test_a_service_that_crosses_midnight_belongs_to_the_day_it_began() -> None:
    found = window(venue(LATE), utc(2025, 11, 7, 1, 0), 2)
    assert found.service_day == date(2025, 11, 6)
    assert found.dining.end == utc(2025, 11, 7, 2, 0)


def test_on_the_long_night_the_service_lasts_an_hour_longer() -> None:
    opens, closes = service_period(LATE, date(2025, 10, 25), LONDON)
    assert closes - opens == timedelta(hours=7, minutes=30)


def test_on_the_short_night_a_service_that_would_end_in_the_gap_ends_as_much_after_it() -> None:
    ends_in_gap = Service("late", time(20), time(1, 30), BANDS)
    opens, closes = service_period(ends_in_gap, date(2025, 3, 29), LONDON)
    assert closes == utc(2025, 3, 30, 1, 30)
    assert closes - opens == timedelta(hours=5, minutes=30)


def test_demand_multipliers_go_by_service_and_weekday_of_the_service_day() -> None:
    assert window(venue(), utc(2025, 11, 6, 18, 0), 2).demand_multiplier == 1.15  # a Thursday
    assert window(venue(), utc(2025, 11, 7, 18, 0), 2).demand_multiplier == 1.35
    assert window(venue(), utc(2025, 11, 6, 12, 0), 2).demand_multiplier == 0.85
    assert window(venue(LATE), utc(2025, 11, 6, 22, 0), 2).demand_multiplier == 1.0


@given(
    st.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001  # zone is drawn
    st.integers(1, 12),
    st.sampled_from([LUNCH, DINNER, LATE]),
)
def test_every_window_starts_with_the_booking_and_stays_inside_its_bounds(
    starts_at: datetime, party: int, only: Service
) -> None:
    found = venue(only).window(starts_at, party)
    if found is ReasonCode.NO_DINING_TIME:
        assert not only.allow_overrun
        return
    assert isinstance(found, Window)
    assert found.dining.start == starts_at
    assert found.blocked.start == starts_at - timedelta(minutes=only.buffer_before_min)
    assert timedelta(0) < found.dining.end - starts_at <= timedelta(minutes=only.turn_minutes(party))
    assert found.dining.end <= found.blocked.end <= found.dining.end + timedelta(minutes=only.buffer_after_min)
    if not only.allow_overrun:
        assert found.blocked.end <= service_period(only, found.service_day, LONDON)[1]


@given(st.dates(date(2015, 1, 1), date(2035, 12, 31)), st.times().map(lambda t: t.replace(second=0, microsecond=0)))
def test_local_instants_are_exactly_those_at_which_the_clock_shows_the_time(day: date, local: time) -> None:
    wanted = datetime.combine(day, local)
    around = datetime.combine(day, local, UTC)
    shown = [
        instant
        for offset in (-60, 0, 60)  # London is never further than this from UTC by more than an hour
        if (instant := around + timedelta(minutes=offset)).astimezone(LONDON).replace(tzinfo=None) == wanted
    ]
    assert list(local_instants(day, local, LONDON)) == shown


@given(st.datetimes(datetime(1900, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001  # zone is drawn
def test_microseconds_keep_an_instant_exactly(instant: datetime) -> None:
    assert from_micros(as_micros(instant)) == instant


def test_periods_that_touch_do_not_overlap() -> None:
    noon, one, two = utc(2025, 1, 1, 12, 0), utc(2025, 1, 1, 13, 0), utc(2025, 1, 1, 14, 0)
    assert not Period(noon, one).overlaps(Period(one, two))
    assert Period(noon, two).overlaps(Period(one, two))


def test_a_period_is_never_empty_and_never_naive() -> None:
    noon = utc(2025, 1, 1, 12, 0)
    with pytest.raises(ValueError, match="after its start"):
        Period(noon, noon)
    with pytest.raises(ValueError, match="zone"):
        Period(noon.replace(tzinfo=None), noon)


@pytest.mark.parametrize(
    ("field", "broken"),
    [
        ("turn_bands", lambda: Service("x", time(12), time(15), ())),
        ("turn_bands", lambda: Service("x", time(12), time(15), (TurnBand(4, 60), TurnBand(2, 60)))),
        ("turn_bands", lambda: Service("x", time(12), time(15), (TurnBand(4, 0),))),
        ("turn_bands", lambda: Service("x", time(12), time(15), (TurnBand(4, 601),))),
        ("buffer_after_min", lambda: Service("x", time(12), time(15), BANDS, buffer_after_min=-1)),
        ("services", lambda: VenuePolicy("Europe/London", ())),
        ("services", lambda: VenuePolicy("Europe/London", (LUNCH, LUNCH))),
        ("timezone", lambda: VenuePolicy("Europe/Atlantis", (LUNCH,))),
        ("timezone", lambda: VenuePolicy("../etc/passwd", (LUNCH,))),
    ],
)
def test_a_policy_that_makes_no_sense_names_its_field(field: str, broken: object) -> None:
    assert callable(broken)
    with pytest.raises(InvalidInput) as caught:
        broken()
    assert caught.value.field == field
