"""Model-predictive control as a user meets it: fitted into a directory, served from it, refused where it must be."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from arbitrage.backtest.engine import run_backtest
from arbitrage.backtest.metrics import summary
from arbitrage.battery import Battery, BatteryState
from arbitrage.cli.app import app
from arbitrage.dispatch import Dispatcher
from arbitrage.errors import BadInput
from arbitrage.experiments.strategies import EvaluationSpec, try_strategy
from arbitrage.learners.mpc.forecast_fit import ForecastConfig
from arbitrage.market.series import MarketSeries
from arbitrage.market.simulation.embedded_sample import sample_market
from arbitrage.market.splits import DaysOfMonth, SocReset, select
from arbitrage.policies.checkpoint.load import CARD_FILE, TENSORS_FILE, load_policy
from arbitrage.policies.mpc.policy import Form, MpcConfig, MpcPolicy, Point
from arbitrage.policies.mpc.price_forecast import PriceForecast
from arbitrage.risk import RiskPreference
from arbitrage.training.data_split import DataSplit
from arbitrage.training.mpc import BEYOND_QUARTER_HOURS, MpcTrainer
from tests.cli.test_app import MARKET

pytest.importorskip("sklearn", reason="fitting needs scikit-learn (extra compare)")

BATTERY = Battery(max_cycles_per_day=1.1)
SMALL = ForecastConfig(
    near_quarter_hours=2, far_quarter_hours=1, fractions=(0.1, 0.5, 0.9), trees=6, leaf_rows=100, plans_for_paths=60,
    paths=4,
)  # fmt: skip
TWO_DAYS = {"start": "2025-04-26T00:00+02:00", "end": "2025-04-28T00:00+02:00"}


@pytest.fixture(scope="module")
def market() -> MarketSeries:
    """The embedded sample, which is simulated."""
    return sample_market()


def a_day(market: MarketSeries) -> np.ndarray:
    """The quarter-hours of a day that nobody learns from."""
    (span,) = select(market, **TWO_DAYS)
    return market.quarter_hours[span.first : span.first + 96]


def split_of(market: MarketSeries, soc_reset: SocReset = SocReset.DAILY) -> DataSplit:
    days = {"train_days": DaysOfMonth(1, 12), "validation_days": DaysOfMonth(21, 21)}
    return DataSplit(market=market, soc_reset=soc_reset, **days)  # type: ignore[arg-type]


def trainer_of(split: DataSplit, form: Form, *, refit: bool = False) -> MpcTrainer:
    return replace(MpcTrainer.of(split, form, refit=refit), forecast=SMALL)


def policy_of(market: MarketSeries, form: Form, forecast: PriceForecast) -> MpcPolicy:
    split = split_of(market)
    return trainer_of(split, form).policy(split, BATTERY, forecast)


@pytest.fixture(scope="module")
def forecast(market: MarketSeries) -> PriceForecast:
    split = split_of(market)
    return trainer_of(split, Form.DETERMINISTIC).fit_forecast(split)


@pytest.fixture(scope="module")
def fitted(market: MarketSeries, tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory, split = tmp_path_factory.mktemp("mpc"), split_of(market)
    trainer_of(split, Form.SCENARIOS).fit(split, BATTERY, 0, directory)
    return directory


def test_a_directory_serves_what_was_fitted(market: MarketSeries, fitted: Path, forecast: PriceForecast) -> None:
    loaded, held = load_policy(fitted), policy_of(market, Form.SCENARIOS, forecast)
    assert isinstance(loaded, MpcPolicy)
    assert loaded.name == "mpc-scenarios"
    times = a_day(market)[::5]
    theirs, ours = (Dispatcher(policy, BATTERY, market, times, 15) for policy in (loaded, held))
    state = BatteryState(1.0, 0.3)
    assert [theirs.decide(at, state) for at in range(len(times))] == [
        ours.decide(at, state) for at in range(len(times))
    ]


def test_the_card_says_what_it_is_and_what_it_earned_on_validation_days(fitted: Path) -> None:
    card = json.loads((fitted / CARD_FILE).read_text())
    assert card["kind"] == "model_predictive_control"
    assert card["split"]["soc_reset"] == "daily"
    assert card["validation"]["mpc-scenarios"]["violations"] == 0
    assert "linear programme" in card["description"]
    assert {file.name for file in fitted.iterdir()} == {CARD_FILE, TENSORS_FILE}


def test_a_refit_learns_from_the_validation_days_after_they_have_told(
    market: MarketSeries, fitted: Path, tmp_path: Path
) -> None:
    split = split_of(market)
    card = trainer_of(split, Form.SCENARIOS, refit=True).fit(split, BATTERY, 0, tmp_path)
    assert card["refit"]
    assert card["validation"] == json.loads((fitted / CARD_FILE).read_text())["validation"]
    before, after = load_policy(fitted), load_policy(tmp_path)
    assert isinstance(before, MpcPolicy)
    assert isinstance(after, MpcPolicy)
    assert not np.array_equal(before.forecast.coefficients, after.forecast.coefficients)


def test_a_directory_is_a_strategy_in_the_same_ledger(market: MarketSeries, fitted: Path) -> None:
    selection = select(market, **TWO_DAYS, soc_reset=SocReset.DAILY)
    trial = EvaluationSpec(market, BATTERY, selection, SocReset.DAILY, DaysOfMonth(21, 25))
    result = try_strategy(str(fitted), trial, warn=lambda _text: None)
    figures = summary(result)
    assert figures["violations"] == 0
    assert 0.0 < figures["cycles_per_day"] <= 1.1 + 1e-9
    assert result.strategy.startswith("mpc-scenarios")


@pytest.mark.parametrize("form", list(Form))
def test_energy_is_carried_over_midnight_where_the_split_does(market: MarketSeries, form: Form) -> None:
    split = split_of(market, SocReset.NEVER)
    trainer = trainer_of(split, form)
    assert trainer.config.beyond_quarter_hours == BEYOND_QUARTER_HOURS
    selection = select(market, **TWO_DAYS, soc_reset=SocReset.NEVER)
    result = run_backtest(market, BATTERY, trainer.policy(split, BATTERY, trainer.fit_forecast(split)), selection)
    assert len(result.violations) == 0
    assert result.ledger["soc_end_mwh"].to_numpy()[95] > 0.0


def test_it_plans_for_any_battery(market: MarketSeries, forecast: PriceForecast) -> None:
    policy = policy_of(market, Form.DETERMINISTIC, forecast)
    large = Battery(power_mw=10.0, capacity_mwh=20.0, max_cycles_per_day=1.1)
    times = a_day(market)[::5]
    small, big = (Dispatcher(policy, battery, market, times, 15) for battery in (BATTERY, large))
    for at in range(len(times)):
        ten_times = 10.0 * small.decide(at, BatteryState(1.0)).power_mw
        assert big.decide(at, BatteryState(10.0)).power_mw == pytest.approx(ten_times)


def test_the_median_is_another_path_than_the_mean(market: MarketSeries, forecast: PriceForecast) -> None:
    times = a_day(market)[:4]
    read = [
        MpcPolicy(BATTERY, tuple(market.known_series), forecast, MpcConfig(point=point)).bind(
            market.known_at(times), BATTERY
        )
        for point in Point
    ]
    mean, median = (view.outlined(2).prices_eur_mwh for view in read)
    assert mean.shape == median.shape == (1, 94)
    assert (mean != median).any()


def test_risk_is_weighed_on_paths_only_and_by_cvar_only(market: MarketSeries, forecast: PriceForecast) -> None:
    scenarios = policy_of(market, Form.SCENARIOS, forecast)
    averse = scenarios.with_risk_preference(RiskPreference.parse("cvar:0.3:20"))
    times, state = a_day(market)[::3], BatteryState(1.0)
    neutral, careful = (Dispatcher(policy, BATTERY, market, times, 15) for policy in (scenarios, averse))
    powers = [[each.decide(at, state).power_mw for at in range(len(times))] for each in (neutral, careful)]
    assert not np.allclose(*powers)
    with pytest.raises(BadInput, match="plans with cvar"):
        scenarios.with_risk_preference(RiskPreference.parse("wang:0.3:1"))
    with pytest.raises(BadInput, match="knows no risk"):
        policy_of(market, Form.DETERMINISTIC, forecast).with_risk_preference(averse.preference)


def test_plans_longer_than_the_forecast_are_refused(market: MarketSeries, forecast: PriceForecast) -> None:
    with pytest.raises(BadInput, match="beyond_quarter_hours"):
        MpcPolicy(BATTERY, tuple(market.known_series), forecast, MpcConfig(beyond_quarter_hours=4))


def test_settings_of_plans_without_sense_are_named_all_at_once() -> None:
    with pytest.raises(BadInput) as refused:
        MpcConfig(shared_quarter_hours=0, beyond_quarter_hours=-1, end_value_fraction=-1.0)
    named = {fault.where for fault in refused.value.faults}
    assert named == {"shared_quarter_hours", "beyond_quarter_hours", "end_value_fraction"}


def test_an_altered_forecast_is_refused(fitted: Path, tmp_path: Path) -> None:
    for file in fitted.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    content = bytearray((tmp_path / TENSORS_FILE).read_bytes())
    content[-1] ^= 1
    (tmp_path / TENSORS_FILE).write_bytes(bytes(content))
    with pytest.raises(BadInput, match="altered"):
        load_policy(tmp_path)


def test_the_command_fits_a_directory_that_can_be_loaded(tmp_path: Path) -> None:
    days = ["--train-days", "1-2", "--validation-days", "21", "--soc-reset", "daily"]
    options = [*MARKET, *days, "--max-cycles-per-day", "1.1", "--out", str(tmp_path / "mpc"), "--json", "-"]
    done = CliRunner().invoke(app, ["fit-mpc", *options])
    assert done.exit_code == 0, done.output
    policy = load_policy(tmp_path / "mpc")
    assert isinstance(policy, MpcPolicy)
    assert (policy.name, policy.battery) == ("mpc", BATTERY)
    assert json.loads(done.stdout)["validation"]["mpc"]["violations"] == 0
