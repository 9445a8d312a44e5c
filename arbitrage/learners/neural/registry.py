"""The learners by name. A new one is a file with `LEARNERS`, and its module in the list here."""

from __future__ import annotations

from typing import Any

from arbitrage.errors import BadInput, Fault
from arbitrage.learners.neural import (
    discrete_sac,
    distributional_discrete_sac,
    distributional_dqn,
    dqn,
    dsac,
    dsac_t,
    sac,
)
from arbitrage.learners.neural.learner import Learner, LearningProblem
from arbitrage.learners.neural.spec import LearnerSpec

_MODULES = (dqn, distributional_dqn, discrete_sac, distributional_discrete_sac, sac, dsac, dsac_t)

LEARNERS: dict[str, LearnerSpec] = {spec.name: spec for module in _MODULES for spec in module.LEARNERS}


def named_learner(name: str) -> LearnerSpec:
    """The learner of that name. Raises BadInput."""
    if name not in LEARNERS:
        raise BadInput([Fault("algorithm", f"must be one of {', '.join(LEARNERS)}, not {name!r}")])
    return LEARNERS[name]


def make_learner(name: str, problem: LearningProblem, settings: dict[str, Any], seed: int, **learner: Any) -> Learner:
    """A learner at its beginning; `settings` by the names of the algorithm's configuration.

    Raises BadInput for an unknown name, for a problem of the wrong kind of action and for unknown settings.
    """
    spec = named_learner(name)
    if problem.discrete != spec.discrete:
        kind = "discrete" if spec.discrete else "continuous"
        raise BadInput([Fault("algorithm", f"{name} needs {kind} actions")])
    unknown = sorted(set(settings) - set(spec.settings))
    if unknown:
        raise BadInput([Fault(setting, f"is no setting of {name}") for setting in unknown])
    return spec.make(problem, spec.config(**{**spec.defaults, **settings}), seed, **learner)
