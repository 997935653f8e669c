"""An address may hold a secret, so no log line holds an address, however much is logged."""

from __future__ import annotations

import logging

import pytest

from maitred.messages.outcome import Sent
from maitred.messages.webhook_sender import WebhookSender
from tests.messages.servers import hook_host, settings_for


async def test_the_address_of_a_webhook_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    sender = WebhookSender(settings_for(webhook_allow_private=True))
    async with hook_host() as host:
        outcome = await sender.post(f"http://127.0.0.1:{host.port}/hook?token=secretword", "{}", {})
    sender.close()
    assert isinstance(outcome, Sent)
    assert "secretword" not in caplog.text
