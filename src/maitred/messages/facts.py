"""What a message can tell: the facts of one booking, as they were read just before the sending."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Literal, TypeAlias
from uuid import UUID

from maitred.messages.outbox import Variant
from maitred.model.policy import zone_of

Kind: TypeAlias = Literal["confirmation", "needs_attention"]


@dataclass(frozen=True, slots=True)
class Facts:
    """One message's facts. Instants are UTC; `timezone` is the venue's IANA zone.

    `written_at` is when the message came into the outbox. A confirmation has `variant`, `confirmation_id`, `tables`
    (numbers, in order) and `kept_until`, the end of the time for which the tables are the party's; the other kind has
    `reason`, a code. What belongs to the guest stays out of the value's repr.
    """

    message_id: UUID
    kind: Kind
    written_at: datetime
    restaurant_id: UUID
    venue: str
    timezone: str
    booking_id: UUID
    reference: str
    party: int
    starts_at: datetime
    revision: int
    variant: Variant | None = None
    confirmation_id: UUID | None = None
    tables: tuple[str, ...] = ()
    kept_until: datetime | None = None
    reason: str | None = None
    venue_email: str | None = field(default=None, repr=False)
    guest_name: str | None = field(default=None, repr=False)
    guest_email: str | None = field(default=None, repr=False)

    @property
    def recipient(self) -> str | None:
        """Whom a mail goes to, as it was typed: the guest with a confirmation, the venue otherwise."""
        return self.guest_email if self.kind == "confirmation" else self.venue_email

    @property
    def local_start(self) -> datetime:
        """The start as clocks at the venue show it, with its offset."""
        return self.starts_at.astimezone(zone_of(self.timezone))


def offset_of(local: datetime) -> str:
    """The distance from UTC, as +01:00."""
    offset = local.utcoffset() or timedelta()
    sign = "-" if offset < timedelta() else "+"
    hours, minutes = divmod(abs(offset) // timedelta(minutes=1), 60)
    return f"{sign}{hours:02d}:{minutes:02d}"


def rfc3339(instant: datetime) -> str:
    """The instant with its own offset, to the second. RFC 3339 knows no offset of seconds: such a one becomes UTC."""
    offset = instant.utcoffset()
    if offset is None or offset % timedelta(minutes=1):
        instant = instant.astimezone(UTC)
    return instant.isoformat(timespec="seconds")
