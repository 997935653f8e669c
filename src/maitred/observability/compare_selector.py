"""What one side of a comparison is: a little language of `key=value`, separated by commas. Pure.

since=7d,until=2d                     a window, back from now or by instants with a zone; half-open
trigger=creation+modification         triggers, joined by +
path=inline                           the inline triggers; path=job: all others but previews
strategy=required/3                   adjacency (required, free, default) / most tables (a number, default)
release=0.1.0                         the release of maitred that decided
venue=my-bistro                       one restaurant, by its slug
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import get_args

from maitred.errors import InvalidInput
from maitred.observability.baseline_course import INLINE_TRIGGERS, PREVIEW
from maitred.observability.events import Trigger

JOB_TRIGGERS = tuple(trigger for trigger in get_args(Trigger) if trigger not in (*INLINE_TRIGGERS, PREVIEW))

_PATHS = {"inline": INLINE_TRIGGERS, "job": JOB_TRIGGERS}
_STRATEGY = re.compile(r"(required|free|default)/([0-9]{1,2}|default)")
_KEYS = ("since", "until", "trigger", "path", "strategy", "release", "venue")

ReadInstant = Callable[[str], datetime]


@dataclass(frozen=True, slots=True)
class Selector:
    """The planner calls of [since, until) with one of the triggers and strategies, of the release and the venue.

    None: any.
    """

    text: str
    since: datetime
    until: datetime
    triggers: frozenset[str] | None = None
    strategies: frozenset[str] | None = None
    release: str | None = None
    venue: str | None = None

    @property
    def is_inline(self) -> bool:
        """Whether it is of the inline flow only."""
        return self.triggers is not None and self.triggers <= frozenset(INLINE_TRIGGERS)

    @property
    def is_job(self) -> bool:
        """Whether it is of jobs only."""
        return self.triggers is not None and not self.triggers & frozenset(INLINE_TRIGGERS)


def parse_selector(side: str, text: str, *, since: datetime, until: datetime, read_instant: ReadInstant) -> Selector:
    """Reads the words of one side, named in messages; what it doesn't say of the window is `since` and `until`.

    `read_instant` reads a moment as `since` and `until` may have it. Raises InvalidInput and whatever it raises.
    """
    given: dict[str, str] = {}
    for part in filter(None, (piece.strip() for piece in text.split(","))):
        key, equals, value = (word.strip() for word in part.partition("="))
        if key not in _KEYS or not equals or not value:
            raise InvalidInput(side, key or "selector", f"{part!r} is not one of {', '.join(f'{k}=..' for k in _KEYS)}")
        if key in given:
            raise InvalidInput(side, key, "is given twice")
        given[key] = value
    if "path" in given and "trigger" in given:
        raise InvalidInput(side, "path", "a path is a set of triggers: give one of both")
    begins = read_instant(given["since"]) if "since" in given else since
    ends = read_instant(given["until"]) if "until" in given else until
    if begins >= ends:
        raise InvalidInput(side, "since", "the window has to begin before it ends")
    return Selector(
        text=text.strip() or "all",
        since=begins,
        until=ends,
        triggers=_triggers(side, given),
        strategies=_strategies(side, given.get("strategy")),
        release=given.get("release"),
        venue=given.get("venue"),
    )


def _triggers(side: str, given: dict[str, str]) -> frozenset[str] | None:
    if path := given.get("path"):
        if path not in _PATHS:
            raise InvalidInput(side, "path", f"{path!r} is neither inline nor job")
        return frozenset(_PATHS[path])
    if "trigger" not in given:
        return None
    wanted = frozenset(given["trigger"].split("+"))
    if unknown := wanted - {*INLINE_TRIGGERS, *JOB_TRIGGERS}:
        known = ", ".join((*JOB_TRIGGERS, *INLINE_TRIGGERS))
        raise InvalidInput(side, "trigger", f"{', '.join(sorted(unknown))}: not one of {known}")
    return wanted


def _strategies(side: str, text: str | None) -> frozenset[str] | None:
    if text is None:
        return None
    wanted = frozenset(text.split("+"))
    for each in sorted(wanted):
        if not _STRATEGY.fullmatch(each):
            raise InvalidInput(side, "strategy", f"{each!r} is not like required/3, free/5 or default/default")
    return wanted
