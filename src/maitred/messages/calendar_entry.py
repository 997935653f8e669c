"""The calendar entry that goes with a confirmation (iCalendar, RFC 5545 and 5546). Pure."""

from __future__ import annotations

from datetime import UTC, timedelta

from icalendar import Calendar, Event, vCalAddress

from maitred.messages.facts import Facts
from maitred.messages.mail_address import MailAddress
from maitred.messages.plain_text import display_name, line

METHOD = "PUBLISH"
"""The guest has agreed already: REQUEST would make calendars ask again and send answers that nobody reads."""

_LONGEST_NAME = 100
_LENGTH_UNKNOWN = timedelta(hours=2)


def calendar_entry(facts: Facts, organizer: MailAddress) -> bytes:
    """The entry as a file. Its UID is the booking's id and its SEQUENCE the booking's revision, so that a changed
    booking replaces the entry it had.

    Times are UTC: a local time that the clocks show twice can't be said otherwise. The entry ends when the tables
    go to others.
    """
    venue = line(facts.venue, _LONGEST_NAME)
    event = Event()
    event.add("uid", str(facts.booking_id))
    event.add("dtstamp", facts.written_at.astimezone(UTC))
    event.add("dtstart", facts.starts_at.astimezone(UTC))
    event.add("dtend", (facts.kept_until or facts.starts_at + _LENGTH_UNKNOWN).astimezone(UTC))
    event.add("sequence", facts.revision)
    event.add("status", "CONFIRMED")
    event.add("transp", "OPAQUE")
    event.add("summary", f"{venue}: table for {facts.party}")
    event.add("location", venue)
    event.add("description", f"Booking {line(facts.reference, _LONGEST_NAME)}")
    address = vCalAddress(f"mailto:{organizer.spec}")
    address.params["CN"] = display_name(facts.venue, _LONGEST_NAME) or organizer.spec
    event.add("organizer", address)

    calendar = Calendar()
    calendar.add("prodid", "-//maitred//maitred//EN")
    calendar.add("version", "2.0")
    calendar.add("method", METHOD)
    calendar.add_component(event)
    return bytes(calendar.to_ical())
