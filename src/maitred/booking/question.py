"""From a snapshot and a venue's rules to the planner's question. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from maitred.booking.prices import PriceBook
from maitred.booking.room import lost_minutes, minutes_left, section_arrivals, section_covers
from maitred.booking.snapshot import Snapshot, Taken
from maitred.model.booking import BookingStatus
from maitred.model.floor import Floor
from maitred.model.period import as_micros
from maitred.model.policy import VenuePolicy, Window
from maitred.model.reason import ReasonCode
from maitred.planner.answer import Request, Upcoming


@dataclass(frozen=True, slots=True)
class Strategy:
    """The knobs of one quote, as the caller passed them; None leaves it to the venue's policy."""

    require_adjacency: bool | None = None
    max_tables: int | None = None
    zone_id: int | None = None
    avoid: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Question:
    """What to ask the planner, and the window it is asked for."""

    request: Request
    window: Window


def question_for(
    snapshot: Snapshot,
    policy: VenuePolicy,
    floor: Floor,
    strategy: Strategy,
    now: datetime,
    prices: PriceBook | None = None,
) -> Question | ReasonCode:
    """The question, or why it needn't be asked. `now` is the business's clock: it decides what lies in the past.

    `prices` has what tables would otherwise earn; where it has nothing for the day, tables have no price.
    """
    if snapshot.status is not BookingStatus.PENDING:
        return ReasonCode.NOT_PENDING
    if snapshot.starts_at <= now:
        return ReasonCode.START_PASSED
    return question_at_any_time(snapshot, policy, floor, strategy, now, prices)


def question_at_any_time(
    snapshot: Snapshot,
    policy: VenuePolicy,
    floor: Floor,
    strategy: Strategy,
    now: datetime | None = None,
    prices: PriceBook | None = None,
) -> Question | ReasonCode:
    """The same whatever the booking's status and wherever its start lies, for explaining what was or would be.

    `now` decides only how long it is to the start; without it that is long.
    """
    window = policy.window(snapshot.starts_at, snapshot.party)
    if isinstance(window, ReasonCode):
        return window
    priced: tuple[float, ...] = ()
    if prices is not None and policy.scoring.prices.use:
        priced = prices.points(snapshot, window, policy.scoring.prices.points_per_cover)
    request = Request(
        party=snapshot.party,
        occupied=_occupied(floor, snapshot.taken, policy, window),
        max_tables=strategy.max_tables,
        require_adjacency=strategy.require_adjacency,
        zone_id=strategy.zone_id,
        avoid=strategy.avoid,
        demand_multiplier=window.demand_multiplier,
        upcoming=_upcoming(snapshot, policy, floor, window),
        prices=priced,
        preferences=snapshot.preferences,
        vip=snapshot.vip,
        service=window.service,
        lead_min=minutes_left(policy, snapshot.starts_at, now),
        section_covers=section_covers(snapshot, policy, floor, window),
        section_arrivals=section_arrivals(snapshot, policy, floor),
        lost_minutes=lost_minutes(snapshot, policy, floor, window),
    )
    return Question(request, window)


def _upcoming(snapshot: Snapshot, policy: VenuePolicy, floor: Floor, window: Window) -> tuple[Upcoming, ...]:
    horizon = snapshot.starts_at + timedelta(minutes=policy.scoring.lookahead_minutes)
    found = []
    for waiting in snapshot.waiting:
        if waiting.starts_at > horizon:
            break
        theirs = policy.window(waiting.starts_at, waiting.party)
        if isinstance(theirs, ReasonCode) or theirs.service_day != window.service_day:
            continue
        if theirs.blocked.overlaps(window.blocked):
            found.append(Upcoming(waiting.party, _occupied(floor, snapshot.taken, policy, theirs)))
    return tuple(found)


def _occupied(floor: Floor, taken: tuple[Taken, ...], policy: VenuePolicy, window: Window) -> int:
    start, end = as_micros(window.blocked.start), as_micros(window.blocked.end)
    bits = floor.bit_of
    mask = policy.closed_tables(floor, window)
    for each in taken:
        if each.start < end and start < each.end:
            mask |= bits.get(each.table_id, 0)  # a table may have left the floor with its allocations still there
    return mask
