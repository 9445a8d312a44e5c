"""Learning that counts: what is earned after how long a training, on one core.

The reference's split (2022: learn on days 1-20 of each month, choose on 21-25, test from the 26th, each day on its own
from an empty battery), finished quarter-hours only. Rows: our presets quick, fast and full; quick and fast learned from
days 21-25 too, since they leave nothing to choose (`refit`; the libraries choose their weights on those days);
stable-baselines3's DQN and sb3-contrib's QR-DQN, ten minutes of learning each after a tuning stage of two minutes for
each of eight settings, the weights chosen on the validation days (`library_rivals.py`, extra `compare`); rules tuned on
the validation days; the ceiling. Differences are paired by day.

What counts as training: encoding and fitting, from the market in memory to a policy that can act; for `full` its
validation and critic too, for the libraries their own learning alone. Every case has a process of its own, one thread
and one core; numba's code is compiled (or loaded) by a tiny training before. Our cases run one after another before
the libraries', so that nothing disturbs their clock.

    python benchmarks/learning_speed.py [--workers 2] [--seconds 600] [--kept runs/learning_speed] [--json OUT]
    python benchmarks/learning_speed.py --case dqn --seed 0 --seconds 120     # one case, its answer in JSON

Every finished case is kept under `--kept`, so that an interrupted benchmark goes on where it was; --data-folder says
where `imbalance_qh_2022.parquet` and `day_ahead_hourly_2021_2022.parquet` lie.
"""

from __future__ import annotations

import os

if __name__ == "__main__":
    # Before anything that starts threads is imported.
    os.environ |= {f"{name}_NUM_THREADS": "1" for name in ("OMP", "OPENBLAS", "MKL", "NUMBA")}

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from arbitrage.backtest.engine import PERFECT_FORESIGHT, Backtest, run_backtest
from arbitrage.backtest.metrics import daily_interval_eur, daily_profit_eur, summary
from arbitrage.battery import Battery
from arbitrage.code_revision import code_revision
from arbitrage.experiments.strategies import EvaluationSpec, try_strategy
from arbitrage.features.names import FeatureSet
from arbitrage.learners.closed_form.config import Preset
from arbitrage.market.files.read import read_market
from arbitrage.market.series import MarketSeries
from arbitrage.market.splits import DaysOfMonth, SocReset, select
from arbitrage.policies.checkpoint.load import load_policy
from arbitrage.policies.protocol import Policy
from arbitrage.training.closed_form import ClosedFormTrainer
from arbitrage.training.data_split import DataSplit

DATA = Path(__file__).parents[2] / "shared" / "data"
TEST, TRAIN, VALIDATION = "26-31", DaysOfMonth(1, 20), DaysOfMonth(21, 25)
REFIT = " refit"
LEAN = tuple(f"{preset}{refit}" for preset in (Preset.QUICK, Preset.FAST) for refit in ("", REFIT))
OURS, LIBRARIES = (*LEAN, str(Preset.FULL)), ("dqn", "qr-dqn")
FIXED = ("threshold", "spread", PERFECT_FORESIGHT)
CAPS = {"none": None, "1.1": 1.1}
TUNING_SEED = 1000
console = Console(stderr=True)


@dataclass(frozen=True, slots=True)
class Case:
    """One training, or one strategy that needs none."""

    name: str
    cap: str = "none"
    seed: int = 0
    seconds: float = 0.0
    """Of a library's learning."""
    settings: str = ""
    """Of a library's agent, by name; empty where there is nothing to choose."""

    @property
    def label(self) -> str:
        """Names its file."""
        parts = [self.name, f"cap-{self.cap}", f"seed-{self.seed}"]
        return "-".join([*parts, f"{self.seconds:g}s", self.settings] if self.settings else parts)


def the_market(folder: Path) -> MarketSeries:
    return read_market(folder / "imbalance_qh_2022.parquet", day_ahead=folder / "day_ahead_hourly_2021_2022.parquet")


def run_case(case: Case, folder: Path) -> dict[str, Any]:
    """Train, then test; a case of tuning is not tested."""
    market, battery = the_market(folder), Battery(max_cycles_per_day=CAPS[case.cap])
    selection = select(market, days_of_month=TEST)
    about: dict[str, Any] = {}
    if case.name in FIXED:
        trial = EvaluationSpec(market, battery, selection, SocReset.DAILY, VALIDATION)
        result = try_strategy(case.name, trial, warn=console.print)
    else:
        learn = train_library if case.name in LIBRARIES else train_ours
        policy, about = learn(case, market, battery)
        if policy is None:
            return {**asdict(case), **about}
        result = run_backtest(market, battery, policy, selection)
    return {**asdict(case), **about, **_tested(result)}


def _tested(result: Backtest) -> dict[str, Any]:
    figures = summary(result)
    names = ("profit_eur_per_day", "capture_fraction", "cycles_per_day", "violations")
    daily = daily_profit_eur(result.ledger)
    return {**{name: figures[name] for name in names}, "daily_eur": [round(value, 6) for value in daily.tolist()]}


