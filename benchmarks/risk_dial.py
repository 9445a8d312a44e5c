"""The risk dial on days after training: what it does to the mean and to the bad days, against simpler ways.

Walk-forward: learn on 2021-05-01 .. 2022-06-30, test on 2022-07-01 .. 2022-12-31, energy carried over midnight, battery
of 1 MW / 2 MWh, with and without a cap of 1.1 cycles a day, by the quarter-hour and by the minute (RECONSTRUCTED
minutes, `matched`, published at once), on real prices and on simulated worlds of the same dates. One policy is trained
a run; the dial, and all that it is compared with, is turned when it decides. Nothing is tuned here.

    python benchmarks/risk_dial.py [--runs 3] [--minute-runs 1] [--worlds 2] [--minute-worlds 1] [--json OUT]
                                   [--plot OUT.html] [--picture OUT.png]

- dial w: the whole-day risk head at risk aversion w; 0 is checked to be the bare policy, decision by decision.
- margin m: advantages must exceed m x their expected size, both ways. power f: a fraction f of rated power.
- per-step c: the reference's way, mean + c x VaR 10 % of each action's outcomes to midnight by the quantile critic.
Daily profit is told in cash, and marked to market: plus the day's change of stored energy x discharge efficiency x the
day's mean day-ahead price (0 if negative). Intervals are 90 %, a bootstrap over blocks of 7 days, runs side by side, of
differences paired by day: to w = 0, and to the margin and the power whose mean is nearest.
Every finished run is kept under `--kept`, so that an interrupted benchmark goes on where it was.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

PROJECT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(PROJECT))

from arbitrage.arrays import Floats
from arbitrage.backtest.engine import Backtest, run_backtest
from arbitrage.backtest.valuation import daily_accounts
from arbitrage.battery import Battery, BatteryState
from arbitrage.code_revision import code_revision
from arbitrage.features.names import FeatureSet
from arbitrage.market.files.read import read_market
from arbitrage.market.point_in_time import DAY_AHEAD, KnownMarket
from arbitrage.market.reconstruction.with_minutes import with_reconstructed_minutes
from arbitrage.market.series import MarketSeries
from arbitrage.market.simulation.simulator import simulate
from arbitrage.market.splits import DaysOfMonth, SocReset, Span, select
from arbitrage.policies.checkpoint.load import load_policy
from arbitrage.policies.closed_form.policy import ClosedFormPolicy
from arbitrage.policies.closed_form.risk_head import HeadParameters
from arbitrage.policies.closed_form.view import ClosedFormView, RiskAdjustment
from arbitrage.policies.protocol import Intent, PlainView, Untrained
from arbitrage.quarter_hour import MINUTES_PER_QUARTER_HOUR, epoch_minute
from arbitrage.risk import RiskMeasure, RiskPreference
from arbitrage.training.closed_form import ClosedFormTrainer
from arbitrage.training.data_split import DataSplit
from benchmarks.risk_dial_figures import draw, figures_of, write_picture

DATA = PROJECT.parent / "shared" / "data"
BEGIN, TEST, END = "2021-05-01T00:00+02:00", "2022-07-01T00:00+02:00", "2023-01-01T00:00+01:00"
DIAL = (0.0, 0.25, 0.5, 0.75, 0.9, 0.95)
MARGINS = (-0.1, -0.05, 0.02, 0.05, 0.1, 0.2)
POWERS = (0.98, 0.95, 0.9, 0.8)
PER_STEP = (0.1, 0.3, 1.0, 3.0)
CAPS = (None, 1.1)
console = Console(stderr=True)


@dataclass(frozen=True, slots=True)
class Case:
    """One run."""

    source: str
    """`real` or `simulated`."""
    feature_set: str
    cap: float | None
    run: int

    @property
    def name(self) -> str:
        return "-".join(str(part) for part in asdict(self).values())


def market_of(case: Case) -> MarketSeries:
    """Real prices, with minutes drawn by the run's seed, or a simulated world of that seed."""
    by_minute = case.feature_set != FeatureSet.QUARTER_HOUR
    if case.source == "simulated":
        world = simulate(epoch_minute(BEGIN), epoch_minute(END), seed=2000 + case.run, parameters="2022")
        return world.market(with_minutes=by_minute, publication_delay_min=0)
    files = [DATA / f"imbalance_qh_{year}.parquet" for year in (2021, 2022)]
    day_ahead = DATA / "day_ahead_hourly_2021_2022.parquet"
    market = read_market(files, day_ahead=day_ahead, publication_delay_min=0)
    return with_reconstructed_minutes(market, "matched", case.run) if by_minute else market


