"""The errors of maitred: a small tree whose members carry data. Edges render them; nothing else does."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar
from uuid import UUID


class MaitredError(Exception):
    """Base of all errors raised on purpose. `code` is stable and safe to store; the message is for people."""

    code: ClassVar[str] = "error"


class InvalidInput(MaitredError):
    """Something given from outside breaks a rule. Names the item and the field, never a guest's data."""

    code = "invalid_input"

    def __init__(self, item: str, field: str, problem: str) -> None:
        super().__init__(f"{item}: {field}: {problem}")
        self.item = item
        self.field = field
        self.problem = problem


class DatabaseUnavailable(MaitredError):
    """The database can't be reached, went away, or can't write (for example a full disk)."""

    code = "database_unavailable"


class SchemaMismatch(MaitredError):
    """The database's schema is not the one this release works with."""

    code = "schema_mismatch"

    def __init__(self, found: str | None, needed: str) -> None:
        remedy = "install a newer maitred" if found is not None and found > needed else "run: maitred db upgrade"
        super().__init__(
            f"the database has schema version {found or 'none'}, this release of maitred needs {needed}; {remedy}"
        )
        self.found = found
        self.needed = needed


class RoleMissing(MaitredError):
    """The role that keeps venues apart is not there, and this user of the database may not make it."""

    code = "role_missing"

    def __init__(self, remedy: str) -> None:
        super().__init__(f"this user of the database may not make roles; an administrator has to say once: {remedy}")


class EmbeddedServerFailed(MaitredError):
    """The embedded PostgreSQL server could not be set up or started."""

    code = "embedded_server_failed"


class NotFound(MaitredError):
    """Nothing of this kind has this name."""

    code = "not_found"

    def __init__(self, kind: str, name: str) -> None:
        super().__init__(f"no {kind} {name}")
        self.kind = kind
        self.name = name


class AmbiguousReference(MaitredError):
    """Several restaurants have a booking with this reference."""

    code = "ambiguous_reference"

    def __init__(self, reference: str, slugs: tuple[str, ...]) -> None:
        super().__init__(f"booking {reference} exists at {', '.join(slugs)}: say which restaurant")
        self.reference = reference
        self.slugs = slugs


class AlreadyExists(MaitredError):
    """Something of this kind has this name already."""

    code = "already_exists"

    def __init__(self, kind: str, name: str) -> None:
        super().__init__(f"{kind} {name} exists already")
        self.kind = kind
        self.name = name


class ImportRefused(MaitredError):
    """A file can't be imported. `problems` are a line, a column and what is wrong there, all of them or the first."""

    code = "import_refused"

    def __init__(self, problems: Sequence[tuple[int | None, str, str]], *, more: bool = False) -> None:
        count = f"{len(problems)}{' or more' if more else ''} problem{'s' if len(problems) != 1 or more else ''}"
        line, column, problem = problems[0]
        where = f"{column}" if line is None else f"line {line}: {column}"
        super().__init__(f"{count} in the file; the first: {where}: {problem}")
        self.problems = tuple(problems)
        self.more = more


class TableInUse(MaitredError):
    """A table can't go: bookings have it, now or later. Some of their references, and how many there are."""

    code = "table_in_use"

    def __init__(self, table: str, references: Sequence[str], bookings: int) -> None:
        more = f" and {bookings - len(references)} more" if bookings > len(references) else ""
        super().__init__(f"table {table} is taken by {', '.join(references)}{more}")
        self.table = table
        self.references = tuple(references)
        self.bookings = bookings


class PacingExceeded(MaitredError):
    """More covers or parties than the venue lets in at once. Nothing was changed.

    `of` is what there would be too much of, `covers` or `parties`. The limit is per slot of `slot_minutes` that begins
    at `slot` (an instant, RFC 3339, UTC), or else per service day `day`; `service` None: of the whole venue.
    """

    code = "pacing_exceeded"

    def __init__(
        self,
        of: str,
        limit: int,
        *,
        service: str | None = None,
        slot_minutes: int | None = None,
        slot: str | None = None,
        day: str | None = None,
    ) -> None:
        when = f"{slot_minutes} minutes from {slot}" if slot is not None else f"day {day}"
        where = "" if service is None else f" of {service}"
        super().__init__(f"the {when}{where} take no more than {limit} {of}")
        self.of = of
        self.limit = limit
        self.service = service
        self.slot_minutes = slot_minutes
        self.slot = slot
        self.day = day


class AssignmentError(MaitredError):
    """A hold or a confirmation was refused. Nothing was changed."""

    code = "assignment"

    def __init__(self, booking_id: UUID, message: str) -> None:
        super().__init__(message)
        self.booking_id = booking_id


class BookingNotPending(AssignmentError):
    """The booking is in a status from which no tables can be assigned."""

    code = "booking_not_pending"

    def __init__(self, booking_id: UUID, status: str) -> None:
        super().__init__(booking_id, f"the booking is {status}")
        self.status = status


class RetryRefused(AssignmentError):
    """A new run was asked for, for a booking whose last run is no reason for one."""

    code = "retry_refused"

    def __init__(self, booking_id: UUID, why: str) -> None:
        super().__init__(booking_id, f"the booking is not tried again: {why}")
        self.why = why


