"""Mails and calendar entries, made of facts and read back by parsers that share no code with the making."""

from __future__ import annotations

import email
import email.policy
import re
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from icalendar import Calendar

from maitred.messages.facts import Facts
from maitred.messages.mail import confirmation_mail, needs_attention_mail
from maitred.messages.mail_address import MailAddress, read_address
from maitred.messages.plain_text import line
from maitred.model.reason import ReasonCode
from tests.messages.servers import as_text, parsed

SENDER = "tables@maitred.example"
GUEST = MailAddress("ana", "guest.example")
START = datetime(2030, 6, 5, 18, 30, tzinfo=UTC)


def facts(**changed: Any) -> Facts:
    known: dict[str, Any] = {
        "message_id": UUID(int=1),
        "kind": "confirmation",
        "written_at": datetime(2030, 6, 1, 9, 0, tzinfo=UTC),
        "restaurant_id": UUID(int=2),
        "venue": "Casa Pepa",
        "timezone": "Europe/Madrid",
        "booking_id": UUID(int=3),
        "reference": "R-17",
        "party": 4,
        "starts_at": START,
        "revision": 1,
        "variant": "standard",
        "confirmation_id": UUID(int=4),
        "tables": ("T1", "T2"),
        "kept_until": START + timedelta(minutes=95),
        "guest_email": "ana@guest.example",
        "guest_name": "Ana",
    }
    return Facts(**{**known, **changed})


def attention(**changed: Any) -> Facts:
    known: dict[str, Any] = {
        "kind": "needs_attention",
        "variant": None,
        "confirmation_id": None,
        "tables": (),
        "kept_until": None,
        "reason": "hard.no_capacity",
        "venue_email": "house@venue.example",
    }
    return facts(**{**known, **changed})


def confirmed(of: Facts, *, shows_tables: bool = False, to: MailAddress = GUEST) -> EmailMessage:
    return parsed(confirmation_mail(of, to, sender=SENDER, shows_tables=shows_tables).as_bytes())


def text_of(mail: EmailMessage) -> str:
    part = mail.get_body(("plain",))
    assert isinstance(part, EmailMessage)
    return as_text(part).replace("\r\n", "\n")


def html_of(mail: EmailMessage) -> str:
    part = mail.get_body(("html",))
    assert isinstance(part, EmailMessage)
    return as_text(part)


def entry_of(mail: EmailMessage) -> Any:
    (attachment,) = mail.iter_attachments()
    assert attachment.get_content_type() == "text/calendar"
    content = attachment.get_content()
    assert isinstance(content, str)
    return Calendar.from_ical(content)


def test_a_confirmation_says_when_for_how_many_and_under_which_reference() -> None:
    mail = confirmed(facts())
    assert mail["Subject"] == "Your table at Casa Pepa"
    assert (mail["To"], mail["From"].addresses[0].addr_spec) == ("ana@guest.example", SENDER)
    assert mail["From"].addresses[0].display_name == "Casa Pepa"
    for body in (text_of(mail), html_of(mail)):
        assert "Hello Ana," in body
        assert "Wednesday 5 June 2030, 20:30 (Europe/Madrid, UTC+02:00)" in body
        assert "R-17" in body
        assert "T1" not in body
    assert re.search(r"Party of: +4\n", text_of(mail))


def test_a_changed_booking_says_so() -> None:
    mail = confirmed(facts(variant="modified"))
    assert mail["Subject"] == "Your changed booking at Casa Pepa"
    assert "your booking at Casa Pepa has been changed and is confirmed" in text_of(mail)


def test_tables_are_named_only_when_they_are_to_be_shown() -> None:
    mail = confirmed(facts(), shows_tables=True)
    assert "T1, T2" in text_of(mail)
    assert "T1, T2" in html_of(mail)


def test_a_guest_without_a_name_is_greeted_without_one() -> None:
    assert text_of(confirmed(facts(guest_name=None))).startswith("Hello,\n")


def test_answers_go_to_the_venue_if_it_has_an_address() -> None:
    assert confirmed(facts())["Reply-To"] is None
    assert confirmed(facts(venue_email="house@venue.example"))["Reply-To"] == "house@venue.example"
    assert confirmed(facts(venue_email="not an address"))["Reply-To"] is None


