"""What changed between two boards of one day, as a listener is told it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

PARTS = ("tables", "bookings", "holds", "runs")
_WHOLE = ("restaurant_id", "slug", "name", "timezone", "date", "complete")


def difference(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any] | None:
    """The rows that are new or other (`changed`) and the ids of those that are gone, by part of the board.

    Whoever puts the changed rows in place of those with their ids, takes the gone ones out and sorts bookings, holds
    and runs as the board has them, has the new board. None: too much changed to be told this way.
    """
    if any(before[key] != after[key] for key in _WHOLE):
        return None
    if [row["id"] for row in before["tables"]] != [row["id"] for row in after["tables"]]:
        return None
    changed: dict[str, list[Any]] = {}
    gone: dict[str, list[Any]] = {}
    for part in PARTS:
        known = {row["id"]: row for row in before[part]}
        there = {row["id"] for row in after[part]}
        if rows := [row for row in after[part] if known.get(row["id"]) != row]:
            changed[part] = rows
        if ids := [row_id for row_id in known if row_id not in there]:
            gone[part] = ids
    return {"version": after["version"], "changed": changed, "gone": gone, "waiting": after["waiting"]}
