"""Everything that is wrong with a file of a day, by line: what a dry run tells. An import stops at the first."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any, TypeAlias

from pydantic import TypeAdapter, ValidationError

from maitred.errors import InvalidInput
from maitred.model.floor import Table
from maitred.venue.csv_text import Problem
from maitred.venue.document import folded, parse_day, read_date, read_edge, read_instant, read_table
from maitred.venue.problems import field_path, problem_of
from maitred.venue.shape import BookingJson, Name, ScarcityJson, TableJson

MOST_PROBLEMS = 1_000
_DEEPEST = 6
_ONE_DAY = timedelta(days=1)

_Path: TypeAlias = tuple[int | str, ...]
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\]:,]|[^\s{}\[\]:,"]+', re.DOTALL)
_ENTRIES: Mapping[str, TypeAdapter[Any]] = {
    "zones": TypeAdapter(Name),
    "tables": TypeAdapter(TableJson),
    "adjacency": TypeAdapter(tuple[Name, Name]),
    "scarcity": TypeAdapter(ScarcityJson),
    "bookings": TypeAdapter(BookingJson),
}


def problems_of_day(content: bytes) -> list[Problem]:
    """Everything wrong with the file, at most a thousand things, in the order of its lines; empty: it can be imported
    as far as the file itself goes."""
    try:
        parse_day(content)
    except InvalidInput as error:
        first = error
    else:
        return []
    try:
        raw = json.loads(content.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        raw = None
    if not isinstance(raw, dict) or first.field == "format":
        line = re.search(r"in line (\d+)", first.problem)
        return [Problem(int(line[1]) if line else None, first.field, first.problem)]
    lines = lines_of(content.decode("utf-8-sig"))
    found = [
        Problem(_line(lines, path), field_path(path[-1:]) if len(path) > 2 else str(path[0]), problem)
        for path, problem in _problems(raw)
    ]
    if not found:
        found = [Problem(None, f"{first.item}: {first.field}", first.problem)]
    found.sort(key=lambda each: each.line or 0)
    return found[:MOST_PROBLEMS]


def lines_of(text: str) -> dict[_Path, int]:
    """The line on which each value of a JSON text begins, by its path; as deep as files of ours go."""
    lines: dict[_Path, int] = {}
    path: list[int | str] = []
    in_object: list[bool] = []
    key_next = False
    line, position = 1, 0
    for token in _TOKEN.finditer(text):
        line += text.count("\n", position, token.start())
        position = token.start()
        what = token[0]
        if what in "}]":
            if in_object:
                in_object.pop()
                path.pop()
            key_next = False
        elif what == ",":
            if in_object and not in_object[-1] and isinstance(path[-1], int):
                path[-1] += 1
            key_next = bool(in_object and in_object[-1])
        elif what == ":":
            key_next = False
        elif key_next and what[0] == '"':
            path[-1] = json.loads(what)
        else:
            if len(path) <= _DEEPEST:
                lines[tuple(path)] = line
            if what in "{[":
                in_object.append(what == "{")
                path.append(0)
                key_next = what == "{"
    return lines


def _line(lines: Mapping[_Path, int], path: _Path) -> int | None:
    for length in range(len(path), 0, -1):
        if path[:length] in lines:
            return lines[path[:length]]
    return None


def _problems(raw: dict[str, Any]) -> Iterator[tuple[_Path, str]]:
    good: dict[str, list[tuple[int, Any]]] = {}
    for key, adapter in _ENTRIES.items():
        entries = raw.get(key, [])
        if not isinstance(entries, list):
            continue
        good[key] = []
        for place, entry in enumerate(entries):
            try:
                good[key].append((place, adapter.validate_python(entry, strict=False)))
            except ValidationError as error:
                for each in error.errors(include_url=False, include_input=False):
                    yield (key, place, *each["loc"]), problem_of(each)
    yield from _across(raw, good)
    yield from _rest(raw, good)


def _across(raw: dict[str, Any], good: Mapping[str, list[tuple[int, Any]]]) -> Iterator[tuple[_Path, str]]:
    """What can only be seen by looking at two places at once."""
    zone_ids: dict[str, int] = {}
    for place, name in good.get("zones", ()):
        if folded(name) in zone_ids:
            yield ("zones", place), "comes twice"
        zone_ids.setdefault(folded(name), place + 1)
    tables: dict[str, Table] = {}
    for place, entry in good.get("tables", ()):
        if folded(entry.number) in tables:
            yield ("tables", place, "number"), "comes twice"
            continue
        try:
            tables[folded(entry.number)] = read_table(place, entry, zone_ids)
        except InvalidInput as error:
            tables[folded(entry.number)] = Table(place, entry.number, 0, entry.capacity)
            yield ("tables", place, error.field), error.problem
    for entry in raw["tables"] if isinstance(raw.get("tables"), list) else ():
        number = entry.get("number") if isinstance(entry, dict) else None
        if isinstance(number, str):  # one that is wrong in itself is no unknown one
            tables.setdefault(folded(number), Table(-1 - len(tables), number, 0, 1))
    for place, edge in good.get("adjacency", ()):
        try:
            read_edge(edge, tables)
        except InvalidInput as error:
            yield ("adjacency", place), error.problem


def _rest(raw: dict[str, Any], good: Mapping[str, list[tuple[int, Any]]]) -> Iterator[tuple[_Path, str]]:
    """The policy and the head of the file, then each booking under them."""
    about_tables = {"joined_sets", "lost_seats"}  # they name tables, which are not in here
    head: dict[str, Any] = {key: value for key, value in raw.items() if key not in about_tables}
    head |= {key: [] for key in _ENTRIES}
    try:
        document = parse_day(json.dumps(head).encode())
    except InvalidInput as error:
        key = next((key for key in ("restaurant", "policy", "date") if error.item.startswith(key)), "policy")
        yield (key, error.field), f"{error.item}: {error.problem}" if key == "policy" else error.problem
        return
    seen: set[str] = set()
    for place, booking in good.get("bookings", ()):
        if booking.ref in seen:
            yield ("bookings", place, "ref"), "comes twice"
            continue
        seen.add(booking.ref)
        try:
            day = document.day if booking.date is None else read_date("booking", booking.date)
            if day not in (document.day, document.day + _ONE_DAY):
                yield ("bookings", place, "date"), f"must be the file's {document.day} or the day after"
                continue
            read_instant("booking", day, booking.time, document.policy.zone)
        except InvalidInput as error:
            yield ("bookings", place, error.field), error.problem
