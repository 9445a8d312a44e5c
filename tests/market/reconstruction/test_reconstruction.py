"""Reconstructed minutes: real final prices, the settlement's rules on every row, and nothing of the future shown."""

from __future__ import annotations

import dataclasses

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from arbitrage.arrays import Flags, Floats
from arbitrage.errors import BadInput
from arbitrage.market.point_in_time import ALPHA_COMPONENT, DAY_AHEAD, DECREMENTAL, INCREMENTAL, PRICE
from arbitrage.market.reconstruction import minutes as reconstruction
from arbitrage.market.reconstruction.bid_ladders import Ladders, draw_ladders
from arbitrage.market.reconstruction.imbalance import MinuteImbalanceParameters, draw_minute_imbalance_given_means
from arbitrage.market.reconstruction.minutes import GRADES, build_records, reconstruct_minutes
from arbitrage.market.reconstruction.prices import MarginalPaths, Reveal, final_marginal_eur_mwh, marginal_paths
from arbitrage.market.reconstruction.system_sides import FinalPrices, draw_sides, read_finals
from arbitrage.market.settlement import alpha_component_eur_mwh, imbalance_price_eur_mwh
from arbitrage.market.simulation.fundamentals import autoregressive
from arbitrage.market.simulation.merit_order import DEAD_BAND_MW
from arbitrage.market.simulation.simulator import SimulatedMarket, simulate
from arbitrage.quarter_hour import epoch_minute, epoch_minutes
from tests.examples import examples
from tests.shared_data import shared_file

IMBALANCE = "system_imbalance_mw"
SPANS = {
    "ratchet": ("2022-06-01T00:00+02:00", "2022-07-01T00:00+02:00"),
    "gradual": ("2024-08-01T00:00+02:00", "2024-08-31T00:00+02:00"),
}


@pytest.fixture(scope="module", params=SPANS)
def world(request: pytest.FixtureRequest) -> SimulatedMarket:
    """A month of simulated final prices, under the rules to and from 2024-05-22."""
    start, end = (epoch_minute(time) for time in SPANS[request.param])
    return simulate(start, end, seed=5, parameters="2022" if request.param == "ratchet" else "2024")


@pytest.fixture(scope="module")
def minutes(world: SimulatedMarket) -> pd.DataFrame:
    """The same month rebuilt from its final prices."""
    return reconstruct_minutes(world.prices, world.day_ahead, seed=1)


def by_quarter_hour(table: pd.DataFrame, column: str) -> Floats:
    """A column of the minute table, shape [quarter-hours, 15]."""
    return table[column].to_numpy(np.float64).reshape(-1, 15)


def starts(table: pd.DataFrame) -> npt.NDArray[np.int64]:
    """Starts of the quarter-hours of a minute table's rows as epoch minutes."""
    return epoch_minutes(pd.DatetimeIndex(table["quarter_hour"]))


def flat_day_ahead(first: str, last: str, price: float = 80.0) -> pd.DataFrame:
    """The same day-ahead price in all hours from first to last."""
    return pd.DataFrame({DAY_AHEAD: price}, index=pd.date_range(first, last, freq="h", tz="UTC"))


def test_every_priced_quarter_hour_gets_its_fifteen_minutes_with_the_simulators_columns(
    world: SimulatedMarket, minutes: pd.DataFrame
) -> None:
    simulated = world.minutes.drop(columns=["net_regulation_volume_mw", "area_control_error_mw"])
    assert list(minutes.columns) == list(simulated.columns)
    pd.testing.assert_index_equal(minutes.index, simulated.index)
    pd.testing.assert_series_equal(minutes["quarter_hour"], simulated["quarter_hour"])
    assert not minutes.isna().any(axis=None)


def test_gaps_get_no_minutes_whether_absent_or_without_a_number(world: SimulatedMarket) -> None:
    prices = world.prices[[PRICE]].copy()
    prices.iloc[10:14] = np.nan
    prices = prices.drop(prices.index[40:50])
    rebuilt = reconstruct_minutes(prices, world.day_ahead, seed=2)
    assert set(rebuilt["quarter_hour"]) == set(prices.dropna().index)
    assert len(rebuilt) == 15 * len(prices.dropna())
    assert not rebuilt.isna().any(axis=None)


