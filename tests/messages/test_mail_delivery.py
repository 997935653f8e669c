"""Mails through a real server: what arrives, what is tried again, and what never goes out."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest
from icalendar import Calendar

from maitred.messages.deliverer import Deliverer
from maitred.messages.health import outbox_health
from maitred.messages.settle import Delivered
from maitred.storage.database import count_round_trips
from tests.messages import tls
from tests.messages.servers import BREAK_OFF, HANG, MailHost, as_text, mail_host, settings_for, silent_server
from tests.messages.told import GUEST_DATA, GUEST_EMAIL, GUEST_NAME, Told


def deliverer(told: Told, host: MailHost | None = None, **more: Any) -> Deliverer:
    return Deliverer(told.database, settings_for(host, **more))


def unused_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def test_a_confirmed_guest_gets_one_mail_with_a_calendar_entry(told: Told) -> None:
    booking = await told.confirmed(4)
    async with mail_host() as host:
        assert await deliverer(told, host).deliver_due() == Delivered(sent=1)
        assert await deliverer(told, host).deliver_due() == Delivered()
    (received,) = host.received
    assert (received.sender, received.recipient) == ("tables@maitred.example", GUEST_EMAIL)
    body = received.mail.get_body(("plain",))
    assert body is not None
    assert GUEST_NAME in as_text(body)  # type: ignore[arg-type]  # the parser makes parts of the class of the whole
    row = await told.message()
    assert (row["state"], row["attempts"], row["last_error"]) == ("sent", 1, None)
    assert received.mail["Message-ID"] == f"<{row['id'].hex}@maitred.example>"
    (attachment,) = received.mail.iter_attachments()
    content = attachment.get_content()
    (event,) = Calendar.from_ical(content).walk("VEVENT")
    assert event["UID"] == str(booking)


async def test_the_bookings_last_result_says_that_the_mail_was_sent(told: Told) -> None:
    booking = await told.book()
    await told.execute(
        "UPDATE bookings SET auto_assign_last_result = "
        """'{"source": "job", "emailSent": false, "emailVariant": null}' WHERE id = %(id)s""",
        id=booking,
    )
    await told.confirm(booking, variant="modified")
    assert (await told.last_result(booking))["emailSent"] is False
    async with mail_host() as host:
        await deliverer(told, host).deliver_due()
    assert await told.last_result(booking) == {"source": "job", "emailSent": True, "emailVariant": "modified"}
    assert host.received[0].mail["Subject"] == "Your changed booking at House"


async def test_the_venue_is_told_once_that_a_booking_needs_attention(told: Told) -> None:
    await told.contact("house@venue.example")
    booking = await told.book()
    await told.needs_attention(booking, await told.run_ended(booking))
    async with mail_host() as host:
        await deliverer(told, host).deliver_due()
        await told.needs_attention(booking, await told.run_ended(booking))
        await deliverer(told, host).deliver_due()
    (received,) = host.received
    assert received.recipient == "house@venue.example"
    assert not any(secret.encode() in received.raw for secret in GUEST_DATA)
    assert await told.last_result(booking) is None


async def test_a_mail_takes_two_round_trips_and_a_pass_one_connection(told: Told) -> None:
    await told.waiting_mails(10)
    async with mail_host() as host:
        with count_round_trips() as trips:
            assert await deliverer(told, host).deliver_due() == Delivered(sent=10)
    assert host.connections == 1
    assert trips.count == 1 + 2 * 10 + 1  # and one look for webhooks


# What is not true any more


@pytest.mark.parametrize("status", ["cancelled", "no_show", "completed", "pending"])
async def test_a_booking_that_is_not_confirmed_any_more_is_not_told_of(told: Told, status: str) -> None:
    booking = await told.confirmed()
    await told.execute("UPDATE bookings SET status = %(status)s WHERE id = %(id)s", status=status, id=booking)
    async with mail_host() as host:
        assert await deliverer(told, host).deliver_due() == Delivered(dropped=1)
    assert host.received == []
    row = await told.message()
    assert (row["state"], row["last_error"]) == ("dropped", f"booking_{status}")


async def test_a_guest_who_has_arrived_still_gets_what_was_written(told: Told) -> None:
    booking = await told.confirmed()
    await told.execute("UPDATE bookings SET status = 'checked_in' WHERE id = %(id)s", id=booking)
    async with mail_host() as host:
        assert await deliverer(told, host).deliver_due() == Delivered(sent=1)


async def test_of_two_confirmations_only_the_last_is_told(told: Told) -> None:
    booking = await told.confirmed()
    await told.execute("UPDATE bookings SET status = 'pending', revision = 2 WHERE id = %(id)s", id=booking)
    await told.execute("DELETE FROM allocations WHERE booking_id = %(id)s", id=booking)
    await told.confirm(booking, variant="modified")
    async with mail_host() as host:
        assert await deliverer(told, host).deliver_due() == Delivered(sent=1, dropped=1)
    (received,) = host.received
    assert received.mail["Subject"] == "Your changed booking at House"
    assert {row["last_error"] for row in await told.messages() if row["state"] == "dropped"} == {"confirmed_anew"}


async def test_a_confirmation_for_another_time_than_the_bookings_is_not_told(told: Told) -> None:
    booking = await told.confirmed()
    await told.execute("UPDATE bookings SET starts_at = starts_at + interval '1 day' WHERE id = %(id)s", id=booking)
    async with mail_host() as host:
        assert await deliverer(told, host).deliver_due() == Delivered(dropped=1)


async def test_a_booking_that_got_its_tables_meanwhile_needs_no_attention(told: Told) -> None:
    await told.contact("house@venue.example")
    booking = await told.book(email=None)
    await told.needs_attention(booking, await told.run_ended(booking))
    await told.confirm(booking)
    async with mail_host() as host:
        assert await deliverer(told, host).deliver_due() == Delivered(dropped=1)
    assert host.received == []


async def test_a_guest_whose_address_was_taken_away_gets_no_mail(told: Told) -> None:
    booking = await told.confirmed()
    await told.execute("UPDATE bookings SET guest_email = NULL WHERE id = %(id)s", id=booking)
    async with mail_host() as host:
        assert await deliverer(told, host).deliver_due() == Delivered(dropped=1)
    assert (await told.message())["last_error"] == "no_address"


async def test_suppressed_nothing_is_sent_and_nothing_lost(told: Told) -> None:
    await told.confirmed()
    stop = asyncio.Event()
    async with mail_host() as host:
        suppressed = deliverer(told, host, messages_suppressed=True)
        assert await suppressed.deliver_due() == Delivered()
        running = asyncio.create_task(suppressed.run(stop))
        stop.set()
        await running
    assert host.received == []
    assert await told.states() == ["waiting"]


# Refusals


@pytest.mark.parametrize(
    ("answer", "error"),
    [("550 5.1.1 <zoraida.quintanilla@guest.example> unknown", "smtp_550 5.1.1"), ("553 no", "smtp_553")],
)
async def test_a_recipient_that_is_refused_for_good_is_dead_at_once(told: Told, answer: str, error: str) -> None:
    await told.confirmed()
    async with mail_host() as host:
        host.on_rcpt = lambda _: answer
        assert await deliverer(told, host).deliver_due() == Delivered(dead=1)
    row = await told.message()
    assert (row["state"], row["last_error"]) == ("dead", error)


async def test_a_mail_that_is_refused_for_good_is_dead_at_once(told: Told) -> None:
    await told.confirmed()
    async with mail_host() as host:
        host.on_data = "554 5.7.1 looks like spam"
        assert await deliverer(told, host).deliver_due() == Delivered(dead=1)
    assert (await told.message())["last_error"] == "smtp_554 5.7.1"


async def test_a_refusal_of_one_does_not_touch_the_others(told: Told) -> None:
    await told.waiting_mails(5)
    async with mail_host() as host:
        host.on_rcpt = lambda address: "550 no" if address == "guest3@guest.example" else "250 OK"
        assert await deliverer(told, host).deliver_due() == Delivered(sent=4, dead=1)
    assert host.connections == 1


async def test_a_refusal_for_now_is_tried_again_until_the_last_attempt(told: Told) -> None:
    await told.confirmed()
    async with mail_host() as host:
        host.on_rcpt = lambda _: "451 4.7.1 greylisted, come back"
        delivery = deliverer(told, host, message_max_attempts=3)
        for attempt in (1, 2):
            assert await delivery.deliver_due() == Delivered(retried=1)
            assert await delivery.deliver_due() == Delivered()  # it waits
            row = await told.message()
            assert (row["state"], row["attempts"], row["last_error"]) == ("waiting", attempt, "smtp_451 4.7.1")
            await told.time_passes()
        assert await delivery.deliver_due() == Delivered(dead=1)
    assert (await told.message())["state"] == "dead"


async def test_what_was_refused_for_now_is_sent_when_it_is_taken(told: Told) -> None:
    await told.confirmed()
    async with mail_host() as host:
        host.on_data = "452 4.3.1 full"
        assert await deliverer(told, host).deliver_due() == Delivered(retried=1)
        host.on_data = "250 OK"
        await told.time_passes()
        assert await deliverer(told, host).deliver_due() == Delivered(sent=1)
    row = await told.message()
    assert (row["state"], row["attempts"], row["last_error"]) == ("sent", 2, None)


@pytest.mark.parametrize(
    "email", ["not an address", "a@b.example, c@d.example", "a@b.example\r\nBcc: thief@evil.example"]
)
async def test_what_is_no_address_is_dead_at_once_and_bothers_no_server(told: Told, email: str) -> None:
    await told.confirmed(email=email)
    async with mail_host() as host:
        assert await deliverer(told, host).deliver_due() == Delivered(dead=1)
    assert host.received == []
    assert (await told.message())["last_error"] == "address_invalid"


async def test_an_address_beyond_ascii_arrives_where_the_server_knows_it(told: Told) -> None:
    await told.confirmed(email="zoë@guest.example")
    async with mail_host() as host:
        assert await deliverer(told, host).deliver_due() == Delivered(sent=1)
    assert host.recipients == ["zoë@guest.example"]


async def test_a_mail_that_cannot_be_made_keeps_nobody_waiting(told: Told) -> None:
    await told.execute("UPDATE restaurants SET timezone = 'MARS+3'")
    await told.waiting_mails(2)
    async with mail_host() as host:
        assert await deliverer(told, host).deliver_due() == Delivered(retried=2)
    assert {row["last_error"] for row in await told.messages()} == {"unexpected InvalidInput"}


async def test_a_mail_whose_process_died_each_time_is_given_up(told: Told) -> None:
    await told.confirmed()
    await told.execute("UPDATE messages SET attempts = 10")
    async with mail_host() as host:
        assert await deliverer(told, host, message_max_attempts=10).deliver_due() == Delivered(dead=1)
    assert host.received == []
    assert (await told.message())["last_error"] == "interrupted"


# A server that is away


async def _is_postponed(told: Told, delivery: Deliverer, problem: str, count: int = 3) -> None:
    """One pass postpones all mails, burns no attempt, and no other pass tries before the pause is over."""
    assert await delivery.deliver_due() == Delivered(postponed=count)
    assert await delivery.deliver_due() == Delivered()
    assert {(row["state"], row["attempts"], row["claimed_until"]) for row in await told.messages()} == {
        ("waiting", 0, None)
    }
    health = await outbox_health(told.database)
    assert (health.waiting, health.dead) == (count, 0)
    assert (health.mail_server_reachable, health.mail_server_problem) == (False, problem)
    assert health.oldest_waiting_s is not None
    assert health.oldest_waiting_s >= 0


async def test_a_server_that_is_away_postpones_all_mail_and_is_found_when_it_is_back(told: Told) -> None:
    await told.waiting_mails(3)
    host = MailHost()
    host.port = unused_port()
    delivery = deliverer(told, host)
    await _is_postponed(told, delivery, "connect_failed")
    await told.time_passes()
    async with mail_host(host):
        assert await delivery.deliver_due() == Delivered(sent=3)
    health = await outbox_health(told.database)
    assert (health.waiting, health.oldest_waiting_s) == (0, None)
    assert (health.mail_server_reachable, health.mail_server_problem) == (True, None)


async def test_before_the_first_mail_nobody_knows_about_the_server(told: Told) -> None:
    assert (await outbox_health(told.database)).mail_server_reachable is None


async def test_a_server_that_says_nothing_is_away(told: Told) -> None:
    await told.waiting_mails(3)
    host = MailHost()
    async with silent_server() as host.port:
        await _is_postponed(told, deliverer(told, host, smtp_timeout_s=0.2), "timeout")


async def test_a_server_without_the_encryption_asked_for_is_away(told: Told) -> None:
    await told.waiting_mails(3)
    async with mail_host() as host:
        await _is_postponed(told, deliverer(told, host, smtp_tls="starttls"), "not_supported")


@pytest.mark.parametrize(
    ("answer", "problem"),
    [("553 5.7.1 not yours", "sender_refused_553 5.7.1"), ("450 4.7.0 too fast", "sender_refused_450 4.7.0")],
)
async def test_a_sender_that_is_refused_is_no_fault_of_the_mail(told: Told, answer: str, problem: str) -> None:
    await told.waiting_mails(3)
    async with mail_host() as host:
        host.on_mail = answer
        await _is_postponed(told, deliverer(told, host), problem)


async def test_without_a_server_in_the_settings_mail_waits(told: Told) -> None:
    await told.waiting_mails(3)
    await _is_postponed(told, deliverer(told), "not_configured")


@pytest.mark.parametrize(
    ("stage", "answer", "error"),
    [
        ("rcpt", HANG, "timeout"),
        ("data", HANG, "timeout"),
        ("rcpt", BREAK_OFF, "connection_broken"),
        ("data", BREAK_OFF, "connection_broken"),
        ("rcpt", "421 4.3.2 going down", "smtp_421 4.3.2"),
    ],
)
async def test_a_server_lost_on_the_way_costs_one_mail_one_attempt(
    told: Told, stage: str, answer: str, error: str
) -> None:
    """One, so that a mail that breaks servers can't hold up the others for ever."""
    await told.waiting_mails(3)
    async with mail_host() as host:
        if stage == "rcpt":
            host.on_rcpt = lambda _: answer
        else:
            host.on_data = answer
        delivery = deliverer(told, host, smtp_timeout_s=0.3)
        assert await delivery.deliver_due() == Delivered(retried=1, postponed=2)
        assert await delivery.deliver_due() == Delivered()
        assert sorted(row["attempts"] for row in await told.messages()) == [0, 0, 1]
        assert {row["last_error"] for row in await told.messages()} == {None, error}
        assert (await outbox_health(told.database)).mail_server_problem == error

        host.on_rcpt, host.on_data = (lambda _: "250 OK"), "250 OK"
        await told.time_passes()
        assert await delivery.deliver_due() == Delivered(sent=3)


