"""Gradient updates a second: ours against well-known libraries, same network and batch, one thread each, one run.

Ratios within one run count; seconds depend on the machine. An update is drawing 256 transitions from replay, forward,
backward, Adam and the target. The library's own training method is timed, on its own replay. Our DQN
selects singly here, as the library's does; our QR-DQN doubly, as it always does. The twin distributional discrete SAC
is compared with the same arithmetic in plain torch: modules, autograd and Adam as one writes them first.

    python benchmarks/update_speed.py [--seconds 4] [--device cpu] [--jemalloc /path/to/libjemalloc.so] [--json OUT]

--jemalloc repeats the library's measurements with that allocator preloaded, which helps it with large temporaries.
--device cuda measures ours on a GPU instead, at small and large batches.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

from arbitrage.learners.experience.replay_buffer import Replay, ReplayConfig
from arbitrage.learners.neural.critics import QuantileForm
from arbitrage.learners.neural.learner import LearningProblem
from arbitrage.learners.neural.registry import LEARNERS, make_learner

INPUTS, ACTIONS, BATCH, STORED = 8, 3, 256, 10_000
Update = Callable[[], object]


class Noise(gymnasium.Env[Any, Any]):
    """Observations and rewards of noise: only the update is timed."""

    observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (INPUTS,), np.float32)

    def __init__(self, continuous: bool) -> None:
        self.random = np.random.default_rng(0)
        box = gymnasium.spaces.Box(-1.0, 1.0, (1,), np.float32)
        self.action_space = box if continuous else gymnasium.spaces.Discrete(ACTIONS)

    def reset(self, **_: Any) -> tuple[Any, dict[str, Any]]:
        return self.random.standard_normal(INPUTS).astype(np.float32), {}

    def step(self, _: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        return self.reset()[0], float(self.random.standard_normal()), False, False, {}


def library(name: str, width: int, quantiles: int) -> Update:
    """One update of a library's agent."""
    from sb3_contrib import QRDQN
    from stable_baselines3 import DQN, SAC
    from stable_baselines3.common.logger import configure

    kwargs: dict[str, Any] = {"net_arch": [width, width]}
    settings: dict[str, Any] = {"batch_size": BATCH, "buffer_size": STORED, "learning_starts": STORED}
    if name == "QR-DQN":
        model: Any = QRDQN("MlpPolicy", Noise(False), policy_kwargs={**kwargs, "n_quantiles": quantiles}, **settings)
    else:
        make = DQN if name == "DQN" else SAC
        model = make("MlpPolicy", Noise(name == "SAC"), policy_kwargs=kwargs, **settings)
    model.set_logger(configure(None, []))
    model.learn(STORED)
    return lambda: model.train(1, BATCH)


def ours(algorithm: str, settings: dict[str, Any], device: str = "cpu", batch: int = BATCH) -> Update:
    """One update of ours, the first ones made, for they compile."""
    problem = LearningProblem(
        inputs=INPUTS, actions=ACTIONS if LEARNERS[algorithm].discrete else 1, discrete=LEARNERS[algorithm].discrete
    )
    learner = make_learner(algorithm, problem, settings, 0, device=device)
    replay = Replay(problem, ReplayConfig(size=STORED, batch=batch), device)
    for part in (replay.storage.observation, replay.storage.next_observation, replay.storage.reward):
        part.normal_()
    replay.storage.discount.fill_(0.99)
    replay.written = STORED

    def update() -> object:
        return replay.update(learner)

    for _ in range(5):
        update()
    return update


