"""A policy to try, from a file: the `policy` part of an imported day (docs/import-format.md), or such a day whole."""

from __future__ import annotations

import json
from pathlib import Path

from maitred.errors import InvalidInput
from maitred.model.policy import VenuePolicy
from maitred.venue.document import LARGEST_FILE, parse_day
from maitred.venue.shape import FORMAT


def read_policy(path: Path) -> VenuePolicy:
    """The policy in a file; its time zone means nothing. Raises InvalidInput for the first thing that is wrong."""
    item = f"file {path}"
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST_FILE + 1)
    except OSError as error:
        raise InvalidInput(item, "path", f"can't be read: {error.strerror or 'input error'}") from None
    return parse_policy(content, item)


def parse_policy(content: bytes, item: str = "file") -> VenuePolicy:
    """The same of a file's content. `item` is what errors call it."""
    try:
        raw = json.loads(content.decode("utf-8-sig")) if len(content) <= LARGEST_FILE else None
    except (ValueError, RecursionError):
        raise InvalidInput(item, "contents", "not JSON in UTF-8") from None
    if not isinstance(raw, dict):
        raise InvalidInput(item, "contents", "must be a JSON object")
    if "format" in raw:
        return parse_day(content, item).policy
    day = {
        "format": FORMAT,
        "restaurant": {"name": "any", "slug": "any", "timezone": "UTC"},
        "date": "2000-01-01",
        "policy": raw,
        "zones": [],
        "tables": [],
    }
    return parse_day(json.dumps(day).encode(), item).policy