def train_ours(case: Case, market: MarketSeries, battery: Battery) -> tuple[Policy, dict[str, Any]]:
    """One of our presets on one core, after a tiny training that has the code compiled."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    split = DataSplit(market=market, train_days=TRAIN, validation_days=VALIDATION)
    preset, refit = Preset(case.name.removesuffix(REFIT)), case.name.endswith(REFIT)
    trainer = ClosedFormTrainer.of(split, FeatureSet.QUARTER_HOUR, preset, refit=refit)
    tiny = replace(trainer, refit=False, config=replace(trainer.config, cosines=8, network=None))
    tiny.policy(replace(split, train_days=DaysOfMonth(1, 8)), battery, case.seed)
    if trainer.config.final_stage_only:
        began = time.perf_counter()
        policy = trainer.policy(split, battery, case.seed)
        return policy, {"train_seconds": time.perf_counter() - began}
    with tempfile.TemporaryDirectory() as directory:
        began = time.perf_counter()
        card = trainer.fit(split, battery, case.seed, Path(directory))
        seconds = time.perf_counter() - began
        return load_policy(Path(directory)), {"train_seconds": seconds, "stage": card["chosen_stage"]}


def train_library(case: Case, market: MarketSeries, battery: Battery) -> tuple[Policy | None, dict[str, Any]]:
    """A library's agent; the policy is None of a case of tuning."""
    from library_rivals import CANDIDATES, Contest, train_rival

    contest = Contest(market, battery, TRAIN, VALIDATION)
    best = train_rival(case.name, contest, CANDIDATES[case.settings], case.seed, case.seconds)
    validation = {"validation_eur_per_day": best.validation_eur_per_day, "looks": best.looks}
    about = {"train_seconds": case.seconds, **validation, "settings_used": asdict(CANDIDATES[case.settings])}
    return (None if case.seed == TUNING_SEED else best.policy), about


def kept_or_run(case: Case, arguments: argparse.Namespace) -> dict[str, Any]:
    """The case's answer from its file, or from a process of its own."""
    path = arguments.kept / f"{case.label}.json"
    if not path.exists():
        asked = {"--case": case.name, "--cap": case.cap, "--seed": case.seed, "--seconds": case.seconds}
        asked |= {"--data-folder": arguments.data_folder} | ({"--settings": case.settings} if case.settings else {})
        words = [str(word) for pair in asked.items() for word in pair]
        done = subprocess.run([sys.executable, __file__, *words], stdout=subprocess.PIPE, check=True)
        beside = path.with_suffix(f".{os.getpid()}")
        beside.write_bytes(done.stdout)
        beside.replace(path)
    return dict(json.loads(path.read_text()))


def run_all(cases: Iterable[Case], workers: int, arguments: argparse.Namespace, text: str) -> list[dict[str, Any]]:
    """Answers of all cases, so many at a time."""
    wanted, answers = list(cases), []
    with Progress(console=console) as progress, ThreadPoolExecutor(workers) as pool:
        task = progress.add_task(text, total=len(wanted))
        for answer in pool.map(lambda case: kept_or_run(case, arguments), wanted):
            answers.append(answer)
            progress.advance(task)
            earned = answer.get("profit_eur_per_day", answer.get("validation_eur_per_day"))
            cap, seed = answer["cap"], answer["seed"]
            progress.print(f"{answer['name']} {answer['settings']} cap {cap}, seed {seed}: {earned:,.1f} EUR a day")
    return answers


def tuned_settings(answers: list[dict[str, Any]]) -> dict[tuple[str, str], str]:
    """Of each library's agent and cap, the settings that earned most on the validation days."""
    best: dict[tuple[str, str], dict[str, Any]] = {}
    for answer in answers:
        key = (answer["name"], answer["cap"])
        if key not in best or answer["validation_eur_per_day"] > best[key]["validation_eur_per_day"]:
            best[key] = answer
    return {key: answer["settings"] for key, answer in best.items()}


def library_answers(caps: list[str], arguments: argparse.Namespace) -> list[dict[str, Any]]:
    from library_rivals import CANDIDATES

    pairs = [(name, cap) for cap in caps for name in LIBRARIES]
    tuning = (
        Case(name, cap, TUNING_SEED, arguments.tuning_seconds, settings)
        for name, cap in pairs
        for settings in CANDIDATES
    )
    chosen = tuned_settings(run_all(tuning, arguments.workers, arguments, "tuning"))
    console.print(f"chosen on the validation days: {chosen}")
    long = (
        Case(name, cap, seed, arguments.seconds, chosen[name, cap])
        for name, cap in pairs
        for seed in range(arguments.library_seeds)
    )
    return run_all(long, arguments.workers, arguments, "libraries")


