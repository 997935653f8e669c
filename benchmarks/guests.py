"""Bookings over HTTP, created to confirmed: how fast, how many, from how far away. Client, server and database are
processes of their own; the database is an embedded server that keeps every commit on disk.

    python -m benchmarks.guests [--seconds 10] [--servers 1]

- `at_50_per_s`: bookings at a steady pace, whatever the answers take; milliseconds from the request to its answer.
- `most`: as many as go, over several venues and days, in turns with pgbench's standard script (TPC-B like, so many
  clients) on the same database server: other work on the machine meets both. `per_transaction` is the share of its
  transactions/s that confirmed bookings/s reach: the median of the turns, and the middle half of them.
- `far_away`: the same pace, less of it, with the database 40 ms away; `delays_p95` counts those.
- `one_evening`: 200 clients, each creating bookings for the same evening at one venue.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import quantiles
from typing import Any
from uuid import UUID, uuid4

from psycopg.conninfo import conninfo_to_dict, make_conninfo

from benchmarks.day import DOUBLE_BOOKINGS, pgbench, spread
from maitred.http.keys import create_key
from maitred.http.role import Role
from maitred.storage import schema
from maitred.storage.database import Database
from maitred.storage.embedded import EmbeddedServer

DELAY_S = 0.040
VENUES = 6
DAYS = 60
CLIENTS = 200
BOOKING_CLIENTS, PGBENCH_CLIENTS, TURN_S = 16, 8, 2
OPENS, SLOTS = 12, 32
_NOON = datetime.now(UTC).replace(hour=OPENS, minute=0, second=0, microsecond=0) + timedelta(days=2)


@dataclass(frozen=True)
class Answer:
    """One answer, and how long it took from the moment it was due to be asked."""

    status: int
    body: dict[str, Any]
    ms: float

    @property
    def confirmed(self) -> bool:
        return self.body.get("status") == "confirmed"


class Client:
    """One connection, kept open. As little of a client as will do: the machine is the server's."""

    def __init__(self, port: int, key: str) -> None:
        self._port = port
        self._head = (
            f"POST /v1/bookings HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {key}\r\n"
            "Content-Type: application/json\r\n"
        )
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def book(self, restaurant_id: UUID, party: int, starts_at: datetime, due: float) -> Answer:
        if self._streams is None:
            self._streams = await asyncio.open_connection("127.0.0.1", self._port)
        reader, writer = self._streams
        body = json.dumps({"restaurant_id": str(restaurant_id), "party": party, "starts_at": starts_at.isoformat()})
        writer.write(
            f"{self._head}Idempotency-Key: {uuid4().hex}\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()
        )
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        length = next(
            int(line.partition(":")[2]) for line in head.split("\r\n") if line.lower().startswith("content-length")
        )
        answer = json.loads(await reader.readexactly(length))
        return Answer(int(head[9:12]), answer, (time.perf_counter() - due) * 1000)


def wishes(venues: list[UUID], seed: int) -> Iterator[tuple[UUID, int, datetime]]:
    """Small parties over many days, so that nearly all of them fit."""
    draw = random.Random(seed)
    while True:
        when = _NOON + timedelta(days=draw.randrange(DAYS), minutes=15 * draw.randrange(SLOTS))
        yield draw.choice(venues), draw.choice((2, 2, 2, 3, 4, 4)), when


async def at_a_pace(port: int, key: str, venues: list[UUID], per_s: float, seconds: float, seed: int) -> list[Answer]:
    """Bookings at this pace: one that is late is late, and the next one is asked for all the same."""
    free: list[Client] = []
    bookings = wishes(venues, seed)
    began = time.perf_counter() + 0.2

    async def one(due: float) -> Answer:
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        client = free.pop() if free else Client(port, key)
        answer = await client.book(*next(bookings), due)
        free.append(client)
        return answer

    return await asyncio.gather(*(one(began + n / per_s) for n in range(round(per_s * seconds))))


async def as_many_as_go(
    port_of: list[int], key: str, venues: list[UUID], clients: int, seconds: float, seed: int
) -> list[Answer]:
    """So many connections, each asking for the next booking as soon as it has its answer."""
    bookings = wishes(venues, seed)
    until = time.perf_counter() + seconds

    async def one(number: int) -> list[Answer]:
        client, answers = Client(port_of[number % len(port_of)], key), []
        while time.perf_counter() < until:
            answers.append(await client.book(*next(bookings), time.perf_counter()))
        return answers

    return [answer for answers in await asyncio.gather(*(one(n) for n in range(clients))) for answer in answers]


