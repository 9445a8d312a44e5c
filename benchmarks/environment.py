"""Steps a second of the batched environment, observations written, against Gymnasium's SyncVectorEnv of 64.

Both run the same environment on the embedded sample in this process, one after the other, several times; the ratio of
the medians is printed.

    python benchmarks/environment.py [--json OUT]
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from pathlib import Path

import gymnasium
import numpy as np

import arbitrage  # noqa: F401 (registers the environment)

ENVIRONMENT = "arbitrage/BelgianImbalance-v0"
ROUNDS = 5


def steps_per_second(envs: gymnasium.vector.VectorEnv, steps: int) -> float:
    rng = np.random.default_rng(0)
    actions = rng.integers(0, 3, (16, envs.num_envs))
    envs.reset(seed=0)
    began = time.perf_counter()
    for step in range(steps):
        envs.step(actions[step % 16])
    return steps * envs.num_envs / (time.perf_counter() - began)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    settings = {"episode_days": 7, "start_soc_fraction": 0.5}
    plain = gymnasium.vector.SyncVectorEnv([lambda: gymnasium.make(ENVIRONMENT, **settings) for _ in range(64)])
    rates: dict[str, list[float]] = {"SyncVectorEnv(64)": []}
    batched = {
        size: gymnasium.make_vec(ENVIRONMENT, num_envs=size, vectorization_mode="vector_entry_point", **settings)
        for size in (64, 1024, 4096)
    }
    rates |= {f"batched({size})": [] for size in batched}
    for _ in range(ROUNDS):
        rates["SyncVectorEnv(64)"].append(steps_per_second(plain, 300))
        for size, envs in batched.items():
            rates[f"batched({size})"].append(steps_per_second(envs, 600))
    medians = {name: statistics.median(values) for name, values in rates.items()}
    answer = {
        name: {"steps_per_second": rate, "ratio": rate / medians["SyncVectorEnv(64)"]} for name, rate in medians.items()
    }
    for name, row in answer.items():
        print(f"{name:18s} {row['steps_per_second']:14,.0f} steps/s  {row['ratio']:8.1f} x")
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(answer, indent=2) + "\n")


if __name__ == "__main__":
    main()
