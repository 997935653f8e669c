"""What happens to every request under /v1 before its route is looked for: who is it, and is it the first time?

A pure ASGI middleware. It reads the body, so that what is wrong with it is said before anything is done, and finds out
all it has to know of the database in one round trip.
"""

from __future__ import annotations

from typing import LiteralString
from uuid import UUID, uuid4

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from maitred.bootstrap import Application
from maitred.errors import MaitredError, Unauthorized
from maitred.http import keys
from maitred.http.access import Principal
from maitred.http.problem import answer_to
from maitred.http.role import Role

_ADMIT: LiteralString = """
SELECT id, role, restaurant_ids, every_venue FROM api_keys
 WHERE hash = %(hash)s AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > clock_timestamp())
"""


class Admission:
    """Lets in who has a key; puts `principal` and `operation_id` into the request's state."""

    def __init__(self, app: ASGIApp, application: Application) -> None:
        self._app = app
        self._database = application.database

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http" or not scope["path"].startswith("/v1/"):
            await self._app(scope, receive, send)
            return
        state = scope.setdefault("state", {})
        try:
            state["principal"] = await self._principal(Headers(scope=scope))
        except MaitredError as error:
            await answer_to(error, state.get("request_id"))(scope, receive, send)
            return
        state["operation_id"] = uuid4()
        await self._app(scope, receive, send)

    async def _principal(self, headers: Headers) -> Principal:
        scheme, _, shown = headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not keys.looks_like_key(shown):
            raise Unauthorized
        rows = await self._database.fetch(_ADMIT, {"hash": keys.hashed(shown)})
        if not rows:
            raise Unauthorized
        row = rows[0]
        return Principal(
            key_id=UUID(str(row["id"])),
            role=Role(row["role"]),
            restaurant_ids=frozenset(row["restaurant_ids"]),
            every_venue=row["every_venue"],
        )
