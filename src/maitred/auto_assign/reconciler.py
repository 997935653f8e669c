"""Putting right what a crash left: jobs whose worker died, runs whose job is gone, bookings that nobody took up.

Safe to run in every worker at once; a lock lets one do it at a time.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import LiteralString

from maitred.auto_assign.begin import begin_run
from maitred.auto_assign.queue import ATTEMPT_TASK, defer_attempt
from maitred.auto_assign.retry import RetryRules
from maitred.booking.desk import Desk
from maitred.errors import NotFound
from maitred.storage.database import Session, Statement

_MOST = 500

_BEGIN: LiteralString = "BEGIN"
_COMMIT: LiteralString = "COMMIT"
_ONE_AT_A_TIME: LiteralString = "SELECT pg_try_advisory_xact_lock(hashtext('maitred_reconciler')) AS ours"

# The worker that took the job is gone from the list of those that are alive, or has not been heard of for too long. If
# it had put its attempt into the queue again before it died, that one waits behind this job's lock and this one goes.
_STALLED: LiteralString = """
WITH stalled AS (
    SELECT j.id, EXISTS (SELECT FROM procrastinate_jobs o WHERE o.queueing_lock = j.queueing_lock AND o.status = 'todo')
           AS queued_again
      FROM procrastinate_jobs j
      LEFT JOIN procrastinate_workers w ON w.id = j.worker_id
     WHERE j.status = 'doing' AND j.task_name = %(task)s
       AND (w.id IS NULL OR w.last_heartbeat < now() - make_interval(secs => %(silent_s)s)
            OR (SELECT max(e.at) FROM procrastinate_events e WHERE e.job_id = j.id AND e.type = 'started')
               < now() - make_interval(secs => %(lost_s)s))
     LIMIT %(most)s FOR UPDATE OF j SKIP LOCKED
), needless AS (
    DELETE FROM procrastinate_jobs j USING stalled WHERE j.id = stalled.id AND stalled.queued_again
)
SELECT procrastinate_retry_job_v2(id, now(), NULL, NULL, NULL) FROM stalled WHERE NOT queued_again
"""

_WITHOUT_JOB: LiteralString = """
SELECT r.id, r.expected_attempt FROM runs r
 WHERE r.ended_at IS NULL
   AND r.created_at < clock_timestamp() - make_interval(secs => %(age_s)s)
   AND NOT EXISTS (SELECT FROM procrastinate_jobs j WHERE j.id = r.job_id AND j.status IN ('todo', 'doing'))
 ORDER BY r.created_at LIMIT %(most)s
"""

_WITHOUT_RUN: LiteralString = """
SELECT b.id FROM bookings b
 WHERE b.status = 'pending'
   AND NOT b.by_hand
   AND b.starts_at > %(now)s
   AND b.created_at < clock_timestamp() - make_interval(secs => %(age_s)s)
   AND NOT EXISTS (SELECT FROM runs r WHERE r.booking_id = b.id)
   AND NOT EXISTS (SELECT FROM holds h WHERE h.booking_id = b.id AND h.expires_at > clock_timestamp())
 ORDER BY b.starts_at LIMIT %(most)s
"""

_FORGET_FAILURES: LiteralString = """
DELETE FROM planner_failures WHERE failed_at < clock_timestamp() - interval '10 minutes'
"""


@dataclass(frozen=True, slots=True)
class Reconciled:
    """How many of each were put right."""

    stalled_jobs: int = 0
    runs_without_job: int = 0
    bookings_without_run: int = 0


async def reconcile(
    desk: Desk,
    *,
    rules: RetryRules,
    silent_s: float = 12.0,
    lost_s: float = 300.0,
    run_age_s: float = 5.0,
    booking_age_s: float = 60.0,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> Reconciled:
    """Does all of it once. `silent_s` is how long a worker may be silent before its jobs are taken from it.

    `lost_s` is how long an attempt may take, far longer than any does: what is made twice is written down once.

    A booking counts as left behind when it is pending, lies in the future, has no live hold, never had a run and is
    older than `booking_age_s` seconds: an inline attempt takes a few seconds at most.
    """
    async with desk.database.session() as session:
        _, lock = await session.send([Statement(_BEGIN, {}), Statement(_ONE_AT_A_TIME, {})])
        if not lock[0]["ours"]:
            await session.send([Statement(_COMMIT, {})])
            return Reconciled()
        stalled, without_job = await _jobs(session, silent_s, lost_s, run_age_s)
    left_behind = await _bookings(desk, rules, booking_age_s, now())
    return Reconciled(stalled, without_job, left_behind)


async def _jobs(session: Session, silent_s: float, lost_s: float, run_age_s: float) -> tuple[int, int]:
    stalled, runs_without = await session.send(
        [
            Statement(_STALLED, {"task": ATTEMPT_TASK, "silent_s": silent_s, "lost_s": lost_s, "most": _MOST}),
            Statement(_WITHOUT_JOB, {"age_s": run_age_s, "most": _MOST}),
        ]
    )
    # in the order in which tables that come free lock the runs they wake
    in_order = sorted(runs_without, key=lambda row: row["id"])
    deferred = [defer_attempt(row["id"], row["expected_attempt"]) for row in in_order]
    await session.send([*deferred, Statement(_FORGET_FAILURES, {}), Statement(_COMMIT, {})])
    return len(stalled), len(runs_without)


async def _bookings(desk: Desk, rules: RetryRules, age_s: float, now: datetime) -> int:
    rows = await desk.database.fetch(_WITHOUT_RUN, {"age_s": age_s, "now": now, "most": _MOST})
    for row in rows:
        with suppress(NotFound):  # deleted since
            await begin_run(desk, row["id"], trigger="creation", rules=rules, now=now)
    return len(rows)