async def test_a_server_that_is_slow_all_along_is_given_up_by_the_whole_limit(told: Told) -> None:
    await told.waiting_mails(1)
    async with mail_host() as host:
        host.on_data = HANG
        delivery = deliverer(told, host, smtp_timeout_s=30, mail_timeout_s=0.3)
        assert await delivery.deliver_due() == Delivered(retried=1)
    assert (await told.message())["last_error"] == "timeout"


async def test_with_starttls_the_login_and_the_mail_are_encrypted(told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(tls.AUTHORITY))
    await told.confirmed()
    login = {"smtp_host": tls.MAIL_NAME, "smtp_tls": "starttls", "smtp_username": "waiter"}
    passwords = {"wrong": {"smtp_password": "guess"}, "right": {"smtp_password": "secret"}}
    async with mail_host(tls=tls.server_context()) as host:
        wrong = deliverer(told, host, **login, **passwords["wrong"])
        assert await wrong.deliver_due() == Delivered(postponed=1)
        problem = (await outbox_health(told.database)).mail_server_problem
        assert problem == "login_refused_535 5.7.8"
        await told.time_passes()
        right = deliverer(told, host, **login, **passwords["right"])
        assert await right.deliver_due() == Delivered(sent=1)
    assert host.recipients == [GUEST_EMAIL]


