"""The events of the inline flow: one attempt while the guest waits, under a time-out.

Like those of the runs: names and keys are the original's, and nothing takes free text.
"""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from maitred.model.reason import ReasonCode
from maitred.observability.events import NO_HOLD, Event, JsonValue, Severity, number

SOURCE = "bookings.inline_auto_assign"


def quote_result(
    *,
    restaurant_id: UUID | None,
    booking_id: UUID,
    attempt_id: UUID,
    duration_ms: float,
    has_hold: bool,
    reason: ReasonCode | None,
    alternates: int | None,
    at: datetime | None = None,
) -> Event:
    """The quote came back, with or without a hold."""
    context: dict[str, JsonValue] = {
        "durationMs": number(duration_ms),
        "hasHold": has_hold,
        "attemptId": str(attempt_id),
        "reason": None if reason is None else reason.value,
        "alternates": number(alternates),
    }
    return _event("quote_result", Severity.INFO, context, restaurant_id, booking_id, at)


def no_hold(
    *,
    restaurant_id: UUID | None,
    booking_id: UUID,
    attempt_id: UUID,
    duration_ms: float,
    reason: ReasonCode | None,
    alternates: int | None,
    at: datetime | None = None,
) -> Event:
    """The quote gave no hold."""
    context: dict[str, JsonValue] = {
        "reason": NO_HOLD if reason is None else reason.value,
        "alternates": number(alternates),
        "durationMs": number(duration_ms),
        "attemptId": str(attempt_id),
    }
    return _event("no_hold", Severity.INFO, context, restaurant_id, booking_id, at)


def quote_error(
    *,
    restaurant_id: UUID | None,
    booking_id: UUID,
    attempt_id: UUID,
    duration_ms: float,
    at: datetime | None = None,
) -> Event:
    """The quote raised."""
    context: dict[str, JsonValue] = {"durationMs": number(duration_ms), "attemptId": str(attempt_id)}
    return _event("quote_error", Severity.WARNING, context, restaurant_id, booking_id, at)


def confirm_succeeded(
    *,
    restaurant_id: UUID | None,
    booking_id: UUID,
    attempt_id: UUID,
    hold_id: UUID,
    duration_ms: float,
    at: datetime | None = None,
) -> Event:
    """The hold was confirmed."""
    context = _of_hold(attempt_id, hold_id, duration_ms)
    return _event("confirm_succeeded", Severity.INFO, context, restaurant_id, booking_id, at)


def confirm_failed(
    *,
    restaurant_id: UUID | None,
    booking_id: UUID,
    attempt_id: UUID,
    hold_id: UUID,
    duration_ms: float,
    at: datetime | None = None,
) -> Event:
    """The hold could not be confirmed."""
    context = _of_hold(attempt_id, hold_id, duration_ms)
    return _event("confirm_failed", Severity.ERROR, context, restaurant_id, booking_id, at)


def succeeded(
    *,
    restaurant_id: UUID | None,
    booking_id: UUID,
    attempt_id: UUID,
    hold_id: UUID,
    quote_duration_ms: float,
    confirm_duration_ms: float | None,
    at: datetime | None = None,
) -> Event:
    """The guest's booking is confirmed, inline."""
    context: dict[str, JsonValue] = {
        "holdId": str(hold_id),
        "idempotencyKey": f"inline:{attempt_id}",
        "attemptId": str(attempt_id),
        "quoteDurationMs": number(quote_duration_ms),
        "confirmDurationMs": number(confirm_duration_ms),
    }
    return _event("succeeded", Severity.INFO, context, restaurant_id, booking_id, at)


def timeout(
    *,
    restaurant_id: UUID | None,
    booking_id: UUID,
    attempt_id: UUID,
    timeout_ms: float,
    elapsed_ms: float,
    at: datetime | None = None,
) -> Event:
    """The time-out ran out."""
    context: dict[str, JsonValue] = {
        "timeoutMs": number(timeout_ms),
        "elapsedMs": number(elapsed_ms),
        "attemptId": str(attempt_id),
    }
    return _event("timeout", Severity.WARNING, context, restaurant_id, booking_id, at)


def operation_aborted(
    *,
    restaurant_id: UUID | None,
    booking_id: UUID,
    attempt_id: UUID,
    duration_ms: float,
    timeout_ms: float,
    at: datetime | None = None,
) -> Event:
    """The attempt was cancelled from outside: the guest went away."""
    context: dict[str, JsonValue] = {
        "attemptId": str(attempt_id),
        "durationMs": number(duration_ms),
        "timeoutMs": number(timeout_ms),
    }
    return _event("operation_aborted", Severity.WARNING, context, restaurant_id, booking_id, at)


def _of_hold(attempt_id: UUID, hold_id: UUID, duration_ms: float) -> dict[str, JsonValue]:
    return {"attemptId": str(attempt_id), "holdId": str(hold_id), "durationMs": number(duration_ms)}


def _event(
    name: str,
    severity: Severity,
    context: dict[str, JsonValue],
    restaurant_id: UUID | None,
    booking_id: UUID,
    at: datetime | None,
) -> Event:
    return Event(SOURCE, f"inline_auto_assign.{name}", severity, context, restaurant_id, booking_id, at)
