"""What holds for all tests.

Contract
- Properties are tried on the same examples each time, unless `--hypothesis-profile` asks for others.
- A process of tests computes on one thread, because there are as many processes as cores; two threads each make small
  networks several times slower.
- A service that configures the logs of its process changes no later test.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator

import pytest
import structlog
from hypothesis import settings

from tests.examples import SAME_EACH_TIME

for library in ("OMP", "OPENBLAS", "MKL", "NUMBA"):
    os.environ.setdefault(f"{library}_NUM_THREADS", "1")


def pytest_configure(config: pytest.Config) -> None:
    """Choose the profile before any test module is read."""
    settings.load_profile(config.getoption("--hypothesis-profile", default=None) or SAME_EACH_TIME)


@pytest.fixture(autouse=True)
def logs_as_before() -> Iterator[None]:
    """The next test finds the logs as this one did."""
    yield
    if structlog.is_configured():
        structlog.reset_defaults()
        logging.getLogger().handlers.clear()
        logging.getLogger().setLevel(logging.WARNING)
