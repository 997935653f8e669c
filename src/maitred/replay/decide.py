"""Deciding a recorded planning again, and what sets two decisions apart. Pure: no clock, no database."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum

from maitred.model.floor import Floor
from maitred.model.period import Period
from maitred.model.policy import VenuePolicy
from maitred.model.reason import ReasonCode
from maitred.planner.answer import Answer, Request
from maitred.planner.planner import Planner
from maitred.replay.record import Outcome, Recorded, outcome_of

# What was found out from the booking's status and the clock, before there was anything to plan.
NOT_PLANNED = frozenset({ReasonCode.NOT_PENDING, ReasonCode.START_PASSED})


class Change(StrEnum):
    """In what two decisions differ."""

    SEATED = "seated"
    TABLES = "tables"
    SCORE = "score"
    REASON = "reason"
    RELAXED = "relaxed"
    RANKING = "ranking"
    EXACT = "exact"
    WINDOW = "window"


@dataclass(frozen=True, slots=True, eq=False)
class VenueRules:
    """What decides: a floor, a policy, and the planner made of the floor and the policy's scoring."""

    floor: Floor
    policy: VenuePolicy
    planner: Planner


@dataclass(frozen=True, slots=True)
class Decided:
    """The decision under some rules. `outcome` None: it can't be told, because nothing was recorded of the room."""

    outcome: Outcome | None
    blocked: Period | None


def decide(recorded: Recorded, rules: VenueRules, answer: Callable[[Request], Answer] | None = None) -> Decided | None:
    """The decision on a recorded question under these rules; None when there was nothing to plan.

    The window and the demand are the policy's. What is taken and who waits are as recorded, also when the window is
    another one. `answer` is the planner's, for a caller that has it watched. Raises InvalidInput when the record is
    about another floor than the rules'.
    """
    if recorded.outcome.reason in NOT_PLANNED:
        return None
    window = rules.policy.window(recorded.starts_at, recorded.party)
    if isinstance(window, ReasonCode):
        return Decided(outcome_of(window), None)
    if recorded.asked is None:
        return Decided(None, window.blocked)
    request = replace(
        recorded.asked.request(recorded.party, rules.floor),
        demand_multiplier=window.demand_multiplier,
        service=window.service,
    )
    return Decided(outcome_of((answer or rules.planner.answer)(request)), window.blocked)


def changes(then: Decided, now: Decided) -> frozenset[Change]:
    """In what the decisions differ; nothing when they are the same in all that is kept of one."""
    if then.outcome is None or now.outcome is None:
        return frozenset() if then == now else frozenset({Change.REASON, Change.WINDOW})
    found = _changes_of_plans(then.outcome, now.outcome)
    if then.outcome.reason != now.outcome.reason:
        found.add(Change.REASON)
    if then.outcome.relaxed != now.outcome.relaxed:
        found.add(Change.RELAXED)
    if then.outcome.exact != now.outcome.exact:
        found.add(Change.EXACT)
    if then.blocked != now.blocked:
        found.add(Change.WINDOW)
    return frozenset(found)


def as_recorded(recorded: Recorded) -> Decided:
    """The decision as it was."""
    return Decided(recorded.outcome, recorded.blocked)


def _changes_of_plans(then: Outcome, now: Outcome) -> set[Change]:
    before, after = then.best, now.best
    if before is None or after is None:
        return set() if before is after else {Change.SEATED}
    found = set()
    if before.table_ids != after.table_ids:
        found.add(Change.TABLES)
    if (before.total, before.score) != (after.total, after.score):
        found.add(Change.SCORE)
    if then.plans[1:] != now.plans[1:]:
        found.add(Change.RANKING)
    return found
