"""The keystone with the service in it: a market replayed over HTTP is the backtest, bit for bit and cent for cent."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from arbitrage.backtest.engine import run_backtest
from arbitrage.battery import Battery, BatteryState
from arbitrage.learners.closed_form.config import ClosedFormConfig
from arbitrage.learners.closed_form.fit import fit_closed_form, prepare_training_data
from arbitrage.market.point_in_time import PRICE
from arbitrage.market.series import MarketSeries
from arbitrage.market.simulation.embedded_sample import sample_market
from arbitrage.market.splits import SocReset, Span
from arbitrage.policies.checkpoint.closed_form import save_policy
from arbitrage.policies.checkpoint.load import load_policy
from arbitrage.policies.closed_form.lattice import LatticeSize
from arbitrage.policies.closed_form.policy import ClosedFormPolicy
from arbitrage.policies.minute_rule import MinuteSpreadRule
from arbitrage.policies.protocol import Policy
from arbitrage.policies.rules import ThresholdRule
from arbitrage.quarter_hour import brussels_day_numbers, energy_mwh, epoch_minute
from arbitrage.settling import KnownProfit
from tests.api.local_client import LocalClient, StandingClock, open_settings
from tests.api.markets import PlayedFeed, market_in
from tests.examples import examples
from tests.worlds import MIDNIGHTS, batteries, market_of

BATTERY = Battery(max_cycles_per_day=1.1)
NIGHT = epoch_minute("2025-03-30T00:00+01:00")
"""The Brussels day on which clocks go forward."""


@dataclasses.dataclass
class Replay:
    """A battery that does what the service says, and the books of it."""

    battery: Battery
    market: MarketSeries
    state: BatteryState = dataclasses.field(init=False)
    account: KnownProfit[float] = dataclasses.field(default_factory=lambda: KnownProfit(0.0))
    net_mwh: float = 0.0
    wear_eur: float = 0.0
    profit_eur: float = 0.0
    soc_mwh: list[float] = dataclasses.field(default_factory=list)
    """At the end of each quarter-hour."""
    cycles: list[float] = dataclasses.field(default_factory=list)
    actions: set[str] = dataclasses.field(default_factory=set)

    def __post_init__(self) -> None:
        self.state = self.battery.empty

    def live(self, time: int, answer: dict[str, Any], step_min: int) -> None:
        """Do what was decided; settle at the end of the quarter-hour."""
        flow = self.battery.step(self.state, answer["setpoint"]["power_mw"], step_min)
        assert flow.power_mw == answer["setpoint"]["power_mw"]
        assert answer["fallback"]["level"] == 0
        assert flow.after.soc_mwh / self.battery.capacity_mwh == answer["expected"]["soc_fraction_end"]
        self.state = flow.after
        self.actions.add(answer["setpoint"]["action"])
        self.account.pay_wear(flow.wear_eur)
        self.net_mwh += energy_mwh(flow.power_mw, step_min)
        self.wear_eur += flow.wear_eur
        if (time + step_min) % 15 == 0:
            series = self.market.known_series[PRICE]
            row = (time - series.first_minute) // 15
            settled = float(series.values[row]) * self.net_mwh
            self.account.settle(time + step_min, int(series.available_at[row]), settled)
            self.profit_eur += settled - self.wear_eur
            self.net_mwh = self.wear_eur = 0.0
            self.soc_mwh.append(self.state.soc_mwh)
            self.cycles.append(self.state.cycles_used)

    def state_at(self, time: int) -> dict[str, float]:
        """As a request tells it."""
        return {
            "soc_mwh": self.state.soc_mwh,
            "cycles_used_today": self.state.cycles_used,
            "profit_today_eur": self.account.today_eur(time),
        }

    def begin_day(self) -> None:
        self.state = BatteryState(self.state.soc_mwh)
        self.account.begin_day()


def replay(client: LocalClient, request: dict[str, Any], books: Replay, span: tuple[int, int], step_min: int) -> None:
    """Ask for each interval, and do what is answered; the battery's state goes along where the market does."""
    day = None
    for time in range(*span, step_min):
        if day != (day := int(brussels_day_numbers([time])[0])):
            books.begin_day()
        client.clock.set_minute(time, -30.0)
        answer = client.post(
            "/v1/decisions", request | ({"state": books.state_at(time)} if "market" in request else {})
        )
        assert answer.status_code == 200, answer.text
        books.live(time, answer.json(), step_min)


