"""What may stand under a key of an event. There is no kind for free text, so no event can hold any.

Each kind takes a value as the program has it (an enum's member, a UUID, a number) or as JSON has it, and gives back
what is written, or REFUSED.
"""

from __future__ import annotations

import abc
import base64
import binascii
import builtins
import re
import sys
import zlib
from collections.abc import Callable, Iterable, Mapping
from enum import Enum
from typing import Any, Final, Protocol, TypeAlias
from uuid import UUID

import psycopg
import psycopg_pool

from maitred.errors import MaitredError
from maitred.observability.event import JsonValue


class Refused(Enum):
    """The answer to a value that has no place here."""

    REFUSED = "refused"


REFUSED: Final = Refused.REFUSED
Admit: TypeAlias = Callable[[object], "JsonValue | Refused"]

# The largest whole number that every reader of JSON takes for what it is.
_LARGEST_COUNT = 2**53
_LARGEST = sys.float_info.max
_UUID = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}")
_RELEASE = re.compile(r"[0-9]{1,6}(?:\.[0-9]{1,6}){0,3}(?:(?:a|b|rc|\.post|\.dev)[0-9]{1,9})*")
_TRACE_ID = re.compile(r"(?!0{32})[0-9a-f]{32}")
_BASE64 = re.compile(r"[A-Za-z0-9+/]+={0,2}")


class Holds(Protocol):
    """A kind of value."""

    def admit(self, value: object) -> JsonValue | Refused:
        """What is written for the value, never for None."""

    def schema(self) -> dict[str, Any]:
        """JSON Schema of what is written."""

    @property
    def told(self) -> str:
        """What may appear, in words."""


class Number:
    """A finite number, kept to a thousandth. `unit` as "ms" or "min"."""

    def __init__(self, unit: str) -> None:
        self.unit = unit

    def admit(self, value: object) -> JsonValue | Refused:
        if type(value) is not float and (type(value) is bool or not isinstance(value, (int, float))):
            return REFUSED
        return round(value, 3) if -_LARGEST <= value <= _LARGEST else REFUSED

    def schema(self) -> dict[str, Any]:
        return {"type": "number"}

    @property
    def told(self) -> str:
        return f"number, {self.unit}"


class Count:
    """A whole number of things."""

    def admit(self, value: object) -> JsonValue | Refused:
        if type(value) is bool or not isinstance(value, int) or abs(value) > _LARGEST_COUNT:
            return REFUSED
        return value

    def schema(self) -> dict[str, Any]:
        return {"type": "integer", "minimum": -_LARGEST_COUNT, "maximum": _LARGEST_COUNT}

    @property
    def told(self) -> str:
        return "whole number"


class Flag:
    """True or false."""

    def admit(self, value: object) -> JsonValue | Refused:
        return value if value is True or value is False else REFUSED

    def schema(self) -> dict[str, Any]:
        return {"type": "boolean"}

    @property
    def told(self) -> str:
        return "true or false"


class Identifier:
    """A UUID, after a fixed `prefix` if there is one."""

    def __init__(self, prefix: str = "") -> None:
        self._prefix = prefix
        self._pattern = re.compile(re.escape(prefix) + _UUID.pattern)

    def admit(self, value: object) -> JsonValue | Refused:
        if type(value) is UUID:
            return f"{self._prefix}{value}"
        if isinstance(value, str) and self._pattern.fullmatch(value):
            return value
        return REFUSED

    def schema(self) -> dict[str, Any]:
        return {"type": "string", "pattern": f"^{self._pattern.pattern}$"}

    @property
    def told(self) -> str:
        return f"`{self._prefix}` and an id" if self._prefix else "id"


class TraceId:
    """The id of a trace: 32 digits, not all 0."""

    def admit(self, value: object) -> JsonValue | Refused:
        return value if isinstance(value, str) and _TRACE_ID.fullmatch(value) else REFUSED

    def schema(self) -> dict[str, Any]:
        return {"type": "string", "pattern": f"^{_TRACE_ID.pattern}$"}

    @property
    def told(self) -> str:
        return "32 hexadecimal digits"


class Word:
    """One of a closed list of words. `name` is what documents call the list, or None to show the words."""

    def __init__(self, words: Iterable[str], name: str | None = None) -> None:
        self.words = {str(word): str(word) for word in words}
        self.name = name

    def admit(self, value: object) -> JsonValue | Refused:
        return self.words.get(value, REFUSED) if isinstance(value, str) else REFUSED

    def schema(self) -> dict[str, Any]:
        return {"enum": list(self.words)}

    @property
    def told(self) -> str:
        return self.name or "one of " + ", ".join(f"`{word}`" for word in self.words)


