"""The outbox as staff see it: listed, and told to try again. Nothing of a guest's but the booking's reference."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import LiteralString
from uuid import UUID

from maitred.errors import InvalidInput, NotFound
from maitred.messages.state import MessageState
from maitred.storage.database import Database

_LIST: LiteralString = """
SELECT m.id, r.slug, b.reference, m.kind, m.variant, m.channel, m.reason, m.state, m.attempts, m.last_error,
       m.created_at, m.due_at, m.ended_at
  FROM messages m
  JOIN restaurants r ON r.id = m.restaurant_id
  JOIN bookings b ON b.id = m.booking_id
 WHERE %(state)s::text IS NULL OR m.state = %(state)s
 ORDER BY m.created_at DESC, m.id
 LIMIT %(limit)s
"""

# The pause for the mail server is taken back too: whoever asks for another try has mended it.
_RETRY: LiteralString = """
WITH again AS (
    UPDATE messages SET state = 'waiting', attempts = 0, due_at = clock_timestamp(), claimed_until = NULL,
           ended_at = NULL
     WHERE state = 'dead' AND (%(id)s::uuid IS NULL OR id = %(id)s)
    RETURNING id, channel
), unpaused AS (
    UPDATE mail_server SET paused_until = NULL WHERE EXISTS (SELECT FROM again WHERE channel = 'mail')
)
SELECT id FROM again
"""

_STATE: LiteralString = "SELECT state FROM messages WHERE id = %(id)s"


@dataclass(frozen=True, slots=True)
class Listed:
    """One message. Instants are UTC; `due_at` counts while it waits; `reason` is the booking's, `last_error` the
    delivery's."""

    id: UUID
    restaurant: str
    reference: str
    kind: str
    variant: str | None
    channel: str
    reason: str | None
    state: MessageState
    attempts: int
    last_error: str | None
    created_at: datetime
    due_at: datetime
    ended_at: datetime | None


async def list_messages(database: Database, *, state: MessageState | None, limit: int) -> list[Listed]:
    """The newest messages, newest first; all states when none is asked for."""
    rows = await database.fetch(_LIST, {"state": None if state is None else state.value, "limit": limit})
    return [
        Listed(
            id=row["id"],
            restaurant=row["slug"],
            reference=row["reference"],
            kind=row["kind"],
            variant=row["variant"],
            channel=row["channel"],
            reason=row["reason"],
            state=MessageState(row["state"]),
            attempts=row["attempts"],
            last_error=row["last_error"],
            created_at=row["created_at"],
            due_at=row["due_at"],
            ended_at=row["ended_at"],
        )
        for row in rows
    ]


async def retry_message(database: Database, message_id: UUID) -> None:
    """Makes a dead message due at once, with all its attempts before it. It is told only if it is still true.

    Raises NotFound, and InvalidInput when the message is not dead.
    """
    if await database.fetch(_RETRY, {"id": message_id}):
        return
    found = await database.fetch(_STATE, {"id": message_id})
    if not found:
        raise NotFound("message", str(message_id))
    raise InvalidInput(f"message {message_id}", "state", f"is {found[0]['state']}, only a dead message can be retried")


async def retry_dead_messages(database: Database) -> int:
    """Makes every dead message due at once, and returns how many there were."""
    return len(await database.fetch(_RETRY, {"id": None}))
