"""Each message once: many deliverers at a time, claims that run out, processes killed at the worst moment."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import LiteralString

import psycopg
import pytest

from maitred.messages import claims, settle
from maitred.messages.claims import claim_due, look, mark_sent, put_back
from maitred.messages.deliverer import Deliverer
from maitred.messages.settle import Delivered
from maitred.storage.database import Statement
from tests.house import pool
from tests.messages.servers import MailHost, hook_host, mail_host, settings_for
from tests.messages.told import Told

DELIVERERS = 8
MAILS = 24

_NAIVE_CLAIM: LiteralString = """
SELECT id, endpoint_id, due_at AS claimed_until, due_at FROM messages
 WHERE state = 'waiting' AND channel = %(channel)s AND due_at <= now() ORDER BY due_at, id LIMIT %(limit)s
"""


async def deliver_at_the_same_time(told: Told, database_url: str, host: MailHost) -> Delivered:
    """Eight deliverers, each with connections of its own, until nothing is due."""
    settings = settings_for(host)
    async with AsyncExitStack() as stack:
        pools = [await stack.enter_async_context(pool(database_url, pool_size=2)) for _ in range(DELIVERERS)]

        async def until_nothing_is_due(deliverer: Deliverer) -> Delivered:
            done = Delivered()
            while (passed := await deliverer.deliver_due(5)) != Delivered():
                done += passed
            return done

        each = await asyncio.gather(*(until_nothing_is_due(Deliverer(each, settings)) for each in pools))
    return sum(each, Delivered())


async def test_many_deliverers_send_each_mail_once(told: Told, database_url: str) -> None:
    await told.waiting_mails(MAILS)
    async with mail_host() as host:
        assert await deliver_at_the_same_time(told, database_url, host) == Delivered(sent=MAILS)
    assert len(host.received) == MAILS
    assert len(set(host.recipients)) == MAILS
    assert await told.states() == ["sent"] * MAILS


async def test_without_claims_they_send_mails_twice(
    told: Told, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The test before this one can fail: a deliverer that only reads what is due sends what others are sending."""
    monkeypatch.setattr(claims, "CLAIM", _NAIVE_CLAIM)
    monkeypatch.setattr(claims, "LOOK", claims.LOOK.replace("AND claimed_until = %(token)s", ""))
    await told.waiting_mails(MAILS)
    async with mail_host() as host:
        await deliver_at_the_same_time(told, database_url, host)
    assert max(Counter(host.recipients).values()) > 1


async def test_a_row_is_claimed_by_one(told: Told, database_url: str) -> None:
    ids = set(await told.waiting_mails(MAILS))
    async with pool(database_url, pool_size=DELIVERERS) as database:
        each = await asyncio.gather(*(claim_due(database, "mail", limit=10, lease_s=60) for _ in range(DELIVERERS)))
    claimed = [claim.id for batch in each for claim in batch]
    assert len(claimed) == len(set(claimed)) == MAILS
    assert set(claimed) == ids
    assert all(len(batch) <= 10 for batch in each)


async def test_a_claim_that_ran_out_belongs_to_whoever_claims_next(told: Told) -> None:
    await told.waiting_mails(1)
    (first,) = await claim_due(told.database, "mail", limit=1, lease_s=60)
    assert await claim_due(told.database, "mail", limit=1, lease_s=60) == []
    await told.execute("UPDATE messages SET claimed_until = now() - interval '1 second'")
    (second,) = await claim_due(told.database, "mail", limit=1, lease_s=60)
    assert await look(told.database, first, lease_s=60) is None
    looked = await look(told.database, second, lease_s=60)
    assert looked is not None
    assert looked.attempts == 1
    await put_back(told.database, [first, second])  # neither is ours any more: the look gave a new one
    assert await claim_due(told.database, "mail", limit=1, lease_s=60) == []
    await put_back(told.database, [looked.claim])
    assert len(await claim_due(told.database, "mail", limit=1, lease_s=60)) == 1


async def test_a_look_makes_the_claim_begin_anew(told: Told) -> None:
    await told.waiting_mails(1)
    (claim,) = await claim_due(told.database, "mail", limit=1, lease_s=1)
    looked = await look(told.database, claim, lease_s=60)
    assert looked is not None
    assert (looked.claim.token - claim.token).total_seconds() > 50


async def test_what_was_sent_is_marked_whoever_has_the_claim(told: Told) -> None:
    await told.waiting_mails(1)
    (claim,) = await claim_due(told.database, "mail", limit=1, lease_s=60)
    await told.time_passes()
    (other,) = await claim_due(told.database, "mail", limit=1, lease_s=60)
    await mark_sent(told.database, claim)
    assert await look(told.database, other, lease_s=60) is None