class PlainTwinSAC:
    """Twin distributional discrete SAC as one writes it first, with the same loss, networks and optimiser."""

    def __init__(self, width: int, quantiles: int) -> None:
        self.quantiles = quantiles
        self.critics = nn.ModuleList(_plain(width, ACTIONS * quantiles) for _ in range(2))
        self.targets = nn.ModuleList(_plain(width, ACTIONS * quantiles) for _ in range(2))
        self.actor = _plain(width, ACTIONS)
        self.log_temperature = torch.zeros(1, requires_grad=True)
        self.critic_optimiser = torch.optim.Adam(self.critics.parameters(), 1e-3)
        self.actor_optimiser = torch.optim.Adam(self.actor.parameters(), 3e-4)
        self.temperature_optimiser = torch.optim.Adam([self.log_temperature], 1e-3)
        self.fractions = (torch.arange(quantiles) + 0.5) / quantiles
        self.stored = [torch.randn(STORED, INPUTS), torch.randn(STORED), torch.randn(STORED, INPUTS)]
        self.actions = torch.randint(ACTIONS, (STORED,))

    def __call__(self) -> None:
        rows = torch.randint(STORED, (BATCH,))
        observation, reward, following = (part[rows] for part in self.stored)
        action, temperature = self.actions[rows], self.log_temperature.exp().detach()
        with torch.no_grad():
            log = torch.log_softmax(self.actor(following), -1)
            atoms = torch.stack([self._critic(net, following) for net in self.targets]).mean(0)
            target = (reward[:, None, None] + 0.99 * atoms).reshape(BATCH, -1)
            shares = (log.exp()[..., None] / self.quantiles).expand_as(atoms).reshape(BATCH, -1)
        loss = torch.zeros(())
        for net in self.critics:
            value = self._critic(net, observation)[torch.arange(BATCH), action]
            loss = loss + self._quantile_loss(value, target, shares)
        _descend(self.critic_optimiser, loss, self.critics)
        with torch.no_grad():
            for own, slow in zip(self.critics.parameters(), self.targets.parameters(), strict=True):
                slow.lerp_(own, 0.01)
            worth = torch.stack([self._critic(net, observation) for net in self.critics]).mean((0, -1))
        log = torch.log_softmax(self.actor(observation), -1)
        entropy = -(log.exp() * log).sum(-1)
        _descend(self.actor_optimiser, -((log.exp() * worth).sum(-1) + temperature * entropy).mean(), self.actor)
        surplus = (self.log_temperature * (entropy.detach() - 0.33)).mean()
        self.temperature_optimiser.zero_grad()
        surplus.backward()
        self.temperature_optimiser.step()

    def _critic(self, net: nn.Module, observation: Tensor) -> Tensor:
        return Tensor(net(observation)).view(len(observation), ACTIONS, self.quantiles)

    def _quantile_loss(self, value: Tensor, target: Tensor, shares: Tensor) -> Tensor:
        error = target[:, None, :] - value[:, :, None]
        size = nn.functional.huber_loss(
            value[:, :, None].expand_as(error), target[:, None, :].expand_as(error), reduction="none"
        )
        weight = (self.fractions[:, None] - (error.detach() < 0).float()).abs()
        return (weight * size * shares[:, None, :]).sum((1, 2)).mean()


def _plain(width: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(INPUTS, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, outputs)
    )


def _descend(optimiser: torch.optim.Optimizer, loss: Tensor, module: nn.Module) -> None:
    optimiser.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(module.parameters(), 10.0)
    optimiser.step()


