"""Durable runs as people look at them, and trying one again that ended without tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, LiteralString
from uuid import UUID, uuid4, uuid5

from maitred.auto_assign.begin import run_statements
from maitred.auto_assign.retry import RetryRules
from maitred.booking.desk import Desk
from maitred.booking.question import Strategy
from maitred.errors import AmbiguousReference, BookingNotPending, NotFound, RetryRefused
from maitred.model.booking import BookingStatus
from maitred.storage.database import Database, Row, Statement

_MOST_EVENTS = 1_000

_RUN: LiteralString = """
SELECT r.id, r.booking_id, v.slug, b.reference, b.party_size, b.starts_at, b.status AS booking_status, r.trigger,
       r.policy, r.result, r.last_reason, r.hard_stop_reason, r.expected_attempt, r.max_attempts, r.skipped_initial,
       r.require_adjacency, r.max_tables, r.mail_variant, r.inline_attempt_id, r.inline_reason, r.due_at,
       r.created_at, r.started_at, r.ended_at, r.job_id
  FROM runs r JOIN bookings b ON b.id = r.booking_id JOIN restaurants v ON v.id = r.restaurant_id
"""

_LIST: LiteralString = (
    _RUN
    + """
 WHERE (NOT %(live)s OR r.ended_at IS NULL) AND (%(slug)s::text IS NULL OR v.slug = %(slug)s)
 ORDER BY r.created_at DESC, r.id LIMIT %(limit)s
"""
)
_PAGE: LiteralString = (
    _RUN
    + """
 WHERE (%(restaurant_id)s::uuid IS NULL OR r.restaurant_id = %(restaurant_id)s::uuid)
   AND (%(booking_id)s::uuid IS NULL OR r.booking_id = %(booking_id)s::uuid)
   AND (%(live)s::boolean IS NULL OR (r.ended_at IS NULL) = %(live)s::boolean)
   AND (%(day)s::date IS NULL OR (b.starts_at AT TIME ZONE v.timezone)::date = %(day)s::date)
   AND (%(after)s::timestamptz IS NULL OR (r.created_at, r.id) < (%(after)s::timestamptz, %(after_id)s::uuid))
 ORDER BY r.created_at DESC, r.id DESC LIMIT %(limit)s
"""
)
_ONE: LiteralString = _RUN + " WHERE r.id = %(run_id)s"

_ATTEMPTS: LiteralString = """
SELECT id, (context->>'attemptsUsed')::int AS attempts FROM observability_events WHERE id = ANY (%(ids)s)
"""

_KNOWN_RESTAURANT: LiteralString = "SELECT id FROM restaurants WHERE slug = %(slug)s"

_BY_ID: LiteralString = """
SELECT r.id AS run_id, r.booking_id FROM runs r JOIN restaurants v ON v.id = r.restaurant_id
 WHERE r.id = %(id)s AND (%(slug)s::text IS NULL OR v.slug = %(slug)s)
"""

_BY_BOOKING: LiteralString = """
SELECT b.id AS booking_id, v.slug,
       (SELECT r.id FROM runs r WHERE r.booking_id = b.id ORDER BY r.created_at DESC, r.id LIMIT 1) AS run_id
  FROM bookings b JOIN restaurants v ON v.id = b.restaurant_id
 WHERE (b.reference = %(name)s OR b.id = %(id)s::uuid) AND (%(slug)s::text IS NULL OR v.slug = %(slug)s)
 ORDER BY v.slug LIMIT 20
"""

# Events carry no run's id. A run's are those of its booking and trigger from its beginning to its end, and of the
# inline attempt before it; five seconds more on both sides, since measurements have their process's clock.
_EVENTS: LiteralString = """
WITH run AS (
    SELECT r.*,
           greatest(r.created_at - interval '5 seconds',
                    (SELECT max(e.ended_at) FROM runs e
                      WHERE e.booking_id = r.booking_id AND e.created_at < r.created_at)) AS since,
           least(r.ended_at + interval '5 seconds',
                 (SELECT min(n.created_at) FROM runs n
                   WHERE n.booking_id = r.booking_id AND n.created_at > r.created_at)) AS until
      FROM runs r WHERE r.id = %(run_id)s
)
SELECT e.created_at, e.source, e.event_type, e.severity, e.context - 'planner_record' AS context
  FROM run JOIN observability_events e ON e.booking_id = run.booking_id
 WHERE e.id = ANY (%(ends)s)
    OR e.context->>'attemptId' = run.inline_attempt_id::text
    OR (e.source = 'auto_assign'
        AND coalesce(e.context->>'trigger', run.trigger) = run.trigger
        AND e.context->>'attemptId' IS NULL
        AND e.event_type NOT IN ('auto_assign.started', 'auto_assign.failed', 'auto_assign.summary')
        AND e.created_at >= run.since
        AND (run.until IS NULL OR e.created_at < run.until))
 ORDER BY e.created_at, e.id LIMIT %(most)s
