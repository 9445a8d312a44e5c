"""Agents of two libraries on our environment: stable-baselines3's DQN, SAC and TD3, sb3-contrib's QR-DQN (`compare`).

Contract
- They see what our policies by the quarter-hour see: the same encoder's features and the battery's, standardised on
  training days and clipped as ours are. Rewards are in units of 100 EUR. A day's end is terminal where energy left at
  midnight is worth nothing in the test's protocol; where it is carried over, values reach beyond it.
- SAC and TD3 choose a share of rated power in [-1, 1]; what the battery cannot do is clipped by its law.
- TD3 is set up as the published rival's public code has it (C. Rasic, 2024): two layers of 500, discount 0.99, Polyak
  rate 0.01, exploration noise 0.2, target noise 1.0 clipped at 1.0, the actor every fifth update, a memory of 20,000,
  one update every four quarter-hours; its learning rates are 1e-5 (actor) and 1e-4, and the library takes one for both.
  It is causal here: scalers of training days, no later rows among the inputs, the law's projection for a penalty.
- Training days start in a random state of charge. Days are laid out once, so that the clock runs for learning.
- Only the library's own learning is on the clock. About every thirty seconds it stops, and the weights that earn most
  on the validation days are kept.
- They are tested as policies in the same ledger as everybody else.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

import gymnasium
import numpy as np
import numpy.typing as npt
import torch
from library_policies import (
    CONTINUOUS,
    FEATURES,
    QUANTILES,
    LibraryPolicy,
    Scaling,
    check_against_library,
    load_library_policy,
    policy_of,
    save_library_policy,
)
from sb3_contrib import QRDQN
from stable_baselines3 import DQN, SAC, TD3
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.noise import NormalActionNoise
from stable_baselines3.common.vec_env import DummyVecEnv

from arbitrage.arrays import Singles
from arbitrage.backtest.engine import run_backtest
from arbitrage.backtest.metrics import daily_profit_eur
from arbitrage.battery import Battery
from arbitrage.env.single import BelgianImbalanceEnv
from arbitrage.features.names import FeatureSet
from arbitrage.market.series import MarketSeries
from arbitrage.market.splits import DaysOfMonth, SocReset, Span, select_rows, spans
from arbitrage.quarter_hour import calendar_day

Info = dict[str, Any]

REWARD_UNIT_EUR = 100.0
BATTERIES = 8
"""Environments that act side by side."""
_LOOK_EVERY_S = 30.0
_WARM_UP_STEPS = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What is tuned of a library's agent, on the validation days."""

    learning_rate: float = 5e-4
    gamma: float = 0.99
    widths: tuple[int, ...] = (64, 64)
    batch: int = 256
    updates_per_round: int = 2
    """Gradient steps after each step of all batteries."""
    buffer: int = 200_000
    target_every: int = 4000
    """Transitions between copies to the target network."""
    final_exploration: float = 0.05
    explored_fraction: float = 0.3
    """Share of the time in which exploration falls to its final value."""
    weight_decay: float = 0.0
    n_steps: int = 1
    polyak_rate: float = 0.005
    """Of SAC's and TD3's target networks."""
    rounds_per_update: int = 1
    """Steps of all batteries between updates."""


PUBLISHED_TD3 = Settings(learning_rate=1e-4, widths=(500, 500), updates_per_round=2, buffer=20_000, polyak_rate=0.01)
"""The published rival's; eight quarter-hours and two updates a round are its one update every four."""
CANDIDATES = {
    "base": Settings(),
    "short-sighted": Settings(gamma=0.95),
    "far-sighted": Settings(gamma=0.998),
    "slow": Settings(learning_rate=1e-4, target_every=8000),
    "wide": Settings(widths=(256, 256), learning_rate=2e-4),
    "many-updates": Settings(updates_per_round=8),
    "regularised": Settings(weight_decay=0.1),
    "n-step": Settings(n_steps=8, gamma=0.98),
}
"""StrategyRun for a short time each; the one that earns most on the validation days gets the long time."""


