"""Quotes on a real database, decided again from what is kept of them."""

from __future__ import annotations

import asyncio
import base64
import json
import random
import zlib
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import Any, LiteralString, TypedDict
from uuid import UUID, uuid4

import pytest
from psycopg.types.json import Jsonb
from pydantic import SecretStr
from rich.console import Console

from maitred.auto_assign.day import assign_in_order
from maitred.booking.question import Strategy
from maitred.booking.quote import quote_tables_for_booking
from maitred.bootstrap import open_application
from maitred.cli.replay_report import render, to_json
from maitred.demo.reference import demo_day
from maitred.demo.run import run_demo
from maitred.errors import NotFound
from maitred.model.policy import Service
from maitred.model.reason import ReasonCode
from maitred.observability.recorder import Recorder
from maitred.planner.answer import Ranked, Refused
from maitred.planner.planner import Planner
from maitred.replay import quotes as quotes_module
from maitred.replay.decide import Change
from maitred.replay.quotes import find_booking, find_restaurant, pages_of_quotes
from maitred.replay.record import outcome_of, read_record
from maitred.replay.replay import NO_RECORD, NO_VERSION, NOT_PLANNED, UNREADABLE, Replayed, replay
from maitred.replay.versions import VersionKey, forget_versions, load_and_keep_venue, read_versions
from maitred.replay.what_if import Verdict, WhatIf, what_if
from maitred.settings import Settings
from maitred.storage.database import Database, Statement
from maitred.venue.read import load_venue
from maitred.venue.store import import_day
from tests.house import House, at_dawn, build_house
from tests.replay.weeks import Keeping, Week


class Span(TypedDict):
    since: datetime
    until: datetime


ALL: Span = {"since": datetime(1970, 1, 1, tzinfo=UTC), "until": datetime(2200, 1, 1, tzinfo=UTC)}


@asynccontextmanager
async def recording(url: str) -> AsyncIterator[Recorder]:
    """A recorder whose events are all in the table at the end."""
    recorder = Recorder(url, queue_size=100_000)
    await recorder.start()
    try:
        yield recorder
        assert await recorder.flush(30)
    finally:
        await recorder.close()


@asynccontextmanager
async def recorded_house(
    database: Database, url: str, capacities: tuple[int, ...] = (2, 2, 4, 4, 6)
) -> AsyncIterator[House]:
    """A house whose events go into the table."""
    house = await build_house(database, capacities)
    async with recording(url) as recorder:
        house.desk = replace(house.desk, events=recorder)
        yield house


async def quote(house: House, booking_id: UUID, **strategy: Any) -> None:
    await quote_tables_for_booking(
        house.desk, booking_id, now=at_dawn, ttl_s=180, trigger="loop", strategy=Strategy(**strategy)
    )


def shown(found: Replayed | WhatIf) -> str:
    console = Console(width=200, file=StringIO())
    console.print(render(found))
    assert isinstance(console.file, StringIO)
    return console.file.getvalue()


async def test_every_quote_of_the_demos_day_is_decided_again_identically(database_url: str) -> None:
    async with open_application(Settings(database_url=SecretStr(database_url))) as app:
        await run_demo(app, console=Console(width=120, file=StringIO()))
        found = await replay(app.database, **ALL)
    assert (found.quotes, found.decided, found.identical, found.differences) == (117, 117, 117, [])
    assert found.left_out == Counter()
    assert "117 plannings of 117 quotes decided again: all identical." in shown(found)
    assert to_json(found)["different"] == 0


