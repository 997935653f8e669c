"""docs/events.md, made from the registry."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from maitred.model.reason import ReasonCode
from maitred.observability import catalogue
from maitred.observability.registry import Declaration, Group, Key

_HEAD = """# Events

Made from the registry by `maitred events schema --format md`; a test compares. `maitred events schema` prints the same
as JSON Schema.

Every event is a row of `observability_events`: `id`, `created_at`, `source`, `event_type`, `severity`, `context`,
`restaurant_id`, `booking_id`, `version` (of its declaration below). Measurements also have `producer` and `seq`, the
recorder that wrote them and its number for them; `derived` marks what `maitred events check --repair` made from other
rows. `context` always has all keys of its event, and `trace_id` (32 hexadecimal digits) for what happened inside of a
trace, while they are on. No key holds free text: what a key doesn't allow is stored as null and counted
(`event_producers.nulled`). Moments are instants; durations are milliseconds (ms) unless a key says otherwise.

*Written*: "recorder" is a measurement, sent in batches a moment later and kept when the work is rolled back;
"transaction" is part of the change it states; "either" is the one or the other, depending on who tells it.
"""


def render() -> str:
    """The document."""
    return "\n".join([_HEAD, *(line for family in catalogue.declarations() for line in _event(family)), *_codes()])


def _event(declared: Declaration) -> Iterator[str]:
    yield f"## {declared.name}"
    yield ""
    yield declared.when
    yield ""
    facts = [
        f"source `{declared.source}`",
        f"severity {declared.severity}",
        f"version {declared.version}",
        f"written by {declared.rides}" if declared.rides == "recorder" else f"written: {declared.rides}",
    ]
    kept = [*declared.measures, *([] if declared.outcome is None else [f"{declared.outcome} as outcome"])]
    if kept:
        facts.append(f"kept in daily roll-ups: {', '.join(kept)}")
    yield "; ".join(facts) + "."
    yield ""
    yield "| key | holds | null | meaning |"
    yield "|---|---|---|---|"
    yield from _keys(declared.keys)
    yield ""


def _keys(keys: Iterable[Key], above: str = "") -> Iterator[str]:
    for key in keys:
        name = f"{above}{key.name}"
        yield f"| `{name}` | {key.holds.told} | {'yes' if key.nullable else ''} | {key.meaning} |"
        if isinstance(key.holds, Group):
            yield from _keys(key.holds.keys, f"{name}.")


def _codes() -> Iterator[str]:
    yield "## Reason codes"
    yield ""
    yield "| code | text |"
    yield "|---|---|"
    for code in ReasonCode:
        yield f"| `{code.value}` | {code.text} |"
    yield ""
    yield "## Names of errors"
    yield ""
    yield "The codes of our own errors (`src/maitred/errors.py`), and the names of the exceptions that Python, psycopg"
    yield "and its pool define. Of any other error the nearest class above it that is one of these. Never a message."
    yield ""
