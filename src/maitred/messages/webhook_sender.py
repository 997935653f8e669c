"""Sending a webhook to an address that somebody else chose: checked, bounded in time and size, never redirected."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Mapping

import httpx

from maitred import __version__
from maitred.messages.network_address import IpAddress, Resolve, Resolver, is_public
from maitred.messages.outcome import Failed, Refused, Sent, Verdict, is_about_tls
from maitred.settings import Settings

GONE = "http_410"

_MOST_ADDRESSES = 4


class WebhookSender:
    """Posts to webhook addresses. `resolve` answers a name with its addresses."""

    def __init__(self, settings: Settings, *, resolve: Resolve | None = None) -> None:
        self._allow_private = settings.webhook_allow_private
        self._total_s = settings.webhook_total_s
        self._step_s = settings.webhook_timeout_s
        self._resolve = resolve or Resolver()
        self._tls: ssl.SSLContext | None = None
        # at INFO it names each address that it writes to, and such an address may hold a secret
        logging.getLogger("httpx").setLevel(logging.WARNING)
        logging.getLogger("httpcore").setLevel(logging.WARNING)

    async def post(self, url: str, body: str, headers: Mapping[str, str]) -> Verdict:
        """Posts the body once. 2xx is sent; an address that must not be written to is refused, without a packet to it;
        anything else failed.

        Ends within the time limits of the settings. The name is looked up once, all its addresses are checked, and
        the connection goes to one that was checked: a second answer of the name server changes nothing.
        """
        try:
            target = httpx.URL(url)
        except httpx.InvalidURL:
            return Refused("url_invalid")
        port_exists = target.port is None or 0 < target.port < 65_536
        if not target.host or not port_exists or target.scheme not in {"http", "https"}:
            return Refused("url_invalid")
        if target.scheme != "https" and not self._allow_private:
            return Refused("url_not_https")
        try:
            async with asyncio.timeout(self._total_s):
                return await self._post(target, body, headers)
        except TimeoutError:
            return Failed("timeout")

    def close(self) -> None:
        """Gives the threads back."""
        if isinstance(self._resolve, Resolver):
            self._resolve.close()

    async def _post(self, target: httpx.URL, body: str, headers: Mapping[str, str]) -> Verdict:
        port = target.port or (443 if target.scheme == "https" else 80)
        try:
            addresses = await self._resolve(target.raw_host.decode("ascii"), port)
        except (OSError, UnicodeError, ValueError):
            return Failed("name_not_found")
        if not addresses:
            return Failed("name_not_found")
        if not self._allow_private and not all(is_public(address) for address in addresses):
            return Refused("address_not_public")
        if self._tls is None:  # takes some tens of milliseconds to make: once, and not on the loop
            self._tls = await asyncio.to_thread(httpx.create_ssl_context)
        outcome: Verdict = Failed("connect_failed")
        for address in addresses[:_MOST_ADDRESSES]:
            try:
                return await self._post_to(address, target, body, headers, self._tls)
            except (httpx.ConnectError, httpx.ConnectTimeout) as error:  # nothing was sent: the next one may be up
                outcome = Failed("tls_failed" if is_about_tls(error) else "connect_failed")
            except httpx.TimeoutException:
                return Failed("timeout")
            except httpx.HTTPError:
                return Failed("connection_broken")
        return outcome

    async def _post_to(
        self, address: IpAddress, target: httpx.URL, body: str, headers: Mapping[str, str], tls: ssl.SSLContext
    ) -> Verdict:
        name = target.raw_host.decode("ascii").rstrip(".")
        # A client for each: a connection kept for reuse is known by its address alone, and could have been checked
        # for another name. No proxy from the environment: it would look the name up again.
        async with httpx.AsyncClient(
            verify=tls, trust_env=False, follow_redirects=False, timeout=httpx.Timeout(self._step_s)
        ) as client:
            request = client.build_request(
                "POST",
                target.copy_with(host=str(address)),
                content=body.encode(),
                headers={
                    **headers,
                    "Host": target.netloc.decode("ascii"),
                    "Content-Type": "application/json",
                    "User-Agent": f"maitred/{__version__}",
                    "Accept-Encoding": "identity",
                },
                extensions={"sni_hostname": name},
            )
            response = await client.send(request, stream=True)
            await response.aclose()  # the status decides: of the body, however long, nothing is read
            return judged(response.status_code)


def judged(status: int) -> Verdict:
    """What a status says of the delivery."""
    if 200 <= status < 300:
        return Sent()
    return Refused(GONE) if status == 410 else Failed(f"http_{status}")