@pytest.mark.parametrize(("day", "quarter_hours"), [("2022-03-27", 92), ("2022-10-30", 100)])
def test_days_on_which_the_clock_changes_are_whole(day: str, quarter_hours: int) -> None:
    start, end = (pd.Timestamp(day, tz="Europe/Brussels") + pd.DateOffset(days=d) for d in (0, 1))
    index = pd.date_range(start, end, freq="15min", inclusive="left").tz_convert("UTC")
    prices = pd.DataFrame({PRICE: np.linspace(-200.0, 500.0, len(index))}, index=index)
    rebuilt = reconstruct_minutes(prices, flat_day_ahead(f"{index[0]:%F %H:%M}", f"{index[-1]:%F %H:00}"), seed=0)
    assert len(rebuilt) == 15 * quarter_hours
    assert (np.diff(epoch_minutes(pd.DatetimeIndex(rebuilt.index))) == 1).all()


def test_one_seed_draws_the_same_bits_and_another_seed_others(world: SimulatedMarket, minutes: pd.DataFrame) -> None:
    again = reconstruct_minutes(world.prices, world.day_ahead, grade="matched", seed=1)
    pd.testing.assert_frame_equal(minutes, again, check_exact=True)
    other = reconstruct_minutes(world.prices, world.day_ahead, seed=3)
    assert (other[IMBALANCE] != minutes[IMBALANCE]).mean() > 0.99
    revised = [by_quarter_hour(table, PRICE)[:, -1] != world.prices[PRICE].to_numpy() for table in (minutes, other)]
    assert (revised[0] & revised[1]).sum() < 0.5 * revised[0].sum()


def test_the_last_minute_shows_the_final_price_but_for_a_few_small_revisions(
    world: SimulatedMarket, minutes: pd.DataFrame
) -> None:
    last = by_quarter_hour(minutes, PRICE)[:, -1]
    change = np.abs(last - world.prices[PRICE].to_numpy())
    assert 0.95 <= (change < 1e-9).mean() < 0.99
    assert (change > 1.0).mean() < 0.02


def test_marginal_prices_only_move_outward_within_a_quarter_hour_until_may_2024(
    world: SimulatedMarket, minutes: pd.DataFrame
) -> None:
    inward = [(sign * np.diff(by_quarter_hour(minutes, name), axis=1) < 0.0).mean() for sign, name in SIGNED]
    if world.prices.index[0].year == 2022:
        assert inward == [0.0, 0.0]
    else:
        assert min(inward) > 0.05


SIGNED = ((1.0, INCREMENTAL), (-1.0, DECREMENTAL))


def test_every_row_follows_the_price_rule_from_its_own_columns(minutes: pd.DataFrame) -> None:
    columns = (minutes[name].to_numpy() for name in (IMBALANCE, INCREMENTAL, DECREMENTAL, ALPHA_COMPONENT))
    price = imbalance_price_eur_mwh(starts(minutes), *columns)
    np.testing.assert_allclose(minutes[PRICE], price, atol=1e-9)


def test_alpha_follows_the_tariff_with_no_previous_imbalance_in_the_first_minute(minutes: pd.DataFrame) -> None:
    finals = by_quarter_hour(minutes, IMBALANCE)[:, -1]
    previous = np.repeat(np.concatenate([[0.0], finals[:-1]]), 15)
    previous[::15] = 0.0
    columns = minutes[IMBALANCE], previous, minutes[INCREMENTAL], minutes[DECREMENTAL]
    component = alpha_component_eur_mwh(starts(minutes), *columns)
    np.testing.assert_allclose(minutes[ALPHA_COMPONENT], component, atol=0.011)
    assert (component > 0.0).mean() > 0.02


