"""Our agent among its rivals, on the same days and in the same ledger.

Two protocols, finished quarter-hours only, battery of 1 MW / 2 MWh, 0.9 each way, no cap and 1.1 cycles a day:
- reference: 2022, learn on days 1-20 of each month, choose on 21-25, test on the 65 days from the 26th, each day on its
  own from an empty battery.
- walk-forward: learn from 2021-04-25 on, the first whole day there is, test 2022 month by month with one battery that
  lives through the year; days 1-25 of what came before to learn from, 26-31 to choose on. Ours and model-predictive
  control learn anew every month, rules are tuned anew; library agents are trained once, on what came before 2022, for
  want of time, and so is `learned once`. `learned with refit` is what `arbitrage walk-forward` does: in the end it
  learns from the days that have chosen too.

Rows: this program's agent; idle, rules, perfect foresight; the learned policy told the running quarter-hour's final
price (NOT causal: what minutes can be worth at most); model-predictive control on a probabilistic price forecast, with
one path and with scenarios and CVaR; stable-baselines3's DQN, SAC and TD3 (set up as the published rival's, causal) and
sb3-contrib's QR-DQN on our environment, so many seconds of learning each, the best weights by validation days.

Leads are the agent's profit less the rival's, paired by day, 95 % intervals by a bootstrap over blocks of days and over
seeds, p-values adjusted by Holm over all rivals of a protocol and cap. Every finished case is kept, so that an
interrupted benchmark goes on; a case has a process and a thread of its own.
Settings of DQN and QR-DQN were chosen on the validation days without a cap (`learning_speed.py`), SAC keeps its
base, TD3 the published ones.

    python benchmarks/rivals/rivals.py [--seeds 5] [--library-seeds 2] [--seconds 300] [--workers 2] [--only TEXT ...]
                                [--json OUT]
    python benchmarks/rivals/rivals.py --case NAME --protocol reference --cap 1.1 --seed 0  # one case, in JSON
"""

from __future__ import annotations

import os

if __name__ == "__main__":
    # Before anything that starts threads is imported.
    os.environ |= {f"{name}_NUM_THREADS": "1" for name in ("OMP", "OPENBLAS", "MKL", "NUMBA")}

import argparse
import datetime as dt
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from library_rivals import CANDIDATES
from rich.console import Console
from rich.progress import Progress
from rich.table import Table
from rival_strategies import (
    known_quarter_hour,
    library_agent,
    plan_of_room,
    price_forecast,
    rolling_control,
)

from arbitrage.backtest.engine import (
    KNOWN_QUARTER_HOUR,
    PERFECT_FORESIGHT,
    Backtest,
    backtest_perfect_foresight,
    run_backtest,
)
from arbitrage.backtest.metrics import daily_profit_eur, summary
from arbitrage.backtest.statistics import compare_daily, estimate, tail_estimates
from arbitrage.battery import Battery
from arbitrage.code_revision import code_revision
from arbitrage.experiments.known_quarter_hour import KnownQuarterHour
from arbitrage.experiments.strategies import EvaluationSpec, try_strategy
from arbitrage.experiments.walk_forward import TrainingWindow, Walk, WindowTrainer, walk_forward
from arbitrage.features.names import FeatureSet
from arbitrage.market.files.read import read_market
from arbitrage.market.series import MarketSeries
from arbitrage.market.splits import DaysOfMonth, SocReset, select
from arbitrage.market.windows import Window, WindowPlan
from arbitrage.policies.checkpoint.load import CARD_FILE, load_policy
from arbitrage.policies.checkpoint.mpc import save_mpc_policy
from arbitrage.policies.mpc.policy import Form, MpcPolicy
from arbitrage.policies.mpc.price_forecast import PriceForecast
from arbitrage.policies.protocol import Policy
from arbitrage.policies.registry import RULES
from arbitrage.risk import RiskMeasure, RiskPreference
from arbitrage.training.closed_form import ClosedFormTrainer
from arbitrage.training.data_split import DataSplit
from arbitrage.training.plan import TrainingPlan, provenance, train

