"""The policy: scoring, services, closures, pacing. Every answer's ETag is the policy's version."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Response

from maitred.errors import InvalidInput, NotFound
from maitred.http.access import Operator
from maitred.http.idempotency import KeyedOperation
from maitred.http.operators.schemas import (
    ClosureAnswer,
    ClosureBody,
    LimitAnswer,
    LimitBody,
    NewService,
    PolicyAnswer,
    PolicyChange,
    ServiceAnswer,
    ServiceRules,
    closure_answer,
    limit_answer,
    policy_answer,
    service_answer,
)
from maitred.http.operators.versions import Id, IfMatch, Slug, meant_for, perhaps, tell
from maitred.http.parts import Parts
from maitred.venue import policy_changes
from maitred.venue.changing import Part, VenueNow, read_venue

router = APIRouter(prefix="/venues/{slug}", tags=["operators"])

Key = Annotated[str, Path(pattern=r"^[^\x00-\x1f]{1,100}$", description="The service's key.")]


@router.get("/policy", summary="See how a venue scores")
async def see_policy(slug: Slug, parts: Parts, _: Operator, response: Response) -> PolicyAnswer:
    """Services, closures and pacing are beside it."""
    now = await read_venue(parts.database, slug)
    tell(response, now, Part.POLICY)
    return policy_answer(now.venue.policy)


@router.patch("/policy", summary="Change how a venue scores")
async def change_policy(
    slug: Slug, body: PolicyChange, parts: Parts, _: Operator, response: Response, if_match: IfMatch = None
) -> PolicyAnswer:
    """Holds made by the old policy can't be confirmed any more; they are planned again."""
    expected = meant_for(if_match, Part.POLICY)
    for name in body.model_fields_set:
        if getattr(body, name) is None:
            raise InvalidInput("policy", f"body.{name}", "can't be null")
    now = await policy_changes.set_policy(
        parts.database,
        slug,
        expected,
        outside=body.outside_any_service,
        scoring=None if body.scoring is None else body.scoring.policy(),
        demand=None if body.demand is None else [each.demand() for each in body.demand],
        order=body.service_order,
    )
    tell(response, now, Part.POLICY)
    return policy_answer(now.venue.policy)


@router.get("/services", summary="List services")
async def list_services(slug: Slug, parts: Parts, _: Operator, response: Response) -> list[ServiceAnswer]:
    """In the venue's order: where two overlap, the first counts."""
    now = await read_venue(parts.database, slug)
    tell(response, now, Part.POLICY)
    return [service_answer(service) for service in now.venue.policy.services]


@router.post("/services", status_code=201, summary="Add a service")
async def add_service(
    slug: Slug,
    body: NewService,
    parts: Parts,
    _: Operator,
    _operation: KeyedOperation,
    response: Response,
    if_match: IfMatch = None,
) -> ServiceAnswer:
    """Behind the others; the policy's `service_order` moves it."""
    now = await policy_changes.add_service(parts.database, slug, body.service(body.key), perhaps(if_match))
    tell(response, now, Part.POLICY)
    return _service(now, body.key)


@router.get("/services/{key}", summary="See a service")
async def see_service(slug: Slug, key: Key, parts: Parts, _: Operator, response: Response) -> ServiceAnswer:
    """With its turn times."""
    now = await read_venue(parts.database, slug)
    tell(response, now, Part.POLICY)
    return _service(now, key)


@router.put("/services/{key}", summary="Change a service")
async def set_service(
    slug: Slug,
    key: Key,
    body: ServiceRules,
    parts: Parts,
    _: Operator,
    response: Response,
    if_match: IfMatch = None,
) -> ServiceAnswer:
    """Given whole, with its turn times."""
    expected = meant_for(if_match, Part.POLICY)
    now = await policy_changes.set_service(parts.database, slug, body.service(key), expected)
    tell(response, now, Part.POLICY)
    return _service(now, key)


@router.delete("/services/{key}", status_code=204, summary="Delete a service")
async def remove_service(
    slug: Slug, key: Key, parts: Parts, _: Operator, response: Response, if_match: IfMatch = None
) -> None:
    """With its closures and pacing limits. A venue keeps at least one service."""
    expected = meant_for(if_match, Part.POLICY)
    tell(response, await policy_changes.remove_service(parts.database, slug, key, expected), Part.POLICY)


