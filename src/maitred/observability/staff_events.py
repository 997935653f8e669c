"""What a venue's staff did to a booking. Who it was is the id of the key they used, never a name."""

from __future__ import annotations

from datetime import datetime
from typing import Literal, TypeAlias, get_args
from uuid import UUID

from maitred.observability.event import Event
from maitred.observability.registry import Declaration, Key, constructs, declare
from maitred.observability.values import Identifier, Word

StaffAction: TypeAlias = Literal[
    "held",
    "extended",
    "confirmed",
    "released",
    "unassigned",
    "locked",
    "unlocked",
    "checked_in",
    "no_show",
    "completed",
]

SOURCE = "staff"

ACTION = declare(
    Declaration(
        "staff.action",
        SOURCE,
        "Staff held or released tables for a booking, confirmed, locked or unassigned it, or moved it through service.",
        (
            Key("action", Word(get_args(StaffAction)), "what was done"),
            Key("keyId", Identifier(), "the key it was done with; null: not through the API", nullable=True),
        ),
        rides="transaction",
        outcome="action",
    )
)


@constructs(ACTION)
def action(
    *,
    restaurant_id: UUID | None,
    booking_id: UUID,
    action: StaffAction,
    key_id: UUID | None,
    at: datetime | None = None,
) -> Event:
    """Staff did something to a booking."""
    return ACTION.event(restaurant_id, booking_id, at, {"action": action, "keyId": key_id})
