"""The language of sides: what it says, and what it refuses by name."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maitred.cli.baseline import parse_since
from maitred.errors import InvalidInput
from maitred.observability.compare_selector import JOB_TRIGGERS, Selector, parse_selector

NOW = datetime(2025, 11, 6, 12, 0, tzinfo=UTC)
SINCE = NOW - timedelta(days=7)


def parse(text: str) -> Selector:
    return parse_selector(
        "A", text, since=SINCE, until=NOW, read_instant=lambda word: parse_since(word, NOW, item="compare")
    )


@pytest.mark.parametrize("text", ["", " ", ",", "all"])
def test_what_is_not_said_is_any(text: str) -> None:
    if text == "all":
        with pytest.raises(InvalidInput):
            parse(text)
        return
    assert parse(text) == Selector("all" if not text.strip() else text.strip(), SINCE, NOW)


def test_a_window_of_its_own() -> None:
    found = parse("since=14d, until=2025-11-01T00:00+02:00")
    assert (found.since, found.until) == (NOW - timedelta(days=14), datetime(2025, 10, 31, 22, tzinfo=UTC))


def test_triggers_strategies_release_and_venue() -> None:
    found = parse("trigger=creation+loop,strategy=required/3+default/default,release=0.1.0+local,venue=my-bistro")
    assert found.triggers == frozenset({"creation", "loop"})
    assert found.strategies == frozenset({"required/3", "default/default"})
    assert (found.release, found.venue) == ("0.1.0+local", "my-bistro")


def test_paths_are_sets_of_triggers_and_previews_belong_to_none() -> None:
    inline, job = parse("path=inline"), parse("path=job")
    assert inline.triggers == frozenset({"inline_creation", "inline_modification"})
    assert job.triggers == frozenset(JOB_TRIGGERS)
    assert "manual" not in job.triggers
    assert (inline.is_inline, inline.is_job, job.is_inline, job.is_job) == (True, False, False, True)
    both = parse("trigger=creation+inline_creation")
    assert not both.is_inline
    assert not both.is_job
    assert not parse("").is_job


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("creation", "creation"),
        ("trigger", "trigger"),
        ("trigger=", "trigger"),
        ("=creation", "selector"),
        ("colour=red", "colour"),
        ("trigger=creation,trigger=loop", "trigger"),
        ("trigger=manual", "trigger"),
        ("trigger=creation+nothing", "trigger"),
        ("path=both", "path"),
        ("path=inline,trigger=creation", "path"),
        ("strategy=3", "strategy"),
        ("strategy=required/", "strategy"),
        ("strategy=maybe/3", "strategy"),
        ("since=1d,until=2d", "since"),
        ("since=soon", "since"),
        ("until=2099-01-01T00:00Z", "since"),
    ],
)
def test_anything_else_is_refused_by_name(text: str, field: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        parse(text)
    assert refused.value.field == field


words = st.sampled_from(["since", "until", "trigger", "path", "strategy", "release", "venue", "x", ""])
values = st.sampled_from(["1d", "2d", "creation", "inline", "job", "required/3", "0.1.0", "a", "", "=", "+", "manual"])


@given(parts=st.lists(st.tuples(words, st.sampled_from(["=", ""]), values), max_size=4))
def test_a_side_is_read_or_refused_and_nothing_else_happens(parts: list[tuple[str, str, str]]) -> None:
    try:
        found = parse(",".join("".join(part) for part in parts))
    except InvalidInput:
        return
    assert found.since < found.until
