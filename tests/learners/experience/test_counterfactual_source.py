"""Transitions that were never lived: every one obeys the battery law, pays what was settled and leads where it must."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from arbitrage.battery import Battery, BatteryState
from arbitrage.features.encoder import MarketFeatures
from arbitrage.learners.experience.counterfactual_source import CounterfactualConfig, CounterfactualSource
from arbitrage.learners.experience.market_path import MarketPath, lay_market_path
from arbitrage.learners.neural.batch import Batch
from arbitrage.market.splits import SocReset
from tests.examples import examples
from tests.worlds import batteries, market_of, whole

NAN = float("nan")
ROW, SOC, CYCLES, MINUTE = range(4)
"""Columns of what is observed on a numbered path."""
CONFIG = CounterfactualConfig(times=24, states=3, pool=200, discount=0.999, reward_scale=0.01)
CAPPED = Battery(max_cycles_per_day=1.1, wear_cost_eur_mwh=7.0)


def numbered(prices: list[float], soc_reset: SocReset, step_min: int) -> MarketPath:
    """A path whose only market feature is the number of the step."""
    market = market_of(prices)
    path = lay_market_path(market, whole(market, soc_reset), MarketFeatures(), step_min, soc_reset)
    return dataclasses.replace(path, features=np.arange(len(path.ends), dtype=np.float32)[:, None])


def drawn(path: MarketPath, battery: Battery = CAPPED, seed: int = 0, discrete: bool = True) -> Batch:
    """A few batches as one."""
    source = CounterfactualSource(path, battery, CONFIG, seed, discrete=discrete)
    generator = torch.Generator().manual_seed(seed)
    batches = [source.draw(generator) for _ in range(4)]
    assert all(len(batch.reward) == source.batch for batch in batches)
    return Batch(*(torch.cat(parts) for parts in zip(*batches, strict=True)))


def rows_of(batch: Batch) -> np.ndarray:
    return batch.observation[:, ROW].numpy().astype(np.int64)


def held(battery: Battery, state: BatteryState, asked_mw: float, minutes: int) -> tuple[float, float, BatteryState]:
    """Energy, wear and the state after, minute by minute under the battery law."""
    energy = wear = 0.0
    for _ in range(minutes):
        flow = battery.step(state, asked_mw, 1)
        energy, wear, state = energy + flow.power_mw / 60, wear + flow.wear_eur, flow.after
    return energy, wear, state


@examples(12)
@given(
    battery=batteries(), seed=st.integers(0, 2**32 - 1), step_min=st.sampled_from([1, 5, 15]), discrete=st.booleans()
)
def test_every_transition_holds_its_action_to_the_end_of_its_quarter_hour_under_the_battery_law(
    battery: Battery, seed: int, step_min: int, discrete: bool
) -> None:
    prices = np.random.default_rng(seed).normal(50.0, 200.0, 12).tolist()
    batch, steps = drawn(numbered(prices, SocReset.NEVER, step_min), battery, seed, discrete), 15 // step_min
    for number, row in enumerate(rows_of(batch)):
        _, soc_fraction, cycles_used, minute = batch.observation[number].tolist()
        assert minute == pytest.approx((row % steps) / steps)
        share = float(batch.action[number]) - 1.0 if discrete else float(batch.action[number, 0])
        assert -1.0 <= share <= 1.0
        asked = share * (battery.law.discharge_power_mw if share > 0 else battery.law.charge_power_mw)
        state = BatteryState(soc_fraction * battery.capacity_mwh, cycles_used)
        energy, wear, after = held(battery, state, asked, 15 - step_min * (row % steps))
        price = prices[row // steps]
        near = 1e-6 * battery.capacity_mwh * (abs(price) + 20.0)
        assert float(batch.reward[number]) / 0.01 == pytest.approx(price * energy - wear, rel=1e-4, abs=near)
        seen = batch.next_observation[number, [SOC, CYCLES]].tolist()
        assert seen == pytest.approx([after.soc_mwh / battery.capacity_mwh, after.cycles_used], abs=2e-6)


def test_the_reward_is_that_of_the_hand() -> None:
    # At 80 EUR/MWh from full: discharging 0.25 MWh earns 20, and draws 0.2778 MWh at 7 of wear: 18.056. From minute 10
    # a third of it is left. Charging does nothing: the battery is full.
    batch = drawn(numbered([80.0, 0.0], SocReset.NEVER, 5))
    full = (batch.observation[:, SOC] == 1.0) & (batch.observation[:, CYCLES] == 0.0)
    found = set()
    for minute, reward in ((0.0, 0.180556), (2 / 3, 0.060185)):
        for action, expected in ((0, 0.0), (1, 0.0), (2, reward)):
            those = full & (batch.observation[:, MINUTE] == np.float32(minute)) & (batch.action == action)
            if those.any():
                found.add((minute, action))
                assert batch.reward[those].tolist() == pytest.approx([expected] * int(those.sum()), abs=1e-6)
    assert len(found) == 6


@pytest.mark.parametrize("step_min", [1, 5, 15])
@pytest.mark.parametrize("soc_reset", list(SocReset))
def test_what_follows_is_the_first_step_of_the_next_quarter_hour_discounted_by_the_minutes_between(
    soc_reset: SocReset, step_min: int
) -> None:
    steps = 15 // step_min
    batch = drawn(numbered([10.0] * 6, soc_reset, step_min))
    rows, going = rows_of(batch), batch.discount > 0.0
    last = rows // steps == 5
    assert (going.numpy() == ~last).all()
    assert last.any() == (soc_reset is SocReset.DAILY)
    following = (rows // steps + 1) * steps
    assert (batch.next_observation[:, ROW].numpy() == following)[~last].all()
    assert (batch.next_observation[:, MINUTE].numpy() == 0.0)[~last].all()
    minutes = 15 - step_min * (rows % steps)
    assert batch.discount.numpy()[~last] == pytest.approx(0.999 ** minutes[~last], rel=1e-6)
    assert set(minutes.tolist()) == set(range(step_min, 16, step_min))


def test_every_action_is_tried_in_each_of_the_states_at_each_time() -> None:
    batch = drawn(numbered([10.0] * 6, SocReset.DAILY, 15))
    times, count = 4 * CONFIG.times, CONFIG.times * CONFIG.states * 3
    assert len(batch.reward) == 4 * count
    assert batch.action.view(-1, 3).tolist() == [[0, 1, 2]] * (4 * count // 3)
    seen = batch.observation.view(times, CONFIG.states, 3, 4)
    assert (seen == seen[:, :, :1]).all()
    assert (seen[..., ROW] == seen[:, :1, :1, ROW]).all()
    assert (seen[:, 0] != seen[:, 1]).any()


def test_continuous_actions_are_spread_over_both_directions() -> None:
    batch = drawn(numbered([10.0] * 6, SocReset.DAILY, 15), discrete=False)
    assert batch.action.shape == (len(batch.reward), 1)
    assert (batch.action.abs() <= 1.0).all()
    assert batch.action.min() < -0.9
    assert batch.action.max() > 0.9


@pytest.mark.parametrize("step_min", [5, 15])
def test_the_end_of_a_day_that_stands_alone_counts_nothing_after_it(step_min: int) -> None:
    steps = 15 // step_min
    batch = drawn(numbered([10.0] * 96 + [20.0] * 96, SocReset.DAILY, step_min), seed=5)
    quarters = rows_of(batch) // steps
    at_end = np.isin(quarters, [95, 191])
    assert at_end.any()
    assert ((batch.discount.numpy() == 0.0) == at_end).all()


def test_cycles_are_forgotten_after_midnight_where_energy_is_carried_on_and_only_there() -> None:
    path = numbered([10.0] * 3 + [20.0] * 3, SocReset.NEVER, 5)
    night = dataclasses.replace(path, starts_day=np.arange(18) == 9)
    batch, plain = drawn(night), drawn(path)
    before_midnight = rows_of(batch) // 3 == 2
    assert (rows_of(batch) == rows_of(plain)).all()
    assert (plain.next_observation[before_midnight, CYCLES] > 0.0).any()
    assert (batch.next_observation[before_midnight, CYCLES] == 0.0).all()
    for column in (ROW, SOC, MINUTE):
        assert torch.equal(batch.next_observation[:, column], plain.next_observation[:, column])
    assert torch.equal(batch.next_observation[~before_midnight], plain.next_observation[~before_midnight])
    assert torch.equal(batch.reward, plain.reward)
    assert torch.equal(batch.discount, plain.discount)


@pytest.mark.parametrize(("soc_reset", "taught"), [(SocReset.DAILY, {0, 2, 3}), (SocReset.NEVER, {0, 2})])
def test_gaps_teach_nothing_nor_does_an_end_with_an_unknown_future(soc_reset: SocReset, taught: set[int]) -> None:
    batch = drawn(numbered([10.0, NAN, 30.0, 40.0], soc_reset, 5))
    assert set((rows_of(batch) // 3).tolist()) == taught
    assert torch.isfinite(batch.reward).all()


def test_states_lie_all_over_the_window_and_the_budget_and_often_at_their_ends() -> None:
    battery = Battery(max_cycles_per_day=1.5, min_soc_fraction=0.1, max_soc_fraction=0.9)
    seen = drawn(numbered([10.0] * 6, SocReset.DAILY, 15), battery).observation
    for column, least, most in ((SOC, 0.1, 0.9), (CYCLES, 0.0, 1.5)):
        own = seen[:, column]
        assert own.min() == pytest.approx(least)
        assert own.max() == pytest.approx(most)
        for end in (own.min(), own.max()):
            assert 0.05 < (own == end).float().mean() < 0.2
        assert own.mean() == pytest.approx((least + most) / 2, abs=0.1 * (most - least))


def test_inputs_are_standardised_by_rows_that_teach_and_by_the_states_that_are_drawn() -> None:
    path = numbered([10.0, NAN, 30.0, 40.0], SocReset.NEVER, 5)
    features = path.features.copy()
    features[3:6] = features[9:] = 1e6
    source = CounterfactualSource(dataclasses.replace(path, features=features), CAPPED, CONFIG, 0)
    standard = source.standard()
    # Steps 0, 1, 2 of the first and 6, 7, 8 of the third quarter-hour: mean 4, squares 16, 9, 4, 4, 9, 16 over 5.
    assert [float(standard.mean[ROW]), float(standard.std[ROW])] == pytest.approx([4.0, (58 / 5) ** 0.5])
    assert float(standard.mean[SOC]) == pytest.approx(0.5, abs=0.1)
    assert float(standard.mean[CYCLES]) == pytest.approx(0.55, abs=0.1)
    assert [float(standard.mean[MINUTE]), float(standard.std[MINUTE])] == pytest.approx([1 / 3, (8 / 99) ** 0.5])
    assert float(standard.limit) == 4.0
    beyond = standard(torch.tensor([[1e6, 0.5, 0.5, -50.0]]))[0]
    assert [float(beyond[ROW]), float(beyond[MINUTE])] == [4.0, -4.0]


def test_an_input_that_no_weight_can_learn_from_says_nothing_when_it_is_met_later() -> None:
    source = CounterfactualSource(numbered([10.0] * 4, SocReset.DAILY, 15), Battery(), CONFIG, 0)
    met = torch.tensor([[1.0, 0.5, 0.0, 0.0], [1.0, 0.5, 4.2, 0.6]])
    assert (source.draw(torch.Generator()).observation[:, CYCLES] == 0.0).all()
    seen = source.standard()(met)
    assert torch.equal(seen[0], seen[1])
    assert torch.isfinite(seen).all()


def test_the_same_seeds_draw_the_same_and_others_others() -> None:
    path = numbered([10.0] * 96, SocReset.DAILY, 5)
    first, again, other = (drawn(path, seed=seed) for seed in (0, 0, 1))
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not torch.equal(first.observation, other.observation)
