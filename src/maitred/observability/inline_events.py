"""The events of the inline flow: one attempt while the guest waits, under a time-out.

Like those of the runs: names and keys are the original's, and nothing takes free text.
"""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from maitred.model.reason import ReasonCode
from maitred.observability.event import Event, Severity
from maitred.observability.events import CODE, CODE_OR_NO_HOLD, COUNT, FLAG, ID, MS, NO_HOLD
from maitred.observability.registry import Declaration, Key, constructs, declare
from maitred.observability.values import Identifier

SOURCE = "bookings.inline_auto_assign"

_ATTEMPT_ID = Key("attemptId", ID)
_HOLD_ID = Key("holdId", ID)
_DURATION = Key("durationMs", MS, "since the attempt began")
_CONFIRMING = Key("durationMs", MS, "confirming alone")
_TIMEOUT = Key("timeoutMs", MS, "the limit")
_ALTERNATES = Key("alternates", COUNT, "further plans of the answer", nullable=True)


QUOTE_RESULT = declare(
    Declaration(
        "inline_auto_assign.quote_result",
        SOURCE,
        "The quote came back, with or without a hold.",
        (_DURATION, Key("hasHold", FLAG), _ATTEMPT_ID, Key("reason", CODE, "why not", nullable=True), _ALTERNATES),
        measures=("durationMs",),
        outcome="hasHold",
    )
)


@constructs(QUOTE_RESULT)
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
    return QUOTE_RESULT.event(
        restaurant_id,
        booking_id,
        at,
        {
            "durationMs": duration_ms,
            "hasHold": has_hold,
            "attemptId": attempt_id,
            "reason": reason,
            "alternates": alternates,
        },
    )


NO_HOLD_GIVEN = declare(
    Declaration(
        "inline_auto_assign.no_hold",
        SOURCE,
        "The quote gave no hold.",
        (Key("reason", CODE_OR_NO_HOLD), _ALTERNATES, _DURATION, _ATTEMPT_ID),
        measures=("durationMs",),
        outcome="reason",
    )
)


@constructs(NO_HOLD_GIVEN)
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
    return NO_HOLD_GIVEN.event(
        restaurant_id,
        booking_id,
        at,
        {
            "reason": NO_HOLD if reason is None else reason,
            "alternates": alternates,
            "durationMs": duration_ms,
            "attemptId": attempt_id,
        },
    )


QUOTE_ERROR = declare(
    Declaration(
        "inline_auto_assign.quote_error",
        SOURCE,
        "The quote raised.",
        (_DURATION, _ATTEMPT_ID),
        Severity.WARNING,
        measures=("durationMs",),
    )
)


@constructs(QUOTE_ERROR)
def quote_error(
    *,
    restaurant_id: UUID | None,
    booking_id: UUID,
    attempt_id: UUID,
    duration_ms: float,
    at: datetime | None = None,
) -> Event:
    """The quote raised."""
    return QUOTE_ERROR.event(restaurant_id, booking_id, at, {"durationMs": duration_ms, "attemptId": attempt_id})


CONFIRM_SUCCEEDED = declare(
    Declaration(
        "inline_auto_assign.confirm_succeeded",
        SOURCE,
        "The hold was confirmed.",
        (_ATTEMPT_ID, _HOLD_ID, _CONFIRMING),
        measures=("durationMs",),
    )
)


@constructs(CONFIRM_SUCCEEDED)
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
    return CONFIRM_SUCCEEDED.event(
        restaurant_id, booking_id, at, {"attemptId": attempt_id, "holdId": hold_id, "durationMs": duration_ms}
    )


CONFIRM_FAILED = declare(
    Declaration(
        "inline_auto_assign.confirm_failed",
        SOURCE,
        "The hold could not be confirmed.",
        (_ATTEMPT_ID, _HOLD_ID, _CONFIRMING),
        Severity.ERROR,
        measures=("durationMs",),
    )
)


@constructs(CONFIRM_FAILED)
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
    return CONFIRM_FAILED.event(
        restaurant_id, booking_id, at, {"attemptId": attempt_id, "holdId": hold_id, "durationMs": duration_ms}
    )


SUCCEEDED = declare(
    Declaration(
        "inline_auto_assign.succeeded",
        SOURCE,
        "The guest's booking is confirmed, inline.",
        (
            _HOLD_ID,
            Key("idempotencyKey", Identifier("inline:")),
            _ATTEMPT_ID,
            Key("quoteDurationMs", MS, "from the attempt's beginning to the quote's end"),
            Key("confirmDurationMs", MS, "confirming alone", nullable=True),
        ),
        measures=("quoteDurationMs", "confirmDurationMs"),
    )
)


@constructs(SUCCEEDED)
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
    return SUCCEEDED.event(
        restaurant_id,
        booking_id,
        at,
        {
            "holdId": hold_id,
            "idempotencyKey": attempt_id,
            "attemptId": attempt_id,
            "quoteDurationMs": quote_duration_ms,
            "confirmDurationMs": confirm_duration_ms,
        },
    )


TIMEOUT = declare(
    Declaration(
        "inline_auto_assign.timeout",
        SOURCE,
        "The time-out ran out.",
        (_TIMEOUT, Key("elapsedMs", MS, "since the attempt began"), _ATTEMPT_ID),
        Severity.WARNING,
        measures=("elapsedMs",),
    )
)


@constructs(TIMEOUT)
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
    return TIMEOUT.event(
        restaurant_id,
        booking_id,
        at,
        {"timeoutMs": timeout_ms, "elapsedMs": elapsed_ms, "attemptId": attempt_id},
    )


OPERATION_ABORTED = declare(
    Declaration(
        "inline_auto_assign.operation_aborted",
        SOURCE,
        "The attempt was cancelled from outside: the guest went away.",
        (_ATTEMPT_ID, _DURATION, _TIMEOUT),
        Severity.WARNING,
        measures=("durationMs",),
    )
)


@constructs(OPERATION_ABORTED)
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
    return OPERATION_ABORTED.event(
        restaurant_id,
        booking_id,
        at,
        {"attemptId": attempt_id, "durationMs": duration_ms, "timeoutMs": timeout_ms},
    )
