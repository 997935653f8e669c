"""`/healthz`: the process answers. `/readyz`: it can work, or which part can't. `/metrics`, where it is on.

None needs a key: none tells anything of a venue. `/metrics` tells how busy the house is, so here it is off by default;
`MAITRED_METRICS_ADDRESS` gives it an address of its own, which an outside network need not reach.
"""

from __future__ import annotations

import asyncio
from typing import Annotated, Literal, LiteralString

import psycopg
from fastapi import APIRouter, Request, Response
from fastapi.responses import PlainTextResponse
from pydantic import Field

from maitred.bootstrap import Application
from maitred.errors import DatabaseUnavailable
from maitred.http.schema import Answer
from maitred.storage import schema
from maitred.storage.database import Database

_LOOK_S = 2.0
_VERSION: LiteralString = "SELECT version_num FROM maitred_schema_version"
_SCOPE: LiteralString = "SELECT 1 AS one"

router = APIRouter(tags=["health"])


class Alive(Answer):
    """The process answers."""

    status: Literal["ok"]


class Readiness(Answer):
    """Whether it can do its work; of each part `ok`, or what is wrong with it."""

    status: Literal["ready", "not_ready"]
    parts: Annotated[dict[str, str], Field(examples=[{"database": "ok", "schema": "ok", "events": "ok"}])]


@router.get("/healthz", summary="Whether the process answers")
async def healthz() -> Alive:
    """Says nothing of the database: a process that waits for it needs no restart."""
    return Alive(status="ok")


@router.get(
    "/readyz",
    summary="Whether it can do its work",
    responses={503: {"model": Readiness, "description": "Some part can't; which, it says."}},
)
async def readyz(request: Request, response: Response) -> Readiness:
    """Looks at the database, its schema's version, the wall between venues, the writer of events and the sweepers."""
    parts = await _parts(request.app.state.application, request.app.state.sweeping)
    failing = any(found != "ok" for found in parts.values())
    response.status_code = 503 if failing else 200
    return Readiness(status="not_ready" if failing else "ready", parts=parts)


async def _parts(application: Application, sweeping: asyncio.Task[None]) -> dict[str, str]:
    parts = await _database(application.database)
    parts["events"] = "ok" if application.recorder.running else "the writer of events has ended"
    sweepers = (sweeping, *(() if application.sweeper is None else (application.sweeper,)))
    parts["sweeper"] = "the sweeper has ended" if any(each.done() for each in sweepers) else "ok"
    return parts


async def _database(database: Database) -> dict[str, str]:
    away = {"database": "can't be reached", "schema": "unknown", "second_wall": "unknown"}
    try:
        async with asyncio.timeout(_LOOK_S):
            rows = await database.fetch(_VERSION)
            found = rows[0]["version_num"] if rows else None
            wall = "ok"
            try:
                await database.scoped([]).fetch(_SCOPE)
            except psycopg.Error:
                wall = "the user of the database may not take on the role maitred_http"
    except (DatabaseUnavailable, TimeoutError):
        return away
    except psycopg.Error:
        return {**away, "database": "ok", "schema": "missing"}
    version = "ok" if found == schema.NEEDED else f"is {found}, this release needs {schema.NEEDED}"
    return {"database": "ok", "schema": version, "second_wall": wall}


async def metrics(request: Request) -> Response:
    """The page for Prometheus."""
    page = request.app.state.application.metrics
    return PlainTextResponse(await page.text(), media_type="text/plain; version=0.0.4; charset=utf-8")
