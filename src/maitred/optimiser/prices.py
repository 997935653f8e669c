"""What a table would otherwise earn: its price at each time of a day, from demand to come and what is free.

The linear programme seats the demand to come in pools of alike tables so that most covers come in. The dual of a pool's
row is what one more table would bring at that moment: nothing while tables are plenty, and up to the covers of a whole
party at the peak. A set of tables kept for a window uses up each row in it once for each of its tables, so what it
costs is the sum over moments and tables: by linear duality a party is worth seating exactly when its covers are at
least that. Prices are in covers.

A dual is the slope on one side only: at a corner it tells what one table less would lose, or one more would bring, but
not which. So it is the mean over demand a little lower, as forecast, and a little higher (ADR 17 has the figures).
"""

from __future__ import annotations

import math
import time
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate

from maitred.errors import InvalidInput
from maitred.optimiser import highs
from maitred.optimiser.choices import Span, cliques
from maitred.optimiser.linear import Aim, Linear
from maitred.optimiser.pool import pools
from maitred.optimiser.problem import Option, Party, Problem, Taken
from maitred.optimiser.result import Params

SLOPES = (0.95, 1.0, 1.05)
POINTS_PER_COVER = 25.0
"""What a cover is worth in points of the score: above all that the plain score can tell between two likely sets."""
_NOTHING = 1e-9
_SCALE = 1_000  # duals don't change when all amounts are scaled: so parts of bookings are whole numbers


@dataclass(frozen=True, slots=True)
class Expected:
    """Bookings to come that are alike: `count` of them (a mean, parts allowed), tables taken for [start, end) in
    microseconds since 1970. Raises InvalidInput for a count that is negative or not finite."""

    covers: int
    start: int
    end: int
    count: float
    options: tuple[Option, ...]

    def __post_init__(self) -> None:
        if not math.isfinite(self.count) or self.count < 0:
            raise InvalidInput("forecast", "count", f"must be a finite number of 0 or more, not {self.count}")
        if self.covers < 1:
            raise InvalidInput("forecast", "covers", "must be 1 or more")
        if self.start >= self.end:
            raise InvalidInput("forecast", "window", "must end after its start")


class Prices:
    """Each table's price by window. Safe to share between threads; asking costs a few microseconds."""

    def __init__(self, pool_of: Sequence[int], rows: Mapping[int, Sequence[tuple[int, float]]]) -> None:
        """`pool_of` has the pool of each table, in the floor's order; `rows` each pool's moments, ascending, with the
        price of a table at that moment."""
        self._pool_of = pool_of
        self._priced = [
            (pool, [moment for moment, _ in priced], [0.0, *accumulate(price for _, price in priced)])
            for pool, priced in sorted(rows.items())
            if priced
        ]
        self._pools = max(pool_of, default=-1) + 1
        self._none = (0.0,) * len(pool_of)

    def window(self, start: int, end: int) -> tuple[float, ...]:
        """The price of each table for [start, end), in covers, in the floor's order."""
        of_pool: list[float] | None = None
        for pool, moments, sums in self._priced:
            first, last = bisect_left(moments, start), bisect_left(moments, end)
            if first < last:
                of_pool = of_pool or [0.0] * self._pools
                of_pool[pool] = sums[last] - sums[first]
        return self._none if of_pool is None else tuple([of_pool[pool] for pool in self._pool_of])


def price_tables(
    capacity: Mapping[int, int], expected: Iterable[Expected], taken: Iterable[Taken] = (), params: Params | None = None
) -> Prices | None:
    """The prices of these tables (ids in the floor's order, with their seats); None when time ran out.

    The same demand and the same tables taken give the same prices.
    """
    chosen = params or Params()
    demand = [each for each in expected if each.count > 0 and each.options]
    parties = tuple(
        Party(str(number), each.covers, each.start, each.end, each.options) for number, each in enumerate(demand)
    )
    pool_of = pools(Problem(capacity, parties))
    spans = list(taken)
    # many kinds of demand share their options
    known = {id(each.options): _patterns(each.options, pool_of) for each in demand}
    patterns = [known[id(each.options)] for each in demand]
    rows: defaultdict[int, defaultdict[int, float]] = defaultdict(lambda: defaultdict(float))
    end = time.monotonic() + chosen.deadline_s
    for slope in SLOPES if demand else ():
        model, aim, moments = _programme(demand, patterns, pool_of, spans, slope)
        solved = highs.price(model, aim, chosen, seconds=end - time.monotonic())
        if solved is None:
            return None
        for (pool, moment), price in zip(moments, solved.prices[len(demand) :], strict=True):
            if price > _NOTHING:
                rows[pool][moment] += price / len(SLOPES)
    return Prices([pool_of[table] for table in capacity], {pool: sorted(its.items()) for pool, its in rows.items()})


def _programme(
    demand: Sequence[Expected],
    patterns: Sequence[Sequence[tuple[tuple[int, int], ...]]],
    pool_of: Mapping[int, int],
    taken: Iterable[Taken],
    slope: float,
) -> tuple[Linear, Aim, list[tuple[int, int]]]:
    """The programme, its first rows being the demand's; its aim; the pool and the moment of each further row."""
    model = Linear()
    worth = []
    size = Counter(pool_of.values())
    using: defaultdict[int, list[tuple[Span, int, int]]] = defaultdict(list)
    for each, ways in zip(demand, patterns, strict=True):
        mine = []
        for pattern in ways:
            column = model.column(_SCALE * 1_000_000)
            mine.append((column, 1))
            worth.append((column, each.covers))
            for pool, tables in pattern:
                using[pool].append(((each.start, each.end), column, tables))
        model.row(mine, most=round(each.count * slope * _SCALE))
    busy: defaultdict[int, list[Span]] = defaultdict(list)
    for span in taken:
        if span.table in pool_of:
            busy[pool_of[span.table]].append((span.start, span.end))
    moments = []
    for pool, uses in sorted(using.items()):
        spans = [span for span, _, _ in uses] + busy[pool]
        for clique in cliques(spans):
            terms = [(uses[place][1], uses[place][2]) for place in clique if place < len(uses)]
            if terms:
                left = size[pool] - (len(clique) - len(terms))
                model.row(terms, most=max(0, left) * _SCALE)
                moments.append((pool, max(spans[place][0] for place in clique)))
    return model, Aim(worth, maximise=True), moments


def _patterns(options: Iterable[Option], pool_of: Mapping[int, int]) -> list[tuple[tuple[int, int], ...]]:
    """The options as how many tables of which pool, each once."""
    found = {tuple(sorted(pool_of[table] for table in option.tables)) for option in options}
    return [tuple(Counter(pattern).items()) for pattern in sorted(found)]
