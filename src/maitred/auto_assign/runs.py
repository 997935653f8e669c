"""Runs as rows: beginning, claiming an attempt, writing down what came of it, ending.

`expected_attempt` is the index of the attempt that comes next. A job for any other index is stale and does nothing, so
an attempt that is made twice (its worker was thought dead) is written down once. Locks are taken in one order: the
booking, the venue's release mark, the run.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, LiteralString, TypeAlias
from uuid import UUID, uuid5

from psycopg.types.json import Jsonb

from maitred.auto_assign.retry import Beginning, InlineOutcome, PolicyVersion
from maitred.booking.hold import LOCK_BOOKING
from maitred.booking.question import Strategy
from maitred.model.booking import BookingStatus
from maitred.model.period import Period, as_micros
from maitred.model.reason import ReasonCode
from maitred.observability import events
from maitred.storage.database import Row, Statement

CACHE_S = 60

MailVariant: TypeAlias = Literal["standard", "modified"]

_BEGIN_RUN: LiteralString = """
INSERT INTO runs (id, restaurant_id, booking_id, trigger, policy, max_attempts, expected_attempt, require_adjacency,
                  max_tables, mail_variant, inline_attempt_id, inline_reason, inline_trigger, inline_at,
                  skipped_initial, inline_skip_reason, party_size, due_at)
SELECT %(run_id)s, b.restaurant_id, b.id, %(trigger)s, %(policy)s, %(max_attempts)s, %(first_attempt)s,
       %(require_adjacency)s, %(max_tables)s, %(mail_variant)s, %(inline_attempt_id)s, %(inline_reason)s,
       %(inline_trigger)s, %(inline_at)s, %(skipped)s, %(skip_reason)s, b.party_size, %(due_at)s
  FROM bookings b
 WHERE b.id = %(booking_id)s AND b.status = 'pending'
ON CONFLICT (booking_id) WHERE ended_at IS NULL DO NOTHING
RETURNING id
"""

# Everything the attempt needs to know before it asks the planner: the run, its booking, the answer to the same question
# a moment ago if it still holds. Another booking's answer says nothing to one that has tables of its own, by a hold of
# an attempt that died or from before it was moved: they stood in the other's way and don't stand in its own.
_CLAIM: LiteralString = """
UPDATE runs r SET started_at = coalesce(r.started_at, clock_timestamp())
  FROM bookings b, release_marks m, restaurants v
 WHERE r.id = %(run_id)s
   AND r.ended_at IS NULL
   AND r.expected_attempt = %(attempt_index)s
   AND b.id = r.booking_id
   AND m.restaurant_id = r.restaurant_id
   AND v.id = r.restaurant_id
RETURNING r.*, b.status, b.starts_at, b.reference, m.seq + v.policy_version + v.floor_version AS release_seq,
          (extract(epoch FROM clock_timestamp() - r.created_at) * 1000)::float8 AS age_ms,
          (SELECT f.reason FROM planner_failures f
            WHERE f.restaurant_id = r.restaurant_id
              AND f.release_seq = m.seq + v.policy_version + v.floor_version
              AND NOT EXISTS (SELECT FROM allocations own WHERE own.booking_id = b.id)
              AND b.preferences = '{}' AND NOT b.vip
              AND f.failed_at > clock_timestamp() - make_interval(secs => %(cache_s)s)
              AND f.question = concat_ws('|', (extract(epoch FROM b.starts_at) * 1000000)::bigint, b.party_size,
                  coalesce(r.require_adjacency::text, '-'), coalesce(r.max_tables::text, '-'), r.trigger))
              AS cached_reason
"""

_STARTED: LiteralString = """
INSERT INTO observability_events (id, source, event_type, context, restaurant_id, booking_id)
SELECT %(event_id)s, 'auto_assign', 'auto_assign.started',
       jsonb_build_object('status', b.status, 'trigger', r.trigger), r.restaurant_id, r.booking_id
  FROM runs r JOIN bookings b ON b.id = r.booking_id
 WHERE r.id = %(run_id)s AND r.ended_at IS NULL
