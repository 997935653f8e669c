"""A replay as people and programs read it. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from statistics import median
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from maitred import __version__
from maitred.model.floor import Floor
from maitred.replay.decide import Decided
from maitred.replay.replay import (
    CACHE_HIT,
    NO_RECORD,
    NO_VERSION,
    NOT_PLANNED,
    ROOM_UNKNOWN,
    UNREADABLE,
    Difference,
    Planning,
    Replayed,
)
from maitred.replay.story_document import decided_json, numbers
from maitred.replay.what_if import Otherwise, Verdict, WhatIf

_ROWS = 50

_LEFT_OUT = {
    CACHE_HIT: "answered from a recent failure, nothing was planned",
    NO_RECORD: "without a flight record: broken off before planning, older, or another system's",
    UNREADABLE: "with a record that this release can't read",
    NO_VERSION: "by a venue version that isn't kept, or that this release can't read",
    NOT_PLANNED: "refused before planning: not pending, or the start had passed",
    ROOM_UNKNOWN: "refused by the hours of one policy and not of the other: the room was not recorded",
}
_VERDICTS = {
    Verdict.SAME: "the same tables, or none for the same reason",
    Verdict.OTHER_TABLES: "other tables",
    Verdict.NOW_FOUND: "tables where there were none",
    Verdict.NO_LONGER: "none where there were tables",
    Verdict.OTHER_REASON: "none, for another reason",
}
_SINGLE = (
    "Each quote is decided by itself, on the room as it was: what is taken and who waits stay as recorded, also where "
    "an earlier booking would have got other tables. What a policy does to a whole day takes a run over the day."
)


def render(found: Replayed | WhatIf) -> RenderableType:
    """For a terminal."""
    return Group(*(_replayed(found) if isinstance(found, Replayed) else _what_if(found)))


def to_json(found: Replayed | WhatIf) -> dict[str, Any]:
    """Everything that is kept. Instants are in UTC, times in microseconds."""
    if isinstance(found, Replayed):
        return {
            "release": __version__,
            "quotes": found.quotes,
            "decided": found.decided,
            "identical": found.identical,
            "different": found.different,
            "left_out": dict(found.left_out),
            "releases": dict(found.releases),
            "planning_us": _spread(found.planning_s),
            "differences": [_difference_json(each) for each in found.differences],
        }
    return {
        "release": __version__,
        "quotes": found.quotes,
        "decided": found.decided,
        "verdicts": {verdict.value: found.verdicts[verdict] for verdict in Verdict},
        "left_out": dict(found.left_out),
        "bookings": {
            "quoted": len(found.bookings),
            "tables_found_by_own": len(found.found_by_own),
            "tables_found_by_other": len(found.found_by_other),
        },
        "score_median": {
            "quotes": len(found.scores),
            "own": _middle([own for own, _ in found.scores]),
            "other": _middle([other for _, other in found.scores]),
        },
        "planning_us": {"own": _spread(found.own_s), "other": _spread(found.other_s)},
        "other_windows": found.other_windows,
        "other_lookahead": found.other_lookahead,
        "drifted": found.drifted,
        "otherwise": [_otherwise_json(each) for each in found.otherwise],
    }


def _replayed(found: Replayed) -> Iterator[RenderableType]:
    same = "all identical" if found.decided == found.identical else f"{found.identical:,} identical"
    yield Text(f"{found.decided:,} plannings of {found.quotes:,} quotes decided again: {same}.", style="bold")
    if found.different:
        yield Text(f"{found.different:,} decided otherwise by release {__version__}.", style="bold red")
    if found.releases:
        yield Text("Quotes by release: " + ", ".join(f"{name} {n:,}" for name, n in sorted(found.releases.items())))
    yield from _left_out(found.left_out)
    if found.planning_s:
        spread = _spread(found.planning_s)
        yield Text(f"Planning took {spread['p50']} µs in the median, {spread['p95']} at p95, {spread['max']} at most.")
    if found.differences:
        table = _table("quoted (UTC)", "booking", "release", "differs in", "then", f"release {__version__}")
        for each in found.differences[:_ROWS]:
            quote = each.planning.quote
            table.add_row(
                *_named(each.planning),
                quote.release or "unknown",
                ", ".join(sorted(each.changes)),
                _decided(each.then, each.floor),
                _decided(each.now, each.floor),
            )
        yield table
        yield from _more(found.different, min(len(found.differences), _ROWS))


def _what_if(found: WhatIf) -> Iterator[RenderableType]:
    yield Text(f"{found.decided:,} of {found.quotes:,} quotes decided under both policies.", style="bold")
    yield from _left_out(found.left_out)
    counts = _table("under the other policy", "quotes")
    for verdict, meaning in _VERDICTS.items():
        counts.add_row(meaning, f"{found.verdicts[verdict]:,}")
    yield counts
    figures = _table("", "own policy", "other policy")
    bookings = len(found.bookings)
    figures.add_row(
        "bookings with tables", f"{len(found.found_by_own):,} of {bookings:,}", f"{len(found.found_by_other):,}"
    )
    if found.scores:
        own, other = ([pair[side] for pair in found.scores] for side in (0, 1))
        figures.add_row(
            f"score, median of {len(own):,}, each on its own scale", _score(median(own)), _score(median(other))
        )
    if found.own_s:
        for name in ("p50", "p95"):
            figures.add_row(
                f"planning, {name}", f"{_spread(found.own_s)[name]} µs", f"{_spread(found.other_s)[name]} µs"
            )
    yield figures
    if found.otherwise:
        table = _table("quoted (UTC)", "booking", "party", "own policy", "other policy")
        for each in found.otherwise[:_ROWS]:
            table.add_row(
                *_named(each.planning),
                str(each.planning.recorded.party),
                _decided(each.own, each.floor),
                _decided(each.other, each.floor),
            )
        yield table
        yield from _more(found.decided - found.verdicts[Verdict.SAME], min(len(found.otherwise), _ROWS))
    yield Text(_SINGLE)
    if found.other_windows:
        yield Text(
            f"{found.other_windows:,} quotes want their tables for another time under the other policy; what was taken "
            "then was not recorded, so they too were decided on what was taken in the recorded time."
        )
    if found.other_lookahead:
        yield Text(
            f"For {found.other_lookahead:,} quotes the other policy looks another time ahead; the waiting bookings are "
            "those that were recorded."
        )
    if found.drifted:
        yield Text(
            f"{found.drifted:,} quotes are decided otherwise by release {__version__} than was recorded, under their "
            "own policy too (maitred replay without --policy shows them)."
        )


def _left_out(left_out: Counter[str]) -> Iterator[Text]:
    for reason, count in sorted(left_out.items()):
        yield Text(f"Left out: {count:,} {_LEFT_OUT.get(reason, reason)}.")


def _more(count: int, shown: int) -> Iterator[Text]:
    if count > shown:
        yield Text(f"... and {count - shown:,} more (--json has up to 1,000).")


def _table(*headings: str) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for heading in headings:
        table.add_column(heading, overflow="fold")
    return table


def _named(planning: Planning) -> tuple[str, Text]:
    where = f"{planning.quote.name} at {planning.quote.slug}" if planning.quote.slug else planning.quote.name
    return f"{planning.quote.at:%Y-%m-%d %H:%M:%S}", Text(where)


def _decided(decided: Decided, floor: Floor) -> Text:
    outcome = decided.outcome
    if outcome is None:
        return Text("would be planned")
    if outcome.best is None:
        return Text("none" if outcome.reason is None else outcome.reason.value)
    relaxed = f", relaxed: {', '.join(sorted(outcome.relaxed))}" if outcome.relaxed else ""
    return Text(f"{' '.join(numbers(outcome.best, floor))} at {_score(outcome.best.total)}{relaxed}")


def _score(total: float) -> str:
    return f"{total:.2f}"


def _spread(seconds: Sequence[float]) -> dict[str, float | int | None]:
    micros = sorted(each * 1e6 for each in seconds)
    if not micros:
        return {"n": 0, "p50": None, "p95": None, "max": None}
    return {
        "n": len(micros),
        "p50": round(median(micros), 1),
        "p95": round(micros[min(len(micros) - 1, int(0.95 * len(micros)))], 1),
        "max": round(micros[-1], 1),
    }


def _middle(values: Sequence[float]) -> float | None:
    return round(median(values), 6) if values else None


def _planning_json(planning: Planning) -> dict[str, Any]:
    quote = planning.quote
    return {
        "event_id": str(quote.event_id),
        "quoted_at": quote.at.isoformat(),
        "booking": quote.reference,
        "booking_id": None if quote.booking_id is None else str(quote.booking_id),
        "restaurant": quote.slug,
        "trigger": quote.trigger,
        "attempt_index": quote.attempt_index,
        "planning": planning.index,
        "release": quote.release,
        "party_size": planning.recorded.party,
        "starts_at": planning.recorded.starts_at.isoformat(),
    }


def _difference_json(each: Difference) -> dict[str, Any]:
    return {
        **_planning_json(each.planning),
        "changes": sorted(each.changes),
        "then": decided_json(each.then, each.floor),
        "now": decided_json(each.now, each.floor),
    }


def _otherwise_json(each: Otherwise) -> dict[str, Any]:
    return {
        **_planning_json(each.planning),
        "verdict": each.verdict.value,
        "own": decided_json(each.own, each.floor),
        "other": decided_json(each.other, each.floor),
    }
