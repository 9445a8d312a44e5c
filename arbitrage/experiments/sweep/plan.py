"""What a sweep runs: a grid over strategies, seeds, batteries and windows, each cell a task with all risk settings.

Contract
- A task names everything that its result depends on, and nothing else; its fingerprint is that of those things, the
  data, the code and its packages.
- No day that is tested is learned from, tuned on or chosen on: such a plan is refused.
- One training serves all risk settings of a task. A setting that a method does not use is no part of its tasks.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np

from arbitrage.arrays import Flags
from arbitrage.backtest.engine import PERFECT_FORESIGHT
from arbitrage.backtest.runs.card_figures import learned_days
from arbitrage.backtest.runs.folder import installed_versions
from arbitrage.battery import Battery
from arbitrage.code_revision import code_revision
from arbitrage.errors import Fault, refuse
from arbitrage.market.series import MarketSeries
from arbitrage.market.splits import DaysOfMonth, SocReset, Span, select_rows, spans
from arbitrage.market.timing import until
from arbitrage.policies.checkpoint.files import CARD_FILE
from arbitrage.policies.protocol import RiskChoice
from arbitrage.policies.registry import find_strategy
from arbitrage.training.data_split import DataSplit
from arbitrage.training.methods import TrainingSettings, is_method, method_names, takes_seed

_DIGITS = 10
"""Of a fingerprint, in the name of a task's folder."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepWindow:
    """What is learned from and what is tested; times are epoch minutes [start, end), None: as far as prices reach."""

    name: str
    train_days: DaysOfMonth
    validation_days: DaysOfMonth
    train_start: int | None = None
    train_end: int | None = None
    """Where it is given, a strategy learns from nothing that was published later."""
    test_start: int | None = None
    test_end: int | None = None
    test_days: DaysOfMonth | None = None
    soc_reset: SocReset = SocReset.DAILY

    def selection(self, market: MarketSeries) -> tuple[Span, ...]:
        """What is tested."""
        return spans(market, self.tested(market), self.soc_reset)

    def overlap(self, market: MarketSeries) -> int:
        """Quarter-hours that are tested and learned from, tuned on or chosen on."""
        return int((self.tested(market) & self.learned(market)).sum())

    def learned(self, market: MarketSeries) -> Flags:
        """Rows [n] to learn from and to choose on."""
        chosen = np.zeros(len(market), dtype=np.bool_)
        for days in (self.train_days, self.validation_days):
            chosen |= select_rows(market, start=self.train_start, end=self.train_end, days=days)
        return chosen

    def split(self, market: MarketSeries) -> DataSplit:
        """What a strategy learns from, on a market that ends with `train_end`."""
        return DataSplit(
            market=market if self.train_end is None else until(market, self.train_end),
            train_days=self.train_days,
            validation_days=self.validation_days,
            start=self.train_start,
            end=self.train_end,
            soc_reset=self.soc_reset,
        )

    def tested(self, market: MarketSeries) -> Flags:
        """Rows [n] that are tested."""
        return select_rows(market, start=self.test_start, end=self.test_end, days=self.test_days)


