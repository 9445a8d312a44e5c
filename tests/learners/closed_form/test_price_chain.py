"""The price chain: what it counts, and its dynamic programme on two quarter-hours solved by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from arbitrage.battery import Battery
from arbitrage.learners.closed_form.chain_fit import fit_chain, with_innovations
from arbitrage.policies.closed_form.lattice import Lattice, LatticeSize, make_lattice
from arbitrage.policies.closed_form.price_chain import (
    ChainSize,
    DayPlans,
    DecisionQueries,
    PriceChain,
    continuation_advantages,
    gap_that_implies,
)
from arbitrage.settling import CHARGE, DISCHARGE
from tests.examples import examples

EMPTY, FULL = 0, 1
STAY = np.eye(4)
EITHER = np.kron(np.full((2, 2), 0.5), np.eye(2))
"""The fast gap is drawn anew, the slow one stays."""


@examples(20)
@given(seed=st.integers(0, 2**32 - 1), count=st.integers(60, 400), size=st.sampled_from([(13, 3), (5, 2)]))
def test_the_rows_of_a_fitted_chain_are_distributions_and_its_centres_ascend(
    seed: int, count: int, size: tuple[int, int]
) -> None:
    random = np.random.default_rng(seed)
    fast = np.cumsum(random.normal(size=count)) * 0.3
    followed = np.append(np.full(count - 1, True), False)
    chain = fit_chain(fast, random.normal(size=count), followed, ChainSize(*size))
    states = size[0] * size[1]
    assert chain.transitions.shape == (states, states)
    np.testing.assert_allclose(chain.transitions.sum(axis=1), 1.0, atol=1e-12)
    assert (chain.transitions >= 0.0).all()
    for centres, number in ((chain.fast_centres, size[0]), (chain.slow_centres, size[1])):
        assert len(centres) == number
        assert np.isfinite(centres).all()
        assert (np.diff(centres) >= 0.0).all()


def test_a_gap_that_climbs_bin_by_bin_is_counted_as_climbing() -> None:
    # 13 bins of ten rows each; the slow gap runs through its three bins within each. From the last row of a fast bin
    # the next one follows; the move across an unmarked row is not counted.
    fast = np.repeat(np.arange(13.0), 9)
    slow = np.tile(np.repeat([0.0, 1.0, 2.0], 3), 13)
    followed = np.append(np.full(len(fast) - 1, True), False)
    chain = fit_chain(fast, slow, followed)
    np.testing.assert_allclose(chain.fast_centres, np.arange(13.0))
    np.testing.assert_allclose(chain.slow_centres, [0.0, 1.0, 2.0])
    np.testing.assert_allclose(chain.centres, np.repeat(np.arange(13.0), 3))
    # State 0 holds rows 0 to 2: two moves within it, one to the next slow bin.
    np.testing.assert_allclose(chain.transitions[0, :3], [2 / 3, 1 / 3, 0.0])
    # From the highest slow bin of fast bin 4 to the lowest of fast bin 5.
    np.testing.assert_allclose(chain.transitions[4 * 3 + 2, 5 * 3], 1 / 3)
    followed[8] = False
    assert fit_chain(fast, slow, followed).transitions[2, 3] == 0.0


def test_a_state_that_was_never_left_goes_anywhere() -> None:
    fast = np.repeat(np.arange(13.0), 9)
    slow = np.tile(np.repeat([0.0, 1.0, 2.0], 3), 13)
    chain = fit_chain(fast, slow, np.zeros(len(fast), dtype=np.bool_))
    np.testing.assert_allclose(chain.transitions, 1.0 / 39.0)


def chain_of(transitions: np.ndarray) -> PriceChain:
    """Fast gaps -1 and 1, slow gaps 0 and 1."""
    fast, slow, centres = np.array([-1.0, 1.0]), np.array([0.0, 1.0]), np.array([-1.0, -1.0, 1.0, 1.0])
    return PriceChain(fast, slow, centres, transitions, np.zeros(1), np.zeros(1))


@pytest.fixture(scope="module")
def lattice() -> Lattice:
    """Empty and full, 0.25 MWh without losses."""
    return make_lattice(
        Battery(capacity_mwh=0.25, charge_efficiency=1.0, discharge_efficiency=1.0), 15, LatticeSize(2, 2)
    )


def asked(lattice: Lattice, chain: PriceChain, plans: DayPlans, *questions: tuple[int, float, float]) -> np.ndarray:
    rows, fast, slow = (np.array(column) for column in zip(*questions, strict=True))
    return continuation_advantages(lattice, chain, plans, DecisionQueries(rows, fast.astype(float), slow.astype(float)))


def one_day(expected: list[float], scale: float, end_value: tuple[float, float] = (0.0, 0.0)) -> DayPlans:
    count = len(expected)
    return DayPlans(np.array(expected), np.full(count, scale), np.array([0, count]), np.array([end_value]))


@pytest.mark.parametrize(("fast", "worth"), [(1.0, 15.0), (-1.0, 10.0), (0.0, 12.5), (0.5, 13.75), (7.0, 15.0)])
def test_energy_is_worth_the_price_that_a_lasting_gap_foretells(lattice: Lattice, fast: float, worth: float) -> None:
    # The next quarter-hour is planned at 50 and costs 60 or 40 by the gap: 0.25 MWh sell for 15 or 10; in between,
    # in between; beyond the outermost bins, as at them.
    found = asked(lattice, chain_of(STAY), one_day([50.0, 50.0], 10.0), (0, fast, 0.0))
    assert found[0, CHARGE, EMPTY] == pytest.approx(worth, abs=1e-5)
    assert found[0, DISCHARGE, FULL] == pytest.approx(-worth, abs=1e-5)
    assert found[0, CHARGE, FULL] == found[0, DISCHARGE, EMPTY] == 0.0


def test_a_gap_that_is_forgotten_leaves_the_mean_over_what_may_come(lattice: Lattice) -> None:
    # Half of 15 and half of 10. Planned at 0 with a scale of 40, full sells at 40 for 10, empty is paid 10 at -40:
    # both are worth 5 on average, so energy is worth nothing more than room.
    plain = asked(lattice, chain_of(EITHER), one_day([50.0, 50.0], 10.0), (0, 1.0, 0.0))
    assert plain[0, CHARGE, EMPTY] == pytest.approx(12.5, abs=1e-5)
    both_ways = asked(lattice, chain_of(EITHER), one_day([0.0, 0.0], 40.0), (0, 1.0, 0.0))
    assert both_ways[0, CHARGE, EMPTY] == pytest.approx(0.0, abs=1e-5)


def test_two_steps_ahead_the_better_of_two_prices_is_taken(lattice: Lattice) -> None:
    # No spread of gaps: 40 then 60 to come. Full sells at 60 for 15; empty buys at 40 for 10 and sells: 5.
    found = asked(lattice, chain_of(STAY), one_day([50.0, 40.0, 60.0], 0.0), (0, 0.0, 0.0), (1, 0.0, 0.0))
    np.testing.assert_allclose(found[:, CHARGE, EMPTY], [15.0 - 5.0, 15.0], atol=1e-5)


@pytest.fixture(scope="module")
def worn() -> Lattice:
    """The same, losing 2 for each discharge: without any loss energy is worth the next price, whatever is learned."""
    battery = Battery(capacity_mwh=0.25, charge_efficiency=1.0, discharge_efficiency=1.0, wear_cost_eur_mwh=8.0)
    return make_lattice(battery, 15, LatticeSize(2, 2))


def test_news_within_the_quarter_hour_is_worth_what_waiting_for_it_earns(worn: Lattice) -> None:
    # The next quarter-hour is planned at 0 and costs 40 by the gap: full sells for 10 - 2. News makes that 120 or -40:
    # full sells for 28 or keeps, 14 on average; empty is paid 10 at -40, 5 on average.
    chain, plans = chain_of(STAY), one_day([0.0, 0.0], 40.0)
    plain = asked(worn, chain, plans, (0, 1.0, 0.0))
    told = asked(worn, chain._replace(surprises=np.array([2.0, -2.0]), shifts=np.zeros(2)), plans, (0, 1.0, 0.0))
    assert plain[0, CHARGE, EMPTY] == pytest.approx(8.0, abs=1e-5)
    assert told[0, CHARGE, EMPTY] == pytest.approx(14.0 - 5.0, abs=1e-5)
    assert told[0, DISCHARGE, FULL] == pytest.approx(-9.0, abs=1e-5)


def test_news_moves_the_gap_of_what_follows(worn: Lattice) -> None:
    # Two quarter-hours ahead, planned at 50 with a scale of 10, the gap now being -1. Without news both cost 40: full
    # sells for 8, empty does nothing. News that moves the gap up by 2 and tells no price: the first costs 40 and the
    # second 60, so that full waits for 13 and empty buys for 10 to sell for 13.
    chain, plans = chain_of(STAY), one_day([50.0, 50.0, 50.0], 10.0)
    told = chain._replace(surprises=np.zeros(1), shifts=np.array([2.0]))
    assert asked(worn, chain, plans, (0, -1.0, 0.0))[0, CHARGE, EMPTY] == pytest.approx(8.0, abs=1e-5)
    assert asked(worn, told, plans, (0, -1.0, 0.0))[0, CHARGE, EMPTY] == pytest.approx(13.0 - 3.0, abs=1e-5)


def test_news_is_kept_in_equally_filled_bins() -> None:
    surprise = np.array([[3.0], [-3.0], [1.0], [-1.0], [2.0], [-2.0]])
    chain = with_innovations(
        chain_of(STAY), np.hstack([surprise, 10.0 * surprise]), np.hstack([2.0 * surprise, surprise])
    )
    assert chain.surprises.tolist() == [-2.5, 0.0, 2.5, -25.0, 0.0, 25.0]
    assert chain.shifts.tolist() == [-5.0, 0.0, 5.0, -2.5, 0.0, 2.5]


def test_a_forecast_of_the_next_gap_is_asked_about_as_the_gap_that_implies_it() -> None:
    # STAY expects the gap to stay; a chain that keeps the gap three times in four expects half of it.
    keep = np.kron(np.array([[0.75, 0.25], [0.25, 0.75]]), np.full((2, 2), 0.5))
    np.testing.assert_allclose(gap_that_implies(chain_of(STAY), np.array([0.3, -0.8])), [0.3, -0.8], atol=1e-12)
    np.testing.assert_allclose(gap_that_implies(chain_of(keep), np.array([0.3, -0.8])), [0.6, -1.6], atol=1e-12)


def test_at_the_end_of_the_day_energy_has_the_value_given(lattice: Lattice) -> None:
    found = asked(lattice, chain_of(STAY), one_day([50.0], 10.0, end_value=(2.0, 9.0)), (0, 1.0, 1.0))
    assert found[0, CHARGE, EMPTY] == pytest.approx(7.0, abs=1e-5)


def test_days_do_not_know_each_other_and_questions_may_repeat_a_row(lattice: Lattice) -> None:
    plans = DayPlans(
        np.array([50.0, 50.0, 90.0, 90.0]), np.full(4, 10.0), np.array([0, 2, 4]), np.array([[0.0, 0.0], [0.0, 0.0]])
    )
    questions = ((0, 1.0, 0.0), (0, -1.0, 0.0), (1, 1.0, 0.0), (2, 1.0, 0.0))
    found = asked(lattice, chain_of(STAY), plans, *questions)
    # 60 and 40 ahead; nothing ahead at the day's end; 100 ahead on the second day.
    np.testing.assert_allclose(found[:, CHARGE, EMPTY], [15.0, 10.0, 0.0, 25.0], atol=1e-5)
    alone = np.concatenate([asked(lattice, chain_of(STAY), plans, question) for question in questions])
    np.testing.assert_array_equal(found, alone)


def test_gaps_that_are_all_alike_leave_numbers(lattice: Lattice) -> None:
    flat = np.zeros(60)
    chain = fit_chain(flat, flat, np.append(np.full(59, True), False))
    found = asked(lattice, chain, one_day([50.0, 50.0], 10.0), (0, 0.0, 0.0), (0, 1.0, -1.0))
    assert np.isfinite(found).all()
