"""How a policy should be learned while there is little history: month by month through the second half of 2021.

The history begins on 2021-04-24; each month from July to December is tested after learning from all days before it, one
battery (1 MW / 2 MWh, 0.9 each way) living through them; finished quarter-hours, published at once. None of these days
is tested elsewhere: 2022 is. Rows: the preset `fast`; the full one with and without its network; each learned from days
1-25 of the months before, as while validation days are held back, or from all of them (refit).

Leads are those of the full preset without network, refit, paired by day; 95 % intervals by a bootstrap over blocks of
days and over seeds. Finished runs are kept.

    python benchmarks/young_history.py [--seeds 3] [--workers 2] [--kept runs/young_history] [--json OUT]
"""

from __future__ import annotations

import os

if __name__ == "__main__":
    # Before anything that starts threads is imported.
    os.environ |= {f"{name}_NUM_THREADS": "1" for name in ("OMP", "OPENBLAS", "MKL", "NUMBA")}

import argparse
import datetime as dt
import json
import tempfile
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from arbitrage.backtest.engine import run_backtest
from arbitrage.backtest.metrics import daily_profit_eur
from arbitrage.backtest.statistics import compare_daily
from arbitrage.battery import Battery
from arbitrage.code_revision import code_revision
from arbitrage.experiments.walk_forward import TrainingWindow, Walk, walk_forward
from arbitrage.features.encoder import MarketFeatures
from arbitrage.features.names import FeatureSet
from arbitrage.learners.closed_form.config import ClosedFormConfig
from arbitrage.market.files.read import read_market
from arbitrage.market.windows import WindowPlan
from arbitrage.policies.protocol import Policy
from arbitrage.training.closed_form import ClosedFormTrainer

DATA = Path(os.environ.get("ARBITRAGE_SHARED_DATA", Path(__file__).parents[2] / "shared" / "data"))
CAPS = {"none": None, "1.1": 1.1}
MONTHS = WindowPlan(
    train_from=dt.date(2021, 4, 25), test_from=dt.date(2021, 7, 1), test_until=dt.date(2022, 1, 1)
).windows()
FULL = replace(ClosedFormConfig(), final_stage_only=True)
CONFIGS = {"fast": ClosedFormConfig.fast(), "full": FULL, "full without network": replace(FULL, network=None)}
BEST = "full without network, refit"
console = Console(stderr=True)


@dataclass(frozen=True, slots=True)
class Case:
    """One walk."""

    config: str
    refit: bool
    cap: str
    seed: int

    @property
    def strategy(self) -> str:
        return f"{self.config}, refit" if self.refit else self.config

    @property
    def file_name(self) -> str:
        return f"{self.strategy}-{self.cap}-{self.seed}.json".replace(" ", "_").replace(",", "")


def run_case(case: Case, folder: Path) -> dict[str, Any]:
    """The walk's answer, from its file if it is there."""
    path = folder / case.file_name
    if path.exists():
        return dict(json.loads(path.read_text()))
    prices = [DATA / f"imbalance_qh_{year}.parquet" for year in (2021, 2022)]
    market = read_market(prices, day_ahead=DATA / "day_ahead_hourly_2021_2022.parquet", publication_delay_min=0)
    walk = Walk(market=market, battery=Battery(max_cycles_per_day=CAPS[case.cap]), windows=MONTHS)

    bare = {"with_critic": False, "with_risk_head": False}
    features, config = MarketFeatures(FeatureSet.QUARTER_HOUR), CONFIGS[case.config]
    trainer = ClosedFormTrainer(config=config, features=features, refit=case.refit, **bare)

    def teach(room: TrainingWindow) -> Policy:
        return trainer.policy(room.split, room.battery, case.seed)

    with tempfile.TemporaryDirectory() as unused:
        policies = walk_forward(walk, teach, Path(unused), name=case.strategy)
    result = run_backtest(market, walk.battery, policies, walk.selection())
    answer = {
        "strategy": case.strategy,
        "cap": case.cap,
        "seed": case.seed,
        "code_revision": code_revision(),
        "violations": len(result.violations),
        "days": [str(day) for day in daily_profit_eur(result.ledger).index],
        "daily_eur": [round(value, 6) for value in daily_profit_eur(result.ledger).tolist()],
    }
    beside = path.with_suffix(f".{os.getpid()}")
    beside.write_text(json.dumps(answer))
    beside.replace(path)
    return answer


def rows_of(answers: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """A row a strategy and cap."""
    together, rows = list(answers), []
    for cap in CAPS:
        own = [answer for answer in together if answer["cap"] == cap]
        daily = {
            name: np.array([answer["daily_eur"] for answer in own if answer["strategy"] == name])
            for name in dict.fromkeys(answer["strategy"] for answer in own)
        }
        months = np.array([day[:7] for day in own[0]["days"]])
        leads = compare_daily(daily, BEST)
        rows += [
            {
                "cap": cap,
                "strategy": name,
                "seeds": len(found),
                "profit_eur_per_day": float(found.mean()),
                "by_month": {str(month): float(found[:, months == month].mean()) for month in np.unique(months)},
                **({} if name == BEST else {str(key): value for key, value in leads.loc[name].to_dict().items()}),
            }
            for name, found in daily.items()
        ]
    return rows


def print_rows(rows: list[dict[str, Any]]) -> None:
    months = list(rows[0]["by_month"])
    table = Table("cap", "strategy", "seeds", "EUR a day", *months, f"lead of {BEST}", "95 %", title="Walking 2021")
    for row in rows:
        by_month = [f"{value:,.0f}" for value in row["by_month"].values()]
        lead, interval = "", ""
        if "lead_eur" in row:
            lead, interval = f"{row['lead_eur']:+,.1f}", f"{row['lead_low_eur']:+,.0f} to {row['lead_high_eur']:+,.0f}"
        profit = f"{row['profit_eur_per_day']:,.1f}"
        table.add_row(row["cap"], row["strategy"], str(row["seeds"]), profit, *by_month, lead, interval)
    Console(width=170).print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--kept", type=Path, default=Path("runs/young_history"))
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    arguments.kept.mkdir(parents=True, exist_ok=True)
    asked = [
        Case(config, refit, cap, seed)
        for seed in range(arguments.seeds)
        for config in CONFIGS
        for refit in (False, True)
        for cap in CAPS
    ]
    with Progress(console=console) as progress, ProcessPoolExecutor(arguments.workers) as pool:
        task = progress.add_task("walks", total=len(asked))
        for run in as_completed([pool.submit(run_case, case, arguments.kept) for case in asked]):
            answer = run.result()
            progress.advance(task)
            about = f"{answer['strategy']}, cap {answer['cap']}, seed {answer['seed']}"
            progress.print(f"{about}: {np.mean(answer['daily_eur']):,.1f}")
    rows = rows_of(json.loads(path.read_text()) for path in sorted(arguments.kept.glob("*.json")))
    print_rows(rows)
    if arguments.json is not None:
        arguments.json.write_text(json.dumps({"code_revision": code_revision(), "rows": rows}, indent=2) + "\n")


if __name__ == "__main__":
    main()
