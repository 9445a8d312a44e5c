"""Backtests over HTTP: queued, run in a process of their own, and found again with figures and report."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from api.background.backtest_job import run_backtest_job
from api.schemas.backtests import BacktestIn
from arbitrage.backtest.engine import PERFECT_FORESIGHT, run_backtest
from arbitrage.backtest.metrics import summary
from arbitrage.battery import Battery
from arbitrage.errors import BadInput
from arbitrage.market.point_in_time import PRICE
from arbitrage.market.series import MarketSeries, build_market
from arbitrage.market.simulation.embedded_sample import sample_market
from arbitrage.market.splits import select
from arbitrage.policies.rules import ThresholdRule
from arbitrage.quarter_hour import epoch_minute, utc_timestamps
from tests.api.local_client import LocalClient, open_settings
from tests.api.told_policy import save_told_policy

ASKED: dict[str, Any] = {
    "strategy": "idle",
    "start": "2025-04-01T00:00:00+02:00",
    "end": "2025-04-03T00:00:00+02:00",
    "with_report": False,
}


def test_a_job_gives_the_figures_of_the_backtest_and_says_how_far_it_is(tmp_path: Any) -> None:
    told: list[float] = []
    figures, report = run_backtest_job(
        open_settings(tmp_path), BacktestIn.model_validate_json(text(ASKED)), "j", told.append
    )
    market = sample_market()
    span = select(market, start=ASKED["start"], end=ASKED["end"])
    expected = summary(run_backtest(market, Battery(), ThresholdRule(), span))
    assert set(expected) <= set(figures)
    assert figures["profit_eur_per_day"] == 0.0
    assert report is None
    assert told[0] == 0.0
    assert told == sorted(told)
    assert told[-1] == 1.0


def test_a_job_draws_its_report_beside_rivals(tmp_path: Any) -> None:
    asked = BacktestIn.model_validate_json(text(ASKED | {"with_report": True}))
    _, report = run_backtest_job(open_settings(tmp_path), asked, "drawn", lambda _: None)
    assert report is not None
    assert report.name == "drawn.html"
    assert "perfect-foresight" in report.read_text()


def test_a_job_that_cannot_be_run_is_refused_with_the_reason(tmp_path: Any) -> None:
    asked = BacktestIn.model_validate_json(text(ASKED | {"start": "2030-01-01T00:00:00Z", "end": None}))
    with pytest.raises(BadInput, match=r"start: 2030-01-01.* leaves nothing to test"):
        run_backtest_job(open_settings(tmp_path), asked, "j", lambda _: None)


@pytest.fixture(scope="module")
def policy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A policy that learned from days 1 to 20 of each month and was chosen on days 21 to 25."""
    split = {"train_days_of_month": "1-20", "validation_days_of_month": "21-25", "soc_reset": "daily"}
    outcomes = {"charge": (0.0, 1.0), "idle": (2.0, 3.0), "discharge": (0.0, 1.0)}
    return save_told_policy(tmp_path_factory.mktemp("policy"), outcomes, split)


def run_job(tmp_path: Path, policy: Path, **asked: Any) -> dict[str, Any]:
    settings = open_settings(tmp_path, policies={"told": policy})
    wanted = BacktestIn.model_validate_json(text({"strategy": "told", "with_report": False, **asked}))
    return run_backtest_job(settings, wanted, "j", lambda _: None)[0]


def test_a_job_tests_a_policy_on_what_it_has_not_seen(tmp_path: Path, policy: Path) -> None:
    figures = run_job(tmp_path, policy)
    assert figures["days"] == 17
    assert figures["in_sample_days"] == 0
    assert any("17 of 92 days" in note for note in figures["notes"])


def test_a_job_counts_days_that_the_policy_has_seen_and_refuses_them_when_strict(tmp_path: Path, policy: Path) -> None:
    figures = run_job(tmp_path, policy, days_of_month="20-26")
    assert figures["in_sample_days"] == 18
    assert any("IN-SAMPLE: 3 of the days tested are training days" in note for note in figures["notes"])
    with pytest.raises(BadInput, match="15 of the days tested are validation days"):
        run_job(tmp_path, policy, days_of_month="20-26", strict=True)


def test_a_job_counts_the_quarter_hours_beyond_the_data(tmp_path: Path, policy: Path) -> None:
    figures = run_job(tmp_path, policy, start="2025-05-31T00:00:00+02:00", end="2025-06-03T00:00:00+02:00")
    assert figures["quarter_hours_beyond_data"] == 2 * 96
    assert any("192 quarter-hours (2.0 days) are left out" in note for note in figures["notes"])


def test_a_job_refuses_a_risk_setting_that_the_strategy_lacks(tmp_path: Path, policy: Path) -> None:
    with pytest.raises(BadInput, match="has no risk setting"):
        run_job(tmp_path, policy, strategy="idle", risk={"aversion": 0.5})


def poor_market(kind: str) -> MarketSeries:
    """A market that has little to show."""
    starts = epoch_minute("2025-04-01T00:00+02:00") + 15 * np.arange(1 if kind == "one quarter-hour" else 3 * 96)
    prices = np.full(len(starts), 50.0)
    if kind == "a day without prices":
        prices = 50.0 + 30.0 * np.sin(np.arange(len(starts)))
        prices[96:192] = np.nan
    if kind == "one price":
        prices[1:] = np.nan
    return build_market(pd.DataFrame({PRICE: prices}, index=utc_timestamps(starts)))


@pytest.mark.parametrize("strategy", ["idle", "threshold", PERFECT_FORESIGHT])
@pytest.mark.parametrize("kind", ["no spread", "one quarter-hour", "a day without prices", "one price"])
def test_a_job_on_a_poor_market_ends_with_figures_and_a_report(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch, kind: str, strategy: str
) -> None:
    monkeypatch.setattr("api.background.backtest_job.sample_market", lambda **_: poor_market(kind))
    asked = BacktestIn(strategy=strategy)
    figures, report = run_backtest_job(open_settings(tmp_path), asked, "poor", lambda _: None)
    json.dumps(figures, allow_nan=False)
    assert report is not None
    assert report.stat().st_size > 0


def test_a_backtest_that_is_asked_for_runs_in_a_process_of_its_own(tmp_path: Any) -> None:
    with LocalClient(open_settings(tmp_path)) as client:
        queued = client.post("/v1/backtests", ASKED)
        assert queued.status_code == 202
        place = queued.headers["location"]
        deadline = time.monotonic() + 120.0
        while (job := client.get(place).json())["status"] in ("queued", "running"):
            assert time.monotonic() < deadline, job
            client.wait(0.2)
        assert job["status"] == "done", job
        assert job["progress_fraction"] == 1.0
        assert job["summary"]["profit_eur_per_day"] == 0.0
        assert job["report"] is None
        assert client.get(f"{place}/report").status_code == 404
        assert client.get("/v1/backtests").json()["backtests"] == [job]


def text(asked: dict[str, Any]) -> bytes:
    return json.dumps(asked).encode()