ON CONFLICT (id) DO NOTHING
"""

LOCK_MARK: LiteralString = """
SELECT seq FROM release_marks WHERE restaurant_id = %(restaurant_id)s FOR NO KEY UPDATE
"""

# A "no" is written down only if no table has come free since the rows it was drawn from were read, and only while its
# booking still waits for one: somebody may have cancelled or confirmed it while the planner thought.
_WAIT: LiteralString = """
UPDATE runs SET expected_attempt = %(attempt_index)s + 1, due_at = %(due_at)s, last_reason = %(reason)s,
       waits_for = CASE WHEN %(start)s::timestamptz IS NULL THEN waits_for ELSE tstzrange(%(start)s, %(end)s) END
 WHERE id = %(run_id)s AND ended_at IS NULL AND expected_attempt = %(attempt_index)s
   AND (%(release_seq)s::bigint IS NULL
        OR %(release_seq)s = (SELECT m.seq + v.policy_version + v.floor_version
                                FROM release_marks m JOIN restaurants v ON v.id = m.restaurant_id
                               WHERE m.restaurant_id = runs.restaurant_id))
   AND (NOT %(of_pending)s OR EXISTS (SELECT FROM bookings b WHERE b.id = runs.booking_id AND b.status = 'pending'))
RETURNING id
"""

_END: LiteralString = """
UPDATE runs SET ended_at = clock_timestamp(), result = %(result)s, last_reason = %(reason)s,
       hard_stop_reason = %(hard_reason)s
 WHERE id = %(run_id)s AND ended_at IS NULL AND expected_attempt = %(attempt_index)s
   AND (%(release_seq)s::bigint IS NULL
        OR %(release_seq)s = (SELECT m.seq + v.policy_version + v.floor_version
                                FROM release_marks m JOIN restaurants v ON v.id = m.restaurant_id
                               WHERE m.restaurant_id = runs.restaurant_id))
   AND (NOT %(of_pending)s OR EXISTS (SELECT FROM bookings b WHERE b.id = runs.booking_id AND b.status = 'pending'))
RETURNING id
"""

_END_IF_CONFIRMED: LiteralString = """
UPDATE runs SET ended_at = clock_timestamp(), result = 'succeeded', last_reason = NULL
 WHERE id = %(run_id)s AND ended_at IS NULL AND EXISTS (SELECT FROM confirmations WHERE id = %(confirmation_id)s)
"""

_AT_ONCE: LiteralString = """
UPDATE runs SET due_at = clock_timestamp()
 WHERE id = %(run_id)s AND ended_at IS NULL AND expected_attempt = %(attempt_index)s
"""

# An event of the run's end, for the run that ended with this result; its id follows from the run's, so there is one.
_EVENT_IF_ENDED: LiteralString = """
INSERT INTO observability_events (id, source, event_type, severity, context, restaurant_id, booking_id)
SELECT %(id)s, %(source)s, %(event_type)s, %(severity)s, %(context)s, r.restaurant_id, r.booking_id
  FROM runs r
 WHERE r.id = %(run_id)s AND r.result = %(result)s AND r.hard_stop_reason IS NOT DISTINCT FROM %(hard_reason)s
ON CONFLICT (id) DO NOTHING
"""

_REMEMBER: LiteralString = """
INSERT INTO planner_failures (restaurant_id, question, release_seq, reason)
SELECT %(restaurant_id)s, %(question)s, %(release_seq)s, %(reason)s
 WHERE NOT EXISTS (SELECT FROM bookings b WHERE b.id = %(booking_id)s AND (b.preferences <> '{}' OR b.vip))
ON CONFLICT (restaurant_id, question) DO UPDATE
   SET release_seq = excluded.release_seq, reason = excluded.reason, failed_at = clock_timestamp()
