"""Connections to PostgreSQL, one pool a process, with every round trip counted.

Two ways to talk to the server, each one round trip: `fetch` sends one statement, `transact` sends several as one
transaction. A transaction that has to think between its statements uses `Session` and pays a trip for each `send`.

`Database.scoped` gives the same for somebody who may see some venues alone: each of its transactions begins by taking
on a role that row-level security holds to them (ADR 14). That travels with the transaction and costs no trip.
"""

from __future__ import annotations

import asyncio
import copy
from collections.abc import AsyncIterator, Collection, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, LiteralString, NamedTuple, TypeAlias
from uuid import UUID

import psycopg
from psycopg.pq import TransactionStatus
from psycopg.rows import DictRow, dict_row
from psycopg_pool import AsyncConnectionPool, PoolClosed, PoolTimeout

from maitred.errors import DatabaseUnavailable
from maitred.storage.pacing import SQLSTATE as PACING
from maitred.storage.pacing import pacing_exceeded

Row: TypeAlias = DictRow
Connection: TypeAlias = psycopg.AsyncConnection[DictRow]

_CHECK_S = 1.0
_MOST_KEPT_OPEN = 10

SCOPED_ROLE = "maitred_http"
"""The role of scoped transactions: not the owner of anything, so that row-level security binds it."""

# All three end with the transaction, so they are safe behind a pooler in transaction mode, and nobody who has the
# connection next inherits them.
_SCOPE: LiteralString = """
SELECT set_config('role', %(role)s, true), set_config('maitred.venues', %(venues)s, true),
       set_config('maitred.every_venue', %(every)s, true)
"""


class Statement(NamedTuple):
    """One statement and its named parameters."""

    sql: LiteralString
    params: Mapping[str, Any]


@dataclass(slots=True)
class RoundTrips:
    """How many times a caller waited for the database. A count inside a count adds to both."""

    count: int = 0
    outer: RoundTrips | None = None


_counter: ContextVar[RoundTrips | None] = ContextVar("maitred_round_trips", default=None)


@contextmanager
def count_round_trips() -> Iterator[RoundTrips]:
    """Counts the round trips of this task and of the tasks it starts, on whatever connection."""
    trips = RoundTrips(outer=_counter.get())
    token = _counter.set(trips)
    try:
        yield trips
    finally:
        _counter.reset(token)


def _count() -> None:
    trips = _counter.get()
    while trips is not None:
        trips.count += 1
        trips = trips.outer


class Session:
    """One connection, for a transaction of several round trips: its first `send` says BEGIN, its last COMMIT."""

    def __init__(self, connection: Connection, scope: Statement | None = None) -> None:
        self._connection = connection
        self._scope = scope

    async def send(self, statements: Sequence[Statement]) -> list[list[Row]]:
        """Sends the statements together and returns the rows of each; one round trip.

        Outside of BEGIN and COMMIT they are one transaction: all or nothing. Raises psycopg's error for the first
        statement that failed.
        """
        # Never prepared: when a pipeline is aborted, psycopg takes a skipped Parse for a statement that exists.
        _count()
        connection = self._connection
        scope = self._taking_on_scope()
        # behind a BEGIN that comes along: what it says of the transaction has to be said before anything else
        place = 1 if statements and statements[0].sql.lstrip().startswith("BEGIN") else 0
        sent = (*statements[:place], *scope, *statements[place:])
        async with connection.pipeline():
            try:
                cursors = [await connection.execute(sql, params, prepare=False) for sql, params in sent]
            except BaseException as error:
                # Leaving the pipeline sends its Sync, and that commits whatever was sent so far. An error of the server
                # has aborted it; after a cancellation, or a value that can't be sent, only hanging up takes it back.
                if not isinstance(error, psycopg.Error) or error.sqlstate is None:
                    connection.pgconn.finish()
                raise
        del cursors[place : place + len(scope)]
        return [await cursor.fetchall() if cursor.description else [] for cursor in cursors]

    def _taking_on_scope(self) -> tuple[Statement, ...]:
        # in an open transaction it is on already
        begins = self._connection.info.transaction_status == TransactionStatus.IDLE
        return (self._scope,) if self._scope is not None and begins else ()

    async def fetch(self, statement: Statement) -> list[Row]:
        """Sends one statement and returns its rows; one round trip."""
        if self._taking_on_scope():
            return (await self.send([statement]))[0]
        return await self.fetch_alone(statement)

    async def fetch_alone(self, statement: Statement) -> list[Row]:
        """The same without taking on the scope before it."""
        _count()
        cursor = await self._connection.execute(statement.sql, statement.params)
        return await cursor.fetchall() if cursor.description else []


NO_SCOPE: Mapping[str, Any] = {"role": None, "venues": None, "every": None}
"""The parameters of `take_on` for a statement whose transaction has its scope already, or needs none."""


