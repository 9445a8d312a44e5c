"""Properties are tried on the same examples each time, unless `--hypothesis-profile` asks for others."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest
import structlog
from hypothesis import settings

from tests.examples import SAME_EACH_TIME


def pytest_configure(config: pytest.Config) -> None:
    """Choose the profile before any test module is read."""
    settings.load_profile(config.getoption("--hypothesis-profile", default=None) or SAME_EACH_TIME)


@pytest.fixture(autouse=True)
def logs_as_before() -> Iterator[None]:
    """A service that configures the logs of its process changes no later test."""
    yield
    if structlog.is_configured():
        structlog.reset_defaults()
        logging.getLogger().handlers.clear()
        logging.getLogger().setLevel(logging.WARNING)
