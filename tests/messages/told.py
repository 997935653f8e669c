"""A venue whose guests have addresses, and the questions tests ask of its outbox."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Any, LiteralString
from uuid import UUID, uuid4

from maitred.booking.confirm import confirm_hold
from maitred.booking.quote import quote_tables_for_booking
from maitred.messages.outbox import Variant, confirmation_messages, needs_attention_messages
from maitred.model.reason import ReasonCode
from maitred.storage.database import Database, Row
from tests.house import House, at_dawn, build_house

SECRET = "whsec_" + base64.b64encode(bytes(range(32))).decode()

GUEST_NAME = "Zoraida Quintanilla"
GUEST_EMAIL = "zoraida.quintanilla@guest.example"
GUEST_PHONE = "+34 600 112 233"
NOTES = "allergic to walnuts"
GUEST_DATA = ("Zoraida", "Quintanilla", "quintanilla", "guest.example", "600 112", "walnuts")


@dataclass
class Told:
    """A house, and what is told of its bookings."""

    house: House
    database: Database

    async def book(self, party: int = 2, email: str | None = GUEST_EMAIL, name: str | None = GUEST_NAME) -> UUID:
        booking = await self.house.book(party)
        await self.database.fetch(
            "UPDATE bookings SET guest_email = %(email)s, guest_name = %(name)s, guest_phone = %(phone)s,"
            " notes = %(notes)s WHERE id = %(id)s",
            {"email": email, "name": name, "phone": GUEST_PHONE, "notes": NOTES, "id": booking},
        )
        return booking

    async def confirm(self, booking: UUID, *, variant: Variant = "standard", suppressed: bool = False) -> UUID:
        """Confirms the booking as a run would, its messages in the same transaction; the confirmation's id."""
        quote = await quote_tables_for_booking(self.house.desk, booking, now=at_dawn, ttl_s=60, trigger="manual")
        assert quote.hold is not None
        confirmation = uuid4()
        also = confirmation_messages(
            restaurant_id=self.house.restaurant_id,
            booking_id=booking,
            confirmation_id=confirmation,
            variant=variant,
            suppressed=suppressed,
        )
        await confirm_hold(
            self.house.desk,
            quote.hold.id,
            booking_id=booking,
            idempotency_key=str(confirmation),
            cause="test",
            confirmation_id=confirmation,
            also=also,
        )
        return confirmation

    async def confirmed(self, party: int = 2, **guest: Any) -> UUID:
        booking = await self.book(party, **guest)
        await self.confirm(booking)
        return booking

    async def waiting_mails(self, count: int) -> list[UUID]:
        """Mails in the outbox, written without quotes and holds, each for a booking of its own."""
        rows = await self.database.fetch(
            "WITH booked AS ("
            "  INSERT INTO bookings (restaurant_id, reference, party_size, starts_at, status, guest_email)"
            "  SELECT %(house)s, 'M' || n, 2, '2030-06-05 12:00Z', 'confirmed', 'guest' || n || '@guest.example'"
            "    FROM generate_series(1, %(count)s) n RETURNING id, restaurant_id),"
            " confirmed AS ("
            "  INSERT INTO confirmations (id, booking_id, idempotency_key, hold_id, table_ids, period)"
            "  SELECT gen_random_uuid(), id, 'k', gen_random_uuid(), '{}', '[2030-06-05 12:00Z,2030-06-05 13:30Z)'"
            "    FROM booked RETURNING id, booking_id)"
            " INSERT INTO messages (restaurant_id, booking_id, kind, variant, channel, confirmation_id, once)"
            " SELECT %(house)s, booking_id, 'confirmation', 'standard', 'mail', id, 'confirmation:' || id || ':mail'"
            "   FROM confirmed RETURNING id",
            {"house": self.house.restaurant_id, "count": count},
        )
        return [row["id"] for row in rows]

    async def run_ended(self, booking: UUID, result: str | None = "exhausted") -> UUID:
        """A run of the booking that has ended so; None: it goes on."""
        run = uuid4()
        await self.database.fetch(
            "INSERT INTO runs (id, restaurant_id, booking_id, trigger, policy, max_attempts, party_size, due_at,"
            " ended_at, result) VALUES (%(id)s, %(house)s, %(booking)s, 'creation', 2, 4, 2, now(),"
            " CASE WHEN %(result)s::text IS NOT NULL THEN now() END, %(result)s)",
            {"id": run, "house": self.house.restaurant_id, "booking": booking, "result": result},
        )
        return run

    async def needs_attention(self, booking: UUID, run: UUID, *, suppressed: bool = False) -> None:
        await self.database.transact(
            needs_attention_messages(
                restaurant_id=self.house.restaurant_id,
                booking_id=booking,
                reason=ReasonCode.NO_CAPACITY,
                run_id=run,
                suppressed=suppressed,
            )
        )

    async def contact(self, email: str | None) -> None:
        await self.database.fetch(
            "UPDATE restaurants SET contact_email = %(email)s WHERE id = %(id)s",
            {"email": email, "id": self.house.restaurant_id},
        )

    async def endpoint(self, url: str, secret: str = SECRET, *, active: bool = True) -> UUID:
        rows = await self.database.fetch(
            "INSERT INTO webhook_endpoints (restaurant_id, url, secret, active)"
            " VALUES (%(house)s, %(url)s, %(secret)s, %(active)s) RETURNING id",
            {"house": self.house.restaurant_id, "url": url, "secret": secret, "active": active},
        )
        return UUID(str(rows[0]["id"]))

    async def messages(self, channel: str | None = None) -> list[Row]:
        return await self.database.fetch(
            "SELECT * FROM messages WHERE %(channel)s::text IS NULL OR channel = %(channel)s ORDER BY created_at, once",
            {"channel": channel},
        )

    async def message(self) -> Row:
        """The only one."""
        rows = await self.messages()
        assert len(rows) == 1
        return rows[0]

    async def states(self, channel: str | None = None) -> list[str]:
        return sorted(row["state"] for row in await self.messages(channel))

    async def execute(self, sql: LiteralString, **params: Any) -> None:
        await self.database.fetch(sql, params)

    async def last_result(self, booking: UUID) -> Any:
        rows = await self.database.fetch(
            "SELECT auto_assign_last_result AS last FROM bookings WHERE id = %(id)s", {"id": booking}
        )
        return rows[0]["last"]

    async def time_passes(self) -> None:
        """All pauses and claims are over."""
        await self.execute("UPDATE messages SET due_at = now() WHERE state = 'waiting'")
        await self.execute(
            "UPDATE messages SET claimed_until = now() - interval '1 ms' WHERE claimed_until IS NOT NULL"
        )
        await self.execute("UPDATE mail_server SET paused_until = now() WHERE paused_until IS NOT NULL")


async def build_told(database: Database) -> Told:
    return Told(await build_house(database, (2, 2, 2, 2, 4, 4, 6)), database)