async def test_a_server_with_another_ones_certificate_is_away(told: Told) -> None:
    await told.confirmed()
    async with mail_host(tls=tls.server_context()) as host:
        assert await deliverer(told, host, smtp_tls="starttls").deliver_due() == Delivered(postponed=1)
    assert (await outbox_health(told.database)).mail_server_problem == "tls_failed"
    assert host.received == []


# Running


async def test_running_delivers_what_comes_and_stops_when_told(told: Told) -> None:
    stop = asyncio.Event()
    async with mail_host() as host:
        delivery = deliverer(told, host, messages_poll_s=60)
        running = asyncio.create_task(delivery.run(stop))
        await told.confirmed()
        delivery.poke()
        await asyncio.wait_for(host.taken.wait(), 10)
        host.taken.clear()
        await told.confirmed()
        delivery.poke()
        await asyncio.wait_for(host.taken.wait(), 10)
        stop.set()
        await asyncio.wait_for(running, 10)
    assert await told.states() == ["sent", "sent"]


async def test_running_finds_by_itself_what_nobody_poked_about(told: Told) -> None:
    stop = asyncio.Event()
    async with mail_host() as host:
        running = asyncio.create_task(deliverer(told, host).run(stop))
        await told.confirmed()
        await asyncio.wait_for(host.taken.wait(), 10)
        stop.set()
        await asyncio.wait_for(running, 10)
    assert await told.states() == ["sent"]