DATA = Path(os.environ.get("ARBITRAGE_SHARED_DATA", Path(__file__).parents[3] / "shared" / "data"))
REFERENCE, WALK = "reference", "walk-forward"
CAPS = {"none": None, "1.1": 1.1}
OURS, ONCE, REFIT = "learned", "learned once", "learned with refit"
FIXED = ("idle", "threshold", "spread", PERFECT_FORESIGHT)
MPC = ("mpc", "mpc-scenarios")
LIBRARIES = ("dqn", "qr-dqn", "sac", "td3")
CHOSEN = {"dqn": CANDIDATES["regularised"], "qr-dqn": CANDIDATES["n-step"]}
"""Best of eight on the validation days of 2022 (`learning_speed.py`); the others keep their base, TD3 the published."""
CAREFUL = RiskPreference(RiskMeasure.CVAR, 0.1, 0.1)
"""Of model-predictive control with scenarios: mean + 0.1 x CVaR 10 % of the plan's profit."""
KEPT = "ARBITRAGE_RIVALS_KEPT"
"""Names the folder of what is kept to the processes of cases."""
NOT_CAUSAL = (PERFECT_FORESIGHT, KNOWN_QUARTER_HOUR)
YEAR = WindowPlan(train_from=dt.date(2021, 4, 25), test_from=dt.date(2022, 1, 1), test_until=dt.date(2023, 1, 1))
console = Console(stderr=True)


@dataclass(frozen=True, slots=True)
class Case:
    """One strategy under one protocol; those that learn are trained with the seed."""

    name: str
    protocol: str
    cap: str
    seed: int = 0
    seconds: float = 0.0
    """Of a library's learning."""

    @property
    def label(self) -> str:
        """Names its file."""
        parts = [self.protocol, f"cap-{self.cap}", self.name.replace(" ", "-"), f"seed-{self.seed}"]
        return "_".join([*parts, f"{self.seconds:g}s"] if self.seconds else parts)


def the_market(protocol: str) -> MarketSeries:
    years = (2022,) if protocol == REFERENCE else (2021, 2022)
    prices = [DATA / f"imbalance_qh_{year}.parquet" for year in years]
    return read_market(prices, day_ahead=DATA / "day_ahead_hourly_2021_2022.parquet", publication_delay_min=0)


def run_case(case: Case) -> dict[str, Any]:
    """Train where there is something to train, then test once."""
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        result = (on_reference if case.protocol == REFERENCE else walking)(case, Path(folder))
    figures = summary(result)
    names = ("profit_eur_per_day", "capture_fraction", "cycles_per_day", "violations", "worst_day_eur")
    return {
        **asdict(case),
        **{name: figures[name] for name in names},
        "daily_eur": [round(value, 6) for value in daily_profit_eur(result.ledger).tolist()],
        "seconds_in_all": round(time.perf_counter() - began, 1),
        "code_revision": code_revision(),
    }


def on_reference(case: Case, folder: Path) -> Backtest:
    market, battery = the_market(REFERENCE), Battery(max_cycles_per_day=CAPS[case.cap])
    selection = select(market, days_of_month="26-31")
    if case.name in FIXED:
        trial = EvaluationSpec(market, battery, selection, SocReset.DAILY, DaysOfMonth(21, 25))
        return try_strategy(case.name, trial, warn=console.print)
    split = DataSplit(market=market, train_days=DaysOfMonth(1, 20), validation_days=DaysOfMonth(21, 25))
    trainer = ClosedFormTrainer.of(split, FeatureSet.QUARTER_HOUR, with_critic=False, with_risk_head=False)
    plan = TrainingPlan(trainer=trainer, split=split, battery=battery, seed=case.seed)
    if case.name == KNOWN_QUARTER_HOUR:
        return known_quarter_hour(plan).backtest(market, battery, selection)
    return run_backtest(market, battery, taught(case, plan, folder), selection)


def walking(case: Case, folder: Path) -> Backtest:
    market, battery = the_market(WALK), Battery(max_cycles_per_day=CAPS[case.cap])
    walk = Walk(market=market, battery=battery, windows=windows_of(case.name))
    selection = walk.selection()
    if case.name == PERFECT_FORESIGHT:
        return backtest_perfect_foresight(market, battery, selection)
    if case.name == KNOWN_QUARTER_HOUR:
        turns: list[tuple[int, KnownQuarterHour]] = []

        def tell_price(room: TrainingWindow) -> Policy:
            turns.append((room.window.test_start, known_quarter_hour(plan_of_room(room, case.seed))))
            return WindowTrainer(method="idle")(room)

        walk_forward(walk, tell_price, folder, name=case.name)
        return KnownQuarterHour.backtest_in_turn(market, battery, selection, turns)

    def teach(room: TrainingWindow) -> Policy:
        if case.name in RULES:
            return WindowTrainer(method=case.name)(room)
        return taught(case, plan_of_room(room, case.seed, refit=case.name == REFIT), room.folder)

    policies = walk_forward(walk, teach, folder, name=case.name, progress=lambda now: console.print(now.doing))
    return run_backtest(market, battery, policies, selection)


