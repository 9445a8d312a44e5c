"""The algorithms by name."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import Any

from arbitrage.errors import BadInput, Fault
from arbitrage.learners.neural.critics import CategoricalForm, QuantileForm
from arbitrage.learners.neural.discrete_sac import DiscreteSAC, DiscreteSACConfig
from arbitrage.learners.neural.distributional_discrete_sac import (
    DistributionalDiscreteSAC,
    DistributionalDiscreteSACConfig,
)
from arbitrage.learners.neural.distributional_dqn import DistributionalDQN, DistributionalDQNConfig
from arbitrage.learners.neural.dqn import DQN, DQNConfig
from arbitrage.learners.neural.dsac import DSAC, DSACConfig
from arbitrage.learners.neural.dsac_t import DSACT, DSACTConfig
from arbitrage.learners.neural.learner import Learner, LearningProblem
from arbitrage.learners.neural.sac import SAC, SACConfig


class Algorithm(StrEnum):
    """What there is; see the file of each."""

    DQN = "dqn"
    CATEGORICAL_DQN = "categorical-dqn"
    QUANTILE_DQN = "quantile-dqn"
    DISCRETE_SAC = "discrete-sac"
    CATEGORICAL_DISCRETE_SAC = "categorical-discrete-sac"
    QUANTILE_DISCRETE_SAC = "quantile-discrete-sac"
    SAC = "sac"
    DSAC = "dsac"
    DSAC_T = "dsac-t"

    @property
    def discrete(self) -> bool:
        """Whether its actions are discrete."""
        return self not in (Algorithm.SAC, Algorithm.DSAC, Algorithm.DSAC_T)


DEFAULT_SUPPORT = (-50.0, 50.0)
"""Of categorical critics, in the learner's unit: the reference's 5,000 EUR each way where rewards are in units of 100.

With 51 atoms that is 200 EUR an atom, coarse against rewards of some EUR: quantiles suit this market better."""
_FINE = QuantileForm(threshold=0.1)
"""Quantiles to within 10 EUR where rewards are in units of 100; a wider threshold draws them to the mean."""

_Maker = tuple[Callable[..., Any], Callable[..., Learner], dict[str, Any]]
_MAKERS: dict[Algorithm, _Maker] = {
    Algorithm.DQN: (DQNConfig, DQN, {}),
    Algorithm.CATEGORICAL_DQN: (
        DistributionalDQNConfig,
        DistributionalDQN,
        {"form": CategoricalForm(lowest=DEFAULT_SUPPORT[0], highest=DEFAULT_SUPPORT[1])},
    ),
    Algorithm.QUANTILE_DQN: (DistributionalDQNConfig, DistributionalDQN, {"form": _FINE}),
    Algorithm.DISCRETE_SAC: (DiscreteSACConfig, DiscreteSAC, {}),
    Algorithm.CATEGORICAL_DISCRETE_SAC: (
        DistributionalDiscreteSACConfig,
        DistributionalDiscreteSAC,
        {"form": CategoricalForm(lowest=DEFAULT_SUPPORT[0], highest=DEFAULT_SUPPORT[1])},
    ),
    Algorithm.QUANTILE_DISCRETE_SAC: (
        DistributionalDiscreteSACConfig,
        DistributionalDiscreteSAC,
        {"form": _FINE},
    ),
    Algorithm.SAC: (SACConfig, SAC, {}),
    Algorithm.DSAC: (DSACConfig, DSAC, {}),
    Algorithm.DSAC_T: (DSACTConfig, DSACT, {}),
}


def named_algorithm(name: str) -> Algorithm:
    """The algorithm of that name. Raises BadInput."""
    if name not in list(Algorithm):
        raise BadInput([Fault("algorithm", f"must be one of {', '.join(Algorithm)}, not {name!r}")])
    return Algorithm(name)


def make_learner(
    algorithm: Algorithm, problem: LearningProblem, settings: dict[str, Any], seed: int, **learner: Any
) -> Learner:
    """A learner at its beginning; `settings` by the names of the algorithm's configuration.

    Raises BadInput for a problem of the wrong kind of action and for settings that there are not.
    """
    if problem.discrete != algorithm.discrete:
        kind = "discrete" if algorithm.discrete else "continuous"
        raise BadInput([Fault("algorithm", f"{algorithm} needs {kind} actions")])
    make_config, make, defaults = _MAKERS[algorithm]
    unknown = sorted(set(settings) - set(getattr(make_config, "__dataclass_fields__", {})))
    if unknown:
        raise BadInput([Fault(name, f"is no setting of {algorithm}") for name in unknown])
    return make(problem, make_config(**defaults | settings), seed, **learner)
