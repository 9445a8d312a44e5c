"""Thousands of batteries on one price path: the batched twin of the environment.

Contract: battery i of the twin does, to the last bit of its reward and state, what the single environment does with the
same actions on the same days. All batteries share the clock, so all are truncated together.
"""

from __future__ import annotations

import math
from typing import Any

import gymnasium
import numpy as np
import numpy.typing as npt
from gymnasium.vector.utils import batch_space

from arbitrage.arrays import Flags, Floats
from arbitrage.battery import Battery, step_fleet
from arbitrage.env.choices import ActionKind, action_space, discrete_actions, shares_of_rated
from arbitrage.env.episode import Episode, EpisodeMaker, rated_power_mw, start_soc_mwh
from arbitrage.env.picture import DaySoFar, Picture
from arbitrage.env.settings import RENDER_MODES, checked_settings, chosen_start
from arbitrage.env.single import observation_space
from arbitrage.features.battery_state import encode_battery
from arbitrage.features.encoder import MarketFeatures
from arbitrage.features.names import FeatureSet
from arbitrage.market.series import MarketSeries
from arbitrage.market.simulation.embedded_sample import sample_market
from arbitrage.quarter_hour import MINUTES_PER_HOUR, energy_mwh
from arbitrage.settling import KnownProfit, settle_eur

Observations = npt.NDArray[np.float32]
Info = dict[str, Any]


