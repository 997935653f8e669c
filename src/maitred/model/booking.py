"""A booking's status, and which changes of status exist."""

from __future__ import annotations

from enum import StrEnum


class BookingStatus(StrEnum):
    """`pending` waits for tables; `confirmed` has them; the last three are over."""

    PENDING = "pending"
    CONFIRMED = "confirmed"
    CHECKED_IN = "checked_in"
    COMPLETED = "completed"
    CANCELLED = "cancelled"
    NO_SHOW = "no_show"

    @property
    def blocks_tables(self) -> bool:
        """Whether its tables are taken. Statuses that don't block lose their allocations at once (a trigger)."""
        return self in _BLOCKING


_BLOCKING = frozenset({BookingStatus.PENDING, BookingStatus.CONFIRMED, BookingStatus.CHECKED_IN})