async def test_stopping_finishes_the_mail_under_way_and_gives_the_rest_back(told: Told) -> None:
    await told.waiting_mails(5)
    stop = asyncio.Event()
    async with mail_host() as host:

        def stop_at_the_second(_: str) -> str:
            if len(host.received) == 1:
                stop.set()
            return "250 OK"

        host.on_rcpt = stop_at_the_second
        await asyncio.wait_for(deliverer(told, host).run(stop), 10)
    assert len(host.received) == 2
    rows = await told.messages()
    assert sorted(row["state"] for row in rows) == ["sent", "sent", "waiting", "waiting", "waiting"]
    assert all(row["claimed_until"] is None and row["attempts"] == 0 for row in rows if row["state"] == "waiting")


async def test_cancelling_passes_through_and_what_was_under_way_comes_back(told: Told) -> None:
    await told.waiting_mails(1)
    reached = asyncio.Event()
    async with mail_host() as host:

        def reach(_: str) -> str:
            reached.set()
            return HANG

        host.on_rcpt = reach
        running = asyncio.create_task(deliverer(told, host).run(asyncio.Event()))
        await asyncio.wait_for(reached.wait(), 10)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        host.on_rcpt = lambda _: "250 OK"
        await told.time_passes()
        assert await deliverer(told, host).deliver_due() == Delivered(sent=1)


async def test_the_outbox_keeps_a_row_for_each_message_and_no_more(told: Told) -> None:
    await told.waiting_mails(20)
    host = MailHost()
    host.port = unused_port()
    for _ in range(5):
        await deliverer(told, host).deliver_due()
        await told.time_passes()
    assert len(await told.messages()) == 20
    assert len(await told.database.fetch("SELECT problem FROM mail_server")) == 1
