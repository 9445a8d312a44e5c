"""Learners on problems that others have solved: CartPole-v1 within 100,000 steps, Pendulum-v1 within 20,000.

Each learner lives in the environment (ordinary replay), is judged on 100 greedy episodes every so often, and reaches
the goal when their mean return does: 475 of 500, or -200. Beside it stands a trusted library on the same budget, judged
alike (extra `compare`), with the settings that its own zoo of tuned settings gives for these problems.

Finished runs are kept and not run again.

    python benchmarks/standard_problems.py [--seeds 5] [--only NAME ...] [--workers 2] [--json OUT]
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gymnasium
import torch
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from arbitrage.code_revision import code_revision
from arbitrage.learners.experience.collector import CollectionConfig
from arbitrage.learners.experience.replay_buffer import ReplayConfig
from arbitrage.learners.experience.replay_training import OnlineConfig, OnlineTrainer, mean_return
from arbitrage.learners.neural.critics import CategoricalForm, QuantileForm
from arbitrage.learners.neural.registry import make_learner

EPISODES = 100
COPIES = 20
console = Console(stderr=True)
Judge = Callable[[int, Callable[[], float]], None]


@dataclass(frozen=True)
class Goal:
    """What is to be reached within how many steps."""

    environment: str
    steps: int
    judge_every: int
    mean_return: float


CARTPOLE = Goal("CartPole-v1", 100_000, 5_000, 475.0)
PENDULUM = Goal("Pendulum-v1", 20_000, 2_000, -200.0)

VALUE = {"hidden": (128, 128), "learning_rate": 5e-4, "polyak_rate": 0.01}
ACTOR = {
    "hidden": (128, 128),
    "critic_learning_rate": 5e-4,
    "actor_learning_rate": 5e-4,
    "polyak_rate": 0.01,
    "entropy_target_fraction": 0.5,
}
RETURNS = CategoricalForm(lowest=0.0, highest=12.0)
FINE = QuantileForm(threshold=0.1)
LEARNERS: dict[str, tuple[Goal, dict[str, Any]]] = {
    "dqn": (CARTPOLE, VALUE),
    "categorical-dqn": (CARTPOLE, {**VALUE, "form": RETURNS}),
    "quantile-dqn": (CARTPOLE, {**VALUE, "form": FINE}),
    "discrete-sac": (CARTPOLE, ACTOR),
    "categorical-discrete-sac": (CARTPOLE, {**ACTOR, "form": RETURNS}),
    "quantile-discrete-sac": (CARTPOLE, {**ACTOR, "form": FINE}),
    "sac": (PENDULUM, {}),
    "dsac": (PENDULUM, {}),
    "dsac-t": (PENDULUM, {}),
}
LIBRARY: dict[str, Goal] = {"library DQN": CARTPOLE, "library QR-DQN": CARTPOLE, "library SAC": PENDULUM}


def live(name: str, seed: int, judge: Judge) -> None:
    """Train one of ours."""
    goal, settings = LEARNERS[name]
    cartpole = goal is CARTPOLE
    config = OnlineConfig(
        steps=goal.steps,
        updates_per_step=0.5 if cartpole else 1.0,
        replay=ReplayConfig(batch=256),
        collection=CollectionConfig(steps=3 if cartpole else 1, reward_scale=0.1),
    )
    env = gymnasium.make_vec(goal.environment, num_envs=8 if cartpole else 1, vectorization_mode="sync")
    trial = gymnasium.make_vec(goal.environment, num_envs=COPIES, vectorization_mode="sync")
    algorithm = name
    training = OnlineTrainer(env, lambda problem: make_learner(algorithm, problem, settings, seed), config, seed)
    for steps in range(goal.judge_every, goal.steps + 1, goal.judge_every):
        training.run(steps)
        judge(steps, lambda: mean_return(training.learner, trial, EPISODES, 10_000 + seed))


def live_library(name: str, seed: int, judge: Judge) -> None:
    """Train one of the library's."""
    from sb3_contrib import QRDQN
    from stable_baselines3 import DQN, SAC
    from stable_baselines3.common.callbacks import BaseCallback
    from stable_baselines3.common.env_util import make_vec_env
    from stable_baselines3.common.evaluation import evaluate_policy

    goal = LIBRARY[name]
    value = {
        "learning_rate": 2.3e-3,
        "batch_size": 64,
        "buffer_size": 100_000,
        "learning_starts": 1_000,
        "target_update_interval": 10,
        "train_freq": 256,
        "gradient_steps": 128,
        "exploration_fraction": 0.16,
        "exploration_final_eps": 0.04,
    }
    wide = {"net_arch": [256, 256]}
    makers: dict[str, Callable[[], Any]] = {
        "library DQN": lambda: DQN("MlpPolicy", goal.environment, seed=seed, policy_kwargs=wide, **value),
        "library QR-DQN": lambda: QRDQN(
            "MlpPolicy", goal.environment, seed=seed, policy_kwargs={**wide, "n_quantiles": 10}, **value
        ),
        "library SAC": lambda: SAC("MlpPolicy", goal.environment, seed=seed, learning_rate=1e-3),
    }
    model = makers[name]()
    trial = make_vec_env(goal.environment, n_envs=COPIES, seed=10_000 + seed)

    class Judging(BaseCallback):
        """Stops the clock at every look; one call of `learn` keeps the library's schedules as they are meant."""

        def _on_step(self) -> bool:
            if self.num_timesteps % goal.judge_every == 0:
                judge(self.num_timesteps, lambda: float(evaluate_policy(model, trial, n_eval_episodes=EPISODES)[0]))
            return True

    model.learn(goal.steps, callback=Judging())


