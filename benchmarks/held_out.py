"""Prices on days that nothing was chosen by: covers as a share of the clairvoyant bound; JSON on stdout.

    python -m benchmarks.held_out [--days N] [--load LOAD] [--first SEED]

Days as `maitred simulate` draws them, on the demo's floor. `own`: the forecast is the day's own bookings still to be
made and not to be cancelled, which nobody has. `past`: the venue's own forecast from 26 days drawn from the same
figures. `declining`: a party whose tables would earn more is declined. Nobody is moved. `mean` and `p5` are percent.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections import Counter, defaultdict
from collections.abc import Sequence
from datetime import date, datetime
from uuid import UUID

from maitred.demo.reference import demo_day
from maitred.model.policy import Window, service_period
from maitred.optimiser.day import Day
from maitred.optimiser.day_prices import prices_of
from maitred.optimiser.forecast import Cell, Forecast, slot_of
from maitred.optimiser.prices import Prices
from maitred.optimiser.result import Params
from maitred.planner.planner import Planner
from maitred.simulate.bound import clairvoyant
from maitred.simulate.days import PUBLISHED, DrawnBooking, Fate, draw_day
from maitred.simulate.foresight import DEADLINE_S, Foresight
from maitred.simulate.policies import Policy
from maitred.simulate.room import play
from maitred.venue.read import Venue

DAY = date(2030, 6, 5)
PAST_DAYS = 26
BOUND_S = 5.0
BEST_FIT, PRICES = Policy("best-fit"), Policy("prices", prices=True)
DECLINING = Policy("declining", prices=True, declines=True)


class OwnDay(Foresight):
    """Knows which bookings of this day are still to be made."""

    def __init__(self, venue: Venue, day: date, bookings: Sequence[DrawnBooking]) -> None:
        super().__init__(venue, day, [bookings])
        self._venue = venue
        self._bookings = [each for each in bookings if each.fate is not Fate.CANCELS]

    def prices(self, day: Day, now: datetime) -> Prices:
        counts = Counter(
            cell for each in self._bookings if each.booked_at > now and (cell := _cell(self._venue, each)) is not None
        )
        found = prices_of(day, Forecast(dict(counts)), Params(deadline_s=DEADLINE_S, workers=1))
        assert found is not None
        return found


def _cell(venue: Venue, booking: DrawnBooking) -> Cell | None:
    window = venue.policy.window(booking.starts_at, booking.party)
    if not isinstance(window, Window):
        return None
    service = next(each for each in venue.policy.services if each.key == window.service)
    opens = service_period(service, window.service_day, venue.policy.zone)[0]
    return Cell(window.service, booking.party, slot_of((window.dining.start - opens).total_seconds() / 60))


def held_out(load: float, days: int, first: int) -> dict[str, object]:
    """All policies on the same days."""
    demo = demo_day()
    seats = sum(table.capacity for table in demo.floor.tables)
    shares: defaultdict[str, list[float]] = defaultdict(list)
    proved = 0
    for seed in range(first, first + days):
        bookings = draw_day(PUBLISHED, demo.policy, DAY, seats=seats, load=load, seed=seed)
        bound = clairvoyant(bookings, demo.floor, demo.policy, seconds=BOUND_S)
        proved += bound.proved
        past = [
            draw_day(PUBLISHED, demo.policy, DAY, seats=seats, load=load, seed=10**6 + PAST_DAYS * seed + back)
            for back in range(PAST_DAYS)
        ]
        for policy in (BEST_FIT, PRICES, DECLINING):
            venue = Venue(UUID(int=1), "demo", "Demo", policy.applied_to(demo.policy), demo.floor, 1, 1)
            planner = Planner(demo.floor, venue.policy.scoring)
            forecasts: dict[str, Foresight | None] = {policy.name: None}
            if policy.prices:
                own, drawn = OwnDay(venue, DAY, bookings), Foresight(venue, DAY, past)
                forecasts = {f"{policy.name}, own": own, f"{policy.name}, past": drawn}
            for name, foresight in forecasts.items():
                shares[name].append(100 * play(venue, DAY, bookings, planner, foresight).covers / bound.bound)
        print(load, seed, {name: round(each[-1], 1) for name, each in shares.items()}, file=sys.stderr, flush=True)
    return {
        "load": load,
        "days": days,
        "bounds_proved": proved,
        "shares": {
            name: {"mean": round(sum(each) / days, 1), "p5": round(sorted(each)[days // 20], 1)}
            for name, each in shares.items()
        },
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--days", type=int, default=2)
    parser.add_argument("--load", type=float, action="append")
    parser.add_argument("--first", type=int, default=5_001)
    chosen = parser.parse_args()
    result = {
        "load_average_before": round(os.getloadavg()[0], 2),
        "loads": [held_out(load, chosen.days, chosen.first) for load in chosen.load or (1.05, 1.25)],
    }
    json.dump(result, sys.stdout, indent=1)
    print()


if __name__ == "__main__":
    main()
