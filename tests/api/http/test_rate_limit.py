"""How often callers may ask."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.http.rate_limit import LIMITS_VARIABLE, RateLimiter, make_limits_file, neighbourhood


def passed(limiter: RateLimiter, now_s: float, count: int = 100) -> int:
    return sum(limiter.wait_s("a", now_s) == 0.0 for _ in range(count))


def test_so_many_pass_at_once_and_so_many_a_second() -> None:
    limiter = RateLimiter(10.0, 5)
    assert passed(limiter, 1000.0) == 5
    assert limiter.wait_s("a", 1000.0) == pytest.approx(0.1)
    assert passed(limiter, 1000.25) == 2
    assert passed(limiter, 2000.0) == 5


def test_callers_do_not_share() -> None:
    limiter = RateLimiter(10.0, 5)
    assert passed(limiter, 1000.0) == 5
    assert limiter.wait_s("b", 1000.0) == 0.0


def test_a_clock_that_goes_back_blocks_nobody() -> None:
    limiter = RateLimiter(10.0, 5)
    assert passed(limiter, 1e6) == 5
    assert limiter.wait_s("a", 1.0) == 0.0


@given(st.lists(st.floats(0.0, 2.0), min_size=1, max_size=200), st.floats(0.1, 100.0), st.integers(1, 20))
def test_no_span_lets_more_pass_than_burst_and_rate(steps_s: list[float], rate: float, burst: int) -> None:
    limiter, now_s, count = RateLimiter(rate, burst), 1000.0, 0
    for step_s in steps_s:
        now_s += step_s
        count += limiter.wait_s("a", now_s) == 0.0
    assert count <= burst + (now_s - 1000.0) * rate + 1e-3


def test_processes_share_one_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_limits_file(tmp_path / "limits")
    monkeypatch.setenv(LIMITS_VARIABLE, str(tmp_path / "limits"))
    first, second = RateLimiter(10.0, 6), RateLimiter(10.0, 6)
    assert passed(first, 1000.0, 3) == 3
    assert passed(second, 1000.0) == 3
    assert RateLimiter(10.0, 6, "wrong keys").wait_s("a", 1000.0) == 0.0


@pytest.mark.parametrize(
    ("address", "counted_as"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff::", "2001:db8:1:2::/64"),
        ("testclient", "testclient"),
    ],
)
def test_a_subscriber_is_counted_as_one(address: str, counted_as: str) -> None:
    assert neighbourhood(address) == counted_as
