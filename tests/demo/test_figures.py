"""The demo's figures: the same percentiles as PostgreSQL's, and the original's as they were published."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from maitred.demo.figures import percentile, percentiles, zone_uses
from maitred.demo.reference import demo_day, original
from maitred.demo.seating import Seat, Seating
from maitred.model.period import Period
from maitred.storage.database import Database


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    values=st.lists(st.floats(0, 1e6), min_size=1, max_size=40), fraction=st.sampled_from([0.0, 0.5, 0.95, 0.99, 1.0])
)
async def test_a_percentile_is_postgresqls(database: Database, values: list[float], fraction: float) -> None:
    [row] = await database.fetch(
        "SELECT percentile_cont(%(fraction)s) WITHIN GROUP (ORDER BY x) AS y FROM unnest(%(values)s::float8[]) AS x",
        {"fraction": fraction, "values": values},
    )
    ours = percentile(values, fraction)
    assert ours is not None
    assert abs(ours - row["y"]) <= 1e-9 * max(1.0, abs(ours))


def test_nothing_measured_has_no_percentiles() -> None:
    assert percentiles([]) == {"p50": None, "p95": None, "p99": None}


def test_the_demos_day_is_the_published_one() -> None:
    day = demo_day()
    assert len(day.floor.tables) == 16
    assert len(day.floor.adjacency) == 56
    assert len(day.bookings) == 117
    assert sum(booking.party_size for booking in day.bookings) == 440
    assert [service.key for service in day.policy.services] == ["lunch", "dinner"]


def test_the_originals_figures_are_the_published_ones() -> None:
    found = original()
    assert [(run.seated, run.covers, run.total_seconds) for run in found.runs] == [(40, 131, 191.83), (5, 14, 2077.96)]
    assert found.runs[0].duration_ms == {"p50": 9402, "p95": 30476, "p99": 32196}
    assert (found.most_parties, found.best_fit_parties, found.best_fit_covers) == (79, 69, 256)


def test_a_zones_use_counts_a_party_once_and_each_of_its_tables() -> None:
    noon = datetime(2025, 11, 6, 12, tzinfo=UTC)
    first, second = Period(noon, noon + timedelta(hours=1)), Period(noon, noon + timedelta(hours=2))
    seating = Seating(
        zones={"Room": ("T1", "T2"), "Terrace": ("P1",)},
        seats=[
            Seat("T1", "Room", "R1", 6, 2, first),
            Seat("T2", "Room", "R1", 6, 2, first),
            Seat("P1", "Terrace", "R2", 2, 1, second),
        ],
    )
    assert [(use.zone, use.tables, use.seated, use.covers, use.use) for use in zone_uses(seating)] == [
        ("Room", 2, 1, 6, 0.5),
        ("Terrace", 1, 1, 2, 1.0),
    ]
    assert [use.use for use in zone_uses(Seating(zones={"Room": ("T1",)}, seats=[]))] == [0.0]