async def one_evening(port: int, key: str, venue: UUID, each: int) -> list[Answer]:
    """200 connections at once, each with so many bookings for the same evening."""
    draw = random.Random(1)

    async def one() -> list[Answer]:
        client = Client(port, key)
        return [
            await client.book(
                venue,
                draw.choice((2, 2, 3, 4, 4, 5, 6)),
                _NOON + timedelta(hours=6, minutes=15 * draw.randrange(12)),
                time.perf_counter(),
            )
            for _ in range(each)
        ]

    return [answer for answers in await asyncio.gather(*(one() for _ in range(CLIENTS))) for answer in answers]


def told(answers: list[Answer], seconds: float | None = None) -> dict[str, Any]:
    """The figures of one run."""
    confirmed = [answer for answer in answers if answer.confirmed]
    reasons = Counter(answer.body["waiting"]["reason"] for answer in answers if answer.body.get("waiting"))
    return {
        "requests": len(answers),
        "statuses": dict(Counter(str(answer.status) for answer in answers)),
        "confirmed": len(confirmed),
        "waiting_because": dict(reasons),
        "ms": spread([answer.ms for answer in answers]),
        **({} if seconds is None else {"confirmed_per_s": round(len(confirmed) / seconds, 1)}),
    }


async def build_venues(database: Database) -> list[UUID]:
    """Venues of 60 tables each, served from noon to half past eleven."""
    venues = []
    for number in range(VENUES):
        rows = await database.fetch(
            "INSERT INTO restaurants (slug, name, timezone) VALUES (%(slug)s, 'Bench', 'UTC') RETURNING id",
            {"slug": f"bench-{number}"},
        )
        venue = rows[0]["id"]
        await database.fetch(
            """
            WITH zone AS (INSERT INTO zones (restaurant_id, name) VALUES (%(id)s, 'Hall') RETURNING id),
                 served AS (
                INSERT INTO services (restaurant_id, key, position, starts, ends, buffer_after_min, allow_overrun)
                VALUES (%(id)s, 'all_day', 0, '11:00', '23:30', 0, true) RETURNING id),
                 bands AS (INSERT INTO turn_bands (service_id, up_to_party, minutes) SELECT id, 20, 90 FROM served)
            INSERT INTO tables (restaurant_id, zone_id, number, capacity)
            SELECT %(id)s, zone.id, 'T' || n, CASE WHEN n <= 24 THEN 2 WHEN n <= 50 THEN 4 ELSE 6 END
              FROM zone, generate_series(1, 60) n
            """,
            {"id": venue},
        )
        await database.fetch(
            "INSERT INTO table_adjacency (restaurant_id, table_a, table_b)"
            " SELECT restaurant_id, id, next FROM (SELECT restaurant_id, id, lead(id) OVER (ORDER BY id) AS next"
            "   FROM tables WHERE restaurant_id = %(id)s) t WHERE next IS NOT NULL",
            {"id": venue},
        )
        venues.append(venue)
    return venues


@contextmanager
def server(url: str, **settings: object) -> Iterator[int]:
    """`maitred serve` as a process of its own; gives its port."""
    environment = {
        **os.environ,
        "MAITRED_DATABASE_URL": url,
        "MAITRED_HTTP_RATE_PER_S": "0",
        "MAITRED_MESSAGES_SUPPRESSED": "true",
        **{name: str(value) for name, value in settings.items()},
    }
    command = [sys.executable, "-m", "maitred", "serve", "--port", "0"]
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            yield int(line.rpartition(":")[2].split()[0])
        finally:
            process.terminate()
            process.wait(30)


