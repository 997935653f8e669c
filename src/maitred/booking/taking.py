"""The three ways of taking the tables that were chosen: a hold, an exchange for old seats, seats at once."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import Protocol

from maitred.booking.hold import Hold, HoldRequest, exchange_statements, hold_expiry, hold_statements
from maitred.booking.seat import SeatOrder, seat_statement, seated_at
from maitred.booking.snapshot import Snapshot
from maitred.storage.database import Row, Statement


class Taking(Protocol):
    """Statements that follow the lock on the day, and what they came to."""

    def statements(self) -> list[Statement]:
        """To be sent in one transaction."""

    def taken(self, rows: Sequence[list[Row]]) -> Hold | None:
        """What was taken, by the rows of the statements; None when others were faster."""


def hold_of(snapshot: Snapshot, request: HoldRequest, expires_at: datetime) -> Hold:
    """The hold, given when it ends."""
    return Hold(
        id=request.hold_id,
        booking_id=snapshot.booking_id,
        table_ids=request.table_ids,
        period=request.period,
        expires_at=expires_at,
        policy_version=snapshot.policy_version,
        floor_version=snapshot.floor_version,
        require_adjacency=request.require_adjacency,
    )


class Holding:
    """By a hold, for somebody who confirms it later."""

    def __init__(self, snapshot: Snapshot, request: HoldRequest) -> None:
        self._snapshot = snapshot
        self._request = request

    def statements(self) -> list[Statement]:
        return hold_statements(self._snapshot, self._request)

    def taken(self, rows: Sequence[list[Row]]) -> Hold | None:
        expires_at = hold_expiry(rows)
        return None if expires_at is None else hold_of(self._snapshot, self._request, expires_at)


class Exchanging:
    """In exchange for the seats that the booking has kept; `closing` makes the hold its seats."""

    def __init__(self, snapshot: Snapshot, request: HoldRequest, closing: Sequence[Statement]) -> None:
        self._snapshot = snapshot
        self._request = request
        self._closing = closing

    def statements(self) -> list[Statement]:
        return exchange_statements(self._snapshot, self._request, self._closing)

    def taken(self, rows: Sequence[list[Row]]) -> Hold | None:
        expires_at = hold_expiry(rows[1:])
        return None if expires_at is None else hold_of(self._snapshot, self._request, expires_at)


class Seating:
    """As the booking's seats at once, whatever it had before."""

    def __init__(
        self, snapshot: Snapshot, request: HoldRequest, order: SeatOrder, service_day: date, lock_timeout_ms: int
    ) -> None:
        self._snapshot = snapshot
        self._request = request
        self._order = order
        self._service_day = service_day
        self._lock_timeout_ms = lock_timeout_ms

    def statement(self) -> Statement:
        """The one statement; it takes the lock on the day itself."""
        return seat_statement(
            self._snapshot,
            self._order,
            table_ids=self._request.table_ids,
            period=self._request.period,
            service_day=self._service_day,
            hold_id=self._request.hold_id,
            lock_timeout_ms=self._lock_timeout_ms,
        )

    def statements(self) -> list[Statement]:
        return [self.statement()]

    def taken(self, rows: Sequence[list[Row]]) -> Hold | None:
        at = seated_at(rows[0])
        return None if at is None else hold_of(self._snapshot, self._request, at)


class Moving:
    """As the booking's seats, with others moved out of the way before: all of it in one transaction or nothing."""

    def __init__(self, moves: Sequence[Statement], taking: Exchanging | Seating, must_be_seated: Statement) -> None:
        self._moves = moves
        self._taking = taking
        self._must_be_seated = must_be_seated

    def statements(self) -> list[Statement]:
        return [*self._moves, *self._taking.statements(), self._must_be_seated]

    def taken(self, rows: Sequence[list[Row]]) -> Hold | None:
        return self._taking.taken(rows[len(self._moves) :])