def rows_of(cap: str, answers: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """One row a strategy: means over seeds, intervals over days, and ours less theirs, paired by day."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for answer in answers:
        if answer["cap"] == cap:
            groups.setdefault(answer["name"], []).append(answer)
    daily = {name: pd.DataFrame({one["seed"]: one["daily_eur"] for one in group}) for name, group in groups.items()}
    ceiling = float(daily[PERFECT_FORESIGHT].to_numpy().mean())
    return [_row(name, group, daily, ceiling) for name, group in groups.items()]


def _row(name: str, group: list[dict[str, Any]], daily: dict[str, pd.DataFrame], ceiling: float) -> dict[str, Any]:
    mean = daily[name].mean(axis=1)
    row = {
        "strategy": name,
        "cap": group[0]["cap"],
        "seeds": len(group),
        "settings": group[0]["settings"],
        "train_seconds_median": float(np.median([one.get("train_seconds", 0.0) for one in group])),
        "train_seconds_longest": max(one.get("train_seconds", 0.0) for one in group),
        "profit_eur_per_day": float(mean.mean()),
        "by_seed": [round(float(value), 1) for value in daily[name].mean()],
        "interval": list(daily_interval_eur(mean)),
        "of_ceiling": float(mean.mean()) / ceiling,
        "violations": sum(one["violations"] for one in group),
    }
    for ours in LEAN:
        if ours in daily and name != ours:
            points = 100.0 * (daily[ours].mean(axis=1) - mean) / ceiling
            row[f"{ours}_minus_this_points"] = float(points.mean())
            row[f"{ours}_minus_this_points_interval"] = list(daily_interval_eur(points))
    return row


def print_rows(cap: str, rows: list[dict[str, Any]]) -> None:
    title = f"Test days 26-31 of 2022, {'no cap' if cap == 'none' else f'cap {cap} cycles a day'}"
    names = ("strategy", "seeds", "training, s", "EUR/day", "95 % (days)", "seeds from - to", "of ceiling")
    ours = (str(Preset.FAST), f"{Preset.FAST}{REFIT}")
    table = Table(*names, *(f"{name} minus this, points" for name in ours), title=title)
    for row in rows:
        table.add_row(
            f"{row['strategy']} {row['settings']}",
            str(row["seeds"]),
            f"{row['train_seconds_median']:.2f} (at most {row['train_seconds_longest']:.2f})",
            f"{row['profit_eur_per_day']:,.1f}",
            "{:,.0f} to {:,.0f}".format(*row["interval"]),
            f"{min(row['by_seed']):,.0f} - {max(row['by_seed']):,.0f}",
            f"{row['of_ceiling']:.1%}",
            *(_versus(row, name) for name in ours),
        )
    Console(width=170).print(table)


def _versus(row: dict[str, Any], ours: str) -> str:
    """Points of the ceiling that ours earns more, with the interval."""
    if f"{ours}_minus_this_points" not in row:
        return ""
    low, high = row[f"{ours}_minus_this_points_interval"]
    return f"{row[f'{ours}_minus_this_points']:+.1f} ({low:+.1f} to {high:+.1f})"


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5, help="of ours")
    parser.add_argument("--library-seeds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=600.0, help="of a library's learning")
    parser.add_argument("--tuning-seconds", type=float, default=120.0)
    parser.add_argument("--workers", type=int, default=2, help="libraries' cases at a time")
    parser.add_argument("--caps", nargs="+", choices=list(CAPS), default=list(CAPS))
    parser.add_argument("--ours", nargs="+", choices=OURS, default=list(OURS))
    parser.add_argument("--without-libraries", action="store_true")
    parser.add_argument("--kept", type=Path, default=Path("runs/learning_speed"))
    parser.add_argument("--data-folder", type=Path, default=DATA)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--case", choices=[*OURS, *LIBRARIES, *FIXED], help="run this one and print its answer")
    parser.add_argument("--cap", choices=list(CAPS), default="none", help="of --case")
    parser.add_argument("--seed", type=int, default=0, help="of --case")
    parser.add_argument("--settings", help="of --case; a name among the candidates")
    return parser.parse_args()


def main() -> None:
    arguments = parsed()
    if arguments.case is not None:
        settings = arguments.settings or ("base" if arguments.case in LIBRARIES else "")
        seconds = arguments.seconds if settings else 0.0
        case = Case(arguments.case, arguments.cap, arguments.seed, seconds, settings)
        print(json.dumps(run_case(case, arguments.data_folder), indent=2))
        return
    revision = code_revision() or "installed"
    arguments.kept /= revision
    arguments.kept.mkdir(parents=True, exist_ok=True)
    ours = [
        Case(name, cap, seed) for cap in arguments.caps for name in arguments.ours for seed in range(arguments.seeds)
    ]
    ours += [Case(name, cap) for cap in arguments.caps for name in FIXED]
    answers = run_all(ours, 1, arguments, "ours, rules, ceiling")
    if not arguments.without_libraries:
        answers += library_answers(arguments.caps, arguments)
    rows = {cap: rows_of(cap, answers) for cap in arguments.caps}
    for cap in arguments.caps:
        print_rows(cap, rows[cap])
    if arguments.json is not None:
        arguments.json.write_text(json.dumps({"code_revision": revision, "rows": rows}, indent=2) + "\n")


if __name__ == "__main__":
    main()