def taught(case: Case, plan: TrainingPlan, folder: Path) -> Policy:
    """What a strategy learns from a plan's days."""
    if case.name in LIBRARIES:
        return library_agent(case.name, plan, case.seconds, folder, CHOSEN.get(case.name))[0]
    if case.name in MPC:
        form = Form(case.name)
        return rolling_control(plan, form, CAREFUL if form is Form.SCENARIOS else None, forecast_for(plan))
    train(plan, folder)
    return load_policy(folder)


def forecast_for(plan: TrainingPlan) -> PriceForecast:
    """What rolling control plans on: one for both forms and every cap, kept from case to case."""
    neutral = replace(plan, battery=Battery(), seed=0)
    folder = Path(os.environ[KEPT]) / "forecasts" / neutral.fingerprint()[:16]
    if not (folder / CARD_FILE).exists():
        policy = rolling_control(neutral, Form.SCENARIOS, forecast=price_forecast(neutral))
        save_mpc_policy(folder, policy, provenance(neutral))
    kept = load_policy(folder)
    if not isinstance(kept, MpcPolicy):
        raise TypeError(f"{folder} holds another policy")
    return kept.forecast


def windows_of(name: str) -> tuple[Window, ...]:
    """Every month, or the whole year for those that are trained once."""
    return (replace(YEAR, retrain_months=12) if name in (*LIBRARIES, ONCE) else YEAR).windows()


def cases(seeds: int, library_seeds: int, seconds: float) -> Iterator[Case]:
    """All cases, the quickest first."""
    for protocol in (REFERENCE, WALK):
        for cap in CAPS:
            yield from (Case(name, protocol, cap) for name in FIXED)
            yield from (Case(name, protocol, cap) for name in (*MPC, KNOWN_QUARTER_HOUR))
            ours = (OURS,) if protocol == REFERENCE else (OURS, ONCE, REFIT)
            yield from (Case(name, protocol, cap, seed) for name in ours for seed in range(seeds))
            yield from (Case(name, protocol, cap, s, seconds) for name in LIBRARIES for s in range(library_seeds))


def kept_or_run(case: Case, folder: Path) -> dict[str, Any]:
    """The case's answer, from its file if it is there, else from a process of its own."""
    path = folder / f"{case.label}.json"
    if not path.exists():
        asked = ["--case", case.name, "--protocol", case.protocol, "--cap", case.cap]
        asked += ["--seed", str(case.seed), "--seconds", str(case.seconds), "--kept", str(folder)]
        done = subprocess.run([sys.executable, __file__, *asked], capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"{case.label}: {done.stderr[-2000:]}")
        beside = path.with_suffix(f".{os.getpid()}")
        beside.write_text(done.stdout)
        beside.replace(path)
    return dict(json.loads(path.read_text()))


