"""What happens to every request under /v1 before its route is looked for: who is it, and is it the first time?

A pure ASGI middleware. It reads the body, so that what is wrong with it is said before anything is done, and finds out
all it has to know of the database in one round trip. A second one keeps the answer of a write that has a key.
"""

from __future__ import annotations

import asyncio
import re
import time
from dataclasses import dataclass, field
from typing import Any, LiteralString
from uuid import UUID, uuid4

import structlog
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from maitred.auto_assign.book import Ahead
from maitred.booking import token
from maitred.bootstrap import Application
from maitred.errors import IdempotencyKeyReused, MaitredError, RateLimited, RequestRefused, StillRunning, Unauthorized
from maitred.http import keys
from maitred.http.access import Principal
from maitred.http.ahead import coming_booking, look_ahead
from maitred.http.idempotency import MOST_KEPT, Claim, Keeping, Kept, fingerprint, kept_answer, key_of
from maitred.http.intake import HungUp, Intake, hang_up_after, look_at_body, look_at_target, takes_file
from maitred.http.methods import Methods
from maitred.http.problem import answer_to
from maitred.http.role import Role
from maitred.http.seal import Seal
from maitred.storage.database import Row

PREFIX = "/v1/"

# What a new booking has to know is asked in the same breath, where the booking may come in.
_ADMIT_AND_LOOK: LiteralString = """
SELECT * FROM admit(%(key_hash)s, %(token_hash)s, %(every_s)s, %(burst)s, %(scarce)s, %(scarce_every_s)s,
                    %(scarce_burst)s, %(key)s, %(print)s, %(operation)s, %(holder)s, %(hold_s)s, %(keep_s)s) AS a
  LEFT JOIN LATERAL look_at_start(
       CASE WHEN a.outcome = 'taken' AND a.wait_s = 0
             AND (a.every_venue OR %(venue)s = ANY (a.restaurant_ids)) THEN %(venue)s::uuid END,
       %(start)s) AS look ON true
"""
_ADMIT: LiteralString = """
SELECT * FROM admit(%(key_hash)s, %(token_hash)s, %(every_s)s, %(burst)s, %(scarce)s, %(scarce_every_s)s,
                    %(scarce_burst)s, %(key)s, %(print)s, %(operation)s, %(holder)s, %(hold_s)s, %(keep_s)s)
"""

# Requests that take tables for a while without seating anybody: what a booking may do of it is bounded.
_HOLDS = re.compile(r"/v1/bookings/([^/]+)/(?:holds?|quotes?)")

_FIRST_LOOK_S, _LONGEST_LOOK_S = 0.02, 0.25
_CLEAN_UP_S = 2.0
# How much longer a record is held than its request may work: two never work on one.
_LEEWAY_S = 5.0

_log = structlog.get_logger(__name__)


