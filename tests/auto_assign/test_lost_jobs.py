"""A job that its worker has lost while the worker itself lives on."""

from __future__ import annotations

from maitred.auto_assign.begin import begin_run
from maitred.auto_assign.reconciler import reconcile
from maitred.auto_assign.retry import RetryRules
from maitred.storage.database import Database
from tests.auto_assign.durable import waiting_jobs, work
from tests.house import DAWN, at_dawn, build_house


async def test_a_job_that_a_living_worker_has_lost_is_made_again(database: Database) -> None:
    """It made the attempt and could not tick the job off: the queue thinks that it still does it."""
    house = await build_house(database)
    booking = await house.book(4)
    await begin_run(house.desk, booking, trigger="creation", rules=RetryRules(), now=DAWN)
    [worker] = await database.fetch("SELECT worker_id AS id FROM procrastinate_register_worker_v1()")
    await database.fetch(
        "UPDATE procrastinate_jobs SET status = 'doing', worker_id = %(worker)s", {"worker": worker["id"]}
    )
    assert (await reconcile(house.desk, rules=RetryRules(), now=at_dawn)).stalled_jobs == 0
    await database.fetch("UPDATE procrastinate_events SET at = at - interval '10 minutes'")
    assert (await reconcile(house.desk, rules=RetryRules(), now=at_dawn)).stalled_jobs == 1
    assert len(await waiting_jobs(database)) == 1
    assert await work(house) == ["succeeded"]
