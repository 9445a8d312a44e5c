"""Rolling model-predictive control: forecast the prices to the horizon, plan, do the plan's first quarter-hour, repeat.

Contract
- Two forms: one path of forecast prices, or several paths drawn from the forecast's distribution, on which the plan
  maximises mean + weight x CVaR and shares its first quarter-hours.
- The plan keeps the battery's law and its hard daily budget; the last word has the battery law all the same.
- It serves any battery: nothing of a battery is learned. A decision depends on its own time and state only.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from enum import StrEnum

import numpy as np
import numpy.typing as npt

from arbitrage.arrays import Floats
from arbitrage.battery import Battery, BatteryState
from arbitrage.errors import BadInput, Fault, refuse
from arbitrage.features.encoder import MarketFeatures
from arbitrage.market.coverage import Need
from arbitrage.market.point_in_time import KnownMarket
from arbitrage.policies.compatibility import missing_sources
from arbitrage.policies.mpc.horizon import LONGEST_DAY, encode_ahead, look_ahead
from arbitrage.policies.mpc.linear_programme import Aim, Plan, best_plan, make_solver
from arbitrage.policies.mpc.price_forecast import PriceForecast, lay_paths, quantile_at
from arbitrage.policies.protocol import Intent, PlainView, RiskChoice
from arbitrage.quarter_hour import MINUTES_PER_QUARTER_HOUR, brussels_day_numbers
from arbitrage.risk import RiskMeasure, RiskPreference


class Form(StrEnum):
    """How the forecast enters the plan; the names of the strategies."""

    DETERMINISTIC = "mpc"
    """One path of prices."""
    SCENARIOS = "mpc-scenarios"
    """The forecast's paths side by side."""


class Point(StrEnum):
    """The one path of the deterministic form."""

    MEAN = "mean"
    MEDIAN = "median"


@dataclass(frozen=True, slots=True, kw_only=True)
class MpcConfig:
    """How plans are made. Raises BadInput naming every setting that makes no sense."""

    form: Form = Form.DETERMINISTIC
    point: Point = Point.MEAN
    shared_quarter_hours: int = 12
    """From now, decided for all paths together; later ones differ from path to path, as if all were known by then. With
    1, plans wait for a better price that they take for known; 12 did best among 1, 4 and 12 on validation days."""
    beyond_quarter_hours: int = 0
    """Planned for past the end of the Brussels day; 0 where energy left at midnight is worth nothing."""
    end_value_fraction: float = 1.0
    """Worth of energy in store at the end of a plan that goes beyond midnight, per MWh it would give off, as a share of
    the plan's mean price."""

    def __post_init__(self) -> None:
        rules = {
            "form": (self.form in list(Form), f"must be one of {[str(form) for form in Form]}"),
            "point": (self.point in list(Point), f"must be one of {[str(point) for point in Point]}"),
            "shared_quarter_hours": (self.shared_quarter_hours >= 1, "must be 1 or more"),
            "beyond_quarter_hours": (0 <= self.beyond_quarter_hours <= 96, "must be 0 to 96"),
            "end_value_fraction": (self.end_value_fraction >= 0.0, "must be 0 or more"),
        }
        refuse(Fault(n, f"{why}, not {getattr(self, n)}") for n, (holds, why) in rules.items() if not holds)


@dataclass(frozen=True, slots=True)
class MpcPolicy:
    """A forecast and how plans are made with it. Raises BadInput where the forecast does not reach as far as plans."""

    battery: Battery
    """That it was made for; it plans for whichever it is asked about."""
    sources: tuple[str, ...]
    """Quantities of the market that the forecast was fitted on; it reads these and no others."""
    forecast: PriceForecast
    config: MpcConfig = field(default_factory=MpcConfig)
    features: MarketFeatures = field(default_factory=MarketFeatures)
    preference: RiskPreference | None = None
    """Of the plan's profit over its paths: mean + weight x CVaR."""
    publication_delay_min: int = 0

    def __post_init__(self) -> None:
        preference, reach = self.preference, self.forecast.paths.shape[1]
        beyond, scenarios = self.config.beyond_quarter_hours, self.config.form is Form.SCENARIOS
        weighs = preference is not None and preference.weight != 0.0
        by_cvar = preference is None or preference.measure is RiskMeasure.CVAR
        rules = {
            "beyond_quarter_hours": (LONGEST_DAY + beyond <= reach, f"{beyond} reach past the {reach} forecast"),
            "risk_preference": (not weighs or scenarios, f"{self.name} plans on one path of prices and knows no risk"),
            "risk_measure": (not weighs or by_cvar, f"{self.name} plans with cvar and no other measure"),
        }
        refuse(Fault(name, message) for name, (holds, message) in rules.items() if not holds)

    @property
    def name(self) -> str:
        """The strategy's."""
        return self.config.form.value

    @property
    def step_min(self) -> int:
        """Minutes between its decisions."""
        return MINUTES_PER_QUARTER_HOUR

    @property
    def needs(self) -> tuple[Need, ...]:
        """Those of the encoder, as far as the forecast was fitted with them."""
        return self.features.needs(self.sources)

    @property
    def trained_battery(self) -> Battery | None:
        """None: it plans for any battery."""
        return None

    @property
    def takes_risk_aversion(self) -> bool:
        """Never: it has no risk head."""
        return False

    @property
    def gives_outcomes(self) -> bool:
        """Never: plans know too little of what may come."""
        return False

    @property
    def risk(self) -> RiskChoice:
        """How its risk is set."""
        weighs = self.preference is not None and self.preference.weight != 0.0
        return RiskChoice(None, self.preference if weighs else None)

    def with_risk(self, choice: RiskChoice) -> MpcPolicy:
        """The same policy with its risk so set; see `with_risk_preference`. Raises BadInput for a risk aversion."""
        if choice.risk_aversion:
            raise BadInput([Fault("risk_aversion", f"{self.name} has no risk head; use --risk-preference instead")])
        return self if choice.preference is None else self.with_risk_preference(choice.preference)

    def with_risk_preference(self, preference: RiskPreference | None) -> MpcPolicy:
        """The same policy with another aim. Raises BadInput for one path of prices, and for measures but CVaR."""
        return replace(self, preference=preference)

    def bind(self, known: KnownMarket, battery: Battery) -> MpcView:
        """Forecasts are made day by day, as decisions are asked for.

        Raises BadInput if the market lacks what the forecast was fitted on.
        """
        refuse(missing_sources(self.sources, known))
        return MpcView(self, known.only(self.sources), battery)