class ScaledDays(gymnasium.Wrapper[Singles, Any, Singles, Any]):
    """Our environment on some days, with standardised observations and small rewards."""

    def __init__(
        self, env: BelgianImbalanceEnv, days: npt.NDArray[np.int64], scaling: Scaling, soc_reset: SocReset
    ) -> None:
        super().__init__(env)
        self._terminal = soc_reset is SocReset.DAILY
        env._maker.lay_out = cache(env._maker.lay_out)  # type: ignore[method-assign]  # what the clock must not pay
        self._days = days
        self._scaling = scaling

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Singles, dict[str, Any]]:
        """Begin one of the days."""
        if seed is not None:
            super().reset(seed=seed)
        day = int(self.np_random.choice(self._days))
        observation, info = super().reset(options={**(options or {}), "day": calendar_day(day)})
        return self._scaling(observation), info

    def step(self, action: Any) -> tuple[Singles, float, bool, bool, Info]:
        """A step; the end of the day is terminal where energy left at midnight is worth nothing."""
        observation, reward, _, over, info = super().step(action)
        terminal = over and self._terminal
        return self._scaling(observation), float(reward) / REWARD_UNIT_EUR, terminal, over and not terminal, info


@dataclass(frozen=True, slots=True)
class Contest:
    """What the rivals learn from, and what they are chosen on."""

    market: MarketSeries
    battery: Battery
    train_days: DaysOfMonth
    validation_days: DaysOfMonth
    start: int | None = None
    """Epoch minutes [start, end) within which the days lie; None: the whole series."""
    end: int | None = None
    soc_reset: SocReset = SocReset.DAILY

    def rows_of(self, days: DaysOfMonth) -> npt.NDArray[np.bool_]:
        """Rows of the market on these days."""
        return select_rows(self.market, start=self.start, end=self.end, days=days)

    def spans_of(self, days: DaysOfMonth) -> tuple[Span, ...]:
        """These days as one is tested on."""
        return spans(self.market, self.rows_of(days), self.soc_reset)

    def scaling(self) -> Scaling:
        """Of the training days."""
        chosen = self.rows_of(self.train_days)
        return Scaling.of(FEATURES.encode(self.market.known_at(self.market.quarter_hours[chosen])))

    def make_env(self, seed: int, scaling: Scaling, *, continuous: bool = False) -> ScaledDays:
        """A battery on the training days, seeded; every day is laid out."""
        actions = "continuous" if continuous else "discrete"
        env = BelgianImbalanceEnv(self.market, self.battery, FeatureSet.QUARTER_HOUR, actions=actions)
        chosen = self.rows_of(self.train_days)
        days = np.intersect1d(np.unique(self.market.day_numbers[chosen]), env._maker.first_days)
        wrapped = ScaledDays(env, days, scaling, self.soc_reset)
        wrapped.reset(seed=seed)
        return wrapped

    def name(self) -> str:
        """Names what there is to learn from, for what is kept."""
        facts = {name: str(getattr(self, name)) for name in self.__dataclass_fields__ if name != "market"}
        return json.dumps(facts | {"data": self.market.data_hash}, sort_keys=True)

    def validate(self, policy: LibraryPolicy) -> float:
        """EUR a day on the validation days."""
        result = run_backtest(self.market, self.battery, policy, self.spans_of(self.validation_days))
        return float(daily_profit_eur(result.ledger).mean())


def vectorised(contest: Contest, seed: int, scaling: Scaling, *, continuous: bool = False) -> DummyVecEnv:
    """Batteries side by side that share the days laid out."""
    first = contest.make_env(seed, scaling, continuous=continuous)
    lay_out = first.unwrapped._maker.lay_out  # type: ignore[attr-defined]
    for day in first._days:
        lay_out(int(day))
    makers: list[Callable[[], gymnasium.Env[Any, Any]]] = []
    for number in range(BATTERIES):
        env = contest.make_env(seed * BATTERIES + number, scaling, continuous=continuous)
        env.unwrapped._maker.lay_out = lay_out  # type: ignore[attr-defined]
        makers.append(lambda env=env: env)
    return DummyVecEnv(makers)


def build(kind: str, env: DummyVecEnv, settings: Settings, seed: int) -> Any:
    """The library's agent, on the CPU."""
    optimiser = {"optimizer_class": torch.optim.AdamW, "optimizer_kwargs": {"weight_decay": settings.weight_decay}}
    shape: dict[str, Any] = {"net_arch": list(settings.widths), **(optimiser if settings.weight_decay else {})}
    agents: dict[str, Any] = {"dqn": DQN, "qr-dqn": QRDQN, "sac": SAC, "td3": TD3}
    if kind == "qr-dqn":
        shape["n_quantiles"] = QUANTILES
    return agents[kind](
        "MlpPolicy",
        env,
        learning_rate=settings.learning_rate,
        gamma=settings.gamma,
        batch_size=settings.batch,
        buffer_size=settings.buffer,
        learning_starts=_WARM_UP_STEPS,
        train_freq=settings.rounds_per_update,
        gradient_steps=settings.updates_per_round,
        n_steps=settings.n_steps,
        policy_kwargs=shape,
        seed=seed,
        device="cpu",
        **_own(kind, settings),
    )


