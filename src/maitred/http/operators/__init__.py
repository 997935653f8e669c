"""Operators' side: venues, floors, policy, keys."""

from fastapi import APIRouter

from maitred.http.operators import api_keys, days, floor, policy, venues, webhooks

router = APIRouter(prefix="/v1")
for room in (venues, floor, policy, webhooks, api_keys, days):
    router.include_router(room.router)
