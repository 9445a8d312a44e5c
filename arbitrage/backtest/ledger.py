"""The ledger: one row per quarter-hour, and the check that it keeps the rules.

Contract: the books are checked by other arithmetic than made them. `violations` recomputes energy, state of charge,
cycles and cash from the flows alone, with plain array sums, and says which rows break which rule.
"""

from __future__ import annotations

import numba
import numpy as np
import numpy.typing as npt
import pandas as pd

from arbitrage.arrays import Floats
from arbitrage.battery import Battery, BatteryLaw
from arbitrage.market.series import MarketSeries
from arbitrage.quarter_hour import QUARTER_HOUR_H, calendar_day, utc_timestamps
from arbitrage.settling import settle_eur

TOLERANCE = 1e-9
"""Rounding allowed in MWh and EUR for each MWh that the battery can hold or move; see `rounding`."""


COLUMNS = (
    "span",
    "brussels_day",
    "imbalance_price_eur_mwh",
    "charge_mwh",
    "discharge_mwh",
    "net_energy_mwh",
    "soc_start_mwh",
    "soc_end_mwh",
    "cycles_used",
    "cash_eur",
    "wear_eur",
    "profit_eur",
    "settled",
)
"""charge and discharge are grid-side and not negative; cycles_used counts from Brussels midnight to the row's end."""


@numba.njit(cache=True, nogil=True)
def rounding(law: BatteryLaw) -> float:
    """Rounding allowed in MWh and EUR: a share of the capacity, or of a quarter-hour's energy where that is more.

    In cycles it is as much divided by the capacity.
    """
    rating_mw = max(law.charge_power_mw, law.discharge_power_mw)
    return TOLERANCE * max(law.capacity_mwh, rating_mw * QUARTER_HOUR_H)


def make_ledger(
    market: MarketSeries,
    rows: npt.NDArray[np.int64],
    span_of_row: npt.NDArray[np.int64],
    columns: dict[str, Floats],
) -> pd.DataFrame:
    """Settle flows at the final prices.

    rows, span_of_row: shape [n]; columns: charge_mwh, discharge_mwh, soc_start_mwh, soc_end_mwh, cycles_used, wear_eur,
    shape [n] each. The result is indexed by the UTC start of the quarter-hour.
    """
    price = market.price_eur_mwh[rows]
    net = columns["discharge_mwh"] - columns["charge_mwh"]
    cash = settle_eur(np.where(np.isnan(price), 0.0, price), net)
    ledger = pd.DataFrame(
        {
            "span": span_of_row,
            "brussels_day": pd.to_datetime([calendar_day(int(day)) for day in market.day_numbers[rows]]),
            "imbalance_price_eur_mwh": price,
            **columns,
            "net_energy_mwh": net,
            "cash_eur": cash,
            "profit_eur": cash - columns["wear_eur"],
            "settled": ~np.isnan(price),
        },
        index=utc_timestamps(market.quarter_hours[rows]).rename("quarter_hour"),
    )
    return ledger[[*COLUMNS, *(name for name in columns if name not in COLUMNS)]]


def violations(ledger: pd.DataFrame, battery: Battery) -> pd.DataFrame:
    """Rows that break a rule: columns `rule` and `excess` (MWh, cycles or EUR), indexed by quarter-hour.

    Rules: power rating, SoC window, SoC balance, daily cycle budget, cash = price x net energy, wear, profit, no energy
    moved where nothing is settled, energy carried from row to row within a span, and none at a span's start. What is
    not a number breaks the rule.
    """
    law = battery.law
    charge, discharge = ledger["charge_mwh"].to_numpy(), ledger["discharge_mwh"].to_numpy()
    start, end = ledger["soc_start_mwh"].to_numpy(), ledger["soc_end_mwh"].to_numpy()
    drawn = discharge / law.discharge_efficiency
    same_span = ledger["span"].diff().eq(0).to_numpy()
    carried = np.where(same_span, np.concatenate((start[:1], end[:-1])), law.min_soc_mwh)
    used = pd.Series(drawn / law.capacity_mwh).groupby([ledger["span"].to_numpy(), ledger["brussels_day"].to_numpy()])
    cash, wear = ledger["cash_eur"].to_numpy(), ledger["wear_eur"].to_numpy()
    price = np.nan_to_num(ledger["imbalance_price_eur_mwh"].to_numpy())
    moved = np.where(ledger["settled"], 0.0, charge + discharge)
    excess = {
        "negative_flow": np.maximum(-charge, -discharge),
        "charge_power": charge - law.charge_power_mw * QUARTER_HOUR_H,
        "discharge_power": discharge - law.discharge_power_mw * QUARTER_HOUR_H,
        "soc_below_window": law.min_soc_mwh - end,
        "soc_above_window": end - law.max_soc_mwh,
        "soc_balance": np.abs(start + charge * law.charge_efficiency - drawn - end),
        "soc_carried": np.abs(start - carried),
        "cycle_budget": used.cumsum().to_numpy() - law.max_cycles_per_day,
        "cycle_count": np.abs(used.cumsum().to_numpy() - ledger["cycles_used"].to_numpy()),
        "cash": np.abs(cash - price * (discharge - charge)),
        "wear": np.abs(wear - drawn * law.wear_cost_eur_mwh),
        "profit": np.abs(ledger["profit_eur"].to_numpy() - (cash - wear)),
        "moved_without_price": moved,
    }
    in_cycles = {"cycle_budget", "cycle_count"}
    allowed = {rule: rounding(law) / (law.capacity_mwh if rule in in_cycles else 1.0) for rule in excess}
    broken = {rule: ~(values <= allowed[rule]) for rule, values in excess.items()}
    found = [
        pd.DataFrame({"rule": rule, "excess": values[broken[rule]]}, index=ledger.index[broken[rule]])
        for rule, values in excess.items()
    ]
    return pd.concat(found).sort_index()
