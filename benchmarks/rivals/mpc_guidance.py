"""Guidance: does our closed form earn more when it sees what model-predictive control would do?

A published agent gains 16 % from it (arXiv 2510.04868). Here the ridge correction of the closed form sees, beside its
market features, the power that the deterministic plan would start with from four states of the battery, and what the
plan says a MWh in store is worth, as a departure from the base price. Quarter-hours of 2022, each day on its own.

Nothing leaks: days 1-25 of each month fall into five blocks; one is tested, four are learned from. The forecast behind
the guidance of a training block is fitted on the other three, that of the tested block on all four. Days from the 26th
on are not looked at. Differences are paired by day; their intervals are 95 %, bootstrapped over days.

    python benchmarks/rivals/mpc_guidance.py [--blocks 5] [--seeds 3] [--preset fast] [--caps none 1.1] [--json OUT]

`--blocks 1` tests days 21-25 alone, 5 all blocks in turn (five times as long). With `--preset full` the network stage
sees the guidance as well.
"""

from __future__ import annotations

import os

if __name__ == "__main__":
    # Before anything that starts threads is imported.
    os.environ |= {f"{name}_NUM_THREADS": "1" for name in ("OMP", "OPENBLAS", "MKL", "NUMBA")}

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from arbitrage.arrays import Singles
from arbitrage.backtest.engine import run_backtest
from arbitrage.backtest.metrics import daily_interval_eur, daily_profit_eur
from arbitrage.battery import Battery, BatteryState
from arbitrage.code_revision import code_revision
from arbitrage.features.encoder import Encoded, MarketFeatures
from arbitrage.learners.closed_form.config import ClosedFormConfig, Preset
from arbitrage.learners.closed_form.fit import fit_closed_form, prepare_training_data
from arbitrage.learners.mpc.forecast_fit import ForecastConfig, fit_price_forecast
from arbitrage.market.files.read import read_market
from arbitrage.market.point_in_time import KnownMarket
from arbitrage.market.series import MarketSeries
from arbitrage.market.splits import DaysOfMonth, SocReset, Span, rows_of, select_rows, spans
from arbitrage.policies.closed_form.policy import ClosedFormPolicy
from arbitrage.policies.mpc.policy import MpcPolicy

DATA = Path(__file__).parents[3] / "shared" / "data"
BLOCKS = tuple(DaysOfMonth(first, first + 4) for first in (21, 1, 6, 11, 16))
"""The tested ones in turn: the validation days first."""
CAPS = {"none": None, "1.1": 1.1}
MEAN_ALONE = ForecastConfig(fractions=(0.25, 0.75), trees=1, paths=2, plans_for_paths=50)
"""The deterministic plan rests on the mean; quantiles are not needed."""
GUIDANCE = ("power_empty", "power_half", "power_full", "power_half_budget_half", "stored_worth_less_base")
console = Console(stderr=True)


@dataclass(frozen=True)
class GuidedFeatures(MarketFeatures):
    """The features by the quarter-hour with guidance beside them; nothing of it about later quarter-hours."""

    starts: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    """Shape [n], ascending; epoch minutes that there is guidance for."""
    guidance: Singles = field(default_factory=lambda: np.zeros((0, len(GUIDANCE)), dtype=np.float32))
    """Shape [n, len(GUIDANCE)]."""

    @cached_property
    def quarter_names(self) -> tuple[str, ...]:
        return (*MarketFeatures(self.feature_set).quarter_names, *GUIDANCE)

    def encode_quarters(self, known: KnownMarket) -> Encoded:
        plain = MarketFeatures(self.feature_set).encode_quarters(known)
        row = np.minimum(np.searchsorted(self.starts, known.times), len(self.starts) - 1)
        now = (self.starts[row] == known.times) & (known.about == known.times)
        beside = np.where(now[:, None], self.guidance[row], np.float32(0.0))
        features = np.concatenate([plain.features, beside], axis=1)
        return Encoded(features, plain.base_eur_mwh, plain.scale_eur_mwh)


