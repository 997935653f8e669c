"""The sets of tables that a party may have, by the planner's own rules: every step of the ladder the policy allows."""

from __future__ import annotations

from itertools import islice

from maitred.optimiser.problem import Option
from maitred.planner.answer import Request
from maitred.planner.layout import indices_of
from maitred.planner.planner import Planner
from maitred.planner.rules import looser_steps, request_rules
from maitred.planner.seating import Seating

MOST_UNLISTED = 2_000


class Options:
    """Options by size of party, made when first asked for; one floor under one policy.

    Sets too many to list are drawn up to a number, the best by score first; `complete` tells whether that left any out.
    """

    def __init__(self, planner: Planner, *, most_unlisted: int = MOST_UNLISTED) -> None:
        self._planner = planner
        self._most_unlisted = most_unlisted
        self._kept: dict[int, tuple[Option, ...]] = {}
        self.complete = True

    def of(self, party: int) -> tuple[Option, ...]:
        """The options of a party of this many covers, without those that another one beats in any situation."""
        if party not in self._kept:
            self._kept[party] = self._build(party)
        return self._kept[party]

    def _build(self, party: int) -> tuple[Option, ...]:
        request = Request(party=party)
        rules = request_rules(self._planner.policy, request)
        found: dict[int, tuple[int, bool]] = {}
        self._add(found, self._planner.seating(rules), relaxed=False)
        for looser, _ in looser_steps(self._planner.policy, request, rules):
            self._add(found, self._planner.seating(looser), relaxed=True)
        ids = [table.id for table in self._planner.layout.tables]
        return tuple(
            Option(tuple(sorted(ids[index] for index in indices_of(mask))), waste, relaxed)
            for mask, (waste, relaxed) in sorted(_undominated(found).items())
        )

    def _add(self, found: dict[int, tuple[int, bool]], seating: Seating, *, relaxed: bool) -> None:
        listed = len(seating.listed)
        draws = self._planner.draws()
        if seating.recipes:
            candidates = list(islice(seating.stream(0, draws), listed + self._most_unlisted + 1))
            if len(candidates) > listed + self._most_unlisted:
                candidates.pop()
                self.complete = False
            self.complete = self.complete and not draws.cut
        else:
            candidates = list(seating.stream(0, draws))
        self.complete = self.complete and not seating.cut_zones
        for candidate in candidates:
            found.setdefault(candidate.mask, (candidate.standing.overage, relaxed))


def _undominated(found: dict[int, tuple[int, bool]]) -> dict[int, tuple[int, bool]]:
    """Without sets that hold a smaller one which is no worse: whoever sits at the larger could sit at the smaller."""
    by_size = sorted(found, key=int.bit_count)
    kept: dict[int, tuple[int, bool]] = {}
    smaller: dict[int, list[int]] = {}
    for mask in by_size:
        waste, relaxed = found[mask]
        members = indices_of(mask)
        rivals = (rival for index in members for rival in smaller.get(index, ()))
        if any(rival & ~mask == 0 and kept[rival][0] <= waste and kept[rival][1] <= relaxed for rival in rivals):
            continue
        kept[mask] = (waste, relaxed)
        # a set is looked for under its first table only: whoever holds the set holds that table
        smaller.setdefault(members[0], []).append(mask)
    return kept