@pytest.mark.parametrize("seed", range(6))
async def test_every_quote_of_a_random_week_is_decided_again_identically(
    database: Database, database_url: str, seed: int
) -> None:
    async with recording(database_url) as recorder:
        keeping = Keeping(recorder)
        weeks = [Week(database, keeping, random.Random(seed * 10 + n), f"week-{n}", 60) for n in range(2)]
        await asyncio.gather(*(week.live() for week in weeks))
    found = await replay(database, **ALL)
    assert found.quotes == sum(len(week.quotes) for week in weeks) == 120
    assert found.differences == []
    assert found.decided == found.identical >= 120
    assert found.left_out == Counter()

    # and from what is kept, nothing else at hand, the planner says all that it had said, plan by plan, term by term
    async for page in pages_of_quotes(database, **ALL):
        for each in page:
            assert each.record is not None
            assert each.restaurant_id is not None
            decisions = keeping.decisions[each.event_id]
            for recorded, decision in zip(read_record(each.record), decisions, strict=True):
                key = VersionKey(each.restaurant_id, recorded.policy_version, recorded.floor_version)
                venue = (await read_versions(database, [key]))[key]
                assert venue == decision.venue
                assert recorded.outcome == outcome_of(decision.answer)
                if recorded.asked is not None:
                    asked = recorded.asked.request(recorded.party, venue.floor)
                    assert Planner(venue.floor, venue.policy.scoring).answer(asked) == decision.answer


async def test_the_random_weeks_have_in_them_what_could_go_wrong(database: Database, database_url: str) -> None:
    async with recording(database_url) as recorder:
        keeping = Keeping(recorder)
        for seed in range(6):
            for n in range(2):
                await Week(database, keeping, random.Random(seed * 10 + n), f"week-{seed}-{n}", 60).live()
    seen: Counter[str] = Counter()
    for decisions in keeping.decisions.values():
        seen["planned again"] += len(decisions) > 1
        for each in decisions:
            if isinstance(each.answer, Ranked):
                seen["several tables"] += len(each.answer.best.table_ids) > 1
                seen["relaxed"] += bool(each.answer.relaxed)
                seen["look-ahead cost"] += each.answer.best.score.future_conflict > 0
            else:
                seen[str(each.answer.reason if isinstance(each.answer, Refused) else each.answer)] += 1
            seen["others waiting"] += each.request is not None and bool(each.request.upcoming)
            seen["in one zone"] += each.request is not None and each.request.zone_id is not None
    versions = await database.fetch("SELECT count(*) AS n FROM venue_versions")
    assert versions[0]["n"] > 30
    for what in (
        "several tables",
        "relaxed",
        "look-ahead cost",
        "others waiting",
        "in one zone",
        *(reason.value for reason in (ReasonCode.NO_CAPACITY, ReasonCode.GLOBAL_CAPACITY, ReasonCode.OUTSIDE_SERVICE)),
        ReasonCode.NO_SUITABLE_TABLES.value,
    ):
        assert seen[what] > 3, (what, seen)


async def test_a_lost_race_leaves_both_plannings(database: Database, database_url: str) -> None:
    async with recorded_house(database, database_url, (2, 2, 2, 2, 2, 2, 2, 2)) as house:
        bookings = await house.book_many([2] * 8)
        await asyncio.gather(*(quote(house, booking_id) for booking_id in bookings))
    counts: Counter[int] = Counter()
    async for page in pages_of_quotes(database, **ALL):
        counts.update(len(read_record(each.record)) for each in page if each.record is not None)
    assert max(counts) > 1, "nobody was beaten to a table"
    found = await replay(database, **ALL)
    assert found.decided == found.identical == sum(plannings * n for plannings, n in counts.items())


async def tamper(database: Database, change: Any) -> None:
    """Rewrites every record's last planning, as if other code had decided it."""
    rows = await database.fetch(
        "SELECT id, context->>'planner_record' AS record FROM observability_events"
        " WHERE context->>'planner_record' IS NOT NULL"
    )
    for row in rows:
        kept = json.loads(zlib.decompress(base64.b64decode(row["record"])))
        change(kept[-1])
        packed = base64.b64encode(zlib.compress(json.dumps(kept).encode())).decode()
        sql: LiteralString = "UPDATE observability_events SET context = context || %(changed)s WHERE id = %(id)s"
        await database.fetch(sql, {"id": row["id"], "changed": Jsonb({"planner_record": packed, "release": "0.0.9"})})


def other_total(kept: dict[str, Any]) -> None:
    kept["plans"][0][0] += 1


def other_term(kept: dict[str, Any]) -> None:
    kept["scores"][0][0] += 0.1