def test_minutes_average_to_the_imbalance_that_was_drawn_for_the_quarter_hour(
    world: SimulatedMarket, minutes: pd.DataFrame
) -> None:
    drawn = draw_sides(read_finals(world.prices, world.day_ahead), seed=1)
    np.testing.assert_array_equal(by_quarter_hour(minutes, IMBALANCE)[:, -1], drawn)
    each = draw_minute_imbalance_given_means(GRADES["matched"].minute_imbalance, drawn, seed=1)
    np.testing.assert_allclose(each.reshape(-1, 15).mean(axis=1), drawn, atol=1e-9)
    shown = np.cumsum(each.reshape(-1, 15), axis=1) / np.arange(1, 16)
    np.testing.assert_allclose(by_quarter_hour(minutes, IMBALANCE), shown, atol=6e-4)


def test_minutes_are_the_gaussian_process_conditioned_on_the_means_as_by_dense_algebra() -> None:
    parameters = MinuteImbalanceParameters()
    means = np.array([-300.0, 40.0, 41.0, 500.0, -20.0])
    n = 15 * len(means)
    slow = autoregressive(9, "minute slow", n, time_min=parameters.slow_time_min, step_min=1.0)
    fast = autoregressive(9, "minute fast", n, time_min=parameters.fast_time_min, step_min=1.0)
    free = parameters.slow_std_mw * slow + parameters.fast_std_mw * fast
    lag = np.abs(np.subtract.outer(np.arange(n), np.arange(n)))
    covariance = parameters.slow_std_mw**2 * np.exp(-lag / parameters.slow_time_min)
    covariance += parameters.fast_std_mw**2 * np.exp(-lag / parameters.fast_time_min)
    average = np.kron(np.eye(len(means)), np.full((1, 15), 1.0 / 15.0))
    gain = covariance @ average.T @ np.linalg.inv(average @ covariance @ average.T)
    expected = free + gain @ (means - average @ free)
    np.testing.assert_allclose(draw_minute_imbalance_given_means(parameters, means, seed=9), expected, atol=1e-6)


def test_a_ratcheting_price_stays_at_the_furthest_bid_that_was_activated() -> None:
    """Seven minutes of -400 MW activate 400 x (1 - 0.78^7) = 330 MW: the 14th bid of 25 MW, 52.50 above the first."""
    ladders = draw_ladders(np.array([epoch_minute("2022-06-01T00:00Z")]), np.array([200.0]), np.array([200.0]), seed=0)
    ladders = ladders._replace(upward_surprise=np.zeros(1), downward_surprise=np.zeros(1))
    imbalance_mw = np.where(np.arange(15) < 7, -400.0, 0.0)
    reveal = Reveal(np.zeros(1), np.ones(1))
    up, down = marginal_paths(imbalance_mw, np.zeros(1), np.zeros(1), ladders, reveal, np.ones(1, dtype=np.bool_))
    np.testing.assert_allclose(up[6:], ladders.upward_eur_mwh[0] + 52.5)
    assert (np.diff(up[:7]) > 0.0).all()
    np.testing.assert_allclose(down, ladders.downward_eur_mwh[0])


@dataclasses.dataclass(frozen=True)
class Drawn:
    """A span with side and imbalance drawn and held."""

    finals: FinalPrices
    quarter_hour_mw: Floats
    minute_mw: Floats

    def records(self, price_eur_mwh: Floats) -> pd.DataFrame:
        finals = dataclasses.replace(self.finals, price_eur_mwh=price_eur_mwh)
        return build_records(finals, self.quarter_hour_mw, self.minute_mw, GRADES["matched"], seed=4)


