"""What operators do while guests are booking: nothing that was promised is lost."""

from __future__ import annotations

import asyncio
import threading
from datetime import UTC, datetime, timedelta
from uuid import uuid4
from zoneinfo import ZoneInfo

import psycopg
import pytest

from maitred.http.role import Role
from maitred.venue import csv_import
from maitred.venue.csv_sheets import Read, Sheet, read_sheet
from tests.http.conftest import Api


async def test_a_booking_being_made_while_its_venue_is_deleted_keeps_the_venue(api: Api, database_url: str) -> None:
    house = await api.house()
    client = await api.client(Role.OPERATOR)
    [venue] = (await client.get("/v1/venues")).json()["venues"]
    async with await psycopg.AsyncConnection.connect(database_url) as guest:
        await guest.execute(
            "INSERT INTO bookings (restaurant_id, reference, party_size, starts_at) VALUES (%s, 'LATE', 2, %s)",
            (house.restaurant_id, datetime.now(UTC) + timedelta(days=1)),
        )
        removing = asyncio.create_task(client.delete(f"/v1/venues/{venue['slug']}", headers={"If-Match": "*"}))
        await waits_for_a_lock(api)
        await guest.commit()
    answer = await removing
    assert (answer.status_code, answer.json()["field"]) == (422, "bookings")
    assert (await house.database.fetch("SELECT reference FROM bookings")) == [{"reference": "LATE"}]


async def test_a_booking_that_comes_while_its_venue_is_being_deleted_finds_none(api: Api, database_url: str) -> None:
    house = await api.house()
    client = await api.client(Role.OPERATOR)
    async with await psycopg.AsyncConnection.connect(database_url) as remover:
        await remover.execute("SELECT FROM restaurants WHERE id = %s FOR UPDATE", (house.restaurant_id,))
        body = {
            "restaurant_id": str(house.restaurant_id),
            "party": 2,
            "starts_at": (datetime.now(UTC) + timedelta(days=1)).isoformat(),
        }
        booking = asyncio.create_task(client.post("/v1/bookings", json=body, headers={"Idempotency-Key": uuid4().hex}))
        await waits_for_a_lock(api)
        await remover.execute("DELETE FROM restaurants WHERE id = %s", (house.restaurant_id,))
        await remover.commit()
    answer = await booking
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found"), answer.text


async def waits_for_a_lock(api: Api) -> None:
    for _ in range(200):
        if await api.application.database.fetch(
            "SELECT 1 AS one FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        ):
            return
        await asyncio.sleep(0.02)
    raise AssertionError("nobody waits for a lock")


async def test_a_file_is_read_beside_the_loop_and_before_the_venue_is_locked(
    api: Api, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await api.house()
    client = await api.client(Role.OPERATOR)
    [venue] = (await client.get("/v1/venues")).json()["venues"]
    seen: list[tuple[bool, int]] = []

    def read(sheet: Sheet, content: bytes, zone: ZoneInfo) -> Read:
        with psycopg.connect(database_url) as connection:
            [locks] = connection.execute(
                "SELECT count(*) FROM pg_locks WHERE relation = 'restaurants'::regclass AND mode = 'RowShareLock'"
            ).fetchone() or [0]
        seen.append((threading.current_thread() is threading.main_thread(), locks))
        return read_sheet(sheet, content, zone)

    monkeypatch.setattr(csv_import, "read_sheet", read)
    answer = await client.post(
        f"/v1/venues/{venue['slug']}/imports",
        content="reference,date,time,party_size\nA1,2030-06-05,19:00,2\n",
        headers={"Content-Type": "text/csv"},
    )
    assert answer.status_code == 200, answer.text
    assert answer.json()["added"]["bookings"] == 1
    assert seen == [(False, 0)]
