"""What staff's requests and answers look like. Times are told with the offset of the venue's clocks."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import Path
from pydantic import Field

from maitred.booking.board import Board
from maitred.booking.by_hand import LONGEST_HOLD_S, MOST_CHOSEN, Validation
from maitred.booking.checks import Check, CheckCode, Outcome
from maitred.booking.hold import Hold
from maitred.booking.listing import ListedBooking
from maitred.booking.nearest import PossibleTime
from maitred.booking.preview import Preview
from maitred.http.schema import Answer, Given, Line, in_zone
from maitred.model.booking import BookingStatus
from maitred.model.joined import MOST_TABLES
from maitred.model.reason import ReasonCode
from maitred.model.scoring import Relaxation
from maitred.planner.answer import Plan, Ranked
from maitred.planner.remedies import Remedy

Slug = Annotated[str, Path(pattern=r"^[a-z0-9]([a-z0-9-]{0,98}[a-z0-9])?$", description="The venue's slug.")]
BookingId = Annotated[UUID, Path(description="The booking's id.")]
HoldId = Annotated[UUID, Path(description="The hold's id.")]
Number = Annotated[Line, Field(min_length=1, max_length=60, description="A table's number.")]


class QuoteAsked(Given):
    """What is wanted besides the venue's policy; null leaves it to that."""

    require_adjacency: bool | None = None
    max_tables: int | None = Field(default=None, ge=1, le=MOST_TABLES)
    zone: Line | None = Field(default=None, min_length=1, max_length=200, description="Only this zone, by its name.")
    avoid: list[Number] = Field(default=[], max_length=300, description="Numbers of tables not to be used.")


class TablesChosen(Given):
    """A set of tables, by their numbers."""

    tables: list[Number] = Field(min_length=1, max_length=MOST_CHOSEN)


class HoldAsked(TablesChosen):
    """A set of tables to be held. Without `ttl_s` the setting for holds made by hand counts."""

    ttl_s: int | None = Field(default=None, strict=True, ge=1, le=LONGEST_HOLD_S)


class HoldExtension(Given):
    """How many seconds the hold shall live from now."""

    ttl_s: int = Field(strict=True, ge=1, le=LONGEST_HOLD_S)


class Unassignment(Given):
    """Whether a run goes on looking for other tables, or staff see to it."""

    begin_run: bool = True


class PlanAnswer(Answer):
    """A set of tables, by their numbers, and its score; lower is better."""

    tables: list[str]
    zone: str | None
    seats: int
    spare: int
    score: float


class TimeAnswer(Answer):
    """Another start at which there would be tables."""

    starts_at: datetime
    plan: PlanAnswer


class ObstacleAnswer(Answer):
    """A table, and what stands in its way."""

    number: str
    code: str
    text: str
    blocked: bool


class AdmissionAnswer(Answer):
    """What would have to give way for a party that was refused, and the best plan with it."""

    remedies: list[Remedy]
    plan: PlanAnswer


class MoveAnswer(Answer):
    """A booking that would have to move, and the numbers of the tables it would get."""

    booking_id: UUID
    tables: list[str]


class WayAnswer(Answer):
    """Tables for a party that was refused, once others have moved. `fewest`: proved that fewer moves don't do."""

    plan: PlanAnswer
    moved: list[MoveAnswer]
    fewest: bool


class QuoteAnswer(Answer):
    """What the planner says of a booking; nothing is held. `best` null: `reason` says why, `tables` where it fails.

    `would_refuse`: why a real attempt would not even ask the planner now. `before` and `after` are other times, the
    nearest first. For a party that was refused, `would_admit` are the rules that would have to give way, the cheapest
    first, and `would_move` the fewest bookings that would have to move, at most two.
    """

    booking_id: UUID
    reference: str
    party: int
    starts_at: datetime
    status: BookingStatus
    service: str | None
    seats_from: datetime | None
    seats_until: datetime | None
    best: PlanAnswer | None
    alternates: list[PlanAnswer]
    relaxed: list[Relaxation]
    exact: bool | None = Field(description="Whether the best is proved to be; null: the planner was not asked.")
    reason: ReasonCode | None
    explanation: str | None
    would_refuse: ReasonCode | None
    price: float | None = Field(description="For a party declined, what its tables would otherwise earn, in covers.")
    tables: list[ObstacleAnswer]
    before: list[TimeAnswer]
    after: list[TimeAnswer]
    would_admit: list[AdmissionAnswer]
    would_move: WayAnswer | None


class InTheWayAnswer(Answer):
    """Who has a table at that time: by a seat, or by a hold until `expires_at`."""

    table_id: int
    booking_id: UUID
    reference: str
    from_: datetime = Field(serialization_alias="from")
    until: datetime
    hold_id: UUID | None
    expires_at: datetime | None


class CheckAnswer(Answer):
    """One check. `tables` are those it is about, `found` and `allowed` its figures: seats, covers, tables or zones."""

    code: CheckCode
    outcome: Outcome
    text: str
    tables: list[str]
    found: int | None
    allowed: int | None
    in_the_way: list[InTheWayAnswer]


