"""Reading the planner's answer beside the brute force's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from maitred.model.reason import ReasonCode
from maitred.model.scoring import Relaxation
from maitred.planner.answer import Answer, Plan, Ranked, Refused
from tests.planner.brute_force import Found

NEAR: Final = 1e-6


def plans_of(answer: Answer) -> Sequence[Plan]:
    return answer.plans if isinstance(answer, Ranked) else ()


def reason_of(answer: Answer) -> ReasonCode | None:
    return answer.reason if isinstance(answer, Refused) else None


def relaxed_by(answer: Answer) -> frozenset[Relaxation]:
    return answer.relaxed if isinstance(answer, Ranked) else frozenset()


def same_ranking(plans: Sequence[Plan], found: Sequence[Found]) -> bool:
    """Whether both have the same sets in the same places, with the same totals."""
    return [frozenset(plan.table_ids) for plan in plans] == [frozenset(each.ids) for each in found] and all(
        abs(plan.score.total - each.total) <= NEAR for plan, each in zip(plans, found, strict=True)
    )
