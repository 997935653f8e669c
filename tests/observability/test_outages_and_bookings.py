"""Whatever happens to telemetry, bookings get the tables that they would have got, and no event of a change is lost.

The cases of the benchmark, in small: `python -m benchmarks.telemetry` has them at full size.
"""

from __future__ import annotations

import pytest
from benchmarks._outages import Outages, Row

MOST = 24


def assert_harmless(row: Row) -> None:
    assert row.outcomes_as_undisturbed
    assert row.state_changes > 0
    assert (row.state_changes_lost, row.duplicates) == (0, 0)
    assert row.accepted > MOST


@pytest.fixture
async def outages(database_url: str) -> Outages:
    cases = Outages(database_url, most=MOST, away_s=0.5)
    row = await cases.undisturbed()
    assert_harmless(row)
    assert (row.written, row.lost) == (row.accepted, 0)
    assert row.completeness.startswith("Complete")
    return cases


@pytest.mark.parametrize("mode", ["hanging", "refusing"])
async def test_a_server_that_is_away_to_the_end(mode: str, outages: Outages) -> None:
    row = await outages.wire(mode, mode)
    assert_harmless(row)
    assert row.written + row.spilled == row.accepted
    assert (row.written_later, row.lost) == (row.spilled, 0)
    assert row.spilled > 0
    assert row.completeness.startswith("Complete")


async def test_a_server_that_comes_back(outages: Outages) -> None:
    row = await outages.wire("back", "refusing", back=True)
    assert_harmless(row)
    assert (row.written, row.spilled, row.lost) == (row.accepted, 0, 0)


async def test_a_server_that_hangs_and_no_room_for_files(outages: Outages) -> None:
    row = await outages.wire("no room", "hanging", no_files=True)
    assert_harmless(row)
    assert row.lost == row.dropped["unwritten"] == row.accepted - row.written > 0
    assert "Incomplete" in row.completeness
    assert "ended without closing" in row.completeness


async def test_a_full_disk(outages: Outages) -> None:
    row = await outages.full_disk(pretend=True)
    assert_harmless(row)
    assert row.spilled > 0
    assert (row.written_later, row.lost) == (row.spilled, 0)
    assert row.completeness.startswith("Complete")


async def test_a_fork(outages: Outages) -> None:
    row = await outages.forked()
    assert_harmless(row)
    assert (row.written, row.lost, row.note) == (row.accepted, 0, "2 producers")
    assert row.completeness.startswith("Complete")


@pytest.mark.parametrize("hanging", [False, True])
async def test_sigterm_in_the_middle(hanging: bool, outages: Outages) -> None:
    row = await outages.sigterm(hanging=hanging)
    assert_harmless(row)
    assert (row.written + row.spilled, row.lost) == (row.accepted, 0)
    assert row.written_later == row.spilled
    assert row.completeness.startswith("Complete")


async def test_kill_9_in_the_middle(outages: Outages) -> None:
    row = await outages.killed()
    assert_harmless(row)
    assert "ended without closing" in row.completeness
