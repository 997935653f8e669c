"""The board: its version rises with every change whoever makes it, and its events add up to the board."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from itertools import pairwise
from typing import Any, LiteralString
from uuid import uuid4

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from maitred.http.role import Role
from maitred.http.staff import day as day_module
from maitred.http.staff import feed as feed_module
from maitred.http.staff.change import PARTS, difference
from maitred.http.staff.feed import Feeds, Listener, Told
from maitred.storage.database import Statement
from tests.house import NOON, House
from tests.http.conftest import Api, open_api

DAY = "2030-06-05"


@dataclass
class Event:
    """One event as it came over the wire."""

    name: str
    id: int
    data: dict[str, Any]


@asynccontextmanager
async def listening(
    client: httpx.AsyncClient, slug: str, last_event_id: str | None = None
) -> AsyncIterator[AsyncIterator[Event]]:
    headers = {} if last_event_id is None else {"Last-Event-ID": last_event_id}
    url = f"/v1/venues/{slug}/board/events?date={DAY}"
    async with client.stream("GET", url, headers=headers) as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        yield _events(answer)


async def _events(answer: httpx.Response) -> AsyncIterator[Event]:
    fields: dict[str, str] = {}
    async for line in answer.aiter_lines():
        if line:
            key, _, value = line.partition(": ")
            fields[key] = value
        elif "data" in fields:
            yield Event(fields["event"], int(fields["id"]), json.loads(fields["data"]))
            fields = {}


async def following(events: AsyncIterator[Event]) -> Event:
    return await asyncio.wait_for(anext(events), 20)


def put_together(board: dict[str, Any], change: dict[str, Any]) -> dict[str, Any]:
    """What a client makes of a change, by the words of the documentation."""
    new = {**board, "version": change["version"], "waiting": change["waiting"]}
    for part in PARTS:
        rows = {row["id"]: row for row in board[part]}
        for gone in change["gone"].get(part, []):
            del rows[gone]
        rows.update({row["id"]: row for row in change["changed"].get(part, [])})
        new[part] = list(rows.values())
    return new


def sorted_out(board: dict[str, Any]) -> dict[str, Any]:
    return {**board, **{part: sorted(board[part], key=lambda row: str(row["id"])) for part in PARTS}}


async def opened(api: Api) -> tuple[House, str]:
    house = await api.house()
    rows = await api.application.database.fetch("SELECT slug FROM restaurants")
    return house, rows[0]["slug"]


def feeds_of(api: Api) -> Feeds:
    feeds: Feeds = api.app.state.board_feeds
    return feeds


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - what is waited for has no event
            await asyncio.sleep(0.01)


CHANGES: list[LiteralString] = [
    "UPDATE bookings SET party_size = 3 WHERE id = %(booking)s",
    "UPDATE bookings SET notes = 'x' WHERE id = %(booking)s",
    "UPDATE bookings SET status = 'confirmed' WHERE id = %(booking)s",
    "UPDATE bookings SET status = 'confirmed', locked = true WHERE id = %(booking)s",
    "UPDATE bookings SET starts_at = starts_at + interval '3 days' WHERE id = %(booking)s",
    "DELETE FROM bookings WHERE id = %(booking)s",
    """
    INSERT INTO allocations (restaurant_id, table_id, booking_id, period)
    SELECT %(venue)s, min(id), %(booking)s, tstzrange('2030-06-05T12:00Z', '2030-06-05T13:00Z') FROM tables
    """,
    """
    INSERT INTO runs (id, restaurant_id, booking_id, trigger, policy, max_attempts, party_size, due_at)
    VALUES (gen_random_uuid(), %(venue)s, %(booking)s, 'manual', 2, 1, 2, now())
    """,
    "UPDATE tables SET status = 'occupied' WHERE number = 'T1'",
    "UPDATE tables SET capacity = 9 WHERE number = 'T1'",
    "UPDATE restaurants SET name = 'Another' WHERE id = %(venue)s",
]


@pytest.mark.parametrize("change", CHANGES)
async def test_every_change_of_what_a_board_shows_raises_its_version(api: Api, change: LiteralString) -> None:
    house, slug = await opened(api)
    booking = await house.book(2)
    client = await api.client(Role.STAFF, house.restaurant_id)
    url = f"/v1/venues/{slug}/board?date={DAY}"
    before = await client.get(url)
    await api.application.database.fetch(change, {"booking": booking, "venue": house.restaurant_id})
    after = await client.get(url, headers={"If-None-Match": before.headers["etag"]})
    assert after.status_code == 200
    assert after.json()["version"] > before.json()["version"]
    assert {**after.json(), "version": 0} != {**before.json(), "version": 0}


async def test_a_hold_made_extended_and_released_is_on_the_board_each_time(api: Api) -> None:
    house, slug = await opened(api)
    booking = await house.book(2)
    client = await api.client(Role.STAFF, house.restaurant_id)
    url, holds = f"/v1/venues/{slug}/board?date={DAY}", f"/v1/bookings/{booking}/holds"
    seen = [(await client.get(url)).json()]
    held = await client.post(holds, json={"tables": ["T1"]}, headers={"Idempotency-Key": uuid4().hex})
    seen.append((await client.get(url)).json())
    hold = f"{holds}/{held.json()['hold']['id']}"
    await client.patch(hold, json={"ttl_s": 900})
    seen.append((await client.get(url)).json())
    await client.delete(hold)
    seen.append((await client.get(url)).json())
    versions = [board["version"] for board in seen]
    assert versions == sorted(set(versions))
    assert [len(board["holds"]) for board in seen] == [0, 1, 1, 0]
    assert seen[1]["holds"][0]["expires_at"] < seen[2]["holds"][0]["expires_at"]


async def test_the_same_version_is_304_and_another_days_change_is_none(api: Api) -> None:
    house, slug = await opened(api)
    client = await api.client(Role.STAFF, house.restaurant_id)
    await house.book(2)
    url = f"/v1/venues/{slug}/board?date={DAY}"
    etag = (await client.get(url)).headers["etag"]
    await house.book(2, NOON + timedelta(days=5))
    same = await client.get(url, headers={"If-None-Match": f'"other", {etag}'})
    assert (same.status_code, same.content, same.headers["etag"]) == (304, b"", etag)


async def test_a_version_counts_a_transaction_that_commits_late(api: Api) -> None:
    """Two numbers of a sequence can become visible in the other order; how many there are can't stand still."""
    house, slug = await opened(api)
    early, late = await house.book(2), await house.book(2)
    database = api.application.database
    client = await api.client(Role.STAFF, house.restaurant_id)
    url = f"/v1/venues/{slug}/board?date={DAY}"
    versions = [(await client.get(url)).json()["version"]]
    change: LiteralString = "UPDATE bookings SET party_size = party_size + 1 WHERE id = %(id)s"
    async with database.session() as session:
        await session.send([Statement("BEGIN", {}), Statement(change, {"id": early})])
        await asyncio.wait_for(database.fetch(change, {"id": late}), 5)  # nobody waits for the open transaction
        versions.append((await client.get(url)).json()["version"])
        await session.send([Statement("COMMIT", {})])
    versions.append((await client.get(url)).json()["version"])
    assert versions == [versions[0], versions[0] + 1, versions[0] + 2]


