"""Answers, as values. A newer server may say more than this client knows: what it doesn't know it leaves out."""

from __future__ import annotations

from datetime import date
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict


class Answer(BaseModel):
    """Base of all answers. Frozen; times have a zone."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class Waiting(Answer):
    """Why there are no tables yet, and what happens next."""

    reason: str | None
    explanation: str | None
    next: str
    run_id: UUID | None
    next_attempt_at: AwareDatetime | None


class Booking(Answer):
    """A booking; `tables` are numbers. `etag` is what `change` takes as `if_match`."""

    id: UUID
    restaurant_id: UUID
    reference: str
    status: str
    party: int
    starts_at: AwareDatetime
    kept_until: AwareDatetime | None
    tables: tuple[str, ...]
    zone: str | None
    name: str | None
    email: str | None
    phone: str | None
    notes: str | None
    revision: int
    waiting: Waiting | None
    etag: str | None = None


class CreatedBooking(Booking):
    """A new booking. `token` opens it to the guest; it is told once."""

    token: str

    def __repr__(self) -> str:
        return f"CreatedBooking(id={self.id}, status={self.status!r})"

    __str__ = __repr__


class Slot(Answer):
    """One start of a day; `reason` says why it is not available."""

    starts_at: AwareDatetime
    available: bool
    reason: str | None


class Availability(Answer):
    """All starts of a day, in order."""

    restaurant_id: UUID
    date: date
    party: int
    timezone: str
    slots: tuple[Slot, ...]
