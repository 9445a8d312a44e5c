"""Methods of learning by name: the trainer of each, with the settings that it uses and no others.

Contract
- A method is called as its strategy is: `learned` (the closed form), a rule, a form of model-predictive control, or a
  neural algorithm. The names stand with the methods; there is no list of them here.
- Neural agents are looked up last, because their names come with torch.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from arbitrage.errors import BadInput, Fault
from arbitrage.features.names import FeatureSet
from arbitrage.learners.closed_form.config import Preset
from arbitrage.policies.mpc.policy import Form
from arbitrage.policies.registry import find_strategy, strategy_names
from arbitrage.training.data_split import DataSplit
from arbitrage.training.plan import Trainer

LEARNED = "learned"


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingSettings:
    """What may be asked of trainings by name. A method takes the settings in its line of `_USED`."""

    preset: Preset = Preset.FULL
    features: FeatureSet | None = None
    """None: all that the market has for the closed form, `quarter_hour` for neural agents."""
    members: int = 1
    refit: bool = False
    with_risk_head: bool | None = None
    """None: as the preset has it."""
    updates: int = 10_000
    judge_every: int = 500
    compiled: bool = True

    def used_by(self, name: str) -> dict[str, Any]:
        """The settings that the method takes."""
        return {field: getattr(self, field) for field in _USED[_kind(name)]}


_USED = {
    "closed form": ("preset", "features", "members", "refit", "with_risk_head"),
    "neural": ("features", "updates", "judge_every", "compiled"),
    "mpc": ("refit",),
    "rule": (),
}


def is_method(name: str) -> bool:
    """Whether `trainer_named` has a trainer of that name."""
    return name in _quick_names() or find_strategy(name) is not None or name in _neural_names()


def method_names() -> tuple[str, ...]:
    """All names that there are; a user's own strategy is also trained by `module:Class`."""
    return (*_quick_names(), *_neural_names())


def takes_seed(name: str) -> bool:
    """Whether the result depends on a seed: that of everything but a rule."""
    return _kind(name) != "rule"


def trainer_named(
    name: str,
    split: DataSplit,
    settings: TrainingSettings | None = None,
    *,
    warm_start: Path | None = None,
    keep_learner: bool = False,
) -> Trainer:
    """The trainer of that name for the split. Raises BadInput for an unknown name, and as the trainer does.

    warm_start, keep_learner: of neural agents; see `NeuralTrainer`.
    """
    kind, used = _kind(name), (settings or TrainingSettings()).used_by(name)
    if kind == "rule":
        from arbitrage.training.rules import RuleTrainer

        spec = find_strategy(name)
        assert spec is not None
        return RuleTrainer(spec)
    if kind == "mpc":
        from arbitrage.training.mpc import MpcTrainer

        return MpcTrainer.of(split, Form(name), **used)
    if kind == "closed form":
        from arbitrage.training.closed_form import ClosedFormTrainer

        head = used.pop("with_risk_head")
        given = {} if head is None else {"with_risk_head": head}
        return ClosedFormTrainer.of(split, used.pop("features"), used.pop("preset"), **used, **given)
    from arbitrage.features.encoder import MarketFeatures
    from arbitrage.training.neural import NeuralTrainer

    features = MarketFeatures(used.pop("features") or FeatureSet.QUARTER_HOUR)
    return NeuralTrainer(algorithm=name, features=features, warm_start=warm_start, keep_learner=keep_learner, **used)


def _kind(name: str) -> str:
    """Which line of `_USED` is the method's. Raises BadInput for an unknown name."""
    if name == LEARNED:
        return "closed form"
    if name in list(Form):
        return "mpc"
    if find_strategy(name) is not None:
        return "rule"
    if name in _neural_names():
        return "neural"
    raise BadInput([Fault("strategy", f"{name!r} cannot be trained; choose one of {', '.join(method_names())}")])


def _quick_names() -> tuple[str, ...]:
    return (LEARNED, *strategy_names(), *(form.value for form in Form))


def _neural_names() -> tuple[str, ...]:
    from arbitrage.learners.neural.registry import LEARNERS

    return tuple(LEARNERS)