def test_a_sender_with_a_name_of_its_own_keeps_it() -> None:
    mail = parsed(confirmation_mail(facts(), GUEST, sender=f"Tables <{SENDER}>", shows_tables=False).as_bytes())
    assert str(mail["From"]) == f"Tables <{SENDER}>"


def test_a_message_makes_the_same_mail_each_time_and_another_one_another() -> None:
    once, again = (confirmation_mail(facts(), GUEST, sender=SENDER, shows_tables=False).as_bytes() for _ in range(2))
    assert once == again
    other = confirmed(facts(message_id=UUID(int=9)))
    assert other["Message-ID"] != parsed(once)["Message-ID"]


def test_the_message_id_is_whole_also_with_a_long_domain() -> None:
    sender = "t@" + "a" * 60 + ".example"
    raw = confirmation_mail(facts(), GUEST, sender=sender, shows_tables=False).as_bytes()
    assert f"Message-ID: <{UUID(int=1).hex}@{'a' * 60}.example>\r\n".encode() in raw


def test_an_automatic_mail_says_that_it_is_one() -> None:
    assert confirmed(facts())["Auto-Submitted"] == "auto-generated"


def test_a_name_with_markup_is_shown_and_not_obeyed() -> None:
    mail = confirmed(facts(guest_name="<script>alert(1)</script>", venue='Bar & "Grill" <b>'))
    assert "<script>" not in html_of(mail)
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html_of(mail)
    assert "Bar &amp; &quot;Grill&quot; &lt;b&gt;" in html_of(mail)
    assert "<script>alert(1)</script>" in text_of(mail)


def test_the_venue_is_told_which_booking_and_why_and_nothing_of_the_guest() -> None:
    raw = needs_attention_mail(attention(), MailAddress("house", "venue.example"), sender=SENDER).as_bytes()
    mail = parsed(raw)
    assert mail["Subject"] == "Booking R-17 needs attention"
    assert mail["To"] == "house@venue.example"
    for body in (text_of(mail), html_of(mail)):
        assert "hard.no_capacity" in body
        assert ReasonCode.NO_CAPACITY.text in body
        assert "20:30 (Europe/Madrid, UTC+02:00)" in body
    assert b"Ana" not in raw
    assert b"guest.example" not in raw
    assert not list(mail.iter_attachments())


def test_a_reason_of_a_later_release_is_told_as_it_is() -> None:
    mail = parsed(needs_attention_mail(attention(reason="hard.moon"), GUEST, sender=SENDER).as_bytes())
    assert "hard.moon" in text_of(mail)


# The calendar


def test_the_entry_is_the_bookings_and_grows_with_its_revision() -> None:
    first = entry_of(confirmed(facts()))
    changed = entry_of(confirmed(facts(message_id=UUID(int=8), revision=3, variant="modified")))
    assert first["METHOD"] == changed["METHOD"] == "PUBLISH"
    (event,), (later,) = first.walk("VEVENT"), changed.walk("VEVENT")
    assert event["UID"] == later["UID"] == str(UUID(int=3))
    assert (event["SEQUENCE"], later["SEQUENCE"]) == (1, 3)
    assert event["STATUS"] == "CONFIRMED"
    assert event["SUMMARY"] == "Casa Pepa: table for 4"
    assert "R-17" in event["DESCRIPTION"]
    assert "ATTENDEE" not in event


def test_the_entry_is_attached_as_a_calendar_of_the_same_method() -> None:
    (attachment,) = confirmed(facts()).iter_attachments()
    assert attachment.get_filename() == "booking.ics"
    assert attachment["Content-Type"].params["method"] == "PUBLISH"


def test_the_organizer_is_the_venue_and_else_the_sender() -> None:
    (with_address,) = entry_of(confirmed(facts(venue_email="house@venue.example"))).walk("VEVENT")
    (without,) = entry_of(confirmed(facts())).walk("VEVENT")
    assert with_address["ORGANIZER"] == "mailto:house@venue.example"
    assert without["ORGANIZER"] == f"mailto:{SENDER}"


