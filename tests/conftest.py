"""Properties are tried on the same examples each time, unless `--hypothesis-profile` asks for others."""

from __future__ import annotations

import pytest
from hypothesis import settings

from tests.examples import SAME_EACH_TIME


def pytest_configure(config: pytest.Config) -> None:
    """Choose the profile before any test module is read."""
    settings.load_profile(config.getoption("--hypothesis-profile", default=None) or SAME_EACH_TIME)
