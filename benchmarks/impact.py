"""Profit per MW against size: a battery that takes the price, and the same one in a market that feels it.

Prints the sweep for both settlement regimes and what the shape of power within the quarter-hour earns alone, and draws
benchmarks/pictures/impact.png. Everything is simulated; a battery's own injection moves the price along the drawn bids,
and nobody else answers it.

    python benchmarks/impact.py [--seeds 3] [--days 14] [--sizes 1 50 200] [--policy DIR] [--json OUT]
                                [--plot OUT.html] [--no-picture]

What the columns of the sweep mean, all in EUR a day and MW of rating, without a cap on cycles:
- taker: the policy in the unmoved market, paid unmoved prices: the usual backtest. The same at every size.
- taker's plan: the same injections, paid what the market that felt them settles at.
- maker: the policy lives in the moved market, sees the moved records, is paid the moved prices.
- even: the maker's net energy of every quarter-hour, spread evenly over it: without the exploit (see
  `arbitrage.backtest.impact.shaping`).
- best shape: the same net energies, each in its best shape in hindsight: with the exploit.
- held: the policy decides once a quarter-hour, in its first minute, and holds the power (the rule tuned for that); it
  forgoes the records of the running quarter-hour, and has its own shadow in the last ones.
- scaled: the maker asking for a fraction of its power, the best one in worlds of other seeds; 0 % is idle.
- ceiling: perfect foresight as a price taker; ceiling's plan: the same schedule, paid what it does to the price.

The policy is a rule on the newest indicative price, tuned in a world of another seed as a price taker, or with
`--policy` a trained one of any size, enlarged. It reads the market anew in every quarter-hour and round, which takes
hours unless there are few sizes and days; set NUMBA_NUM_THREADS=1 for it. Intervals are 95 %, a bootstrap over days of
all seeds, differences day by day.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

PROJECT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(PROJECT))

from arbitrage.arrays import Floats
from arbitrage.backtest.hindsight.perfect_foresight import perfect_foresight
from arbitrage.backtest.impact.price_maker import run_price_maker
from arbitrage.backtest.impact.shaping import shape_gains, shape_in_hindsight, spread_evenly
from arbitrage.backtest.metrics import daily_interval_eur
from arbitrage.battery import Battery
from arbitrage.code_revision import code_revision
from arbitrage.market.simulation.simulator import PRESETS, Scenario, SimulatorParameters, clear, draw_scenario
from arbitrage.market.splits import Span
from arbitrage.policies.checkpoint.load import load_policy
from arbitrage.policies.minute_rule import MinuteSpreadRule, tune_by_minute
from arbitrage.policies.protocol import Policy
from arbitrage.policies.scaled import Enlarged, ScaledPower
from arbitrage.quarter_hour import (
    MINUTES_PER_HOUR,
    MINUTES_PER_QUARTER_HOUR,
    QUARTER_HOUR_H,
    brussels_day_numbers,
    epoch_minute,
)
from benchmarks.impact_figures import draw, write_picture

SIZES_MW = (1, 5, 10, 25, 50, 100, 200)
POWER_FRACTIONS = (0.1, 0.2, 0.35, 0.5, 0.7, 1.0)
REGIMES: Mapping[str, str] = {
    "extremes, to 2024-05-21": "2024-02-01T00:00+01:00",
    "averages, from 2024-05-22": "2024-07-01T00:00+02:00",
}
"""How marginal prices are made of the minutes, and the midnight at which the tested days begin."""
PRESET = "2024"
RULE_DAYS = 28
WARM_DAYS = 14
"""Days before, unmoved, for whatever a policy reads of the past."""
TUNING_SEEDS = (1001, 1002)
"""Worlds in which the rule and the power fraction are chosen; none of them is tested."""
SHAPED_FRACTION, SHAPED_DAYS, SHAPED_SEED = 0.4, 7, 0
"""Net energy whose shape is searched, as a fraction of what rated power moves in a quarter-hour, and on which days."""
PICTURE = PROJECT / "benchmarks" / "pictures" / "impact.png"
DAY_MIN = 24 * MINUTES_PER_HOUR

Daily = dict[str, Floats]
"""EUR of each day [days] by column of the sweep."""
console = Console(stderr=True)


@dataclass(frozen=True, slots=True)
class World:
    """A drawn world, and where its tested days begin."""

    scenario: Scenario
    start: int

    @property
    def first_row(self) -> int:
        return (self.start - self.scenario.start) // MINUTES_PER_QUARTER_HOUR

    def daily_eur(self, profit_eur: Floats) -> Floats:
        """Sums by Brussels day of what each tested quarter-hour [n] earned."""
        starts = np.arange(self.start, self.scenario.end, MINUTES_PER_QUARTER_HOUR)
        return np.bincount(np.unique(brussels_day_numbers(starts), return_inverse=True)[1], weights=profit_eur)

    def cash_eur(self, injection_mw: Floats) -> Floats:
        """Cash of each tested quarter-hour [n] when the market feels the injection of the tested minutes [15 n]."""
        felt = np.zeros(self.scenario.end - self.scenario.start)
        felt[self.start - self.scenario.start :] = injection_mw
        price = clear(self.scenario, felt).prices["imbalance_price_eur_mwh"].to_numpy()[self.first_row :]
        return price * injection_mw.reshape(-1, MINUTES_PER_QUARTER_HOUR).mean(axis=1) * QUARTER_HOUR_H


def make_world(start: str, seed: int, days: int, parameters: SimulatorParameters | str = PRESET) -> World:
    first = epoch_minute(start)
    scenario = draw_scenario(first - WARM_DAYS * DAY_MIN, first + days * DAY_MIN, seed=seed, parameters=parameters)
    return World(scenario, first)


def resized(battery: Battery, power_mw: float) -> Battery:
    """The same battery so many MW large, its energy in proportion."""
    return replace(battery, power_mw=power_mw, capacity_mwh=battery.capacity_mwh * power_mw / battery.power_mw)


def tuned_rule(start: str, battery: Battery, step_min: int = 1) -> MinuteSpreadRule:
    """The rule that earns most as a price taker in a world of another seed, deciding every so many minutes."""
    world = make_world(start, TUNING_SEEDS[0], RULE_DAYS)
    market = clear(world.scenario).market(with_minutes=True)
    tested = (Span(world.first_row, len(market)),)
    where = f"seed {TUNING_SEEDS[0]}, {RULE_DAYS} days"
    return tune_by_minute(MinuteSpreadRule(), market, battery, tested, where, step_min=step_min)


def best_fractions(worlds: Sequence[World], policy: Policy, battery: Battery, sizes: Sequence[int]) -> dict[int, float]:
    """For each size the power fraction that earns most in these worlds, lived as a price maker."""
    chosen = {}
    for size in sizes:
        earned = {0.0: 0.0}
        for fraction in POWER_FRACTIONS:
            scaled = ScaledPower(policy, fraction)
            runs = [run_price_maker(world.scenario, resized(battery, size), scaled, world.start) for world in worlds]
            earned[fraction] = sum(float(run.ledger["profit_eur"].sum()) for run in runs)
        chosen[size] = max(earned, key=lambda fraction: earned[fraction])
        console.print(f"  {size} MW: best power fraction in worlds of other seeds {chosen[size]:.0%}")
    return chosen


@dataclass(frozen=True, slots=True)
class Plans:
    """What is decided without feeling any price, for the battery as it was given; EUR and MW scale with the size."""

    world: World
    battery: Battery
    taker_eur: Floats
    """Shape [days]."""
    taker_mw: Floats
    """Shape [15 n], tested minutes."""
    ceiling_eur: Floats
    ceiling_mw: Floats

    @classmethod
    def of(cls, world: World, policy: Policy, battery: Battery) -> Plans:
        run = run_price_maker(world.scenario, battery, policy, world.start, felt_fraction=0.0)
        market = clear(world.scenario).market()
        best = perfect_foresight(market, battery, (Span(world.first_row, len(market)),))
        net_mwh = best.discharge_mwh - best.charge_mwh
        wear_eur = best.discharge_mwh / battery.discharge_efficiency * battery.wear_cost_eur_mwh
        return cls(
            world,
            battery,
            world.daily_eur(run.ledger["profit_eur"].to_numpy()),
            run.injection_mw[world.start - world.scenario.start :],
            world.daily_eur(market.price_eur_mwh[world.first_row :] * net_mwh - wear_eur),
            np.repeat(net_mwh / QUARTER_HOUR_H, MINUTES_PER_QUARTER_HOUR),
        )


def sweep_one(plans: Plans, policy: Policy, holding: Policy, size: int, fraction: float) -> Daily:
    """EUR of each day and MW of rating, by column, for one world and size. Wear is left out: the battery has none."""
    world, battery = plans.world, resized(plans.battery, size)
    times = size / plans.battery.power_mw
    lived = run_price_maker(world.scenario, battery, policy, world.start)
    held = run_price_maker(world.scenario, battery, holding, world.start, step_min=MINUTES_PER_QUARTER_HOUR)
    scaled = run_price_maker(world.scenario, battery, ScaledPower(policy, fraction), world.start)
    broken = sum(len(run.violations) for run in (lived, held, scaled))
    if broken:
        raise RuntimeError(f"{broken} violations of the battery's rules at {size} MW")
    injection_mw = lived.injection_mw[world.start - world.scenario.start :]
    soc_mwh = lived.ledger["soc_start_mwh"].to_numpy()
    shaped_mw, lost_eur = shape_in_hindsight(world.scenario, battery, injection_mw, soc_mwh, world.start)
    earned = {
        "taker's plan": world.cash_eur(plans.taker_mw * times),
        "maker": lived.ledger["profit_eur"].to_numpy(),
        "even": world.cash_eur(spread_evenly(injection_mw)),
        "best shape": world.cash_eur(shaped_mw) - lost_eur,
        "held": held.ledger["profit_eur"].to_numpy(),
        "scaled": scaled.ledger["profit_eur"].to_numpy(),
        "ceiling's plan": world.cash_eur(plans.ceiling_mw * times),
    }
    daily = {name: world.daily_eur(profit_eur) / size for name, profit_eur in earned.items()}
    unmoved = {"taker": plans.taker_eur, "ceiling": plans.ceiling_eur}
    return daily | {name: value / plans.battery.power_mw for name, value in unmoved.items()}


def sweep(regime: str, options: argparse.Namespace, battery: Battery, policy: Policy | None) -> list[dict[str, Any]]:
    """One row a size, ready for JSON."""
    start = REGIMES[regime]
    chosen: Policy = policy or tuned_rule(start, battery)
    holding: Policy = policy or tuned_rule(start, battery, MINUTES_PER_QUARTER_HOUR)
    console.print(f"{regime}: {chosen.name}" if policy else f"{regime}: {chosen}, held {holding}")
    others = [make_world(start, seed, options.days) for seed in TUNING_SEEDS]
    fractions = best_fractions(others, chosen, battery, options.sizes)
    worlds = [make_world(start, seed, options.days) for seed in range(options.seeds)]
    plans = [Plans.of(world, chosen, battery) for world in worlds]
    rows = []
    for size in options.sizes:
        parts = [sweep_one(plan, chosen, holding, size, fractions[size]) for plan in plans]
        daily = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        rows.append({"regime": regime, "size_mw": size, "power_fraction": fractions[size], **_figures(daily)})
        console.print(f"  {size} MW: maker {daily['maker'].mean():,.0f} EUR a day and MW")
    return rows


def _figures(daily: Daily) -> dict[str, Any]:
    """Means with intervals by column, and of the differences that matter, over days."""
    pairs = {
        "maker - taker": ("maker", "taker"),
        "scaled - maker": ("scaled", "maker"),
        "maker - even": ("maker", "even"),
        "best shape - even": ("best shape", "even"),
        "held - maker": ("held", "maker"),
    }
    values = daily | {name: daily[a] - daily[b] for name, (a, b) in pairs.items()}
    return {
        "days": len(daily["maker"]),
        "eur_per_mw_per_day": {name: float(value.mean()) for name, value in values.items()},
        "interval": {name: list(daily_interval_eur(value)) for name, value in values.items()},
    }


def shape_rows(sizes: Sequence[int]) -> list[dict[str, Any]]:
    """What shape alone earns a quarter-hour, under both rules with the bids of either; selling and buying."""
    preset, rows = PRESETS[PRESET], []
    bids = {"older bids": preset.merit_order, "newer bids": preset.gradual_merit_order}
    for regime, start in REGIMES.items():
        for name, drawn in bids.items():
            parameters = replace(preset, merit_order=drawn, gradual_merit_order=drawn)
            world = make_world(start, SHAPED_SEED, SHAPED_DAYS, parameters)
            for size in sizes:
                row: dict[str, Any] = {"regime": regime, "bids": name, "size_mw": size}
                for side, sign in (("sell", 1.0), ("buy", -1.0)):
                    row |= _shape_figures(world, size, side, sign * SHAPED_FRACTION)
                rows.append(row)
            console.print(f"shapes: {regime}, {name}")
    return rows


def _shape_figures(world: World, size: int, side: str, fraction: float) -> dict[str, float]:
    gains = shape_gains(world.scenario, resized(Battery(), size), fraction, world.start)
    energy_mwh = abs(fraction) * size * QUARTER_HOUR_H
    return {
        f"{side} one way, EUR": float(gains.one_way_eur.mean()),
        f"{side} both ways, EUR": float(gains.both_ways_eur.mean()),
        f"{side} both ways, EUR/MWh": float(gains.both_ways_eur.mean()) / energy_mwh,
        f"{side} one way, EUR/MWh": float(gains.one_way_eur.mean()) / energy_mwh,
        f"{side} both ways, median EUR": float(np.median(gains.both_ways_eur)),
        f"{side} both ways, share above 1 EUR/MWh": float((gains.both_ways_eur > energy_mwh).mean()),
    }


COLUMNS = ("taker", "taker's plan", "maker", "even", "best shape", "held", "scaled", "ceiling", "ceiling's plan")
DIFFERENCES = ("maker - taker", "scaled - maker", "maker - even", "best shape - even")


def print_tables(sweeps: Sequence[dict[str, Any]], shapes: Sequence[dict[str, Any]]) -> None:
    output = Console(width=190)
    for regime in REGIMES:
        rows = [row for row in sweeps if row["regime"] == regime]
        table = Table("MW", *COLUMNS, *DIFFERENCES, title=f"EUR a day and MW, {regime}, {rows[0]['days']} days")
        for row in rows:
            means, intervals = row["eur_per_mw_per_day"], row["interval"]
            cells = [f"{means[name]:,.0f}" for name in COLUMNS]
            cells[COLUMNS.index("scaled")] += f" ({row['power_fraction']:.0%})"
            paired = [f"{means[n]:+,.0f} ({intervals[n][0]:+,.0f} to {intervals[n][1]:+,.0f})" for n in DIFFERENCES]
            table.add_row(str(row["size_mw"]), *cells, *paired)
        output.print(table)
    for regime, bids in dict.fromkeys((row["regime"], row["bids"]) for row in shapes):
        names = [name for name in shapes[0] if name not in ("regime", "bids", "size_mw")]
        table = Table("MW", *names, title=f"What shape alone earns a quarter-hour: {regime}, {bids}")
        for row in shapes:
            if (row["regime"], row["bids"]) == (regime, bids):
                table.add_row(str(row["size_mw"]), *(f"{row[name]:,.2f}" for name in names))
        output.print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--days", type=int, default=14, help="tested days a seed")
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES_MW, help="MW")
    parser.add_argument("--policy", type=Path, help="a trained policy in place of the rule")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--plot", type=Path, help="write the picture as an HTML page too")
    parser.add_argument("--no-picture", action="store_true", help="leave benchmarks/pictures as it is")
    options = parser.parse_args()
    began = time.perf_counter()
    battery, policy = Battery(), None
    if options.policy is not None:
        trained = load_policy(options.policy)
        battery, policy = trained.battery, Enlarged(trained, trained.battery)
    sweeps = [row for regime in REGIMES for row in sweep(regime, options, battery, policy)]
    shapes = shape_rows(options.sizes)
    print_tables(sweeps, shapes)
    console.print(f"{time.perf_counter() - began:.0f} s")
    if options.json is not None:
        answer = {"code_revision": code_revision(), "sweep": sweeps, "shapes": shapes}
        options.json.write_text(json.dumps(answer, indent=2) + "\n")
    figure = draw(sweeps, shapes)
    if options.plot is not None:
        figure.write_html(options.plot, include_plotlyjs=True)
    if not options.no_picture:
        write_picture(figure, PICTURE)


if __name__ == "__main__":
    main()
