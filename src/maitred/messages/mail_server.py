"""The mail server: one connection for the mails of one pass, and what its answers mean."""

from __future__ import annotations

import asyncio
import re
from email.message import EmailMessage

from aiosmtplib import (
    SMTP,
    SMTPAuthenticationError,
    SMTPException,
    SMTPNotSupported,
    SMTPRecipientsRefused,
    SMTPResponseException,
    SMTPSenderRefused,
    SMTPTimeoutError,
)

from maitred.messages.mail import sender_address
from maitred.messages.mail_address import MailAddress
from maitred.messages.outcome import Away, Failed, Outcome, Refused, Sent, is_about_tls
from maitred.settings import Settings

NOT_CONFIGURED = "not_configured"

_SHUTTING_DOWN = 421
_TOO_LARGE = 552
_ENHANCED = re.compile(r"\s*([245]\.\d{1,3}\.\d{1,3})\b")


class MailServer:
    """A connection that is opened by the first mail. Close it at the end, also after errors. Not for several tasks."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._connection: SMTP | None = None

    async def connect(self) -> Away | None:
        """Opens the connection, if it isn't open; says why it can't be. Ends within the settings' limit for a mail."""
        if self._connection is not None:
            return None
        settings = self._settings
        if settings.smtp_host is None or settings.mail_from is None:
            return Away(NOT_CONFIGURED)
        password = settings.smtp_password
        connection = SMTP(
            hostname=settings.smtp_host,
            port=settings.smtp_port,
            username=settings.smtp_username,
            password=password.get_secret_value() if password is not None and settings.smtp_username else None,
            local_hostname=sender_address(settings.mail_from).domain,
            timeout=settings.smtp_timeout_s,
            use_tls=settings.smtp_tls == "tls",
            start_tls=settings.smtp_tls == "starttls",  # False, not None: None would go on without it
        )
        try:
            async with asyncio.timeout(settings.mail_timeout_s):
                await connection.connect()
        except (SMTPException, OSError, ValueError) as error:  # TimeoutError is an OSError
            connection.close()
            return Away(_why_away(error))
        self._connection = connection
        return None

    async def send(self, mail: EmailMessage, to: MailAddress) -> Outcome:
        """Hands one mail over, on the open connection. Away means that the connection is closed.

        Ends within the settings' limit for a mail. Sent is returned at once after the server's answer.
        """
        connection, sender = self._connection, self._settings.mail_from
        if connection is None or sender is None:
            return Away(NOT_CONFIGURED)
        content = mail.as_bytes()
        options = ["SMTPUTF8"] if to.needs_smtputf8 else []
        try:
            async with asyncio.timeout(self._settings.mail_timeout_s):
                await connection.sendmail(sender_address(sender).spec, [to.spec], content, mail_options=options)
        except (SMTPException, OSError, ValueError) as error:
            outcome = judged(error)
            if isinstance(outcome, Away):
                self.abandon()
            return outcome
        return Sent()

    async def close(self) -> None:
        """Says goodbye, if anybody is there, and closes the connection."""
        connection, self._connection = self._connection, None
        if connection is None:
            return
        try:
            async with asyncio.timeout(1.0):
                await connection.quit()
        except (SMTPException, OSError):
            pass  # all mails are settled: how it ends is the server's affair
        finally:
            connection.close()

    def abandon(self) -> None:
        """Closes the connection without a word."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def judged(error: Exception) -> Outcome:
    """What an error while a mail was handed over says of the mail and of the server. Pure."""
    if isinstance(error, SMTPRecipientsRefused):
        return _judged_code(error.recipients[0].code, error.recipients[0].message)
    if isinstance(error, SMTPSenderRefused) and error.code != _TOO_LARGE:
        return Away(_named("sender_refused", error.code, error.message))  # all mails have the same sender
    if isinstance(error, SMTPResponseException):
        return _judged_code(error.code, error.message)
    if isinstance(error, SMTPNotSupported):
        return Refused("address_needs_smtputf8")
    if isinstance(error, (TimeoutError, SMTPTimeoutError)):
        return Away("timeout", counts=True)
    if isinstance(error, (SMTPException, OSError)):
        return Away("connection_broken", counts=True)
    return Refused("address_invalid")  # ValueError: the library won't put it on the line


def _judged_code(code: int, message: str) -> Outcome:
    if code == _SHUTTING_DOWN:
        return Away(_named("smtp", code, message), counts=True)
    if code >= 500:
        return Refused(_named("smtp", code, message))
    return Failed(_named("smtp", code, message))


def _why_away(error: Exception) -> str:
    if isinstance(error, SMTPAuthenticationError):
        return _named("login_refused", error.code, error.message)
    if isinstance(error, SMTPResponseException):
        return _named("smtp", error.code, error.message)
    if isinstance(error, TimeoutError):
        return "timeout"
    if is_about_tls(error):
        return "tls_failed"
    if isinstance(error, OSError):
        return "connect_failed"
    return "not_supported"  # no STARTTLS, or no way to log in that both know


def _named(what: str, code: int, message: str) -> str:
    """Our word, the code and the enhanced code: numbers only, because the text may repeat the address."""
    enhanced = _ENHANCED.match(message)
    return f"{what}_{code}" + (f" {enhanced[1]}" if enhanced else "")
