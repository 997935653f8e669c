"""Mail addresses as guests and venues typed them."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

LONGEST_ADDRESS = 254  # RFC 5321, with the erratum on RFC 3696
_LONGEST_LOCAL = 64
_LOCAL = re.compile(r"[^\s\x00-\x20\x7f-\xa0()<>\[\]:;@\\,\"]+")
_LABEL = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?")


@dataclass(frozen=True, slots=True)
class MailAddress:
    """One address. The domain is in its ASCII form; a local part beyond ASCII needs a server that knows SMTPUTF8."""

    local: str = field(repr=False)
    domain: str = field(repr=False)

    @property
    def spec(self) -> str:
        return f"{self.local}@{self.domain}"

    @property
    def needs_smtputf8(self) -> bool:
        return not self.local.isascii()


def read_address(text: str) -> MailAddress | None:
    """The address, or None for what is not one plain address: a list, one with a name, a quoted local part."""
    local, at, domain = text.strip(" ").rpartition("@")
    if not at or not _LOCAL.fullmatch(local) or not local.isprintable() or len(local) > _LONGEST_LOCAL:
        return None
    try:
        ascii_domain = domain.encode("idna").decode("ascii") if domain else ""
    except UnicodeError:
        return None
    if not all(_LABEL.fullmatch(label) for label in ascii_domain.split(".")):
        return None
    address = MailAddress(local, ascii_domain)
    return address if len(address.spec.encode()) <= LONGEST_ADDRESS else None
