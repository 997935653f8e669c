"""What is written into the outbox, and when nothing is."""

from __future__ import annotations

import asyncio
from uuid import uuid4

import pytest

from maitred.booking.confirm import confirm_hold
from maitred.errors import HoldNotFound
from maitred.messages.outbox import confirmation_messages
from tests.house import pool
from tests.messages.told import Told

HOOK = "https://hooks.example/maitred"


async def test_a_confirmation_is_told_to_the_guest_and_to_each_active_endpoint(told: Told) -> None:
    await told.endpoint(HOOK)
    await told.endpoint(HOOK + "/2")
    await told.endpoint(HOOK + "/closed", active=False)
    await told.confirmed()
    rows = await told.messages()
    assert [row["channel"] for row in rows] == ["mail", "webhook", "webhook"]
    assert {row["state"] for row in rows} == {"waiting"}
    assert len({row["once"] for row in rows}) == 3


@pytest.mark.parametrize("email", [None, "", "  "])
async def test_a_guest_without_an_address_gets_no_mail(told: Told, email: str | None) -> None:
    await told.confirmed(email=email)
    assert await told.messages() == []


async def test_a_confirmation_that_did_not_happen_is_not_told(told: Told) -> None:
    booking, confirmation = await told.book(), uuid4()
    also = confirmation_messages(
        restaurant_id=told.house.restaurant_id,
        booking_id=booking,
        confirmation_id=confirmation,
        variant="standard",
        suppressed=False,
    )
    with pytest.raises(HoldNotFound):
        await confirm_hold(
            told.house.desk,
            uuid4(),
            booking_id=booking,
            idempotency_key="k",
            cause="test",
            confirmation_id=confirmation,
            also=also,
        )
    assert await told.messages() == []


async def test_writing_a_confirmation_again_adds_nothing(told: Told) -> None:
    await told.endpoint(HOOK)
    booking = await told.book()
    confirmation = await told.confirm(booking)
    again = confirmation_messages(
        restaurant_id=told.house.restaurant_id,
        booking_id=booking,
        confirmation_id=confirmation,
        variant="standard",
        suppressed=False,
    )
    await asyncio.gather(*(told.database.transact(again) for _ in range(8)))
    assert len(await told.messages()) == 2


async def test_a_confirmation_of_another_booking_is_not_told(told: Told) -> None:
    confirmation = await told.confirm(await told.book())
    other = await told.book()
    statements = confirmation_messages(
        restaurant_id=told.house.restaurant_id,
        booking_id=other,
        confirmation_id=confirmation,
        variant="standard",
        suppressed=False,
    )
    await told.database.transact(statements)
    assert len(await told.messages()) == 1


async def test_suppressed_messages_are_kept_as_dropped(told: Told) -> None:
    await told.contact("house@venue.example")
    await told.endpoint(HOOK)
    await told.confirm(await told.book(), suppressed=True)
    failed = await told.book()
    await told.needs_attention(failed, await told.run_ended(failed), suppressed=True)
    rows = await told.messages()
    assert len(rows) == 4
    assert {(row["state"], row["last_error"]) for row in rows} == {("dropped", "suppressed")}
    assert all(row["ended_at"] is not None for row in rows)


@pytest.mark.parametrize(
    ("result", "told_of"),
    [
        ("exhausted", True),
        ("cutoff", True),
        ("error", True),
        ("succeeded", False),
        ("already_confirmed", False),
        (None, False),
    ],
)
async def test_only_a_run_that_ended_without_tables_needs_attention(
    told: Told, result: str | None, told_of: bool
) -> None:
    await told.contact("house@venue.example")
    booking = await told.book()
    await told.needs_attention(booking, await told.run_ended(booking, result))
    assert len(await told.messages()) == told_of


async def test_attention_is_asked_for_once_per_booking_ever(told: Told) -> None:
    await told.contact("house@venue.example")
    await told.endpoint(HOOK)
    booking = await told.book()
    for _ in range(3):
        await told.needs_attention(booking, await told.run_ended(booking))
    assert sorted(row["channel"] for row in await told.messages()) == ["mail", "webhook"]

    await told.endpoint(HOOK + "/later")
    await told.needs_attention(booking, await told.run_ended(booking))
    assert len(await told.messages()) == 2


async def test_attention_is_asked_for_once_by_runs_that_end_at_the_same_time(told: Told, database_url: str) -> None:
    await told.contact("house@venue.example")
    booking = await told.book()
    runs = [await told.run_ended(booking) for _ in range(8)]
    async with pool(database_url, pool_size=8):
        await asyncio.gather(*(told.needs_attention(booking, run) for run in runs))
    assert len(await told.messages()) == 1


async def test_attention_asked_for_under_suppression_counts_as_asked(told: Told) -> None:
    await told.contact("house@venue.example")
    booking = await told.book()
    await told.needs_attention(booking, await told.run_ended(booking), suppressed=True)
    await told.needs_attention(booking, await told.run_ended(booking))
    assert await told.states() == ["dropped"]


async def test_attention_that_was_dropped_before_anybody_was_told_is_asked_for_anew(told: Told) -> None:
    await told.contact("house@venue.example")
    booking = await told.book()
    await told.needs_attention(booking, await told.run_ended(booking))
    await told.execute("UPDATE messages SET state = 'dropped', last_error = 'booking_confirmed', ended_at = now()")
    await told.needs_attention(booking, await told.run_ended(booking))
    row = await told.message()
    assert (row["state"], row["last_error"], row["ended_at"]) == ("waiting", None, None)


async def test_a_venue_without_an_address_is_told_by_webhook_alone(told: Told) -> None:
    await told.endpoint(HOOK)
    booking = await told.book()
    await told.needs_attention(booking, await told.run_ended(booking))
    assert [row["channel"] for row in await told.messages()] == ["webhook"]


async def test_messages_go_with_their_booking(told: Told) -> None:
    booking = await told.confirmed()
    await told.execute("DELETE FROM allocations WHERE booking_id = %(id)s", id=booking)
    await told.execute("DELETE FROM bookings WHERE id = %(id)s", id=booking)
    assert await told.messages() == []
