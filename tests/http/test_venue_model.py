"""The interface against a model of a venue: bookings, what staff do with them, a worker, time that goes by.

The model knows which status each booking may have and who is told what; it doesn't know which tables a planner would
choose. What can't be allowed for any choice (two at one table, a party on too few seats, a booking that nobody looks
after) is asked of the database after every step. MAITRED_HYPOTHESIS_PROFILE=long makes 2,000 runs of it.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from collections import Counter
from collections.abc import Coroutine
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, TypeVar
from uuid import uuid4

import httpx
import pytest
import structlog
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)

from maitred.auto_assign.job import make_queued_attempt
from maitred.auto_assign.rules import job_rules
from maitred.http.guests import availability as availability_route
from maitred.http.guests import bookings as booking_routes
from maitred.http.role import Role
from maitred.http.staff import assignment as assignment_routes
from tests.house import DAWN, House
from tests.http.conftest import Api, open_api

T = TypeVar("T")

LONG = os.environ.get("MAITRED_HYPOTHESIS_PROFILE") == "long"
RUNS, STEPS = (2_000, 20) if LONG else (25, 15)
# shrinking repeats a run hundreds of times; whoever wants it has the time
PHASES = tuple(Phase) if "MAITRED_SHRINK" in os.environ else (Phase.explicit, Phase.generate)

OPENING = DAWN + timedelta(hours=6)
CAPACITIES = (2, 2, 4, 4, 6)
SEATS = {f"T{place}": capacity for place, capacity in enumerate(CAPACITIES, start=1)}

# mostly the same hour, so that there are too many
QUARTERS = st.sampled_from([0, 20, 24, 25, 26, 28, 28, 30, 32, 50])
PARTIES = st.sampled_from([1, 2, 2, 3, 4, 4, 5, 6, 8, 12])

# nobody is to wait here: what a slow machine would make of an attempt is not what is asked
PATIENT = {
    "http_rate_per_s": 100_000,
    "http_rate_burst": 1_000_000,
    "hold_rate_per_min": 10_000,
    "hold_rate_burst": 10_000,
    "http_timeout_s": 120,
    "inline_timeout_ms": 60_000,
}

_LOOK = """
SELECT b.id, b.status, b.party_size AS party, b.starts_at, b.by_hand, b.locked,
       (SELECT array_agg(t.number ORDER BY t.number) FROM allocations a JOIN tables t ON t.id = a.table_id
         WHERE a.booking_id = b.id AND a.hold_id IS NULL) AS tables,
       (SELECT bool_and(a.period @> b.starts_at) FROM allocations a
         WHERE a.booking_id = b.id AND a.hold_id IS NULL) AS around_start,
       (SELECT count(*) FROM allocations a WHERE a.booking_id = b.id) AS allocations,
       (SELECT count(*) FROM runs r WHERE r.booking_id = b.id AND r.ended_at IS NULL) AS live,
       (SELECT count(*) FROM runs r WHERE r.booking_id = b.id AND r.ended_at IS NOT NULL) AS ended,
       (SELECT count(*) FROM observability_events e WHERE e.booking_id = b.id AND e.event_type = 'auto_assign.summary')
           AS summaries
  FROM bookings b WHERE b.restaurant_id = %(id)s
"""
_OVERLAPS = """
SELECT count(*) AS n FROM allocations a JOIN allocations b ON a.table_id = b.table_id AND a.id < b.id
  JOIN tables t ON t.id = a.table_id
 WHERE t.restaurant_id = %(id)s AND lower(a.period) < upper(b.period) AND lower(b.period) < upper(a.period)
"""
_JOBS = """
SELECT j.id, (j.args->>'run_id')::uuid AS run_id, (j.args->>'attempt_index')::int AS attempt_index
  FROM procrastinate_jobs j JOIN runs r ON r.id = (j.args->>'run_id')::uuid
 WHERE r.restaurant_id = %(id)s AND j.status = 'todo' ORDER BY j.scheduled_at NULLS FIRST, j.id LIMIT 1
