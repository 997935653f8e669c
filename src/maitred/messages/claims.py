"""Rows of the outbox on their way: claimed for a time, looked at just before the sending, settled after it.

A claim is `claimed_until`: it is a lease, and its value is the token that shows whose it is. A process that dies loses
its claims when their time is over. All of it goes by the database's clock.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, LiteralString, TypeAlias
from uuid import UUID

from maitred.messages.facts import Facts
from maitred.model.booking import BookingStatus
from maitred.model.floor import number_order
from maitred.storage.database import Database, Row, Statement

Channel: TypeAlias = Literal["mail", "webhook"]

# The condition is asked again on the row as it is when its lock has been had, so of two claims one gets the row.
CLAIM: LiteralString = """
WITH due AS MATERIALIZED (
    SELECT id FROM messages
     WHERE state = 'waiting'
       AND channel = %(channel)s
       AND due_at <= now()
       AND (claimed_until IS NULL OR claimed_until <= now())
       AND (endpoint_id IS NULL OR endpoint_id <> ALL (%(busy)s::uuid[]))
       AND NOT (channel = 'mail' AND EXISTS (SELECT FROM mail_server WHERE paused_until > now()))
     ORDER BY due_at, id
     LIMIT %(limit)s
       FOR UPDATE SKIP LOCKED
)
UPDATE messages m SET claimed_until = now() + make_interval(secs => %(lease_s)s)
  FROM due
 WHERE m.id = due.id
RETURNING m.id, m.endpoint_id, m.claimed_until, m.due_at
"""

# The attempt is counted before the sending, so that a message that kills its process doesn't come back for ever; the
# claim begins anew, so that it outlasts the sending.
LOOK: LiteralString = """
WITH mine AS (
    UPDATE messages SET attempts = attempts + 1, claimed_until = clock_timestamp() + make_interval(secs => %(lease_s)s)
     WHERE id = %(id)s AND state = 'waiting' AND claimed_until = %(token)s
    RETURNING *
)
SELECT m.id, m.kind, m.variant, m.reason, m.confirmation_id, m.endpoint_id, m.attempts, m.claimed_until, m.created_at,
       m.restaurant_id, m.booking_id, r.name, r.timezone, r.contact_email,
       b.reference, b.party_size, b.starts_at, b.status, b.revision, b.guest_name, b.guest_email,
       c.id IS NOT NULL AND b.starts_at <@ c.period
           AND NOT EXISTS (SELECT FROM confirmations later
                            WHERE later.booking_id = b.id AND later.confirmed_at > c.confirmed_at) AS holds_good,
       upper(c.period) AS kept_until,
       (SELECT array_agg(t.number) FROM tables t WHERE t.id = ANY (c.table_ids)) AS table_numbers,
       e.url, e.secret, e.active
  FROM mine m
  JOIN bookings b ON b.id = m.booking_id
  JOIN restaurants r ON r.id = m.restaurant_id
  LEFT JOIN confirmations c ON c.id = m.confirmation_id AND c.booking_id = b.id
  LEFT JOIN webhook_endpoints e ON e.id = m.endpoint_id
"""

# Whoever holds the claim by now: it has been sent.
MARK_SENT: LiteralString = """
WITH sent AS (
    UPDATE messages SET state = 'sent', ended_at = clock_timestamp(), claimed_until = NULL, last_error = NULL
     WHERE id = %(id)s AND state = 'waiting'
    RETURNING booking_id, kind, channel, variant
), server AS (
    INSERT INTO mail_server (problem) SELECT NULL FROM sent WHERE channel = 'mail'
        AND NOT EXISTS (SELECT FROM mail_server WHERE problem IS NULL)
    ON CONFLICT (single) DO UPDATE SET problem = NULL, tried_at = clock_timestamp(), paused_until = NULL
)
UPDATE bookings b
   SET auto_assign_last_result = coalesce(b.auto_assign_last_result, '{}')
           || jsonb_build_object('emailSent', true, 'emailVariant', sent.variant)
  FROM sent
 WHERE b.id = sent.booking_id AND sent.kind = 'confirmation' AND sent.channel = 'mail'
