"""Each event is declared once and made in one way. Nothing else gets into the table, above all no text."""

from __future__ import annotations

import inspect
import json
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from maitred.observability import catalogue, events
from maitred.observability.encoding import encode, read_again
from maitred.observability.event import Event, Severity
from maitred.observability.event_docs import render
from maitred.observability.registry import (
    CONSTRUCTORS,
    REGISTRY,
    Declaration,
    Key,
    UnregisteredEvent,
    constructs,
    declare,
    nulled,
    nulled_count,
)
from maitred.observability.state_events import state_event_statement
from maitred.observability.values import Flag
from tests.event_validation import as_row, problems
from tests.observability.drawing import BY_TYPE, GUEST, arguments, parameters
from tests.observability.told import measurement

DOCS = Path(__file__).parents[2] / "docs"
NAMES = sorted(REGISTRY)

# Guest data to smuggle in. Every piece has the mark, which no word of any closed list has.
MARK = "Zwölfig"
notes = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20).map(
    lambda text: f"{text}{MARK}{text}"
)
mails = st.emails().map(lambda mail: f"{MARK}.{mail}")
phones = st.from_regex(r"\+[0-9]{2} [0-9]{4,10}", fullmatch=True).map(lambda phone: f"{phone} {MARK}")
texts = notes | mails | phones | st.sampled_from([MARK, f"inline:{MARK}", f"auto_assign.{MARK}", f"hard.{MARK}"])


class Loud(str):
    """Text that isn't quite str."""

    __slots__ = ()


def named_error(text: str) -> BaseException:
    """An error that has the text in its message, its class's name and its class's code."""
    from maitred.errors import MaitredError

    error: BaseException = type(text, (MaitredError,), {"code": text})(text)
    return error


smuggled = st.one_of(
    texts,
    texts.map(Loud),
    texts.map(lambda text: text.encode("utf-8", "surrogatepass")),
    st.lists(texts, max_size=2),
    st.dictionaries(texts, texts, max_size=2),
    st.dictionaries(st.sampled_from(["requireAdjacency", "plan_ms", "relaxed"]), texts, max_size=2),
    st.frozensets(texts, max_size=2),
    texts.map(ValueError),
    texts.map(named_error),
    texts.map(lambda text: type(text, (), {})()),
)


def test_each_event_has_one_constructor_and_each_constructor_one_event() -> None:
    assert set(CONSTRUCTORS) == set(REGISTRY)
    assert len(set(CONSTRUCTORS.values())) == len(CONSTRUCTORS)
    public = {
        function
        for family in catalogue.FAMILIES
        for name, function in vars(family).items()
        if inspect.isfunction(function) and function.__module__ == family.__name__ and not name.startswith("_")
    }
    assert public == set(CONSTRUCTORS.values())


def test_every_family_of_events_is_in_the_catalogue() -> None:
    folder = Path(inspect.getfile(catalogue)).parents[1]
    declaring = {
        path for path in folder.rglob("*.py") if path.name != "registry.py" and "Declaration(" in path.read_text()
    }
    assert declaring == {Path(inspect.getfile(family)) for family in catalogue.FAMILIES}


def test_an_event_is_not_declared_or_constructed_twice() -> None:
    declaration = Declaration("test.twice", "test", "Never.", (Key("key", Flag()),))
    declare(declaration)
    try:
        with pytest.raises(ValueError, match="twice"):
            declare(declaration)
        constructs(declaration)(measurement)
        with pytest.raises(ValueError, match="two constructors"):
            constructs(declaration)(measurement)
    finally:
        del REGISTRY["test.twice"], CONSTRUCTORS["test.twice"]


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=settings().max_examples // 6)  # of each event
@given(data=st.data())
def test_what_a_constructor_makes_is_valid(name: str, data: st.DataObject) -> None:
    constructor = CONSTRUCTORS[name]
    event = constructor(**data.draw(arguments(constructor, BY_TYPE)))
    assert problems(as_row(event)) == []
    row = json.loads(encode(event, 0, str(uuid4()), 1))
    assert problems(row) == []
    assert MARK not in json.dumps(row)
    assert "Ada" not in json.dumps(row)


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=settings().max_examples // 6)  # of each event
@given(data=st.data())
def test_a_guests_data_gets_in_through_no_parameter(name: str, data: st.DataObject) -> None:
    constructor = CONSTRUCTORS[name]
    given_values = data.draw(arguments(constructor, BY_TYPE), "arguments")
    for key in data.draw(st.sets(st.sampled_from(sorted(parameters(constructor))), min_size=1), "of which"):
        given_values[key] = data.draw(smuggled, key)

    with suppress(TypeError, AttributeError):  # no event at all is a way to keep it out too
        event = constructor(**given_values)
        row = encode(event, 0, str(uuid4()), 1)
        assert MARK not in json.loads(row).__repr__()
        params = state_event_statement(event).params
        assert MARK not in json.loads(params["context"]).__repr__()
        assert MARK not in f"{params['restaurant_id']}{params['booking_id']}{params['source']}{params['event_type']}"


