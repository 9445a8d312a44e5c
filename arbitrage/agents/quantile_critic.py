"""The distributional critic: how the profit from now to the end of the Brussels day may turn out, for each action.

Law
- It is learned from realised returns on recorded paths, by quantile regression; nothing is bootstrapped. Training rows
  are rolled out with the ridge correction's advantages from fits that have not seen them, which stand in for the
  served policy's own; its coverage is measured on validation days under the policy that is served.
- It tells the risk of a decision; it does not choose. Advantages choose, because raw returns are far noisier.
- Outcomes are in EUR and ascend: cash from now on, less wear, plus what the policy holds energy left at midnight worth.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from arbitrage.agents.counterfactual import After, Path, sweep
from arbitrage.agents.lattice import Lattice
from arbitrage.agents.networks import Network, affine, hidden_rows

Floats = npt.NDArray[np.float64]
Singles = npt.NDArray[np.float32]
Numbers = npt.NDArray[np.int64]

QUANTILES = 32
QUANTILE_FRACTIONS: Floats = (np.arange(QUANTILES) + 0.5) / QUANTILES
ACTIONS = ("charge", "idle", "discharge")


def outcomes_eur(critic: Network, features: Singles, state: tuple[float, float], scale_eur_mwh: float) -> Floats:
    """Quantiles of the profit from now to the day's end, shape [3 actions, QUANTILES], ascending.

    features: [market features]; state: SoC and cycle shares; the quantile fractions are QUANTILE_FRACTIONS.
    """
    inputs = np.concatenate([features, np.array(state, dtype=np.float32)])[None, :].astype(np.float32)
    raw = affine(hidden_rows(critic, inputs)[0], critic.output_weight, critic.output_bias)
    return np.sort(raw.reshape(len(ACTIONS), QUANTILES).astype(np.float64), axis=1) * scale_eur_mwh


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
    swept = sweep(daily, lattice, advantages_eur, end_value_eur)
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


def at_fraction(levels: npt.NDArray[np.floating], fraction: float) -> npt.NDArray[np.floating]:
    """The quantile at a fraction, interpolated between the critic's own along the last axis."""
    position = np.clip(fraction * QUANTILES - 0.5, 0.0, QUANTILES - 1.0)
    low = min(int(position), QUANTILES - 2)
    share = position - low
    return np.asarray((1.0 - share) * levels[..., low] + share * levels[..., low + 1])