def leaks(drawn: Drawn, row: int, seed: int) -> list[str]:
    """What moves that must not when final prices from quarter-hour `row` on are scrambled, side and imbalance held."""
    price = drawn.finals.price_eur_mwh
    scrambled = price.copy()
    scrambled[row:] = np.random.default_rng(seed).normal(100.0, 400.0, len(price) - row).round(2)
    before, after = drawn.records(price), drawn.records(scrambled)
    found = [] if before.iloc[: 15 * row].equals(after.iloc[: 15 * row]) else ["an earlier quarter-hour"]
    short = drawn.quarter_hour_mw[row] < 0.0
    was, now = (table.iloc[15 * row : 15 * row + 15] for table in (before, after))
    # With the value of avoided activation one price holds on both sides: it is what settles then.
    settles = (was[IMBALANCE].abs() < DEAD_BAND_MW) & bool(
        drawn.finals.gradual[row] and abs(drawn.quarter_hour_mw[row]) < DEAD_BAND_MW
    )
    inactive = DECREMENTAL if short else INCREMENTAL
    if not was.loc[~settles, inactive].equals(now.loc[~settles, inactive]):
        found.append("the side that does not settle")
    other = ((was[IMBALANCE] < 0.0) != short) & ~settles
    shown = [PRICE, ALPHA_COMPONENT, IMBALANCE]
    if not was.loc[other, shown].equals(now.loc[other, shown]):
        found.append("what is shown while the other side is ahead")
    return found


@pytest.fixture(scope="module")
def drawn(world: SimulatedMarket) -> Drawn:
    """Two days with side and imbalance drawn."""
    finals = read_finals(world.prices.iloc[:192], world.day_ahead)
    quarter_hour_mw = draw_sides(finals, seed=4)
    minute_mw = draw_minute_imbalance_given_means(GRADES["matched"].minute_imbalance, quarter_hour_mw, seed=4)
    return Drawn(finals, quarter_hour_mw, minute_mw)


def test_the_side_that_does_not_settle_and_all_before_are_the_same_bits_whatever_the_final_prices(
    drawn: Drawn,
) -> None:
    assert [leaks(drawn, row, seed=row) for row in range(0, 192, 3)] == [[]] * 64


def test_the_side_that_settles_does_show_the_final_price(drawn: Drawn) -> None:
    scrambled = drawn.finals.price_eur_mwh + 50.0
    changed = drawn.records(scrambled)[PRICE] - drawn.records(drawn.finals.price_eur_mwh)[PRICE]
    assert np.abs(changed.to_numpy()[14::15] - 50.0).max() < 1e-6


Kernel = tuple[Floats, Floats, Floats, Ladders, Reveal, Flags]


def scaled_with_the_final_price(*given: *Kernel) -> MarginalPaths:
    """A leak: both sides scaled with the final price."""
    up, down = marginal_paths(*given)
    factor = np.repeat(1.0 + np.nan_to_num(given[2]) / 1e4, 15)
    return MarginalPaths(up * factor, down * factor)


def looking_one_quarter_hour_ahead(*given: *Kernel) -> MarginalPaths:
    """A leak: what is shown drifts towards the next final price."""
    up, down = marginal_paths(*given)
    following = np.repeat(np.append(given[2][1:], 0.0), 15)
    return MarginalPaths(up + 0.01 * following, down)


@pytest.mark.parametrize("leak", [scaled_with_the_final_price, looking_one_quarter_hour_ahead])
def test_a_planted_leak_is_caught(drawn: Drawn, monkeypatch: pytest.MonkeyPatch, leak: object) -> None:
    monkeypatch.setattr(reconstruction, "marginal_paths", leak)
    caught = [leaks(drawn, row, seed=row) != [] for row in range(1, 192, 20)]
    assert np.mean(caught) > 0.7


def test_a_side_moves_much_the_same_between_quarter_hours_whether_or_not_it_settles(minutes: pd.DataFrame) -> None:
    short = by_quarter_hour(minutes, IMBALANCE)[1:, -1] < 0.0
    for sign, name in SIGNED:
        shown = by_quarter_hour(minutes, name)
        change = np.abs(shown[1:, 0] - shown[:-1, -1])
        settles = short if sign > 0 else ~short
        ratio = np.median(change[settles]) / np.median(change[~settles])
        assert 0.6 < ratio < 1.6, (name, ratio)