@contextmanager
def far_away(url: str) -> Iterator[str]:
    """The same database behind a delay."""
    there = conninfo_to_dict(url)
    command = [
        sys.executable,
        "-m",
        "benchmarks._delay",
        str(there["host"]),
        str(there.get("port", 5432)),
        str(DELAY_S),
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            port = int(process.stdout.readline())
            yield make_conninfo(url, host="127.0.0.1", port=port, sslmode="disable")
        finally:
            process.terminate()
            process.wait(10)


async def prepare(url: str) -> tuple[list[UUID], str]:
    """Venues, and a key for all of them."""
    database = Database(url)
    await database.open()
    try:
        venues = await build_venues(database)
        _, key = await create_key(database, name="bench", role=Role.GUEST_SITE, every_venue=True)
        return venues, key
    finally:
        await database.close()


async def overlaps(url: str) -> int:
    """Tables that two parties have at the same moment."""
    database = Database(url)
    await database.open()
    try:
        return int((await database.fetch(DOUBLE_BOOKINGS))[0]["n"])
    finally:
        await database.close()


def measure(seconds: float, servers: int) -> dict[str, Any]:
    """All of it, on a database that exists only for this."""
    base = Path(tempfile.mkdtemp(prefix="maitred-bench-"))
    base.chmod(0o711)
    embedded = EmbeddedServer(base / "server")
    found: dict[str, Any] = {"benchmark": "guests", "servers": servers, "load_before": os.getloadavg()}
    try:
        url = embedded.start()
        schema.upgrade(url)
        venues, key = asyncio.run(prepare(url))
        with server(url) as port:
            asyncio.run(at_a_pace(port, key, venues, 20, 2, 0))  # connections and plans are made
            found["at_50_per_s"] = told(asyncio.run(at_a_pace(port, key, venues, 50, seconds, 1)))
        with several(url, servers) as ports:
            found["most"] = in_turns(url, ports, key, venues, max(4, round(seconds / TURN_S)))
        with far_away(url) as distant, server(distant) as port:
            asyncio.run(at_a_pace(port, key, venues, 20, 4, 4))  # connections are opened from afar too
            away = told(asyncio.run(at_a_pace(port, key, venues, 20, seconds, 5)))
            found["far_away"] = {**away, "delays_p95": round(away["ms"]["p95"] / (DELAY_S * 1000), 2)}
        with server(url) as port:
            began = time.perf_counter()
            evening = told(asyncio.run(one_evening(port, key, venues[0], 2)))
            found["one_evening"] = {
                **evening,
                "clients": CLIENTS,
                "seconds": round(time.perf_counter() - began, 2),
            }
        found["overlaps"] = asyncio.run(overlaps(url))
        found["load_after"] = os.getloadavg()
    finally:
        embedded.release()
        embedded.remove()
        shutil.rmtree(base, ignore_errors=True)
    return found


def in_turns(url: str, ports: list[int], key: str, venues: list[UUID], turns: int) -> dict[str, Any]:
    """Bookings and pgbench by turns, each for a few seconds."""
    clients = BOOKING_CLIENTS * len(ports)
    pgbench(url, PGBENCH_CLIENTS, TURN_S)
    asyncio.run(as_many_as_go(ports, key, venues, clients, TURN_S, 2))
    answers, per_s, tps = [], [], []
    for turn in range(turns):
        tps.append(pgbench(url, PGBENCH_CLIENTS, TURN_S, prepare=False))
        began = time.perf_counter()
        some = asyncio.run(as_many_as_go(ports, key, venues, clients, TURN_S, 10 + turn))
        per_s.append(sum(answer.confirmed for answer in some) / (time.perf_counter() - began))
        answers += some
    shares = sorted(mine / its for mine, its in zip(per_s, tps, strict=True))
    low, middle, high = quantiles(shares, n=4, method="inclusive")
    return {
        **told(answers),
        "clients": clients,
        "turns": turns,
        "confirmed_per_s": [round(each, 1) for each in per_s],
        "pgbench": {"clients": PGBENCH_CLIENTS, "tps": [round(each, 1) for each in tps]},
        "per_transaction": {"median": round(middle, 3), "middle_half": [round(low, 3), round(high, 3)]},
        "load": os.getloadavg(),
    }


@contextmanager
def several(url: str, servers: int) -> Iterator[list[int]]:
    """So many servers at once."""
    if not servers:
        yield []
        return
    with server(url) as port, several(url, servers - 1) as more:
        yield [port, *more]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--servers", type=int, default=1)
    given = parser.parse_args()
    json.dump(measure(given.seconds, given.servers), sys.stdout, indent=1)
    print()


if __name__ == "__main__":
    main()