"""

_RETRY: LiteralString = """
UPDATE messages SET due_at = clock_timestamp() + make_interval(secs => %(delay_s)s), claimed_until = NULL,
       last_error = %(error)s
 WHERE id = %(id)s AND state = 'waiting' AND claimed_until = %(token)s
"""

_END: LiteralString = """
UPDATE messages SET state = %(state)s, ended_at = clock_timestamp(), claimed_until = NULL, last_error = %(error)s
 WHERE id = %(id)s AND state = 'waiting' AND claimed_until = %(token)s
"""

_END_AND_CLOSE_ENDPOINT: LiteralString = """
WITH gone AS (
    UPDATE messages SET state = 'dead', ended_at = clock_timestamp(), claimed_until = NULL, last_error = %(error)s
     WHERE id = %(id)s AND state = 'waiting' AND claimed_until = %(token)s
    RETURNING endpoint_id
)
UPDATE webhook_endpoints e SET active = false FROM gone WHERE e.id = gone.endpoint_id
"""

_UNCOUNT: LiteralString = """
UPDATE messages SET attempts = greatest(attempts - 1, 0), claimed_until = NULL, last_error = %(error)s
 WHERE id = %(id)s AND state = 'waiting' AND claimed_until = %(token)s
"""

_PUT_BACK: LiteralString = """
UPDATE messages m SET claimed_until = NULL
  FROM unnest(%(ids)s::uuid[], %(tokens)s::timestamptz[]) AS mine (id, token)
 WHERE m.id = mine.id AND m.state = 'waiting' AND m.claimed_until = mine.token
"""

_PAUSE_MAIL: LiteralString = """
INSERT INTO mail_server (problem, paused_until)
VALUES (%(problem)s, clock_timestamp() + make_interval(secs => %(pause_s)s))
ON CONFLICT (single) DO UPDATE
   SET problem = excluded.problem, tried_at = excluded.tried_at, paused_until = excluded.paused_until
"""


@dataclass(frozen=True, slots=True)
class Claim:
    """A message that is ours until `token`, an instant by the database's clock."""

    id: UUID
    endpoint_id: UUID | None
    token: datetime


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a webhook goes. Both parts may let their holder in somewhere: they stay out of the repr."""

    url: str = field(repr=False)
    secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Looked:
    """A claimed message as it is now, its attempt counted. `untrue` says why it must not be told any more, in a word;
    `attempts` include the one that begins now."""

    claim: Claim
    attempts: int
    facts: Facts
    endpoint: Endpoint | None
    untrue: str | None


async def claim_due(
    database: Database, channel: Channel, *, limit: int, lease_s: float, busy: Collection[UUID] = ()
) -> list[Claim]:
    """Claims up to so many messages that are due, longest due first, leaving out those of the busy endpoints.

    No mail while the mail server's pause lasts.
    """
    rows = await database.fetch(CLAIM, {"channel": channel, "limit": limit, "lease_s": lease_s, "busy": list(busy)})
    rows.sort(key=lambda row: (row["due_at"], row["id"]))
    return [Claim(row["id"], row["endpoint_id"], row["claimed_until"]) for row in rows]


async def look(database: Database, claim: Claim, *, lease_s: float) -> Looked | None:
    """Counts an attempt, renews the claim and reads what there is to tell; one round trip. None when the claim is lost:
    then others see to the message."""
    rows = await database.fetch(LOOK, {"id": claim.id, "token": claim.token, "lease_s": lease_s})
    return _looked(rows[0]) if rows else None


async def mark_sent(database: Database, claim: Claim) -> None:
    """Writes down that it was sent, with the booking's last result where it was the guest's mail."""
    await database.fetch(MARK_SENT, {"id": claim.id})


async def try_later(database: Database, claim: Claim, error: str, *, delay_s: float) -> None:
    """Gives the message back, due after the delay."""
    await database.fetch(_RETRY, {"id": claim.id, "token": claim.token, "error": error, "delay_s": delay_s})


async def end(database: Database, claim: Claim, state: Literal["dropped", "dead"], error: str) -> None:
    """Ends the message: dropped when there is nothing to tell any more, dead when it can't be told."""
    await database.fetch(_END, {"id": claim.id, "token": claim.token, "state": state, "error": error})