def compare(books: Replay, policy: Policy, span: tuple[int, int], step_min: int) -> None:
    """States bit for bit, euros to a billionth."""
    rows = books.market.rows(*span)
    result = run_backtest(books.market, books.battery, policy, (Span(rows.start, rows.stop),), step_min=step_min)
    assert books.soc_mwh == result.ledger["soc_end_mwh"].tolist()
    assert books.cycles == result.ledger["cycles_used"].tolist()
    assert books.profit_eur == pytest.approx(float(result.ledger["profit_eur"].sum()), abs=1e-9, rel=0)


def brought(books: Replay, policy_id: str, span: tuple[int, int]) -> dict[str, Any]:
    """A request that brings everything, of the market no more than can matter."""
    market = market_in(books.market, span[0] - 16 * 24 * 60, span[1])
    return {"policy_id": policy_id, "battery": dataclasses.asdict(books.battery), "market": market}


@pytest.fixture(scope="module")
def small_policy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A learned policy of quarter-hours."""
    market, size = sample_market(), LatticeSize(soc_nodes=5, cycle_nodes=4)
    data = prepare_training_data(market, BATTERY, (Span(14 * 96, 28 * 96),), SocReset.NEVER, size)
    stages = fit_closed_form(data, ClosedFormConfig(cosines=12, passes=1, network=None, size=size), seed=0).stages
    policy = ClosedFormPolicy(BATTERY, size, stages[-1:], tuple(sorted(market.known_series)))
    where = tmp_path_factory.mktemp("policies") / "small"
    split = {"soc_reset": "never", "train_days_of_month": "1-2", "validation_days_of_month": "3-4"}
    save_policy(where, policy, {"publication_delay_min": 0, "seed": 0, "split": split, "minute_source": None})
    return where


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory, small_policy: Path) -> Iterator[LocalClient]:
    settings = open_settings(tmp_path_factory.mktemp("service"), policies={"small": small_policy})
    clock = StandingClock()
    with LocalClient(settings, clock, PlayedFeed(sample_market(), clock)) as client:
        yield client


@examples(3)
@given(
    prices=hnp.arrays(np.float64, 2 * 100, elements=st.floats(-3000.0, 5000.0), fill=st.nothing()),
    battery=batteries(),
    day=st.sampled_from(sorted(MIDNIGHTS)),
)
def test_a_replay_of_any_market_over_http_is_the_backtest(
    client: LocalClient, prices: np.ndarray, battery: Battery, day: str
) -> None:
    midnight, first_day = MIDNIGHTS[day]
    market = market_of(prices[: first_day + 20], midnight)
    span = (midnight + 15, midnight + 15 * (first_day + 20))
    books = Replay(battery, market)
    replay(client, brought(books, "threshold", span), books, span, 15)
    compare(books, ThresholdRule(), span, 15)


def test_a_replay_of_a_learned_policy_through_the_clocks_change_is_the_backtest(
    client: LocalClient, small_policy: Path
) -> None:
    span = (NIGHT - 6 * 60, NIGHT + 24 * 60)
    books = Replay(BATTERY, sample_market())
    replay(client, brought(books, "small", span), books, span, 15)
    compare(books, load_policy(small_policy), span, 15)
    assert {"charge", "idle", "discharge"} == books.actions


def test_a_replay_by_the_minute_is_the_backtest(client: LocalClient) -> None:
    span = (NIGHT, NIGHT + 2 * 60)
    books = Replay(BATTERY, sample_market(with_minutes=True))
    replay(client, brought(books, "minute-spread", span), books, span, 1)
    compare(books, MinuteSpreadRule(), span, 1)
    assert len(books.actions) > 1


def test_a_replay_of_an_asset_alone_whose_market_and_state_the_service_keeps_is_the_backtest(
    client: LocalClient, small_policy: Path
) -> None:
    span = (NIGHT - 6 * 60, NIGHT + 24 * 60)
    client.clock.set_minute(span[0], -30.0)
    asset = {"battery": dataclasses.asdict(BATTERY), "policy_id": "small", "state": {"soc_mwh": 0.0}}
    assert client.put("/v1/assets/be-1", asset).status_code == 200
    books = Replay(BATTERY, sample_market())
    replay(client, {"asset_id": "be-1"}, books, span, 15)
    compare(books, load_policy(small_policy), span, 15)