async def test_cancelling_after_the_servers_yes_still_marks_the_mail(told: Told) -> None:
    await told.confirmed()
    async with mail_host() as host:
        running = asyncio.create_task(Deliverer(told.database, settings_for(host)).run(asyncio.Event()))
        # whoever writes to the booking holds up the mark, as a change of the booking would
        async with told.database.session() as session:
            await session.fetch(_statement("BEGIN"))
            await session.fetch(_statement("SELECT id FROM bookings FOR UPDATE"))
            await asyncio.wait_for(host.taken.wait(), 10)
            await asyncio.sleep(0.2)
            running.cancel()
            await asyncio.sleep(0.2)
            assert not running.done()
            await session.fetch(_statement("COMMIT"))
        with pytest.raises(asyncio.CancelledError):
            await running
    assert await told.states() == ["sent"]


async def test_connections_lost_after_the_servers_yes_do_not_keep_the_mail_from_being_marked(
    told: Told, database_url: str
) -> None:
    await told.waiting_mails(2)
    async with mail_host() as host, pool(database_url, pool_size=2) as database:

        def cut_all_connections(_: str) -> str:
            with psycopg.connect(database_url, autocommit=True) as connection:
                connection.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE datname = current_database() AND pid <> pg_backend_pid()"
                )
            host.on_rcpt = lambda _: "250 OK"
            return "250 OK"

        host.on_rcpt = cut_all_connections
        assert await Deliverer(database, settings_for(host)).deliver_due() == Delivered(sent=2)
    assert len(host.received) == 2
    async with pool(database_url, pool_size=1) as database:
        rows = await database.fetch("SELECT state, attempts FROM messages")
    assert {(row["state"], row["attempts"]) for row in rows} == {("sent", 1)}


def _statement(sql: LiteralString) -> Statement:
    return Statement(sql, {})


# Killed


@asynccontextmanager
async def courier(database_url: str, host: MailHost, *more: str) -> AsyncIterator[Process]:
    """The process, killed at the end if it is still there."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MAITRED_")}
    process = await asyncio.create_subprocess_exec(
        sys.executable, Path(__file__).parent / "courier.py", database_url, str(host.port), *more, stdout=PIPE, env=kept
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def said(process: Process, word: str) -> None:
    assert process.stdout is not None
    async with asyncio.timeout(60):
        async for text in process.stdout:
            if text.decode().strip() == word:
                return
    raise AssertionError(f"the process ended without {word}")


async def test_killed_between_sending_and_marking_one_mail_is_sent_again_and_no_other(
    told: Told, database_url: str
) -> None:
    await told.waiting_mails(3)
    async with mail_host() as host:
        async with courier(database_url, host, "before-mark") as process:
            await said(process, "sent")
            process.send_signal(signal.SIGKILL)
            assert await process.wait() == -signal.SIGKILL
        assert len(host.received) == 1
        assert await told.states() == ["waiting"] * 3

        # its claims are still there: nobody touches its messages before they have run out
        assert await Deliverer(told.database, settings_for(host)).deliver_due() == Delivered()
        await told.time_passes()

        async with courier(database_url, host) as process:
            await said(process, "done")
    sent = Counter(received.mail["Message-ID"] for received in host.received)
    assert sorted(sent.values()) == [1, 1, 2]
    twice = host.received[0]
    assert sent[twice.mail["Message-ID"]] == 2
    again = [each for each in host.received if each.mail["Message-ID"] == twice.mail["Message-ID"]]
    assert again[0].raw == again[1].raw  # the same mail to the last byte
    assert await told.states() == ["sent"] * 3
    assert sorted(row["attempts"] for row in await told.messages()) == [1, 1, 2]


async def test_killed_between_sending_and_marking_a_webhook_keeps_its_id(told: Told, database_url: str) -> None:
    """The same, in this process: the mark never comes."""
    async with hook_host() as server:
        await told.endpoint(server.url())
        await told.confirmed(email=None)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(claims, "MARK_SENT", "SELECT pg_sleep(60)")
            patch.setattr(settle, "_MARK_AFTER_CANCEL_S", 0.1)
            delivery = asyncio.create_task(Deliverer(told.database, settings_for()).deliver_due())
            await asyncio.wait_for(server.taken.wait(), 10)
            await asyncio.sleep(0.2)
            delivery.cancel()
            with pytest.raises(asyncio.CancelledError):
                await delivery
        await told.time_passes()
        assert await Deliverer(told.database, settings_for()).deliver_due() == Delivered(sent=1)
    first, second = server.received
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert first.body == second.body
