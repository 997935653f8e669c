"""Routes for tests of what stands before all routes: they write into a real table and tell how often."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import UUID

from fastapi import APIRouter, Response
from pydantic import BaseModel

from maitred.http.access import Staff
from maitred.http.idempotency import KeyedOperation, Operation
from maitred.http.parts import Parts
from maitred.storage.database import Statement
from tests.house import NOON


class Wanted(BaseModel):
    restaurant_id: UUID
    party: int = 2
    note: str = ""


class Made(BaseModel):
    id: UUID


class Gate:
    """Lets a test hold a request in the middle of its work, and tell what it should end with."""

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.open.set()
        self.reached = asyncio.Event()
        self.begun = 0
        self.fail: Exception | None = None
        self.status = 201


def routes(gate: Gate) -> APIRouter:
    """`POST /v1/test/bookings` makes a booking under the operation's id, waits at the gate, and answers."""
    router = APIRouter(prefix="/v1/test")

    @router.post("/bookings", status_code=201)
    async def make(wanted: Wanted, parts: Parts, operation: KeyedOperation, _: Staff, response: Response) -> Made:
        gate.begun += 1
        await parts.database.transact(
            [
                Statement(
                    "INSERT INTO bookings (id, restaurant_id, reference, party_size, starts_at)"
                    " VALUES (%(id)s, %(venue)s, %(reference)s, %(party)s, %(at)s) ON CONFLICT (id) DO NOTHING",
                    {
                        "id": operation,
                        "venue": wanted.restaurant_id,
                        "reference": str(operation),
                        "party": wanted.party,
                        "at": NOON,
                    },
                )
            ]
        )
        gate.reached.set()
        await gate.open.wait()
        if gate.fail is not None:
            raise gate.fail
        response.status_code = gate.status
        response.headers["ETag"] = f'"{gate.begun}"'
        return Made(id=operation)

    @router.post("/echo")
    async def echo(given: dict[str, Any], operation: Operation, _: Staff) -> dict[str, Any]:
        return {"operation": str(operation), "given": given}

    @router.get("/forgetful")
    async def forgetful(parts: Parts, _: Staff) -> list[str]:
        """A query that forgets the venue."""
        return [str(row["id"]) for row in await parts.database.fetch("SELECT id FROM bookings ORDER BY id")]

    @router.post("/forgetful")
    async def forgetful_write(parts: Parts, _: Staff) -> int:
        """A write that forgets the venue."""
        return len(await parts.database.fetch("UPDATE bookings SET party_size = 9 RETURNING id"))

    @router.post("/broken")
    async def broken(_: Staff) -> None:
        raise RuntimeError("Maria Lopez, +34 600 000 000")

    return router
