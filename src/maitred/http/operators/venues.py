"""Venues: listed, made, their settings changed."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Response

from maitred.errors import Forbidden, InvalidInput
from maitred.http.access import Operator
from maitred.http.idempotency import KeyedOperation
from maitred.http.operators.schemas import NewVenue, VenueAnswer, VenueChange, VenuePage, venue_answer
from maitred.http.operators.versions import IfMatch, Slug, meant_for
from maitred.http.parts import Parts
from maitred.model.policy import VenuePolicy
from maitred.venue import settings_changes
from maitred.venue.changing import Part

router = APIRouter(tags=["operators"])

_CAN_BE_NULL = frozenset({"contact_email", "inline_timeout_ms"})


@router.get("/venues", summary="List venues")
async def list_venues(
    parts: Parts,
    _: Operator,
    after: Annotated[str, Query(max_length=100, description="The slug to go on from.")] = "",
    limit: Annotated[int, Query(ge=1, le=100)] = 50,
) -> VenuePage:
    """Those that the key is for."""
    if "\0" in after:
        raise InvalidInput("venues", "query.after", "is no slug")
    found = await settings_changes.list_venues(parts.database, after=after, limit=limit + 1)
    more = len(found) > limit
    return VenuePage(
        venues=[venue_answer(each) for each in found[:limit]], next=found[limit - 1].slug if more else None
    )


@router.post("/venues", status_code=201, summary="Make a venue")
async def add_venue(
    body: NewVenue, parts: Parts, principal: Operator, operation_id: KeyedOperation, response: Response
) -> VenueAnswer:
    """Needs a key for every venue. The floor and the rest of the policy come after it, or with an import."""
    if not principal.every_venue:
        raise Forbidden("operator for every venue")
    policy = VenuePolicy(
        timezone=body.timezone,
        services=tuple(each.service(each.key) for each in body.services),
        outside=body.outside_any_service,
        scoring=body.scoring.policy(),
    )
    made = await settings_changes.add_venue(
        parts.database, operation_id, body.slug, body.name, policy, {"contact_email": body.contact_email}
    )
    response.headers["ETag"] = f'"settings-{made.settings_version}"'
    response.headers["Location"] = f"/v1/venues/{made.slug}"
    return venue_answer(made)


@router.get("/venues/{slug}", summary="See a venue's settings")
async def see_venue(slug: Slug, parts: Parts, _: Operator, response: Response) -> VenueAnswer:
    """With the versions of its parts."""
    found = await settings_changes.get_settings(parts.database, slug)
    response.headers["ETag"] = f'"settings-{found.settings_version}"'
    return venue_answer(found)


@router.patch("/venues/{slug}", summary="Change a venue's settings")
async def change_venue(
    slug: Slug, body: VenueChange, parts: Parts, _: Operator, response: Response, if_match: IfMatch = None
) -> VenueAnswer:
    """Another time zone is another policy: what was planned by the old one is planned again."""
    expected = meant_for(if_match, Part.SETTINGS)
    to = body.model_dump(exclude_unset=True)
    for name, value in to.items():
        if value is None and name not in _CAN_BE_NULL:
            raise InvalidInput("venue", f"body.{name}", "can't be null")
    changed = await settings_changes.change_settings(parts.database, slug, to, expected)
    response.headers["ETag"] = f'"settings-{changed.settings_version}"'
    return venue_answer(changed)


@router.delete("/venues/{slug}", status_code=204, summary="Delete a venue with everything it ever had")
async def remove_venue(slug: Slug, parts: Parts, _: Operator, if_match: IfMatch = None) -> None:
    """Refused while bookings are still to come."""
    await settings_changes.remove_venue(parts.database, slug, meant_for(if_match, Part.SETTINGS))