def run_case(name: str, seed: int, folder: Path) -> dict[str, Any]:
    """The run's result, from its file if it is there."""
    path = folder / f"{name.replace(' ', '-')}-{seed}.json"
    if path.exists():
        return dict(json.loads(path.read_text()))
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    goal = LIBRARY[name] if name in LIBRARY else LEARNERS[name][0]
    curve: list[tuple[int, float]] = []
    judging = 0.0

    def judge(steps: int, measure: Callable[[], float]) -> None:
        nonlocal judging
        began = time.perf_counter()
        curve.append((steps, measure()))
        judging += time.perf_counter() - began

    began = time.perf_counter()
    (live_library if name in LIBRARY else live)(name, seed, judge)
    answer = {
        "name": name,
        "seed": seed,
        "environment": goal.environment,
        "goal": goal.mean_return,
        "curve": curve,
        "training_seconds": time.perf_counter() - began - judging,
        "reached_at": next((steps for steps, value in curve if value >= goal.mean_return), None),
        "best": max(value for _, value in curve),
        "last": curve[-1][1],
        "code_revision": code_revision(),
    }
    path.write_text(json.dumps(answer))
    return answer


def rows_of(results: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for name in (*LEARNERS, *LIBRARY):
        own = [result for result in results if result["name"] == name]
        if own:
            yield {
                "learner": name,
                "environment": own[0]["environment"],
                "goal": own[0]["goal"],
                "seeds": len(own),
                "seeds_that_reach_it": sum(result["reached_at"] is not None for result in own),
                "seeds_there_at_the_end": sum(result["last"] >= result["goal"] for result in own),
                "code_revisions": sorted({str(result.get("code_revision")) for result in own}),
                "reached_at": sorted((r["reached_at"] for r in own), key=lambda steps: (steps is None, steps)),
                "best_by_seed": sorted(round(result["best"], 1) for result in own),
                "last_by_seed": sorted(round(result["last"], 1) for result in own),
                "seconds": sum(result["training_seconds"] for result in own) / len(own),
            }


def print_rows(rows: list[dict[str, Any]]) -> None:
    table = Table(
        "learner", "environment", "goal", "seeds there", "at the end", "steps to it", "best", "last", "s a run"
    )
    for row in rows:
        table.add_row(
            row["learner"],
            row["environment"],
            f"{row['goal']:.0f}",
            f"{row['seeds_that_reach_it']} of {row['seeds']}",
            str(row["seeds_there_at_the_end"]),
            ", ".join("-" if steps is None else f"{steps // 1000}k" for steps in row["reached_at"]),
            f"{row['best_by_seed'][0]} to {row['best_by_seed'][-1]}",
            f"{row['last_by_seed'][0]} to {row['last_by_seed'][-1]}",
            f"{row['seconds']:.0f}",
        )
    Console(width=150).print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--only", nargs="*", default=[*LEARNERS, *LIBRARY])
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--kept", type=Path, default=Path("runs/standard_problems"))
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    arguments.kept.mkdir(parents=True, exist_ok=True)
    cases = [(name, seed) for seed in range(arguments.seeds) for name in arguments.only]
    results = []
    with Progress(console=console) as progress, ProcessPoolExecutor(arguments.workers) as pool:
        task = progress.add_task("runs", total=len(cases))
        for run in as_completed([pool.submit(run_case, name, seed, arguments.kept) for name, seed in cases]):
            results.append(run.result())
            progress.advance(task)
            one = results[-1]
            progress.print(f"{one['name']}, seed {one['seed']}: reached at {one['reached_at']}, last {one['last']:.1f}")
    rows = list(rows_of(results))
    print_rows(rows)
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(rows, indent=2) + "\n")


if __name__ == "__main__":
    main()
