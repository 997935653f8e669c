"""An event that states a change is true exactly when the change is; a measurement is true anyway."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest

from maitred.model.booking import BookingStatus
from maitred.observability import events
from maitred.observability.recorder import Recorder, state_event_if_confirmed, state_event_statement
from maitred.storage.database import Database, Statement
from tests.observability.told import ids_in, measurement

BEGIN, COMMIT = Statement("BEGIN", {}), Statement("COMMIT", {})

_BOOKING = """
WITH venue AS (
    INSERT INTO restaurants (slug, name, timezone) VALUES ('a-venue', 'A venue', 'UTC') RETURNING id
)
INSERT INTO bookings (restaurant_id, reference, party_size, starts_at)
SELECT id, 'R1', 2, '2030-06-05T12:00Z' FROM venue RETURNING id
"""
_CONFIRMATION = """
INSERT INTO confirmations (id, booking_id, idempotency_key, hold_id, table_ids, period)
SELECT %(id)s, %(booking_id)s, 'key', gen_random_uuid(), '{1}', '[2030-06-05T12:00Z,2030-06-05T13:00Z)'
 WHERE %(succeeds)s
"""


def started(at: datetime | None = None) -> events.Event:
    return events.started(
        restaurant_id=uuid4(), booking_id=uuid4(), status=BookingStatus.PENDING, trigger="creation", at=at
    )


async def test_a_rolled_back_transaction_keeps_the_measurement_and_loses_the_state_event(
    database_url: str, database: Database
) -> None:
    recorder = Recorder(database_url, queue_size=10)
    await recorder.start()
    measured = measurement()

    async def fails() -> None:
        async with database.session() as session:
            await session.send([BEGIN, state_event_statement(started())])
            recorder.record_observability_event(measured)
            raise RuntimeError("the work came to nothing")

    with pytest.raises(RuntimeError):
        await fails()
    await recorder.close(30)
    assert await ids_in(database) == {measured.id}


async def test_a_committed_transaction_keeps_its_state_event(database: Database) -> None:
    at = datetime(2025, 11, 6, 18, 0, tzinfo=UTC)
    event = started(at)
    async with database.session() as session:
        await session.send([BEGIN, state_event_statement(event)])
        await session.send([COMMIT])
    (row,) = await database.fetch("SELECT * FROM observability_events")
    assert row == {
        "id": event.id,
        "created_at": at,
        "source": "auto_assign",
        "event_type": "auto_assign.started",
        "severity": "info",
        "context": {"status": "pending", "trigger": "creation"},
        "restaurant_id": event.restaurant_id,
        "booking_id": event.booking_id,
        "producer": None,
        "seq": None,
        "version": 1,
        "derived": False,
    }


async def test_without_a_moment_of_its_own_the_databases_clock_at_the_statement_counts(database: Database) -> None:
    async with database.session() as session:
        await session.send([BEGIN, Statement("SELECT pg_sleep(0.05)", {})])
        await session.send([state_event_statement(started()), COMMIT])
        (row,) = await session.fetch(
            Statement("SELECT created_at, clock_timestamp() AS now FROM observability_events", {})
        )
    assert timedelta(0) <= row["now"] - row["created_at"] < timedelta(minutes=1)


async def test_sent_twice_a_state_event_is_one_row(database: Database) -> None:
    statement = state_event_statement(started())
    await database.transact([statement])
    await database.transact([statement, statement])
    assert len(await ids_in(database)) == 1


@pytest.mark.parametrize("succeeds", [True, False])
async def test_an_event_of_a_confirmation_is_written_only_if_the_same_transaction_made_it(
    succeeds: bool, database: Database
) -> None:
    ((booking,),) = await database.transact([Statement(_BOOKING, {})])
    confirmation_id = uuid4()
    confirm = Statement(_CONFIRMATION, {"id": confirmation_id, "booking_id": booking["id"], "succeeds": succeeds})
    event = started()
    await database.transact([confirm, state_event_if_confirmed(event, confirmation_id)])

    expected: set[UUID] = {event.id} if succeeds else set()
    assert await ids_in(database) == expected
