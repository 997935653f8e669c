"""Who sits where: the seats of a day as the database has them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from maitred.model.period import Period


@dataclass(frozen=True, slots=True)
class Seat:
    """One party at one table. `tables` is how many tables the party has; `period` includes the buffers."""

    table: str
    zone: str
    reference: str
    party: int
    tables: int
    period: Period


@dataclass(frozen=True, slots=True)
class Seating:
    """The tables by zone, in the order of their numbers, and everyone who got some of them."""

    zones: dict[str, tuple[str, ...]]
    seats: Sequence[Seat]