class Database:
    """The pool. Open it before use; close it at the end, also after errors.

    All methods raise DatabaseUnavailable when the server can't be reached, went away, or can't write, and
    PacingExceeded when a booking would exceed a limit of its venue; other database errors (a violated constraint, a
    deadlock, a lock not had in time) come through as psycopg's.
    """

    def __init__(
        self,
        url: str,
        *,
        pool_size: int = 10,
        pool_timeout_s: float = 10.0,
        statement_timeout_ms: int = 10_000,
        pooler: bool = False,
    ) -> None:
        self._statement_timeout_ms = statement_timeout_ms
        self._checks: list[asyncio.Task[None]] = []  # at most one; scoped views share it
        self._scope: Statement | None = None
        kwargs: dict[str, Any] = {
            "autocommit": True,
            "row_factory": dict_row,
            "application_name": "maitred",
            "connect_timeout": 10,
        }
        if pooler:
            kwargs["prepare_threshold"] = None
        self._pool: AsyncConnectionPool[Connection] = AsyncConnectionPool(
            url,
            min_size=1,
            max_size=pool_size,
            timeout=pool_timeout_s,
            max_waiting=10_000,
            open=False,
            kwargs=kwargs,
            configure=None if pooler else self._configure,
            name="maitred",
        )

    async def _configure(self, connection: Connection) -> None:
        await connection.execute(
            "SELECT set_config('statement_timeout', %s, false), "
            "set_config('idle_in_transaction_session_timeout', '15s', false)",
            (str(self._statement_timeout_ms),),
        )

    def scoped(self, restaurant_ids: Collection[UUID], *, every_venue: bool = False) -> Database:
        """The same pool for somebody who sees these venues alone, or with `every_venue` all of them.

        Rows of other venues don't exist for it, and what belongs to no venue it may mostly not touch: see
        `maitred.storage.second_wall`. Raises what the pool raises; a row written for another venue is psycopg's
        InsufficientPrivilege.
        """
        venues = ",".join(sorted(str(each) for each in restaurant_ids))
        view = copy.copy(self)
        view._scope = Statement(  # noqa: SLF001 - of its own kind
            _SCOPE, {"role": SCOPED_ROLE, "venues": f"{{{venues}}}", "every": "on" if every_venue else "off"}
        )
        return view

    async def open(self) -> None:
        """Opens the pool and waits for its first connection."""
        try:
            await self._pool.open(wait=True)
        except PoolTimeout as error:
            await self._pool.close()
            raise DatabaseUnavailable("the database can't be reached") from error

    async def close(self) -> None:
        """Closes every connection. Safe to call twice."""
        await self._pool.close(timeout=5.0)

    async def keep_open(self) -> None:
        """Has up to 10 connections of the pool opened, and kept open while nobody uses them; doesn't wait for it.

        For those who answer somebody: opening a connection costs several round trips, and its first statements more.
        """
        most = self._pool.max_size
        await self._pool.resize(min_size=min(most, _MOST_KEPT_OPEN), max_size=most)

    @asynccontextmanager
    async def session(self) -> AsyncIterator[Session]:
        """A connection of one's own. A transaction left open, by an error or a cancellation, is rolled back."""
        try:
            async with self._pool.connection() as connection:
                try:
                    yield Session(connection, self._scope)
                except asyncio.CancelledError:
                    # What was cancelled in the middle may have answers under way that nobody reads any more, and the
                    # next statement on this connection would take them for its own. Seen as rows that were missing.
                    await connection.close()
                    raise
                finally:
                    if connection.info.transaction_status not in (TransactionStatus.IDLE, TransactionStatus.UNKNOWN):
                        await _roll_back(connection)
        except (PoolTimeout, PoolClosed) as error:
            raise DatabaseUnavailable("no database connection was free in time") from error
        except psycopg.Error as error:
            if is_unavailable(error):
                await self._replace_dead()
                problem = str(error).strip() or "it went away"
                raise DatabaseUnavailable(f"the database can't go on: {problem}") from error
            if error.sqlstate == PACING:
                raise pacing_exceeded(error) from error
            raise

    async def _replace_dead(self) -> None:
        # A restart of the server kills every idle connection at once. Left in the pool, each would cost a caller his
        # call; found now, they cost this one, who has failed already, a moment. A task of its own: a check that is
        # broken off loses the connections it has in hand.
        if not self._checks or self._checks[0].done():
            self._checks[:] = [asyncio.create_task(self._pool.check(), name="maitred-pool-check")]
        await asyncio.wait(set(self._checks), timeout=_CHECK_S)

    async def fetch(self, sql: LiteralString, params: Mapping[str, Any] | None = None) -> list[Row]:
        """The rows of one statement; one round trip."""
        async with self.session() as session:
            return await session.fetch(Statement(sql, params or {}))

    async def fetch_alone(self, sql: LiteralString, params: Mapping[str, Any]) -> list[Row]:
        """The rows of one statement that takes on the scope by itself, by `take_on(%(role)s, %(venues)s, %(every)s)`.

        One round trip. It is for functions that look whose a venue is, and spares a second statement: one that is sent
        alone can be prepared.
        """
        async with self.session() as session:
            scope = NO_SCOPE if self._scope is None else self._scope.params
            return await session.fetch_alone(Statement(sql, {**params, **scope}))

    async def transact(self, statements: Sequence[Statement]) -> list[list[Row]]:
        """The rows of each of the statements, sent as one transaction; one round trip."""
        async with self.session() as session:
            return await session.send(statements)


async def _roll_back(connection: Connection) -> None:
    # shielded: a second cancellation must not hand back a connection in the middle of a transaction
    _count()
    await asyncio.shield(connection.rollback())


def is_unavailable(error: psycopg.Error) -> bool:
    """Whether the database, and not the statement, is at fault: connection, shutdown, resources, I/O."""
    state = error.sqlstate
    if state is None:
        return isinstance(error, psycopg.OperationalError)
    return state[:2] in {"08", "53", "58"} or state in {"57P01", "57P02", "57P03", "57P05", "25006"}
