"""Every event that any test makes the program emit is held against the registry's JSON Schema, after the test.

What goes through `tests.house.Events` is looked at when it is recorded, what is in a test's database when it ends.
A test that puts foreign rows into the table on purpose is marked `foreign_events`.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from jsonschema import Draft202012Validator
from psycopg.rows import dict_row

from maitred.observability.catalogue import schema_document
from maitred.observability.event import Event

_violations: list[str] = []
_ROWS = "SELECT source, event_type, severity, context, version FROM observability_events"


@functools.cache
def _document() -> dict[str, Any]:
    return schema_document()


@functools.cache
def _validator(event_type: str) -> Draft202012Validator | None:
    document = _document()
    if event_type not in document["$defs"]:
        return None
    return Draft202012Validator({"$ref": f"#/$defs/{event_type}", "$defs": document["$defs"]})


def problems(row: dict[str, Any]) -> list[str]:
    """What the schema has against an event's columns; empty when it is valid."""
    validator = _validator(row["event_type"])
    if validator is None:
        return [f"{row['event_type']}: not in the registry"]
    return [f"{row['event_type']}: {error.json_path}: {error.message}" for error in validator.iter_errors(row)]


def as_row(event: Event) -> dict[str, Any]:
    """The columns that an event decides."""
    return {
        "source": event.source,
        "event_type": event.event_type,
        "severity": str(event.severity),
        "context": dict(event.context),
    }


def look_at_event(event: Event) -> None:
    """Notes what is wrong with an event; the test fails for it when it ends."""
    _violations.extend(problems(as_row(event)))


def look_at_database(url: str) -> None:
    """Notes what is wrong with the events in a database, as far as the test has left one with a table of events."""
    try:
        with psycopg.connect(url, row_factory=dict_row, connect_timeout=5) as connection:
            for row in connection.execute(_ROWS):
                _violations.extend(problems(row))
    except (psycopg.OperationalError, psycopg.errors.UndefinedTable, psycopg.errors.UndefinedColumn):
        return


@pytest.fixture(autouse=True)
def events_follow_the_registry(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fails the test that emitted an event which the registry doesn't describe."""
    _violations.clear()
    yield
    found = sorted(set(_violations))
    _violations.clear()
    if request.node.get_closest_marker("foreign_events") is None:
        assert not found, found