contexts = st.dictionaries(
    st.sampled_from([key.name for key in events.QUOTE.keys] + [MARK]),
    smuggled | st.fixed_dictionaries({"requireAdjacency": smuggled, MARK: smuggled}),
)


@given(context=contexts, text=texts)
def test_a_guests_data_gets_in_through_no_event_put_together_by_hand(context: dict[str, Any], text: str) -> None:
    event = Event(text, "auto_assign.quote", text, context, text, text)  # type: ignore[arg-type]  # that is the point
    row = json.loads(encode(event, 0, str(uuid4()), 1))
    assert MARK not in repr(row)
    assert set(row["context"]) == {key.name for key in events.QUOTE.keys}


@given(context=contexts, text=texts)
def test_a_guests_data_gets_in_through_no_file(context: dict[str, Any], text: str) -> None:
    producer = str(uuid4())
    row = json.loads(encode(measurement(), 0, producer, 1))
    row |= {"context": context, "source": text, "severity": text, text: text}
    with suppress(TypeError):  # not everything drawn can stand in a file
        again = read_again(json.dumps(row), producer)
        assert MARK not in repr(json.loads(again))


@given(text=texts)
def test_an_event_that_nobody_declared_is_refused(text: str) -> None:
    event = Event("auto_assign", text, Severity.INFO, {})
    with pytest.raises(UnregisteredEvent) as told:
        state_event_statement(event)
    assert MARK not in str(told.value)
    with pytest.raises(UnregisteredEvent):
        encode(event, 0, "p", 1)


def test_the_context_of_one_event_does_not_pass_for_anothers() -> None:
    event = replace(measurement(), event_type="auto_assign.started")
    context = json.loads(encode(event, 0, "p", 1))["context"]
    assert context == {"status": None, "trigger": "creation"}


def test_what_is_left_out_is_counted_under_its_key() -> None:
    before, keys_before = nulled_count(), nulled().get("auto_assign.attempt.trigger", 0)
    event = events.attempt(
        restaurant_id=None,
        booking_id=None,
        trigger=GUEST,  # type: ignore[arg-type]  # that is the point
        attempt_index=0,
        reason=None,
    )
    assert event.context["trigger"] is None
    assert nulled_count() == before + 1
    assert nulled()["auto_assign.attempt.trigger"] == keys_before + 1


def test_a_context_does_not_change() -> None:
    with pytest.raises(TypeError):
        measurement().context["trigger"] = GUEST  # type: ignore[index]  # that is the point


def test_the_schema_is_a_schema_and_says_no_to_what_is_wrong() -> None:
    document = catalogue.schema_document()
    Draft202012Validator.check_schema(document)
    assert Draft202012Validator(document).is_valid(as_row(measurement()))
    row = as_row(measurement())
    for wrong in (
        {"severity": "loud"},
        {"source": GUEST},
        {"event_type": "auto_assign.gossip"},
        {"context": {**row["context"], "note": GUEST}},
        {"context": {**row["context"], "planner_duration_ms": "1.5"}},
        {"context": {**row["context"], "planner_reason": GUEST}},
        {"context": {key: value for key, value in row["context"].items() if key != "planner_reason"}},
    ):
        assert not Draft202012Validator(document).is_valid({**row, **wrong}), wrong
        assert problems({**row, **wrong}), wrong


def test_the_document_of_events_is_current() -> None:
    assert (DOCS / "events.md").read_text() == render(), "run: maitred events schema --format md > docs/events.md"
