"""Everybody at once on one venue: holds, confirmations, changes, sweeps and reconciliations, without a deadlock."""

from __future__ import annotations

import asyncio
import random
from datetime import timedelta

import pytest

from maitred.auto_assign.begin import begin_run
from maitred.auto_assign.changes import cancel_booking, move_booking
from maitred.auto_assign.inline import auto_assign_inline
from maitred.auto_assign.job import make_queued_attempt
from maitred.auto_assign.reconciler import reconcile
from maitred.auto_assign.retry import RetryRules
from maitred.booking.change import Move
from maitred.booking.quote import quote_tables_for_booking
from maitred.booking.sweeper import sweep_expired_holds
from maitred.errors import BookingNotPending, DatabaseUnavailable
from maitred.storage.database import Database
from tests.auto_assign.durable import RULES, loose_ends, work
from tests.house import DAWN, NOON, at_dawn, build_house

TURNS = 25


@pytest.mark.parametrize("keep", [False, True])
async def test_nobody_waits_in_a_circle(database: Database, keep: bool) -> None:
    house = await build_house(database, [2, 2, 4, 4, 6])
    await database.fetch("UPDATE restaurants SET keep_tables_until_moved = %(keep)s", {"keep": keep})
    bookings = [await house.book(1 + place % 6, NOON + timedelta(minutes=15 * (place % 8))) for place in range(40)]
    dice = random.Random(7)
    troubles: list[BaseException] = []

    async def turns(kind: str) -> None:
        for _ in range(TURNS):
            booking = dice.choice(bookings)
            try:
                match kind:
                    case "inline":
                        await auto_assign_inline(house.desk, booking, now=at_dawn)
                    case "hold":
                        await quote_tables_for_booking(house.desk, booking, now=at_dawn, ttl_s=0, trigger="manual")
                    case "run":
                        run = await begin_run(
                            house.desk, booking, trigger="creation", rules=RetryRules(version=1), now=DAWN
                        )
                        if run is not None:
                            await make_queued_attempt(house.desk, run, 0, rules=RULES, now=at_dawn)
                    case "cancel":
                        await cancel_booking(house.desk, booking)
                        await database.fetch(
                            "UPDATE bookings SET status = 'pending' WHERE id = %(id)s", {"id": booking}
                        )
                    case "move":
                        move = Move(NOON + timedelta(minutes=15 * dice.randrange(8)), dice.randrange(1, 7))
                        await move_booking(house.desk, booking, move, now=at_dawn)
                    case "sweep":
                        await sweep_expired_holds(database)
                    case _:
                        await reconcile(house.desk, rules=RetryRules(), run_age_s=0, booking_age_s=0, now=at_dawn)
            except BookingNotPending:
                pass
            except Exception as error:  # noqa: BLE001 - told at the end, all of them
                troubles.append(error)

    kinds = ["inline", "inline", "hold", "hold", "run", "run", "cancel", "move", "move", "sweep", "sweep", "reconcile"]
    await asyncio.gather(*(turns(kind) for kind in kinds))
    assert [repr(error)[:300] for error in troubles if not isinstance(error, DatabaseUnavailable)] == []
    deadlocks = await database.fetch(
        "SELECT pg_stat_force_next_flush()::text, deadlocks AS n FROM pg_stat_database"
        " WHERE datname = current_database()"
    )
    assert deadlocks[0]["n"] == 0
    await work(house, most=200)
    await sweep_expired_holds(database)
    ends = await loose_ends(database)
    assert (ends["overlaps"], ends["bookings_without_seats"], ends["live_runs"]) == (0, 0, 0)
    assert ends["summaries_off"] == 0
    assert keep or ends["seats_without_booking"] == 0