"""

_JOB: LiteralString = """
SELECT j.id, j.status::text AS status, j.scheduled_at, j.attempts, w.last_heartbeat
  FROM procrastinate_jobs j LEFT JOIN procrastinate_workers w ON w.id = j.worker_id
 WHERE j.id = %(job_id)s AND j.status IN ('todo', 'doing')
"""

_LAST: LiteralString = """
SELECT b.status, b.starts_at, r.id, r.result, r.require_adjacency, r.max_tables, r.mail_variant
  FROM bookings b LEFT JOIN LATERAL (
       SELECT * FROM runs WHERE booking_id = b.id ORDER BY created_at DESC, id LIMIT 1) r ON true
 WHERE b.id = %(booking_id)s
"""

_BEGUN: LiteralString = "SELECT id FROM runs WHERE id = %(run_id)s"

_WRITTEN_AT_THE_END = ("started", "auto_assign.failed", "auto_assign.summary")


@dataclass(frozen=True, slots=True)
class ListedRun:
    """A run with what names its booking. `result` is None while it is live, and `due_at` is then its next attempt.

    `attempts` is how many were made, the summary's figure for a run that has ended; None when that is gone.
    """

    id: UUID
    booking_id: UUID
    restaurant: str
    reference: str
    party_size: int
    starts_at: datetime
    booking_status: BookingStatus
    trigger: str
    policy: int
    attempts: int | None
    max_attempts: int
    skipped_initial: bool
    require_adjacency: bool | None
    max_tables: int | None
    mail_variant: str
    result: str | None
    last_reason: str | None
    hard_stop_reason: str | None
    inline_attempt_id: UUID | None
    inline_reason: str | None
    due_at: datetime
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None


@dataclass(frozen=True, slots=True)
class RunEvent:
    """One event of a run; the context is without the flight record."""

    created_at: datetime
    source: str
    event_type: str
    severity: str
    context: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class QueuedJob:
    """The run's job: `todo`, due at `due_at` (None: at once), or `doing` by a worker last heard of at `heard_of`."""

    id: int
    status: str
    due_at: datetime | None
    heard_of: datetime | None


@dataclass(frozen=True, slots=True)
class ShownRun:
    """A run with its events in order and its job, if it has one."""

    run: ListedRun
    events: tuple[RunEvent, ...]
    job: QueuedJob | None


@dataclass(frozen=True, slots=True)
class Named:
    """What a name on the command line means. `run_id` None: a booking that has had no run."""

    booking_id: UUID
    run_id: UUID | None


async def list_runs(database: Database, *, live: bool, restaurant_slug: str | None, limit: int) -> list[ListedRun]:
    """Runs, the newest first. Raises NotFound for an unknown restaurant."""
    if restaurant_slug is not None and not await database.fetch(_KNOWN_RESTAURANT, {"slug": restaurant_slug}):
        raise NotFound("restaurant", restaurant_slug)
    rows = await database.fetch(_LIST, {"live": live, "slug": restaurant_slug, "limit": limit})
    return await _listed(database, rows)


async def page_of_runs(
    database: Database,
    *,
    limit: int,
    restaurant_id: UUID | None = None,
    booking_id: UUID | None = None,
    day: date | None = None,
    live: bool | None = None,
    after: tuple[datetime, UUID] | None = None,
) -> list[ListedRun]:
    """At most `limit` runs, the newest first, from the one behind `after` (its making and id) on.

    `day` is the local date of the booking's start; `live` None: those that have ended too.
    """
    rows = await database.fetch(
        _PAGE,
        {
            "limit": limit,
            "restaurant_id": restaurant_id,
            "booking_id": booking_id,
            "day": day,
            "live": live,
            "after": None if after is None else after[0],
            "after_id": None if after is None else after[1],
        },
    )
    return await _listed(database, rows)


async def find_run(database: Database, name: str, *, restaurant_slug: str | None = None) -> Named:
    """What is meant by the id of a run, or by the reference or id of a booking: then its latest run.

    Raises NotFound, and AmbiguousReference when several restaurants have a booking with this reference.
    """
    named = {"name": name, "id": _uuid(name), "slug": restaurant_slug}
    if named["id"] is not None and (rows := await database.fetch(_BY_ID, named)):
        return Named(rows[0]["booking_id"], rows[0]["run_id"])
    rows = await database.fetch(_BY_BOOKING, named)
    if not rows:
        raise NotFound("run or booking", name)
    if len(rows) > 1:
        raise AmbiguousReference(name, tuple(row["slug"] for row in rows))
    return Named(rows[0]["booking_id"], rows[0]["run_id"])


