"""What a caller may be."""

from __future__ import annotations

from enum import StrEnum


class Role(StrEnum):
    """What a caller is; each may do what those before may. `GUEST` has the token of one booking and no key."""

    GUEST = "guest"
    GUEST_SITE = "guest_site"
    STAFF = "staff"
    OPERATOR = "operator"

    @property
    def rank(self) -> int:
        """Its place, lowest first."""
        return tuple(Role).index(self)