@dataclass(frozen=True, slots=True, kw_only=True)
class GivenPolicy:
    """A trained policy that is taken as it is: its files by name, and the battery that it decides for."""

    name: str
    battery: Battery
    files: Mapping[str, bytes] = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepTask:
    """One cell of the grid: learn (or tune, or take a policy), then a backtest at each risk setting."""

    strategy: str
    """A method of `training.methods`, `perfect-foresight`, or the name of a given policy."""
    window: SweepWindow
    battery: Battery
    battery_name: str
    seed: int | None = None
    """None: nothing depends on one."""
    risks: tuple[RiskChoice, ...] = (RiskChoice(),)
    training: TrainingSettings = field(default_factory=TrainingSettings)
    given: GivenPolicy | None = None

    @property
    def contender(self) -> str:
        """The strategy with its seed."""
        return self.strategy if self.seed is None else f"{self.strategy}, seed {self.seed}"

    @property
    def label(self) -> str:
        """As progress and failures name it."""
        return ", ".join((self.contender, self.battery_name, self.window.name))

    def facts(self) -> dict[str, Any]:
        """All that it says, ready for JSON."""
        trained = self.given is None and self.strategy != PERFECT_FORESIGHT
        settings = self.training.used_by(self.strategy) if trained else {}
        spec = find_strategy(self.strategy) if trained else None
        return {
            "strategy": self.strategy,
            "code_sha256": None if spec is None else spec.code_sha256,
            "seed": self.seed,
            "window": {name: _plain(value) for name, value in _fields(self.window)},
            "battery": asdict(self.battery),
            "battery_name": self.battery_name,
            "risks": [risk_words(risk) for risk in self.risks],
            "training": {name: _plain(value) for name, value in settings.items()} or None,
            "policy": None if self.given is None else _digests(self.given.files),
        }

    def fingerprint(self, data_hash: str) -> str:
        """Names everything that the result depends on, this program and its packages included."""
        return hashlib.sha256(
            json.dumps([self.facts(), data_hash, program()], sort_keys=True, default=str).encode()
        ).hexdigest()

    def folder(self, fingerprint: str) -> str:
        """Where its results go, below the sweep's folder."""
        words = "-".join((self.contender, self.battery_name, self.window.name))
        safe = "".join(letter if letter.isalnum() or letter in "-." else "-" for letter in words)
        return f"{safe}-{fingerprint[:_DIGITS]}".replace("--", "-").lstrip(".-")


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepPlan:
    """The grid. Raises BadInput where an axis is empty or names something twice."""

    strategies: tuple[str, ...]
    windows: tuple[SweepWindow, ...]
    batteries: Mapping[str, Battery] = field(default_factory=lambda: {"battery": Battery()})
    """By name; policies that are given bring their own."""
    seeds: tuple[int, ...] = (0,)
    risks: tuple[RiskChoice, ...] = (RiskChoice(),)
    training: TrainingSettings = field(default_factory=TrainingSettings)
    given: tuple[GivenPolicy, ...] = ()

    def __post_init__(self) -> None:
        refuse(_plan_faults(self))

    def tasks(self) -> tuple[SweepTask, ...]:
        """All cells, those of one window and battery together."""
        return tuple(self._tasks())

    def refuse_leaks(self, market: MarketSeries) -> None:
        """Raise BadInput where a tested day is also learned from, or a window holds nothing to test."""
        faults = [fault for window in self.windows for fault in _leaks(window, market)]
        refuse(faults or (fault for policy in self.given for fault in _seen_days(policy, self.windows, market)))

    def _tasks(self) -> Iterator[SweepTask]:
        for window in self.windows:
            for name, battery in self.batteries.items():
                for strategy in self.strategies:
                    task = SweepTask(strategy=strategy, window=window, battery=battery, battery_name=name)
                    yield from self._seeded(task)
            for policy in self.given:
                yield SweepTask(
                    strategy=policy.name,
                    window=window,
                    battery=policy.battery,
                    battery_name=_name_of(policy.battery, self.batteries),
                    risks=self.risks,
                    given=policy,
                )

    def _seeded(self, task: SweepTask) -> Iterator[SweepTask]:
        """The task with each seed and all risk settings, where its strategy has such things."""
        if task.strategy == PERFECT_FORESIGHT or not takes_seed(task.strategy):
            yield task
            return
        for seed in self.seeds:
            yield replace(task, seed=seed, risks=self.risks, training=self.training)


def program() -> dict[str, Any]:
    """The code and the packages that are running."""
    return {**installed_versions(), "python": sys.version.split()[0], "code": code_revision()}


def risk_words(risk: RiskChoice) -> str:
    """A risk setting as results name it; nothing where nothing is asked for."""
    words = [] if risk.risk_aversion is None else [f"risk aversion {risk.risk_aversion:g}"]
    return ", ".join(words if risk.preference is None else [*words, f"preference {risk.preference}"])


def _plan_faults(plan: SweepPlan) -> Iterator[Fault]:
    unknown = [name for name in plan.strategies if name != PERFECT_FORESIGHT and not is_method(name)]
    if unknown:
        known = (*method_names(), PERFECT_FORESIGHT)
        yield Fault("strategies", f"{', '.join(unknown)}: neither one of {', '.join(known)} nor a policy directory")
    axes: dict[str, list[Any]] = {
        "strategies": [*plan.strategies, *(policy.name for policy in plan.given)],
        "windows": [window.name for window in plan.windows],
        "batteries": list(plan.batteries),
        "seeds": list(plan.seeds),
        "risk settings": [risk_words(risk) for risk in plan.risks],
    }
    for axis, values in axes.items():
        if not values:
            yield Fault(axis, "there are none")
        if len(set(values)) < len(values):
            yield Fault(axis, f"name something twice: {', '.join(map(str, values))}")


def _leaks(window: SweepWindow, market: MarketSeries) -> Iterator[Fault]:
    shared = window.overlap(market)
    if shared:
        yield Fault(f"window {window.name}", f"tests {shared} quarter-hours that it also learns from")
    if not window.tested(market).any():
        yield Fault(f"window {window.name}", "holds nothing to test")


def _seen_days(policy: GivenPolicy, windows: Sequence[SweepWindow], market: MarketSeries) -> Iterator[Fault]:
    """Tested days that a given policy learned from or was chosen on, by its card."""
    card = json.loads(policy.files[CARD_FILE])
    for window in windows:
        for fault in learned_days(card, np.unique(market.day_numbers[window.tested(market)])):
            yield Fault(f"{policy.name} in window {window.name}", fault.message)


def _name_of(battery: Battery, named: Mapping[str, Battery]) -> str:
    same = [name for name, other in named.items() if other == battery]
    return same[0] if same else "own battery"


def _fields(value: Any) -> Sequence[tuple[str, Any]]:
    return [(name, getattr(value, name)) for name in value.__dataclass_fields__]


def _plain(value: Any) -> Any:
    return value if value is None or isinstance(value, bool | int | float) else str(value)


def _digests(files: Mapping[str, bytes]) -> dict[str, str]:
    return {name: hashlib.sha256(content).hexdigest() for name, content in sorted(files.items())}
