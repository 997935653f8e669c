"""What the demo measured, as values and as JSON. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from maitred.auto_assign import durations
from maitred.auto_assign.run import BookingOutcome
from maitred.demo.findings import Findings
from maitred.demo.seating import Seating

_FRACTIONS = {"p50": 0.5, "p95": 0.95, "p99": 0.99}


@dataclass(frozen=True, slots=True)
class Run:
    """One run of the demo. Times are in seconds; `assigning_s` is from the first quote to the last confirmation.

    `events_complete` is False when some event had not been written in time or was dropped: then the counts of events
    and the baseline fall short.
    """

    workers: int
    server_start_s: float
    import_s: float
    assigning_s: float
    outcomes: Sequence[BookingOutcome]
    findings: Findings
    events_complete: bool
    events_dropped: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class ZoneUse:
    """What became of one zone. `use` is the share, from the day's first seat to its last departure, in which its
    tables were taken."""

    zone: str
    tables: int
    seated: int
    covers: int
    use: float


def percentile(values: Iterable[float], fraction: float) -> float | None:
    """PostgreSQL's percentile_cont: between two values it interpolates. None without values."""
    ordered = sorted(values)
    if not ordered:
        return None
    return durations.percentile(ordered, fraction)


def percentiles(values: Iterable[float]) -> dict[str, float | None]:
    """p50, p95 and p99, rounded to a microsecond when the values are milliseconds."""
    known = list(values)
    found = {name: percentile(known, fraction) for name, fraction in _FRACTIONS.items()}
    return {name: None if value is None else round(value, 3) for name, value in found.items()}


def planner_ms(run: Run) -> list[float]:
    """One planner call (read, plan, hold) of each booking, the last one."""
    return [outcome.planner_ms for outcome in run.outcomes if outcome.planner_ms is not None]


def quote_to_confirm_ms(run: Run) -> list[float]:
    """From the first quote to the confirmation, of the bookings that got one."""
    return [outcome.quote_to_confirm_ms for outcome in run.outcomes if outcome.quote_to_confirm_ms is not None]


def plan_ms(run: Run) -> list[float]:
    """The choosing alone in those planner calls."""
    return [outcome.plan_ms for outcome in run.outcomes if outcome.plan_ms is not None]


def quote_to_answer_ms(run: Run) -> list[float]:
    """Of every booking: up to the confirmation, or up to the planner's refusal."""
    answers = (
        outcome.planner_ms if outcome.quote_to_confirm_ms is None else outcome.quote_to_confirm_ms
        for outcome in run.outcomes
    )
    return [answer for answer in answers if answer is not None]


def declined(run: Run) -> dict[str, int]:
    """How many got no tables, by reason code; a result without a reason is named by itself."""
    reasons = Counter(
        outcome.result if outcome.reason is None else outcome.reason.value
        for outcome in run.outcomes
        if outcome.result != "succeeded"
    )
    return dict(reasons.most_common())


def round_trips(run: Run) -> tuple[float, int]:
    """Mean and most of the waits for the database, of the bookings that were seated, from quote to confirmed."""
    trips = [outcome.round_trips for outcome in run.outcomes if outcome.result == "succeeded"]
    return (sum(trips) / len(trips), max(trips)) if trips else (0.0, 0)


def zone_uses(seating: Seating) -> list[ZoneUse]:
    """Each zone's part of the day."""
    starts = min((seat.period.start for seat in seating.seats), default=None)
    ends = max((seat.period.end for seat in seating.seats), default=None)
    span_min = 0.0 if starts is None or ends is None else (ends - starts).total_seconds() / 60
    uses = []
    for zone, tables in seating.zones.items():
        seats = [seat for seat in seating.seats if seat.zone == zone]
        parties = {seat.reference: seat.party for seat in seats}
        taken_min = sum(seat.period.minutes for seat in seats)
        use = taken_min / (span_min * len(tables)) if span_min else 0.0
        uses.append(ZoneUse(zone, len(tables), len(parties), sum(parties.values()), use))
    return uses


def to_json(run: Run) -> dict[str, Any]:
    """Everything that was measured; durations in milliseconds unless the key says otherwise."""
    findings = run.findings
    mean_trips, most_trips = round_trips(run)
    return {
        "bookings": findings.bookings,
        "seated": findings.seated,
        "covers": findings.covers,
        "declined": declined(run),
        "double_bookings": findings.double_bookings,
        "workers": run.workers,
        "seconds": round(run.assigning_s, 3),
        "server_start_seconds": round(run.server_start_s, 3),
        "import_seconds": round(run.import_s, 3),
        "planner_ms": percentiles(planner_ms(run)),
        "plan_ms": percentiles(plan_ms(run)),
        "quote_to_confirm_ms": percentiles(quote_to_confirm_ms(run)),
        "quote_to_answer_ms": percentiles(quote_to_answer_ms(run)),
        "db_round_trips_per_booking": round(mean_trips, 3),
        "db_round_trips_per_booking_max": most_trips,
        "zones": [
            {
                "zone": use.zone,
                "tables": use.tables,
                "seated": use.seated,
                "covers": use.covers,
                "table_use": round(use.use, 3),
            }
            for use in zone_uses(findings.seating)
        ],
        "events": dict(findings.events),
        "events_complete": run.events_complete,
        "events_dropped": dict(run.events_dropped),
        "outcomes": [_outcome_json(outcome) for outcome in run.outcomes],
    }


def _outcome_json(outcome: BookingOutcome) -> dict[str, Any]:
    return {
        "ref": outcome.reference,
        "party_size": outcome.party_size,
        "result": outcome.result,
        "reason": None if outcome.reason is None else outcome.reason.value,
        "zone": outcome.zone,
        "tables": list(outcome.tables),
        "attempts": outcome.attempts,
        "planner_ms": _rounded(outcome.planner_ms),
        "quote_to_confirm_ms": _rounded(outcome.quote_to_confirm_ms),
        "db_round_trips": outcome.round_trips,
    }


def _rounded(ms: float | None) -> float | None:
    return None if ms is None else round(ms, 3)
