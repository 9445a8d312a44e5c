"""The risk dial on the command line."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from arbitrage.battery import Battery
from arbitrage.cli.app import app
from arbitrage.errors import BadInput
from arbitrage.features.encoder import MarketFeatures
from arbitrage.learners.closed_form.config import ClosedFormConfig
from arbitrage.learners.closed_form.fit import fit_closed_form, prepare_training_data
from arbitrage.market.simulation.embedded_sample import sample_market
from arbitrage.market.simulation.sample import sample_files
from arbitrage.market.splits import SocReset, Span
from arbitrage.policies.checkpoint.closed_form import save_policy
from arbitrage.policies.checkpoint.risk_setting import write_setting
from arbitrage.policies.closed_form.lattice import LatticeSize
from arbitrage.policies.closed_form.policy import ClosedFormPolicy
from arbitrage.policies.closed_form.risk_head import AdvantageSize, HeadParameters, RiskHead

SIZE = LatticeSize(soc_nodes=5, cycle_nodes=4)
BATTERY = Battery(max_cycles_per_day=1.1)


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small policy whose head only asks for less power, half of it at a dial of 0.5."""
    market = sample_market()
    data = prepare_training_data(market, BATTERY, (Span(14 * 96, 28 * 96),), SocReset.NEVER, SIZE)
    stages = fit_closed_form(data, ClosedFormConfig(cosines=12, passes=1, network=None, size=SIZE), seed=0).stages
    count = len(MarketFeatures().quarter_names)
    flat = AdvantageSize(*(np.full(n, v, dtype=np.float32) for n, v in ((count, 0), (count, 1), (count + 1, 0))))
    head = RiskHead(flat, np.array([HeadParameters(power_change=-1.0)]))
    policy = ClosedFormPolicy(BATTERY, SIZE, stages[-1:], tuple(sorted(market.known_series)), head=head)
    where = tmp_path_factory.mktemp("policies") / "small"
    split = {"soc_reset": "never", "train_days_of_month": "1-2", "validation_days_of_month": "3-4"}
    about = {"publication_delay_min": 0, "seed": 0, "split": split, "minute_source": None}
    save_policy(where, policy, about)
    return where


def run(command: str, directory: Path, *options: str, strategy: str | None = None) -> dict:
    """The JSON that a command writes, of the policy in the directory unless another strategy is named."""
    files, out = sample_files(), directory.parent / "out.json"
    prices = ["--prices", str(files.prices), "--day-ahead", str(files.day_ahead), "--forecasts", str(files.forecasts)]
    arguments = [command, *prices, "--strategy", strategy or str(directory), *options, "--json", str(out)]
    app(arguments, standalone_mode=False)
    return json.loads(out.read_text())


DAYS = ("--start", "2025-04-01T00:00+02:00", "--end", "2025-04-04T00:00+02:00")
NOON = ("--at", "2025-04-01T19:00+02:00", "--soc-fraction", "0.5")


def test_policies_are_compared_at_every_position_asked_for(directory: Path) -> None:
    rows = run("compare", directory, "--strategy", "idle", "--risk-aversion", "0", "0.5", *DAYS)["strategies"]
    assert [row["strategy"] for row in rows] == ["learned (small)", "learned (small), risk aversion 0.5", "idle"]
    assert rows[0]["profit_eur_per_day"] != rows[1]["profit_eur_per_day"]


def test_a_backtest_says_where_the_dial_stood(directory: Path) -> None:
    neutral, averse = run("backtest", directory, *DAYS), run("backtest", directory, "--risk-aversion", "0.5", *DAYS)
    assert (neutral["risk_aversion"], averse["risk_aversion"]) == (0.0, 0.5)
    assert averse["strategy"] == "learned (small), risk aversion 0.5"
    assert neutral["profit_eur"] != averse["profit_eur"]


def test_a_decision_obeys_the_option_and_else_the_setting_beside_the_policy(directory: Path) -> None:
    asked = [run("decide", directory, *NOON, "--risk-aversion", dial)["requested_mw"] for dial in ("0", "0.5")]
    assert abs(asked[0]) == 2.0 * abs(asked[1]) == 1.0
    policy = ClosedFormPolicy(BATTERY, SIZE, (), (), risk_aversion=0.5)
    setting = write_setting(directory, policy)
    try:
        assert run("decide", directory, *NOON)["requested_mw"] == asked[1]
        assert run("decide", directory, *NOON)["risk_aversion"] == 0.5
        assert run("decide", directory, *NOON, "--risk-aversion", "0")["requested_mw"] == asked[0]
    finally:
        setting.unlink()


def test_what_a_policy_or_a_preference_cannot_do_is_refused(directory: Path) -> None:
    with pytest.raises(BadInput, match="no quantile critic"):
        run("decide", directory, *NOON, "--risk-preference", "cvar:0.1:0.5")
    with pytest.raises(BadInput, match="measure"):
        run("decide", directory, *NOON, "--risk-preference", "luck:0.1:0.5")
    policy = dataclasses.replace(ClosedFormPolicy(BATTERY, SIZE, (), ()), head=None)
    with pytest.raises(BadInput, match="no risk head"):
        policy.with_risk_aversion(0.1)


@pytest.mark.parametrize("option", [("--risk-aversion", "0.5"), ("--risk-preference", "cvar:0.1:0.3")])
def test_a_risk_setting_that_no_strategy_has_is_refused(option: tuple[str, str], directory: Path) -> None:
    name = option[0].removeprefix("--").replace("-", "_")
    with pytest.raises(BadInput, match=f"{name}: spread: a rule or ceiling has no risk setting; leave the option out"):
        run("backtest", directory, *DAYS, *option, strategy="spread")
    with pytest.raises(BadInput, match="threshold, spread: a rule or ceiling has no risk setting"):
        run("compare", directory, "--strategy", "spread", *DAYS, *option, strategy="threshold")
    assert run("backtest", directory, *DAYS, "--risk-aversion", "0", strategy="idle")["profit_eur"] == 0.0


def test_a_rule_beside_a_policy_is_said_not_to_change(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run("compare", directory, "--strategy", "idle", *DAYS, "--risk-aversion", "0.5")
    assert "idle has no risk setting, so nothing changes for it with risk_aversion" in capsys.readouterr().err


def test_days_that_a_policy_has_seen_are_counted_and_said(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    figures = run("backtest", directory, *DAYS)
    assert figures["in_sample_days"] == 3
    assert "IN-SAMPLE: 2 of the days tested are training days" in capsys.readouterr().err
    rows = run("compare", directory, "--strategy", "idle", *DAYS)["strategies"]
    assert [row["in_sample_days"] for row in rows] == [3, 0]
    with pytest.raises(BadInput, match="in_sample_days: 2 of the days tested are training days"):
        run("backtest", directory, *DAYS, "--strict")


def test_a_policy_is_tested_by_default_on_what_it_has_not_seen(directory: Path) -> None:
    figures = run("backtest", directory, "--start", "2025-05-01T00:00+02:00")
    assert figures["days"] == 27
    assert figures["in_sample_days"] == 0
    assert figures["tested_from"] == "2025-05-04T22:00:00+00:00"
    assert figures["tested_until"] == "2025-05-31T22:00:00+00:00"