def rate(update: Update, seconds: float, cuda: bool = False) -> float:
    """Updates a second: the best third of short spells, so that a neighbour's work counts little."""
    update()
    spells = []
    began = time.perf_counter()
    while time.perf_counter() - began < seconds or len(spells) < 3:
        start, count = time.perf_counter(), 0
        while time.perf_counter() - start < seconds / 12 or not count:
            update()
            count += 1
        if cuda:
            torch.cuda.synchronize()
        spells.append(count / (time.perf_counter() - start))
    return float(np.mean(sorted(spells)[-max(1, len(spells) // 3) :]))


def quantile(width: int, count: int) -> dict[str, Any]:
    return {"hidden": (width, width), "form": QuantileForm(outputs=count)}


CASES: list[tuple[str, str, int, int, float]] = [
    ("QR-DQN", "QR-DQN", 64, 32, 9.0),
    ("QR-DQN", "QR-DQN", 256, 32, 2.3),
    ("QR-DQN", "QR-DQN", 64, 200, 80.0),
    ("QR-DQN", "QR-DQN", 256, 200, 40.0),
    ("DQN", "DQN", 64, 0, 4.0),
    ("SAC", "SAC", 64, 0, 4.0),
]
"""Ours, the library's, width of both hidden layers, quantiles, and the ratio asked for."""


def measure(seconds: float, jemalloc: str | None) -> list[dict[str, Any]]:
    rows = []
    for own, other, width, quantiles, asked in CASES:
        algorithm = {"QR-DQN": "quantile-dqn", "DQN": "dqn", "SAC": "sac"}[own]
        settings = quantile(width, quantiles) if quantiles else {"hidden": (width, width)}
        if own == "DQN":
            settings["double"] = False  # the library's is not
        theirs = rate(library(other, width, quantiles), seconds)
        mine = rate(ours(algorithm, settings), seconds)
        row = {"update": f"{own}, 2 x {width}" + (f", {quantiles} quantiles" if quantiles else "")}
        row |= {"theirs_per_s": theirs, "ours_per_s": mine, "ratio": mine / theirs, "asked": asked}
        if jemalloc is not None and own == "QR-DQN":
            row["theirs_jemalloc_per_s"] = preloaded(other, width, quantiles, seconds, jemalloc)
            row["ratio_jemalloc"] = mine / row["theirs_jemalloc_per_s"]
        rows.append(row)
    plain = rate(PlainTwinSAC(64, 32), seconds)
    mine = rate(ours("quantile-discrete-sac", quantile(64, 32)), seconds)
    name = "twin distributional discrete SAC, 2 x 64, 32 quantiles, against plain torch"
    rows.append({"update": name, "theirs_per_s": plain, "ours_per_s": mine, "ratio": mine / plain, "asked": 6.0})
    return rows


def preloaded(name: str, width: int, quantiles: int, seconds: float, jemalloc: str) -> float:
    """The library's rate in a process of its own with another allocator."""
    command = [sys.executable, __file__, "--library", name, str(width), str(quantiles), "--seconds", str(seconds)]
    environment = {**os.environ, "LD_PRELOAD": jemalloc}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return float(done.stdout)


def measure_gpu(seconds: float) -> list[dict[str, Any]]:
    rows = []
    for algorithm in ("dqn", "quantile-dqn", "quantile-discrete-sac", "sac"):
        for batch in (256, 16_384):
            mine = rate(ours(algorithm, {"hidden": (256, 128)}, "cuda", batch), seconds, cuda=True)
            row = {"update": f"{algorithm}, [256, 128], batch {batch:,}", "ours_per_s": mine}
            rows.append(row | {"transitions_per_s": mine * batch})
    return rows


def print_rows(rows: list[dict[str, Any]]) -> None:
    names = ["update", *dict.fromkeys(name for row in rows for name in row if name != "update")]
    table = Table(*names)
    for row in rows:
        cells = [row.get(name, "") for name in names]
        table.add_row(*(f"{cell:,.1f}" if isinstance(cell, float) else str(cell) for cell in cells))
    Console(width=170).print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--jemalloc")
    parser.add_argument("--library", nargs=3, help=argparse.SUPPRESS)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if arguments.library:
        name, width, quantiles = arguments.library
        print(rate(library(name, int(width), int(quantiles)), arguments.seconds))
        return
    cuda = arguments.device == "cuda"
    rows = measure_gpu(arguments.seconds) if cuda else measure(arguments.seconds, arguments.jemalloc)
    print_rows(rows)
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(rows, indent=2) + "\n")


if __name__ == "__main__":
    main()