class Words:
    """Several of a closed list, in order, each once."""

    def __init__(self, words: Iterable[str]) -> None:
        self._one = Word(words)

    def admit(self, value: object) -> JsonValue | Refused:
        if not isinstance(value, (frozenset, set, list, tuple)):
            return REFUSED
        found = {self._one.admit(each) for each in value}
        return REFUSED if REFUSED in found else [*sorted(str(each) for each in found)]

    def schema(self) -> dict[str, Any]:
        return {"type": "array", "items": self._one.schema(), "uniqueItems": True}

    @property
    def told(self) -> str:
        return f"list of {self._one.told.removeprefix('one of ')}"


class Numbered:
    """Things known by whole numbers, as tables by their ids: in ascending order, each once, at most 50."""

    _one = Count()
    _most = 50

    def admit(self, value: object) -> JsonValue | Refused:
        if not isinstance(value, (frozenset, set, list, tuple)) or len(value) > self._most:
            return REFUSED
        found = {each for each in value if type(each) is int and self._one.admit(each) is not REFUSED}
        return [*sorted(found)] if len(found) == len({*value}) else REFUSED

    def schema(self) -> dict[str, Any]:
        return {"type": "array", "items": self._one.schema(), "uniqueItems": True, "maxItems": self._most}

    @property
    def told(self) -> str:
        return "list of whole numbers"


class Release:
    """A release of maitred, as Python packages are numbered: 1.2.3, 1.2.3rc1."""

    def admit(self, value: object) -> JsonValue | Refused:
        return value if isinstance(value, str) and _RELEASE.fullmatch(value) else REFUSED

    def schema(self) -> dict[str, Any]:
        return {"type": "string", "pattern": f"^{_RELEASE.pattern}$"}

    @property
    def told(self) -> str:
        return "release number"


class Packs(abc.ABC):
    """Something that makes itself small to be kept: only of numbers and of words from closed lists."""

    __slots__ = ()

    @abc.abstractmethod
    def packed(self) -> bytes:
        """The whole of it, compressed by zlib. Called when the event is written, not when it is recorded."""


class Packed:
    """What something that `Packs` made of itself, in base64.

    Text has no way in: what is no stream of zlib's, its checksum included, is refused.
    """

    MOST_BYTES = 24_576
    _MOST_UNPACKED = 1_000_000

    def admit(self, value: object) -> JsonValue | Refused:
        if isinstance(value, Packs):
            try:
                packed = value.packed()
            except Exception:  # noqa: BLE001 - whatever can't be packed, the rest of its event has to get through
                return REFUSED
            return REFUSED if len(packed) > self.MOST_BYTES else base64.b64encode(packed).decode("ascii")
        return value if isinstance(value, str) and self.unpack(value) is not None else REFUSED

    @classmethod
    def unpack(cls, text: str) -> bytes | None:
        """What was packed; None for what is none of it."""
        if len(text) > cls.MOST_BYTES * 2 or not _BASE64.fullmatch(text):
            return None
        stream = zlib.decompressobj()
        try:
            unpacked = stream.decompress(base64.b64decode(text, validate=True), cls._MOST_UNPACKED)
        except (binascii.Error, zlib.error):
            return None
        return unpacked if stream.eof and not stream.unused_data else None

    def schema(self) -> dict[str, Any]:
        return {"type": "string", "pattern": f"^{_BASE64.pattern}$", "maxLength": self.MOST_BYTES * 2}

    @property
    def told(self) -> str:
        return "packed numbers"


def _known_errors() -> frozenset[str]:
    modules = (vars(builtins), vars(psycopg), vars(psycopg.errors), vars(psycopg_pool))
    classes = (each for module in modules for each in module.values() if isinstance(each, type))
    foreign = {each.__name__ for each in classes if issubclass(each, BaseException)}
    return frozenset(foreign | {"CancelledError"} | {each.code for each in _all_below(MaitredError)})


def _all_below(family: type[MaitredError]) -> Iterable[type[MaitredError]]:
    yield family
    for each in family.__subclasses__():
        yield from _all_below(each)


_ERRORS = _known_errors()


def error_name(error: BaseException) -> str:
    """What may be kept of an error: our own code, else the name of its class, or of the nearest one above it that
    Python or psycopg define. Messages may quote data, and a foreign name could be anything."""
    for each in type(error).__mro__:
        name: str = each.code if issubclass(each, MaitredError) else each.__name__
        if name in _ERRORS:
            return name
    return BaseException.__name__


class ErrorName:
    """The name of an error, from a closed list; constructors take the error itself and keep `error_name` of it."""

    def admit(self, value: object) -> JsonValue | Refused:
        return value if isinstance(value, str) and value in _ERRORS else REFUSED

    def schema(self) -> dict[str, Any]:
        return {"$ref": "#/$defs/error"}

    @property
    def told(self) -> str:
        return "name of an error"


ERROR_SCHEMA: Mapping[str, Any] = {"enum": sorted(_ERRORS)}