def other_tables(kept: dict[str, Any]) -> None:
    kept["plans"][0], kept["plans"][1] = kept["plans"][1], kept["plans"][0]


def other_end(kept: dict[str, Any]) -> None:
    kept["plans"].pop()


def no_plans(kept: dict[str, Any]) -> None:
    del kept["plans"], kept["scores"]
    kept["reason"] = "hard.no_capacity"


def relaxed(kept: dict[str, Any]) -> None:
    kept["relaxed"] = ["overage"]


def cut_short(kept: dict[str, Any]) -> None:
    kept["exact"] = False


def other_window(kept: dict[str, Any]) -> None:
    kept["blocked"][1] += 60_000_000


@pytest.mark.parametrize(
    ("change", "changes"),
    [
        (other_total, {Change.SCORE}),
        (other_term, {Change.SCORE}),
        (other_tables, {Change.TABLES, Change.RANKING}),
        (other_end, {Change.RANKING}),
        (no_plans, {Change.SEATED, Change.REASON}),
        (relaxed, {Change.RELAXED}),
        (cut_short, {Change.EXACT}),
        (other_window, {Change.WINDOW}),
    ],
)
async def test_what_this_code_decides_otherwise_is_reported_with_the_release_that_decided_then(
    database: Database, database_url: str, change: Any, changes: set[Change]
) -> None:
    async with recorded_house(database, database_url) as house:
        booking_id = await house.book(2)
        await quote(house, booking_id)
    await tamper(database, change)
    found = await replay(database, **ALL)
    [difference] = found.differences
    assert difference.changes == changes
    assert found.different == 1
    assert found.releases == Counter({"0.0.9": 1})
    text = shown(found)
    assert "1 decided otherwise by release" in text
    assert "0.0.9" in text
    [told] = to_json(found)["differences"]
    assert told["changes"] == sorted(changes)
    assert told["booking_id"] == str(booking_id)
    assert told["now"]["plans"][0]["tables"] == ["T1"]


async def test_quotes_under_an_older_version_are_decided_by_that_version(database: Database, database_url: str) -> None:
    async with recorded_house(database, database_url) as house:
        await quote(house, await house.book(2))
        await database.fetch("UPDATE tables SET capacity = 9 WHERE number = 'T1'")
        await database.fetch("""UPDATE restaurants SET scoring = '{"max_overage": 0}'""")
        await quote(house, await house.book(2))
    found = await replay(database, **ALL)
    assert (found.decided, found.identical) == (2, 2)
    versions = await database.fetch("SELECT policy_version, floor_version FROM venue_versions")
    assert len(versions) == 2


async def test_a_booking_alone_can_be_replayed_and_one_restaurant_too(database: Database, database_url: str) -> None:
    async with recorded_house(database, database_url) as house, recorded_house(database, database_url) as other:
        booking_id = await house.book(2)
        for where, which in ((house, booking_id), (house, booking_id), (other, await other.book(2))):
            await quote(where, which)
    assert (await replay(database, **ALL)).decided == 3
    assert (await replay(database, **ALL, booking_id=booking_id)).decided == 2
    assert (await replay(database, **ALL, restaurant_id=other.restaurant_id)).decided == 1
    assert (await replay(database, since=datetime.now(UTC) + timedelta(hours=1), until=ALL["until"])).quotes == 0


