"""Under which rules a party may be seated: the policy's own, and the looser steps tried when nothing fits."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from maitred.model.scoring import AdjacencyMode, Relaxation, ScoringPolicy
from maitred.planner.answer import Request
from maitred.planner.score import Profile


class Rules(NamedTuple):
    """One step of the ladder. `max_overage` None: any number of seats to spare. `undercut`: no minimum parties."""

    party: int
    demand_multiplier: float
    max_tables: int
    adjacency_required: bool
    undercut: bool
    max_overage: int | None

    @property
    def largest_capacity(self) -> int | None:
        """The most seats a set may have; None: any number."""
        return None if self.max_overage is None else self.party + self.max_overage


def policy_rules(policy: ScoringPolicy, party: int, demand_multiplier: float) -> Rules:
    """The rules for a party when nobody asks for anything else."""
    required = policy.adjacency_from_party is not None and party >= policy.adjacency_from_party
    return Rules(party, demand_multiplier, policy.max_tables, required, False, policy.max_overage)


def request_rules(policy: ScoringPolicy, request: Request) -> Rules:
    """The first step: the policy's rules with the caller's explicit choices."""
    required = request.require_adjacency
    if required is None:
        required = policy.adjacency_from_party is not None and request.party >= policy.adjacency_from_party
    max_tables = policy.max_tables if request.max_tables is None else request.max_tables
    return Rules(request.party, request.demand_multiplier, max_tables, required, False, policy.max_overage)


def looser_steps(
    policy: ScoringPolicy, request: Request, rules: Rules
) -> Iterator[tuple[Rules, frozenset[Relaxation]]]:
    """The steps after the first that the policy allows, in the ladder's order, each with what it relaxes.

    A step that would change nothing is left out, and so is adjacency that the caller asked for.
    """
    allowed = policy.allowed
    adjacency = Relaxation.ADJACENCY in allowed and rules.adjacency_required and request.require_adjacency is None
    min_party = Relaxation.MIN_PARTY in allowed
    if adjacency:
        yield rules._replace(adjacency_required=False), frozenset({Relaxation.ADJACENCY})
    if min_party:
        yield rules._replace(undercut=True), frozenset({Relaxation.MIN_PARTY})
    if adjacency and min_party:
        loosened = rules._replace(adjacency_required=False, undercut=True)
        yield loosened, frozenset({Relaxation.ADJACENCY, Relaxation.MIN_PARTY})
    if Relaxation.OVERAGE in allowed:
        yield rules._replace(max_overage=None), frozenset({Relaxation.OVERAGE})


def permits(rules: Rules, mode: AdjacencyMode, profile: Profile) -> bool:
    """Whether sets of this profile are candidates under the rules."""
    most = rules.largest_capacity
    if profile.capacity < rules.party or (most is not None and profile.capacity > most):
        return False
    if profile.needs_party > rules.party and not rules.undercut:
        return False
    if profile.most_party is not None and rules.party > profile.most_party:
        return False
    return (
        profile.size == 1
        or not rules.adjacency_required
        or touches(mode, profile.size, profile.adjacency_cost, profile.pairwise)
    )


def touches(mode: AdjacencyMode, size: int, adjacency_cost: int, pairwise: bool) -> bool:
    """Whether a set of two or more tables satisfies the adjacency mode."""
    if mode is AdjacencyMode.PAIRWISE:
        return pairwise
    if mode is AdjacencyMode.NEIGHBORS:
        return adjacency_cost <= 1
    return adjacency_cost < size  # only a set that isn't connected has as many