class ValidationAnswer(Answer):
    """All that is to be said of the chosen tables. Only an error keeps them from being held."""

    booking_id: UUID
    outcome: Outcome
    tables: list[str]
    seats: int
    seats_from: datetime | None
    seats_until: datetime | None
    checks: list[CheckAnswer]


class HoldAnswer(Answer):
    """Tables (ids) held for a booking until `expires_at`."""

    id: UUID
    booking_id: UUID
    table_ids: list[int]
    from_: datetime = Field(serialization_alias="from")
    until: datetime
    expires_at: datetime


class HeldAnswer(Answer):
    """The hold, and what was to be said of it."""

    hold: HoldAnswer
    validation: ValidationAnswer


class ConfirmationAnswer(Answer):
    """The booking's tables (ids) are its seats. `repeated`: they were already."""

    id: UUID
    booking_id: UUID
    table_ids: list[int]
    from_: datetime = Field(serialization_alias="from")
    until: datetime
    confirmed_at: datetime
    repeated: bool


class UnassignedAnswer(Answer):
    """The booking is pending; `run_id` is the run that goes on, null if none does."""

    booking_id: UUID
    status: BookingStatus
    run_id: UUID | None


class LockAnswer(Answer):
    """Whether the booking is locked to its tables, and whether that is new."""

    booking_id: UUID
    locked: bool
    changed: bool


class StepAnswer(Answer):
    """The booking's status, and whether it is new."""

    booking_id: UUID
    status: BookingStatus
    changed: bool


class BookingRow(Answer):
    """A booking as staff see it; `tables` are numbers."""

    id: UUID
    reference: str
    party: int
    starts_at: datetime
    status: BookingStatus
    locked: bool
    by_hand: bool
    tables: list[str]
    name: str | None
    phone: str | None
    email: str | None
    notes: str | None
    created_at: datetime


class BookingPage(Answer):
    """Bookings in order of start. `next` goes into `after` for those that follow; null: there are none."""

    bookings: list[BookingRow]
    next: str | None


class BoardTableAnswer(Answer):
    """A table of the floor."""

    id: int
    number: str
    zone: str
    capacity: int
    status: str
    active: bool


class BoardBookingAnswer(Answer):
    """A booking of the day; `tables` are ids."""

    id: UUID
    reference: str
    party: int
    starts_at: datetime
    status: BookingStatus
    locked: bool
    by_hand: bool
    tables: list[int]
    from_: datetime | None = Field(serialization_alias="from")
    until: datetime | None
    name: str | None
    phone: str | None
    notes: str | None


class BoardHoldAnswer(Answer):
    """Tables (ids) held; past `expires_at` they are in nobody's way."""

    id: UUID
    booking_id: UUID
    tables: list[int]
    from_: datetime = Field(serialization_alias="from")
    until: datetime
    expires_at: datetime


class BoardRunAnswer(Answer):
    """A run that goes on."""

    id: UUID
    booking_id: UUID
    trigger: str
    due_at: datetime
    last_reason: str | None


class BoardAnswer(Answer):
    """A service day. `waiting` are bookings without tables. `complete` false: there are more than a board shows."""

    restaurant_id: UUID
    slug: str
    name: str
    timezone: str
    date: date
    version: int
    complete: bool
    tables: list[BoardTableAnswer]
    bookings: list[BoardBookingAnswer]
    holds: list[BoardHoldAnswer]
    runs: list[BoardRunAnswer]
    waiting: list[UUID]


class RunRow(Answer):
    """A run. `result` null: it goes on, next at `due_at`."""

    id: UUID
    booking_id: UUID
    reference: str
    trigger: str
    result: str | None
    attempts: int | None
    max_attempts: int
    last_reason: str | None
    hard_stop_reason: str | None
    due_at: datetime
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None


class RunPage(Answer):
    """Runs, the newest first. `next` goes into `after`; null: there are no more."""

    runs: list[RunRow]
    next: str | None


class EventRow(Answer):
    """A recorded event; docs/events.md tells what its context holds. The flight record is left out."""

    id: UUID
    created_at: datetime
    source: str
    event_type: str
    severity: str
    booking_id: UUID | None
    context: dict[str, Any] | None


class EventPage(Answer):
    """Events, the newest first. `next` goes into `after`; null: there are no more."""

    events: list[EventRow]
    next: str | None


