"""The outbox: messages are written in the transaction of the change that they tell of, or not at all.

The makers here only build statements. Each asks the database whether the change has happened, because statements of a
pipeline run after a refusal too.
"""

from __future__ import annotations

from typing import Literal, LiteralString, TypeAlias
from uuid import UUID

from maitred.model.reason import ReasonCode
from maitred.storage.database import Statement

Variant: TypeAlias = Literal["standard", "modified"]

SUPPRESSED = "suppressed"
"""Stands in `last_error` of a message that was dropped because messages are suppressed by setting."""

_CONFIRMATION: LiteralString = """
INSERT INTO messages (restaurant_id, booking_id, kind, variant, channel, endpoint_id, confirmation_id, once, state,
                      last_error, ended_at)
SELECT b.restaurant_id, b.id, 'confirmation', %(variant)s::text, w.channel, w.endpoint_id, c.id,
       concat_ws(':', 'confirmation', c.id, w.channel, w.endpoint_id),
       CASE WHEN %(suppressed)s::boolean THEN 'dropped' ELSE 'waiting' END,
       CASE WHEN %(suppressed)s::boolean THEN 'suppressed' END,
       CASE WHEN %(suppressed)s::boolean THEN clock_timestamp() END
  FROM confirmations c
  JOIN bookings b ON b.id = c.booking_id
 CROSS JOIN LATERAL (
       SELECT 'mail' AS channel, NULL::uuid AS endpoint_id WHERE btrim(b.guest_email) <> ''
       UNION ALL
       SELECT 'webhook', e.id FROM webhook_endpoints e WHERE e.restaurant_id = b.restaurant_id AND e.active
       ) w
 WHERE c.id = %(confirmation_id)s::uuid
   AND b.id = %(booking_id)s::uuid
   AND b.restaurant_id = %(restaurant_id)s::uuid
ON CONFLICT (once) DO NOTHING
"""

# Once per booking means: told once. One that was dropped before anybody was told, since the booking had got its tables
# meanwhile, comes back if the booking loses them and fails again.
_NEEDS_ATTENTION: LiteralString = """
INSERT INTO messages (restaurant_id, booking_id, kind, channel, endpoint_id, reason, once, state, last_error, ended_at)
SELECT r.restaurant_id, r.booking_id, 'needs_attention', w.channel, w.endpoint_id, %(reason)s::text,
       concat_ws(':', 'needs_attention', r.booking_id, w.channel, w.endpoint_id),
       CASE WHEN %(suppressed)s::boolean THEN 'dropped' ELSE 'waiting' END,
       CASE WHEN %(suppressed)s::boolean THEN 'suppressed' END,
       CASE WHEN %(suppressed)s::boolean THEN clock_timestamp() END
  FROM runs r
  JOIN restaurants v ON v.id = r.restaurant_id
 CROSS JOIN LATERAL (
       SELECT 'mail' AS channel, NULL::uuid AS endpoint_id WHERE btrim(v.contact_email) <> ''
       UNION ALL
       SELECT 'webhook', e.id FROM webhook_endpoints e WHERE e.restaurant_id = r.restaurant_id AND e.active
       ) w
 WHERE r.id = %(run_id)s::uuid
   AND r.booking_id = %(booking_id)s::uuid
   AND r.restaurant_id = %(restaurant_id)s::uuid
   AND r.ended_at IS NOT NULL
   AND r.result NOT IN ('succeeded', 'already_confirmed')
   AND r.hard_stop_reason IS DISTINCT FROM 'hard.superseded'  -- another run goes on for the booking
   AND NOT EXISTS (SELECT FROM messages m
                    WHERE m.booking_id = r.booking_id
                      AND m.kind = 'needs_attention'
                      AND (m.state <> 'dropped' OR m.last_error = 'suppressed'))
ON CONFLICT (once) DO UPDATE
   SET reason = excluded.reason, state = excluded.state, last_error = excluded.last_error, attempts = 0,
       due_at = excluded.due_at, created_at = excluded.created_at, claimed_until = NULL, ended_at = excluded.ended_at
 WHERE messages.state = 'dropped' AND messages.last_error IS DISTINCT FROM 'suppressed'
"""


def confirmation_messages(
    *, restaurant_id: UUID, booking_id: UUID, confirmation_id: UUID, variant: Variant, suppressed: bool
) -> list[Statement]:
    """Statements that tell of a confirmation, if it exists by then: a mail when the booking has a guest's address, and
    a webhook message for each active endpoint of the restaurant.

    Told once per confirmation, however often they are sent. `suppressed` messages are kept as dropped.
    """
    params = {
        "restaurant_id": restaurant_id,
        "booking_id": booking_id,
        "confirmation_id": confirmation_id,
        "variant": variant,
        "suppressed": suppressed,
    }
    return [Statement(_CONFIRMATION, params)]


def needs_attention_messages(
    *, restaurant_id: UUID, booking_id: UUID, reason: ReasonCode, run_id: UUID, suppressed: bool
) -> list[Statement]:
    """Statements that tell the venue of a booking left without tables, if its run has ended so by then: by mail when
    the restaurant has a contact address, and to each of its active endpoints.

    Told once per booking ever, whichever run ends later. `suppressed` messages are kept as dropped, and count as told.
    """
    params = {
        "restaurant_id": restaurant_id,
        "booking_id": booking_id,
        "run_id": run_id,
        "reason": reason.value,
        "suppressed": suppressed,
    }
    return [Statement(_NEEDS_ATTENTION, params)]