class HoldNotFound(AssignmentError):
    """There is no such hold: never made, released, replaced by a newer one, or swept after its expiry."""

    code = "hold_not_found"

    def __init__(self, booking_id: UUID, hold_id: UUID) -> None:
        super().__init__(booking_id, f"no hold {hold_id}")
        self.hold_id = hold_id


class HoldExpired(AssignmentError):
    """The hold's time to live had passed, by the database's clock."""

    code = "hold_expired"

    def __init__(self, booking_id: UUID, hold_id: UUID) -> None:
        super().__init__(booking_id, f"hold {hold_id} has expired")
        self.hold_id = hold_id


class HoldForeign(AssignmentError):
    """The hold belongs to another booking."""

    code = "hold_foreign"

    def __init__(self, booking_id: UUID, hold_id: UUID) -> None:
        super().__init__(booking_id, f"hold {hold_id} belongs to another booking")
        self.hold_id = hold_id


class PolicyDrift(AssignmentError):
    """The venue's policy or floor changed after the hold was made: what was planned may no longer be allowed."""

    code = "policy_drift"

    def __init__(self, booking_id: UUID, hold_id: UUID, held_under: str, current: str) -> None:
        super().__init__(booking_id, f"hold {hold_id} was made under {held_under}, the venue is now at {current}")
        self.hold_id = hold_id
        self.held_under = held_under
        self.current = current


class IdempotencyConflict(AssignmentError):
    """The idempotency key was used before, for other tables."""

    code = "idempotency_conflict"

    def __init__(self, booking_id: UUID, key: str) -> None:
        super().__init__(booking_id, f"idempotency key {key!r} was used for other tables")
        self.key = key


class TablesNotAssignable(AssignmentError):
    """The tables that somebody chose can't be given to the booking. `problems` say what stands against it, as codes."""

    code = "tables_not_assignable"

    def __init__(self, booking_id: UUID, problems: tuple[str, ...]) -> None:
        super().__init__(booking_id, f"the tables can't be assigned: {', '.join(problems)}")
        self.problems = problems


class HoldAtItsLongest(AssignmentError):
    """The hold has been extended as far as holds may be."""

    code = "hold_at_its_longest"

    def __init__(self, booking_id: UUID, hold_id: UUID) -> None:
        super().__init__(booking_id, f"hold {hold_id} can't be extended any further")
        self.hold_id = hold_id


class TransitionRefused(AssignmentError):
    """The booking's status doesn't lead to the one asked for, or not yet."""

    code = "transition_refused"

    def __init__(self, booking_id: UUID, before: str, after: str, why: str | None = None) -> None:
        super().__init__(booking_id, f"a booking that is {before} can't become {after}" + (f": {why}" if why else ""))
        self.before = before
        self.after = after
        self.why = why


class BookingLocked(AssignmentError):
    """The booking is locked to its tables: it has to be unlocked first."""

    code = "booking_locked"

    def __init__(self, booking_id: UUID) -> None:
        super().__init__(booking_id, "the booking is locked to its tables")


class Unauthorized(MaitredError):
    """No credential was given, or one that nobody has, that has expired or was revoked. Doesn't say which."""

    code = "unauthorized"

    def __init__(self) -> None:
        super().__init__("a valid API key is needed: Authorization: Bearer <key>")


class Forbidden(MaitredError):
    """The caller is known and may not do this."""

    code = "forbidden"

    def __init__(self, needed: str) -> None:
        super().__init__(f"this needs a key with the role {needed}")
        self.needed = needed


class RateLimited(MaitredError):
    """Too many requests in too little time; the next one is answered after `retry_after_s` seconds."""

    code = "rate_limited"

    def __init__(self, retry_after_s: float) -> None:
        super().__init__("too many requests; try again later")
        self.retry_after_s = retry_after_s


class IdempotencyKeyReused(MaitredError):
    """The idempotency key came before with another request."""

    code = "idempotency_key_reused"

    def __init__(self) -> None:
        super().__init__("this Idempotency-Key was used for another request")


class StillRunning(MaitredError):
    """The first request with this idempotency key has not ended yet."""

    code = "still_running"

    def __init__(self, retry_after_s: float) -> None:
        super().__init__("the first request with this Idempotency-Key is still running")
        self.retry_after_s = retry_after_s


class VersionConflict(MaitredError):
    """The thing was changed since the caller read it. `current` is its version now."""

    code = "version_conflict"

    def __init__(self, kind: str, current: str) -> None:
        super().__init__(f"the {kind} was changed meanwhile")
        self.kind = kind
        self.current = current


class VersionNeeded(MaitredError):
    """A change that must name the version it is made to, in If-Match."""

    code = "version_needed"

    def __init__(self, kind: str) -> None:
        super().__init__(f"say in If-Match which version of the {kind} you change")
        self.kind = kind


class RequestRefused(MaitredError):
    """A request that HTTP itself rules out: too large, too slow, malformed. `status` is the answer's."""

    code = "request_refused"

    def __init__(self, status: int, problem: str, *, code: str | None = None) -> None:
        super().__init__(problem)
        self.status = status
        self.refused_code = code or self.code