"""

counted: Counter[str] = Counter()


@dataclass
class Known:
    """What the model knows of a booking. `hold` is the last that staff made, `held` its tables."""

    id: str
    token: str
    party: int
    starts_at: datetime
    status: str
    hold: str | None = None
    held: list[str] = field(default_factory=list)
    hold_expired: bool = False
    locked: bool = False
    by_hand: bool = False
    notes: str | None = None


@dataclass
class World:
    """What all runs share: the loop, the interface, its clients."""

    runner: asyncio.Runner
    api: Api
    now: datetime = DAWN

    def do(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(coroutine)


world: World


class Venue(RuleBasedStateMachine):
    """One venue for one run."""

    bookings: Bundle[Known] = Bundle("bookings")

    @initialize(target=bookings, wishes=st.lists(st.tuples(PARTIES, QUARTERS), min_size=3, max_size=9))
    def open(self, wishes: list[tuple[int, int]]) -> Any:
        world.now = DAWN
        self.known: dict[str, Known] = {}
        self.house: House = world.do(world.api.house(CAPACITIES))
        self.slug = world.do(
            self.house.database.fetch(
                "SELECT slug FROM restaurants WHERE id = %(id)s", {"id": self.house.restaurant_id}
            )
        )[0]["slug"]
        self.site = world.do(world.api.client(Role.GUEST_SITE))
        self.staff = world.do(world.api.client(Role.STAFF))
        counted["runs"] += 1
        return self.create_all(wishes, twice=False)

    def ask(
        self,
        client: httpx.AsyncClient,
        method: str,
        path: str,
        body: object = None,
        *,
        key: str | None = None,
        **more: Any,
    ) -> httpx.Response:
        counted["requests"] += 1
        headers = {} if method == "GET" else {"Idempotency-Key": key or uuid4().hex}
        answer = world.do(
            client.request(method, path, json=body, headers={**headers, **more.pop("headers", {})}, **more)
        )
        counted[f"{sys._getframe(1).f_code.co_name} {answer.status_code}"] += 1
        return answer

    def of_staff(self, booking: Known, method: str, what: str, body: object = None) -> httpx.Response:
        return self.ask(self.staff, method, f"/v1/bookings/{booking.id}{what}", body)

    def of_guest(self, booking: Known, method: str, body: object = None) -> httpx.Response:
        return self.ask(
            self.site, method, f"/v1/bookings/{booking.id}", body, headers={"Authorization": f"Bearer {booking.token}"}
        )

    def made(self, answer: httpx.Response, party: int, starts_at: datetime) -> Known:
        body = answer.json()
        assert body["status"] in ("confirmed", "pending")
        assert bool(body["tables"]) is (body["status"] == "confirmed")
        assert (body["waiting"] is None) is (body["status"] == "confirmed")
        known = Known(body["id"], body["token"], party, starts_at, body["status"])
        self.known[known.id] = known
        return known

    # guests

    @rule(target=bookings, wishes=st.lists(st.tuples(PARTIES, QUARTERS), min_size=1, max_size=3), twice=st.booleans())
    def create(self, wishes: list[tuple[int, int]], twice: bool) -> Any:
        return self.create_all(wishes, twice=twice)

    def create_all(self, wishes: list[tuple[int, int]], *, twice: bool) -> Any:
        made = []
        for party, quarter in wishes:
            starts_at = OPENING + timedelta(minutes=15 * quarter)
            body = {"restaurant_id": str(self.house.restaurant_id), "party": party, "starts_at": starts_at.isoformat()}
            key = uuid4().hex
            answer = self.ask(self.site, "POST", "/v1/bookings", body, key=key)
            if twice:
                assert self.ask(self.site, "POST", "/v1/bookings", body, key=key).content == answer.content
            if starts_at <= world.now:
                assert answer.status_code == 422, answer.text
                continue
            assert answer.status_code == 201, answer.text
            made.append(self.made(answer, party, starts_at))
        return multiple(*made)

    @rule(target=bookings, party=st.integers(1, 8), which=st.integers(0, 60))
    def create_where_there_is_said_to_be_room(self, party: int, which: int) -> Any:
        asked = {"restaurant_id": str(self.house.restaurant_id), "date": DAWN.date().isoformat(), "party": party}
        answer = self.ask(self.site, "GET", "/v1/availability", params=asked)
        assert answer.status_code == 200, answer.text
        slots = [slot for slot in answer.json()["slots"] if slot["available"]]
        if not slots:
            return multiple()
        starts_at = datetime.fromisoformat(slots[which % len(slots)]["starts_at"])
        assert starts_at > world.now
        body = {"restaurant_id": str(self.house.restaurant_id), "party": party, "starts_at": starts_at.isoformat()}
        answer = self.ask(self.site, "POST", "/v1/bookings", body)
        assert answer.status_code == 201, answer.text
        made = self.made(answer, party, starts_at)
        assert made.status == "confirmed", answer.text
        return made

    @rule(booking=bookings, party=st.none() | PARTIES, quarter=st.none() | QUARTERS)
    def move(self, booking: Known, party: int | None, quarter: int | None) -> None:
        starts_at = booking.starts_at if quarter is None else OPENING + timedelta(minutes=15 * quarter)
        body: dict[str, Any] = {} if party is None else {"party": party}
        if quarter is not None:
            body["starts_at"] = starts_at.isoformat()
        moved = (party or booking.party, starts_at) != (booking.party, booking.starts_at)
        answer = self.of_guest(booking, "PATCH", body)
        if moved and starts_at <= world.now:
            assert answer.status_code == 422, answer.text
            return
        if booking.status not in ("pending", "confirmed"):
            assert answer.status_code == 409, answer.text
            return
        assert answer.status_code == 200, answer.text
        if moved:
            booking.party, booking.starts_at = party or booking.party, starts_at
            booking.status, booking.locked, booking.by_hand = answer.json()["status"], False, False
            self.hold_gone(booking)
            assert booking.status in ("confirmed", "pending")

    @rule(booking=bookings, notes=st.none() | st.text("abc ", min_size=1, max_size=5))
    def write_notes(self, booking: Known, notes: str | None) -> None:
        answer = self.of_guest(booking, "PATCH", {"notes": notes})
        assert answer.status_code == (200 if booking.status in ("pending", "confirmed") else 409), answer.text
        if answer.status_code == 200:
            booking.notes = notes
            assert answer.json()["notes"] == notes

    @rule(booking=bookings)
    def cancel(self, booking: Known) -> None:
        answer = self.of_guest(booking, "DELETE")
        if booking.status in ("pending", "confirmed", "cancelled"):
            assert answer.status_code == 200, answer.text
            booking.status, booking.locked = "cancelled", False
            self.hold_gone(booking)
        else:
            assert answer.status_code == 409, answer.text

    @rule(booking=bookings, by_guest=st.booleans())
    def see(self, booking: Known, by_guest: bool) -> None:
        answer = self.of_guest(booking, "GET") if by_guest else self.of_staff(booking, "GET", "")
        assert answer.status_code == 200, answer.text
        body = answer.json()
        assert (body["status"], body["party"], body["notes"]) == (booking.status, booking.party, booking.notes)
        assert datetime.fromisoformat(body["starts_at"]) == booking.starts_at
        assert bool(body["tables"]) is (booking.status in ("confirmed", "checked_in"))

    # staff

    @rule(booking=bookings, tables=st.lists(st.sampled_from(sorted(SEATS)), min_size=1, max_size=3, unique=True))
    def hold(self, booking: Known, tables: list[str]) -> None:
        said = self.of_staff(booking, "POST", "/validation", {"tables": tables})
        assert said.status_code == 200, said.text
        answer = self.of_staff(booking, "POST", "/holds", {"tables": tables, "ttl_s": 600})
        expected = 409 if said.json()["outcome"] == "error" else 201
        assert answer.status_code == expected, (said.text, answer.text)
        if expected == 201:
            assert booking.status == "pending"
            booking.hold, booking.held, booking.hold_expired = answer.json()["hold"]["id"], sorted(tables), False

    @rule(booking=bookings, begin_run=st.booleans(), which=st.integers(0, 3))
    def choose_other_tables(self, booking: Known, begin_run: bool, which: int) -> None:
        """As staff do: take the tables away, see what there would be, hold that."""
        self.unassign(booking, begin_run)
        quoted = self.of_staff(booking, "POST", "/quote", {}).json()
        plans = [plan for plan in (quoted["best"], *quoted["alternates"]) if plan is not None]
        if plans and quoted["would_refuse"] is None:
            self.hold(booking, plans[which % len(plans)]["tables"])

    @rule(booking=bookings, ttl_s=st.sampled_from([1, 700, 1_800]))
    def extend(self, booking: Known, ttl_s: int) -> None:
        if booking.hold is None:
            return
        answer = self.of_staff(booking, "PATCH", f"/holds/{booking.hold}", {"ttl_s": ttl_s})
        if self.live(booking):
            # 409: it has been extended as far as holds may be
            assert answer.status_code == 200 or "hold_at_its_longest" in answer.text, answer.text
        else:
            assert answer.status_code == 409, answer.text

    @rule(booking=bookings)
    def release(self, booking: Known) -> None:
        if booking.hold is None:
            return
        answer = self.of_staff(booking, "DELETE", f"/holds/{booking.hold}")
        if self.live(booking):
            assert answer.status_code == 204, answer.text
        else:
            assert answer.status_code in (204, 409), answer.text  # an expired one may be swept or still be there
        self.hold_gone(booking)

    @rule(booking=bookings)
    def confirm(self, booking: Known) -> None:
        if booking.hold is None:
            return
        answer = self.of_staff(booking, "POST", f"/holds/{booking.hold}/confirmation")
        if self.live(booking) and booking.status == "pending":
            assert answer.status_code == 200, answer.text
            assert not answer.json()["repeated"]
            assert sorted(answer.json()["table_ids"]) == sorted(self.house.tables[each] for each in booking.held)
            booking.status = "confirmed"
            self.hold_gone(booking)
        elif answer.status_code == 200:
            assert answer.json()["repeated"], answer.text  # told again, and nothing is changed: the invariants look
        else:
            assert answer.status_code == 409, answer.text

    @rule(booking=bookings, stranger=bookings)
    def confirm_what_is_somebody_elses(self, booking: Known, stranger: Known) -> None:
        if booking.hold is None or booking is stranger:
            return
        for method, what, body in (
            ("POST", f"/holds/{booking.hold}/confirmation", None),
            ("PATCH", f"/holds/{booking.hold}", {"ttl_s": 60}),
            ("DELETE", f"/holds/{booking.hold}", None),
        ):
            assert self.of_staff(stranger, method, what, body).status_code == 409

    @rule(booking=bookings, begin_run=st.booleans())
    def unassign(self, booking: Known, begin_run: bool) -> None:
        answer = self.of_staff(booking, "POST", "/unassignment", {"begin_run": begin_run})
        if booking.status == "confirmed" and not booking.locked:
            assert answer.status_code == 200, answer.text
            assert (answer.json()["run_id"] is not None) is begin_run
            booking.status, booking.by_hand = "pending", not begin_run
            self.hold_gone(booking)
        else:
            assert answer.status_code == 409, answer.text

    @rule(booking=bookings, on=st.booleans())
    def lock(self, booking: Known, on: bool) -> None:
        answer = self.of_staff(booking, "PUT" if on else "DELETE", "/lock")
        if on and booking.status not in ("confirmed", "checked_in"):
            assert answer.status_code == 409, answer.text
            return
        assert answer.status_code == 200, answer.text
        assert answer.json()["changed"] is (booking.locked is not on)
        booking.locked = on

    @rule(booking=bookings, step=st.sampled_from(["check-in", "no-show", "completion"]))
    def serve(self, booking: Known, step: str) -> None:
        before, after = {
            "check-in": ("confirmed", "checked_in"),
            "no-show": ("confirmed", "no_show"),
            "completion": ("checked_in", "completed"),
        }[step]
        answer = self.of_staff(booking, "POST", f"/{step}")
        if booking.status == after:
            assert (answer.status_code, answer.json()["changed"]) == (200, False)
        elif booking.status != before or (step == "no-show" and world.now < booking.starts_at):
            assert answer.status_code == 409, answer.text
        else:
            assert (answer.status_code, answer.json()["changed"]) == (200, True), answer.text
            booking.status = after
            if after != "checked_in":
                booking.locked = False

    @rule(booking=bookings)
    def quote(self, booking: Known) -> None:
        answer = self.of_staff(booking, "POST", "/quote", {})
        assert answer.status_code == 200, answer.text
        best = answer.json()["best"]
        assert (best is None) is (answer.json()["reason"] is not None)
        if best is not None:
            assert sum(SEATS[each] for each in best["tables"]) >= booking.party

    @rule()
    def look_at_the_board(self) -> None:
        answer = self.ask(self.staff, "GET", f"/v1/venues/{self.slug}/board", params={"date": DAWN.date().isoformat()})
        assert answer.status_code == 200, answer.text
        board = answer.json()
        shown = {each["id"]: each["status"] for each in board["bookings"]}
        over = {each.id for each in self.known.values() if each.status in ("cancelled", "no_show", "completed")}
        assert {id_: status for id_, status in shown.items() if id_ not in over} == {
            each.id: each.status for each in self.known.values() if each.id not in over
        }
        assert set(board["waiting"]) == {each.id for each in self.known.values() if each.status == "pending"}

    # what happens by itself

    @rule(minutes=st.integers(1, 240))
    def time_goes_by(self, minutes: int) -> None:
        world.now += timedelta(minutes=minutes)

    @rule()
    def holds_expire(self) -> None:
        world.do(
            self.house.database.fetch(
                "UPDATE holds SET expires_at = clock_timestamp() - interval '1 millisecond'"
                " WHERE restaurant_id = %(id)s",
                {"id": self.house.restaurant_id},
            )
        )
        for booking in self.known.values():
            booking.hold_expired = True

    @rule(most=st.integers(1, 4))
    def a_worker_works(self, most: int) -> None:
        for _ in range(most):
            if not world.do(self.attempt()):
                break
            counted["attempts"] += 1
        # a run may have seated whoever waited; a hold of staff's is then no longer wanted
        for row in world.do(self.rows()):
            known = self.known[str(row["id"])]
            if known.status == "pending" and row["status"] == "confirmed":
                assert not known.by_hand, row
                known.status = "confirmed"
                self.hold_gone(known)

    async def attempt(self) -> bool:
        database = self.house.database
        jobs = await database.fetch(_JOBS, {"id": self.house.restaurant_id})
        if not jobs:
            return False
        job = jobs[0]
        await database.fetch("UPDATE procrastinate_jobs SET status = 'doing' WHERE id = %(id)s", {"id": job["id"]})
        application = world.api.application
        await make_queued_attempt(
            application.desk,
            job["run_id"],
            job["attempt_index"],
            rules=job_rules(application.settings),
            now=lambda: world.now,
        )
        await database.fetch("DELETE FROM procrastinate_jobs WHERE id = %(id)s", {"id": job["id"]})
        return True

    # what is true after every step

    async def rows(self) -> list[dict[str, Any]]:
        return [dict(row) for row in await self.house.database.fetch(_LOOK, {"id": self.house.restaurant_id})]

    @invariant()
    def nothing_is_lost_and_nobody_sits_on_anothers_table(self) -> None:
        if not hasattr(self, "house"):
            return
        counted["steps"] += 1
        found = world.do(self.house.database.fetch(_OVERLAPS, {"id": self.house.restaurant_id}))
        assert found[0]["n"] == 0
        rows = {str(row["id"]): row for row in world.do(self.rows())}
        assert set(rows) == set(self.known)
        for id_, row in rows.items():
            known = self.known[id_]
            assert (row["status"], row["party"], row["starts_at"]) == (
                known.status,
                known.party,
                known.starts_at,
            ), row
            assert row["locked"] is known.locked
            if known.status in ("confirmed", "checked_in"):
                assert sum(SEATS[each] for each in row["tables"]) >= known.party
                assert row["around_start"]
            else:
                assert row["tables"] is None
            if known.status != "pending":
                assert known.status in ("confirmed", "checked_in") or row["allocations"] == 0
            elif not row["by_hand"]:
                assert row["live"] or row["ended"], "nobody looks after it"
            assert row["live"] <= 1
            assert row["summaries"] >= row["ended"], "a run without its end"

    @staticmethod
    def hold_gone(booking: Known) -> None:
        booking.hold_expired = True

    @staticmethod
    def live(booking: Known) -> bool:
        return booking.hold is not None and not booking.hold_expired


@pytest.mark.timeout(7_200 if LONG else 600)
def test_a_venue_over_http_does_what_the_model_says(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    global world  # noqa: PLW0603 - Hypothesis makes the machines, and gives them nothing
    for module, name in ((booking_routes, "utc_now"), (availability_route, "utc_now"), (assignment_routes, "_now")):
        monkeypatch.setattr(module, name, lambda: world.now)
    counted.clear()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    with asyncio.Runner() as runner:
        opened = open_api(database_url, **PATIENT)
        world = World(runner, runner.run(opened.__aenter__()))
        try:
            run_state_machine_as_test(
                Venue,
                settings=settings(
                    settings(),
                    max_examples=RUNS,
                    stateful_step_count=STEPS,
                    phases=PHASES,
                    suppress_health_check=list(HealthCheck),
                ),
            )
        finally:
            structlog.reset_defaults()
            runner.run(opened.__aexit__(None, None, None))
            print(dict(counted))  # what was done: with -s, for whoever wants to know what a run of it is worth