rows = st.dictionaries(st.integers(0, 5), st.integers(0, 2), max_size=6)


@given(st.lists(st.fixed_dictionaries(dict.fromkeys(("bookings", "holds", "runs"), rows)), min_size=2, max_size=6))
def test_the_changes_add_up_to_the_board(drawn: list[dict[str, dict[int, int]]]) -> None:
    boards: list[dict[str, Any]] = [
        {
            **dict.fromkeys(("restaurant_id", "slug", "name", "timezone", "date", "complete"), "x"),
            "version": place,
            "tables": [{"id": 1, "status": place % 2}],
            "waiting": [place],
            **{part: [{"id": key, "value": value} for key, value in found.items()] for part, found in parts.items()},
        }
        for place, parts in enumerate(drawn)
    ]
    seen = boards[0]
    for before, after in pairwise(boards):
        change = difference(before, after)
        assert change is not None
        seen = put_together(seen, change)
        assert sorted_out(seen) == sorted_out(after)
        told = [(part, row) for part, found in change["changed"].items() for row in found]
        old = {part: before[part] for part in PARTS}
        assert all(row not in list(old[part]) for part, row in told)


@pytest.mark.parametrize("told_by", ["notify", "polling"])
async def test_who_listens_sees_what_happens_and_it_adds_up(
    database_url: str, told_by: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if told_by == "notify":
        monkeypatch.setattr(feed_module, "_POLL_WHEN_TOLD_S", 300.0)
    async with open_api(database_url, database_pooler=told_by == "polling") as api:
        house, slug = await opened(api)
        base_url = await api.serve()
        client = await api.client(Role.STAFF, house.restaurant_id, base_url=base_url)
        async with listening(client, slug) as events:
            first = await following(events)
            assert first.name == "reload"
            seen = first.data
            if told_by == "notify":
                await until(lambda: feeds_of(api)._hears)
            booking = await house.book(2)
            hold = await client.post(
                f"/v1/bookings/{booking}/holds", json={"tables": ["T1"]}, headers={"Idempotency-Key": uuid4().hex}
            )
            await client.post(f"/v1/bookings/{booking}/holds/{hold.json()['hold']['id']}/confirmation")
            now = (await client.get(f"/v1/venues/{slug}/board?date={DAY}")).json()
            while seen["version"] < now["version"]:
                change = await following(events)
                assert (change.name, change.id) == ("change", change.data["version"])
                seen = put_together(seen, change.data)
            assert sorted_out(seen) == sorted_out(now)


async def test_who_comes_back_with_the_present_version_missed_nothing_and_else_gets_all(api: Api) -> None:
    house, slug = await opened(api)
    client = await api.client(Role.STAFF, house.restaurant_id, base_url=await api.serve())
    async with listening(client, slug) as events:
        version = (await following(events)).id
    await until(lambda: not feeds_of(api).listeners)
    async with listening(client, slug, str(version)) as events:
        await until(lambda: feeds_of(api).listeners == 1)
        await asyncio.sleep(0.2)  # it has looked whether anything was missed
        await house.book(2)
        assert (await following(events)).name == "change"
    for stale in (str(version), "nonsense", "-1", "9" * 90):
        async with listening(client, slug, stale) as events:
            first = await following(events)
            assert (first.name, first.id) == ("reload", version + 1)


async def test_many_share_one_watcher_and_whoever_hangs_up_leaves_nothing(api: Api) -> None:
    house, slug = await opened(api)
    base_url = await api.serve()
    clients = [await api.client(Role.STAFF, house.restaurant_id, base_url=base_url) for _ in range(8)]

    async def one(client: httpx.AsyncClient, ready: asyncio.Event) -> None:
        async with listening(client, slug) as events:
            await following(events)
            ready.set()
            await asyncio.sleep(60)

    ready = [asyncio.Event() for _ in clients]
    tasks = [asyncio.create_task(one(client, each)) for client, each in zip(clients, ready, strict=True)]
    await asyncio.wait_for(asyncio.gather(*(each.wait() for each in ready)), 20)
    feeds = feeds_of(api)
    assert (feeds.listeners, feeds.watchers) == (8, 1)
    for task in tasks:
        task.cancel()  # in the middle of the stream
    await asyncio.wait(tasks)
    await until(lambda: not feeds.listeners and not feeds.watchers)


async def test_listeners_are_bounded(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed_module, "MOST_LISTENERS", 1)
    house, slug = await opened(api)
    client = await api.client(Role.STAFF, house.restaurant_id, base_url=await api.serve())
    async with listening(client, slug) as events:
        await following(events)
        refused = await client.get(f"/v1/venues/{slug}/board/events?date={DAY}")
        assert (refused.status_code, refused.headers["retry-after"]) == (429, "30")


def test_who_does_not_keep_up_is_dropped() -> None:
    listener = Listener()
    told = Told("change", 1, "{}")
    for _ in range(feed_module.MOST_WAITING + 50):
        listener.tell(told)
    assert listener.over
    kept = [listener.queue.get_nowait() for _ in range(listener.queue.qsize())]
    assert kept == [told] * feed_module.MOST_WAITING + [None]


async def test_a_revoked_key_hears_nothing_more(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(day_module, "_LOOK_AGAIN_S", 0.2)
    house, slug = await opened(api)
    client = await api.client(Role.STAFF, house.restaurant_id, base_url=await api.serve())
    async with listening(client, slug) as events:
        await following(events)
        await api.application.database.fetch("UPDATE api_keys SET revoked_at = now()")
        with pytest.raises(StopAsyncIteration):
            await following(events)


async def test_streams_end_with_the_server(database_url: str) -> None:
    async with open_api(database_url) as api:
        house, slug = await opened(api)
        client = await api.client(Role.STAFF, house.restaurant_id, base_url=await api.serve())
        stream = listening(client, slug)
        await following(await stream.__aenter__())
        # the server is asked to stop while the stream is open: leaving must not wait for the client
        await asyncio.wait_for(api.stack.aclose(), 25)
