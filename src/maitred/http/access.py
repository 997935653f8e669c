"""Who is calling and what they may do.

`admission` finds out who it is before the route is looked for; the dependencies here only look at what it found.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated
from uuid import UUID

from fastapi import Depends, Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from maitred.errors import Forbidden, NotFound, Unauthorized
from maitred.http.role import Role

_BEARER = HTTPBearer(
    auto_error=False,
    scheme_name="key",
    description="An API key (`maitred keys create`), or for one booking the token that was given with it.",
)


@dataclass(frozen=True, slots=True)
class Principal:
    """The caller. `key_id` is the key's id, or the booking's where the caller has only a booking's token.

    `every_venue` is for a key of the whole installation: it may create venues, and sees all.
    """

    key_id: UUID
    role: Role
    restaurant_ids: frozenset[UUID] = field(default_factory=frozenset)
    every_venue: bool = False
    booking_id: UUID | None = None

    def sees(self, restaurant_id: UUID) -> bool:
        """Whether the venue is one of the caller's."""
        return self.every_venue or restaurant_id in self.restaurant_ids

    def must_see(self, restaurant_id: UUID) -> None:
        """Raises NotFound for a venue of somebody else's: that it exists is nobody's business either."""
        if not self.sees(restaurant_id):
            raise NotFound("restaurant", str(restaurant_id))

    def must_see_booking(self, booking_id: UUID) -> None:
        """Raises NotFound where the caller has the token of one booking and asks for another one.

        Says nothing about venues: what a key may see of bookings, the scoped database decides.
        """
        if self.booking_id not in (None, booking_id):
            raise NotFound("booking", str(booking_id))

    def must_be(self, role: Role) -> None:
        """Raises Forbidden for a caller of a lower role."""
        if self.role.rank < role.rank:
            raise Forbidden(role)


# Dependencies are coroutines though they wait for nothing: a plain function would be sent to a thread and back.
async def caller(
    request: Request,
    _shown: Annotated[HTTPAuthorizationCredentials | None, Security(_BEARER)],  # for the OpenAPI document
) -> Principal:
    """Whoever has a key, or a booking's token."""
    found = getattr(request.state, "principal", None)
    if not isinstance(found, Principal):
        raise Unauthorized
    return found


Caller = Annotated[Principal, Depends(caller)]
"""For routes that a guest with his booking's token may use too; such a route asks `must_see_booking`."""


async def guest_site(principal: Caller) -> Principal:
    """Any key."""
    principal.must_be(Role.GUEST_SITE)
    return principal


async def staff(principal: Caller) -> Principal:
    """A key of staff or operators."""
    principal.must_be(Role.STAFF)
    return principal


async def operator(principal: Caller) -> Principal:
    """A key of operators."""
    principal.must_be(Role.OPERATOR)
    return principal


GuestSite = Annotated[Principal, Depends(guest_site)]
Staff = Annotated[Principal, Depends(staff)]
Operator = Annotated[Principal, Depends(operator)]
