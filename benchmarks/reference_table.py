"""The table of arXiv 2401.00015, reproduced on the same days and beaten: EUR a day on the test days of 2022.

The reference's four agents (DQN, distributional DQN, SAC, distributional SAC; distributional ones by quantiles, and
categorical as published), learned from counterfactual transitions, beside this program's own policy; uncapped and with
1.1 cycles a day; with quarter-hour information and with reconstructed minutes, with the reference's six features and
with all, in three grades of reconstruction. Beside them: the published figures, rules, and perfect foresight.

Each run is one training seed, and by the minute one draw of minutes. The best of a run by validation days 21-25 is
tested once on days 26-31. Intervals are 95 %, over days of the mean over seeds. Finished runs are kept and not run
again; all that are kept are shown, batches of different sizes apart. Reconstructed minutes are drawn around the real
final prices: nobody earned these sums, and the published figures rest on genuine minutes.

    python benchmarks/reference_table.py [--seeds 5] [--only TEXT ...] [--times 128] [--device cpu] [--json OUT]
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from arbitrage.backtest.engine import Backtest, run_backtest
from arbitrage.backtest.metrics import daily_interval_eur, daily_profit_eur, summary
from arbitrage.battery import Battery
from arbitrage.code_revision import code_revision
from arbitrage.experiments.strategies import EvaluationSpec, try_strategy
from arbitrage.features.encoder import MarketFeatures
from arbitrage.features.names import FeatureSet
from arbitrage.learners.experience.counterfactual_source import CounterfactualConfig
from arbitrage.learners.experience.market_path import MarketPath
from arbitrage.learners.neural.critics import QuantileForm
from arbitrage.market.files.read import read_market
from arbitrage.market.reconstruction.with_minutes import with_reconstructed_minutes
from arbitrage.market.series import MarketSeries
from arbitrage.market.splits import DaysOfMonth, SocReset, select
from arbitrage.policies.checkpoint.load import load_policy
from arbitrage.policies.checkpoint.network import save_network_policy
from arbitrage.risk import RiskMeasure, RiskPreference, value_at_risk_eur
from arbitrage.training.closed_form import ClosedFormTrainer
from arbitrage.training.data_split import DataSplit
from arbitrage.training.neural import NeuralTrainer, NeuralTraining, lay_paths

DATA = Path(os.environ.get("ARBITRAGE_SHARED_DATA", Path(__file__).parents[2] / "shared" / "data"))
TEST, TRAIN, VALIDATION = "26-31", DaysOfMonth(1, 20), DaysOfMonth(21, 25)
CAPS = (None, 1.1)
QUARTERS = "quarter-hours"
OWN, AVERSE = "counterfactual closed form", "quantile-discrete-sac, risk-averse"
FOUR = ("dqn", "quantile-dqn", "discrete-sac", "quantile-discrete-sac")
CATEGORICAL = ("categorical-dqn", "categorical-discrete-sac")
PUBLISHED = {
    None: {"DQN": 749.9, "distributional DQN": 877.5, "SAC": 1147.6, "distributional SAC": 1148.5},
    1.1: {"DQN": 338.0, "distributional DQN": 397.2, "SAC": 504.9, "distributional SAC": 486.4},
}
RISK_AVERSE = RiskPreference(RiskMeasure.VAR, 0.1, 3.0)
"""The reference's: mean + 3 x value at risk at 0.1, at every step."""
UPDATES, JUDGE_EVERY = 6_000, 500
SETTINGS: dict[str, dict[str, Any]] = {
    "dqn": {},
    "quantile-dqn": {"form": QuantileForm(threshold=1.0)},
    "categorical-dqn": {},
    "discrete-sac": {"clip_reach": None, "entropy_target_fraction": 0.1},
    "quantile-discrete-sac": {"form": QuantileForm(threshold=1.0)},
    "categorical-discrete-sac": {"entropy_target_fraction": 0.1, "actor_learning_rate": 1e-3},
}
"""Chosen on validation days 21-25 at one seed; what is not named is the default."""
console = Console(stderr=True)


@dataclass(frozen=True)
class Case:
    """One run."""

    information: str
    """`quarter-hours`, or a feature set and a grade, as `full matched`."""
    agent: str
    cap: float | None
    seed: int
    times: int = 0
    """Recorded times in a batch; each comes with two states and three actions. 0: nothing is learned by gradients."""

    @property
    def name(self) -> str:
        named = f"{self.information}-{self.agent}-{self.cap}-{self.seed}".replace(" ", "_").replace(",", "")
        return f"{named}-times{self.times}" if self.times else named

    @property
    def feature_set(self) -> FeatureSet:
        return FeatureSet.QUARTER_HOUR if self.information == QUARTERS else FeatureSet(self.information.split()[0])


