"""The Gymnasium environment of one battery in the Belgian imbalance settlement.

Contract
- The reward is money settled, in EUR. Energy of the steps of a quarter-hour is settled together, at its end, at its
  final price; wear is charged when energy is drawn. The end of an episode is truncation, never termination.
- An observation holds only what has been published: the newest minute record at minute k is that of k - 1 - delay.
"""

from __future__ import annotations

import datetime as dt
import math
from typing import Any

import gymnasium
import numpy as np
import numpy.typing as npt
from gymnasium import spaces

from arbitrage.battery import Battery, BatteryState
from arbitrage.env.choices import Action, ActionKind, action_space, discrete_action, share_of_rated
from arbitrage.env.episode import Episode, EpisodeMaker, rated_power_mw, start_soc_mwh
from arbitrage.env.picture import DaySoFar, Picture
from arbitrage.env.settings import RENDER_MODES, checked_settings, chosen_start
from arbitrage.features.battery_state import encode_battery
from arbitrage.features.encoder import MarketFeatures
from arbitrage.features.names import FeatureSet
from arbitrage.market.series import MarketSeries
from arbitrage.market.simulation.embedded_sample import sample_market
from arbitrage.quarter_hour import MINUTES_PER_QUARTER_HOUR, energy_mwh
from arbitrage.settling import KnownProfit, settle_eur

Observation = npt.NDArray[np.float32]
Info = dict[str, Any]


