"""How a run's next attempt gets into the queue: a statement in our own transaction.

The queue is Procrastinate's. Its SQL function for deferring is part of the schema that our migration installs, so the
job, the run it belongs to and whatever makes it necessary are written together, in one round trip.
"""

from __future__ import annotations

from typing import LiteralString
from uuid import UUID

from maitred.storage.database import Statement

QUEUE = "auto_assign"
ATTEMPT_TASK = "maitred.attempt"

# Only for the run as it must be by now: live, and expecting this attempt. A lock keeps two attempts of one run apart,
# a queueing lock two waiting jobs for the same attempt: one that waits already (two workers made the attempt before,
# since one of them was thought dead) is taken and not doubled.
_DEFER: LiteralString = """
WITH run AS (
    SELECT id, due_at FROM runs
     WHERE id = %(run_id)s AND ended_at IS NULL AND expected_attempt = %(attempt_index)s
       FOR NO KEY UPDATE
), there AS (
    UPDATE procrastinate_jobs j SET scheduled_at = run.due_at FROM run
     WHERE j.queueing_lock = 'run:' || run.id || ':' || %(attempt_index)s AND j.status = 'todo'
    RETURNING run.id AS run_id, j.id
), job AS (
    SELECT run.id AS run_id, unnest(procrastinate_defer_jobs_v1(ARRAY[ROW(
        %(queue)s, %(task)s, 0, 'run:' || run.id, 'run:' || run.id || ':' || %(attempt_index)s,
        jsonb_build_object('run_id', run.id, 'attempt_index', %(attempt_index)s::int), run.due_at
    )::procrastinate_job_to_defer_v1])) AS id
    FROM run WHERE NOT EXISTS (SELECT FROM there)
    UNION ALL SELECT run_id, id FROM there
)
UPDATE runs SET job_id = job.id FROM job WHERE runs.id = job.run_id RETURNING job.id AS job_id
"""


def defer_attempt(run_id: UUID, attempt_index: int) -> Statement:
    """Defers the job for this attempt, due when the run's row says; nothing for a run that has gone another way."""
    return Statement(
        _DEFER,
        {"run_id": run_id, "attempt_index": attempt_index, "queue": QUEUE, "task": ATTEMPT_TASK},
    )
