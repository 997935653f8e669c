"""What tests of durable runs share: a venue, a worker that works until nothing is due, and a look at what is left."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from maitred.auto_assign.job import JobRules, make_queued_attempt
from maitred.storage.database import Database
from tests.house import House, at_dawn

RULES = JobRules()


@dataclass(frozen=True)
class Job:
    """One waiting job of the queue."""

    id: int
    run_id: UUID
    attempt_index: int
    due_in_s: float


async def waiting_jobs(database: Database) -> list[Job]:
    """Jobs that wait, the next one first."""
    rows = await database.fetch(
        "SELECT id, args, coalesce(extract(epoch FROM scheduled_at - clock_timestamp()), 0)::float8 AS due_in_s"
        " FROM procrastinate_jobs WHERE status = 'todo' ORDER BY scheduled_at NULLS FIRST, id"
    )
    return [Job(row["id"], UUID(row["args"]["run_id"]), row["args"]["attempt_index"], row["due_in_s"]) for row in rows]


async def work(
    house: House, *, most: int = 20, even_if_not_due: bool = True, rules: JobRules = RULES
) -> list[str | None]:
    """Does what a worker does with one job after the other, without waiting for their time; returns the results."""
    results: list[str | None] = []
    for _ in range(most):
        jobs = await waiting_jobs(house.database)
        if not jobs or (jobs[0].due_in_s > 0 and not even_if_not_due):
            return results
        job = jobs[0]
        await house.database.fetch("UPDATE procrastinate_jobs SET status = 'doing' WHERE id = %(id)s", {"id": job.id})
        results.append(await make_queued_attempt(house.desk, job.run_id, job.attempt_index, rules=rules, now=at_dawn))
        await house.database.fetch("DELETE FROM procrastinate_jobs WHERE id = %(id)s", {"id": job.id})
    return results


async def run_row(database: Database, booking_id: UUID) -> dict[str, Any]:
    """The booking's latest run."""
    rows = await database.fetch(
        "SELECT * FROM runs WHERE booking_id = %(id)s ORDER BY created_at DESC LIMIT 1", {"id": booking_id}
    )
    return dict(rows[0])


async def results_of(database: Database) -> list[str]:
    """Results of all summaries in the table."""
    rows = await database.fetch(
        "SELECT context->>'result' AS result FROM observability_events WHERE event_type = 'auto_assign.summary'"
        " ORDER BY created_at"
    )
    return [row["result"] for row in rows]


async def loose_ends(database: Database) -> dict[str, int]:
    """What must be nothing when all is over: overlaps, stale holds and seats, runs whose ends and summaries differ."""
    rows = await database.fetch(
        """
        SELECT (SELECT count(*) FROM allocations a JOIN allocations b ON a.table_id = b.table_id AND a.id < b.id
                 AND lower(a.period) < upper(b.period) AND lower(b.period) < upper(a.period)) AS overlaps,
               (SELECT count(*) FROM holds) AS holds,
               (SELECT count(*) FROM allocations a JOIN bookings b ON b.id = a.booking_id
                 WHERE b.status <> 'confirmed') AS seats_without_booking,
               (SELECT count(*) FROM bookings b WHERE b.status = 'confirmed'
                 AND NOT EXISTS (SELECT FROM allocations a WHERE a.booking_id = b.id)) AS bookings_without_seats,
               (SELECT count(*) FROM runs WHERE ended_at IS NULL) AS live_runs,
               abs((SELECT count(*) FROM runs WHERE started_at IS NOT NULL OR ended_at IS NOT NULL)
                 - (SELECT count(*) FROM observability_events
                     WHERE event_type = 'auto_assign.summary')) AS summaries_off,
               abs((SELECT count(*) FROM confirmations)
                 - (SELECT count(*) FROM observability_events
                     WHERE event_type = 'auto_assign.succeeded')) AS successes_off
        """
    )
    return dict(rows[0])


NOTHING = {
    "overlaps": 0,
    "holds": 0,
    "seats_without_booking": 0,
    "bookings_without_seats": 0,
    "live_runs": 0,
    "summaries_off": 0,
    "successes_off": 0,
}
