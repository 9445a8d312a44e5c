"""Walk-forward: learn, test the months after, learn again with what has come, and so on, as one would have lived it.

Contract
- Whoever learns for a window is handed a market that ends when the window's training does: it cannot see further,
  whatever it does. Days to choose on lie inside that.
- Tested windows follow each other; the battery carries its energy from one policy to the next.
- Every window's policy is kept in a folder of its own. A walk that was interrupted goes on; a kept policy of another
  plan, of other data or of other code is made anew.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from arbitrage.battery import Battery
from arbitrage.errors import BadInput, Fault
from arbitrage.experiments.strategies import RULES
from arbitrage.features.names import FeatureSet
from arbitrage.learners.closed_form.config import Preset
from arbitrage.market.series import MarketSeries
from arbitrage.market.splits import DaysOfMonth, SocReset, Span, select_rows, spans
from arbitrage.market.timing import until
from arbitrage.market.windows import Window, refuse_windows_outside
from arbitrage.policies.checkpoint.load import load_policy
from arbitrage.policies.minute_rule import MinuteSpreadRule, tune_by_minute
from arbitrage.policies.policy_schedule import PolicySchedule, policy_schedule
from arbitrage.policies.protocol import Policy
from arbitrage.policies.rules import Idle, SpreadRule, ThresholdRule, tune
from arbitrage.training.closed_form import finished_card, train
from arbitrage.training.plan import TrainingPlan

if TYPE_CHECKING:
    from arbitrage.learners.neural.learner import Learner

TRAIN_DAYS, VALIDATION_DAYS = DaysOfMonth(1, 25), DaysOfMonth(26, 31)
"""Days of the month, inside what a window may learn from, to learn from and to choose on."""

LEARNED = "learned"
NEURAL = (
    "dqn",
    "categorical-dqn",
    "quantile-dqn",
    "discrete-sac",
    "categorical-discrete-sac",
    "quantile-discrete-sac",
    "sac",
    "dsac",
    "dsac-t",
)
"""Names of `learners.algorithms`, which loads torch; a test keeps them the same."""

Tell = Callable[[str, float], None]
"""Told what is being done, and the share of the walk's learning that is done, 0 to 1."""


@dataclass(frozen=True, slots=True)
class TrainingWindow:
    """What there is to learn from for one window."""

    market: MarketSeries
    """It ends with the window's training."""
    battery: Battery
    window: Window
    folder: Path
    """Of this window alone; what is made is kept there."""


