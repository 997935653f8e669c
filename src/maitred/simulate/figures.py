"""The figures of a study: per load and policy the shares of the clairvoyant's bound, and the rest as means. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from maitred.simulate.outcome import Outcome
from maitred.simulate.policies import BEST_FIT
from maitred.simulate.study import Load, Played, Study


@dataclass(frozen=True, slots=True)
class Row:
    """One policy at one load, means by day. Shares are of the bound's covers: `share` the mean of the days' shares,
    `share_p5` the 5th percentile (nearest rank). `regret_removed` is the share of best fit's distance to the bound, all
    days together, that this policy doesn't have; None where best fit has none or was not played. `came` are covers of
    those who came, `waste` seats left over at taken tables."""

    policy: str
    share: float
    share_p5: float
    seated: float
    covers: float
    came: float
    waste: float
    moves: float
    declined: float
    regret_removed: float | None


@dataclass(frozen=True)
class LoadFigures:
    """One load. `bookings` and `wanted` are of those who didn't cancel, by day; `bound` is the clairvoyant's in covers,
    proved on `proved` of the days."""

    load: float
    bookings: float
    wanted: float
    bound: float
    proved: int
    rows: Sequence[Row]


def figures(study: Study) -> list[LoadFigures]:
    """Load by load, in the order of the plan."""
    return [_figures(load, [policy.name for policy in study.policies]) for load in study.loads]


def _figures(load: Load, names: Sequence[str]) -> LoadFigures:
    days = load.days
    stay = [[booking for booking in day.bookings if booking.cancelled_at is None] for day in days]
    bound = sum(day.best.bound for day in days)
    basis = sum(day.outcomes[BEST_FIT.name].covers for day in days) if BEST_FIT.name in names else None
    rows = []
    for name in names:
        outcomes = [day.outcomes[name] for day in days]
        shares = sorted(_share(day.outcomes[name], day.best.bound) for day in days)
        regret = None if basis is None or basis == bound else bound - sum(each.covers for each in outcomes)
        rows.append(
            Row(
                policy=name,
                share=_mean(shares),
                share_p5=shares[max(0, math.ceil(0.05 * len(shares)) - 1)],
                seated=_mean(each.seated for each in outcomes),
                covers=_mean(each.covers for each in outcomes),
                came=_mean(each.came for each in outcomes),
                waste=_mean(each.waste for each in outcomes),
                moves=_mean(each.moves for each in outcomes),
                declined=_mean(each.declined for each in outcomes),
                regret_removed=None if regret is None or basis is None else 1 - regret / (bound - basis),
            )
        )
    return LoadFigures(
        load=load.load,
        bookings=_mean(len(each) for each in stay),
        wanted=_mean(sum(booking.party for booking in each) for each in stay),
        bound=bound / len(days),
        proved=sum(day.best.proved for day in days),
        rows=tuple(rows),
    )


def to_json(study: Study) -> dict[str, Any]:
    """Everything, and each day beside the means."""
    plan = study.plan
    return {
        "venue": study.venue,
        "tables": study.tables,
        "seats": study.seats,
        "drawn_from": study.source,
        "seed": plan.seed,
        "days": plan.days,
        "loads": [
            {**_rounded(asdict(found)), "by_day": [_day(day.number, day) for day in load.days]}
            for found, load in zip(figures(study), study.loads, strict=True)
        ],
    }


def _day(number: int, day: Played) -> dict[str, Any]:
    return {
        "seed_offset": number,
        "bookings": len(day.bookings),
        "bound": day.best.bound,
        "proved": day.best.proved,
        "covers": {name: each.covers for name, each in day.outcomes.items()},
        "seated": {name: each.seated for name, each in day.outcomes.items()},
        "moves": {name: each.moves for name, each in day.outcomes.items()},
        "waste": {name: each.waste for name, each in day.outcomes.items()},
    }


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, 4)
    if isinstance(value, dict):
        return {key: _rounded(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(each) for each in value]
    return value


def _share(outcome: Outcome, bound: int) -> float:
    return outcome.covers / bound if bound else 1.0


def _mean(values: Iterable[float]) -> float:
    found = list(values)
    return sum(found) / len(found)
