"""From a learner to what is served: plain arrays, without anything that only training needs."""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import Tensor

from arbitrage.learners.neural.actors import CategoricalActor, EpsilonGreedy, GaussianActor
from arbitrage.learners.neural.critics import CategoricalForm, QuantileForm
from arbitrage.learners.neural.discrete_sac import DiscreteSAC
from arbitrage.learners.neural.distributional_discrete_sac import DistributionalDiscreteSAC
from arbitrage.learners.neural.distributional_dqn import DistributionalDQN
from arbitrage.learners.neural.dqn import DQN
from arbitrage.learners.neural.learner import Learner
from arbitrage.learners.neural.nets import Layout
from arbitrage.policies.network_policy import Head, PlainNetwork


def networks_of(learner: Learner) -> dict[str, Any]:
    """Critics, head, support, actor, kind of action and preference of a learner, by the names of `NetworkPolicy`.

    Where an actor chooses, it has learned the preference itself.
    """
    made: dict[str, Any] = {"continuous": not learner.problem.discrete}
    if isinstance(learner, CategoricalActor | GaussianActor):
        made["actor"] = _stack(learner, learner.actor_layout, learner.actor.flat)[0]
    if isinstance(learner, DQN | DistributionalDQN):
        made["critics"] = _stack(learner, learner.layout, learner.state.critic.flat)
    if isinstance(learner, DiscreteSAC | DistributionalDiscreteSAC):
        made["critics"] = _stack(learner, learner.critic_layout, learner.state.critic.flat)
    if isinstance(learner, DistributionalDQN | DistributionalDiscreteSAC):
        made |= _head(learner.config.form)
    if isinstance(learner, DistributionalDQN) and learner.config.preference is not None:
        made["preference"] = learner.config.preference
    if not isinstance(learner, EpsilonGreedy | CategoricalActor | GaussianActor):
        raise TypeError(f"{type(learner).__name__} has no form that is served")
    return made


def _head(form: QuantileForm | CategoricalForm) -> dict[str, Any]:
    if isinstance(form, QuantileForm):
        return {"head": Head.QUANTILE}
    return {"head": Head.CATEGORICAL, "support": (form.lowest, form.highest)}


def _stack(learner: Learner, layout: Layout, flat: Tensor) -> tuple[PlainNetwork, ...]:
    """Each of the stacked networks."""
    parts = [part.detach().cpu().numpy().copy() for part in layout.unpack(flat)]
    standard = [np.ascontiguousarray(part.cpu().numpy(), dtype=np.float32) for part in learner.standard[:2]]
    return tuple(
        PlainNetwork(
            mean=standard[0],
            std=standard[1],
            limit=float(learner.standard.limit),
            weights=tuple(np.ascontiguousarray(weight[k]) for weight in parts[0::2]),
            biases=tuple(np.ascontiguousarray(bias[k, 0]) for bias in parts[1::2]),
        )
        for k in range(layout.stacked)
    )
