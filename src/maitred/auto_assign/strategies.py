"""The ladder of strategies of the loop: each step asks for less than the venue's policy does. Pure."""

from __future__ import annotations

from maitred.booking.question import Strategy
from maitred.model.reason import ReasonCode
from maitred.model.scoring import ScoringPolicy

_MORE_TABLES = (4, 5)

# No strategy and no table that comes free changes these.
SETTLED = frozenset(
    {
        ReasonCode.START_PASSED,
        ReasonCode.OUTSIDE_SERVICE,
        ReasonCode.NO_DINING_TIME,
        ReasonCode.CLOSED,
        ReasonCode.NO_TABLES,
        ReasonCode.GLOBAL_CAPACITY,
        ReasonCode.INSUFFICIENT_CAPACITY,
    }
)


def ladder(policy: ScoringPolicy, asked: Strategy) -> tuple[Strategy, ...]:
    """The strategies to try in turn: the policy's own; adjacency not required; 4 tables, then 5; all of it together.

    What the caller asked for explicitly stays as it is on every step, and a step that asks for no less than the policy
    does is left out; so there may be but one.
    """
    free = asked.require_adjacency is None and policy.adjacency_from_party is not None
    more = tuple(n for n in _MORE_TABLES if n > policy.max_tables) if asked.max_tables is None else ()
    adjacency = False if free else asked.require_adjacency
    most = more[-1] if more else asked.max_tables
    steps = (
        asked,
        Strategy(adjacency, asked.max_tables),
        *(Strategy(asked.require_adjacency, n) for n in more),
        Strategy(adjacency, most),
    )
    return tuple(dict.fromkeys(steps))