@pytest.mark.parametrize(
    ("starts_at", "local"),
    [
        # both 02:30 of the night the clocks go back in Madrid, and the two sides of the hour that is missing in spring
        (datetime(2030, 10, 27, 0, 30, tzinfo=UTC), "Sunday 27 October 2030, 02:30 (Europe/Madrid, UTC+02:00)"),
        (datetime(2030, 10, 27, 1, 30, tzinfo=UTC), "Sunday 27 October 2030, 02:30 (Europe/Madrid, UTC+01:00)"),
        (datetime(2030, 3, 31, 0, 59, tzinfo=UTC), "Sunday 31 March 2030, 01:59 (Europe/Madrid, UTC+01:00)"),
        (datetime(2030, 3, 31, 1, 0, tzinfo=UTC), "Sunday 31 March 2030, 03:00 (Europe/Madrid, UTC+02:00)"),
    ],
)
def test_times_are_right_across_both_clock_changes(starts_at: datetime, local: str) -> None:
    mail = confirmed(facts(starts_at=starts_at, kept_until=starts_at + timedelta(minutes=95)))
    assert local in text_of(mail)
    (event,) = entry_of(mail).walk("VEVENT")
    assert event["DTSTART"].dt == starts_at
    assert event["DTEND"].dt - event["DTSTART"].dt == timedelta(minutes=95)


@pytest.mark.parametrize(
    ("zone", "shown"),
    [("Asia/Kathmandu", "UTC+05:45"), ("America/St_Johns", "UTC-02:30"), ("UTC", "UTC+00:00")],
)
def test_the_offset_is_the_venues(zone: str, shown: str) -> None:
    body = text_of(confirmed(facts(timezone=zone)))
    assert shown in body
    assert f"{START.astimezone(ZoneInfo(zone)):%H:%M} ({zone}" in body


# Whatever people type

_typed = st.text(
    st.one_of(
        st.characters(exclude_categories=["Cs"], exclude_characters="\x00"),
        st.sampled_from('\r\n\t\x0b\x85\u2028\u2029\u202e\ufeff"\\<>@,;:=?()[]. '),
    ),
    max_size=120,
)
_injections = st.sampled_from(
    [
        "\r\nBcc: thief@evil.example",
        "\nBcc: thief@evil.example\n\n<h1>",
        "x\r\n\r\n.\r\nMAIL FROM:<thief@evil.example>\r\n",
        "=?utf-8?q?=0D=0ABcc:_thief=40evil.example?=",
        '"Casa" <thief@evil.example>, ',
        "x, y" * 40,
        "é, thief@evil.example " * 20,
        "\u202egnp.exe",
        "\r",
        "END:VEVENT\r\nBEGIN:VEVENT\r\nSUMMARY:evil",
    ]
)
_name = st.one_of(_typed, _injections, st.builds("".join, st.lists(st.one_of(_typed, _injections), max_size=3)))
_HEADERS = [
    "Message-ID",
    "Date",
    "From",
    "To",
    "Auto-Submitted",
    "Subject",
    "MIME-Version",
    "Content-Type",
]


def _shown(text: str) -> str:
    """What is left of a text when blanks are left out: Python's parser puts blanks between encoded words of names."""
    return re.sub(r"\s", "", text)


