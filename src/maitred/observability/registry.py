"""Every event there is, declared once.

From a declaration come the constructor's checks, the gate that lets nothing else into the table, docs/events.md and the
JSON Schema that the tests hold every emitted event against. What a declaration doesn't allow becomes null and is
counted.

To add an event: a declaration and its constructor, side by side, in a module that `catalogue` names; then run
`maitred events schema --format md > docs/events.md`.
"""

from __future__ import annotations

import abc
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, ParamSpec, TypeAlias
from uuid import UUID

from maitred.observability import tracing
from maitred.observability.event import Event, JsonValue, Severity
from maitred.observability.values import ERROR_SCHEMA, REFUSED, Holds, Refused, TraceId

P = ParamSpec("P")
Constructor: TypeAlias = Callable[P, Event]

Rides: TypeAlias = Literal["recorder", "transaction", "either"]
"""How an event gets into the table: as a measurement, with the change it states, or one or the other."""


class UnregisteredEvent(ValueError):
    """An event that no declaration knows. Names nothing of it: its type could hold anything."""


@dataclass(frozen=True, slots=True)
class Key:
    """One key of an event's context. `nullable` says that null is an answer here and no mistake."""

    name: str
    holds: Holds
    meaning: str = ""
    nullable: bool = False

    def schema(self) -> dict[str, Any]:
        """JSON Schema of the key's value."""
        return {"anyOf": [self.holds.schema(), {"type": "null"}]} if self.nullable else self.holds.schema()


TRACE_ID = Key("trace_id", TraceId(), "the trace that it belongs to")
"""A key that any event may have: there while traces are on, and left out otherwise."""


class HasValues(abc.ABC):
    """A small object of one's own that stands for a group of keys."""

    __slots__ = ()

    @abc.abstractmethod
    def as_values(self) -> Mapping[str, object]:
        """All keys of the group."""


class Group:
    """Several keys under one, from a mapping or something that has values."""

    def __init__(self, *keys: Key) -> None:
        self.keys = keys
        self._plan = tuple((key.name, key.holds.admit) for key in keys)

    def admit(self, value: object) -> JsonValue | Refused:
        values = value if type(value) is dict else self._values(value)
        if values is None:
            return REFUSED
        context: dict[str, JsonValue] = {}
        known = refused = 0
        for name, admit_value in self._plan:
            context[name] = None
            given = values.get(name)
            if given is not None:
                known += 1
                admitted = admit_value(given)
                if admitted is REFUSED:
                    refused += 1
                else:
                    context[name] = admitted
            elif name in values:
                known += 1
        if refused or known != len(values):
            _nulled["in a group"] += refused + len(values) - known
        return context

    def _values(self, value: object) -> Mapping[str, object] | None:
        if isinstance(value, HasValues):
            return value.as_values()
        return value if isinstance(value, Mapping) else None

    def schema(self) -> dict[str, Any]:
        return _object(self.keys)

    @property
    def told(self) -> str:
        return "the keys below"


class _Context(Mapping[str, JsonValue]):
    """What a declaration makes of the values: complete, admitted, and closed to changes.

    Looking through them waits until somebody reads, which is the writer's time and not the caller's.
    """

    __slots__ = ("_admitted", "_values", "declaration")

    def __init__(self, declaration: Declaration, values: Mapping[str, object]) -> None:
        self.declaration = declaration
        self._values: Mapping[str, object] | None = values
        self._admitted: dict[str, JsonValue] = {}

    def _read(self) -> dict[str, JsonValue]:
        if self._values is not None:
            self._admitted = self.declaration.admitted(self._values)
            self._values = None
        return self._admitted

    def __getitem__(self, key: str) -> JsonValue:
        return self._read()[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._read())

    def __len__(self) -> int:
        return len(self._read())

    def __repr__(self) -> str:
        return repr(self._read())

    def given(self) -> Mapping[str, object]:
        """What stands there, not looked through if nobody has read yet."""
        return self._admitted if self._values is None else self._values

    def copy(self) -> dict[str, JsonValue]:
        return self._read().copy()