class Watched(PlainView, Untrained):
    """A reading that has been made, as a policy; it counts the energy of each minute of the quarter-hour."""

    def __init__(self, name: str, view: ClosedFormView, times: npt.NDArray[np.int64], battery: Battery, step_min: int):
        self.name, self._view, self._times, self._battery, self._step_min = name, view, times, battery, step_min
        self.moved_mwh = np.zeros(MINUTES_PER_QUARTER_HOUR)

    def bind(self, known: KnownMarket, battery: Battery) -> Watched:
        if battery != self._battery or not np.array_equal(known.times, self._times):
            raise ValueError("read for other times or another battery")
        return self

    def intent(self, at: int, state: BatteryState, profit_today_eur: float = 0.0) -> Intent:
        intent = self._view.intent(at, state, profit_today_eur)
        flow = self._battery.step(state, intent.power_mw, self._step_min)
        self.moved_mwh[self._times[at] % MINUTES_PER_QUARTER_HOUR] += abs(flow.power_mw) * self._step_min / 60.0
        return intent

    def outcomes_eur(self, at: int, state: BatteryState) -> Floats | None:
        return self._view.outcomes_eur(at, state)


def variants(policy: ClosedFormPolicy, view: ClosedFormView) -> Iterator[tuple[str, ClosedFormView]]:
    """Everything that is tried with one reading of the market."""
    if policy.head is None or view.dialled is None:
        raise ValueError("the policy has no head")
    context = view.dialled.context
    bare = replace(view, dialled=None)
    yield "bare", bare
    for position in DIAL:
        yield f"dial {position}", replace(view, dialled=RiskAdjustment(policy.head.parameters(position), context))
    for margin in MARGINS:
        own = HeadParameters(charge_margin=margin, discharge_margin=margin)
        yield f"margin {margin}", replace(view, dialled=RiskAdjustment(own, context))
    for fraction in POWERS:
        yield (
            f"power {fraction}",
            replace(view, dialled=RiskAdjustment(HeadParameters(power_change=fraction - 1.0), context)),
        )
    for weight in PER_STEP:
        yield f"per-step {weight}", replace(bare, preference=RiskPreference(RiskMeasure.VAR, 0.1, weight))


def run_case(case: Case) -> dict[str, Any]:
    """Daily profits in cash and marked to market of every variant on the test days."""
    market, battery = market_of(case), Battery(max_cycles_per_day=case.cap)
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        split = DataSplit(
            market=market,
            train_days=DaysOfMonth(1, 25),
            validation_days=DaysOfMonth(26, 31),
            start=epoch_minute(BEGIN),
            end=epoch_minute(TEST),
            soc_reset=SocReset.NEVER,
        )
        trainer = ClosedFormTrainer.of(split, FeatureSet(case.feature_set), with_risk_head=True)
        trainer.fit(split, battery, case.run, Path(folder))
        policy = load_policy(folder)
    if not isinstance(policy, ClosedFormPolicy) or policy.head is None:
        raise TypeError("not a policy with a risk head")
    seconds = time.perf_counter() - began
    selection = select(market, start=TEST, end=END, soc_reset=SocReset.NEVER)
    times = _times_of(market, selection, policy.step_min)
    view = policy.with_risk_aversion(DIAL[-1]).bind(market.known_at(times), battery)
    tried = {}
    for name, turned in variants(policy, view):
        watched = Watched(name, turned, times, battery, policy.step_min)
        result = run_backtest(market, battery, watched, selection, step_min=policy.step_min)
        tried[name] = _told(market, result, watched)
    heads = {str(position): policy.head.parameters(position)._asdict() for position in DIAL}
    return {**asdict(case), "seconds": seconds, "heads": heads, "variants": tried}


def _times_of(market: MarketSeries, selection: tuple[Span, ...], step_min: int) -> npt.NDArray[np.int64]:
    if len(selection) != 1:
        raise ValueError("the test is one span")
    starts = market.quarter_hours[selection[0].rows]
    return (starts[:, None] + np.arange(0, MINUTES_PER_QUARTER_HOUR, step_min)).ravel()


def _told(market: MarketSeries, result: Backtest, watched: Watched) -> dict[str, Any]:
    ledger = result.ledger
    recorded = market.known_series[DAY_AHEAD].series().reindex(ledger.index)
    accounts = daily_accounts(ledger, result.battery, recorded.groupby(ledger["brussels_day"]).mean())
    drawn = float(ledger["discharge_mwh"].sum()) / result.battery.discharge_efficiency
    return {
        "cash_eur": accounts["profit_eur"].tolist(),
        "marked_eur": accounts["marked_eur"].tolist(),
        "cycles_per_day": drawn / result.battery.capacity_mwh / len(accounts),
        "minute_shares": (watched.moved_mwh / max(watched.moved_mwh.sum(), 1e-12)).tolist(),
        "soc_end_mwh": ledger["soc_end_mwh"].to_numpy().tolist() if watched.name in ("bare", "dial 0.0") else None,
        "violations": len(result.violations),
    }


