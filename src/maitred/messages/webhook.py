"""Webhooks made of facts: the body, and the headers of the Standard Webhooks specification. Pure.

The body holds nothing of the guest's: who may know more asks with the booking's id.
"""

from __future__ import annotations

import base64
import binascii
import json
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from standardwebhooks import Webhook

from maitred.messages.facts import Facts, rfc3339
from maitred.model.reason import ReasonCode

_PREFIX = "whsec_"
_KEY_BYTES = range(24, 65)  # the specification's bounds
_LONGEST_REFERENCE = 200


def webhook_body(facts: Facts) -> str:
    """The event as JSON. `timestamp` is when it happened; the start carries the venue's offset."""
    data: dict[str, Any] = {
        "restaurant_id": str(facts.restaurant_id),
        "booking_id": str(facts.booking_id),
        "reference": facts.reference[:_LONGEST_REFERENCE],
        "party": facts.party,
        "start": rfc3339(facts.local_start),
        "revision": facts.revision,
    }
    if facts.kind == "confirmation":
        data |= {
            "confirmation_id": str(facts.confirmation_id),
            "variant": facts.variant,
            "tables": list(facts.tables),
        }
    else:
        data |= {"reason": facts.reason or ReasonCode.UNKNOWN.value}
    event = {
        "type": "booking.confirmed" if facts.kind == "confirmation" else "booking.needs_attention",
        "timestamp": rfc3339(facts.written_at.astimezone(UTC)),
        "data": data,
    }
    return json.dumps(event, ensure_ascii=False, separators=(",", ":"))


def signed_headers(message_id: UUID, body: str, secret: str, now: datetime) -> dict[str, str]:
    """`webhook-id`, the same for each delivery of one message, `webhook-timestamp` and `webhook-signature`.

    Raises ValueError for a secret that is not `whsec_` and 24 to 64 bytes in base64.
    """
    check_secret(secret)
    now = now.astimezone(UTC)
    return {
        "webhook-id": str(message_id),
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": Webhook(secret).sign(str(message_id), now, body),
    }


def check_secret(secret: str) -> None:
    """Raises ValueError, which doesn't repeat the secret, unless it can sign."""
    key = b""
    if secret.startswith(_PREFIX):
        encoded = secret.removeprefix(_PREFIX)
        try:
            key = base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)
        except (binascii.Error, ValueError):
            key = b""
    if len(key) not in _KEY_BYTES:
        raise ValueError("a webhook's secret is whsec_ and 24 to 64 bytes in base64")