def _own(kind: str, settings: Settings) -> dict[str, Any]:
    """What only some of the agents know."""
    if kind not in CONTINUOUS:
        return {
            "target_update_interval": settings.target_every,
            "exploration_final_eps": settings.final_exploration,
            "max_grad_norm": 10.0,
        }
    if kind == "sac":
        return {"tau": settings.polyak_rate}
    return {
        "tau": settings.polyak_rate,
        "policy_delay": 5,
        "action_noise": NormalActionNoise(np.zeros(1), np.full(1, 0.2)),
        "target_policy_noise": 1.0,
        "target_noise_clip": 1.0,
    }


@dataclass(slots=True)
class Best:
    """The best weights so far, and what was seen at every look."""

    policy: LibraryPolicy
    validation_eur_per_day: float = -np.inf
    looks: list[dict[str, float]] = field(default_factory=list)


class Clock(BaseCallback):
    """Stops when the learning time is over, looks at the validation days on the way, and lets exploration fall."""

    TIMED: ClassVar = time.process_time

    def __init__(self, seconds: float, settings: Settings, look: Callable[[float, int], None]) -> None:
        super().__init__()
        self._seconds, self._settings, self._look = seconds, settings, look
        self._spent_s, self._since, self._next_look_s = 0.0, 0.0, min(_LOOK_EVERY_S, seconds / 4)

    def _on_training_start(self) -> None:
        self._since = Clock.TIMED()
        if hasattr(self.model, "exploration_schedule"):
            self.model.exploration_schedule = lambda _: self._exploration()

    def _exploration(self) -> float:
        elapsed = (self._spent_s + Clock.TIMED() - self._since) / (self._settings.explored_fraction * self._seconds)
        return max(self._settings.final_exploration, 1.0 - elapsed * (1.0 - self._settings.final_exploration))

    def _on_step(self) -> bool:
        spent_s = self._spent_s + Clock.TIMED() - self._since
        over = spent_s >= self._seconds
        if over or spent_s >= self._next_look_s:
            self._next_look_s += min(_LOOK_EVERY_S, self._seconds / 4)
            self._look(spent_s, self.num_timesteps)
            self._spent_s, self._since = spent_s, Clock.TIMED()
        return not over


def train_rival(kind: str, contest: Contest, settings: Settings, seed: int, seconds: float) -> Best:
    """Train for so many seconds of learning on one thread, and keep what did best on the validation days."""
    torch.set_num_threads(1)
    scaling = contest.scaling()
    env = vectorised(contest, seed, scaling, continuous=kind in CONTINUOUS)
    model = build(kind, env, settings, seed)
    best = Best(policy_of(kind, model, scaling))

    def look(spent_s: float, steps: int) -> None:
        policy = policy_of(kind, model, scaling)
        earned = contest.validate(policy)
        best.looks.append({"seconds": round(spent_s, 1), "steps": steps, "eur_per_day": round(earned, 2)})
        if earned > best.validation_eur_per_day:
            best.policy, best.validation_eur_per_day = policy, earned

    model.learn(total_timesteps=2**40, callback=Clock(seconds, settings, look))
    check_against_library(kind, model, scaling)
    return replace(best)


def kept_rival(
    kind: str, contest: Contest, settings: Settings, seed: int, seconds: float, kept: Path
) -> tuple[LibraryPolicy, dict[str, Any]]:
    """The rival's best policy and what is told of its training: from its file in `kept`, or trained and put there.

    seconds: processor time of its learning. A file belongs to one kind, contest, settings, seed and time.
    """
    facts = [kind, contest.name(), asdict(settings), seed, seconds]
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]
    path = kept / f"{kind}-{seed}-{digest}.safetensors"
    if not path.exists():
        best = train_rival(kind, contest, settings, seed, seconds)
        told = {"validation_eur_per_day": best.validation_eur_per_day, "looks": best.looks, "seconds": seconds}
        save_library_policy(path, best.policy, {"training": json.dumps(told)})
    policy, metadata = load_library_policy(path, kind)
    return policy, dict(json.loads(metadata["training"]))
