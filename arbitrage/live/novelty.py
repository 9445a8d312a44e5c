"""Whether what a policy sees is like what it was trained on.

Contract
- The mean and spread of every training feature are among a policy's own numbers, because it scales its inputs with
  them; beyond `networks.CLIP` of these spreads it cannot distinguish one value from another. What is counted is
  the share of features that lie out there.
- A single far feature is nothing new: prices are wild. It takes `UNFAMILIAR_FRACTION` of all features at once, or one
  that lies `UNHEARD_OF` spreads out.
- Day-ahead prices that differ within the hour are new to a policy that learned on prices by the hour only and does not
  read them as hour means. That is a warning only: it changes no power, since such a policy still earns.
- A policy whose features were not scaled in training, such as a rule, knows nothing unfamiliar.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from arbitrage.live.quality import Finding, Params
from arbitrage.market.coverage import Need
from arbitrage.market.point_in_time import DAY_AHEAD, QUARTERS_PER_HOUR, KnownMarket, vary
from arbitrage.policies.networks import CLIP
from arbitrage.policies.protocol import PolicyView
from arbitrage.quarter_hour import MINUTES_PER_HOUR, MINUTES_PER_QUARTER_HOUR

UNFAMILIAR_FRACTION = 0.1
UNHEARD_OF = 25.0
_HOURS_AHEAD = 24
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
    finer_day_ahead_hours: int = 0
    """Coming hours whose day-ahead prices differ by the quarter-hour, of a policy that learned on whole hours only."""

    @property
    def unfamiliar(self) -> bool:
        """Whether the policy has met nothing like it."""
        return self.far_fraction > UNFAMILIAR_FRACTION or self.farthest_spreads > UNHEARD_OF

    def findings(self) -> tuple[Finding, ...]:
        """As warnings."""
        names = ", ".join(self.farthest[:_NAMED])
        params: Params = {"far_fraction": self.far_fraction, "spreads": self.farthest_spreads, "farthest": names}
        far = (Finding("unlike_training", params),) if self.unfamiliar else ()
        if not self.finer_day_ahead_hours:
            return far
        return (
            *far,
            Finding(
                "day_ahead_unlike_training", {"hours": self.finer_day_ahead_hours, "learned_min": MINUTES_PER_HOUR}
            ),
        )


def familiarity_of(view: PolicyView, needs: Iterable[Need], known: KnownMarket) -> Familiarity:
    """Of the first time that the view has read; `known` is the market at that time, `needs` are the policy's."""
    hourly_only = any(need.hourly_only and need.series == DAY_AHEAD for need in needs)
    return replace(_distance(view), finer_day_ahead_hours=_finer_hours(known) if hourly_only else 0)


def _finer_hours(known: KnownMarket) -> int:
    """Hours of the coming day, the running one included, whose known day-ahead prices differ within."""
    starts = known.times - known.times % MINUTES_PER_HOUR
    quarters = MINUTES_PER_QUARTER_HOUR * np.arange(_HOURS_AHEAD * QUARTERS_PER_HOUR)
    curve = known.as_of(known.times, starts).gather(DAY_AHEAD, quarters)[0]
    return int(vary(curve.reshape(-1, QUARTERS_PER_HOUR)).sum())


def _distance(view: PolicyView) -> Familiarity:
    inputs = view.inputs(0)
    if inputs is None:
        return Familiarity()
    count = min(len(inputs.values), len(inputs.mean))
    distance = np.abs((inputs.values[:count] - inputs.mean[:count]) / inputs.std[:count])
    far = np.flatnonzero(distance > CLIP)
    order = far[np.argsort(-distance[far], kind="stable")]
    return Familiarity(len(far) / count, float(distance.max()), tuple(inputs.names[column] for column in order))
