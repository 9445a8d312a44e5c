"""Steps a second of the batched environment, observations written, against Gymnasium's SyncVectorEnv of 64.

By the quarter-hour on the embedded sample, and by the minute with full features on simulated minute records. All run in
this process, one after the other, several times; the ratio of the medians is printed, each against the SyncVectorEnv of
the same step. Then the time to lay out one day by the minute with full features, compiled already.

    python benchmarks/environment.py [--json OUT]
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np

import arbitrage  # noqa: F401 (registers the environment)
from arbitrage.env.episode import EpisodeConfig, EpisodeMaker
from arbitrage.market.series import MarketSeries
from arbitrage.market.simulation.simulator import simulate
from arbitrage.quarter_hour import epoch_minute

ENVIRONMENT = "arbitrage/BelgianImbalance-v0"
ROUNDS = 5
SINGLES = 64
SIMULATED_DAYS = 40
SIZES = {"quarter-hours": (64, 1024, 4096), "minutes, full": (64, 1024, 4096)}


def minute_market() -> MarketSeries:
    start = epoch_minute("2024-02-01T00:00+01:00")
    world = simulate(start, start + SIMULATED_DAYS * 24 * 60, seed=1, parameters="2024")
    return world.market(with_minutes=True)


def steps_per_second(envs: gymnasium.vector.VectorEnv, steps: int) -> float:
    rng = np.random.default_rng(0)
    actions = rng.integers(0, 3, (16, envs.num_envs))
    envs.reset(seed=0)
    began = time.perf_counter()
    for step in range(steps):
        envs.step(actions[step % 16])
    return steps * envs.num_envs / (time.perf_counter() - began)


def rates(sizes: tuple[int, ...], settings: dict[str, Any]) -> dict[str, dict[str, float]]:
    plain = f"SyncVectorEnv({SINGLES})"
    envs: dict[str, gymnasium.vector.VectorEnv] = {
        plain: gymnasium.vector.SyncVectorEnv([lambda: gymnasium.make(ENVIRONMENT, **settings) for _ in range(SINGLES)])
    }
    for size in sizes:
        envs[f"batched({size})"] = gymnasium.make_vec(
            ENVIRONMENT, num_envs=size, vectorization_mode="vector_entry_point", **settings
        )
    measured: dict[str, list[float]] = {name: [] for name in envs}
    for _ in range(ROUNDS):
        for name, made in envs.items():
            measured[name].append(steps_per_second(made, 300 if name == plain else 600))
    medians = {name: statistics.median(values) for name, values in measured.items()}
    return {name: {"steps_per_second": rate, "ratio": rate / medians[plain]} for name, rate in medians.items()}


def day_layout_ms(market: MarketSeries) -> float:
    maker = EpisodeMaker(market, "full", EpisodeConfig(step_min=1))
    seconds = []
    for day in maker.first_days:
        began = time.perf_counter()
        maker.lay_out(int(day))
        seconds.append(time.perf_counter() - began)
    return 1000.0 * statistics.median(seconds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    minutes = minute_market()
    settings: dict[str, dict[str, Any]] = {
        "quarter-hours": {"episode_days": 7, "start_soc_fraction": 0.5},
        "minutes, full": {"market": minutes, "step_min": 1, "features": "full", "start_soc_fraction": 0.5},
    }
    answer: dict[str, Any] = {kind: rates(SIZES[kind], settings[kind]) for kind in settings}
    for kind, rows in answer.items():
        for name, row in rows.items():
            print(f"{kind:14s} {name:18s} {row['steps_per_second']:14,.0f} steps/s  {row['ratio']:8.1f} x")
    answer["day_layout_ms"] = day_layout_ms(minutes)
    print(f"a day by the minute with full features is laid out in {answer['day_layout_ms']:.1f} ms")
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(answer, indent=2) + "\n")


if __name__ == "__main__":
    main()