class BelgianImbalanceEnv(gymnasium.Env[Observation, Any]):
    """One battery of a balance responsible party with zero nomination, settled at the imbalance price.

    `gymnasium.make("arbitrage/BelgianImbalance-v0", market=..., battery=..., step_min=1, features="full")`

    Observation: float32, market features first, then the battery's; the names are in `observation_names`. There are
    three sets to choose from; `reference` is exactly the six of arXiv 2401.00015, in this order.

    | feature | sets | meaning |
    | --- | --- | --- |
    | `PLAN_GROUPS` | quarter_hour, full | day-ahead curve, forecasts, calendar, price level, daily profile |
    | `RECENT_GROUPS` | quarter_hour, full | final prices of quarter-hours just past |
    | `PREVIOUS` | full | imbalance, marginal prices and alpha of the quarter-hour before |
    | `RUNNING` | full | minute records of the running quarter-hour: prices, imbalance and alpha so far |
    | quarter_hour_of_day | reference | start of the quarter-hour as a share of 24 hours of the Brussels clock |
    | month | reference | of the Brussels calendar, in twelfths |
    | newest_indicative | reference | newest price by the minute, of this quarter-hour or the one before, 100 EUR/MWh |
    | soc_fraction | quarter_hour, reference, full | state of charge as a share of capacity |
    | budget_left_fraction | quarter_hour, full | share of the day's cycle budget; 1 without a budget |
    | cycles_used | reference | equivalent full cycles since Brussels midnight |
    | minute_fraction | quarter_hour, reference, full | share of the running quarter-hour that is over |
    | committed_fraction | quarter_hour, full | net energy moved in it, as a share of what rated power moves in 15 min |
    | profit_today | full | since Brussels midnight, 100 EUR per MWh of capacity; a settlement counts once published |

    Names in capitals are groups of `arbitrage.features.encoder`. By the minute (`full`), all but `RUNNING` and the
    battery's stand as they were known when the quarter-hour began.

    Action, discrete (default): 0 charge, 1 idle, 2 discharge, at rated power.
    Action, continuous: one number in [-1, 1], the share of rated power; positive = discharge.
    Either is clipped to what the battery law allows; `info["action_mask"]` says which discrete actions move energy.
    What is not an action of the space's type and shape, or not a finite number, is a ValueError: it is not idling.

    Reward, EUR / `reward_scale`: -wear at every step, plus price x net energy of the quarter-hour at its last step. In
    a quarter-hour without a final price the battery is held from its first step and nothing is settled, as in the
    backtest: that a price will be missing is the one thing that can be given, from a battery that does not move, before
    it is known.
    Reward and info are settlement and may reveal a final price before it is published; the observation does not.

    | setting | default | meaning |
    | --- | --- | --- |
    | market | the embedded simulated sample | a `MarketSeries`; its publication delay is the environment's |
    | battery | 1 MW, 2 MWh, 0.9 each way | a `Battery` |
    | features | None | a set's name or a `MarketFeatures`; None: full by the minute, else quarter_hour |
    | step_min | 15 | minutes between decisions: 1, 3, 5 or 15 |
    | actions | discrete | or continuous |
    | episode_days | 1 | Brussels days; 92, 96 or 100 quarter-hours each |
    | start_soc_fraction | None (drawn uniformly) | of the SoC window, at reset |
    | partial_days | False | True: begin and end within a day where the series does |
    | days | None | the only Brussels days of any episode: "1-20" of every month, or a list of days; None: all |
    | reward_scale | 1.0 | EUR that make a reward of 1; info stays in EUR |
    | render_mode | None | or rgb_array: `render` draws the Brussels day so far, see `env.picture` |

    `features=None` is full where `step_min` is below 15 and the market has minute records.
    With `days` of the training part of a split, no reset begins or goes through a day that is tested on.
    A setting that does not exist raises TypeError, one that makes no sense BadInput, with all faults at once.

    Start: a Brussels day drawn uniformly; `reset(options={"day": day, "soc_fraction": x})` chooses. A day is a date, a
    datetime, a pandas or numpy time or ISO 8601 text; see `quarter_hour.brussels_day`.
    Ends: never terminated; truncated after the last step of the last day.
    Info: quarter_hour (ISO 8601), power_mw, soc_mwh, cycles_used, profit_eur (since reset), action_mask (int8 [3]),
    price_eur_mwh (only after a step that settled a quarter-hour).
    """

    metadata: dict[str, Any] = {  # noqa: RUF012 (Gymnasium declares it on the instance)
        "render_modes": list(RENDER_MODES),
        "render_fps": 4,
    }

    def __init__(
        self,
        market: MarketSeries | None = None,
        battery: Battery | None = None,
        features: MarketFeatures | FeatureSet | str | None = None,
        render_mode: str | None = None,
        **settings: Any,
    ) -> None:
        self.config = checked_settings(settings, market=market, battery=battery, render_mode=render_mode)
        self.render_mode = render_mode
        self.battery = Battery() if battery is None else battery
        self._maker = EpisodeMaker(sample_market() if market is None else market, features, self.config)
        self._powers_mw = rated_power_mw(self.battery).tolist()
        self.observation_names = self._maker.observation_names
        self.observation_space = observation_space(len(self.observation_names))
        self.action_space = action_space(self.config.actions)
        self._episode: Episode
        self._length = 0
        self._so_far: DaySoFar
        self._state = self.battery.empty
        self._at = 0
        self._committed_mwh = 0.0
        self._profit_eur = 0.0
        self._known_profit: KnownProfit[float]

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Observation, Info]:
        """Begin an episode; `options` may name the `day` and the `soc_fraction`. Raises BadInput with all faults."""
        super().reset(seed=seed)
        start = self.config.start_soc_fraction
        day, fraction = chosen_start(options, self._maker.first_days, start, self.np_random, 1)
        self._episode = self._maker.lay_out(day)
        self._length = len(self._episode)
        self._state = BatteryState(float(start_soc_mwh(self.battery, fraction)[0]))
        self._at, self._committed_mwh, self._profit_eur = 0, 0.0, 0.0
        self._known_profit = KnownProfit(0.0)
        self._so_far = DaySoFar(self._episode, self.battery, 1)
        return self._observe(), self._info(0.0)

    def step(self, action: Any) -> tuple[Observation, float, bool, bool, Info]:
        """Ask for a power during one step; see the class for what is returned.

        Raises ValueError for what is not an action, and Gymnasium's ResetNeeded before `reset` and after the last step.
        """
        if self._at == self._length:
            raise gymnasium.error.ResetNeeded("begin an episode by reset() before the first step and after the last")
        episode, at, wanted_mw = self._episode, self._at, self._asked_mw(action)
        price = float(episode.price_eur_mwh[at])
        asked_mw = 0.0 if math.isnan(price) else wanted_mw
        flow = self.battery.step(self._state, asked_mw, self.config.step_min)
        self._state = flow.after
        self._committed_mwh += energy_mwh(flow.power_mw, self.config.step_min)
        settled_eur = settle_eur(price, self._committed_mwh) if episode.settles[at] and not math.isnan(price) else None
        reward = -flow.wear_eur if settled_eur is None else settled_eur - flow.wear_eur
        self._known_profit.pay_wear(flow.wear_eur)
        if settled_eur is not None:
            self._known_profit.settle(at + 1, int(episode.price_shows_at[at]), settled_eur)
        if episode.settles[at]:
            self._committed_mwh = 0.0
        if episode.ends_day[at]:
            self._state = BatteryState(self._state.soc_mwh)
            self._known_profit.begin_day()
        self._at += 1
        self._profit_eur += reward
        truncated = self._at == self._length
        if self.render_mode is not None:
            self._so_far.add(self._state.soc_mwh, flow.power_mw)
        info = self._info(flow.power_mw) | ({} if settled_eur is None else {"price_eur_mwh": price})
        return self._observe(), float(reward) / self.config.reward_scale, False, truncated, info

    def render(self) -> Picture | None:
        """The Brussels day so far, uint8 of shape [height, width, 3]; None without a render mode.

        Raises Gymnasium's ResetNeeded before `reset`.
        """
        if self.render_mode is None:
            return None
        if not self._length:
            raise gymnasium.error.ResetNeeded("there is nothing to draw before reset()")
        return self._so_far.picture(0)

    def _asked_mw(self, action: Any) -> float:
        if self.config.actions is ActionKind.DISCRETE:
            return float(self._powers_mw[discrete_action(action)])
        share = share_of_rated(action)
        return share * float(self._powers_mw[Action.DISCHARGE] if share > 0 else -self._powers_mw[Action.CHARGE])

    def _observe(self) -> Observation:
        out: Observation = np.empty((1, len(self.observation_names)), dtype=np.float32)
        count = len(self._maker.features.names)
        out[0, :count] = self._episode.features[self._at]
        encode_battery(
            self._maker.features.feature_set,
            self.battery,
            np.array([self._state.soc_mwh]),
            np.array([self._state.cycles_used]),
            np.array([self._committed_mwh]),
            np.array([self._known_profit.today_eur(self._at)]),
            float(self._episode.minute_fraction[self._at]),
            out[:, count:],
        )
        return out.reshape(-1)

    def _info(self, power_mw: float) -> Info:
        time = int(self._episode.times[min(self._at, len(self._episode) - 1)])
        start = dt.datetime.fromtimestamp(60 * (time - time % MINUTES_PER_QUARTER_HOUR), dt.UTC)
        return {
            "quarter_hour": start.isoformat(),
            "power_mw": power_mw,
            "soc_mwh": self._state.soc_mwh,
            "cycles_used": self._state.cycles_used,
            "profit_eur": self._profit_eur,
            "action_mask": self.action_mask(),
        }

    def action_mask(self) -> npt.NDArray[np.int8]:
        """1 for each discrete action that the battery law lets move energy; idle is always allowed, shape [3]."""
        flows = [self.battery.step(self._state, power, self.config.step_min).power_mw for power in self._powers_mw]
        mask = np.array([flow != 0.0 for flow in flows], dtype=np.int8)
        mask[Action.IDLE] = 1
        return mask


def observation_space(size: int) -> spaces.Space[Any]:
    """Unbounded float32 of that size: prices have no bounds."""
    return spaces.Box(-np.inf, np.inf, shape=(size,), dtype=np.float32)