class Admission:
    """Lets in who has a key or a booking's token, and not too often; puts what is known into the request's state."""

    def __init__(self, app: ASGIApp, application: Application, methods: Methods) -> None:
        self._app = app
        self._methods = methods
        self._database = application.database
        self._desk = application.desk
        self._settings = application.settings
        self._intake = Intake(
            most_body=application.settings.http_max_body,
            most_import=application.settings.http_max_import,
            timeout_s=application.settings.http_body_timeout_s,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http" or not scope["path"].startswith(PREFIX):
            await self._app(scope, receive, send)
            return
        state: dict[str, Any] = scope.setdefault("state", {})
        body = None
        try:
            look_at_target(scope)
            shown = _shown(scope)
            if takes_file(scope["path"]):
                await self._must_be_operator(scope, shown)
            body = await self._intake.body(scope, receive)
            claim, row, state["ahead"] = await self._admit(scope, shown, body)
            state["principal"] = _principal(row)
            if claim is not None and row["outcome"] != "taken":
                row = await self._wait_for_first(claim, row)
        except HungUp:
            return
        except MaitredError as error:
            answer = answer_to(error, state.get("request_id"))
            if body is None:
                await hang_up_after(answer, scope, receive, send)
            else:
                await answer(scope, receive, send)
            return
        state["operation_id"] = row["operation_id"]
        again = _Again(body, receive)
        if claim is None:
            await self._app(scope, again, send)
        elif row["outcome"] == "done":
            body = claim.seal.open(bytes(row["body"]))
            await _replay(kept_answer(row["status"], row["headers"], body), send)
        else:
            await self._once(claim, scope, again, send)

    async def _admit(self, scope: Scope, shown: _Shown, body: bytes) -> tuple[Claim | None, Row, Ahead | None]:
        large = len(body) > self._settings.http_max_body  # a file: what takes seconds is not for the loop
        document = await asyncio.to_thread(look_at_body, scope, body) if large else look_at_body(scope, body)
        key = key_of(scope)
        if key is not None and scope["method"] not in self._methods.of(scope["path"]):
            key = None  # nothing will be done, so there is nothing to do only once
        settings = self._settings
        holder, operation = uuid4(), uuid4()
        hold_s, keep_s = settings.http_timeout_s + _LEEWAY_S, settings.idempotency_hours * 3600
        print_ = None
        if key is not None:
            given = (scope, body, document)
            print_ = await asyncio.to_thread(fingerprint, *given) if large else fingerprint(*given)
        scope["state"]["coming"] = coming = None if key is None else coming_booking(scope, document)
        looked_at = None if coming is None else look_ahead(self._desk, coming.asked)
        began = time.perf_counter()
        rows = await self._database.fetch(
            _ADMIT if looked_at is None else _ADMIT_AND_LOOK,
            {
                **self._asked_by(scope, shown),
                "key": key,
                "print": print_,
                "operation": operation,
                "holder": holder,
                "hold_s": hold_s,
                "keep_s": keep_s,
                **(looked_at or {}),
            },
        )
        _must_come_in(rows)
        if key is None or print_ is None:
            return None, rows[0], None
        claim = Claim(rows[0]["caller"], key, print_, operation, holder, hold_s, keep_s, Seal(shown.secret, key))
        if coming is None or rows[0]["outcome"] != "taken" or rows[0]["operation_id"] != operation:
            return claim, rows[0], None
        saw = looked_at is not None and rows[0]["taken"] is not None
        return claim, rows[0], Ahead(began, rows) if saw else Ahead()

    async def _must_be_operator(self, scope: Scope, shown: _Shown) -> None:
        """Before a file is taken in: it is large, and nobody else has any business with it."""
        once = {"print": None, "operation": uuid4(), "holder": uuid4(), "hold_s": 0.0, "keep_s": 0.0}
        rows = await self._database.fetch(_ADMIT, {**self._asked_by(scope, shown), "key": None, **once})
        _must_come_in(rows)
        _principal(rows[0]).must_be(Role.OPERATOR)

    def _asked_by(self, scope: Scope, shown: _Shown) -> dict[str, Any]:
        settings = self._settings
        return {
            "key_hash": shown.key_hash,
            "token_hash": shown.token_hash,
            "every_s": _every(settings.http_rate_per_s),
            "burst": settings.http_rate_burst,
            "scarce": _held(scope),
            "scarce_every_s": _every(settings.hold_rate_per_min / 60),
            "scarce_burst": settings.hold_rate_burst,
        }

    async def _wait_for_first(self, claim: Claim, row: Row) -> Row:
        """Looks again until the first request with this key has ended; what it ended with, or the record itself."""
        pause_s, waited_s = _FIRST_LOOK_S, 0.0
        while row["outcome"] == "running":
            if waited_s >= self._settings.idempotency_wait_s:
                raise StillRunning(1.0)
            await asyncio.sleep(pause_s)
            waited_s += pause_s
            pause_s = min(pause_s * 2, _LONGEST_LOOK_S)
            row = await claim.take(self._database)
        if row["outcome"] == "other":
            raise IdempotencyKeyReused
        return row

    async def _once(self, claim: Claim, scope: Scope, receive: Receive, send: Send) -> None:
        """Does it, keeps the answer, and only then gives it: whoever repeats it after that finds it."""
        given = _Answered()
        keeping = scope["state"]["keeping"] = Keeping(claim)
        try:
            async with asyncio.timeout(self._settings.http_timeout_s):
                await self._app(scope, receive, given)
        except TimeoutError:
            await self._let_go(claim)
            raise RequestRefused(503, "it took too long; ask again with the same key", code="timeout") from None
        except BaseException:
            # shielded: it may be a cancellation, and the record should not stay held for that
            await asyncio.shield(self._let_go(claim))
            raise
        if keeping.kept is not None:
            await _give(keeping.kept, send)
            return
        answer = given.answer()
        if answer.status >= 500 or answer.status == 429 or len(answer.body) > MOST_KEPT:
            await self._let_go(claim)
        else:
            answer = await self._keep(claim, answer)
        await _give(answer, send)

    async def _keep(self, claim: Claim, answer: Kept) -> Kept:
        try:
            async with asyncio.timeout(_CLEAN_UP_S):
                return await claim.keep(self._database, answer)
        except Exception as error:  # noqa: BLE001 - what was done is done: a repetition finds it by the operation's id
            _log.warning("http.answer_not_kept", error=type(error).__name__)
            return answer

    async def _let_go(self, claim: Claim) -> None:
        try:
            async with asyncio.timeout(_CLEAN_UP_S):
                await claim.let_go(self._database)
        except Exception as error:  # noqa: BLE001 - then its time has to run out
            _log.warning("http.record_stays_held", error=type(error).__name__)


@dataclass(frozen=True, slots=True)
class _Shown:
    """What the caller shows of himself: one of the two hashes, and what they are of."""

    secret: str = field(repr=False)
    key_hash: bytes | None = None
    token_hash: bytes | None = None


def _shown(scope: Scope) -> _Shown:
    given = Headers(scope=scope).getlist("authorization")
    scheme, _, shown = given[0].partition(" ") if len(given) == 1 else ("", "", "")
    if scheme.lower() == "bearer" and keys.looks_like_key(shown):
        return _Shown(shown, key_hash=keys.hashed(shown))
    if scheme.lower() == "bearer" and token.looks_like_token(shown):
        return _Shown(shown, token_hash=token.hashed(shown))
    raise Unauthorized


def _must_come_in(rows: list[Row]) -> None:
    if not rows:
        raise Unauthorized
    if rows[0]["wait_s"] > 0:
        raise RateLimited(rows[0]["wait_s"])


def _held(scope: Scope) -> UUID | None:
    """The booking of which holds are asked for, however its id is spelt."""
    found = _HOLDS.fullmatch(scope["path"]) if scope["method"] == "POST" else None
    try:
        return None if found is None else UUID(found[1])
    except ValueError:
        return None


def _principal(row: Row) -> Principal:
    return Principal(
        key_id=row["caller"],
        role=Role(row["role"]),
        restaurant_ids=frozenset(row["restaurant_ids"]),
        every_venue=row["every_venue"],
        booking_id=row["booking_id"],
    )


def _every(per_s: float) -> float:
    return 1 / per_s if per_s else 0.0


class _Again:
    """Gives the body that was read, and after it whatever comes: that the client hung up."""

    def __init__(self, body: bytes, receive: Receive) -> None:
        self._body: bytes | None = body
        self._receive = receive

    async def __call__(self) -> Message:
        if self._body is None:
            return await self._receive()
        body, self._body = self._body, None
        return {"type": "http.request", "body": body, "more_body": False}


@dataclass(slots=True)
class _Answered:
    """Takes an answer in, to be kept before it is given."""

    start: Message | None = None
    body: bytearray = field(default_factory=bytearray)

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.start = message
        elif message["type"] == "http.response.body":
            self.body += message.get("body", b"")

    def answer(self) -> Kept:
        if self.start is None:
            raise RuntimeError("a route gave no answer")
        return Kept(self.start["status"], tuple(self.start.get("headers", ())), bytes(self.body))


async def _give(answer: Kept, send: Send) -> None:
    await send({"type": "http.response.start", "status": answer.status, "headers": list(answer.headers)})
    await send({"type": "http.response.body", "body": answer.body, "more_body": False})


async def _replay(answer: Kept, send: Send) -> None:
    await _give(Kept(answer.status, (*answer.headers, (b"idempotency-replayed", b"true")), answer.body), send)


def caller_of(scope: Scope) -> UUID | None:
    """Who it turned out to be, for the log."""
    principal = scope.get("state", {}).get("principal")
    return principal.key_id if isinstance(principal, Principal) else None
