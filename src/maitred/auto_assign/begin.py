"""Beginning a durable run: its row and its first job, in the transaction of whatever makes it necessary."""

from __future__ import annotations

from datetime import datetime
from typing import LiteralString
from uuid import UUID, uuid4

from maitred.auto_assign import runs
from maitred.auto_assign.queue import defer_attempt
from maitred.auto_assign.retry import RetryRules, begin
from maitred.auto_assign.runs import InlineAttempt, MailVariant
from maitred.booking.desk import Desk
from maitred.booking.question import Strategy
from maitred.errors import NotFound
from maitred.observability.events import Trigger
from maitred.storage.database import Statement

_LIVE_RUN: LiteralString = """
SELECT r.id FROM bookings b LEFT JOIN runs r ON r.booking_id = b.id AND r.ended_at IS NULL WHERE b.id = %(booking_id)s
"""


def run_statements(
    booking_id: UUID,
    *,
    trigger: Trigger,
    rules: RetryRules,
    now: datetime,
    strategy: Strategy | None = None,
    mail_variant: MailVariant = "standard",
    inline: InlineAttempt | None = None,
    run_id: UUID | None = None,
) -> list[Statement]:
    """Begins a run for a booking that is pending and has no live one, and defers its first job; else does nothing."""
    beginning = begin(rules, None if inline is None else inline.outcome, now)
    new_id = run_id or uuid4()
    return [
        runs.begin_run(
            new_id,
            booking_id,
            beginning,
            trigger=trigger,
            policy=rules.version,
            strategy=strategy or Strategy(),
            mail_variant=mail_variant,
            inline=inline,
        ),
        defer_attempt(new_id, beginning.first_attempt),
    ]


async def begin_run(
    desk: Desk,
    booking_id: UUID,
    *,
    trigger: Trigger,
    rules: RetryRules,
    now: datetime,
    strategy: Strategy | None = None,
    mail_variant: MailVariant = "standard",
) -> UUID | None:
    """Begins a run and returns the booking's live run: the new one, or the one there was; None if it isn't pending.

    Raises NotFound for an unknown booking.
    """
    statements = run_statements(
        booking_id, trigger=trigger, rules=rules, now=now, strategy=strategy, mail_variant=mail_variant
    )
    *_, rows = await desk.database.transact([*statements, Statement(_LIVE_RUN, {"booking_id": booking_id})])
    if not rows:
        raise NotFound("booking", str(booking_id))
    live: UUID | None = rows[0]["id"]
    return live
