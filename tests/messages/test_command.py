"""`maitred messages`, and that nothing of a guest's is written anywhere but into the guest's own mail."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import pytest
import structlog

from maitred.errors import InvalidInput, NotFound
from maitred.messages.deliverer import Deliverer
from maitred.messages.health import outbox_health
from maitred.messages.listing import list_messages, retry_dead_messages, retry_message
from maitred.messages.settle import Delivered
from maitred.messages.state import MessageState
from tests.cli.command import environment
from tests.messages.servers import BREAK_OFF, hook_host, mail_host, settings_for, status
from tests.messages.told import GUEST_DATA, GUEST_EMAIL, SECRET, Told

_COMMAND = "from maitred.cli.messages import messages_app; messages_app()"


@dataclass(frozen=True)
class Ended:
    code: int
    out: str
    err: str


def messages(url: str, *arguments: str) -> Ended:
    done = subprocess.run(
        [sys.executable, "-c", _COMMAND, *arguments],
        env=environment(MAITRED_DATABASE_URL=url),
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=60,
        check=False,
    )
    return Ended(done.returncode, done.stdout, done.stderr)


async def dead_and_waiting(told: Told) -> None:
    """One mail given up, one waiting, one sent."""
    async with mail_host() as host:
        answers = iter(["550 5.1.1 unknown: " + GUEST_EMAIL, "450 4.2.1 later: " + GUEST_EMAIL, "250 OK"])
        host.on_rcpt = lambda _: next(answers)
        for _ in range(3):
            await told.confirmed()
        delivery = Deliverer(told.database, settings_for(host))
        assert await delivery.deliver_due() == Delivered(sent=1, dead=1, retried=1)


async def test_the_list_shows_each_message_with_its_booking_and_no_guest(told: Told, database_url: str) -> None:
    await dead_and_waiting(told)
    references = {row["reference"] for row in await told.database.fetch("SELECT reference FROM bookings")}
    plain, as_json = messages(database_url, "list"), messages(database_url, "list", "--json")
    assert (plain.code, as_json.code) == (0, 0)
    listed = json.loads(as_json.out)
    assert {each["reference"] for each in listed} == references
    assert {each["state"]: each["last_error"] for each in listed} == {
        "dead": "smtp_550 5.1.1",
        "waiting": "smtp_450 4.2.1",
        "sent": None,
    }
    for each in listed:
        assert each["id"] in plain.out
        assert each["reference"] in plain.out
    for ended in (plain, as_json):
        assert not any(secret in ended.out + ended.err for secret in GUEST_DATA)


async def test_the_list_can_be_of_one_state(told: Told, database_url: str) -> None:
    await dead_and_waiting(told)
    listed = json.loads(messages(database_url, "list", "--state", "dead", "--json").out)
    assert [each["state"] for each in listed] == ["dead"]
    assert messages(database_url, "list", "--state", "dropped").out == "no messages\n"
    assert messages(database_url, "list", "--state", "lost").code == 2


async def test_retrying_one_makes_it_due_again(told: Told, database_url: str) -> None:
    await dead_and_waiting(told)
    (dead,) = await list_messages(told.database, state=MessageState.DEAD, limit=10)
    assert messages(database_url, "retry", str(dead.id)).out == "due again: 1\n"
    async with mail_host() as host:
        assert await Deliverer(told.database, settings_for(host)).deliver_due() == Delivered(sent=1)
    assert host.received[0].mail["Message-ID"] == f"<{dead.id.hex}@maitred.example>"


async def test_retrying_all_the_dead_says_how_many(told: Told, database_url: str) -> None:
    await dead_and_waiting(told)
    assert json.loads(messages(database_url, "retry", "--dead", "--json").out) == {"retried": 1}
    assert (await outbox_health(told.database)).dead == 0


@pytest.mark.parametrize("arguments", [(), ("--dead", "ID")])
def test_retrying_needs_one_message_or_all_the_dead(database_url: str, arguments: tuple[str, ...]) -> None:
    given = [str(uuid4()) if each == "ID" else each for each in arguments]
    ended = messages(database_url, "retry", *given)
    assert ended.code != 0
    assert "give one message, or --dead for all" in ended.err


async def test_only_dead_messages_are_retried(told: Told) -> None:
    await dead_and_waiting(told)
    (sent,) = await list_messages(told.database, state=MessageState.SENT, limit=10)
    with pytest.raises(InvalidInput, match="is sent"):
        await retry_message(told.database, sent.id)
    with pytest.raises(NotFound):
        await retry_message(told.database, uuid4())
    assert (await told.states()).count("sent") == 1


async def test_a_retried_message_has_all_its_attempts_before_it_and_the_servers_pause_is_over(told: Told) -> None:
    await told.confirmed()
    await told.execute("UPDATE messages SET state = 'dead', attempts = 10, ended_at = now(), last_error = 'timeout'")
    await told.execute("INSERT INTO mail_server (problem, paused_until) VALUES ('timeout', now() + interval '1 hour')")
    assert await retry_dead_messages(told.database) == 1
    assert (await told.message())["attempts"] == 0
    async with mail_host() as host:
        assert await Deliverer(told.database, settings_for(host)).deliver_due() == Delivered(sent=1)


async def test_a_retried_message_that_is_not_true_any_more_is_dropped(told: Told) -> None:
    await told.confirmed()
    await told.execute("UPDATE messages SET state = 'dead', ended_at = now()")
    await told.execute("UPDATE bookings SET status = 'cancelled'")
    await retry_dead_messages(told.database)
    async with mail_host() as host:
        assert await Deliverer(told.database, settings_for(host)).deliver_due() == Delivered(dropped=1)
    assert host.received == []


async def test_no_guest_no_secret_and_no_address_in_errors_logs_or_events(told: Told) -> None:
    """On every way out: sent, refused with the address in the server's words, broken off, dropped, dead, made wrong."""
    async with mail_host() as host, hook_host() as server:
        server.answer = status(500)
        await told.endpoint(server.url("/secret-path"))
        await told.contact("house@venue.example")
        answers = iter(
            ["250 OK", "550 5.1.1 " + GUEST_EMAIL, "450 " + GUEST_EMAIL, "421 " + GUEST_EMAIL, BREAK_OFF]
            + ["250 OK"] * 9
        )
        host.on_rcpt = lambda _: next(answers)
        for _ in range(4):
            await told.confirmed()
        await told.confirmed(4, email="Zoraida <zoraida.quintanilla@guest.example>")
        gone = await told.confirmed(4)
        await told.execute("UPDATE bookings SET status = 'cancelled' WHERE id = %(id)s", id=gone)
        failed = await told.book()
        await told.needs_attention(failed, await told.run_ended(failed))
        with structlog.testing.capture_logs() as logged:
            for _ in range(4):
                await Deliverer(told.database, settings_for(host)).deliver_due()
                await told.time_passes()
    written: list[Any] = [*logged]
    written += [row["last_error"] for row in await told.messages()]
    written += [row["once"] for row in await told.messages()]
    written += await told.database.fetch("SELECT * FROM mail_server")
    written += [await told.last_result(failed)]
    text = repr(written)
    assert len(logged) > 8
    for secret in (*GUEST_DATA, "zoraida", SECRET, "secret-path", "venue.example"):
        assert secret not in text
