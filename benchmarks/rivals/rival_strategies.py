"""Every rival as one function: from a plan of days to what can be backtested; and as a trainer_named for walk-forward.

Contract
- A plan is a `TrainingPlan`: its split, battery and seed count; its trainer, a closed form, does not.
- Training days are fitted, validation days choose among weights where a rival has any to choose, test days are nobody's
  business here.
- Agents of libraries (extra `compare`) are given processor seconds, and kept in files so that a benchmark goes on where
  it was.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from library_policies import LibraryPolicy

from arbitrage.experiments.known_quarter_hour import KnownQuarterHour, fit_known_quarter_hour
from arbitrage.experiments.walk_forward import TrainingWindow
from arbitrage.features.names import FeatureSet
from arbitrage.policies.mpc.policy import Form, MpcPolicy
from arbitrage.policies.mpc.price_forecast import PriceForecast
from arbitrage.policies.protocol import Policy
from arbitrage.risk import RiskPreference
from arbitrage.training.closed_form import ClosedFormTrainer
from arbitrage.training.mpc import MpcTrainer
from arbitrage.training.plan import TrainingPlan

LIBRARY_AGENTS = ("dqn", "qr-dqn", "sac", "td3")


def price_forecast(plan: TrainingPlan) -> PriceForecast:
    """What rolling control plans on; it knows nothing of the battery, so one serves every cap and both forms."""
    return MpcTrainer.of(plan.split, Form.SCENARIOS).fit_forecast(plan.split, plan.seed)


def rolling_control(
    plan: TrainingPlan,
    form: Form,
    preference: RiskPreference | None = None,
    forecast: PriceForecast | None = None,
) -> MpcPolicy:
    """`mpc` or `mpc-scenarios`; `forecast` is that of `price_forecast` for the same plan, where it is at hand."""
    trainer = MpcTrainer.of(plan.split, form, preference)
    return trainer.policy(plan.split, plan.battery, forecast or trainer.fit_forecast(plan.split, plan.seed))


def known_quarter_hour(plan: TrainingPlan) -> KnownQuarterHour:
    """The ceiling that is told the running price: not causal, backtested by its own method."""
    split = plan.split
    training = split.selection(split.train_days)
    return fit_known_quarter_hour(split.market, plan.battery, training, split.soc_reset, seed=plan.seed)


def library_agent(
    kind: str, plan: TrainingPlan, seconds: float, kept: Path, settings: Any = None
) -> tuple[LibraryPolicy, dict[str, Any]]:
    """One of LIBRARY_AGENTS after so many processor seconds of learning, and what is told of it.

    settings: a `library_rivals.Settings`; None: TD3 as published, the others' base.
    """
    from library_rivals import CANDIDATES, PUBLISHED_TD3, Contest, kept_rival

    split = plan.split
    days = (split.train_days, split.validation_days, split.start, split.end)
    contest = Contest(split.market, plan.battery, *days, split.soc_reset)
    chosen = settings or (PUBLISHED_TD3 if kind == "td3" else CANDIDATES["base"])
    return kept_rival(kind, contest, chosen, plan.seed, seconds, kept)


def plan_of_room(room: TrainingWindow, seed: int = 0, *, refit: bool = False) -> TrainingPlan:
    """What a walk's window may learn from, as a plan; `refit` as in `ClosedFormTrainer`."""
    bare = {"with_critic": False, "with_risk_head": False}
    trainer = ClosedFormTrainer.of(room.split, FeatureSet.QUARTER_HOUR, refit=refit, **bare)
    return TrainingPlan(trainer=trainer, split=room.split, battery=room.battery, seed=seed)


@dataclass(frozen=True, slots=True)
class TeachRollingControl:
    """Fits `mpc` or `mpc-scenarios` for each window of a walk."""

    form: Form
    preference: RiskPreference | None = None

    def __call__(self, room: TrainingWindow) -> Policy:
        return rolling_control(plan_of_room(room), self.form, self.preference)


@dataclass(frozen=True, slots=True)
class TeachLibraryAgent:
    """Trains a library's agent anew for each window; finished windows are kept in the window's folder."""

    kind: str
    seconds: float
    seed: int = 0
    settings: Any = None

    def __call__(self, room: TrainingWindow) -> Policy:
        policy, _ = library_agent(self.kind, plan_of_room(room, self.seed), self.seconds, room.folder, self.settings)
        return replace(policy, name=self.kind)
