"""Which version a change is meant for: ETag out, If-Match in."""

from __future__ import annotations

import re
from typing import Annotated, TypeAlias

from fastapi import Header, Path, Response

from maitred.errors import VersionNeeded
from maitred.venue.changing import Part, VenueNow

_TAG = re.compile(r'"([^"]*)"')

IfMatch: TypeAlias = Annotated[
    str | None,
    Header(
        alias="If-Match",
        max_length=500,
        description='The ETag that was read with what is changed, as `"floor-12"`; `*`: whatever it is by now.',
    ),
]
Slug: TypeAlias = Annotated[str, Path(pattern=r"^[a-z0-9]([a-z0-9-]{0,98}[a-z0-9])?$", description="The venue's slug.")]
Id: TypeAlias = Annotated[int, Path(ge=1, le=2**63 - 1)]


def meant_for(if_match: str | None, part: Part) -> frozenset[str] | None:
    """The versions named in If-Match, None for any. Raises VersionNeeded when there is no such header."""
    if if_match is None:
        raise VersionNeeded(part.value)
    return perhaps(if_match)


def perhaps(if_match: str | None) -> frozenset[str] | None:
    """The same where the header may be left out. A weak tag is no version that we gave, so it matches none."""
    if if_match is None or if_match.strip() == "*":
        return None
    parts = [each.strip() for each in if_match.split(",")]
    return frozenset(found[1] for each in parts if (found := _TAG.fullmatch(each)))


def tell(response: Response, now: VenueNow, part: Part) -> None:
    """Puts the part's version into the answer's ETag."""
    response.headers["ETag"] = f'"{now.version(part)}"'
