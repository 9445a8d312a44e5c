"""The learned policy as it is served: numbers and compiled loops, no learner and no torch.

Contract
- What it reads of the market, and how it chooses, is said in `policy_view`.
- Risk aversion is applied when a decision is made; no retraining is needed.
- A decision depends on its own time and state only: a year read at once and one live decision agree to the last bit.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from arbitrage.arrays import Numbers, Singles
from arbitrage.battery import Battery
from arbitrage.errors import BadInput, Fault, refuse
from arbitrage.features.encoder import Encoded, MarketFeatures
from arbitrage.features.names import FeatureSet
from arbitrage.market.coverage import Need
from arbitrage.market.point_in_time import PRICE, KnownMarket
from arbitrage.policies.closed_form.ensemble_member import (
    DayOutline,
    EnsembleMember,
    outline_days,
    plan_days,
    predict_price,
    slow_gaps,
)
from arbitrage.policies.closed_form.lattice import Lattice, LatticeSize, make_lattice
from arbitrage.policies.closed_form.minute_heads import Gaps, MinuteForecasts, forecast_minutes
from arbitrage.policies.closed_form.online_combination import CombinationConfig, Opinions, combine, past_times
from arbitrage.policies.closed_form.price_chain import (
    DayPlans,
    DecisionQueries,
    continuation_advantages,
    gap_shift,
    gap_that_implies,
)
from arbitrage.policies.closed_form.risk_head import RiskHead, read_context, refuse_outside_range
from arbitrage.policies.closed_form.view import ClosedFormView, MemberView, RiskAdjustment
from arbitrage.policies.compatibility import mismatches, missing_sources
from arbitrage.policies.fleet_reading import FleetReading
from arbitrage.policies.networks import Network
from arbitrage.policies.protocol import RiskChoice
from arbitrage.quarter_hour import MINUTES_PER_QUARTER_HOUR, brussels_day_numbers, quarter_hour_starts
from arbitrage.risk import RiskPreference

NO_RISK_HEAD = (
    "the policy has no risk head (presets quick and fast train none); train it with --risk-head, or leave the option "
    "out"
)
NO_OUTCOMES = (
    "the policy has no quantile critic, so it knows no outcomes to weigh (presets quick and fast train none); train it "
    "with --preset full, or leave the option out"
)


@dataclass(frozen=True, slots=True)
class _Reading:
    """The market encoded at T times in Q quarter-hours, for every member."""

    known: KnownMarket
    """At the T times."""
    encoded: Encoded
    """Of the Q quarter-hours."""
    quarter: Numbers
    """Shape [T]; which of them each time lies in."""
    outline: DayOutline
    rows: Numbers
    """Shape [Q]; row of the outline that holds each quarter-hour."""
    running: Singles | None
    """Shape [T, running features]; None where the minutes are not looked at."""
    asked: Numbers
    """Which of the times are decided at; the others are those that a combination looks back on."""

    @property
    def asked_quarter(self) -> Numbers:
        """Quarter-hour of each time that is decided at."""
        return self.quarter[self.asked]


@dataclass(frozen=True, slots=True)
class _Began:
    """What a member forecasts of Q quarter-hours as they begin."""

    plans: DayPlans
    regressors: Singles
    """Shape [Q, full regressors]."""
    gaps: Gaps


@dataclass(frozen=True, slots=True)
class ClosedFormPolicy:
    """The learned policy for one kind of battery."""

    battery: Battery
    size: LatticeSize
    members: tuple[EnsembleMember, ...]
    sources: tuple[str, ...]
    """Quantities of the market that it was trained on; it reads these and no others."""
    features: MarketFeatures = field(default_factory=MarketFeatures)
    publication_delay_min: int = 0
    """Of the records that it was trained on, decision latency included: how late a quarter-hour's first is expected."""
    critic: Network | None = None
    """Distribution of the rest of the day; see `quantile_critic`."""
    name: str = "learned"
    head: RiskHead | None = None
    risk_aversion: float = 0.0
    """Of the risk head: 0 is neutral."""
    preference: RiskPreference | None = None
    combination: CombinationConfig | None = None
    """How the minutes' price forecasts are combined with the naive ones; None: they stand alone."""

    @property
    def step_min(self) -> int:
        """Minutes between the decisions that it was trained for."""
        return 1 if self.features.running_names else MINUTES_PER_QUARTER_HOUR

    @property
    def needs(self) -> tuple[Need, ...]:
        """Those of the encoder, as far as it was trained with them."""
        return self.features.needs(self.sources)

    @property
    def trained_battery(self) -> Battery | None:
        """The battery; it decides for no other."""
        return self.battery

    @property
    def takes_risk_aversion(self) -> bool:
        """Whether a risk head was trained with it."""
        return self.head is not None

    @property
    def gives_outcomes(self) -> bool:
        """Whether a quantile critic was trained with it."""
        return self.critic is not None

    @property
    def risk(self) -> RiskChoice:
        """How its risk is set."""
        return RiskChoice(self.risk_aversion or None, self.preference)

    def with_risk(self, choice: RiskChoice) -> ClosedFormPolicy:
        """The same policy with its risk so set; see `with_risk_aversion` and `with_risk_preference`."""
        policy = self if choice.risk_aversion is None else self.with_risk_aversion(choice.risk_aversion)
        return policy if choice.preference is None else policy.with_risk_preference(choice.preference)

    def with_risk_aversion(self, risk_aversion: float) -> ClosedFormPolicy:
        """The same policy at another risk aversion: 0 is neutral, `risk_head.MOST_RISK_AVERSE` the most.

        Raises BadInput outside this range, and where the policy was saved without a risk head.
        """
        refuse_outside_range(risk_aversion)
        if self.head is None and risk_aversion > 0.0:
            raise BadInput([Fault("risk_aversion", NO_RISK_HEAD)])
        return replace(self, risk_aversion=risk_aversion)

    def with_risk_preference(self, preference: RiskPreference | None) -> ClosedFormPolicy:
        """The same policy, minding the outcomes of each step; None or weight 0: not at all.

        Raises BadInput where the policy was saved without a quantile critic.
        """
        if preference is not None and preference.weight == 0.0:
            preference = None
        if self.critic is None and preference is not None:
            raise BadInput([Fault("risk_preference", NO_OUTCOMES)])
        return replace(self, preference=preference)

    def bind(self, known: KnownMarket, battery: Battery) -> ClosedFormView:
        """Encode, plan the days and forecast.

        Raises BadInput if the battery is not the one trained for, or the market lacks what was trained on.
        """
        refuse([*mismatches(self.battery, battery), *missing_sources(self.sources, known)])
        known = known.only(self.sources)
        lattice = make_lattice(battery, MINUTES_PER_QUARTER_HOUR, self.size)
        reading = self._encode(known)
        members = tuple(self._read_member(member, lattice, known, reading) for member in self.members)
        dialled = self._adjust_for_risk(known, lattice, reading)
        return ClosedFormView(
            lattice,
            reading.encoded,
            reading.asked_quarter,
            self.features.quarter_names,
            self.members[0].full_map,
            members,
            self.critic,
            dialled,
            self.preference,
        )

    @property
    def bounds(self) -> None:
        """None: advantages decide."""
        return None

    def read_for_fleet(self, known: KnownMarket) -> FleetReading:
        """For batteries of its own kind, whatever their size. Raises BadInput as `bind` does."""
        return FleetReading.of_view(self.bind(known, self.battery))

    def _adjust_for_risk(self, known: KnownMarket, lattice: Lattice, reading: _Reading) -> RiskAdjustment | None:
        if self.head is None or self.risk_aversion == 0.0:
            return None
        power_mw = max(lattice.law.charge_power_mw, lattice.law.discharge_power_mw)
        size_eur = self.head.size.size_eur(reading.encoded)[reading.asked_quarter]
        context = read_context(known, size_eur, power_mw, self.step_min)
        return RiskAdjustment(self.head.parameters(self.risk_aversion), context)

    def _encode(self, now: KnownMarket) -> _Reading:
        known, asked = now, np.arange(len(now.times))
        if self.combination is not None and self.features.running_names:
            times = past_times(self.combination, now.times)
            known, asked = now.as_of(times, times), np.searchsorted(times, now.times)
        if self.features.feature_set is FeatureSet.QUARTER_HOUR:
            quarters, quarter = known, np.arange(len(known.times))
        else:
            starts, quarter = np.unique(quarter_hour_starts(known.times), return_inverse=True)
            quarters = known.as_of(starts, starts)
        encoded = self.features.encode_quarters(quarters)
        outline = outline_days(self.features, known, np.unique(brussels_day_numbers(known.times)))
        rows = np.searchsorted(outline.starts, quarters.times, side="right") - 1
        running = None
        if self.features.running_names:
            running = self.features.encode_running(known, encoded.at(quarter))
        return _Reading(known, encoded, quarter, outline, rows, running, asked)

    def _read_member(self, member: EnsembleMember, lattice: Lattice, now: KnownMarket, reading: _Reading) -> MemberView:
        asked, quarter = reading.asked, reading.asked_quarter
        began = self._begin_quarters(member, lattice, reading)
        made = self._forecast(member, reading, began)
        price, gap = made.price_eur_mwh[asked], made.next_gap[asked]
        if self.combination is not None and member.minutes is not None:
            opinions = Opinions.of(reading.known, reading.encoded.at(reading.quarter), made.price_eur_mwh)
            price = combine(self.combination, opinions, now.times, now.gather(PRICE, -self.combination.lags_min))
            surprise = (price - made.price_eur_mwh[asked]) / began.plans.scale_eur_mwh[reading.rows[quarter]]
            gap = gap + gap_shift(member.chain) * surprise
        questions = DecisionQueries(reading.rows[quarter], gap, began.gaps.slow[quarter])
        continuation = continuation_advantages(lattice, member.chain, began.plans, questions)
        corrected = member.correction_regressors(reading.encoded.features, began.regressors)
        return MemberView(corrected, member.correction_coefficients, price, continuation)

    def _begin_quarters(self, member: EnsembleMember, lattice: Lattice, reading: _Reading) -> _Began:
        """What a member forecasts of the quarter-hours as they begin."""
        encoded, rows = reading.encoded, reading.rows
        plans = plan_days(member, reading.outline, lattice.nodes)
        regressors = member.full_map(encoded.features)
        price = predict_price(encoded, regressors, member.forecast_coefficients)
        fast = (price - plans.expected_price_eur_mwh[rows]) / plans.scale_eur_mwh[rows]
        gaps = Gaps(price, fast, slow_gaps(self.features, encoded, fast, member.slow_coefficients))
        return _Began(plans, regressors, gaps)

    def _forecast(self, member: EnsembleMember, reading: _Reading, began: _Began) -> MinuteForecasts:
        """The running price, and the gap from which the chain is asked, at each of the reading's times."""
        quarter, gaps = reading.quarter, began.gaps.at(reading.quarter)
        if member.minutes is None or reading.running is None:
            return MinuteForecasts(gaps.price_eur_mwh, gaps.fast)
        minute = reading.known.times % MINUTES_PER_QUARTER_HOUR
        running, at = reading.running, reading.encoded.at(quarter)
        made = forecast_minutes(member.minutes, self.features, at, gaps, running, minute)
        silent = (running[:, 0] == 0.0) & (minute > self.publication_delay_min)
        equivalent = np.where(silent, gaps.fast, gap_that_implies(member.chain, made.next_gap))
        return MinuteForecasts(np.where(silent, gaps.price_eur_mwh, made.price_eur_mwh), equivalent)
