"""A real mail server and a real web server on loopback, which do as a test tells them."""

# ruff: noqa: ARG002, N802 - aiosmtpd calls its hooks by these names, with arguments that not all of them need

from __future__ import annotations

import asyncio
import email
import email.policy
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email.message import EmailMessage
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, Session

from maitred.settings import Settings

OK = "250 OK"
HANG = "hang"
BREAK_OFF = "break off"


def parsed(content: bytes) -> EmailMessage:
    """The mail as a mail program reads it."""
    message = email.message_from_bytes(content, policy=email.policy.default)
    assert isinstance(message, EmailMessage)
    return message


def as_text(part: EmailMessage) -> str:
    content = part.get_content()
    assert isinstance(content, str)
    return content


@dataclass(frozen=True)
class Received:
    sender: str
    recipient: str
    mail: EmailMessage
    raw: bytes


class MailHost:
    """What the server got and how it answers: a line of SMTP, HANG, or BREAK_OFF, for each command."""

    def __init__(self) -> None:
        self.received: list[Received] = []
        self.on_mail = OK
        self.on_rcpt: Callable[[str], str] = lambda _: OK
        self.on_data = OK
        self.connections = 0
        self.port = 0
        self.taken = asyncio.Event()

    @property
    def recipients(self) -> list[str]:
        return [each.recipient for each in self.received]

    async def handle_EHLO(
        self, server: SMTP, session: Session, envelope: Envelope, hostname: str, responses: list[str]
    ) -> list[str]:
        session.host_name = hostname
        self.connections += 1
        return responses

    async def handle_MAIL(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        answer = await self._answer(server, self.on_mail)
        if answer == OK:
            envelope.mail_from = address
        return answer

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        answer = await self._answer(server, self.on_rcpt(address))
        if answer == OK:
            envelope.rcpt_tos.append(address)
        return answer

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        content = envelope.original_content
        assert content is not None
        if self.on_data == OK:
            received = Received(str(envelope.mail_from), envelope.rcpt_tos[0], parsed(content), content)
            self.received.append(received)
            self.taken.set()
        return await self._answer(server, self.on_data)

    async def _answer(self, server: SMTP, answer: str) -> str:
        if answer == HANG:
            await asyncio.Event().wait()
        if answer == BREAK_OFF:
            assert isinstance(server.transport, asyncio.Transport)
            server.transport.abort()
        return answer


@asynccontextmanager
async def mail_host(host: MailHost | None = None, *, tls: ssl.SSLContext | None = None) -> AsyncIterator[MailHost]:
    """A mail server. With `tls` it offers STARTTLS, and lets "waiter" in with the password "secret"."""
    host = host or MailHost()
    loop = asyncio.get_running_loop()

    def protocol() -> SMTP:
        return SMTP(
            host,
            enable_SMTPUTF8=True,
            hostname="mail.example.org",
            loop=loop,
            tls_context=tls,
            require_starttls=tls is not None,
            auth_required=tls is not None,
            authenticator=_let_in,
        )

    server = await loop.create_server(protocol, "127.0.0.1", host.port)
    host.port = server.sockets[0].getsockname()[1]
    try:
        yield host
    finally:
        server.close()


def _let_in(server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any) -> AuthResult:
    return AuthResult(success=(data.login, data.password) == (b"waiter", b"secret"), handled=False)


@asynccontextmanager
async def silent_server() -> AsyncIterator[int]:
    """A server that takes connections and never says a word; its port."""
    over = asyncio.Event()

    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await over.wait()
        writer.close()

    server = await asyncio.start_server(say_nothing, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        over.set()
        server.close()


@dataclass(frozen=True)
class Hook:
    path: str
    headers: dict[str, str]
    body: str


@dataclass
class HookHost:
    """What the web server got and how it answers. `answer` gets the path; its bytes are sent as they are."""

    port: int = 0
    received: list[Hook] = field(default_factory=list)
    answer: Callable[[str], Awaitable[bytes]] | None = None
    taken: asyncio.Event = field(default_factory=asyncio.Event)

    def url(self, path: str = "/hook", host: str = "127.0.0.1", scheme: str = "http") -> str:
        return f"{scheme}://{host}:{self.port}{path}"


def status(code: int, *lines: str) -> Callable[[str], Awaitable[bytes]]:
    """An answer with this status and these header lines."""

    async def answer(_: str) -> bytes:
        return "\r\n".join([f"HTTP/1.1 {code} X", "Content-Length: 0", *lines, "", ""]).encode()

    return answer


async def hang(_: str) -> bytes:
    await asyncio.Event().wait()
    raise AssertionError


@asynccontextmanager
async def hook_host(*, tls: ssl.SSLContext | None = None) -> AsyncIterator[HookHost]:
    """A web server that records requests."""
    host = HookHost()
    tasks: set[asyncio.Task[Any]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            first, *lines = head.strip().split("\r\n")
            headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
            body = await reader.readexactly(int(headers.get("content-length", "0")))
            path = first.split(" ")[1]
            host.received.append(Hook(path, headers, body.decode()))
            host.taken.set()
            writer.write(await (host.answer or status(204))(path))
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            tasks.discard(task)
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    host.port = server.sockets[0].getsockname()[1]
    try:
        yield host
    finally:
        for task in tasks:
            task.cancel()
        server.close()


def settings_for(host: MailHost | None = None, **more: Any) -> Settings:
    """Settings that deliver to loopback, and wait for nothing for long."""
    mail = {} if host is None else {"smtp_host": "127.0.0.1", "smtp_port": host.port}
    known: dict[str, Any] = {
        "smtp_tls": "none",
        "mail_from": "tables@maitred.example",
        "smtp_timeout_s": 5,
        "mail_timeout_s": 8,
        "mail_pause_s": 60,
        "webhook_allow_private": True,
        "messages_poll_s": 0.05,
    }
    return Settings(**{**known, **mail, **more})
