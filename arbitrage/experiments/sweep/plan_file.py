"""The plan of a sweep as a file, TOML or JSON; every fault is named, and so is every key that means nothing.

strategies = ["learned", "quantile-dqn", "mpc", "threshold", "policies/mine"]   # directories beside the file
seeds = [0, 1, 2]
risk_aversions = [0.0, 0.5]                  # of learned strategies and policies
risk_preferences = ["cvar:0.1:0.3"]

[market]                                     # as the options of `train`; files beside this one
prices = ["ods134.csv"]
day_ahead = ["day_ahead.csv"]

[training]                                   # preset, features, members, refit, risk_head, updates, judge_every,
preset = "fast"                              # compiled; each method takes those that it uses

[batteries.capped]                           # the fields of `Battery`
max_cycles_per_day = 1.1

[windows.reference]                          # days of the month
train_days = "1-20"
validation_days = "21-25"
test_days = "26-31"

[walk_forward]                               # and, or instead: a window for each month
train_from = "2021-04-24"
test_from = "2022-01-01"
test_until = "2023-01-01"
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from arbitrage.battery import Battery
from arbitrage.errors import BadInput, Fault
from arbitrage.experiments.sweep.plan import GivenPolicy, SweepPlan, SweepWindow
from arbitrage.experiments.walk_forward import TRAIN_DAYS, VALIDATION_DAYS
from arbitrage.features.names import FeatureSet
from arbitrage.learners.closed_form.config import Preset
from arbitrage.market.splits import DaysOfMonth, SocReset
from arbitrage.market.windows import WindowPlan
from arbitrage.policies.checkpoint.files import SETTING_FILE, TENSORS_FILE
from arbitrage.policies.checkpoint.load import CARD_FILE, read_card
from arbitrage.policies.protocol import RiskChoice
from arbitrage.quarter_hour import brussels_day, epoch_minute
from arbitrage.risk import RiskPreference
from arbitrage.training.methods import TrainingSettings

_WINDOW: Mapping[str, Callable[[str], Any]] = {
    **dict.fromkeys(("train_days", "validation_days", "test_days"), DaysOfMonth.parse),
    **dict.fromkeys(("train_start", "train_end", "test_start", "test_end"), epoch_minute),
    "soc_reset": SocReset,
}
_WALK: Mapping[str, Callable[[Any], Any]] = {
    **dict.fromkeys(("train_from", "test_from", "test_until"), brussels_day),
    **dict.fromkeys(("retrain_months", "rolling_days", "embargo_days"), int),
}
_TRAINING: Mapping[str, Callable[[Any], Any]] = {
    "preset": Preset,
    "features": FeatureSet,
    "members": int,
    "refit": bool,
    "risk_head": bool,
    **dict.fromkeys(("updates", "judge_every"), int),
    "compiled": bool,
}
_BATTERY: Mapping[str, Callable[[Any], Any]] = {entry.name: lambda value: value for entry in fields(Battery)}
_RISKS: Mapping[str, Callable[[Any], RiskChoice]] = {
    "risk_aversions": lambda value: RiskChoice(float(value)),
    "risk_preferences": lambda value: RiskChoice(None, RiskPreference.parse(str(value))),
}
_DELAYS = ("publication_delay_min", "decision_latency_min")
_MARKET = ("prices", "day_ahead", "forecasts", "minutes", *_DELAYS, "timezone", "decimal")
_KEYS = ("strategies", "seeds", "risk_aversions", "risk_preferences", "market", "training", "batteries", "windows")


@dataclass(frozen=True, slots=True)
class SweepFile:
    """What a file says."""

    plan: SweepPlan
    market: Mapping[str, Any]
    """Files with their whole paths, delay and latency, as far as they are given."""


def read_sweep_file(path: Path) -> SweepFile:
    """Read a plan. Raises BadInput with every fault."""
    document = _read(path)
    reader = _Reader(path)
    unknown = sorted(set(document) - {*_KEYS, "walk_forward"})
    reader.faults += [Fault(str(path), f"{key} means nothing here") for key in unknown]
    market = reader.market(document.get("market", {}))
    strategies, given = reader.strategies(document.get("strategies", []))
    windows = [*reader.windows(document.get("windows", {})), *reader.walk(document.get("walk_forward"))]
    batteries = {
        name: reader.build(Battery, _BATTERY, own, name) for name, own in document.get("batteries", {}).items()
    }
    training = reader.training(document.get("training", {}))
    risks = reader.risks(document)
    seeds = reader.seeds(document.get("seeds", [0]))
    if reader.faults:
        raise BadInput(reader.faults)
    plan = SweepPlan(
        strategies=strategies,
        windows=tuple(windows),
        batteries=batteries or {"battery": Battery()},
        seeds=seeds,
        risks=risks,
        training=training,
        given=given,
    )
    return SweepFile(plan, market)


class _Reader:
    """Reads parts of a plan and gathers what is wrong with them."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.faults: list[Fault] = []

    def build(self, kind: Callable[..., Any], readers: Mapping[str, Callable[[Any], Any]], own: Any, where: str) -> Any:
        """A thing of that kind from a table of the file; None if it has faults."""
        before = len(self.faults)
        values = dict(self._values(readers, own, where))
        if len(self.faults) > before:
            return None
        try:
            return kind(**values)
        except (BadInput, TypeError) as refused:
            self.faults += [Fault(f"{self._path}, {where}", str(refused))]
            return None

    def _values(self, readers: Mapping[str, Callable[[Any], Any]], own: Any, where: str) -> Iterator[tuple[str, Any]]:
        place = f"{self._path}, {where}"
        if not isinstance(own, Mapping):
            self.faults.append(Fault(place, "is not a table"))
            return
        for key, value in own.items():
            if key not in readers:
                self.faults.append(Fault(place, f"{key} means nothing here; known are {', '.join(readers)}"))
                continue
            try:
                yield key, readers[key](value)
            except (ValueError, TypeError) as refused:
                self.faults.append(Fault(place, f"{key} = {value!r}: {refused}"))

    def seeds(self, own: Any) -> tuple[int, ...]:
        """Whole numbers from 0."""
        if not isinstance(own, list) or not all(type(seed) is int and seed >= 0 for seed in own):
            self.faults.append(Fault(f"{self._path}, seeds", f"must be a list of whole numbers from 0, not {own!r}"))
            return ()
        return tuple(own)

    def windows(self, own: Mapping[str, Any]) -> list[SweepWindow]:
        usual = {"train_days": "1-20", "validation_days": "21-25"}
        built = [
            self.build(lambda name=name, **values: SweepWindow(name=name, **values), _WINDOW, usual | window, name)
            for name, window in own.items()
        ]
        return [window for window in built if window is not None]

    def walk(self, own: Any) -> list[SweepWindow]:
        """A window for each of the walk, its energy carried through."""
        plan = None if own is None else self.build(WindowPlan, _WALK, own, "walk_forward")
        return [
            SweepWindow(
                name=window.label,
                train_days=TRAIN_DAYS,
                validation_days=VALIDATION_DAYS,
                **{name: getattr(window, name) for name in ("train_start", "train_end", "test_start", "test_end")},
                soc_reset=SocReset.NEVER,
            )
            for window in (plan.windows() if plan is not None else ())
        ]

    def training(self, own: Any) -> TrainingSettings:
        def settings(**values: Any) -> TrainingSettings:
            head = {"with_risk_head": values.pop("risk_head")} if "risk_head" in values else {}
            return TrainingSettings(**values, **head)

        return self.build(settings, _TRAINING, own, "training") or TrainingSettings()

    def risks(self, document: Mapping[str, Any]) -> tuple[RiskChoice, ...]:
        """All that are asked for; neutral if none is."""
        found = []
        for key, choice in _RISKS.items():
            for value in document.get(key, []):
                found += [risk for _, risk in self._values({key: choice}, {key: value}, key)]
        return tuple(found) or (RiskChoice(),)

    def strategies(self, names: Any) -> tuple[tuple[str, ...], tuple[GivenPolicy, ...]]:
        """Those by name, and policies from their directories."""
        plain, given = [], []
        for name in names if isinstance(names, list) else [names]:
            directory = self._path.parent / str(name)
            if not (directory / CARD_FILE).is_file():
                plain.append(self._beside(str(name)))
                continue
            try:
                battery = Battery(**read_card(directory)["battery"])
            except BadInput as refused:
                self.faults += refused.faults
                continue
            present = [directory / each for each in (CARD_FILE, TENSORS_FILE, SETTING_FILE)]
            files = {file.name: file.read_bytes() for file in present if file.is_file()}
            given.append(GivenPolicy(name=str(name), battery=battery, files=files))
        return tuple(plain), tuple(given)

    def _beside(self, name: str) -> str:
        """An own strategy's `file.py:Class` with the file beside the plan; other names as they are."""
        file, _, attribute = name.rpartition(":")
        return f"{self._path.parent / file}:{attribute}" if file.endswith(".py") else name

    def market(self, own: Mapping[str, Any]) -> dict[str, Any]:
        """Files beside the plan, with their whole paths; names of reconstructed minutes as they are."""
        self.faults += [
            Fault(f"{self._path}, market", f"{key} means nothing here") for key in own if key not in _MARKET
        ]
        if "prices" not in own:
            self.faults.append(Fault(f"{self._path}, market", "names no prices"))
        whole = {key: [self._path.parent / name for name in own[key]] for key in _MARKET[:3] if key in own}
        minutes = own.get("minutes", [])
        drawn = [name if name.startswith("reconstructed-") else str(self._path.parent / name) for name in minutes]
        others = {key: own[key] for key in _MARKET[4:] if key in own}
        return {**whole, **({"minutes": drawn} if drawn else {}), **others}


def _read(path: Path) -> dict[str, Any]:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise BadInput([Fault(str(path), f"cannot be read: {error.strerror}")]) from error
    try:
        document = json.loads(content) if path.suffix == ".json" else tomllib.loads(content.decode())
    except ValueError as error:
        raise BadInput([Fault(str(path), f"is not {'JSON' if path.suffix == '.json' else 'TOML'}: {error}")]) from error
    if not isinstance(document, dict):
        raise BadInput([Fault(str(path), "is not a table of settings")])
    return document
