"""Webhook endpoints of a venue."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Response

from maitred.http.access import Operator
from maitred.http.idempotency import KeyedOperation
from maitred.http.operators.schemas import (
    DeliveryAnswer,
    WebhookAnswer,
    WebhookBody,
    WebhookChange,
    WebhookWithSecret,
    delivery_answer,
    webhook_answer,
)
from maitred.http.operators.versions import Slug
from maitred.http.parts import Parts
from maitred.messages import endpoints
from maitred.venue.settings_changes import get_settings

router = APIRouter(prefix="/venues/{slug}/webhooks", tags=["operators"])


@router.get("", summary="List webhooks")
async def list_webhooks(slug: Slug, parts: Parts, _: Operator) -> list[WebhookAnswer]:
    """Without their secrets, at most 20."""
    venue = await get_settings(parts.database, slug)
    return [webhook_answer(each) for each in await endpoints.list_endpoints(parts.database, venue.restaurant_id)]


@router.post("", status_code=201, summary="Add a webhook")
async def add_webhook(
    slug: Slug, body: WebhookBody, parts: Parts, _: Operator, operation_id: KeyedOperation, response: Response
) -> WebhookWithSecret:
    """The answer has the secret that messages are signed with; it isn't shown again."""
    venue = await get_settings(parts.database, slug)
    await endpoints.check_url(body.url, allow_private=parts.settings.webhook_allow_private)
    made, secret = await endpoints.add_endpoint(parts.database, venue.restaurant_id, operation_id, body.url)
    response.headers["Cache-Control"] = "no-store"
    return WebhookWithSecret(**dict(webhook_answer(made)), secret=secret)


@router.patch("/{webhook_id}", summary="Change or disable a webhook")
async def change_webhook(slug: Slug, webhook_id: UUID, body: WebhookChange, parts: Parts, _: Operator) -> WebhookAnswer:
    """An inactive one gets nothing new."""
    venue = await get_settings(parts.database, slug)
    if body.url is not None:
        await endpoints.check_url(body.url, allow_private=parts.settings.webhook_allow_private)
    changed = await endpoints.change_endpoint(
        parts.database, venue.restaurant_id, webhook_id, url=body.url, active=body.active
    )
    return webhook_answer(changed)


@router.post("/{webhook_id}/rotate", summary="Give a webhook another secret")
async def rotate_webhook(
    slug: Slug, webhook_id: UUID, parts: Parts, _: Operator, _operation: KeyedOperation, response: Response
) -> WebhookWithSecret:
    """From now on nothing is signed with the old one."""
    venue = await get_settings(parts.database, slug)
    made, secret = await endpoints.rotate_secret(parts.database, venue.restaurant_id, webhook_id)
    response.headers["Cache-Control"] = "no-store"
    return WebhookWithSecret(**dict(webhook_answer(made)), secret=secret)


@router.delete("/{webhook_id}", status_code=204, summary="Delete a webhook")
async def remove_webhook(slug: Slug, webhook_id: UUID, parts: Parts, _: Operator) -> None:
    """With what still waits to be sent to it."""
    venue = await get_settings(parts.database, slug)
    await endpoints.remove_endpoint(parts.database, venue.restaurant_id, webhook_id)


@router.get("/{webhook_id}/deliveries", summary="List what was sent to a webhook")
async def list_deliveries(
    slug: Slug, webhook_id: UUID, parts: Parts, _: Operator, limit: Annotated[int, Query(ge=1, le=200)] = 50
) -> list[DeliveryAnswer]:
    """The newest first; nothing of a guest's."""
    venue = await get_settings(parts.database, slug)
    found = await endpoints.list_deliveries(parts.database, venue.restaurant_id, webhook_id, limit=limit)
    return [delivery_answer(each) for each in found]