@router.get("/closures", summary="List closures")
async def list_closures(slug: Slug, parts: Parts, _: Operator, response: Response) -> list[ClosureAnswer]:
    """All of them, the earliest first, at most 1,000."""
    now = await read_venue(parts.database, slug)
    tell(response, now, Part.POLICY)
    found = await policy_changes.list_closures(parts.database, now.venue.restaurant_id)
    return [closure_answer(each, now.venue.policy.timezone) for each in found]


@router.post("/closures", status_code=201, summary="Close the venue, a service, a zone or tables")
async def add_closure(
    slug: Slug,
    body: ClosureBody,
    parts: Parts,
    _: Operator,
    _operation: KeyedOperation,
    response: Response,
    if_match: IfMatch = None,
) -> ClosureAnswer:
    """Bookings that are there already stay as they are: they are for the staff to move or to cancel."""
    kept, now = await policy_changes.add_closure(parts.database, slug, body.closure(), body.note, perhaps(if_match))
    tell(response, now, Part.POLICY)
    return closure_answer(kept, now.venue.policy.timezone)


@router.get("/closures/{closure_id}", summary="See a closure")
async def see_closure(slug: Slug, closure_id: Id, parts: Parts, _: Operator, response: Response) -> ClosureAnswer:
    """Its instants are told by the venue's clocks."""
    now = await read_venue(parts.database, slug)
    tell(response, now, Part.POLICY)
    kept = await policy_changes.get_closure(parts.database, now.venue.restaurant_id, closure_id)
    return closure_answer(kept, now.venue.policy.timezone)


@router.put("/closures/{closure_id}", summary="Change a closure")
async def set_closure(
    slug: Slug,
    closure_id: Id,
    body: ClosureBody,
    parts: Parts,
    _: Operator,
    response: Response,
    if_match: IfMatch = None,
) -> ClosureAnswer:
    """Given whole."""
    expected = meant_for(if_match, Part.POLICY)
    kept, now = await policy_changes.set_closure(parts.database, slug, closure_id, body.closure(), body.note, expected)
    tell(response, now, Part.POLICY)
    return closure_answer(kept, now.venue.policy.timezone)


@router.delete("/closures/{closure_id}", status_code=204, summary="Open again")
async def remove_closure(
    slug: Slug, closure_id: Id, parts: Parts, _: Operator, response: Response, if_match: IfMatch = None
) -> None:
    """The closure goes."""
    expected = meant_for(if_match, Part.POLICY)
    tell(response, await policy_changes.remove_closure(parts.database, slug, closure_id, expected), Part.POLICY)


@router.get("/pacing", summary="List pacing limits")
async def list_limits(slug: Slug, parts: Parts, _: Operator, response: Response) -> list[LimitAnswer]:
    """All of them, at most 100."""
    now = await read_venue(parts.database, slug)
    tell(response, now, Part.POLICY)
    return [limit_answer(each) for each in await policy_changes.list_limits(parts.database, now.venue.restaurant_id)]


@router.post("/pacing", status_code=201, summary="Limit how many may come at once")
async def add_limit(
    slug: Slug,
    body: LimitBody,
    parts: Parts,
    _: Operator,
    _operation: KeyedOperation,
    response: Response,
    if_match: IfMatch = None,
) -> LimitAnswer:
    """Holds for whatever comes or moves from now on, by whatever way; what is there already stays."""
    kept, now = await policy_changes.add_limit(parts.database, slug, body.limit(), perhaps(if_match))
    tell(response, now, Part.POLICY)
    return limit_answer(kept)


@router.put("/pacing/{limit_id}", summary="Change a pacing limit")
async def set_limit(
    slug: Slug,
    limit_id: Id,
    body: LimitBody,
    parts: Parts,
    _: Operator,
    response: Response,
    if_match: IfMatch = None,
) -> LimitAnswer:
    """Given whole."""
    expected = meant_for(if_match, Part.POLICY)
    kept, now = await policy_changes.set_limit(parts.database, slug, limit_id, body.limit(), expected)
    tell(response, now, Part.POLICY)
    return limit_answer(kept)


@router.delete("/pacing/{limit_id}", status_code=204, summary="Lift a pacing limit")
async def remove_limit(
    slug: Slug, limit_id: Id, parts: Parts, _: Operator, response: Response, if_match: IfMatch = None
) -> None:
    """The limit goes."""
    expected = meant_for(if_match, Part.POLICY)
    tell(response, await policy_changes.remove_limit(parts.database, slug, limit_id, expected), Part.POLICY)


def _service(now: VenueNow, key: str) -> ServiceAnswer:
    for service in now.venue.policy.services:
        if service.key == key:
            return service_answer(service)
    raise NotFound("service", key)
