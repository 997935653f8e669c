"""Where a webhook may go, and that it goes there and nowhere else."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maitred.messages import webhook_sender
from maitred.messages.network_address import IpAddress, is_public
from maitred.messages.outcome import Failed, Refused, Sent, Verdict
from maitred.messages.webhook_sender import WebhookSender
from tests.messages import tls
from tests.messages.servers import hang, hook_host, settings_for, silent_server, status

NOT_PUBLIC = [
    "0.0.0.0",  # noqa: S104 - an address to be refused, not one to listen on
    "0.1.2.3",
    "10.0.0.1",
    "100.64.0.1",
    "100.127.255.255",
    "127.0.0.1",
    "127.255.255.254",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.8",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.1.1",
    "198.18.0.1",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "224.0.1.1",
    "239.255.255.250",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::127.0.0.1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::ffff:169.254.169.254",
    "64:ff9b::7f00:1",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::1",
    "100::1",
    "2001::1",
    "2001:2::1",
    "2001:10::1",
    "2001:db8::1",
    "2002:7f00:1::1",
    "3fff::1",
    "5f00::1",
    "fc00::1",
    "fd12:3456::1",
    "fe80::1",
    "fe80::1%lo",
    "fec0::1",
    "ff02::1",
    "4000::1",
]
PUBLIC = [
    "1.1.1.1",
    "8.8.8.8",
    "100.63.255.255",
    "100.128.0.0",
    "172.15.255.255",
    "172.32.0.0",
    "192.167.255.255",
    "223.255.255.255",
    "2606:4700:4700::1111",
    "2a00:1450:4001::1",
    "::ffff:8.8.8.8",
    "64:ff9b::808:808",
]


def answering(*answers: list[str]) -> tuple[Callable[[str, int], Awaitable[list[IpAddress]]], list[str]]:
    """A name server that gives these answers, one after the other and the last one for ever, and what it was asked."""
    asked: list[str] = []

    async def resolve(host: str, port: int) -> list[IpAddress]:
        asked.append(host)
        return [ip_address(each) for each in answers[min(len(asked), len(answers)) - 1]]

    return resolve, asked


async def post(sender: WebhookSender, url: str) -> Verdict:
    try:
        return await sender.post(url, '{"type":"test"}', {"webhook-id": "1"})
    finally:
        sender.close()


def strict(**more: Any) -> WebhookSender:
    resolve = more.pop("resolve", None)
    return WebhookSender(settings_for(webhook_allow_private=False, **more), resolve=resolve)


def lenient(**more: Any) -> WebhookSender:
    resolve = more.pop("resolve", None)
    return WebhookSender(settings_for(**more), resolve=resolve)


@pytest.mark.parametrize("address", NOT_PUBLIC)
def test_no_special_address_is_public(address: str) -> None:
    assert not is_public(ip_address(address))


@pytest.mark.parametrize("address", PUBLIC)
def test_addresses_of_the_internet_are_public(address: str) -> None:
    assert is_public(ip_address(address))


@given(address=st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6)))
def test_what_python_calls_special_is_not_public(address: IPv4Address | IPv6Address) -> None:
    if isinstance(address, IPv6Address) and (address.ipv4_mapped or address in IPv6Network("64:ff9b::/96")):
        return  # stands for a v4 address, and is judged as that
    special = (
        address.is_private,
        address.is_loopback,
        address.is_link_local,
        address.is_multicast,
        address.is_reserved,
        address.is_unspecified,
    )
    if any(special):
        assert not is_public(address)


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "127.1", "2130706433", "0x7f000001", "localhost", "LOCALHOST", "[::1]"],
)
async def test_loopback_is_refused_under_all_its_names(host: str) -> None:
    async with hook_host(tls=tls.server_context()) as server:
        assert await post(strict(), server.url(host=host, scheme="https")) == Refused("address_not_public")
    assert server.received == []


@pytest.mark.parametrize(
    "host", ["0177.0.0.1", "localhost.", "127.0.0.1.", "[::ffff:127.0.0.1]", "[::1%25lo]", "①27.0.0.1"]
)
async def test_odd_names_of_loopback_lead_nowhere(host: str) -> None:
    async with hook_host(tls=tls.server_context()) as server:
        assert await post(strict(), server.url(host=host, scheme="https")) != Sent()
    assert server.received == []


@pytest.mark.parametrize("address", ["::ffff:127.0.0.1", "fe80::1", "fd00::1", "169.254.169.254", "10.1.2.3"])
async def test_an_address_that_is_not_public_is_refused_without_a_connection(address: str) -> None:
    resolve, _ = answering([address])
    assert await post(strict(resolve=resolve), "https://hooks.maitred.test/") == Refused("address_not_public")


async def test_one_address_that_is_not_public_among_several_is_enough() -> None:
    resolve, _ = answering(["8.8.8.8", "127.0.0.1"])
    assert await post(strict(resolve=resolve), "https://hooks.maitred.test/") == Refused("address_not_public")


async def test_the_connection_goes_to_the_address_that_was_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    checked: list[IpAddress] = []

    def let_all_pass(address: IpAddress) -> bool:
        checked.append(address)
        return True

    monkeypatch.setattr(webhook_sender, "is_public", let_all_pass)
    monkeypatch.setenv("SSL_CERT_FILE", str(tls.AUTHORITY))
    resolve, asked = answering(["127.0.0.2"], ["127.0.0.1"])
    async with hook_host(tls=tls.server_context()) as inside:
        # localhost is 127.0.0.1 for the system, and for the name server too when it is asked again
        url = inside.url(host="localhost", scheme="https")
        assert await post(strict(resolve=resolve), url) == Failed("connect_failed")
        assert inside.received == []
        assert asked == ["localhost"]
        assert checked == [ip_address("127.0.0.2")]
        assert await post(strict(resolve=resolve), url) == Sent()  # it would have answered


@pytest.mark.parametrize("url", ["http://hooks.maitred.test/", "HTTP://hooks.maitred.test/"])
async def test_without_tls_nothing_is_sent(url: str) -> None:
    resolve, asked = answering(["8.8.8.8"])
    assert await post(strict(resolve=resolve), url) == Refused("url_not_https")
    assert asked == []


@pytest.mark.parametrize(
    "url", ["", "hooks", "ftp://h/", "file:///etc/passwd", "https://", "https://[::1", "https://h:99999/"]
)
async def test_what_is_no_web_address_is_refused(url: str) -> None:
    assert await post(strict(), url) == Refused("url_invalid")


async def test_a_name_that_nobody_knows_is_tried_again() -> None:
    async def nobody(host: str, port: int) -> list[IpAddress]:
        raise OSError("no such name")

    assert await post(strict(resolve=nobody), "https://hooks.maitred.test/") == Failed("name_not_found")


async def test_host_and_certificate_go_by_the_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(tls.AUTHORITY))
    resolve, _ = answering(["127.0.0.1"])
    context, names = tls.server_context(), []
    context.sni_callback = lambda _, name, __: names.append(name)
    async with hook_host(tls=context) as server:
        url = server.url("/in?a=1", host=tls.NAME, scheme="https")
        assert await post(lenient(resolve=resolve), url) == Sent()
    (hook,) = server.received
    assert (hook.path, hook.headers["host"]) == ("/in?a=1", f"{tls.NAME}:{server.port}")
    assert hook.headers["content-type"] == "application/json"
    assert hook.body == '{"type":"test"}'
    assert names == [tls.NAME]


@pytest.mark.parametrize("name", ["other.test", "127.0.0.1"])
async def test_a_certificate_for_another_name_is_not_enough(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(tls.AUTHORITY))
    resolve, _ = answering(["127.0.0.1"])
    async with hook_host(tls=tls.server_context()) as server:
        assert await post(lenient(resolve=resolve), server.url(host=name, scheme="https")) == Failed("tls_failed")
    assert server.received == []


async def test_a_certificate_of_an_unknown_authority_is_not_enough() -> None:
    async with hook_host(tls=tls.server_context()) as server:
        assert await post(lenient(), server.url(host="localhost", scheme="https")) == Failed("tls_failed")
    assert server.received == []


async def test_an_address_that_is_down_makes_way_for_the_next() -> None:
    resolve, _ = answering(["127.0.0.3", "127.0.0.1"])
    async with hook_host() as server:
        assert await post(lenient(resolve=resolve), server.url(host="hooks.maitred.test")) == Sent()


@pytest.mark.parametrize(
    ("code", "verdict"),
    [
        (200, Sent()),
        (202, Sent()),
        (204, Sent()),
        (301, Failed("http_301")),
        (302, Failed("http_302")),
        (307, Failed("http_307")),
        (400, Failed("http_400")),
        (404, Failed("http_404")),
        (410, Refused("http_410")),
        (429, Failed("http_429")),
        (500, Failed("http_500")),
        (503, Failed("http_503")),
    ],
)
async def test_only_a_yes_is_a_yes_and_redirects_are_not_followed(code: int, verdict: Verdict) -> None:
    async with hook_host() as server:
        server.answer = status(code, f"Location: {server.url('/elsewhere')}")
        assert await post(lenient(), server.url()) == verdict
    assert [hook.path for hook in server.received] == ["/hook"]


async def test_a_server_that_says_nothing_is_given_up() -> None:
    async with silent_server() as port:
        assert await post(lenient(webhook_timeout_s=0.2), f"http://127.0.0.1:{port}/") == Failed("timeout")


async def test_a_server_that_takes_the_request_and_hangs_is_given_up() -> None:
    async with hook_host() as server:
        server.answer = hang
        assert await post(lenient(webhook_timeout_s=0.2), server.url()) == Failed("timeout")


async def test_a_server_that_answers_a_byte_at_a_time_is_given_up_by_the_whole_limit() -> None:
    async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            writer.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
            while not writer.is_closing():
                writer.write(b"x")
                await writer.drain()
                await asyncio.sleep(0.02)
        except ConnectionError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        verdict = await post(lenient(webhook_timeout_s=5, webhook_total_s=0.5), f"http://127.0.0.1:{port}/")
    assert verdict == Failed("timeout")


async def test_a_body_without_an_end_does_not_matter() -> None:
    async def endless(_: str) -> bytes:
        return b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n" + b"x" * 1_000_000

    async with hook_host() as server:
        server.answer = endless
        assert await post(lenient(), server.url()) == Sent()


async def test_headers_without_an_end_are_a_failure() -> None:
    async def endless(_: str) -> bytes:
        return b"HTTP/1.1 200 OK\r\n" + b"X-Long: " + b"x" * 1_000_000

    async with hook_host() as server:
        server.answer = endless
        assert await post(lenient(), server.url()) == Failed("connection_broken")


async def test_a_server_that_hangs_up_is_a_failure() -> None:
    async def nothing(_: str) -> bytes:
        return b""

    async with hook_host() as server:
        server.answer = nothing
        assert await post(lenient(), server.url()) == Failed("connection_broken")


async def test_no_proxy_of_the_environment_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    async with hook_host() as server:
        assert await post(lenient(), server.url()) == Sent()


async def test_cancelling_passes_through() -> None:
    async with hook_host() as server:
        server.answer = hang
        task = asyncio.create_task(post(lenient(), server.url()))
        await asyncio.wait_for(server.taken.wait(), 5)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
