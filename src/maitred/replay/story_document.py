"""A decision, and a booking's story, as documents for programs. Pure."""

from __future__ import annotations

from datetime import UTC
from typing import Any

from maitred.model.floor import Floor
from maitred.replay.decide import Decided, as_recorded
from maitred.replay.record import RankedPlan
from maitred.replay.story import Planned, Quoted, Story, Told

_NO_FLOOR = Floor(0, ())


def story_document(story: Story) -> dict[str, Any]:
    """Everything, in order of time. Instants are in UTC."""
    booking = story.booking
    return {
        "booking_id": str(booking.id),
        "restaurant": booking.slug,
        "ref": booking.reference,
        "party_size": booking.party,
        "starts_at": booking.starts_at.astimezone(UTC).isoformat(),
        "timezone": booking.timezone,
        "status": booking.status.value,
        "tables": list(booking.tables),
        "steps": [_quoted_json(step) if isinstance(step, Quoted) else _told_json(step) for step in story.steps],
    }


def decided_json(decided: Decided, floor: Floor) -> dict[str, Any]:
    """A decision. `plans` are the ranked ones, best first; `blocked` is what the tables were wanted for."""
    outcome, blocked = decided.outcome, decided.blocked
    return {
        "plans": []
        if outcome is None
        else [{"tables": numbers(plan, floor), "score": plan.total} for plan in outcome.plans],
        "reason": None if outcome is None or outcome.reason is None else outcome.reason.value,
        "relaxed": [] if outcome is None else sorted(outcome.relaxed),
        "exact": None if outcome is None else outcome.exact,
        "blocked": None if blocked is None else {"start": blocked.start.isoformat(), "end": blocked.end.isoformat()},
    }


def numbers(plan: RankedPlan, floor: Floor) -> list[str]:
    """The numbers of a plan's tables, in their order; the id where the floor has no such table."""
    known = {table.id: table.number for table in floor.tables}
    places = {table_id: place for place, table_id in enumerate(known)}
    ordered = sorted(plan.table_ids, key=lambda table_id: places.get(table_id, len(places)))
    return [known.get(table_id, f"#{table_id}") for table_id in ordered]


def _told_json(step: Told) -> dict[str, Any]:
    return {"at": step.at.astimezone(UTC).isoformat(), "text": step.text}


def _quoted_json(step: Quoted) -> dict[str, Any]:
    return {
        "at": step.at.astimezone(UTC).isoformat(),
        "trigger": step.trigger,
        "attempt_index": step.attempt_index,
        "duration_ms": step.duration_ms,
        "release": step.release,
        "held": step.held and not step.looked,
        "looked": step.looked,
        "reason": None if step.reason is None else step.reason.value,
        "error": step.error,
        "since_last_s": step.since_last_s,
        "problem": step.problem,
        "plannings": [_planned_json(planned) for planned in step.plannings],
    }


def _planned_json(planned: Planned) -> dict[str, Any]:
    recorded, floor = planned.recorded, planned.floor or _NO_FLOOR
    decided = decided_json(as_recorded(recorded), floor)
    for plan, shown in zip(recorded.outcome.plans, decided["plans"], strict=True):
        shown["terms"] = None if plan.score is None else plan.score.terms() | {"total": plan.score.total}
    return {
        "policy_version": recorded.policy_version,
        "floor_version": recorded.floor_version,
        "service": planned.service,
        "tables_taken": planned.taken,
        "bookings_waiting": planned.waiting,
        **decided,
        "tables": [
            {"number": each.number, "code": each.code.value, "text": each.text, "blocked": each.blocked}
            for each in planned.obstacles
        ],
        "price": planned.price,
        "agrees_with_this_release": planned.agrees,
    }
