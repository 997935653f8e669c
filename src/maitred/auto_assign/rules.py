"""The rules of runs and inline attempts, as set."""

from __future__ import annotations

from dataclasses import replace
from typing import LiteralString
from uuid import UUID

from maitred.auto_assign.inline import InlineRules
from maitred.auto_assign.job import JobRules
from maitred.auto_assign.retry import RetryRules
from maitred.errors import NotFound
from maitred.settings import Settings
from maitred.storage.database import Database

_VENUE_TIMEOUT: LiteralString = "SELECT inline_timeout_ms FROM restaurants WHERE id = %(id)s"


def retry_rules(settings: Settings) -> RetryRules:
    """The rules for retries."""
    return RetryRules(
        max_retries=settings.max_retries,
        delays_s=settings.retry_delays_s,
        cutoff_min=settings.start_cutoff_min,
        version=settings.retry_policy,
    )


def job_rules(settings: Settings) -> JobRules:
    """What a worker needs to know besides the run."""
    return JobRules(
        retry=retry_rules(settings),
        ttl_s=settings.hold_ttl_job_s,
        messages_suppressed=settings.messages_suppressed,
    )


async def inline_rules(settings: Settings, database: Database, restaurant_id: UUID) -> InlineRules:
    """The rules of an inline attempt at this venue, whose own time-out wins over the setting; one round trip.

    Raises NotFound for an unknown restaurant.
    """
    rows = await database.fetch(_VENUE_TIMEOUT, {"id": restaurant_id})
    if not rows:
        raise NotFound("restaurant", str(restaurant_id))
    own: int | None = rows[0]["inline_timeout_ms"]
    rules = general_inline_rules(settings)
    return rules if own is None else replace(rules, timeout_ms=own)


def general_inline_rules(settings: Settings) -> InlineRules:
    """The same for a venue that says nothing of its own."""
    return InlineRules(
        timeout_ms=settings.inline_timeout_ms,
        ttl_s=settings.hold_ttl_inline_s,
        retry=retry_rules(settings),
        messages_suppressed=settings.messages_suppressed,
    )
