"""Looking at tables that a person chose for a booking: what is fine, what the venue would rather not, what can't be.

A warning is a wish of the venue's policy, and staff may know better. An error is a fact: the seats aren't there, the
tables don't join, somebody else has one. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from maitred.model.booking import BookingStatus
from maitred.model.floor import Mobility, Table, TableStatus
from maitred.model.joined import JoinedSet
from maitred.model.period import Period
from maitred.model.policy import Window
from maitred.model.reason import ReasonCode
from maitred.model.scoring import ScoringPolicy
from maitred.planner.layout import Layout
from maitred.planner.rules import policy_rules, touches


class CheckCode(StrEnum):
    """What is looked at. Stable; the order is the one in which the checks are given."""

    BOOKING = "booking"
    START = "start"
    WINDOW = "window"
    IN_SERVICE = "in_service"
    CAPACITY = "capacity"
    SLACK = "slack"
    MIN_PARTY = "min_party"
    MAX_PARTY = "max_party"
    TABLE_COUNT = "table_count"
    ZONE = "zone"
    MOVABLE = "movable"
    ADJACENCY = "adjacency"
    JOIN = "join"
    CONFLICTS = "conflicts"
    HOLDS = "holds"
    KEPT_SEATS = "kept_seats"


class Outcome(StrEnum):
    """What a check says. Only an error stands in the way."""

    OK = "ok"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class InTheWay:
    """Somebody who has one of the tables in the window: by a seat, or by a hold (`hold_id`, until `expires_at`)."""

    table_id: int
    booking_id: UUID
    reference: str
    period: Period
    hold_id: UUID | None = None
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Check:
    """One check. What the figures count is said by the text; `tables` are the numbers it is about.

    `found` and `allowed` are seats, covers or tables; `in_the_way` is who has a table.
    """

    code: CheckCode
    outcome: Outcome
    text: str
    tables: tuple[str, ...] = ()
    found: int | None = None
    allowed: int | None = None
    in_the_way: tuple[InTheWay, ...] = ()


@dataclass(frozen=True, slots=True)
class Chosen:
    """All that is looked at: the booking, the tables chosen for it, and who stands around it.

    `window` is None with `no_window` as the reason. `others` are those who have any of the tables at any time: whoever
    doesn't touch the window plays no part. `kept` are tables that the booking still has from before it was moved.
    """

    party: int
    status: BookingStatus
    starts_at: datetime
    tables: tuple[Table, ...]
    window: Window | None
    no_window: ReasonCode | None = None
    others: Sequence[InTheWay] = ()
    kept: frozenset[int] = frozenset()
    zones: Mapping[int, str] = field(default_factory=dict)


def check(chosen: Chosen, layout: Layout, scoring: ScoringPolicy, now: datetime) -> tuple[Check, ...]:
    """All checks, in their order. `now` is the business's clock. The tables are of the layout's floor, and differ."""
    return (
        *_of_booking(chosen, now),
        _of_service(chosen),
        *_of_seats(chosen, layout, scoring),
        *_of_set(chosen, layout, scoring),
        *_of_others(chosen),
    )


def worst(checks: Sequence[Check]) -> Outcome:
    """What they say together."""
    said = {each.outcome for each in checks}
    return next((outcome for outcome in (Outcome.ERROR, Outcome.WARNING) if outcome in said), Outcome.OK)


def _fine(code: CheckCode, text: str, found: int | None = None, allowed: int | None = None) -> Check:
    return Check(code, Outcome.OK, text, found=found, allowed=allowed)


def _of_booking(chosen: Chosen, now: datetime) -> tuple[Check, ...]:
    pending = chosen.status is BookingStatus.PENDING
    booking = Check(
        CheckCode.BOOKING,
        Outcome.OK if pending else Outcome.ERROR,
        "waits for tables" if pending else f"the booking is {chosen.status.value}",
    )
    passed = chosen.starts_at <= now
    start = Check(
        CheckCode.START,
        Outcome.WARNING if passed else Outcome.OK,
        "the start has passed" if passed else "the start is yet to come",
    )
    if chosen.window is None:
        reason = chosen.no_window or ReasonCode.UNKNOWN
        return booking, start, Check(CheckCode.WINDOW, Outcome.ERROR, reason.text)
    return booking, start, _fine(CheckCode.WINDOW, f"within {chosen.window.service}")


def _of_service(chosen: Chosen) -> Check:
    out = tuple(table.number for table in chosen.tables if not table.usable)
    if not out:
        return _fine(CheckCode.IN_SERVICE, "all are in service")
    words = "not active" if all(table.status is not TableStatus.OUT_OF_SERVICE for table in chosen.tables) else ""
    return Check(CheckCode.IN_SERVICE, Outcome.ERROR, words or "out of service or not active", out)


def _of_seats(chosen: Chosen, layout: Layout, scoring: ScoringPolicy) -> tuple[Check, ...]:
    seats = seats_of(chosen.tables, layout)
    spare = seats - chosen.party
    enough = spare >= 0
    capacity = Check(
        CheckCode.CAPACITY,
        Outcome.OK if enough else Outcome.ERROR,
        f"{seats} seats for {chosen.party}",
        found=seats,
        allowed=chosen.party,
    )
    too_many = spare > scoring.max_overage
    slack = Check(
        CheckCode.SLACK,
        Outcome.WARNING if too_many else Outcome.OK,
        f"{max(spare, 0)} seats to spare, {scoring.max_overage} are usual at most",
        found=max(spare, 0),
        allowed=scoring.max_overage,
    )
    return capacity, slack, _least_party(chosen, layout), _most_party(chosen, layout)


def _least_party(chosen: Chosen, layout: Layout) -> Check:
    needed, tables = max(table.min_party_size for table in chosen.tables), chosen.tables
    said = _said_of(chosen, layout)
    if said is not None and said.min_party is not None:
        needed = said.min_party
    else:
        tables = tuple(table for table in chosen.tables if table.min_party_size > chosen.party)
    if needed <= chosen.party:
        return _fine(CheckCode.MIN_PARTY, "for parties of this size")
    numbers = tuple(table.number for table in tables)
    text = f"kept for parties of {needed} or more"
    return Check(CheckCode.MIN_PARTY, Outcome.WARNING, text, numbers, chosen.party, needed)


def _most_party(chosen: Chosen, layout: Layout) -> Check:
    said = _said_of(chosen, layout)
    most, words = (None if said is None else said.max_party), "together"
    if len(chosen.tables) == 1:
        most, words = chosen.tables[0].max_party_size, "alone"
    if most is None or most >= chosen.party:
        return _fine(CheckCode.MAX_PARTY, "for parties of this size")
    numbers = tuple(table.number for table in chosen.tables)
    text = f"{words} for parties of {most} at most"
    return Check(CheckCode.MAX_PARTY, Outcome.WARNING, text, numbers, chosen.party, most)


def _said_of(chosen: Chosen, layout: Layout) -> JoinedSet | None:
    """What the venue says of exactly these tables."""
    return layout.said.get(layout.mask_where(layout.index_of[table.id] for table in chosen.tables))


def seats_of(tables: Sequence[Table], layout: Layout) -> int:
    """How many the tables seat together."""
    return layout.floor.seats_of(table.id for table in tables)


def _of_set(chosen: Chosen, layout: Layout, scoring: ScoringPolicy) -> tuple[Check, ...]:
    size = len(chosen.tables)
    numbers = tuple(table.number for table in chosen.tables)
    count = Check(
        CheckCode.TABLE_COUNT,
        Outcome.WARNING if size > scoring.max_tables else Outcome.OK,
        f"{size} tables, {scoring.max_tables} are usual at most",
        found=size,
        allowed=scoring.max_tables,
    )
    zones = {table.zone_id for table in chosen.tables}
    zone = _fine(CheckCode.ZONE, "in one zone")
    if len(zones) > 1:
        names = ", ".join(sorted(chosen.zones.get(each, str(each)) for each in zones))
        zone = Check(CheckCode.ZONE, Outcome.ERROR, f"in several zones: {names}", numbers, len(zones), 1)
    fixed = tuple(table.number for table in chosen.tables if table.mobility is Mobility.FIXED) if size > 1 else ()
    movable = _fine(CheckCode.MOVABLE, "can stand together")
    if fixed:
        movable = Check(CheckCode.MOVABLE, Outcome.ERROR, "fixed, so it joins no other", fixed)
    join = _fine(CheckCode.JOIN, "nothing is said against them together")
    said = _said_of(chosen, layout)
    if said is not None and said.forbidden:
        join = Check(CheckCode.JOIN, Outcome.WARNING, "not to be joined, says the venue", numbers)
    return count, zone, movable, _adjacency(chosen, layout, scoring), join


def adjacent(tables: Sequence[Table], layout: Layout, scoring: ScoringPolicy) -> bool:
    """Whether they satisfy the venue's way of standing together, asked for or not; a single table does."""
    size = len(tables)
    if size == 1:
        return True
    indices = [layout.index_of[table.id] for table in tables]
    mask = layout.mask_where(indices)
    centres = layout.centres(mask, indices)
    cost = 1 if centres else 2
    if not layout.connected(mask):
        cost = size
    elif not centres and size > 5:
        cost = size - 1  # beyond the sizes for which no centre means a radius of two; only "at most one" is asked for
    return touches(scoring.adjacency_mode, size, cost, centres == size)