async def show_run(database: Database, run_id: UUID) -> ShownRun:
    """The run with its events and its job. Raises NotFound."""
    rows = await database.fetch(_ONE, {"run_id": run_id})
    if not rows:
        raise NotFound("run", str(run_id))
    [listed] = await _listed(database, rows)
    ends = [uuid5(run_id, name) for name in _WRITTEN_AT_THE_END]
    events = await database.fetch(_EVENTS, {"run_id": run_id, "ends": ends, "most": _MOST_EVENTS})
    jobs = await database.fetch(_JOB, {"job_id": rows[0]["job_id"]})
    return ShownRun(
        run=listed,
        events=tuple(RunEvent(**row) for row in events),
        job=QueuedJob(jobs[0]["id"], jobs[0]["status"], jobs[0]["scheduled_at"], jobs[0]["last_heartbeat"])
        if jobs
        else None,
    )


async def retry_run(desk: Desk, named: Named, *, rules: RetryRules, now: datetime) -> UUID:
    """Begins a new run, trigger `manual`, for a pending booking whose last run ended without tables; returns its id.

    It asks as the last one did and sends the mail that one would have sent. Raises BookingNotPending for a booking that
    is, RetryRefused for everything else that stands against it, and NotFound for a booking that is gone.
    """
    booking_id = named.booking_id
    rows = await desk.database.fetch(_LAST, {"booking_id": booking_id})
    if not rows:
        raise NotFound("booking", str(booking_id))
    last = rows[0]
    _refuse(named, last, now)
    run_id = uuid4()
    statements = run_statements(
        booking_id,
        trigger="manual",
        rules=rules,
        now=now,
        strategy=Strategy(last["require_adjacency"], last["max_tables"]),
        mail_variant=last["mail_variant"],
        run_id=run_id,
    )
    *_, begun = await desk.database.transact([*statements, Statement(_BEGUN, {"run_id": run_id})])
    if not begun:
        raise RetryRefused(booking_id, "it was changed, or another run began, at this moment")
    return run_id


def _refuse(named: Named, last: Row, now: datetime) -> None:
    booking_id = named.booking_id
    if last["status"] != BookingStatus.PENDING:
        raise BookingNotPending(booking_id, last["status"])
    if last["id"] is None:
        raise RetryRefused(booking_id, "it has had no run yet")
    if last["id"] != named.run_id:
        raise RetryRefused(booking_id, f"run {named.run_id} was followed by run {last['id']}")
    if last["result"] is None:
        raise RetryRefused(booking_id, f"run {last['id']} is under way")
    if last["result"] in ("succeeded", "already_confirmed"):
        raise RetryRefused(booking_id, f"run {last['id']} did not end without tables but as {last['result']}")
    if last["starts_at"] <= now:
        raise RetryRefused(booking_id, "its start has passed")


async def _listed(database: Database, rows: Sequence[Row]) -> list[ListedRun]:
    summaries = {uuid5(row["id"], "auto_assign.summary"): row["id"] for row in rows if row["ended_at"] is not None}
    used = {summaries[row["id"]]: row["attempts"] for row in await database.fetch(_ATTEMPTS, {"ids": list(summaries)})}
    return [_run(row, used.get(row["id"])) for row in rows]


def _run(row: Row, used: int | None) -> ListedRun:
    made = row["expected_attempt"] - (1 if row["skipped_initial"] else 0)
    return ListedRun(
        id=row["id"],
        booking_id=row["booking_id"],
        restaurant=row["slug"],
        reference=row["reference"],
        party_size=row["party_size"],
        starts_at=row["starts_at"],
        booking_status=BookingStatus(row["booking_status"]),
        trigger=row["trigger"],
        policy=row["policy"],
        attempts=made if row["ended_at"] is None else used,
        max_attempts=row["max_attempts"],
        skipped_initial=row["skipped_initial"],
        require_adjacency=row["require_adjacency"],
        max_tables=row["max_tables"],
        mail_variant=row["mail_variant"],
        result=row["result"],
        last_reason=row["last_reason"],
        hard_stop_reason=row["hard_stop_reason"],
        inline_attempt_id=row["inline_attempt_id"],
        inline_reason=row["inline_reason"],
        due_at=row["due_at"],
        created_at=row["created_at"],
        started_at=row["started_at"],
        ended_at=row["ended_at"],
    )


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
