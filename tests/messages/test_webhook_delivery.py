"""Webhooks through a real web server: what arrives, what is tried again, and who is not held up by whom."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from standardwebhooks import Webhook

from maitred.messages.deliverer import Deliverer
from maitred.messages.settle import Delivered
from tests.house import NOON
from tests.messages.servers import MailHost, hang, hook_host, mail_host, settings_for, silent_server, status
from tests.messages.told import GUEST_DATA, SECRET, Told


def deliverer(told: Told, host: MailHost | None = None, **more: Any) -> Deliverer:
    return Deliverer(told.database, settings_for(host, **more))


async def booking_to_tell(told: Told, party: int = 2) -> None:
    """A confirmed booking without a mail."""
    await told.confirmed(party, email=None)


async def test_a_confirmation_arrives_signed_and_without_the_guest(told: Told) -> None:
    async with hook_host() as server:
        await told.endpoint(server.url("/in"))
        booking = await told.confirmed(6)
        await told.execute("DELETE FROM messages WHERE channel = 'mail'")
        assert await deliverer(told).deliver_due() == Delivered(sent=1)
    (hook,) = server.received
    event = Webhook(SECRET).verify(hook.body, hook.headers)
    row = await told.message()
    assert hook.headers["webhook-id"] == str(row["id"])
    assert event["type"] == "booking.confirmed"
    assert event["data"]["booking_id"] == str(booking)
    assert event["data"]["restaurant_id"] == str(told.house.restaurant_id)
    assert event["data"]["start"] == NOON.isoformat()
    assert event["data"]["tables"] == ["T7"]
    assert event["data"]["party"] == 6
    assert not any(secret in json.dumps(event) for secret in GUEST_DATA)
    assert (row["state"], row["attempts"]) == ("sent", 1)
    assert await told.last_result(booking) is None  # the mail's affair


async def test_a_booking_without_tables_is_told_with_its_reason(told: Told) -> None:
    async with hook_host() as server:
        await told.endpoint(server.url())
        booking = await told.book()
        await told.needs_attention(booking, await told.run_ended(booking))
        assert await deliverer(told).deliver_due() == Delivered(sent=1)
    event = Webhook(SECRET).verify(server.received[0].body, server.received[0].headers)
    assert (event["type"], event["data"]["reason"]) == ("booking.needs_attention", "hard.no_capacity")


async def test_a_failure_is_tried_again_with_the_same_id_until_the_last_attempt(told: Told) -> None:
    async with hook_host() as server:
        server.answer = status(503)
        await told.endpoint(server.url())
        await booking_to_tell(told)
        delivery = deliverer(told, message_max_attempts=3)
        assert await delivery.deliver_due() == Delivered(retried=1)
        assert await delivery.deliver_due() == Delivered()
        await told.time_passes()
        assert await delivery.deliver_due() == Delivered(retried=1)
        await told.time_passes()
        assert await delivery.deliver_due() == Delivered(dead=1)
    assert len({hook.headers["webhook-id"] for hook in server.received}) == 1
    assert len(server.received) == 3
    for hook in server.received:
        Webhook(SECRET).verify(hook.body, hook.headers)
    assert (await told.message())["last_error"] == "http_503"


async def test_what_failed_is_sent_when_it_is_taken(told: Told) -> None:
    async with hook_host() as server:
        server.answer = status(500)
        await told.endpoint(server.url())
        await booking_to_tell(told)
        await deliverer(told).deliver_due()
        server.answer = status(200)
        await told.time_passes()
        assert await deliverer(told).deliver_due() == Delivered(sent=1)
    assert (await told.message())["attempts"] == 2


async def test_an_endpoint_that_is_gone_is_closed_and_its_other_messages_dropped(told: Told) -> None:
    async with hook_host() as server:
        server.answer = status(410)
        endpoint = await told.endpoint(server.url())
        await booking_to_tell(told)
        await booking_to_tell(told)
        assert await deliverer(told).deliver_due() == Delivered(dead=1, dropped=1)
        await booking_to_tell(told)
    assert len(server.received) == 1
    rows = await told.database.fetch("SELECT active FROM webhook_endpoints WHERE id = %(id)s", {"id": endpoint})
    assert rows[0]["active"] is False
    assert {row["last_error"] for row in await told.messages()} == {"http_410", "endpoint_inactive"}


async def test_a_cancelled_booking_is_not_told_of(told: Told) -> None:
    async with hook_host() as server:
        await told.endpoint(server.url())
        await booking_to_tell(told)
        await told.execute("UPDATE bookings SET status = 'cancelled'")
        assert await deliverer(told).deliver_due() == Delivered(dropped=1)
    assert server.received == []


@pytest.mark.parametrize(
    ("url", "error"), [("http://127.0.0.1/", "url_not_https"), ("https://127.0.0.1/", "address_not_public")]
)
async def test_an_address_inside_is_refused_for_good(told: Told, url: str, error: str) -> None:
    await told.endpoint(url)
    await booking_to_tell(told)
    assert await deliverer(told, webhook_allow_private=False).deliver_due() == Delivered(dead=1)
    assert (await told.message())["last_error"] == error


async def test_a_secret_that_cannot_sign_is_a_dead_message_and_no_request(told: Told) -> None:
    async with hook_host() as server:
        await told.endpoint(server.url(), secret="not a secret")  # noqa: S106 - as it says
        await booking_to_tell(told)
        assert await deliverer(told).deliver_due() == Delivered(dead=1)
    assert server.received == []
    assert (await told.message())["last_error"] == "secret_invalid"


async def test_an_endpoint_that_hangs_holds_up_no_other_endpoint(told: Told) -> None:
    stop = asyncio.Event()
    async with hook_host() as hanging, hook_host() as server:
        hanging.answer = hang
        await told.endpoint(hanging.url())
        await booking_to_tell(told)
        running = asyncio.create_task(deliverer(told, webhook_timeout_s=60, webhook_total_s=60).run(stop))
        await asyncio.wait_for(hanging.taken.wait(), 10)
        await told.endpoint(server.url())
        for _ in range(2):
            await booking_to_tell(told)
            await asyncio.wait_for(server.taken.wait(), 10)
            server.taken.clear()
        assert len(hanging.received) == 1  # its others wait behind the one that hangs
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running


async def test_a_mail_server_that_hangs_holds_up_no_webhook_and_the_other_way_round(told: Told) -> None:
    stop = asyncio.Event()
    host = MailHost()
    async with silent_server() as host.port, hook_host() as server:
        await told.endpoint(server.url())
        running = asyncio.create_task(deliverer(told, host, smtp_timeout_s=60, mail_timeout_s=60).run(stop))
        for _ in range(2):
            await told.confirmed()
            await asyncio.wait_for(server.taken.wait(), 10)
            server.taken.clear()
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
    await told.time_passes()

    async with mail_host() as host, hook_host() as hanging:
        hanging.answer = hang
        await told.execute("UPDATE webhook_endpoints SET url = %(url)s", url=hanging.url())
        running = asyncio.create_task(deliverer(told, host, webhook_timeout_s=60, webhook_total_s=60).run(stop))
        await told.confirmed()
        await asyncio.wait_for(hanging.taken.wait(), 10)
        await asyncio.wait_for(host.taken.wait(), 10)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running


async def test_stopping_waits_for_the_webhook_under_way_and_gives_the_rest_back(told: Told) -> None:
    stop = asyncio.Event()

    async def stop_first(_: str) -> bytes:
        stop.set()
        return b"HTTP/1.1 204 X\r\n\r\n"

    async with hook_host() as server:
        server.answer = stop_first
        await told.endpoint(server.url())
        for _ in range(3):
            await booking_to_tell(told)
        await asyncio.wait_for(deliverer(told).run(stop), 10)
    assert len(server.received) == 1
    rows = await told.messages()
    assert sorted(row["state"] for row in rows) == ["sent", "waiting", "waiting"]
    assert all(row["claimed_until"] is None and row["attempts"] == 0 for row in rows if row["state"] == "waiting")


async def test_a_venues_messages_go_to_its_own_endpoints(told: Told) -> None:
    from tests.messages.told import build_told

    other = await build_told(told.database)
    async with hook_host() as server:
        await told.endpoint(server.url("/own"))
        await other.endpoint(server.url("/others"))
        await booking_to_tell(told)
        await deliverer(told).deliver_due()
    assert [hook.path for hook in server.received] == ["/own"]
