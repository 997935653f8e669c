"""Mails made of facts: to the guest when the tables are confirmed, to the venue when there are none. Pure.

A mail of one message is the same, byte for byte, each time it is made of the same facts.
"""

from __future__ import annotations

import html
from collections.abc import Sequence
from datetime import UTC, datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP, SMTPUTF8
from email.utils import parseaddr

from maitred.messages.calendar_entry import METHOD, calendar_entry
from maitred.messages.facts import Facts, offset_of
from maitred.messages.mail_address import MailAddress, read_address
from maitred.messages.plain_text import display_name, line
from maitred.model.reason import ReasonCode

_LONGEST_NAME = 100
_LONGEST_IN_HEADER = 45  # with it the longest subject is one line of 78

Details = Sequence[tuple[str, str]]


def confirmation_mail(facts: Facts, to: MailAddress, *, sender: str, shows_tables: bool) -> EmailMessage:
    """To the guest: text, HTML and the calendar entry. `sender` is the setting MAIL_FROM; an answer goes to the venue,
    if it has an address."""
    venue = line(facts.venue, _LONGEST_NAME)
    guest = line(facts.guest_name or "", _LONGEST_NAME)
    modified = facts.variant == "modified"
    happened = (
        f"your booking at {venue} has been changed and is confirmed."
        if modified
        else f"your table at {venue} is confirmed."
    )
    details = _details(facts)
    if shows_tables and facts.tables:
        details.append(("Table" if len(facts.tables) == 1 else "Tables", line(", ".join(facts.tables), _LONGEST_NAME)))
    venue_address = read_address(facts.venue_email or "")
    closing = "The attached entry is for your calendar."
    if venue_address is not None:
        closing += f" Answer this mail to reach {venue}."

    mail = _envelope(facts, to, sender)
    name = line(facts.venue, _LONGEST_IN_HEADER)
    mail["Subject"] = f"Your changed booking at {name}" if modified else f"Your table at {name}"
    if venue_address is not None:
        mail["Reply-To"] = Address(username=venue_address.local, domain=venue_address.domain)
    _fill(mail, f"Hello {guest}," if guest else "Hello,", happened, details, closing)
    mail.add_attachment(
        calendar_entry(facts, venue_address or _sender(sender)[1]),
        maintype="text",
        subtype="calendar",
        filename="booking.ics",
        params={"method": METHOD, "charset": "utf-8"},
    )
    return _with_fixed_boundaries(mail, facts)


def needs_attention_mail(facts: Facts, to: MailAddress, *, sender: str) -> EmailMessage:
    """To the venue: which booking has no tables, and why. Nothing of the guest's."""
    reference = line(facts.reference, _LONGEST_NAME)
    mail = _envelope(facts, to, sender)
    mail["Subject"] = f"Booking {line(facts.reference, _LONGEST_IN_HEADER)} needs attention"
    details = [*_details(facts), ("Reason", f"{_reason_text(facts.reason)} ({line(facts.reason or '', 60)})")]
    _fill(
        mail,
        "Hello,",
        f"no table could be assigned to booking {reference}.",
        details,
        "It stays pending: assign tables by hand, or tell the guest.",
    )
    return _with_fixed_boundaries(mail, facts)


def message_id(facts: Facts, sender: str) -> str:
    """The Message-ID: the same for each delivery of one message, so that a repeated one can be recognised."""
    return f"<{facts.message_id.hex}@{_sender(sender)[1].domain}>"


def sender_address(sender: str) -> MailAddress:
    """The address in the setting MAIL_FROM, without the name."""
    return _sender(sender)[1]


def _sender(sender: str) -> tuple[str, MailAddress]:
    name, spec = parseaddr(sender)
    address = read_address(spec)
    if address is None:
        raise ValueError("MAIL_FROM is not an address")
    return name, address


def _envelope(facts: Facts, to: MailAddress, sender: str) -> EmailMessage:
    name, address = _sender(sender)
    shown = display_name(name or facts.venue, _LONGEST_IN_HEADER)
    mail = EmailMessage(policy=SMTPUTF8 if to.needs_smtputf8 else SMTP)
    mail["Message-ID"] = message_id(facts, sender)
    mail["Date"] = facts.written_at.astimezone(UTC)
    mail["From"] = Address(display_name=shown, username=address.local, domain=address.domain)
    mail["To"] = Address(username=to.local, domain=to.domain)
    mail["Auto-Submitted"] = "auto-generated"
    return mail


def _details(facts: Facts) -> list[tuple[str, str]]:
    return [
        ("When", _when(facts.local_start, facts.timezone)),
        ("Party of", str(facts.party)),
        ("Reference", line(facts.reference, _LONGEST_NAME)),
    ]


def _when(local: datetime, timezone: str) -> str:
    return f"{local:%A} {local.day} {local:%B %Y}, {local:%H:%M} ({timezone}, UTC{offset_of(local)})"


def _reason_text(reason: str | None) -> str:
    try:
        return ReasonCode(reason or "").text
    except ValueError:
        return ReasonCode.UNKNOWN.text


def _fill(mail: EmailMessage, greeting: str, happened: str, details: Details, closing: str) -> None:
    width = max(len(label) for label, _ in details) + 1
    rows = "\n".join(f"{label + ':':<{width}} {value}" for label, value in details)
    mail.set_content(f"{greeting}\n\n{happened}\n\n{rows}\n\n{closing}\n", cte="quoted-printable")
    cells = "".join(f"<tr><td>{html.escape(label)}</td><td>{html.escape(value)}</td></tr>" for label, value in details)
    body = f"<p>{html.escape(greeting)}</p><p>{html.escape(happened)}</p><table>{cells}</table>"
    mail.add_alternative(
        f'<!DOCTYPE html>\n<html lang="en"><body>{body}<p>{html.escape(closing)}</p></body></html>\n',
        subtype="html",
        cte="quoted-printable",
    )


def _with_fixed_boundaries(mail: EmailMessage, facts: Facts) -> EmailMessage:
    multiparts = (part for part in mail.walk() if part.is_multipart())
    for place, part in enumerate(multiparts):
        part.set_boundary(f"={facts.message_id.hex}={place}")
    return mail
