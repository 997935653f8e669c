"""Fields take what they say, and refuse the rest by a validation error and nothing else."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from maitred.http.schema import Covers, Day, Instant, Line, Text, in_zone

INSTANT: TypeAdapter[datetime] = TypeAdapter(Instant)


def test_an_instant_needs_a_zone_and_comes_in_utc() -> None:
    assert INSTANT.validate_json('"2030-06-05T19:30:00+02:00"') == datetime(2030, 6, 5, 17, 30, tzinfo=UTC)
    with pytest.raises(ValidationError):
        INSTANT.validate_json('"2030-06-05T19:30:00"')


@pytest.mark.parametrize(
    "given_text",
    ['"9999-12-31T23:59:59-12:00"', '"0001-01-01T00:00:00+14:00"', "1717171717", '"1717171717"', "1e300", "null", '""'],
)
def test_an_instant_out_of_reach_or_not_written_out_is_refused(given_text: str) -> None:
    with pytest.raises(ValidationError):
        INSTANT.validate_json(given_text)


@given(st.one_of(st.text(), st.integers(), st.floats(), st.none(), st.booleans(), st.datetimes(), st.dates()))
def test_whatever_is_given_there_is_a_value_or_a_validation_error(given_value: object) -> None:
    for kind in (Instant, Day, Covers, Line, Text):
        with contextlib.suppress(ValidationError):
            TypeAdapter(kind).validate_python(given_value)


@pytest.mark.parametrize("text", ["a\x00b", "a\x1bb", "a\ud800b"])
def test_control_characters_and_halves_of_characters_are_refused(text: str) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(Text).validate_python(text)


def test_an_answer_tells_the_venues_offset() -> None:
    instant = datetime(2030, 6, 5, 17, 30, tzinfo=UTC)
    assert in_zone(instant, "Europe/Madrid").isoformat() == "2030-06-05T19:30:00+02:00"