def quote_answer(preview: Preview) -> QuoteAnswer:
    """What was previewed."""
    zone, answer, window, way = preview.timezone, preview.answer, preview.window, preview.way
    ranked = answer if isinstance(answer, Ranked) else None

    def plan(each: Plan) -> PlanAnswer:
        return PlanAnswer(
            tables=list(each.numbers),
            zone=preview.zones.get(each.zone_id),
            seats=each.capacity,
            spare=each.overage,
            score=each.score.total,
        )

    def times(found: tuple[PossibleTime, ...]) -> list[TimeAnswer]:
        return [TimeAnswer(starts_at=in_zone(each.starts_at, zone), plan=plan(each.plan)) for each in found]

    return QuoteAnswer(
        booking_id=preview.booking_id,
        reference=preview.reference,
        party=preview.party,
        starts_at=in_zone(preview.starts_at, zone),
        status=preview.status,
        service=None if window is None else window.service,
        seats_from=None if window is None else in_zone(window.blocked.start, zone),
        seats_until=None if window is None else in_zone(window.blocked.end, zone),
        best=None if ranked is None else plan(ranked.best),
        alternates=[] if ranked is None else [plan(each) for each in ranked.plans[1:]],
        relaxed=[] if ranked is None else sorted(ranked.relaxed),
        exact=None if answer is None else answer.effort.exact,
        reason=preview.reason,
        explanation=None if preview.reason is None else preview.reason.text,
        would_refuse=preview.would_refuse,
        tables=[
            ObstacleAnswer(number=each.number, code=each.code.value, text=each.text, blocked=each.blocked)
            for each in preview.obstacles
        ],
        price=preview.price,
        before=times(preview.nearest.before),
        after=times(preview.nearest.after),
        would_admit=[
            AdmissionAnswer(remedies=list(each.remedies), plan=plan(each.plan)) for each in preview.admissions
        ],
        would_move=None
        if way is None
        else WayAnswer(
            plan=plan(way.found.plan),
            moved=[MoveAnswer(booking_id=each.id, tables=list(each.plan.numbers)) for each in way.found.moved],
            fewest=way.found.fewest,
        ),
    )


def validation_answer(validation: Validation) -> ValidationAnswer:
    """What was said of chosen tables."""
    zone, window = validation.timezone, validation.window
    return ValidationAnswer(
        booking_id=validation.booking_id,
        outcome=validation.outcome,
        tables=[table.number for table in validation.tables],
        seats=validation.seats,
        seats_from=None if window is None else in_zone(window.blocked.start, zone),
        seats_until=None if window is None else in_zone(window.blocked.end, zone),
        checks=[_check(each, zone) for each in validation.checks],
    )


def _check(check: Check, zone: str) -> CheckAnswer:
    return CheckAnswer(
        code=check.code,
        outcome=check.outcome,
        text=check.text,
        tables=list(check.tables),
        found=check.found,
        allowed=check.allowed,
        in_the_way=[
            InTheWayAnswer(
                table_id=each.table_id,
                booking_id=each.booking_id,
                reference=each.reference,
                from_=in_zone(each.period.start, zone),
                until=in_zone(each.period.end, zone),
                hold_id=each.hold_id,
                expires_at=None if each.expires_at is None else in_zone(each.expires_at, zone),
            )
            for each in check.in_the_way
        ],
    )


def hold_answer(hold: Hold, zone: str) -> HoldAnswer:
    """A hold."""
    return HoldAnswer(
        id=hold.id,
        booking_id=hold.booking_id,
        table_ids=list(hold.table_ids),
        from_=in_zone(hold.period.start, zone),
        until=in_zone(hold.period.end, zone),
        expires_at=in_zone(hold.expires_at, zone),
    )


def booking_row(booking: ListedBooking, zone: str) -> BookingRow:
    """A booking of a list."""
    return BookingRow(
        id=booking.id,
        reference=booking.reference,
        party=booking.party,
        starts_at=in_zone(booking.starts_at, zone),
        status=booking.status,
        locked=booking.locked,
        by_hand=booking.by_hand,
        tables=list(booking.tables),
        name=booking.name,
        phone=booking.phone,
        email=booking.email,
        notes=booking.notes,
        created_at=in_zone(booking.created_at, zone),
    )


def board_answer(board: Board) -> BoardAnswer:
    """The board as a document."""
    zone = board.timezone

    def local(instant: datetime | None) -> datetime | None:
        return None if instant is None else in_zone(instant, zone)

    return BoardAnswer(
        restaurant_id=board.restaurant_id,
        slug=board.slug,
        name=board.name,
        timezone=zone,
        date=board.day,
        version=board.version,
        complete=board.complete,
        tables=[
            BoardTableAnswer(
                id=each.id,
                number=each.number,
                zone=each.zone,
                capacity=each.capacity,
                status=each.status,
                active=each.active,
            )
            for each in board.tables
        ],
        bookings=[
            BoardBookingAnswer(
                id=each.id,
                reference=each.reference,
                party=each.party,
                starts_at=in_zone(each.starts_at, zone),
                status=BookingStatus(each.status),
                locked=each.locked,
                by_hand=each.by_hand,
                tables=list(each.tables),
                from_=local(each.from_),
                until=local(each.until),
                name=each.name,
                phone=each.phone,
                notes=each.notes,
            )
            for each in board.bookings
        ],
        holds=[
            BoardHoldAnswer(
                id=each.id,
                booking_id=each.booking_id,
                tables=list(each.tables),
                from_=in_zone(each.from_, zone),
                until=in_zone(each.until, zone),
                expires_at=in_zone(each.expires_at, zone),
            )
            for each in board.holds
        ],
        runs=[
            BoardRunAnswer(
                id=each.id,
                booking_id=each.booking_id,
                trigger=each.trigger,
                due_at=in_zone(each.due_at, zone),
                last_reason=each.last_reason,
            )
            for each in board.runs
        ],
        waiting=list(board.waiting),
    )