def test_the_size_of_the_imbalance_is_no_function_of_the_final_price(world: SimulatedMarket) -> None:
    finals = read_finals(world.prices, world.day_ahead)
    first, second = (np.abs(draw_sides(finals, seed)) for seed in (0, 1))
    # Whether a price is one of the dead band says much of the size; beyond the band it says little.
    beyond = (np.minimum(first, second) > DEAD_BAND_MW) | ~finals.gradual
    assert abs(np.corrcoef(np.log(first[beyond]), np.log(second[beyond]))[0, 1]) < 0.5


@pytest.mark.parametrize(("departure", "long_share"), [(150.0, 0.0), (60.0, 0.0), (-100.0, 1.0), (-400.0, 1.0)])
def test_a_price_far_from_the_day_ahead_price_is_almost_surely_of_its_side(departure: float, long_share: float) -> None:
    index = pd.date_range("2022-05-01", periods=2_000, freq="15min", tz="UTC")
    finals = read_finals(pd.DataFrame({PRICE: 200.0 + departure}, index=index), hourly(index, 200.0))
    assert (draw_sides(finals, seed=0) > 0.0).mean() == pytest.approx(long_share, abs=0.01)


def test_a_price_where_sides_meet_may_be_of_either(world: SimulatedMarket) -> None:
    index = pd.date_range("2022-05-01", periods=2_000, freq="15min", tz="UTC")
    finals = read_finals(pd.DataFrame({PRICE: 178.0}, index=index), hourly(index, 200.0))
    sides = draw_sides(finals, seed=0) > 0.0
    assert 0.25 < sides.mean() < 0.75
    assert (sides[1:] == sides[:-1]).mean() > 0.6


def hourly(index: pd.DatetimeIndex, price: float) -> pd.DataFrame:
    """A constant day-ahead price for the hours of an index."""
    return pd.DataFrame({DAY_AHEAD: price}, index=index.floor("h").unique())


@given(
    price=st.floats(-900.0, 1_500.0),
    imbalance_mw=st.floats(-1_500.0, 1_500.0).filter(lambda value: abs(value) > 1.0),
    previous_mw=st.floats(-1_500.0, 1_500.0),
    early=st.booleans(),
)
@examples(200)
def test_the_final_marginal_price_settles_at_the_final_price(
    price: float, imbalance_mw: float, previous_mw: float, early: bool
) -> None:
    start = np.array([epoch_minute("2022-01-10T00:00Z" if early else "2022-03-10T00:00Z")])
    values = [np.array([value]) for value in (imbalance_mw, previous_mw)]
    full = alpha_component_eur_mwh(start, *values, [0.0], [0.0])
    marginal = final_marginal_eur_mwh(start, np.array([price]), values[0], full)
    component = alpha_component_eur_mwh(start, *values, marginal, marginal)
    settled = imbalance_price_eur_mwh(start, values[0], marginal, marginal, component)
    assert settled[0] == pytest.approx(price, abs=1e-5)


def profile(table: pd.DataFrame) -> tuple[Floats, Floats, Floats, Floats]:
    """By minute [15]: median and mean |indicative - last|, sign agreement, mean |change of the mean imbalance| [14]."""
    price, imbalance = by_quarter_hour(table, PRICE), by_quarter_hour(table, IMBALANCE)
    error = np.abs(price - price[:, -1:])
    agrees = (np.sign(imbalance) == np.sign(imbalance[:, -1:])).mean(axis=0)
    return np.median(error, axis=0), error.mean(axis=0), agrees, np.abs(np.diff(imbalance, axis=1)).mean(axis=0)


def test_harsher_grades_are_less_certain_at_every_stage(world: SimulatedMarket) -> None:
    easy, matched, harsh = (
        profile(reconstruct_minutes(world.prices, world.day_ahead, grade=grade, seed=1)) for grade in GRADES
    )
    for k in (0, 2, 4, 7):
        for better, worse in ((easy, matched), (matched, harsh)):
            assert worse[0][k] > 1.15 * better[0][k]
            assert worse[1][k] > 1.05 * better[1][k]
            assert worse[2][k] < better[2][k] - 0.01
            assert worse[3][k] > 1.15 * better[3][k]


