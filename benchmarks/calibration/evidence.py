"""What the calibration compares: the tables of a real market, and of a simulated one over the same span.

Real evidence is read from parquet files, where they are present.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from arbitrage.arrays import Floats
from arbitrage.market.point_in_time import DAY_AHEAD
from arbitrage.market.simulation.merit_order import bid_price_eur_mwh
from arbitrage.market.simulation.simulator import SimulatedMarket, simulate
from arbitrage.quarter_hour import MINUTES_PER_QUARTER_HOUR, epoch_minute

BLOCKS: Mapping[str, tuple[str, str, str]] = {
    "2022": ("2022", "2022-01-01T00:00+01:00", "2023-01-01T00:00+01:00"),
    "2024 Q1": ("2024", "2024-01-01T01:00+01:00", "2024-04-14T06:00+02:00"),
    "minutes": ("2024", "2024-08-06T00:00+02:00", "2024-10-06T00:00+02:00"),
    "minutes of 2023": ("2022", "2022-12-02T00:00+01:00", "2023-02-01T00:00+01:00"),
    "ladder": ("2019", "2022-01-01T00:00+01:00", "2023-01-01T00:00+01:00"),
    "ladder, bids of 2024": ("2024", "2024-01-01T00:00+01:00", "2024-05-01T00:00+02:00"),
}
"""Preset and span that stand beside: the benchmark year, the days of 2024 with all columns, the genuine minutes of
2024-09-06 and of 2023-01-01 (two months around each day; the latter without prices), and the ladders of 2018 and 2019
(whose shape alone is compared) twice, once for the preset fitted to them and once for the bids of 2024."""

LADDER_STEPS_MW = (-600, -500, -400, -300, -200, -100, 100, 200, 300, 400, 500, 600)


@dataclass(frozen=True, slots=True)
class Evidence:
    """The tables from which a block's figures are computed; what a block does not need is None."""

    prices: pd.DataFrame | None = None
    day_ahead: pd.Series[float] | None = None
    minutes: pd.DataFrame | None = None
    own_minutes_mw: Floats | None = None
    """Shape [n, 15]; the system imbalance of each minute itself, where prices by the minute are not at hand."""
    ladder_eur_mwh: Floats | None = None
    """Shape [n, 12] over `LADDER_STEPS_MW`."""


def simulated_evidence(block: str, seed: int) -> Evidence:
    """One simulated world of a block."""
    preset, start, end = BLOCKS[block]
    world = simulate(epoch_minute(start), epoch_minute(end), seed=seed, parameters=preset)
    if block == "minutes":
        return Evidence(minutes=world.minutes)
    if block == "minutes of 2023":
        first = int(world.scenario.fundamentals.quarter_hours[0])
        own = world.scenario.minute_imbalance_mw[world.scenario.start - first : world.scenario.end - first]
        return Evidence(own_minutes_mw=own.reshape(-1, MINUTES_PER_QUARTER_HOUR))
    if block.startswith("ladder"):
        return Evidence(ladder_eur_mwh=_simulated_ladder(world))
    return Evidence(prices=world.prices, day_ahead=world.day_ahead[DAY_AHEAD])


def _simulated_ladder(world: SimulatedMarket) -> Floats:
    bids = world.scenario.bids
    rows = range(0, len(bids.upward_start_eur_mwh), 8)
    return np.array([[bid_price_eur_mwh(bids, row, float(step)) for step in LADDER_STEPS_MW] for row in rows])


def real_evidence(block: str, data: Path) -> Evidence | None:
    """The real tables of a block, None where they are not there."""
    readers = {
        "2022": _real_2022,
        "2024 Q1": _real_2024,
        "minutes": _real_minutes,
        "minutes of 2023": _real_minutes_2023,
        "ladder": _real_ladder,
        "ladder, bids of 2024": _real_ladder,
    }
    try:
        return readers[block](data)
    except FileNotFoundError:
        return None


def _real_2022(data: Path) -> Evidence:
    prices = pd.read_parquet(data / "imbalance_qh_2022.parquet")
    day_ahead = pd.read_parquet(data / "day_ahead_hourly_2021_2022.parquet")["dam_price_eur_mwh"]
    return Evidence(prices=prices, day_ahead=day_ahead.loc[prices.index[0] : prices.index[-1]])


def _real_2024(data: Path) -> Evidence:
    prices = pd.read_parquet(data / "imbalance_qh_2024q1_all_columns.parquet")
    names = {
        "alpha_eur_mwh": "alpha_component_eur_mwh",
        "mip_eur_mwh": "marginal_incremental_price_eur_mwh",
        "mdp_eur_mwh": "marginal_decremental_price_eur_mwh",
    }
    day_ahead = pd.read_parquet(data / "day_ahead_hourly_2024q1.parquet")["dam_price_eur_mwh"]
    return Evidence(prices=prices.rename(columns=names), day_ahead=day_ahead)


def _real_minutes(data: Path) -> Evidence:
    minutes = pd.read_parquet(data / "imbalance_minute_2024-09-06.parquet")
    return Evidence(minutes=minutes.rename(columns={"quarter_hour_utc": "quarter_hour"}).sort_index())


def _real_minutes_2023(data: Path) -> Evidence:
    """Imbalance of each minute itself: unlike that of a mean since the quarter-hour began, its changes do not fade."""
    table = pd.read_parquet(data / "system_imbalance_components_minute_2023-01-01.parquet").sort_index()
    own = table["system_imbalance_mw"].to_numpy(np.float64)
    return Evidence(own_minutes_mw=own.reshape(-1, MINUTES_PER_QUARTER_HOUR))


def _real_ladder(data: Path) -> Evidence:
    table = pd.read_parquet(data / "imbalance_qh_2018_2019_bid_ladder.parquet")
    names = [f"ladder_{'m' if step < 0 else ''}{abs(step)}mw_eur_mwh" for step in LADDER_STEPS_MW]
    return Evidence(ladder_eur_mwh=table[names].to_numpy(np.float64))
