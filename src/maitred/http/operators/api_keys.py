"""API keys: made, listed, revoked."""

from __future__ import annotations

from uuid import UUID

from fastapi import APIRouter, Response

from maitred.errors import Forbidden
from maitred.http import keys
from maitred.http.access import Operator
from maitred.http.idempotency import KeyedOperation
from maitred.http.operators.schemas import KeyAnswer, KeyWithText, NewKey
from maitred.http.parts import Parts
from maitred.http.role import Role
from maitred.venue.settings_changes import get_settings

router = APIRouter(prefix="/keys", tags=["operators"])


@router.get("", summary="List keys")
async def list_keys(parts: Parts, _: Operator) -> list[KeyAnswer]:
    """Those for the venues that one's own key is for, at most 1,000; those that have ended too."""
    return [_answer(each) for each in await keys.list_keys(parts.database)]


@router.post("", status_code=201, summary="Make a key")
async def add_key(
    body: NewKey, parts: Parts, principal: Operator, _operation: KeyedOperation, response: Response
) -> KeyWithText:
    """The answer has the key itself; it isn't shown again. Nobody gives more than he has."""
    if not body.venues and not principal.every_venue:
        raise Forbidden("operator for every venue")
    venues = [(await get_settings(parts.database, slug)).restaurant_id for slug in body.venues]
    made, shown = await keys.create_key(
        parts.database,
        name=body.name,
        role=Role(body.role),
        restaurant_ids=venues,
        every_venue=not venues,
        expires_at=body.expires_at,
    )
    response.headers["Cache-Control"] = "no-store"
    return KeyWithText(**dict(_answer(made)), key=shown)


@router.delete("/{key_id}", summary="Revoke a key")
async def revoke_key(key_id: UUID, parts: Parts, _: Operator) -> KeyAnswer:
    """The next request with it is refused."""
    return _answer(await keys.revoke_key(parts.database, key_id))


def _answer(key: keys.ApiKey) -> KeyAnswer:
    return KeyAnswer(
        id=key.id,
        prefix=key.prefix,
        name=key.name,
        role=key.role.value,
        restaurant_ids=list(key.restaurant_ids),
        every_venue=key.every_venue,
        created_at=key.created_at,
        expires_at=key.expires_at,
        revoked_at=key.revoked_at,
    )
