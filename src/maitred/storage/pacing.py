"""The refusal of a pacing limit, as the database raises it, whoever writes the booking."""

from __future__ import annotations

import json
from typing import Any

import psycopg

from maitred.errors import PacingExceeded

SQLSTATE = "MD007"


def pacing_exceeded(error: psycopg.Error) -> PacingExceeded:
    """The refusal with what the database told of it."""
    told: dict[str, Any] = json.loads(error.diag.message_detail or "{}")
    return PacingExceeded(
        told.get("of", "covers"),
        told.get("limit", 0),
        service=told.get("service"),
        slot_minutes=told.get("slot_minutes"),
        slot=told.get("slot"),
        day=told.get("day"),
    )
