"""Intervals hold what they promise, days that come in runs included, and many rivals are no licence to be lucky."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from arbitrage.backtest.bootstrap import Resampling, Statistic, draw_days, draw_seeds, statistic_of_draws
from arbitrage.backtest.statistics import AHEAD, BEHIND, UNDECIDED, compare_daily, estimate, holm, tail_estimates
from arbitrage.errors import BadInput
from arbitrage.risk import conditional_value_at_risk_eur, value_at_risk_eur

FEW = Resampling(resamples=300)
TRIALS = 400
TRUE_CVAR = -1.755
"""Of a standard normal at 10 %: minus its density at the 10 % quantile, divided by 0.1."""


def days_in_runs(trials: int, days: int, correlation: float) -> npt.NDArray[np.float64]:
    """Standard normal days [trials, days], each like the one before to that degree."""
    noise = np.random.default_rng(5).standard_normal((days, trials))
    values = noise[0]
    path = [values]
    for fresh in noise[1:]:
        values = correlation * values + np.sqrt(1.0 - correlation**2) * fresh
        path.append(values)
    return np.array(path).T


def coverage(
    samples: npt.NDArray[np.float64], truth: float, resampling: Resampling, statistic: Statistic = Statistic.MEAN
) -> float:
    """Share of the samples [trials, days] whose interval holds the truth."""
    found = [estimate(sample, statistic, resampling=resampling) for sample in samples]
    return float(np.mean([one.low_eur <= truth <= one.high_eur for one in found]))


def test_every_draw_has_as_many_days_as_the_sample_in_blocks_of_neighbours() -> None:
    counts = draw_days(10, Resampling(block_days=5, resamples=200))
    assert (counts.sum(axis=1) == 10).all()
    # Two blocks of five days, which may wrap round the end: no day is drawn more than twice, and the days drawn once
    # or more are at most two runs on the circle.
    assert counts.max() == 2.0
    drawn = counts > 0
    assert (drawn & ~np.roll(drawn, 1, axis=1)).sum(axis=1).max() <= 2


def test_every_day_is_drawn_as_often_as_any_other() -> None:
    counts = draw_days(12, Resampling(block_days=4, resamples=20_000))
    np.testing.assert_allclose(counts.mean(axis=0), 1.0, atol=0.05)


def test_days_in_one_block_are_drawn_whole() -> None:
    assert (draw_days(9, Resampling(block_days=40)) == 1.0).all()


@pytest.mark.parametrize(("days", "block"), [(1, 1), (4, 1), (12, 2), (65, 7), (365, 7)])
def test_a_block_is_a_week_where_there_are_five_of_them(days: int, block: int) -> None:
    assert Resampling().block_of(days) == block


def test_settings_that_make_no_sense_are_refused_together() -> None:
    with pytest.raises(BadInput) as refused:
        Resampling(block_days=0, resamples=3, confidence_fraction=1.0)
    assert [fault.where for fault in refused.value.faults] == ["block_days", "resamples", "confidence_fraction"]


@given(st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=40), st.floats(0.05, 1.0))
def test_a_sample_drawn_as_it_is_has_the_risk_that_the_risk_measures_say(daily_eur: list[float], level: float) -> None:
    sample, once = np.array(daily_eur), np.ones((1, len(daily_eur)))
    assert statistic_of_draws(Statistic.MEAN, sample, once, level)[0] == pytest.approx(sample.mean(), abs=1e-9)
    found = statistic_of_draws(Statistic.VAR, sample, once, level)[0]
    assert found == value_at_risk_eur(sample, level)
    found = statistic_of_draws(Statistic.CVAR, sample, once, level)[0]
    assert found == pytest.approx(conditional_value_at_risk_eur(sample, level), abs=1e-6)


def test_a_day_drawn_thrice_counts_thrice() -> None:
    sample, counts = np.array([10.0, -5.0, 2.0]), np.array([[0.0, 3.0, 0.0], [1.0, 0.0, 2.0]])
    for statistic, of_sample in ((Statistic.VAR, value_at_risk_eur), (Statistic.CVAR, conditional_value_at_risk_eur)):
        expected = [of_sample([-5.0, -5.0, -5.0], 0.5), of_sample([2.0, 2.0, 10.0], 0.5)]
        assert statistic_of_draws(statistic, sample, counts, 0.5) == pytest.approx(expected)


@pytest.mark.parametrize("days", [30, 65, 180])
def test_95_percent_intervals_hold_the_mean_of_independent_days_95_times_of_100(days: int) -> None:
    assert coverage(days_in_runs(TRIALS, days, 0.0), 0.0, FEW) == pytest.approx(0.95, abs=0.025)


def test_where_days_come_in_runs_blocks_hold_the_mean_and_single_days_do_not() -> None:
    samples = days_in_runs(TRIALS, 120, 0.4)
    alone = coverage(samples, 0.0, Resampling(block_days=1, resamples=300))
    in_blocks = coverage(samples, 0.0, FEW)
    assert alone < 0.85
    assert in_blocks > 0.90


@pytest.mark.parametrize("statistic", [Statistic.VAR, Statistic.CVAR])
def test_intervals_of_the_tail_hold_it(statistic: Statistic) -> None:
    truth = TRUE_CVAR if statistic is Statistic.CVAR else -1.2816
    assert coverage(days_in_runs(TRIALS, 180, 0.0), truth, FEW, statistic) == pytest.approx(0.95, abs=0.03)


def test_an_interval_is_as_wide_as_theory_says() -> None:
    # 400 independent days of 50 EUR: a standard error of 2.5 EUR, 4.9 either way, stretched by 1.03.
    days = np.random.default_rng(3).normal(100.0, 50.0, 400)
    found = estimate(days, resampling=Resampling(block_days=1))
    assert found.value_eur == pytest.approx(days.mean())
    assert found.high_eur - found.low_eur == pytest.approx(9.8, rel=0.1)
    assert found == estimate(days, resampling=Resampling(block_days=1))


def test_seeds_that_differ_widen_the_interval_as_much_as_a_mean_of_so_many_seeds_varies() -> None:
    # Days do not vary, seeds do: 5 of them around 0 with a spread of 30. The variance of their mean is 30^2 / 5.
    levels = 30.0 * np.array([-1.5, -0.5, 0.0, 0.5, 1.5]) / np.std([-1.5, -0.5, 0.0, 0.5, 1.5], ddof=1)
    weights = draw_seeds(5, Resampling(resamples=40_000), 0)
    np.testing.assert_allclose(weights.sum(axis=1), 1.0)
    assert (weights @ levels).std() == pytest.approx(30.0 / np.sqrt(5.0), rel=0.02)
    one_seed = np.random.default_rng(0).normal(0.0, 1.0, 60)
    narrow, wide = estimate(one_seed), estimate(one_seed + levels[:, None])
    assert narrow.high_eur - narrow.low_eur < 1.0
    assert wide.high_eur - wide.low_eur > 40.0


def test_the_tails_are_the_mean_over_seeds_of_each_ones_own() -> None:
    seeds = np.array([np.arange(20.0), 10.0 + np.arange(20.0)])
    value_at_risk, conditional = tail_estimates(seeds)
    # The worst tenth of 20 days are two: 0 and 1, or 10 and 11.
    assert value_at_risk.value_eur == pytest.approx((1.0 + 11.0) / 2.0)
    assert conditional.value_eur == pytest.approx((0.5 + 10.5) / 2.0)
    assert conditional.low_eur < conditional.value_eur < conditional.high_eur


def contest(days: int = 120) -> pd.DataFrame:
    """Mine, one clearly worse, one that differs by noise alone, one clearly better; all share the weather."""
    random = np.random.default_rng(11)
    weather, noise = random.normal(500.0, 300.0, days), random.normal(0.0, 20.0, (3, days))
    return pd.DataFrame(
        {"mine": weather, "worse": weather - 30.0 + noise[0], "same": weather + noise[1], "better": weather + 25.0}
    )


def test_leads_are_paired_by_day_and_told_in_words() -> None:
    daily = contest()
    table = compare_daily(daily, "mine")
    assert table.index.tolist() == ["worse", "same", "better"]
    assert table["verdict"].tolist() == [AHEAD, UNDECIDED, BEHIND]
    lead = daily["mine"] - daily["worse"]
    assert table.loc["worse", "lead_eur"] == pytest.approx(lead.mean())
    assert table.loc["worse", "days_ahead_fraction"] == (lead > 0.0).mean()
    # The weather is common and cancels: its standard error alone is 27 EUR.
    assert table.loc["worse", "lead_high_eur"] - table.loc["worse", "lead_low_eur"] < 12.0
    # 25 EUR on every day is certain.
    assert table.loc["better", ["lead_low_eur", "lead_high_eur"]].tolist() == pytest.approx([-25.0, -25.0])


def test_simultaneous_intervals_are_wider_and_agree_with_single_ones_where_there_is_one_rival() -> None:
    table = compare_daily(contest(), "mine")
    single = table["lead_high_eur"] - table["lead_low_eur"]
    together = table["simultaneous_high_eur"] - table["simultaneous_low_eur"]
    assert (together["worse"], together["same"]) > (single["worse"], single["same"])
    alone = compare_daily(contest()[["mine", "worse"]], "mine").iloc[0]
    assert alone["simultaneous_high_eur"] == pytest.approx(alone["lead_high_eur"], abs=1.0)


def test_one_of_many_equal_rivals_is_seldom_called_beaten() -> None:
    # Twelve rivals that differ from mine by noise: unadjusted, about one in two contests would name a winner.
    random = np.random.default_rng(2)
    adjusted, raw = 0, 0
    for _ in range(150):
        mine, noise = random.normal(0.0, 1.0, 60), random.normal(0.0, 1.0, (12, 60))
        daily = {"mine": mine} | {f"rival {at}": mine + own for at, own in enumerate(noise)}
        table = compare_daily(daily, "mine", resampling=Resampling(block_days=1, resamples=2000))
        adjusted += bool((table["verdict"] != UNDECIDED).any())
        raw += bool((table["p_value"] < 0.05).any())
    assert adjusted / 150 <= 0.09
    assert raw / 150 > 0.25


def test_the_verdict_of_one_rival_is_what_its_interval_says() -> None:
    random = np.random.default_rng(8)
    for shift in np.linspace(0.0, 0.6, 13):
        lead = random.normal(shift, 1.0, 50)
        row = compare_daily({"mine": lead, "rival": np.zeros(50)}, "mine").iloc[0]
        excludes_zero = row["lead_low_eur"] > 0.0 or row["lead_high_eur"] < 0.0
        assert (row["verdict"] != UNDECIDED) == excludes_zero


def test_strategies_that_do_the_same_are_not_told_apart() -> None:
    row = compare_daily({"one": np.arange(9.0), "other": np.arange(9.0)}, "one").iloc[0]
    assert (row["lead_eur"], row["p_value"], row["verdict"]) == (0.0, 1.0, UNDECIDED)


def test_leads_of_the_tail_compare_tails() -> None:
    calm, wild = np.full(200, 10.0), 10.0 + 40.0 * np.random.default_rng(1).standard_normal(200)
    row = compare_daily({"calm": calm, "wild": wild}, "calm", Statistic.CVAR).iloc[0]
    assert row["lead_eur"] == pytest.approx(10.0 - conditional_value_at_risk_eur(wild, 0.1))
    assert row["verdict"] == AHEAD


def test_a_lead_over_several_seeds_is_less_sure_than_over_the_mean_of_them() -> None:
    random = np.random.default_rng(4)
    days = random.normal(0.0, 10.0, 90)
    seeds = days + random.normal(5.0, 15.0, (5, 1))
    by_seed = compare_daily({"mine": seeds, "rival": days}, "mine").iloc[0]
    by_mean = compare_daily({"mine": seeds.mean(axis=0), "rival": days}, "mine").iloc[0]
    assert by_seed["lead_eur"] == pytest.approx(by_mean["lead_eur"])
    assert by_seed["lead_high_eur"] - by_seed["lead_low_eur"] > 5.0
    assert by_mean["lead_high_eur"] - by_mean["lead_low_eur"] < 1e-9


@pytest.mark.parametrize(("days", "verdict"), [(1, UNDECIDED), (5, UNDECIDED), (6, AHEAD)])
def test_no_p_value_is_smaller_than_the_chance_that_all_days_lie_on_one_side(days: int, verdict: str) -> None:
    row = compare_daily({"mine": np.full(days, 10.0), "rival": np.zeros(days)}, "mine").iloc[0]
    assert row["p_value"] == 2.0 ** (1 - days)
    assert row["verdict"] == verdict


@pytest.mark.parametrize("statistic", Statistic)
def test_one_day_gives_a_figure_and_no_interval(statistic: Statistic) -> None:
    found = estimate([7.0], statistic)
    assert (found.value_eur, found.interval) == (7.0, None)
    assert estimate([[7.0], [9.0]], statistic).interval is None
    row = compare_daily({"mine": [7.0], "rival": [0.0]}, "mine", statistic).iloc[0]
    assert row.filter(regex="low|high").isna().all()


def test_holm_adjusts_as_worked_by_hand() -> None:
    # Sorted 0.01, 0.02, 0.03, 0.5 times 4, 3, 2, 1: 0.04, 0.06, 0.06, 0.5, and never falling.
    assert holm([0.03, 0.01, 0.5, 0.02]) == pytest.approx([0.06, 0.04, 0.5, 0.06])
    assert holm([0.6, 0.9]).tolist() == [1.0, 1.0]
    assert holm([]).tolist() == []


def test_what_cannot_be_compared_is_refused_with_every_name() -> None:
    with pytest.raises(BadInput) as refused:
        compare_daily({"mine": np.zeros(3), "short": np.zeros(2), "long": np.zeros((2, 5))}, "mine")
    assert [fault.where for fault in refused.value.faults] == ["short", "long"]
    with pytest.raises(BadInput, match="is none of the strategies mine"):
        compare_daily({"mine": np.zeros(3)}, "yours")
    with pytest.raises(BadInput, match="not a finite number"):
        estimate([1.0, np.nan])
    with pytest.raises(BadInput, match="not empty"):
        estimate([])