@dataclass(frozen=True, slots=True)
class Declaration:
    """What is known of one type of event.

    `name` is the `event_type`. `version` grows when a key's meaning changes; new keys don't count. `measures` are the
    numbers that daily roll-ups keep the distribution of, `outcome` the key they group by besides `trigger`.
    """

    name: str
    source: str
    when: str
    keys: tuple[Key, ...]
    severity: Severity = Severity.INFO
    version: int = 1
    rides: Rides = "recorder"
    measures: tuple[str, ...] = ()
    outcome: str | None = None
    _plan: tuple[tuple[str, Callable[[object], JsonValue | Refused], bool], ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        names = [key.name for key in self.keys]
        wanted = {*self.measures, *(() if self.outcome is None else (self.outcome,))}
        if len(set(names)) != len(names) or not wanted <= set(names):
            raise ValueError(f"{self.name}: a key is declared twice, or measured and not declared")
        plan = tuple((key.name, key.holds.admit, key.nullable) for key in self.keys)
        object.__setattr__(self, "_plan", plan)

    def event(
        self,
        restaurant_id: UUID | None,
        booking_id: UUID | None,
        at: datetime | None,
        values: Mapping[str, object],
    ) -> Event:
        """The event with these values, which must not change afterwards.

        Whatever isn't allowed becomes null and is counted; nothing raises for it.
        """
        if tracing.tracer is not None and (trace_id := tracing.tracer.trace_id()) is not None:
            values = {**values, TRACE_ID.name: trace_id}
        return Event(self.source, self.name, self.severity, _Context(self, values), restaurant_id, booking_id, at)

    def admitted(self, values: Mapping[str, object]) -> dict[str, JsonValue]:
        """All keys of the declaration and no others, with those of the values that are allowed."""
        context: dict[str, JsonValue] = {}
        known = 0
        for name, admit_value, nullable in self._plan:
            value = values.get(name)
            if value is not None:
                known += 1
                admitted = admit_value(value)
                if admitted is not REFUSED:
                    context[name] = admitted
                    continue
            elif name in values:
                known += 1
            context[name] = None
            if value is None and nullable:
                continue
            _nulled[f"{self.name}.{name}"] += 1
        if known != len(values):
            trace_id = TRACE_ID.holds.admit(values.get(TRACE_ID.name))
            if trace_id is not REFUSED:
                known += 1
                context[TRACE_ID.name] = trace_id
            if known != len(values):
                _nulled[f"{self.name}: unknown keys"] += len(values) - known
        return context

    def schema(self) -> dict[str, Any]:
        """JSON Schema of the columns that the event decides."""
        return {
            "title": self.name,
            "description": self.when,
            "type": "object",
            "properties": {
                "source": {"const": self.source},
                "event_type": {"const": self.name},
                "severity": {"const": str(self.severity)},
                "context": _object(self.keys, TRACE_ID),
            },
            "required": ["source", "event_type", "severity", "context"],
        }


REGISTRY: dict[str, Declaration] = {}
CONSTRUCTORS: dict[str, Callable[..., Event]] = {}
_nulled: Counter[str] = Counter()


def declare(declaration: Declaration) -> Declaration:
    """Enters the declaration. Raises ValueError when there is one of this name."""
    if declaration.name in REGISTRY:
        raise ValueError(f"{declaration.name} is declared twice")
    REGISTRY[declaration.name] = declaration
    return declaration


def constructs(declaration: Declaration) -> Callable[[Callable[P, Event]], Callable[P, Event]]:
    """Marks the one constructor of an event. Raises ValueError for a second one."""

    def mark(constructor: Callable[P, Event]) -> Callable[P, Event]:
        if declaration.name in CONSTRUCTORS:
            raise ValueError(f"{declaration.name} has two constructors")
        CONSTRUCTORS[declaration.name] = constructor
        return constructor

    return mark


def admit(event: Event) -> tuple[Declaration, dict[str, JsonValue]]:
    """The declaration of an event and the context that may be written for it: the gate before the table.

    What a constructor made passes as it is; one that was put together in another way is looked through. Raises
    UnregisteredEvent for a type that nobody declared.
    """
    declaration = REGISTRY.get(event.event_type)
    if declaration is None:
        raise UnregisteredEvent("an event that the registry doesn't know")
    context = event.context
    if type(context) is _Context and context.declaration is declaration:
        return declaration, context.copy()
    return declaration, declaration.admitted(context)


def glance(event: Event) -> Mapping[str, object]:
    """The values of an event as they were handed in, for a caller that can't wait for all to be looked through.

    They may be anything: whoever shows one holds it against a closed list first.
    """
    context = event.context
    return context.given() if type(context) is _Context else context


def identifier(value: object) -> UUID | None:
    """The id, or None for what is none: the columns beside the context take nothing else."""
    if value is None or type(value) is UUID:
        return value
    _nulled["an id"] += 1
    return None


def nulled() -> Mapping[str, int]:
    """How many values were left out since this process began, by event and key."""
    return dict(_nulled)


def nulled_count() -> int:
    """How many in all."""
    return _nulled.total()


def schema_document() -> dict[str, Any]:
    """JSON Schema (2020-12) of one event of any registered type."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Events of maitred",
        "oneOf": [{"$ref": f"#/$defs/{name}"} for name in sorted(REGISTRY)],
        "$defs": {"error": dict(ERROR_SCHEMA), **{name: REGISTRY[name].schema() for name in sorted(REGISTRY)}},
    }


def declarations() -> Iterator[Declaration]:
    """All of them, in the order of their declaration."""
    yield from REGISTRY.values()


def _object(keys: tuple[Key, ...], *may_have: Key) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {key.name: key.schema() for key in (*keys, *may_have)},
        "required": [key.name for key in keys],
        "additionalProperties": False,
    }
