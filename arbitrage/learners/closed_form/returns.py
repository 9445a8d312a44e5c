"""Realised returns to the end of each day: what the quantile critic is fitted to, and checked against.

Contract: returns are rolled out on recorded paths under given advantages; nothing is bootstrapped.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from arbitrage.arrays import Floats, Singles
from arbitrage.learners.closed_form.counterfactual import backward_pass
from arbitrage.market.path import After, Path
from arbitrage.policies.closed_form.lattice import Lattice
from arbitrage.policies.closed_form.quantile_critic import ACTIONS, QUANTILES, at_fraction
from arbitrage.policies.networks import Network, hidden_rows


@dataclass(frozen=True, slots=True)
class Returns:
    """Realised returns to learn from or to check against."""

    features: Singles
    """Shape [n, market features]."""
    idle: Singles
    """Shape [n, nodes]; return of idling now and following the policy after, in units of the scale."""
    advantage: Singles
    """Shape [n, 2, nodes]; of charging and discharging over idling, in the same unit."""
    state: Singles
    """Shape [nodes, 2]; state inputs of each node."""

    def draw(self, rng: np.random.Generator, size: int) -> tuple[Singles, Singles]:
        """Inputs [size, inputs] and realised returns of the three actions [size, 3] at random times and nodes."""
        rows = rng.integers(0, len(self.idle), size)
        nodes = rng.integers(0, len(self.state), size)
        idle = self.idle[rows, nodes]
        charge, discharge = (idle + self.advantage[rows, action, nodes] for action in range(2))
        inputs = np.concatenate([self.features[rows], self.state[nodes]], axis=1)
        return inputs, np.stack([charge, idle, discharge], axis=1)


def realised_returns(
    path: Path, lattice: Lattice, features: Singles, advantages_eur: Singles, end_value_eur: Floats, scale: Floats
) -> Returns:
    """Roll the policy of `advantages_eur` [n, decisions, 2, nodes] out to each day's end; end_value_eur [n, nodes]."""
    last_of_day = path.after != After.SAME_DAY
    daily = Path(
        path.rows, path.price_eur_mwh, np.where(last_of_day, int(After.END_OF_SPAN), path.after), path.day_numbers
    )
    swept = backward_pass(daily, lattice, advantages_eur, end_value_eur)
    idle = np.roll(swept.value_eur, -1, axis=0)
    idle[last_of_day] = end_value_eur[last_of_day]
    used = path.settled
    unit = scale.astype(np.float32)[used]
    return Returns(
        features=features[used],
        idle=idle[used] / unit[:, None],
        advantage=swept.advantage_eur[used] / unit[:, None, None],
        state=node_inputs(lattice),
    )


def node_inputs(lattice: Lattice) -> Singles:
    """State inputs of every node, shape [nodes, 2]."""
    rows, columns = np.divmod(np.arange(lattice.nodes), lattice.cycle_nodes)
    shares = [rows / (lattice.soc_nodes - 1), columns / max(lattice.cycle_nodes - 1, 1)]
    return np.stack(shares, axis=1).astype(np.float32)


def coverage(critic: Network, returns: Returns, size: int = 20_000) -> dict[str, float]:
    """Share of realised returns below the critic's 5 %, 50 % and 95 % quantiles, at random times, nodes and actions."""
    inputs, realised = returns.draw(np.random.default_rng(0), size)
    hidden = hidden_rows(critic, inputs)
    raw = (hidden @ critic.output_weight + critic.output_bias).reshape(size, len(ACTIONS), QUANTILES)
    levels = np.sort(raw, axis=2)
    shares = {}
    for name, fraction in (("p05", 0.05), ("p50", 0.5), ("p95", 0.95)):
        bound = at_fraction(levels, fraction)
        shares[name] = float((realised < bound).mean())
    return shares