PolicyTrainer = Callable[[TrainingWindow], Policy]
"""Learns for one window, or takes up what it finished there before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Walk:
    """Where a walk leads."""

    market: MarketSeries
    battery: Battery
    windows: tuple[Window, ...]
    market_at: Callable[[int], MarketSeries] | None = None
    """The market as it was known at an epoch minute, where a store can tell (`stored_market(..., as_of=...)`); None:
    `market` as far as it was published by then."""

    def selection(self) -> tuple[Span, ...]:
        """What is tested: all windows in one life. Raises BadInput where the market does not reach."""
        refuse_windows_outside(self.market, self.windows)
        chosen = select_rows(self.market, start=self.windows[0].test_start, end=self.windows[-1].test_end)
        return spans(self.market, chosen, SocReset.NEVER)


def walk_forward(
    walk: Walk, teach: PolicyTrainer, folder: Path, *, name: str, tell: Tell = lambda _text, _share: None
) -> PolicySchedule:
    """The policies of all windows, in turn, for one backtest over `walk.selection()`. Raises BadInput."""
    refuse_windows_outside(walk.market, walk.windows)
    look = walk.market_at or (lambda time: until(walk.market, time))
    turns = []
    for number, window in enumerate(walk.windows):
        tell(f"{name}: learning for {window.label}", number / len(walk.windows))
        own = folder / window.label
        room = TrainingWindow(look(window.train_end), walk.battery, window, own)
        turns.append((window.test_start, teach(room)))
    tell(f"{name}: all windows learned", 1.0)
    return policy_schedule(name, turns)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClosedForm:
    """Teaches the counterfactual agent, a closed form, which begins anew with every window."""

    feature_set: FeatureSet | None = None
    preset: Preset = Preset.FULL
    seed: int = 0
    refit: bool = True
    """Whether the days that have chosen are learned from before the window is tested: they are the newest."""
    settings: dict[str, Any] = field(default_factory=dict)
    """Further ones of the `TrainingPlan`."""

    def plan(self, room: TrainingWindow) -> TrainingPlan:
        """What is learned for the window."""
        chosen = {**_days(room), **self.settings, "seed": self.seed, "refit": self.refit}
        return TrainingPlan.of(self.feature_set, room.market, self.preset, **chosen)

    def __call__(self, room: TrainingWindow) -> Policy:
        plan = self.plan(room)
        if finished_card(plan, room.folder) is None:
            train(plan, room.folder)
        return load_policy(room.folder)


def rule_trainer(name: str) -> PolicyTrainer:
    """Tunes `threshold`, `spread` or `minute-spread` on all that a window may learn from; `idle` learns nothing.

    Raises BadInput for another name.
    """
    if name not in RULES:
        raise BadInput([Fault("strategy", f"{name!r} is not one of the rules {', '.join(RULES)}")])

    def teach(room: TrainingWindow) -> Policy:
        chosen = select_rows(room.market, start=room.window.train_start, end=room.window.train_end)
        days, told = spans(room.market, chosen, SocReset.NEVER), "the days before"
        if name == "threshold":
            return tune(ThresholdRule(), room.market, room.battery, days, told)
        if name == "spread":
            return tune(SpreadRule(), room.market, room.battery, days, told)
        if name == "minute-spread":
            return tune_by_minute(MinuteSpreadRule(), room.market, room.battery, days, told)
        return Idle()

    return teach


def trainer_named(name: str, *, seed: int, warm_start: bool, **closed_form: Any) -> PolicyTrainer:
    """Who teaches the strategy of that name: `learned`, a rule, or a neural algorithm. Raises BadInput for no such.

    closed_form: further settings of `ClosedForm`.
    """
    if name == LEARNED:
        return ClosedForm(seed=seed, **closed_form)
    if name in RULES:
        return rule_trainer(name)
    if name in NEURAL:
        feature_set = closed_form.get("feature_set") or FeatureSet.QUARTER_HOUR
        return Neural(name, feature_set=feature_set, seed=seed, warm_start=warm_start)
    known = ", ".join((LEARNED, *RULES, *NEURAL))
    raise BadInput([Fault("strategy", f"{name!r} is none of those that learn as they walk: {known}")])


class Neural:
    """Teaches a neural agent; with `warm_start` each window goes on with the weights of the one before.

    Warm or not, a window counts its updates anew, and its best agent is chosen on its own validation days.
    """

    def __init__(
        self,
        algorithm: str,
        *,
        feature_set: FeatureSet = FeatureSet.QUARTER_HOUR,
        seed: int = 0,
        warm_start: bool = True,
        **plan: Any,
    ) -> None:
        """`plan` goes on to the `LearnerPlan`."""
        self._algorithm, self._feature_set, self._seed, self._plan = algorithm, feature_set, seed, plan
        self._warm_start = warm_start
        self._before: Learner | None = None

    def __call__(self, room: TrainingWindow) -> Policy:
        # What learns loads torch, which those who only walk with rules or closed forms need not wait for.
        from arbitrage.learners.neural.registry import Algorithm
        from arbitrage.training.neural import LearnerPlan, LearnerTraining

        days = TrainingPlan.of(
            self._feature_set, room.market, **_days(room), seed=self._seed, with_critic=False, with_risk_head=False
        )
        training = LearnerTraining(LearnerPlan(days=days, algorithm=Algorithm(self._algorithm), **self._plan))
        if self._warm_start and self._before is not None:
            training.learner.take_over(self._before)
        training.run()
        self._before = training.learner
        return replace(training.policy(), name=self._algorithm)


def _days(room: TrainingWindow) -> dict[str, Any]:
    """What every `TrainingPlan` of a window says."""
    return {
        "battery": room.battery,
        "train_days": TRAIN_DAYS,
        "validation_days": VALIDATION_DAYS,
        "start": room.window.train_start,
        "end": room.window.train_end,
        "soc_reset": SocReset.NEVER,
    }
