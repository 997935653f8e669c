"""Why nothing fits, as a code. The first that applies is the reason; occupancy decides only between the last two."""

from __future__ import annotations

from maitred.model.reason import ReasonCode
from maitred.planner.layout import Layout, indices_of


def reason_without_candidates(layout: Layout, party: int, max_tables: int, barred: int) -> ReasonCode:
    """Why there is no candidate even in an empty room. `barred` tables are in another zone or to be avoided."""
    zones = [
        sorted((layout.capacity[index] for index in indices_of(tables & layout.usable & ~barred)), reverse=True)
        for tables in layout.zones.values()
    ]
    if not any(zones):
        return ReasonCode.NO_TABLES
    if party > sum(map(sum, zones)):
        return ReasonCode.GLOBAL_CAPACITY
    if party > max(map(sum, zones)):
        return ReasonCode.INSUFFICIENT_CAPACITY
    if party > max(sum(zone[:max_tables]) for zone in zones):
        return ReasonCode.MAX_TABLES
    return ReasonCode.NO_SUITABLE_TABLES