def rows_of(answers: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """One row a strategy, protocol and cap, with our lead over it."""
    together = list(answers)
    for protocol in (REFERENCE, WALK):
        for cap in CAPS:
            own = [answer for answer in together if (answer["protocol"], answer["cap"]) == (protocol, cap)]
            names = list(dict.fromkeys(answer["name"] for answer in own))
            daily = {name: np.array([a["daily_eur"] for a in own if a["name"] == name]) for name in names}
            ceiling = daily[PERFECT_FORESIGHT].mean() if PERFECT_FORESIGHT in daily else None
            causal = {name: rows for name, rows in daily.items() if name not in NOT_CAUSAL}
            leads = compare_daily(causal, OURS) if OURS in causal and len(causal) > 1 else None
            for name in names:
                mine = [answer for answer in own if answer["name"] == name]
                profit, (_, tail) = estimate(daily[name]), tail_estimates(daily[name])
                row = {
                    "protocol": protocol,
                    "cap": cap,
                    "strategy": name,
                    "causal": name not in NOT_CAUSAL,
                    "seeds": len(mine),
                    "seconds_of_learning": mine[0]["seconds"],
                    "profit_eur_per_day": profit.value_eur,
                    "profit_interval": profit.interval,
                    "by_seed": [answer["profit_eur_per_day"] for answer in mine],
                    "of_ceiling": None if ceiling is None else profit.value_eur / ceiling,
                    "cvar_10_eur": tail.value_eur,
                    "cvar_10_interval": tail.interval,
                    "cycles_per_day": float(np.mean([answer["cycles_per_day"] for answer in mine])),
                    "violations": sum(answer["violations"] for answer in mine),
                    "code_revisions": sorted({str(answer["code_revision"]) for answer in mine}),
                }
                if leads is not None and name in leads.index:
                    row |= {str(key): value for key, value in leads.loc[name].to_dict().items()}
                yield row


def print_rows(rows: list[dict[str, Any]]) -> None:
    for key in dict.fromkeys((row["protocol"], row["cap"]) for row in rows):
        table = Table(
            *("strategy", "seeds", "EUR a day", "95 %", "seeds from - to", "of ceiling", "CVaR 10 %", "cycles"),
            *("our lead", "95 %", "p, Holm", "verdict on ours"),
            title=f"{key[0]}, cap {key[1]}",
        )
        for row in (row for row in rows if (row["protocol"], row["cap"]) == key):
            lead = "lead_eur" in row
            table.add_row(
                row["strategy"] + ("" if row["causal"] else " (not causal)"),
                str(row["seeds"]),
                f"{row['profit_eur_per_day']:,.1f}",
                "{:,.0f} to {:,.0f}".format(*row["profit_interval"]),
                f"{min(row['by_seed']):,.0f} - {max(row['by_seed']):,.0f}",
                "" if row["of_ceiling"] is None else f"{row['of_ceiling']:.1%}",
                f"{row['cvar_10_eur']:,.0f}",
                f"{row['cycles_per_day']:.2f}",
                f"{row['lead_eur']:+,.1f}" if lead else "",
                f"{row['lead_low_eur']:+,.0f} to {row['lead_high_eur']:+,.0f}" if lead else "",
                f"{row['p_value_adjusted']:.4f}" if lead else "",
                row["verdict"] if lead else "",
            )
        Console(width=170).print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5, help="of ours")
    parser.add_argument("--library-seeds", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=300.0, help="of a library's learning")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--only", nargs="*", default=[""], help="cases whose label holds one of these")
    parser.add_argument("--kept", type=Path, default=Path("runs/rivals"))
    parser.add_argument("--json", type=Path)
    for name in ("case", "protocol", "cap"):
        parser.add_argument(f"--{name}")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    os.environ[KEPT] = str(arguments.kept.resolve())
    if arguments.case:
        seconds = arguments.seconds if arguments.case in LIBRARIES else 0.0
        print(json.dumps(run_case(Case(arguments.case, arguments.protocol, arguments.cap, arguments.seed, seconds))))
        return
    arguments.kept.mkdir(parents=True, exist_ok=True)
    asked = [
        case
        for case in cases(arguments.seeds, arguments.library_seeds, arguments.seconds)
        if any(text in case.label for text in arguments.only)
    ]
    with Progress(console=console) as progress, ThreadPoolExecutor(arguments.workers) as pool:
        task = progress.add_task("cases", total=len(asked))
        for run in as_completed([pool.submit(kept_or_run, case, arguments.kept) for case in asked]):
            answer = run.result()
            progress.advance(task)
            about = f"{answer['protocol']}, cap {answer['cap']}, {answer['name']}, seed {answer['seed']}"
            progress.print(f"{about}: {answer['profit_eur_per_day']:,.1f} EUR a day, {answer['seconds_in_all']:.0f} s")
    rows = list(rows_of(json.loads(path.read_text()) for path in sorted(arguments.kept.glob("*.json"))))
    print_rows(rows)
    if sum(row["violations"] for row in rows):
        raise RuntimeError("the ledger breaks its rules somewhere")
    if arguments.json is not None:
        arguments.json.write_text(json.dumps({"code_revision": code_revision(), "rows": rows}, indent=2) + "\n")


if __name__ == "__main__":
    main()
