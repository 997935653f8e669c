"""pydantic's complaints in plain words: one short clause each, without the value that was wrong."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic_core import ErrorDetails

_TEXT = {
    "missing": "is missing",
    "extra_forbidden": "unknown key",
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "int_parsing": "must be a whole number",
    "bool_parsing": "must be true or false",
    "finite_number": "must be a finite number",
    "string_type": "must be text",
    "bool_type": "must be true or false",
    "list_type": "must be a list",
    "tuple_type": "must be a list",
    "frozen_set_type": "must be a list",
    "dict_type": "must be an object",
    "model_type": "must be an object",
    "string_unicode": "is not valid Unicode",
}


def field_path(loc: Sequence[int | str]) -> str:
    """A place in a document as people write it: scoring.weights.overage, turn_bands[0][1]."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in loc).removeprefix(".")


def problem_of(error: ErrorDetails) -> str:
    """What is wrong, in words that fit behind "field: "."""
    kind = error["type"]
    context: dict[str, Any] = error.get("ctx") or {}
    if kind == "value_error":
        return str(context["error"])
    if kind == "greater_than_equal":
        return f"must be {_plain(context['ge'])} or more"
    if kind == "less_than_equal":
        return f"must be {_plain(context['le'])} or less"
    if kind in {"enum", "literal_error"}:
        return f"must be {context['expected']}"
    if kind in {"too_long", "string_too_long"}:
        return f"is too long: at most {context['max_length']}"
    if kind in {"too_short", "string_too_short"}:
        return f"is too short: at least {context['min_length']}"
    return _TEXT.get(kind, "is not valid")


def _plain(bound: float) -> str:
    return str(int(bound)) if bound == int(bound) else str(bound)
