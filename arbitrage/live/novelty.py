"""Whether what a policy sees is like what it was trained on.

Contract
- The mean and spread of every training feature are among a policy's own numbers, because it scales its inputs with
  them; beyond `networks.CLIP` of these spreads it cannot tell one value from another. What is counted is the share of
  features that lie out there.
- A single far feature is nothing new: prices are wild. It takes `UNFAMILIAR_FRACTION` of all features at once, or one
  that lies `UNHEARD_OF` spreads out.
- A rule was trained on nothing and knows nothing unfamiliar.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from arbitrage.arrays import Singles
from arbitrage.live.quality import Finding, Params
from arbitrage.policies.closed_form.policy import ClosedFormPolicy
from arbitrage.policies.closed_form.view import ClosedFormView
from arbitrage.policies.network_policy import NetworkPolicy, NetworkView
from arbitrage.policies.networks import CLIP
from arbitrage.policies.protocol import Policy, PolicyView

UNFAMILIAR_FRACTION = 0.1
UNHEARD_OF = 25.0
_NAMED = 5
"""Features that a warning names, farthest first."""


@dataclass(frozen=True, slots=True)
class Familiarity:
    """How far out the features of one time lie."""

    far_fraction: float = 0.0
    """Share of the features beyond what the policy can tell apart."""
    farthest_spreads: float = 0.0
    """Distance of the farthest feature from its mean, in its spreads."""
    farthest: tuple[str, ...] = ()
    """Names of these features, farthest first."""

    @property
    def unfamiliar(self) -> bool:
        """Whether the policy has met nothing like it."""
        return self.far_fraction > UNFAMILIAR_FRACTION or self.farthest_spreads > UNHEARD_OF

    def finding(self) -> Finding:
        """As a warning."""
        names = ", ".join(self.farthest[:_NAMED])
        params: Params = {"far_fraction": self.far_fraction, "spreads": self.farthest_spreads, "farthest": names}
        return Finding("unlike_training", params)


def familiarity_of(policy: Policy, outlook: PolicyView) -> Familiarity:
    """Of the first time that the outlook has read."""
    if isinstance(policy, ClosedFormPolicy) and isinstance(outlook, ClosedFormView):
        scaling = policy.members[0].full_map
        return _familiarity(outlook.encoded.features[outlook.quarter[0]], scaling.mean, scaling.std, policy)
    if isinstance(policy, NetworkPolicy) and isinstance(outlook, NetworkView):
        network = policy.critics[0] if policy.critics else policy.actor
        if network is not None:
            return _familiarity(outlook.features[0], network.mean, network.std, policy)
    return Familiarity()


def _familiarity(
    features: Singles, mean: Singles, std: Singles, policy: ClosedFormPolicy | NetworkPolicy
) -> Familiarity:
    count = min(len(features), len(mean))
    distance = np.abs((features[:count] - mean[:count]) / std[:count])
    far = np.flatnonzero(distance > CLIP)
    names = policy.features.quarter_names if isinstance(policy, ClosedFormPolicy) else policy.features.names
    order = far[np.argsort(-distance[far], kind="stable")]
    return Familiarity(len(far) / count, float(distance.max()), tuple(names[column] for column in order))