"""


@dataclass(frozen=True, slots=True)
class InlineAttempt:
    """The inline attempt that a run follows."""

    attempt_id: UUID
    trigger: events.Trigger
    outcome: InlineOutcome


@dataclass(frozen=True, slots=True)
class ClaimedRun:
    """A run whose attempt is under way, with what the claim saw of its booking.

    `release_seq` is the venue's release mark at that moment; `cached_reason` the answer that the same question had
    within the last 60 seconds, if no table came free since. `age_ms` counts from the run's beginning to the claim.
    """

    id: UUID
    restaurant_id: UUID
    booking_id: UUID
    reference: str
    trigger: events.Trigger
    policy: PolicyVersion
    max_attempts: int
    attempt_index: int
    strategy: Strategy
    mail_variant: MailVariant
    party: int
    starts_at: datetime
    status: BookingStatus
    release_seq: int
    cached_reason: ReasonCode | None
    age_ms: float
    skipped_initial: bool
    inline_skip_reason: ReasonCode | None
    inline_attempt_id: UUID | None
    inline_reason: ReasonCode | None
    inline_trigger: events.Trigger | None
    last_reason: ReasonCode | None

    @property
    def attempts_used(self) -> int:
        """How many attempts were made, the one under way included; a skipped one was not made."""
        return self.attempts_before + 1

    @property
    def attempts_before(self) -> int:
        """How many attempts were made before the one that is due."""
        return self.attempt_index - (1 if self.skipped_initial else 0)

    @property
    def question(self) -> str:
        """What the cache of failures knows this question by; the claim builds the same in SQL."""
        micros = as_micros(self.starts_at)
        adjacency = "-" if self.strategy.require_adjacency is None else str(self.strategy.require_adjacency).lower()
        tables = "-" if self.strategy.max_tables is None else str(self.strategy.max_tables)
        return f"{micros}|{self.party}|{adjacency}|{tables}|{self.trigger}"


def begin_run(
    run_id: UUID,
    booking_id: UUID,
    beginning: Beginning,
    *,
    trigger: events.Trigger,
    policy: PolicyVersion,
    strategy: Strategy,
    mail_variant: MailVariant,
    inline: InlineAttempt | None,
) -> Statement:
    """Begins a run for a pending booking; does nothing when it has a live one, or is not pending."""
    require_adjacency = beginning.require_adjacency if beginning.adjusted else strategy.require_adjacency
    max_tables = beginning.max_tables if beginning.adjusted else strategy.max_tables
    return Statement(
        _BEGIN_RUN,
        {
            "run_id": run_id,
            "booking_id": booking_id,
            "trigger": trigger,
            "policy": policy,
            "max_attempts": beginning.max_attempts,
            "first_attempt": beginning.first_attempt,
            "require_adjacency": require_adjacency,
            "max_tables": max_tables,
            "mail_variant": mail_variant,
            "inline_attempt_id": None if inline is None else inline.attempt_id,
            "inline_reason": None if inline is None else inline.outcome.reason.value,
            "inline_trigger": None if inline is None else inline.trigger,
            "inline_at": None if inline is None else inline.outcome.at,
            "skipped": beginning.skip_reason is not None,
            "skip_reason": None if beginning.skip_reason is None else beginning.skip_reason.value,
            "due_at": beginning.due_at,
        },
    )


def claim(run_id: UUID, attempt_index: int) -> list[Statement]:
    """Takes the attempt up; `claimed` reads the rows of the last statement. The first claim of a run announces it."""
    params = {"run_id": run_id, "attempt_index": attempt_index, "cache_s": CACHE_S}
    return [
        Statement(_STARTED, {"run_id": run_id, "event_id": uuid5(run_id, "started")}),
        Statement(_CLAIM, params),
    ]


def claimed(rows: list[Row]) -> ClaimedRun | None:
    """The run that `claim` took up; None when the attempt is stale or the run over."""
    if not rows:
        return None
    row: dict[str, Any] = rows[0]
    return ClaimedRun(
        id=row["id"],
        restaurant_id=row["restaurant_id"],
        booking_id=row["booking_id"],
        reference=row["reference"],
        trigger=row["trigger"],
        policy=row["policy"],
        max_attempts=row["max_attempts"],
        attempt_index=row["expected_attempt"],
        strategy=Strategy(row["require_adjacency"], row["max_tables"]),
        mail_variant=row["mail_variant"],
        party=row["party_size"],
        starts_at=row["starts_at"],
        status=BookingStatus(row["status"]),
        release_seq=row["release_seq"],
        cached_reason=_reason(row["cached_reason"]),
        age_ms=row["age_ms"],
        skipped_initial=row["skipped_initial"],
        inline_skip_reason=_reason(row["inline_skip_reason"]),
        inline_attempt_id=row["inline_attempt_id"],
        inline_reason=_reason(row["inline_reason"]),
        inline_trigger=row["inline_trigger"],
        last_reason=_reason(row["last_reason"]),
    )


def wait_for_next(
    run: ClaimedRun, reason: ReasonCode, due_at: datetime, window: Period | None, release_seq: int | None
) -> list[Statement]:
    """Writes down a "no" and when the next attempt is due; the third statement has a row if it did.

    A `release_seq` that is no longer the venue's leaves everything as it is: a table came free, ask again. So does a
    booking that isn't pending any more.
    """
    params = {
        "run_id": run.id,
        "booking_id": run.booking_id,
        "restaurant_id": run.restaurant_id,
        "attempt_index": run.attempt_index,
        "due_at": due_at,
        "reason": reason.value,
        "start": None if window is None else window.start,
        "end": None if window is None else window.end,
        "release_seq": release_seq,
        "of_pending": True,
    }
    return _in_order(_WAIT, params)


def end_run(
    run: ClaimedRun,
    result: events.RunResult,
    reason: ReasonCode | None,
    hard_reason: ReasonCode | None,
    release_seq: int | None,
    *,
    of_pending: bool = True,
) -> list[Statement]:
    """Ends the run without tables; the third statement has a row if it did. `release_seq` as above.

    With `of_pending` only if the booking still waits for tables.
    """
    params = {
        "run_id": run.id,
        "booking_id": run.booking_id,
        "restaurant_id": run.restaurant_id,
        "attempt_index": run.attempt_index,
        "result": result,
        "reason": None if reason is None else reason.value,
        "hard_reason": None if hard_reason is None else hard_reason.value,
        "release_seq": release_seq,
        "of_pending": of_pending,
    }
    return _in_order(_END, params)


def _in_order(change: LiteralString, params: dict[str, Any]) -> list[Statement]:
    return [Statement(sql, params) for sql in (LOCK_BOOKING, LOCK_MARK, change)]


def due_at_once(run_id: UUID, attempt_index: int) -> Statement:
    """Makes the attempt due now."""
    return Statement(_AT_ONCE, {"run_id": run_id, "attempt_index": attempt_index})


def end_run_if_confirmed(run_id: UUID, confirmation_id: UUID) -> Statement:
    """Ends the run as succeeded in the transaction that confirms."""
    return Statement(_END_IF_CONFIRMED, {"run_id": run_id, "confirmation_id": confirmation_id})


def event_if_ended(
    run_id: UUID, event: events.Event, result: events.RunResult, hard_reason: ReasonCode | None = None
) -> Statement:
    """An event of the run's end, written once, if the run ended with this result and for this hard reason."""
    return Statement(
        _EVENT_IF_ENDED,
        {
            "id": uuid5(run_id, event.event_type),
            "source": event.source,
            "event_type": event.event_type,
            "severity": event.severity.value,
            "context": Jsonb(dict(event.context)),
            "run_id": run_id,
            "result": result,
            "hard_reason": None if hard_reason is None else hard_reason.value,
        },
    )


def remember_failure(run: ClaimedRun, reason: ReasonCode, release_seq: int) -> Statement:
    """Keeps the answer for those who ask the same within 60 seconds, unless a table comes free.

    A booking with needs of its own asks something else than the others: its answer is for nobody.
    """
    return Statement(
        _REMEMBER,
        {
            "restaurant_id": run.restaurant_id,
            "question": run.question,
            "booking_id": run.booking_id,
            "release_seq": release_seq,
            "reason": reason.value,
        },
    )


def _reason(code: str | None) -> ReasonCode | None:
    return None if code is None else ReasonCode(code)
