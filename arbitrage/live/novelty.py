"""Whether what a policy sees is like what it was trained on.

Contract
- The mean and spread of every training feature are among a policy's own numbers, because it scales its inputs with
  them; beyond `networks.CLIP` of these spreads it cannot give one value from another. What is counted is the share of
  features that lie out there.
- A single far feature is nothing new: prices are wild. It takes `UNFAMILIAR_FRACTION` of all features at once, or one
  that lies `UNHEARD_OF` spreads out.
- A policy whose features were not scaled in training, such as a rule, knows nothing unfamiliar.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from arbitrage.live.quality import Finding, Params
from arbitrage.policies.networks import CLIP
from arbitrage.policies.protocol import PolicyView

UNFAMILIAR_FRACTION = 0.1
UNHEARD_OF = 25.0
_NAMED = 5
"""Features that a warning names, farthest first."""


@dataclass(frozen=True, slots=True)
class Familiarity:
    """How far out the features of one time lie."""

    far_fraction: float = 0.0
    """Share of the features beyond what the policy can distinguish."""
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


def familiarity_of(view: PolicyView) -> Familiarity:
    """Of the first time that the view has read."""
    inputs = view.inputs(0)
    if inputs is None:
        return Familiarity()
    count = min(len(inputs.values), len(inputs.mean))
    distance = np.abs((inputs.values[:count] - inputs.mean[:count]) / inputs.std[:count])
    far = np.flatnonzero(distance > CLIP)
    order = far[np.argsort(-distance[far], kind="stable")]
    return Familiarity(len(far) / count, float(distance.max()), tuple(inputs.names[column] for column in order))