async def end_and_close_endpoint(database: Database, claim: Claim, error: str) -> None:
    """The endpoint has said that it is gone for good: the message is dead and the endpoint not active any more."""
    await database.fetch(_END_AND_CLOSE_ENDPOINT, {"id": claim.id, "token": claim.token, "error": error})


async def put_back(database: Database, claims: Sequence[Claim]) -> None:
    """Gives messages back as they were: others, or a later pass, see to them."""
    if claims:
        params = {"ids": [claim.id for claim in claims], "tokens": [claim.token for claim in claims]}
        await database.fetch(_PUT_BACK, params)


async def pause_mail(
    database: Database, problem: str, *, pause_s: float, back: Sequence[Claim] = (), uncounted: Claim | None = None
) -> None:
    """Tells all processes that the mail server is away, for so long, and gives the mails back. The attempt of
    `uncounted` had been counted, and is taken back."""
    statements = [Statement(_PAUSE_MAIL, {"problem": problem, "pause_s": pause_s})]
    if uncounted is not None:
        params = {"id": uncounted.id, "token": uncounted.token, "error": problem}
        statements.append(Statement(_UNCOUNT, params))
    if back:
        ids, tokens = [claim.id for claim in back], [claim.token for claim in back]
        statements.append(Statement(_PUT_BACK, {"ids": ids, "tokens": tokens}))
    await database.transact(statements)


def _looked(row: Row) -> Looked:
    facts = Facts(
        message_id=row["id"],
        kind=row["kind"],
        written_at=row["created_at"],
        restaurant_id=row["restaurant_id"],
        venue=row["name"],
        timezone=row["timezone"],
        booking_id=row["booking_id"],
        reference=row["reference"],
        party=row["party_size"],
        starts_at=row["starts_at"],
        revision=row["revision"],
        variant=row["variant"],
        confirmation_id=row["confirmation_id"],
        tables=tuple(sorted(row["table_numbers"] or (), key=number_order)),
        kept_until=row["kept_until"],
        reason=row["reason"],
        venue_email=row["contact_email"],
        guest_name=row["guest_name"],
        guest_email=row["guest_email"],
    )
    claim = Claim(row["id"], row["endpoint_id"], row["claimed_until"])
    endpoint = None if row["url"] is None else Endpoint(row["url"], row["secret"])
    untrue = why_untrue(facts, BookingStatus(row["status"]), holds_good=bool(row["holds_good"]))
    if untrue is None and endpoint is None and not (facts.recipient or "").strip():
        untrue = "no_address"
    if untrue is None and endpoint is not None and not row["active"]:
        untrue = "endpoint_inactive"
    return Looked(claim, row["attempts"], facts, endpoint, untrue)


def why_untrue(facts: Facts, status: BookingStatus, *, holds_good: bool) -> str | None:
    """Why a message must not be told any more, None when it is still true. Pure.

    `holds_good` says that the message's confirmation is the booking's last, and for the booking's time.
    """
    if facts.kind == "needs_attention":
        return None if status is BookingStatus.PENDING else f"booking_{status.value}"
    if status not in {BookingStatus.CONFIRMED, BookingStatus.CHECKED_IN}:
        return f"booking_{status.value}"
    return None if holds_good else "confirmed_anew"