@dataclass(frozen=True, slots=True)
class Experiment:
    """One market and battery, and how the closed form is fitted."""

    market: MarketSeries
    battery: Battery
    config: ClosedFormConfig

    def days(self, blocks: Sequence[DaysOfMonth]) -> tuple[Span, ...]:
        chosen = np.any([select_rows(self.market, days=block) for block in blocks], axis=0)
        return spans(self.market, chosen, SocReset.DAILY)

    def guide(self, learned: Sequence[DaysOfMonth], guided: DaysOfMonth) -> tuple[npt.NDArray[np.int64], Singles]:
        """Guidance for a block from a forecast of others: times [n] and numbers [n, len(GUIDANCE)]."""
        forecast = fit_price_forecast(self.market, self.days(learned), 0, MEAN_ALONE)
        policy = MpcPolicy(self.battery, tuple(self.market.known_series), forecast)
        times = self.market.quarter_hours[rows_of(self.days([guided]))]
        view = policy.bind(self.market.known_at(times), self.battery)
        encoded = MarketFeatures().encode_quarters(self.market.known_at(times))
        capacity, cap = self.battery.capacity_mwh, self.battery.max_cycles_per_day
        half = capacity / 2.0
        states = [BatteryState(0.0), BatteryState(half), BatteryState(capacity), BatteryState(half, (cap or 0.0) / 2.0)]
        plans = [[view.plan(at, state) for state in states] for at in range(len(times))]
        powers = np.array([[plan.power_mw / self.battery.power_mw for plan in row] for row in plans])
        worth = np.array([row[1].stored_worth_eur_mwh for row in plans])
        beside = (worth - encoded.base_eur_mwh) / encoded.scale_eur_mwh
        return times, np.column_stack([powers, beside]).astype(np.float32)

    def guided_features(self, tested: DaysOfMonth) -> GuidedFeatures:
        """Guidance for all blocks, none of it from a forecast that has seen the block, nor the tested one."""
        learned = [block for block in BLOCKS if block != tested]
        parts = [self.guide([other for other in learned if other != block], block) for block in learned]
        parts.append(self.guide(learned, tested))
        times = np.concatenate([part[0] for part in parts])
        order = np.argsort(times)
        return GuidedFeatures(starts=times[order], guidance=np.concatenate([part[1] for part in parts])[order])

    def earned(self, tested: DaysOfMonth, features: MarketFeatures, seed: int) -> pd.Series:
        """Profit of each tested day of a closed form with these features."""
        learned = self.days([block for block in BLOCKS if block != tested])
        training_data = prepare_training_data(
            self.market, self.battery, learned, SocReset.DAILY, self.config.size, features
        )
        member = fit_closed_form(training_data, self.config, seed).stages[-1]
        policy = ClosedFormPolicy(self.battery, self.config.size, (member,), tuple(self.market.known_series), features)
        return daily_profit_eur(run_backtest(self.market, self.battery, policy, self.days([tested])).ledger)


def compare(experiment: Experiment, blocks: int, seeds: int, cap: str) -> dict[str, Any]:
    plain, guided = [], []
    with Progress(console=console) as progress:
        task = progress.add_task(f"cap {cap}", total=blocks * (1 + seeds))
        for tested in BLOCKS[:blocks]:
            features = experiment.guided_features(tested)
            progress.advance(task)
            pairs = []
            for seed in range(seeds):
                pairs.append([experiment.earned(tested, each, seed) for each in (MarketFeatures(), features)])
                progress.advance(task)
            without, having = (pd.concat(side, axis=1) for side in zip(*pairs, strict=True))
            plain.append(without)
            guided.append(having)
    without, having = pd.concat(plain), pd.concat(guided)
    difference = (having - without).mean(axis=1)
    return {
        "cap": cap,
        "days": len(difference),
        "seeds": seeds,
        "plain_eur_per_day": float(without.to_numpy().mean()),
        "guided_eur_per_day": float(having.to_numpy().mean()),
        "difference_eur_per_day": float(difference.mean()),
        "difference_interval": list(daily_interval_eur(difference)),
        "difference_by_seed": [round(float(value), 2) for value in (having - without).mean()],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--blocks", type=int, choices=range(1, 6), default=5)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--preset", type=Preset, choices=list(Preset), default=Preset.FAST)
    parser.add_argument("--caps", nargs="+", choices=list(CAPS), default=list(CAPS))
    parser.add_argument("--data-folder", type=Path, default=DATA)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    folder = arguments.data_folder
    market = read_market(folder / "imbalance_qh_2022.parquet", day_ahead=folder / "day_ahead_hourly_2021_2022.parquet")
    config = ClosedFormConfig.of(arguments.preset)
    rows = [
        compare(
            Experiment(market, Battery(max_cycles_per_day=CAPS[cap]), config), arguments.blocks, arguments.seeds, cap
        )
        for cap in arguments.caps
    ]
    table = Table("cap", "days", "without", "with guidance", "difference (95 %)", title="EUR a day")
    for row in rows:
        low, high = row["difference_interval"]
        difference = f"{row['difference_eur_per_day']:+,.1f} ({low:+,.1f} to {high:+,.1f})"
        means = (f"{row[name]:,.1f}" for name in ("plain_eur_per_day", "guided_eur_per_day"))
        table.add_row(row["cap"], str(row["days"]), *means, difference)
    Console().print(table)
    if arguments.json is not None:
        arguments.json.write_text(json.dumps({"code_revision": code_revision(), "rows": rows}, indent=2) + "\n")


if __name__ == "__main__":
    main()