def kept_or_run(case: Case, folder: Path) -> dict[str, Any]:
    """The run's result, from its file if it is there."""
    path = folder / f"{case.name}.json"
    if path.exists():
        return dict(json.loads(path.read_text()))
    answer = run_case(case)
    tried = answer["variants"]
    answer["neutral_is_bit_equal"] = tried["dial 0.0"] == tried["bare"]
    for variant in tried.values():
        del variant["soc_end_mwh"]
    beside = path.with_suffix(f".{os.getpid()}")
    beside.write_text(json.dumps(answer))
    beside.replace(path)
    return answer


def cases(runs: int, minute_runs: int, worlds: int, minute_worlds: int) -> list[Case]:
    """All runs, the quickest first."""
    quarter, minute = str(FeatureSet.QUARTER_HOUR), str(FeatureSet.FULL)
    asked = [("real", quarter, runs), ("simulated", quarter, worlds), ("real", minute, minute_runs)]
    asked += [("simulated", minute, minute_worlds)]
    return [Case(source, sees, cap, run) for source, sees, count in asked for cap in CAPS for run in range(count)]


def print_rows(rows: list[dict[str, Any]]) -> None:
    for key in dict.fromkeys((row["source"], row["sees"], row["cap"], row["books"]) for row in rows):
        own = [row for row in rows if (row["source"], row["sees"], row["cap"], row["books"]) == key]
        source, sees, cap, books = key
        title = f"{source}, {sees}, {'no cap' if cap is None else f'cap {cap}'}, {books}, {own[0]['runs']} runs"
        table = Table("way", "mean", "to w=0", "std", "CVaR 5 %", "CVaR 10 %", "to w=0", "worst", "cycles", title=title)
        table.add_column("CVaR10 to margin, power of equal mean")
        for row in own:
            table.add_row(
                row["way"],
                f"{row['mean']:,.1f}",
                _signed(row["mean_difference"]),
                f"{row['std']:,.1f}",
                f"{row['cvar_5']:,.1f}",
                f"{row['cvar_10']:,.1f}",
                _signed(row["cvar_10_difference"]),
                f"{row['worst']:,.0f}",
                f"{row['cycles']:.2f}",
                "; ".join(f"{name} {_signed(difference)}" for name, difference in row["rivals"].items()),
            )
        Console(width=190).print(table)


def _signed(difference: list[float] | None) -> str:
    return "" if difference is None else "{:+,.1f} ({:+,.0f} to {:+,.0f})".format(*difference)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=3, help="training seeds on real prices by the quarter-hour")
    parser.add_argument("--minute-runs", type=int, default=1, help="seeds of training and of drawn minutes")
    parser.add_argument("--worlds", type=int, default=2, help="simulated worlds")
    parser.add_argument("--minute-worlds", type=int, default=1, help="of them by the minute, which take long")
    parser.add_argument("--kept", type=Path, default=Path("runs/risk_dial"))
    parser.add_argument("--json", type=Path)
    parser.add_argument("--plot", type=Path, help="the picture as HTML")
    parser.add_argument("--picture", type=Path, help="the picture as PNG, drawn with Chromium")
    arguments = parser.parse_args()
    revision = code_revision() or "installed"
    folder = arguments.kept
    folder.mkdir(parents=True, exist_ok=True)
    asked = cases(arguments.runs, arguments.minute_runs, arguments.worlds, arguments.minute_worlds)
    results = []
    with Progress(console=console) as progress:
        task = progress.add_task("runs", total=len(asked))
        for case in asked:
            progress.update(task, description=case.name)
            results.append(kept_or_run(case, folder))
            progress.advance(task)
    if not all(result["neutral_is_bit_equal"] for result in results):
        console.print("[red]the dial at zero is not the bare policy[/red]")
    rows, shares = figures_of(results)
    print_rows(rows)
    if arguments.json is not None:
        arguments.json.write_text(json.dumps({"code_revision": revision, "rows": rows, "shares": shares}, indent=2))
    if arguments.plot is not None:
        draw(rows, shares).write_html(arguments.plot, include_plotlyjs=True)
    if arguments.picture is not None:
        write_picture(draw(rows, shares), arguments.picture)


if __name__ == "__main__":
    main()