def _adjacency(chosen: Chosen, layout: Layout, scoring: ScoringPolicy) -> Check:
    if adjacent(chosen.tables, layout, scoring):
        return _fine(CheckCode.ADJACENCY, "next to each other" if len(chosen.tables) > 1 else "a single table")
    if not policy_rules(scoring, chosen.party, 1.0).adjacency_required:
        return _fine(CheckCode.ADJACENCY, "not next to each other, which isn't asked for")
    numbers = tuple(table.number for table in chosen.tables)
    return Check(CheckCode.ADJACENCY, Outcome.WARNING, "not next to each other as the venue asks", numbers)


def _of_others(chosen: Chosen) -> tuple[Check, ...]:
    blocked = None if chosen.window is None else chosen.window.blocked
    touching = [each for each in chosen.others if blocked is not None and each.period.overlaps(blocked)]
    kept = tuple(table.number for table in chosen.tables if table.id in chosen.kept)
    return (
        _taken(CheckCode.CONFLICTS, "taken by others", chosen, [each for each in touching if each.hold_id is None]),
        _taken(CheckCode.HOLDS, "held for others", chosen, [each for each in touching if each.hold_id is not None]),
        Check(CheckCode.KEPT_SEATS, Outcome.ERROR, "the booking's own from before it was moved: unassign it", kept)
        if kept
        else _fine(CheckCode.KEPT_SEATS, "none of its own"),
    )


def _taken(code: CheckCode, words: str, chosen: Chosen, by: list[InTheWay]) -> Check:
    if not by:
        return _fine(code, f"none is {words}")
    theirs = {each.table_id for each in by}
    numbers = tuple(table.number for table in chosen.tables if table.id in theirs)
    return Check(code, Outcome.ERROR, words, numbers, in_the_way=tuple(by))