@dataclass(frozen=True, slots=True)
class Outlined:
    """What one decision plans on."""

    prices_eur_mwh: Floats
    """Shape [paths, length]."""
    today: int
    """Of the length, quarter-hours to the end of the Brussels day."""
    end_value_eur_mwh: float


class MpcView(PlainView):
    """The policy's reading of the market at T times; forecasts of one Brussels day are held at once."""

    def __init__(self, policy: MpcPolicy, known: KnownMarket, battery: Battery) -> None:
        self._policy, self._known, self._battery = policy, known, battery
        self._days = brussels_day_numbers(known.times)
        self._held_day: int | None = None
        self._held: dict[int, Outlined] = {}
        self._solver = make_solver()
        preference = policy.preference
        self._aim = Aim() if preference is None else Aim(preference.weight, preference.level)

    def intent(self, at: int, state: BatteryState, _profit_today_eur: float = 0.0) -> Intent:
        """The first quarter-hour of the best plan; a power that is not a number where the forecast is none."""
        if not np.isfinite(self.outlined(at).prices_eur_mwh).all():
            return Intent(math.nan, "forecast_is_not_finite")
        power_mw = self.plan(at, state).power_mw
        return Intent(power_mw, "plan_idles" if power_mw == 0.0 else "plan_moves_energy")

    def plan(self, at: int, state: BatteryState) -> Plan:
        """The best plan of the `at`-th time from a state."""
        outlined, law = self.outlined(at), self._battery.law
        shared = self._policy.config.shared_quarter_hours
        prices, today, end_value = outlined.prices_eur_mwh, outlined.today, outlined.end_value_eur_mwh
        return best_plan(self._solver, law, state, prices, today, end_value, shared=shared, aim=self._aim)

    def outlined(self, at: int) -> Outlined:
        """The prices that the `at`-th decision plans on."""
        if self._held_day != self._days[at]:
            self._held_day = int(self._days[at])
            self._held = self._read_day(np.flatnonzero(self._days == self._days[at]))
        return self._held[at]

    def _read_day(self, rows: npt.NDArray[np.intp]) -> dict[int, Outlined]:
        forecast, config = self._policy.forecast, self._policy.config
        ahead = look_ahead(self._known.times[rows], config.beyond_quarter_hours)
        encoded = encode_ahead(self._policy.features, self._known, ahead)
        expected = forecast.expected_eur_mwh(encoded)
        mean_alone = config.form is Form.DETERMINISTIC and config.point is Point.MEAN
        departures = None if mean_alone else forecast.departures_eur_mwh(encoded)
        edges = np.searchsorted(ahead.plan, np.arange(len(rows) + 1))
        plans = {}
        for number, row in enumerate(rows.tolist()):
            part = slice(edges[number], edges[number + 1])
            prices = self._paths(expected[part], None if departures is None else departures[part])
            level = max(float(expected[part].mean()), 0.0) if config.beyond_quarter_hours else 0.0
            end_value = config.end_value_fraction * self._battery.law.discharge_efficiency * level
            plans[row] = Outlined(prices, int(ahead.today[number]), end_value)
        return plans

    def _paths(self, expected: Floats, departures: Floats | None) -> Floats:
        """Prices of one plan, shape [paths, length]."""
        if departures is None:
            return expected[None]
        forecast = self._policy.forecast
        if self._policy.config.form is Form.SCENARIOS:
            return np.asarray(lay_paths(expected, departures, forecast.fractions, forecast.paths))
        return expected[None] + _medians(forecast.fractions, departures)


def _medians(fractions: Floats, departures: Floats) -> Floats:
    return np.array([[quantile_at(fractions, row, 0.5) for row in departures]])