async def test_pages_come_in_order_and_leave_nothing_out(
    database: Database, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with recorded_house(database, database_url) as house:
        for _ in range(23):
            await quote(house, await house.book(1))
    await database.fetch(
        "UPDATE observability_events SET created_at = date_trunc('second', created_at) - interval '1 hour'"
    )  # many at one moment
    monkeypatch.setattr(quotes_module, "PAGE", 7)
    pages = [page async for page in pages_of_quotes(database, **ALL)]
    assert [len(page) for page in pages] == [7, 7, 7, 2]
    flat = [(each.at, each.event_id) for page in pages for each in page]
    assert flat == sorted(flat)
    assert len(set(flat)) == 23
    assert (await replay(database, **ALL)).identical == 23


async def test_what_cannot_be_decided_again_is_counted_by_reason(database: Database, database_url: str) -> None:
    async with recorded_house(database, database_url) as house:
        past, good, old, damaged, forgotten = await house.book_many([2, 2, 2, 2, 2])
        await database.fetch(
            "UPDATE bookings SET starts_at = %(dawn)s WHERE id = %(id)s", {"dawn": at_dawn(), "id": past}
        )
        for booking_id in (past, good, old, damaged):
            await quote(house, booking_id)
        with pytest.raises(NotFound):
            await quote(house, uuid4())
        await database.fetch("UPDATE restaurants SET scoring = '{}', timezone = 'Europe/London'")
        await quote(house, forgotten)
    for booking_id, value in ((old, None), (damaged, "AAAA")):
        await database.fetch(
            "UPDATE observability_events SET context = context || %(changed)s WHERE booking_id = %(id)s",
            {"changed": Jsonb({"planner_record": value}), "id": booking_id},
        )
    await database.fetch(
        "DELETE FROM venue_versions WHERE policy_version = (SELECT max(policy_version) FROM venue_versions)"
    )
    found = await replay(database, **ALL)
    assert (found.quotes, found.decided, found.identical) == (6, 1, 1)
    assert found.left_out == {NO_RECORD: 2, UNREADABLE: 1, NO_VERSION: 1, NOT_PLANNED: 1}
    assert shown(found).count("Left out:") == 4


async def test_the_policy_that_was_changes_nothing(database_url: str) -> None:
    async with open_application(Settings(database_url=SecretStr(database_url))) as app:
        await run_demo(app, console=Console(width=120, file=StringIO()))
        found = await what_if(app.database, demo_day().policy, **ALL)
    assert found.verdicts == {Verdict.SAME: 117}
    assert len(found.found_by_own) == len(found.found_by_other) == 69
    assert (found.otherwise, found.other_windows, found.other_lookahead, found.drifted) == ([], 0, 0, 0)
    assert all(own == other for own, other in found.scores)


async def test_another_policy_tells_what_it_would_have_changed(database: Database, database_url: str) -> None:
    async with recorded_house(database, database_url, (2, 2, 4, 4)) as house:
        two, seven, three = await house.book(2), await house.book(7), await house.book(3)
        # 2 at a table for 2; 7 at the two for 4 together; 3 find nothing
        for booking_id in (two, seven, three):
            await quote(house, booking_id)
    own = (await load_venue(database, house.restaurant_id)).policy
    alone = replace(own, scoring=replace(own.scoring, max_tables=1))
    found = await what_if(database, alone, **ALL)
    assert found.verdicts == {Verdict.SAME: 2, Verdict.NO_LONGER: 1}
    [otherwise] = found.otherwise
    assert otherwise.planning.quote.booking_id == seven
    assert otherwise.other.outcome is not None
    assert otherwise.other.outcome.reason is ReasonCode.MAX_TABLES
    assert (found.found_by_own, found.found_by_other) == ({two, seven}, {two})
    assert "none where there were tables" in shown(found)
    assert to_json(found)["verdicts"]["no_longer_found"] == 1


async def test_a_policy_with_other_hours_says_that_the_room_is_as_it_was_recorded(
    database: Database, database_url: str
) -> None:
    async with recorded_house(database, database_url) as house:
        for _ in range(3):
            await quote(house, await house.book(2))
    own = (await load_venue(database, house.restaurant_id)).policy
    longer = replace(own, services=(replace(own.services[0], buffer_after_min=30),))
    found = await what_if(database, longer, **ALL)
    assert (found.verdicts, found.other_windows) == ({Verdict.SAME: 3}, 3)
    assert "want their tables for another time" in shown(found)

    closed = Service(
        "night",
        own.services[0].starts.replace(hour=2),
        own.services[0].ends.replace(hour=3),
        own.services[0].turn_bands,
    )
    refusing = replace(own, services=(closed,), outside=type(own.outside)("refuse"))
    found = await what_if(database, refusing, **ALL)
    assert found.verdicts == {Verdict.NO_LONGER: 3}


async def test_reading_a_venue_to_plan_by_keeps_it_word_for_word(database: Database) -> None:
    imported = await import_day(database, demo_day())
    venues = await asyncio.gather(*(load_and_keep_venue(database, imported.restaurant_id) for _ in range(8)))
    kept = await database.fetch("SELECT restaurant_id, policy_version, floor_version FROM venue_versions")
    key = VersionKey(imported.restaurant_id, venues[0].policy_version, venues[0].floor_version)
    assert [VersionKey(**row) for row in kept] == [key]
    assert all(venue == venues[0] for venue in venues)
    assert await load_venue(database, imported.restaurant_id) == venues[0]
    assert (await read_versions(database, [key, VersionKey(uuid4(), 1, 1)])) == {key: venues[0]}
    with pytest.raises(NotFound):
        await load_and_keep_venue(database, uuid4())


async def test_a_restaurant_that_is_removed_while_it_is_read_is_not_found(database: Database) -> None:
    house = await build_house(database)
    async with database.session() as session:
        remove = Statement("DELETE FROM restaurants WHERE id = %(id)s", {"id": house.restaurant_id})
        await session.send([Statement("BEGIN", {}), remove])
        loading = asyncio.create_task(load_and_keep_venue(database, house.restaurant_id))
        waiting: LiteralString = "SELECT 1 AS one FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
        async with asyncio.timeout(60):
            while not await database.fetch(waiting):  # noqa: ASYNC110 - it waits on the other side of a wire
                await asyncio.sleep(0.01)
        await session.send([Statement("COMMIT", {})])
    with pytest.raises(NotFound):
        await loading


async def test_versions_go_with_their_restaurant_and_when_no_kept_quote_can_be_under_them(database: Database) -> None:
    house = await build_house(database)
    for minutes in (80, 85, 95):
        await database.fetch("UPDATE turn_bands SET minutes = %(minutes)s", {"minutes": minutes})
        await load_and_keep_venue(database, house.restaurant_id)
    now = datetime.now(UTC)
    ages: LiteralString = (
        "UPDATE venue_versions v SET seen_at = %(now)s - n * interval '1 day' FROM (SELECT policy_version,"
        " row_number() OVER (ORDER BY policy_version DESC) AS n FROM venue_versions) a USING (policy_version)"
    )
    await database.fetch(
        ages.replace(" USING (policy_version)", " WHERE a.policy_version = v.policy_version"), {"now": now}
    )
    # seen 3, 2 and 1 days ago: the first was in use until 2 days ago, the second until 1 day ago
    assert await forget_versions(database, now - timedelta(days=2, hours=1)) == 0
    assert await forget_versions(database, now - timedelta(days=1, hours=12)) == 1
    assert await forget_versions(database, now) == 1
    assert await forget_versions(database, now) == 0
    await database.fetch("DELETE FROM restaurants")
    assert await database.fetch("SELECT 1 AS one FROM venue_versions") == []


async def test_bookings_are_found_by_reference_or_id_and_restaurants_by_slug(database: Database) -> None:
    imported = await import_day(database, demo_day())
    booking_id = await find_booking(database, "B042", None)
    assert await find_booking(database, str(booking_id), demo_day().slug) == booking_id
    assert await find_restaurant(database, demo_day().slug) == imported.restaurant_id
    with pytest.raises(NotFound):
        await find_booking(database, "B999", None)
    with pytest.raises(NotFound):
        await find_restaurant(database, "nowhere")


async def test_a_whole_day_by_eight_workers_is_decided_again_identically(database: Database, database_url: str) -> None:
    imported = await import_day(database, demo_day())
    rows = await database.fetch("SELECT id FROM bookings ORDER BY starts_at, reference")
    async with recording(database_url) as recorder:
        house = House(database, imported.restaurant_id, {})
        desk = replace(house.desk, events=recorder)
        await assign_in_order(
            desk, [row["id"] for row in rows], now=lambda: datetime(2025, 11, 5, tzinfo=UTC), trigger="loop", workers=8
        )
    found = await replay(database, **ALL)
    assert found.quotes == 117
    assert found.decided == found.identical >= 117
