"""Seeded service days: who books what, when, and what becomes of it. Pure; docs/simulate.md names the sources."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from enum import StrEnum

from maitred.errors import InvalidInput
from maitred.model.policy import VenuePolicy, Window

_SLOT_MIN = 15
_MOST_BOOKINGS = 20_000


class Fate(StrEnum):
    """What becomes of a booking."""

    COMES = "comes"
    CANCELS = "cancels"
    NO_SHOW = "no_show"


@dataclass(frozen=True, slots=True)
class Peak:
    """Bookings around one local time: `share` of the day's, normally distributed by `width_min` minutes, within
    [first, last]."""

    middle: time
    width_min: float
    first: time
    last: time
    share: float


@dataclass(frozen=True)
class Profile:
    """What days are drawn from. Weights need not add up to 1.

    `lead_days` weighs days between booking and meal; `no_show` is the chance of it by the least lead time in days, the
    largest that is not above a booking's own; `cancels` is the chance of a cancellation at some time before the meal.
    `starts`, where given, weighs starts in minutes after midnight and takes the place of the peaks.
    """

    parties: Mapping[int, float]
    peaks: tuple[Peak, ...]
    lead_days: Mapping[int, float]
    no_show: Mapping[int, float]
    cancels: float
    starts: Mapping[int, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, weights in (("parties", self.parties), ("lead_days", self.lead_days), ("no_show", self.no_show)):
            if not weights or any(not 0 <= value < float("inf") for value in weights.values()):
                raise InvalidInput("profile", name, "must be finite numbers of 0 or more, at least one")
        if not sum(self.parties.values()) or min(self.parties) < 1:
            raise InvalidInput("profile", "parties", "must weigh a party of 1 or more")
        if not sum(self.lead_days.values()) or min(self.lead_days) < 0 or 0 not in self.no_show:
            raise InvalidInput("profile", "lead_days", "must weigh a lead time, and no_show must begin with 0 days")
        if not 0 <= self.cancels <= 1 or any(chance > 1 for chance in self.no_show.values()):
            raise InvalidInput("profile", "cancels", "chances must be from 0 to 1")
        if self.starts:
            if not sum(self.starts.values()) or any(not 0 <= each < float("inf") for each in self.starts.values()):
                raise InvalidInput("profile", "starts", "must be finite numbers of 0 or more, one above 0")
        elif not self.peaks or not all(peak.share >= 0 and peak.width_min > 0 for peak in self.peaks):
            raise InvalidInput("profile", "peaks", "must have a share of 0 or more and a width above 0")


# Sources of all of these: docs/simulate.md.
PUBLISHED = Profile(
    parties={2: 37, 4: 37, 6: 22, 3: 14, 5: 4, 8: 3},
    peaks=(
        Peak(time(13), 50, time(12), time(14, 30), 0.3),
        Peak(time(18, 50), 65, time(17), time(21, 30), 0.7),
    ),
    lead_days={0: 45, 1: 14, 2: 9, 4: 13, 7: 9, 14: 7, 21: 3},
    no_show={0: 0.035, 1: 0.065, 3: 0.10, 7: 0.15},
    cancels=0.17,
)


@dataclass(frozen=True, slots=True)
class DrawnBooking:
    """One booking: made at `booked_at` for `starts_at`, both instants with a zone; `cancelled_at` if it is."""

    reference: str
    party: int
    booked_at: datetime
    starts_at: datetime
    fate: Fate
    cancelled_at: datetime | None


def draw_day(
    profile: Profile, policy: VenuePolicy, day: date, *, seats: int, load: float, seed: int
) -> tuple[DrawnBooking, ...]:
    """The bookings of one day in the order in which they are made.

    `load` is the most covers wanted at one moment, as a share of `seats`: bookings are drawn until the next one would
    go beyond it. The same seed draws the same bookings at every load, only more of them. Raises InvalidInput for
    `seats` below 1 and a load that isn't above 0 and finite.
    """
    if seats < 1:
        raise InvalidInput("day", "seats", "must be 1 or more")
    if not 0 < load < 100:
        raise InvalidInput("day", "load", "must be above 0 and below 100")
    rng = random.Random(seed)  # noqa: S311 - a simulation, not a secret
    windows: list[tuple[datetime, datetime, int]] = []
    found: list[DrawnBooking] = []
    for number in range(1, _MOST_BOOKINGS + 1):
        booking = _draw(profile, policy, day, f"S{number:04}", rng)
        window = policy.window(booking.starts_at, booking.party)
        if not isinstance(window, Window):
            continue
        span = (window.blocked.start, window.blocked.end, booking.party)
        if _peak([*windows, span], span) > load * seats:
            break
        windows.append(span)
        found.append(booking)
    return tuple(sorted(found, key=lambda booking: (booking.booked_at, booking.reference)))


def _draw(profile: Profile, policy: VenuePolicy, day: date, reference: str, rng: random.Random) -> DrawnBooking:
    party = _pick(profile.parties, rng)
    minute = _pick(profile.starts, rng) if profile.starts else _near_a_peak(profile, rng)
    starts_at = datetime.combine(day, time(), policy.zone) + timedelta(minutes=round(minute / _SLOT_MIN) * _SLOT_MIN)
    lead = _pick(profile.lead_days, rng)
    ahead = timedelta(days=lead) if lead else timedelta(minutes=rng.uniform(60, 600))
    booked_at = starts_at - ahead - timedelta(minutes=rng.uniform(0, 60))
    no_show = profile.no_show[max(days for days in profile.no_show if days <= lead)]
    drawn, when = rng.random(), rng.random()
    fate = Fate.CANCELS if drawn < profile.cancels else Fate.COMES
    if fate is Fate.COMES and rng.random() < no_show:
        fate = Fate.NO_SHOW
    cancelled_at = booked_at + (starts_at - booked_at) * when if fate is Fate.CANCELS else None
    return DrawnBooking(reference, party, booked_at, starts_at, fate, cancelled_at)


def _near_a_peak(profile: Profile, rng: random.Random) -> float:
    peak = rng.choices(profile.peaks, [peak.share for peak in profile.peaks])[0]
    minute = rng.gauss(_minutes(peak.middle), peak.width_min)
    return min(max(minute, _minutes(peak.first)), _minutes(peak.last))


def _pick(weights: Mapping[int, float], rng: random.Random) -> int:
    return rng.choices(list(weights), list(weights.values()))[0]


def _minutes(clock: time) -> int:
    return clock.hour * 60 + clock.minute


def _peak(windows: list[tuple[datetime, datetime, int]], last: tuple[datetime, datetime, int]) -> int:
    """The most covers at one moment of the last window."""
    near = [window for window in windows if window[0] < last[1] and last[0] < window[1]]
    moments = [max(last[0], window[0]) for window in near]
    return max(sum(party for start, end, party in near if start <= moment < end) for moment in moments)
