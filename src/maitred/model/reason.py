"""Why there is no table: the coded reasons, and how to read the free text of foreign rows.

Codes and patterns come from the original system's event catalogue; its reports group by them. The codes under
"ours" were added for cases that the original had no word for.
"""

from __future__ import annotations

from enum import StrEnum


class ReasonCategory(StrEnum):
    """What a failure means for the next attempt: hard ones come back the same until something changes."""

    HARD = "hard"
    TRANSIENT = "transient"
    UNKNOWN = "unknown"


class ReasonCode(StrEnum):
    """A stable code for a failure, safe to store, to group by and to decide on."""

    NO_SUITABLE_TABLES = "hard.no_suitable_tables"
    NO_CAPACITY = "hard.no_capacity"
    INSUFFICIENT_CAPACITY = "hard.insufficient_capacity"
    NO_TABLES = "hard.no_tables"
    GLOBAL_CAPACITY = "hard.global_capacity"
    MAX_TABLES = "hard.max_tables"
    # ours
    START_PASSED = "hard.start_passed"
    SUPERSEDED = "hard.superseded"
    OUTSIDE_SERVICE = "hard.outside_service"
    NO_DINING_TIME = "hard.no_dining_time"
    CLOSED = "hard.closed"
    NOT_PENDING = "hard.not_pending"
    DECLINED = "hard.declined"

    HOLD_CONFLICT = "transient.hold_conflict"
    TIMEOUT = "transient.timeout"
    ABORT = "transient.abort"
    RPC_ERROR = "transient.rpc_error"
    LOCK_WAIT = "transient.lock_wait"
    # ours
    HOLD_LOST = "transient.hold_lost"

    UNKNOWN = "unknown"

    @property
    def category(self) -> ReasonCategory:
        """The part before the dot."""
        return ReasonCategory(self.value.partition(".")[0])

    @property
    def text(self) -> str:
        """One sentence for people. Never parsed by anything."""
        return _TEXT[self]


_TEXT = {
    ReasonCode.NO_SUITABLE_TABLES: "No suitable tables: nothing allowed fits this party, even in an empty room.",
    ReasonCode.NO_CAPACITY: "No capacity: tables that fit this party exist, and all are taken at this time.",
    ReasonCode.INSUFFICIENT_CAPACITY: "Insufficient capacity: no zone has enough seats for this party.",
    ReasonCode.NO_TABLES: "No table: nothing usable is left to choose from.",
    ReasonCode.GLOBAL_CAPACITY: "Insufficient global capacity: the party is larger than the venue.",
    ReasonCode.MAX_TABLES: "Unable to satisfy max tables: the party would need more tables than may be joined.",
    ReasonCode.START_PASSED: "The booking's start has passed.",
    ReasonCode.OUTSIDE_SERVICE: "The booking starts outside every service.",
    ReasonCode.NO_DINING_TIME: "The service ends before the party could sit down.",
    ReasonCode.CLOSED: "The venue is closed then.",
    ReasonCode.DECLINED: "Declined: the tables that would fit are worth more to parties still to come.",
    ReasonCode.NOT_PENDING: "The booking is not pending.",
    ReasonCode.SUPERSEDED: "The booking was moved: another run took this one's place.",
    ReasonCode.HOLD_CONFLICT: "Hold conflict: others took the tables faster than they could be planned again.",
    ReasonCode.TIMEOUT: "Timeout: no answer within the limit.",
    ReasonCode.ABORT: "Abort: the caller went away.",
    ReasonCode.RPC_ERROR: "Database (rpc) error.",
    ReasonCode.LOCK_WAIT: "Lock wait: another transaction held what was needed for too long.",
    ReasonCode.HOLD_LOST: "The hold expired, was replaced or no longer matched the venue's policy.",
    ReasonCode.UNKNOWN: "Unknown.",
}

# Order matters: "insufficient global capacity" must be looked for before anything that it contains.
_FOREIGN_PATTERNS = (
    ("insufficient global capacity", ReasonCode.GLOBAL_CAPACITY),
    ("unable to satisfy max tables", ReasonCode.MAX_TABLES),
    ("no suitable tables", ReasonCode.NO_SUITABLE_TABLES),
    ("no capacity", ReasonCode.NO_CAPACITY),
    ("insufficient capacity", ReasonCode.INSUFFICIENT_CAPACITY),
    ("no table", ReasonCode.NO_TABLES),
    ("hold conflict", ReasonCode.HOLD_CONFLICT),
    ("timeout", ReasonCode.TIMEOUT),
    ("abort", ReasonCode.ABORT),
    ("lock wait", ReasonCode.LOCK_WAIT),
    ("rpc", ReasonCode.RPC_ERROR),
)


def classify_foreign_text(text: str | None) -> ReasonCode:
    """The code for a reason that the original system wrote as free text. Ours are never read this way."""
    if not text:
        return ReasonCode.UNKNOWN
    lowered = text.lower()
    for pattern, code in _FOREIGN_PATTERNS:
        if pattern in lowered:
            return code
    return ReasonCode.UNKNOWN
