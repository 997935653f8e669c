"""Writes that are done once, however often they are asked for.

What a handler sees of it is one id: `Operation` (the header Idempotency-Key may be given) or `KeyedOperation` (it must
be). The id is the same in every repetition of the request with the same key, also after a process was killed in the
middle of the first; without a key it is a fresh one. A handler that names what it creates by this id, and looks whether
that is there already, does nothing twice.

The rest is `admission`'s: it takes the record together with everything else it asks, and keeps the answer.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, LiteralString
from uuid import UUID

from fastapi import Depends, Header, Request
from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import Scope

from maitred.booking.seat import KeptWithSeats
from maitred.errors import RequestRefused
from maitred.http.seal import Seal
from maitred.storage.database import Database, Row

LONGEST_KEY = 255
MOST_KEPT = 1_048_576
WRITES = frozenset({"POST", "PUT", "PATCH", "DELETE"})

_HEADER = "idempotency-key"

_TAKE: LiteralString = """
SELECT * FROM take_record(%(caller)s, %(key)s, %(print)s, %(operation)s, %(holder)s, %(hold_s)s, %(keep_s)s)
"""
_KEEP: LiteralString = "SELECT * FROM keep_answer(%(caller)s, %(key)s, %(holder)s, %(status)s, %(headers)s, %(body)s)"
_LET_GO: LiteralString = "SELECT let_record_go(%(caller)s, %(key)s, %(holder)s)"
_SWEEP: LiteralString = """
WITH old AS (
    SELECT caller, key FROM idempotency_records WHERE expires_at <= clock_timestamp()
     ORDER BY expires_at LIMIT %(most)s FOR UPDATE SKIP LOCKED
)
DELETE FROM idempotency_records r USING old WHERE r.caller = old.caller AND r.key = old.key RETURNING 1 AS one
"""
_SWEEP_RATES: LiteralString = """
WITH old AS (
    SELECT subject FROM request_rates WHERE free_at < clock_timestamp() - interval '1 minute'
     LIMIT %(most)s FOR UPDATE SKIP LOCKED
)
DELETE FROM request_rates r USING old WHERE r.subject = old.subject RETURNING 1 AS one
"""

_Key = Header(
    alias="Idempotency-Key",
    min_length=1,
    max_length=LONGEST_KEY,
    pattern=r"^[\x21-\x7e]+$",
    description="The same key and request give the same answer for a day, and nothing is done twice.",
)


@dataclass(frozen=True, slots=True)
class Kept:
    """An answer, byte for byte."""

    status: int
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes


@dataclass(frozen=True, slots=True)
class Claim:
    """One process's hold on a record, for `hold_s` seconds; the answer is kept for `keep_s`."""

    caller: UUID
    key: str
    print: bytes
    operation: UUID
    holder: UUID
    hold_s: float
    keep_s: float
    seal: Seal

    async def take(self, database: Database) -> Row:
        """Tries again to take it; what `take_record` says."""
        rows = await database.fetch(
            _TAKE,
            {
                "caller": self.caller,
                "key": self.key,
                "print": self.print,
                "operation": self.operation,
                "holder": self.holder,
                "hold_s": self.hold_s,
                "keep_s": self.keep_s,
            },
        )
        return rows[0]

    def kept_with_seats(self, answer: Kept) -> KeptWithSeats:
        """The answer, to be kept in the transaction that makes it true."""
        return KeptWithSeats(
            self.caller, self.key, self.holder, answer.status, _listed(answer), self.seal.close(answer.body)
        )

    async def keep(self, database: Database, answer: Kept) -> Kept:
        """Keeps the answer, unless somebody else has taken the record over meanwhile; what is to be given.

        That is another one where an answer was kept with what it tells of, and nobody heard whether it came about.
        """
        rows = await database.fetch(
            _KEEP,
            {
                "caller": self.caller,
                "key": self.key,
                "holder": self.holder,
                "status": answer.status,
                "headers": _listed(answer),
                "body": self.seal.close(answer.body),
            },
        )
        if not rows:
            return answer
        return kept_answer(rows[0]["status"], rows[0]["headers"], self.seal.open(bytes(rows[0]["body"])))

    async def let_go(self, database: Database) -> None:
        """Leaves the record to whoever asks next, at once."""
        await database.fetch(_LET_GO, {"caller": self.caller, "key": self.key, "holder": self.holder})


