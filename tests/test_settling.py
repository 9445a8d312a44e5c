"""Energy is paid its price by one function; actions, steps and known profit worked by hand."""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from arbitrage.battery import Battery, BatteryState
from arbitrage.quarter_hour import energy_mwh
from arbitrage.settling import (
    CHARGE,
    DISCHARGE,
    IDLE,
    KnownProfit,
    action_power_mw,
    greedy_action,
    possible_power_mw,
    reveal_settled,
    settle_eur,
    settle_power_eur,
    step_and_settle,
)
from tests.examples import examples
from tests.worlds import batteries

ROOT = Path(__file__).resolve().parents[1]
KERNEL = "arbitrage/settling.py"
PRICE = re.compile(r"price|eur_mwh|forecast$")
ENERGY = re.compile(r"energy|(?<!eur)_mwh$|^net$|^unit$|charge(d|_mwh)?$|power|drawn|flow|volume|activated|sold|bought")
ELSEWHERE = {
    ("arbitrage/battery.py", "wear_cost_eur"): "wear is part of the battery law",
    ("arbitrage/backtest/ledger.py", "violations"): "the check of the ledger has arithmetic of its own",
    ("arbitrage/backtest/fleet/loops.py", "broken_rules"): "the check of a fleet has arithmetic of its own",
    ("arbitrage/market/reconstruction/prices.py", "_walk"): "a volume-weighted mean of the bids of others",
    ("arbitrage/market/simulation/merit_order.py", "_marginal_prices"): "a volume-weighted mean of the bids of others",
    ("arbitrage/policies/closed_form/risk_head.py", "read_context"): "the scale of a feature; no energy flows",
}
"""Products of a price and a power or an energy that do not settle a battery's energy."""


def names(node: ast.AST) -> Iterator[str]:
    for part in ast.walk(node):
        if isinstance(part, ast.Name):
            yield part.id
        elif isinstance(part, ast.Attribute):
            yield part.attr
        elif isinstance(part, ast.Constant) and isinstance(part.value, str):
            yield part.value


def pays(node: ast.AST) -> bool:
    """Whether a node multiplies something called a price by something called an energy or a power."""
    if isinstance(node, ast.BinOp):
        sides = node.left, node.right
    elif isinstance(node, ast.AugAssign):
        sides = node.target, node.value
    else:
        return False
    if not isinstance(node.op, ast.Mult | ast.MatMult):
        return False
    left, right = (set(names(side)) for side in sides)
    return any(
        any(PRICE.search(name) for name in one) and any(ENERGY.search(name) for name in other)
        for one, other in ((left, right), (right, left))
    )


def products(tree: ast.AST, function: str = "") -> Iterator[tuple[str, int]]:
    """Products of price and energy below a tree: the function around each, and its line."""
    for node in ast.iter_child_nodes(tree):
        inside = node.name if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) else function
        if pays(node):
            yield inside, node.lineno
        yield from products(node, inside)


FOUND = {
    (path.relative_to(ROOT).as_posix(), function)
    for part in ("arbitrage", "api")
    for path in sorted((ROOT / part).rglob("*.py"))
    for function, _ in products(ast.parse(path.read_text(encoding="utf-8")))
}


def test_price_times_energy_is_written_in_the_kernel_only() -> None:
    assert {(path, function) for path, function in FOUND if path != KERNEL} == set(ELSEWHERE)
    assert {function for path, function in FOUND if path == KERNEL} == {"settle_eur", "settle_power_eur"}


@pytest.mark.parametrize(
    "line",
    [
        "cash += price * energy",
        "price * (foresight.discharge_mwh - foresight.charge_mwh)",
        "lattice.energy_mwh[action, node] * forecast",
        "prices[t] * power * step_h",
        "ledger['imbalance_price_eur_mwh'].fillna(0.0) * flow",
        "price_eur_mwh @ energy_mwh",
        "price *= net",
        "unit * (price * law.discharge_efficiency - law.wear_cost_eur_mwh)",
    ],
)
def test_a_product_of_price_and_energy_is_found(line: str) -> None:
    assert list(products(ast.parse(line)))


@pytest.mark.parametrize("line", ["price * law.discharge_efficiency", "power_mw * duration_h", "price - energy_mwh"])
def test_other_arithmetic_is_not_taken_for_it(line: str) -> None:
    assert not list(products(ast.parse(line)))


def test_energy_earns_its_price_and_a_negative_price_turns_it_round() -> None:
    # discharging 0.25 MWh at 80 earns 20; at -80 it costs 20; charging 0.5 MWh at -80 earns 40
    prices, energies = np.array([80.0, -80.0, -80.0]), np.array([0.25, 0.25, -0.5])
    assert settle_eur(prices, energies).tolist() == [20.0, -20.0, 40.0]
    assert settle_eur(pd.Series(prices), energies).tolist() == [20.0, -20.0, 40.0]
    assert [settle_eur(price, energy) for price, energy in zip(prices, energies, strict=True)] == [20.0, -20.0, 40.0]
    # 2 MW for a quarter-hour at 80: 0.5 MWh, 40 EUR
    assert settle_power_eur(80.0, 2.0, 0.25) == 40.0