class BatchedImbalanceEnv(gymnasium.vector.VectorEnv[Observations, Any, Any]):
    """`num_envs` batteries of one kind on one price path, as a Gymnasium vector environment.

    `gymnasium.make_vec("arbitrage/BelgianImbalance-v0", num_envs=4096, vectorization_mode="vector_entry_point", ...)`

    Settings, observation, action and reward are those of `BelgianImbalanceEnv`, with a leading axis of batteries.
    After truncation the next `step` ignores its actions and begins a new episode (Gymnasium's NEXT_STEP mode).
    Info: power_mw, soc_mwh, cycles_used, profit_eur (since reset), shape [num_envs].
    With `render_mode="rgb_array"`, `render` returns a picture for each battery, as Gymnasium asks of vectors.
    """

    metadata: dict[str, Any] = {  # noqa: RUF012 (Gymnasium declares it on the instance)
        "render_modes": list(RENDER_MODES),
        "render_fps": 4,
        "autoreset_mode": gymnasium.vector.AutoresetMode.NEXT_STEP,
    }

    def __init__(
        self,
        num_envs: int = 1,
        market: MarketSeries | None = None,
        battery: Battery | None = None,
        features: MarketFeatures | FeatureSet | str | None = None,
        render_mode: str | None = None,
        **settings: Any,
    ) -> None:
        self.config = checked_settings(
            settings, market=market, battery=battery, render_mode=render_mode, num_envs=num_envs
        )
        self.num_envs, self.render_mode = int(num_envs), render_mode
        self.battery = Battery() if battery is None else battery
        self._law = self.battery.law
        self._maker = EpisodeMaker(sample_market() if market is None else market, features, self.config)
        self._powers_mw = rated_power_mw(self.battery)
        self.observation_names = self._maker.observation_names
        self.single_observation_space = observation_space(len(self.observation_names))
        self.single_action_space = action_space(self.config.actions)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self._duration_h = self.config.step_min / MINUTES_PER_HOUR
        self._episode: Episode
        self._length = 0
        self._so_far: DaySoFar
        self._at = 0
        self._soc_mwh, self._cycles, self._committed_mwh, self._wear_eur, self._profit_eur = np.zeros((5, num_envs))
        self._known_profit: KnownProfit[Floats]

    def reset(
        self, *, seed: int | list[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observations, Info]:
        """Begin an episode for all batteries; one seed serves all, and options are those of the single environment."""
        super().reset(seed=seed[0] if isinstance(seed, list) else seed)
        start, first_days = self.config.start_soc_fraction, self._maker.first_days
        day, fractions = chosen_start(options, first_days, start, self.np_random, self.num_envs)
        self._episode = self._maker.lay_out(day)
        self._length = len(self._episode)
        self._at = 0
        self._soc_mwh = start_soc_mwh(self.battery, fractions)
        self._cycles[:] = 0.0
        self._committed_mwh[:] = 0.0
        self._profit_eur[:] = 0.0
        self._known_profit = KnownProfit(np.zeros(self.num_envs))
        self._so_far = DaySoFar(self._episode, self.battery, self.num_envs)
        return self._observe(), self._info(np.zeros(self.num_envs))

    def step(self, actions: Any) -> tuple[Observations, Floats, Flags, Flags, Info]:
        """One step of every battery; arrays of shape [num_envs]. Raises as the single environment does."""
        if not self._length:
            raise gymnasium.error.ResetNeeded("begin an episode by reset() before the first step")
        never = np.zeros(self.num_envs, dtype=np.bool_)
        if self._at == self._length:
            observations, info = self.reset()
            return observations, np.zeros(self.num_envs), never, never.copy(), info
        episode, at, wanted_mw = self._episode, self._at, self._asked_mw(actions)
        price = float(episode.price_eur_mwh[at])
        power_mw = np.zeros(self.num_envs) if math.isnan(price) else wanted_mw
        step_fleet(self._law, self._soc_mwh, self._cycles, power_mw, self._duration_h, self._wear_eur)
        self._committed_mwh += energy_mwh(power_mw, self.config.step_min)
        settled_eur = settle_eur(price, self._committed_mwh) if episode.settles[at] and not math.isnan(price) else None
        rewards = -self._wear_eur if settled_eur is None else settled_eur - self._wear_eur
        self._known_profit.pay_wear(self._wear_eur)
        if settled_eur is not None:
            self._known_profit.settle(at + 1, int(episode.price_shows_at[at]), settled_eur)
        if episode.settles[at]:
            self._committed_mwh[:] = 0.0
        if episode.ends_day[at]:
            self._cycles[:] = 0.0
            self._known_profit.begin_day()
        self._at += 1
        self._profit_eur += rewards
        if self.render_mode is not None:
            self._so_far.add(self._soc_mwh, power_mw)
        truncated = np.full(self.num_envs, self._at == self._length)
        scale = self.config.reward_scale
        scaled = rewards if scale == 1.0 else rewards / scale
        return self._observe(), scaled, never, truncated, self._info(power_mw)

    def render(self) -> tuple[Picture, ...] | None:
        """The Brussels day so far of each battery, as the single environment draws it; None without a render mode.

        Raises Gymnasium's ResetNeeded before `reset`.
        """
        if self.render_mode is None:
            return None
        if not self._length:
            raise gymnasium.error.ResetNeeded("there is nothing to draw before reset()")
        return tuple(self._so_far.picture(battery) for battery in range(self.num_envs))

    def _asked_mw(self, actions: Any) -> Floats:
        if self.config.actions is ActionKind.DISCRETE:
            return self._powers_mw[discrete_actions(actions, self.num_envs)]
        shares = shares_of_rated(actions, self.num_envs)
        return shares * np.where(shares > 0, self._law.discharge_power_mw, self._law.charge_power_mw)

    def _observe(self) -> Observations:
        out = np.empty((self.num_envs, len(self.observation_names)), dtype=np.float32)
        count = len(self._maker.features.names)
        out[:, :count] = self._episode.features[self._at]
        encode_battery(
            self._maker.features.feature_set,
            self.battery,
            self._soc_mwh,
            self._cycles,
            self._committed_mwh,
            self._known_profit.today_eur(self._at),
            float(self._episode.minute_fraction[self._at]),
            out[:, count:],
        )
        return out

    def _info(self, power_mw: Floats) -> Info:
        return {
            "power_mw": power_mw,
            "soc_mwh": self._soc_mwh.copy(),
            "cycles_used": self._cycles.copy(),
            "profit_eur": self._profit_eur.copy(),
        }
