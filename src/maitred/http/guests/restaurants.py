"""The restaurants that a key books for."""

from __future__ import annotations

from typing import Annotated, LiteralString
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from maitred.http.access import GuestSite
from maitred.http.parts import Parts

router = APIRouter(tags=["guests"])

_MOST = 100

_OF_THE_KEY: LiteralString = """
SELECT id, slug, name, timezone FROM restaurants WHERE slug > %(after)s AND sees(id) ORDER BY slug LIMIT %(most)s
"""


class Restaurant(BaseModel):
    """`id` is what a booking names; times are said in `timezone`."""

    id: UUID
    slug: str
    name: str
    timezone: str


class Restaurants(BaseModel):
    """In the order of their slugs."""

    restaurants: list[Restaurant]
    next: str | None = Field(description="The `after` of the next page; null: this was the last.")


@router.get("/restaurants", summary="The restaurants of this key")
async def restaurants(
    parts: Parts,
    _principal: GuestSite,
    after: Annotated[str, Query(max_length=100, description="Those whose slug comes after this one.")] = "",
    limit: Annotated[int, Query(ge=1, le=_MOST)] = _MOST,
) -> Restaurants:
    """What this key may book for, by slug."""
    rows = await parts.database.fetch(_OF_THE_KEY, {"after": after, "most": limit + 1})
    shown = [Restaurant.model_validate(row) for row in rows[:limit]]
    return Restaurants(restaurants=shown, next=shown[-1].slug if len(rows) > limit else None)