@examples(60)
@given(
    battery=batteries(),
    price=st.floats(-5000.0, 5000.0),
    share=st.floats(-2.0, 2.0),
    where=st.floats(0.0, 1.0),
    step_min=st.sampled_from([1, 3, 5, 15]),
)
def test_a_step_is_that_of_the_battery_and_is_paid_for_what_flowed(
    battery: Battery, price: float, share: float, where: float, step_min: int
) -> None:
    law = battery.law
    state = BatteryState(law.min_soc_mwh + where * (law.max_soc_mwh - law.min_soc_mwh), 0.1)
    asked_mw = share * battery.power_mw
    flow = battery.step(state, asked_mw, step_min)
    soc_mwh, cycles, cash_eur, wear_eur = step_and_settle(
        law, state.soc_mwh, state.cycles_used, asked_mw, price, step_min / 60
    )
    assert (soc_mwh, cycles, wear_eur) == (flow.after.soc_mwh, flow.after.cycles_used, flow.wear_eur)
    expected = settle_eur(price, energy_mwh(flow.power_mw, step_min))
    assert cash_eur == pytest.approx(expected, rel=1e-14, abs=1e-300)


@pytest.mark.parametrize(
    ("charge_eur", "discharge_eur", "action"),
    [
        (2.0, 1.0, CHARGE),
        (1.0, 2.0, DISCHARGE),
        (1.0, 1.0, CHARGE),
        (-1.0, 1.0, DISCHARGE),
        (0.0, 0.0, IDLE),
        (-1.0, -2.0, IDLE),
        (-math.inf, 3.0, DISCHARGE),
        (math.nan, 3.0, DISCHARGE),
        (math.nan, math.nan, IDLE),
    ],
)
def test_the_larger_positive_gain_is_taken(charge_eur: float, discharge_eur: float, action: int) -> None:
    assert greedy_action(charge_eur, discharge_eur) == action


def test_an_action_asks_for_the_rating_of_its_direction() -> None:
    law = Battery(power_mw=2.0, import_limit_mw=0.5).law
    assert [action_power_mw(law, action) for action in (CHARGE, DISCHARGE, IDLE)] == [-0.5, 2.0, 0.0]


def test_what_moves_no_more_than_rounding_moves_nothing() -> None:
    # 2 MWh from empty to full; a discharge of 1 MW for a quarter-hour draws 0.25 / 0.9 MWh.
    law = Battery().law
    assert possible_power_mw(law, 1.0, 0.0, DISCHARGE, 1.0, 0.25) == 1.0
    assert possible_power_mw(law, 1.0, 0.0, CHARGE, 0.5, 0.25) == -0.5
    assert possible_power_mw(law, 0.0, 0.0, DISCHARGE, 1.0, 0.25) == 0.0
    assert possible_power_mw(law, 1e-10, 0.0, DISCHARGE, 1.0, 0.25) == 0.0
    assert possible_power_mw(law, 1e-8, 0.0, DISCHARGE, 1.0, 0.25) == pytest.approx(3.6e-8, rel=1e-12)
    assert possible_power_mw(law, 2.0, 0.0, CHARGE, 1.0, 0.25) == 0.0


def test_several_batteries_know_their_profits_side_by_side() -> None:
    known = KnownProfit(np.zeros(2))
    wear = np.array([1.0, 2.0])
    known.pay_wear(wear)
    wear[:] = 99.0
    known.settle(15, 17, np.array([10.0, -10.0]))
    assert known.today_eur(16).tolist() == [-1.0, -2.0]
    assert known.today_eur(17).tolist() == [9.0, -12.0]
    known.begin_day()
    assert known.today_eur(30).tolist() == [0.0, 0.0]


@examples(40)
@given(data=st.data(), late_min=st.integers(0, 50), rows=st.integers(1, 12))
def test_compiled_rows_are_revealed_as_a_known_profit_reveals_them(
    data: st.DataObject, late_min: int, rows: int
) -> None:
    amounts = data.draw(st.lists(st.integers(-100, 100), min_size=rows, max_size=rows))
    settled = np.array(amounts, dtype=np.float64)[:, None]
    published = 15 * np.arange(1, rows + 1) + late_min
    profit, compiled, due = KnownProfit(0.0), np.zeros(1), 0
    for row in range(rows):
        profit.settle(15 * (row + 1), int(published[row]), float(settled[row, 0]))
        for now in range(15 * (row + 1), 15 * (row + 2)):
            due = reveal_settled(compiled, settled, published, now, due, row + 1)
            assert compiled[0] == profit.today_eur(now)
