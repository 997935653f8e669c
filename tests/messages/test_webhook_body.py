"""The body of a webhook and its signature."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook, WebhookVerificationError

from maitred.messages.facts import rfc3339
from maitred.messages.webhook import check_secret, signed_headers, webhook_body
from tests.messages.test_mail import START, attention, facts
from tests.messages.told import SECRET


def just_now() -> datetime:
    """A receiver refuses what was signed over five minutes ago, and a test run may last longer."""
    return datetime.now(UTC)


def test_a_confirmation_tells_ids_party_start_and_tables() -> None:
    assert json.loads(webhook_body(facts(variant="modified", revision=2))) == {
        "type": "booking.confirmed",
        "timestamp": "2030-06-01T09:00:00+00:00",
        "data": {
            "restaurant_id": str(UUID(int=2)),
            "booking_id": str(UUID(int=3)),
            "reference": "R-17",
            "party": 4,
            "start": "2030-06-05T20:30:00+02:00",
            "revision": 2,
            "confirmation_id": str(UUID(int=4)),
            "variant": "modified",
            "tables": ["T1", "T2"],
        },
    }


def test_a_booking_without_tables_is_told_with_its_reason() -> None:
    event = json.loads(webhook_body(attention()))
    assert event["type"] == "booking.needs_attention"
    assert event["data"]["reason"] == "hard.no_capacity"
    assert "tables" not in event["data"]


@given(name=st.text(min_size=12), email=st.text(min_size=12))
def test_the_body_is_the_same_whoever_the_guest_is(name: str, email: str) -> None:
    assert webhook_body(facts(guest_name=name, guest_email=email, venue_email=email)) == webhook_body(facts())


@given(reference=st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=300))
def test_any_reference_survives_and_is_bounded(reference: str) -> None:
    body = webhook_body(facts(reference=reference))
    assert json.loads(body)["data"]["reference"] == reference[:200]
    headers = signed_headers(UUID(int=1), body, SECRET, just_now())
    Webhook(SECRET).verify(body, headers)


def test_a_receiver_can_verify_the_signature_and_nobody_can_change_the_body() -> None:
    body, signed_at = webhook_body(facts()), just_now()
    headers = signed_headers(UUID(int=1), body, SECRET, signed_at)
    assert headers["webhook-id"] == str(UUID(int=1))
    assert int(headers["webhook-timestamp"]) == int(signed_at.timestamp())
    assert Webhook(SECRET).verify(body, headers) == json.loads(body)
    with pytest.raises(WebhookVerificationError):
        Webhook(SECRET).verify(body.replace("R-17", "R-18"), headers)
    with pytest.raises(WebhookVerificationError):
        Webhook("whsec_" + base64.b64encode(b"x" * 32).decode()).verify(body, headers)


def test_the_time_of_signing_is_the_same_instant_in_any_zone() -> None:
    body, here = webhook_body(facts()), just_now()
    elsewhere = here.astimezone(tz=here.astimezone().tzinfo)
    assert signed_headers(UUID(int=1), body, SECRET, elsewhere) == signed_headers(UUID(int=1), body, SECRET, here)


@pytest.mark.parametrize("size", [24, 32, 64])
def test_secrets_of_the_specifications_sizes_sign(size: int) -> None:
    encoded = base64.b64encode(bytes(size)).decode()
    check_secret("whsec_" + encoded)
    check_secret("whsec_" + encoded.rstrip("="))


@pytest.mark.parametrize(
    "secret",
    [
        "",
        "whsec_",
        "secret",
        "whsec_not base64!",
        "whsec_" + base64.b64encode(bytes(23)).decode(),
        "whsec_" + base64.b64encode(bytes(65)).decode(),
        base64.b64encode(bytes(32)).decode(),
        "whsec_é",
    ],
)
def test_other_secrets_are_refused_and_not_repeated(secret: str) -> None:
    with pytest.raises(ValueError, match="whsec_ and 24 to 64 bytes") as raised:
        check_secret(secret)
    assert len(secret) < 10 or secret not in str(raised.value)


def test_an_offset_with_seconds_becomes_utc() -> None:
    odd = START.astimezone(tz=(datetime(1900, 1, 1, tzinfo=UTC).astimezone().tzinfo or UTC))
    assert datetime.fromisoformat(rfc3339(odd)) == START
    from zoneinfo import ZoneInfo

    old = datetime(1880, 1, 1, tzinfo=ZoneInfo("Europe/Madrid"))
    assert old.utcoffset() != timedelta()
    assert rfc3339(old).endswith("+00:00")
    assert datetime.fromisoformat(rfc3339(old)) == old