@lru_cache(maxsize=1)
def market_of(information: str, seed: int) -> MarketSeries:
    market = read_market(
        DATA / "imbalance_qh_2022.parquet",
        day_ahead=DATA / "day_ahead_hourly_2021_2022.parquet",
        publication_delay_min=0,
    )
    return market if information == QUARTERS else with_reconstructed_minutes(market, information.split()[1], seed)


def split_of(case: Case) -> DataSplit:
    return DataSplit(market=market_of(case.information, case.seed), train_days=TRAIN, validation_days=VALIDATION)


@lru_cache(maxsize=1)
def paths_of(information: str, seed: int) -> tuple[MarketPath, MarketPath]:
    """Paths do not depend on the battery or the algorithm."""
    case = Case(information, "", None, seed)
    return lay_paths(split_of(case), MarketFeatures(case.feature_set))


def run_learner(case: Case, device: str) -> tuple[Backtest, dict[str, Any]]:
    split, battery = split_of(case), Battery(max_cycles_per_day=case.cap)
    name, settings = case.agent, {}
    if name == AVERSE:
        name, settings = "quantile-discrete-sac", {"preference": RISK_AVERSE, "form": QuantileForm(threshold=0.1)}
    trainer = NeuralTrainer(
        algorithm=name,
        features=MarketFeatures(case.feature_set),
        settings={**SETTINGS[name], **settings},
        source=CounterfactualConfig(times=case.times),
        updates=UPDATES,
        judge_every=JUDGE_EVERY,
        device=device,
    )
    paths = paths_of(case.information, case.seed)
    training = NeuralTraining(trainer, split, battery, case.seed, paths)
    training.run()
    progress = training.progress
    with tempfile.TemporaryDirectory() as folder:
        save_network_policy(
            Path(folder),
            training.policy(),
            {"seed": case.seed, "split": {}, "minute_source": None, "publication_delay_min": 0},
        )
        policy = load_policy(folder)
    selection = select(split.market, days_of_month=TEST)
    result = run_backtest(split.market, battery, policy, selection, step_min=trainer.step_min)
    return result, {"validation_eur_per_day": progress.best_eur_per_day, "validation_curve": progress.judged}


def run_own(case: Case) -> tuple[Backtest, dict[str, Any]]:
    split, battery = split_of(case), Battery(max_cycles_per_day=case.cap)
    market = split.market
    trainer = ClosedFormTrainer.of(split, case.feature_set, with_critic=False, with_risk_head=False)
    with tempfile.TemporaryDirectory() as folder:
        card = trainer.fit(split, battery, case.seed, Path(folder))
        policy = load_policy(folder)
    selection = select(market, days_of_month=TEST)
    result = run_backtest(market, battery, policy, selection, step_min=policy.step_min)
    return result, {"stage": card["chosen_stage"]}


def run_strategy(case: Case) -> tuple[Backtest, dict[str, Any]]:
    market, battery = market_of(case.information, case.seed), Battery(max_cycles_per_day=case.cap)
    trial = EvaluationSpec(market, battery, select(market, days_of_month=TEST), SocReset.DAILY, VALIDATION)
    return try_strategy(case.agent, trial, warn=console.print), {}


def run_case(case: Case, folder: Path, device: str) -> dict[str, Any]:
    """The run's result, from its file if it is there."""
    path = folder / f"{case.name}.json"
    if path.exists():
        return dict(json.loads(path.read_text()))
    torch.set_num_threads(1)
    if case.agent == OWN:
        result, about = run_own(case)
    elif case.agent in (*SETTINGS, AVERSE):
        result, about = run_learner(case, device)
    else:
        result, about = run_strategy(case)
    figures = summary(result)
    answer = {
        **asdict(case),
        **about,
        "device": device if case.times else "cpu",
        "updates": UPDATES if case.times else 0,
        "code_revision": code_revision(),
        "daily_eur": [round(value, 6) for value in daily_profit_eur(result.ledger).tolist()],
        "cycles_per_day": figures["cycles_per_day"],
        "violations": figures["violations"],
    }
    beside = path.with_suffix(f".{os.getpid()}")
    beside.write_text(json.dumps(answer))
    beside.replace(path)
    return answer


def run_group(group: list[Case], folder: Path, device: str) -> list[dict[str, Any]]:
    """Runs of one information and seed, which share the market and its features."""
    return [run_case(case, folder, device) for case in group]


def groups_of(asked: list[Case]) -> list[list[Case]]:
    groups: dict[tuple[str, int], list[Case]] = {}
    for case in asked:
        groups.setdefault((case.information, case.seed), []).append(case)
    return list(groups.values())


