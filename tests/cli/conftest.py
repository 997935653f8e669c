"""What the tests of the command line share."""

from __future__ import annotations

import pytest


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "slow: waits for real time to pass, more than ten seconds of it")