def test_the_stress_turns_sides_later_than_any_grade(world: SimulatedMarket) -> None:
    harsh, severe = (
        profile(reconstruct_minutes(world.prices, world.day_ahead, grade=grade, seed=1))
        for grade in ("harsh", "severe")
    )
    assert (severe[2][:12] < harsh[2][:12] - 0.01).all()


def test_the_genuine_day_rebuilt_from_its_final_prices_alone_has_its_profile() -> None:
    genuine = pd.read_parquet(shared_file("imbalance_minute_2024-09-06.parquet")).sort_index()
    genuine = genuine.rename(columns={"quarter_hour_utc": "quarter_hour"})
    genuine = genuine[genuine.groupby("quarter_hour")[PRICE].transform("size") == 15]
    prices = genuine.iloc[14::15].set_index("quarter_hour")[[PRICE]]
    drawn = [
        profile(reconstruct_minutes(prices, flat_day_ahead("2024-09-05 22:00", "2024-09-06 18:00"), seed=seed))
        for seed in range(30)
    ]
    median, mean, agrees, change = (np.mean([values[i] for values in drawn], axis=0) for i in range(4))
    real = profile(genuine)
    np.testing.assert_allclose(median[[0, 4]], real[0][[0, 4]], rtol=0.25)
    np.testing.assert_allclose(median[[9, 13]], real[0][[9, 13]], rtol=0.5)
    np.testing.assert_allclose(mean[[0, 4, 9]], real[1][[0, 4, 9]], rtol=0.25)
    np.testing.assert_allclose(agrees[[0, 4, 12, 13]], real[2][[0, 4, 12, 13]], atol=0.05)
    np.testing.assert_allclose(change, real[3], rtol=0.2)


def test_the_imbalance_drawn_around_prices_of_2024_has_the_real_moments() -> None:
    real = pd.read_parquet(shared_file("imbalance_qh_2024q1_all_columns.parquet")).sort_index()
    day_ahead = pd.read_parquet(shared_file("day_ahead_hourly_2024q1.parquet"))
    finals = read_finals(real, day_ahead.rename(columns={"dam_price_eur_mwh": DAY_AHEAD}))
    values = draw_sides(finals, seed=0)
    assert values.std() == pytest.approx(173.0, rel=0.1)
    assert np.corrcoef(values[:-1], values[1:])[0, 1] == pytest.approx(0.74, abs=0.05)
    assert np.corrcoef(values[:-4], values[4:])[0, 1] == pytest.approx(0.43, abs=0.1)
    assert pd.Series(values).rank().corr(pd.Series(real[PRICE].to_numpy()).rank()) == pytest.approx(-0.82, abs=0.03)
    assert (np.sign(values) == np.sign(real[IMBALANCE])).mean() > 0.98


def test_all_faults_of_the_input_are_named_at_once(world: SimulatedMarket) -> None:
    with pytest.raises(BadInput) as caught:
        reconstruct_minutes(world.prices, world.day_ahead, grade="gentle", seed=-1)
    assert [fault.where for fault in caught.value.faults] == ["seed", "grade"]
    early = pd.DataFrame({PRICE: 1.0}, index=pd.DatetimeIndex(["2019-05-01T00:07Z", "2019-05-01T00:07Z"]))
    with pytest.raises(BadInput) as caught:
        reconstruct_minutes(early, world.day_ahead, seed=0)
    assert len(caught.value.faults) == 4


@pytest.mark.parametrize("table", ["prices", "day_ahead"])
def test_a_missing_column_is_named(world: SimulatedMarket, table: str) -> None:
    tables = {"prices": world.prices, "day_ahead": world.day_ahead}
    tables[table] = tables[table].rename(columns={PRICE: "x", DAY_AHEAD: "x"})
    with pytest.raises(BadInput, match=f"{table}: lacks the column"):
        reconstruct_minutes(tables["prices"], tables["day_ahead"], seed=0)


def test_prices_that_are_all_gaps_are_refused(world: SimulatedMarket) -> None:
    with pytest.raises(BadInput, match="hold no price"):
        reconstruct_minutes(world.prices.iloc[:0], world.day_ahead, seed=0)