def cases(seeds: int, times: int) -> list[Case]:
    """All runs, those of one information and seed together, for they share the market."""
    made = []
    few = min(seeds, 3)
    for information, count in (
        (QUARTERS, seeds),
        *((f"{features} matched", seeds) for features in ("reference", "full")),
        *((f"{features} {grade}", few) for grade in ("easy", "harsh") for features in ("reference", "full")),
    ):
        agents = [*FOUR, OWN]
        if information in (QUARTERS, "reference matched"):
            agents += CATEGORICAL
        if information == "reference matched":
            agents.append(AVERSE)
        made += [
            Case(information, agent, cap, seed, 0 if agent == OWN else times)
            for seed in range(count)
            for cap in CAPS
            for agent in agents
        ]
    for cap in CAPS:
        made += [Case(QUARTERS, name, cap, 0) for name in ("idle", "threshold", "spread", "perfect-foresight")]
        made.append(Case("full matched", "minute-spread", cap, 0))
    return made


def row_of(own: list[dict[str, Any]], ceiling: float | None) -> dict[str, Any]:
    daily = pd.DataFrame({result["seed"]: result["daily_eur"] for result in own})
    mean = float(daily.to_numpy().mean())
    return {
        "information": own[0]["information"],
        "cap": own[0]["cap"],
        "agent": own[0]["agent"],
        "batch": own[0]["times"] * 6,
        "code_revisions": sorted({str(result["code_revision"]) for result in own}),
        "seeds": daily.shape[1],
        "profit_eur_per_day": mean,
        "by_seed": [round(float(value), 1) for value in daily.mean()],
        "interval": list(daily_interval_eur(daily.mean(axis=1))),
        "of_ceiling": None if ceiling is None else mean / ceiling,
        "value_at_risk_10_eur": float(np.mean([value_at_risk_eur(daily[seed], 0.1) for seed in daily])),
        "cycles_per_day": float(np.mean([result["cycles_per_day"] for result in own])),
        "violations": sum(result["violations"] for result in own),
    }


def rows_of(results: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    groups: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for result in results:
        key = (result["cap"], result["information"], result["agent"], result["times"])
        groups.setdefault(key, []).append(result)
    ceilings = {
        key[0]: float(np.mean(own[0]["daily_eur"])) for key, own in groups.items() if key[2] == "perfect-foresight"
    }
    return [row_of(own, ceilings.get(key[0])) for key, own in groups.items()]


def print_rows(rows: list[dict[str, Any]]) -> None:
    for cap in CAPS:
        title = f"Test days 26-31 of 2022, {'no cap' if cap is None else f'cap {cap} cycles a day'}"
        table = Table(
            "information",
            "agent",
            "batch",
            "seeds",
            "EUR/day",
            "95 % (days)",
            "seeds from - to",
            "of ceiling",
            "VaR 10 %",
            "cycles",
            title=title,
        )
        for name, value in PUBLISHED[cap].items():
            table.add_row("published, genuine minutes", name, "16384", "1", f"{value:,.1f}", "", "", "", "", "")
        for row in (row for row in rows if row["cap"] == cap):
            table.add_row(
                row["information"],
                row["agent"],
                str(row["batch"] or ""),
                str(row["seeds"]),
                f"{row['profit_eur_per_day']:,.1f}",
                "{:,.0f} to {:,.0f}".format(*row["interval"]),
                f"{min(row['by_seed']):,.0f} - {max(row['by_seed']):,.0f}",
                "" if row["of_ceiling"] is None else f"{row['of_ceiling']:.1%}",
                f"{row['value_at_risk_10_eur']:,.1f}",
                f"{row['cycles_per_day']:.2f}",
            )
        Console(width=170).print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--only", nargs="*", default=[""], help="runs whose name holds one of these")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--times", type=int, default=128, help="recorded times in a batch; a GPU takes more")
    parser.add_argument("--kept", type=Path, default=Path("runs/reference_table"))
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    arguments.kept.mkdir(parents=True, exist_ok=True)
    asked = [
        case for case in cases(arguments.seeds, arguments.times) if any(text in case.name for text in arguments.only)
    ]
    with Progress(console=console) as progress, ProcessPoolExecutor(arguments.workers) as pool:
        task = progress.add_task("runs", total=len(asked))
        runs = [pool.submit(run_group, group, arguments.kept, arguments.device) for group in groups_of(asked)]
        for run in as_completed(runs):
            for one in run.result():
                progress.advance(task)
                about = f"{one['information']}, {one['agent']}, cap {one['cap']}, seed {one['seed']}"
                progress.print(f"{about}: {np.mean(one['daily_eur']):,.1f}")
    rows = rows_of(json.loads(path.read_text()) for path in sorted(arguments.kept.glob("*.json")))
    print_rows(rows)
    if sum(row["violations"] for row in rows):
        console.print("[red]the ledger breaks its rules somewhere[/red]")
    if arguments.json is not None:
        arguments.json.write_text(json.dumps({"code_revision": code_revision(), "rows": rows}, indent=2) + "\n")


if __name__ == "__main__":
    main()