def _listed(answer: Kept) -> list[str]:
    return [part.decode("latin-1") for pair in answer.headers for part in pair]


def kept_answer(status: int, headers: Sequence[str], body: bytes) -> Kept:
    """The answer as it was kept."""
    pairs = zip(headers[::2], headers[1::2], strict=True)
    return Kept(status, tuple((name.encode("latin-1"), value.encode("latin-1")) for name, value in pairs), body)


def key_of(scope: Scope) -> str | None:
    """The request's key, where it is a write and has one. Raises RequestRefused."""
    given = Headers(scope=scope).getlist(_HEADER) if scope["method"] in WRITES else []
    if not given:
        return None
    if len(given) > 1 or not 1 <= len(given[0]) <= LONGEST_KEY or not all("!" <= each <= "~" for each in given[0]):
        problem = f"Idempotency-Key must be 1 to {LONGEST_KEY} visible ASCII characters, once"
        raise RequestRefused(422, problem, code="invalid_input")
    return given[0]


def fingerprint(scope: Scope, body: bytes, document: object) -> bytes:
    """What makes two requests the same: method, address, version asked for, and the body; of JSON what it means."""
    headers = Headers(scope=scope)
    meant = body if document is None else json.dumps(document, sort_keys=True, separators=(",", ":")).encode()
    whole = hashlib.sha256()
    for part in (
        scope["method"].encode(),
        scope["path"].encode("utf-8", "surrogatepass"),
        scope.get("query_string", b""),
        headers.get("if-match", "").encode("latin-1"),
        headers.get("content-type", "").split(";")[0].strip().lower().encode("latin-1"),
        meant,
    ):
        whole.update(len(part).to_bytes(8, "big"))
        whole.update(part)
    return whole.digest()


async def sweep_records(database: Database, *, most: int = 500) -> int:
    """Deletes up to `most` answers that have been kept long enough, and as many rates nobody uses up any more.

    Gives the larger of both counts: as long as it is `most` there is more to do.
    """
    answers = await database.fetch(_SWEEP, {"most": most})
    rates = await database.fetch(_SWEEP_RATES, {"most": most})
    return max(len(answers), len(rates))


def keeping_of(request: Request) -> Keeping:
    """For a route that can't be called without a key."""
    keeping: Keeping = request.state.keeping
    return keeping


async def _operation(request: Request, key: Annotated[str | None, _Key] = None) -> UUID:  # noqa: ARG001 - for the document
    operation_id: UUID = request.state.operation_id
    return operation_id


async def _keyed_operation(request: Request, key: Annotated[str, _Key]) -> UUID:  # noqa: ARG001 - that it is required
    operation_id: UUID = request.state.operation_id
    return operation_id


class Keeping:
    """How a route has its answer kept in the transaction that makes it true: a round trip less, and both or neither.

    `kept` is what is kept already, byte for byte.
    """

    def __init__(self, claim: Claim) -> None:
        self._claim = claim
        self._last: Kept | None = None
        self.kept: Kept | None = None

    def with_seats(self, answer: Response) -> KeptWithSeats:
        """The answer, to be kept by whoever takes the seats; asked again, the last one counts."""
        self._last = Kept(answer.status_code, tuple(answer.raw_headers), bytes(answer.body))
        return self._claim.kept_with_seats(self._last)

    def has_been_kept(self) -> Response:
        """The last answer again, once the transaction has been heard to have come about."""
        if self._last is None:
            raise RuntimeError("nothing was given to be kept")
        self.kept = self._last
        answer = Response(self._last.body, status_code=self._last.status)
        answer.raw_headers = list(self._last.headers)
        return answer


Operation = Annotated[UUID, Depends(_operation)]
KeyedOperation = Annotated[UUID, Depends(_keyed_operation)]
