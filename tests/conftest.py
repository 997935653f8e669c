"""What all tests share: how hard Hypothesis looks.

MAITRED_HYPOTHESIS_PROFILE=long makes it look longer. In CI the examples are the same every time, so that a red run
says something about the change and not about luck; the searching is done by whoever runs the tests by hand.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
import structlog
from hypothesis import HealthCheck, settings

from tests.database_fixtures import (  # noqa: F401  # fixtures are found by their name in this module
    database,
    database_url,
    empty_database_url,
    server_url,
    template_database,
)
from tests.event_validation import events_follow_the_registry  # noqa: F401  # the same

_SLOW_START = (HealthCheck.too_slow,)  # the first examples pay for imports, and shared machines stall

settings.register_profile(
    "default",
    max_examples=300,
    deadline=None,
    derandomize="CI" in os.environ,
    suppress_health_check=_SLOW_START,
)
settings.register_profile(
    "long",
    max_examples=5_000,
    deadline=None,
    derandomize=False,
    suppress_health_check=_SLOW_START,
)
settings.load_profile(os.environ.get("MAITRED_HYPOTHESIS_PROFILE", "default"))


@pytest.fixture(autouse=True)
def log_lines_of_its_own() -> Iterator[None]:
    """A command that runs inside a test says where its log lines go; the next test's don't go there too."""
    yield
    structlog.reset_defaults()


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "foreign_events: puts events into the table that the registry doesn't describe")
