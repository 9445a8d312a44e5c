"""The reference's split: 2022, days 1-20 of each month to learn, 21-25 to choose, 26 to month end to test.

Prints EUR a day on the 65 test days, each day on its own from an empty battery, uncapped and with 1.1 cycles: learned
policies of several seeds beside floors, rules and the ceiling, with intervals. Nothing is tuned here. With --refit the
policies learn from days 21-25 too, once those have chosen.

    python benchmarks/reference_split.py [--seeds 5] [--members 1] [--refit] [--publication-delay-min 0] [--json OUT]
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from rich.console import Console
from rich.table import Table

from arbitrage.backtest.engine import PERFECT_FORESIGHT, Backtest, run_backtest
from arbitrage.backtest.metrics import daily_interval_eur, daily_profit_eur, summary
from arbitrage.battery import Battery
from arbitrage.code_revision import code_revision
from arbitrage.experiments.strategies import EvaluationSpec, try_strategy
from arbitrage.market.files.read import read_market
from arbitrage.market.point_in_time import DAY_AHEAD
from arbitrage.market.series import MarketSeries
from arbitrage.market.splits import DaysOfMonth, SocReset, select
from arbitrage.policies.checkpoint.load import load_policy
from arbitrage.training.closed_form import ClosedFormTrainer
from arbitrage.training.data_split import DataSplit
from arbitrage.training.plan import TrainingPlan, train

DATA = Path(__file__).parents[2] / "shared" / "data"
TEST, TRAIN, VALIDATION = "26-31", DaysOfMonth(1, 20), DaysOfMonth(21, 25)
console = Console(stderr=True)


def learned(
    market: MarketSeries, battery: Battery, arguments: argparse.Namespace, folder: Path
) -> tuple[list[Backtest], list[dict[str, Any]]]:
    results, cards = [], []
    split = DataSplit(market=market, train_days=TRAIN, validation_days=VALIDATION)
    trainer = ClosedFormTrainer(members=arguments.members, refit=arguments.refit)
    for seed in range(arguments.seeds):
        plan = TrainingPlan(trainer=trainer, split=split, battery=battery, seed=seed)
        began = time.perf_counter()
        where = folder / f"{battery.max_cycles_per_day}-{seed}"
        card = train(plan, where)
        card["wall_seconds"] = time.perf_counter() - began
        selection = select(market, days_of_month=TEST)
        results.append(run_backtest(market, battery, load_policy(where), selection))
        cards.append(card)
        console.print(
            f"seed {seed}, {battery.max_cycles_per_day or 'no'} cap: {card['chosen_stage']}, "
            f"{summary(results[-1])['profit_eur_per_day']:.1f} EUR a day, {card['wall_seconds']:.0f} s"
        )
    return results, cards


def learned_row(results: list[Backtest], cards: list[dict[str, Any]]) -> dict[str, Any]:
    daily = pd.concat([daily_profit_eur(result.ledger) for result in results], axis=1)
    means = daily.mean().to_numpy()
    figures = [summary(result) for result in results]
    return {
        "strategy": f"learned, {len(results)} seeds",
        "profit_eur_per_day": float(means.mean()),
        "seed_std_eur_per_day": float(means.std(ddof=1)) if len(means) > 1 else None,
        "profit_eur_per_day_by_seed": [round(float(mean), 1) for mean in means],
        "profit_eur_per_day_interval": list(daily_interval_eur(daily.mean(axis=1))),
        "capture_fraction": float(np.mean([figure["capture_fraction"] for figure in figures])),
        "cycles_per_day": float(np.mean([figure["cycles_per_day"] for figure in figures])),
        "conditional_value_at_risk_eur": float(np.mean([f["conditional_value_at_risk_eur"] for f in figures])),
        "violations": sum(figure["violations"] for figure in figures),
        "train_seconds_longest": max(card["wall_seconds"] for card in cards),
        "chosen_stages": [card["chosen_stage"] for card in cards],
    }


def rows_for(
    battery: Battery, market: MarketSeries, arguments: argparse.Namespace, folder: Path
) -> list[dict[str, Any]]:
    results, cards = learned(market, battery, arguments, folder)
    mean_daily = pd.concat([daily_profit_eur(result.ledger) for result in results], axis=1).mean(axis=1)
    rows = [learned_row(results, cards)]
    trial = EvaluationSpec(market, battery, select(market, days_of_month=TEST), SocReset.DAILY, VALIDATION)
    names = ["idle", "threshold", *(["spread"] if DAY_AHEAD in market.known_series else []), PERFECT_FORESIGHT]
    for name in names:
        rival = try_strategy(name, trial, warn=console.print)
        figures = summary(rival)
        difference = mean_daily - daily_profit_eur(rival.ledger)
        rows.append(
            {
                **{name: figures[name] for name in rows[0] if name in figures},
                "learned_minus_this_eur_per_day": float(difference.mean()),
                "learned_minus_this_interval": list(daily_interval_eur(difference)),
            }
        )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--members", type=int, default=1)
    parser.add_argument("--refit", action="store_true")
    parser.add_argument("--publication-delay-min", type=int, default=0)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    market = read_market(
        DATA / "imbalance_qh_2022.parquet",
        day_ahead=DATA / "day_ahead_hourly_2021_2022.parquet",
        publication_delay_min=arguments.publication_delay_min,
    )
    answer: dict[str, Any] = {"code_revision": code_revision(), "data_sha256": market.data_hash}
    with tempfile.TemporaryDirectory() as folder:
        for cap in (None, 1.1):
            battery = Battery(max_cycles_per_day=cap)
            rows = rows_for(battery, market, arguments, Path(folder))
            answer["uncapped" if cap is None else f"cap {cap}"] = rows
            print_rows(f"2022, days 26-31, {'no cap' if cap is None else f'cap {cap} cycles a day'}", rows)
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(answer, indent=2) + "\n")


def print_rows(title: str, rows: list[dict[str, Any]]) -> None:
    names = ("strategy", "EUR/day", "95 % interval", "of ceiling", "cycles/day", "CVaR 10 %", "learned minus this")
    table = Table(*names, title=title)
    for row in rows:
        low, high = row["profit_eur_per_day_interval"]
        versus = row.get("learned_minus_this_interval")
        table.add_row(
            row["strategy"],
            f"{row['profit_eur_per_day']:,.1f}",
            f"{low:,.0f} to {high:,.0f}",
            f"{row['capture_fraction']:.1%}",
            f"{row['cycles_per_day']:.2f}",
            f"{row['conditional_value_at_risk_eur']:,.0f}",
            f"{row['learned_minus_this_eur_per_day']:+,.1f} ({versus[0]:+,.0f} to {versus[1]:+,.0f})" if versus else "",
        )
    Console().print(table)


if __name__ == "__main__":
    main()
