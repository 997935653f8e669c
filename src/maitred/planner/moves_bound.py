"""A quick proof that moving people around can't help: at some moment the parties need more than the room has.

Give every table a weight. Each party needs at least the lightest of its sets; if the sum is above the weight of all the
tables that nobody fixed has, no assignment exists, however many are moved. Seats capped at some size, and tables of at
least some size, are the weights that find what there is to find in a room that is really full.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from maitred.planner.layout import indices_of
from maitred.planner.moves_search import Party
from maitred.planner.planner import Planner
from maitred.planner.sets import Sets


def room_for_all(planner: Planner, newcomer: Party, others: Sequence[Party]) -> bool:
    """False when it is certain that no re-seating of those who aren't fixed makes room for the newcomer."""
    near = [other for other in others if other.start < newcomer.end and newcomer.start < other.end]
    if any(party.sets is not None and not party.sets.listed for party in (newcomer, *near)):
        return True  # not all of their sets are listed
    moments = {newcomer.start, *(each.start for each in near if newcomer.start <= each.start)}
    scales = _scales(sorted({planner.layout.capacity[index] for index in indices_of(planner.layout.usable)}))
    needs: dict[tuple[int, int], int] = {}
    return all(_room_at(planner, newcomer, near, moment, scales, needs) for moment in moments)


Scale = dict[int, int]
"""A table's weight by its capacity."""


def _scales(capacities: list[int]) -> list[Scale]:
    capped = [{size: min(size, most) for size in capacities} for most in range(1, max(capacities, default=0) + 1)]
    large = [{size: int(size >= least) for size in capacities} for least in capacities[1:]]
    return capped + large


def _room_at(
    planner: Planner,
    newcomer: Party,
    near: Sequence[Party],
    moment: int,
    scales: Sequence[Scale],
    needs: dict[tuple[int, int], int],
) -> bool:
    fixed = 0
    kinds: Counter[int] = Counter()
    choices: dict[int, Sets] = {id(newcomer.choice): newcomer.choice}
    kinds[id(newcomer.choice)] += 1
    odd: list[Party] = []  # those who sit where their own rules would not put them
    for each in near:
        if not each.start <= moment < each.end:
            continue
        if each.sets is None:
            fixed |= each.mask
        elif each.mask in each.choice.rank_of:
            kinds[id(each.choice)] += 1
            choices[id(each.choice)] = each.choice
        else:
            odd.append(each)
    layout = planner.layout
    there = Counter(layout.capacity[index] for index in indices_of(layout.all & ~fixed))
    for place, scale in enumerate(scales):
        room = sum(scale.get(size, 0) * count for size, count in there.items())
        for kind, count in kinds.items():
            need = needs.get((kind, place))
            if need is None:
                shapes = choices[kind].shapes
                need = min((sum(scale[size] for size in shape) for shape in shapes), default=room + 1)
                needs[kind, place] = need
            room -= need * count
        for each in odd:
            own = sum(scale.get(layout.capacity[index], 0) for index in indices_of(each.mask))
            shapes = each.choice.shapes
            room -= min([own, *(sum(scale[size] for size in shape) for shape in shapes)])
        if room < 0:
            return False
    return True
