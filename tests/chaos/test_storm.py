"""The storm in a small size; `make chaos` raises the full one."""

from __future__ import annotations

import pytest

from tests.auto_assign.durable import NOTHING
from tests.chaos.storm import storm


@pytest.mark.timeout(400)
async def test_after_a_storm_every_run_has_one_end_and_nothing_is_lost_or_twice() -> None:
    report = await storm(bookings=40, venues=2, workers=2, restarts=1, seed=7, limit_s=240)
    assert report.finished
    assert report.workers_killed > 0
    assert report.database_killed == 1
    assert (report.runs_ended, report.summaries) == (40, 40)
    assert report.loose_ends == NOTHING
    assert report.mails_missing == 0
    # each kill can catch one mail per lane between the server's yes and the mark: the documented window
    assert report.mails_twice <= report.workers_killed + report.database_killed
