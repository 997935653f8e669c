"""The whole interface against its own OpenAPI document: `python -m tests.http.contract --cases 10000`.

schemathesis makes requests that the document allows and such as it forbids, follows links from answer to request, and
holds every answer against the document. It talks to a real server on loopback, on a fresh database with a venue,
bookings, holds and keys. With as many cases as asked for and not one finding the command ends with 0.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import re
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import structlog
from psycopg import sql
from psycopg.conninfo import make_conninfo

from maitred.http.keys import list_keys
from maitred.http.role import Role
from maitred.storage import schema
from maitred.storage.embedded import EmbeddedServer
from tests.http.conftest import Api, open_api
from tests.http.contract_hooks import KNOWN

UNBOUND = {"http_rate_per_s": 100_000, "http_rate_burst": 1_000_000, "hold_rate_burst": 10_000}

_CONFIG = """
[checks.positive_data_acceptance]
# What the schema can't say is told by 409, 412, 422: a date that has passed, a slug that is taken, an old version.
expected-statuses = ["2xx", "304", "401", "403", "404", "409", "412", "415", "422", "428"]
[checks.missing_required_header]
expected-statuses = ["400", "401", "403", "404", "409", "412", "415", "422", "428"]
[checks.negative_data_rejection]
expected-statuses = ["400", "401", "403", "404", "405", "406", "409", "412", "413", "414", "415", "422", "428", "429"]
"""


@dataclass(frozen=True)
class Ran:
    """How many requests there were, and what was found, in schemathesis' words."""

    cases: int
    findings: int
    words: str


async def furnish(api: Api) -> tuple[str, dict[str, list[str]]]:
    """A venue with bookings and tables; gives an operator's key and the names of all that is there."""
    house = await api.house((2, 2, 4, 4, 6, 8))
    rows = await house.database.fetch(
        "SELECT r.slug, (SELECT array_agg(id) FROM zones) AS zones FROM restaurants r WHERE r.id = %(id)s",
        {"id": house.restaurant_id},
    )
    client = await api.client(Role.OPERATOR)
    bookings, evening = [], (datetime.now(UTC) + timedelta(days=3)).replace(hour=18, minute=0, second=0, microsecond=0)
    for party in (2, 2, 3, 4, 6, 8):
        answer = await client.post(
            "/v1/bookings",
            json={"restaurant_id": str(house.restaurant_id), "party": party, "starts_at": evening.isoformat()},
            headers={"Idempotency-Key": uuid4().hex},
        )
        bookings.append(answer.json()["id"])
    known = {
        "slug": [rows[0]["slug"]],
        "booking_id": bookings,
        "restaurant_id": [str(house.restaurant_id)],
        "table_id": [str(each) for each in house.tables.values()],
        "zone_id": [str(each) for each in rows[0]["zones"]],
        "key": ["all_day"],
        "own_key": [str(each.id) for each in await list_keys(house.database)],
    }
    return await api.key(Role.OPERATOR), known


@contextmanager
def served(database_url: str) -> Iterator[tuple[str, str, dict[str, list[str]]]]:
    """A server in a thread of its own; gives its address, a key, and what is there."""
    ready: threading.Event = threading.Event()
    told: dict[str, Any] = {}

    async def serve() -> None:
        told["loop"], told["stop"] = asyncio.get_running_loop(), asyncio.Event()
        async with open_api(database_url, **UNBOUND) as api:
            key, known = await furnish(api)
            told["served"] = (await api.serve(), key, known)
            ready.set()
            await told["stop"].wait()

    thread = threading.Thread(target=asyncio.run, args=(serve(),), daemon=True)
    thread.start()
    try:
        if not ready.wait(60):
            raise RuntimeError("the server did not come up")
        yield told["served"]
    finally:
        told["loop"].call_soon_threadsafe(told["stop"].set)
        thread.join(30)


def run(
    database_url: str,
    *,
    examples: int,
    seed: int,
    phases: str = "examples,coverage,fuzzing,stateful",
    more: tuple[str, ...] = (),
) -> Ran:
    """One run of schemathesis with all its checks; `examples` cases for each operation and phase."""
    with served(database_url) as (address, key, known), tempfile.TemporaryDirectory() as folder:
        config = Path(folder, "schemathesis.toml")
        config.write_text(_CONFIG)
        ended = subprocess.run(
            [
                *(
                    sys.executable,
                    "-m",
                    "schemathesis.cli",
                    "--config-file",
                    str(config),
                    "run",
                    f"{address}/openapi.json",
                ),
                *("--phases", phases, "--checks", "all", "--max-examples", str(examples), "--seed", str(seed)),
                *("--continue-on-failure", "--no-color", "--generation-database", "none", "--warnings", "off"),
                *("--suppress-health-check", "all", "--generation-allow-x00", "false"),
                *("--header", f"Authorization: Bearer {key}", "--no-shrink", *more),
            ],
            cwd=folder,
            env={
                **os.environ,
                "PYTHONPATH": os.pathsep.join(sys.path),
                "SCHEMATHESIS_HOOKS": "tests.http.contract_hooks",
                KNOWN: json.dumps(known),
            },
            capture_output=True,
            text=True,
            check=False,
        )
    return _read(ended.returncode, ended.stdout + ended.stderr)


def _read(code: int, words: str) -> Ran:
    cases = re.search(r"(\d+) generated", words)
    found = len(re.findall(r"^- ", words, re.MULTILINE))
    return Ran(int(cases[1]) if cases else 0, found if code else 0, words)


@contextmanager
def fresh_databases() -> Iterator[Iterator[str]]:
    """A server of its own, and as many databases with our schema as are asked for."""
    with tempfile.TemporaryDirectory(prefix="maitred-contract-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o711)
        server = EmbeddedServer(Path(folder, "server"), extra_settings={"fsync": "off", "synchronous_commit": "off"})
        try:
            yield _databases(server.start())
        finally:
            server.release()
            server.remove()


def _databases(server_url: str) -> Iterator[str]:
    while True:
        name = f"contract_{uuid4().hex[:8]}"
        with psycopg.connect(server_url, autocommit=True) as connection:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        url = make_conninfo(server_url, dbname=name)
        schema.upgrade(url)
        yield url


def main() -> int:
    """Runs with one seed after the other until there were as many cases as asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=10_000)
    parser.add_argument("--examples", type=int, default=20, help="for each operation and phase")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--phases", default="examples,coverage,fuzzing,stateful")
    parser.add_argument("more", nargs="*", help="further arguments of `schemathesis run`")
    asked = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    ran: list[Ran] = []
    with fresh_databases() as databases:
        while sum(each.cases for each in ran) < asked.cases and (not ran or ran[-1].cases):
            seed = asked.seed + len(ran)
            ran.append(
                run(next(databases), examples=asked.examples, seed=seed, phases=asked.phases, more=tuple(asked.more))
            )
            print(ran[-1].words if ran[-1].findings or not ran[-1].cases else "", flush=True)
            print(f"seed {seed}: {ran[-1].cases} cases, {ran[-1].findings} findings", flush=True)
    print(f"{sum(each.cases for each in ran)} cases, {sum(each.findings for each in ran)} findings")
    return int(any(each.findings or not each.cases for each in ran))


if __name__ == "__main__":
    sys.exit(main())