_fewer = settings(max_examples=max(1, settings().max_examples // 3))  # making and parsing a mail takes a while


@_fewer
@given(venue=_name, guest=_name, reference=_name.filter(bool), table=_name)
@example(venue="x, y" * 25, guest="", reference="R", table="T")
@example(venue="é," * 50, guest="é," * 50, reference="é," * 50, table="é," * 50)
@example(venue="名" * 50_000, guest="名" * 50_000, reference="名" * 50_000, table="名" * 50_000)
@example(venue="", guest="\r\nBcc: a@b.c", reference="\r\nBcc: a@b.c", table="\r\n")
def test_no_name_can_add_a_header_a_recipient_or_a_part(venue: str, guest: str, reference: str, table: str) -> None:
    of = facts(venue=venue, guest_name=guest, reference=reference, tables=(table,), venue_email="house@venue.example")
    raw = confirmation_mail(of, GUEST, sender=SENDER, shows_tables=True).as_bytes()
    assert max(map(len, raw.split(b"\r\n"))) <= 998
    assert b"\n" not in raw.replace(b"\r\n", b"")
    assert b"\r" not in raw.replace(b"\r\n", b"")
    for policy in (email.policy.default, email.policy.compat32):
        assert sorted(set(email.message_from_bytes(raw, policy=policy).keys())) == sorted([*_HEADERS, "Reply-To"])
    mail = parsed(raw)
    assert mail.keys() == list(dict.fromkeys(mail.keys()))
    assert [address.addr_spec for address in mail["From"].addresses] == [SENDER]
    assert [address.addr_spec for address in mail["To"].addresses] == ["ana@guest.example"]
    assert _shown(mail["Subject"]) == _shown(f"Your table at {line(venue, 45)}")
    assert [part.get_content_type() for part in mail.walk()] == [
        "multipart/mixed",
        "multipart/alternative",
        "text/plain",
        "text/html",
        "text/calendar",
    ]
    (event,) = entry_of(mail).walk("VEVENT")
    assert event["UID"] == str(UUID(int=3))
    assert event["DTSTART"].dt == START
    assert line(venue, 100) == event["LOCATION"]


@_fewer
@given(venue=_name, reference=_name.filter(bool), reason=_name)
def test_nothing_can_add_a_header_to_what_the_venue_gets(venue: str, reference: str, reason: str) -> None:
    of = attention(venue=venue, reference=reference, reason=reason)
    raw = needs_attention_mail(of, GUEST, sender=SENDER).as_bytes()
    mail = parsed(raw)
    assert sorted(mail.keys()) == sorted(_HEADERS)
    assert [address.addr_spec for address in mail["From"].addresses] == [SENDER]


@given(text=_name, most=st.integers(2, 200))
def test_a_line_is_one_line_and_bounded(text: str, most: int) -> None:
    one = line(text, most)
    assert len(one.splitlines()) <= 1
    assert "=?" not in one
    assert len(one) <= 2 * most
    assert line(one, 2 * most) == one


@pytest.mark.parametrize(
    ("typed", "spec"),
    [
        ("ana@guest.example", "ana@guest.example"),
        (" ana@guest.example ", "ana@guest.example"),
        ("ana+tag@guest.example", "ana+tag@guest.example"),
        ("ana@exämple.org", "ana@xn--exmple-cua.org"),
        ("zoë@guest.example", "zoë@guest.example"),
        ("a..b@guest.example", "a..b@guest.example"),
        ("ana", None),
        ("@guest.example", None),
        ("ana@", None),
        ("ana@@guest.example", None),
        ("ana@guest..example", None),
        ("ana@guest.example, thief@evil.example", None),
        ("Ana <ana@guest.example>", None),
        ("ana@guest.example\r\nBcc: thief@evil.example", None),
        ("ana\r\n@guest.example", None),
        ("an a@guest.example", None),
        ('"a b"@guest.example', None),
        ("ana@[127.0.0.1]", None),
        ("ana@-guest.example", None),
        ("a" * 65 + "@guest.example", None),
        ("ana@" + "a." * 130 + "example", None),
        ("ana\u2028x@guest.example", None),
        ("", None),
    ],
)
def test_only_one_plain_address_is_an_address(typed: str, spec: str | None) -> None:
    address = read_address(typed)
    assert (None if address is None else address.spec) == spec


@_fewer
@given(typed=st.one_of(_name, st.emails(), st.builds("{}@{}".format, _name, _name)))
def test_what_passes_for_an_address_is_the_only_recipient(typed: str) -> None:
    address = read_address(typed)
    if address is None:
        return
    raw = confirmation_mail(facts(), address, sender=SENDER, shows_tables=False).as_bytes()
    mail = parsed(raw)
    assert sorted(mail.keys()) == sorted(_HEADERS)
    (to,) = mail["To"].addresses
    assert to.domain == address.domain


@given(typed=st.emails())
def test_ordinary_addresses_pass(typed: str) -> None:
    local = typed.rpartition("@")[0]
    if len(local) <= 64 and len(typed) <= 254:
        assert read_address(typed) is not None


def test_facts_keep_the_guest_out_of_their_repr() -> None:
    assert "ana" not in repr(facts()).lower()
