"""From what is known now to a decision for a live battery: what is judged, which level decides, and what shields.

Contract
- Deciding stays in `dispatch`: at level 0, with no ramp limit, no override and data as the policy was trained for, the
  power is that of a backtest of the same policy on the same market, to the last bit.
- Levels, each one labelled with its reason: 0 the policy; 1 the policy on the last good data, where something is late,
  missing, or left out; 2 the day-ahead rule, where prices are stale, absent or disagree; 3 hold, where the clock cannot
  be trusted or the rule knows no curve. Nothing is remembered from one moment to the next: recovery needs no hand.
- A policy that comes to no finite numbers (`policy_not_finite`), or that fails (`policy_failed`, with a warning that
  says how), decides nothing: the day-ahead rule does, or it is to hold. Outcomes that are not finite are left out, with
  the warning `outcomes_not_finite`.
- An override is a person's: it is shielded by ramp limit and battery law, and by nothing else.
- `prepare` reads the market, which is slow; `Prepared.decide` adds a battery's state, which is fast.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from arbitrage.battery import Battery
from arbitrage.dispatch import Decision, Dispatcher, NotANumber
from arbitrage.errors import BadInput, Fault, refuse
from arbitrage.live.decision import (
    FOLLOW,
    Alternative,
    AssetState,
    Distribution,
    Frame,
    Level,
    LiveDecision,
    Mode,
    Orders,
    PolicyIdentity,
    Reason,
    Shield,
    action_of,
)
from arbitrage.live.explanation import newest_price, prices_seen, risk_in_words, summary_weights
from arbitrage.live.fallback_rule import DayAheadRule, knows_curve
from arbitrage.live.feed import Snapshot
from arbitrage.live.missing import missing_records
from arbitrage.live.novelty import Familiarity, familiarity_of
from arbitrage.live.quality import (
    SECONDS_PER_MINUTE,
    Bounds,
    Finding,
    Found,
    Judgement,
    Params,
    Quality,
    judge,
    without_faulty,
)
from arbitrage.live.shield import PowerRequest, careful_mw, flowing, ordered, ramped
from arbitrage.market.coverage import Need
from arbitrage.market.series import MarketSeries
from arbitrage.policies.closed_form.quantile_critic import ACTIONS
from arbitrage.policies.closed_form.risk_head import MOST_RISK_AVERSE
from arbitrage.policies.compatibility import mismatches, missing_sources
from arbitrage.policies.protocol import NEUTRAL, CannotDecide, Policy, RiskChoice, judged_series
from arbitrage.policies.rules import Idle
from arbitrage.quarter_hour import brussels_day_numbers, brussels_midnight, step_faults

POLICY_NOT_FINITE = "policy_not_finite"
"""Why a rule decides where the policy comes to no finite numbers."""
POLICY_FAILED = "policy_failed"
"""Why a rule decides where the policy's own code fails."""
_LEVELS = {
    Quality.OK: Level.POLICY,
    Quality.GAP: Level.LAST_GOOD_DATA,
    Quality.JUMP: Level.LAST_GOOD_DATA,
    Quality.CONTRADICTION: Level.LAST_GOOD_DATA,
    Quality.LATE: Level.LAST_GOOD_DATA,
    Quality.DISAGREEMENT: Level.RULE,
    Quality.STALE: Level.RULE,
    Quality.ABSENT: Level.RULE,
    Quality.CLOCK: Level.HOLD,
}


@dataclass(frozen=True)
class LiveDecider:
    """One policy for one kind of battery, ready to decide on a live market.

    Raises BadInput for a ramp limit that is not positive, a step that does not divide the quarter-hour, and another
    battery than the policy was trained for.
    """

    policy: Policy
    battery: Battery
    identity: PolicyIdentity
    ramp_mw_per_min: float | None = None
    bounds: Bounds = field(default_factory=Bounds)

    def __post_init__(self) -> None:
        if self.ramp_mw_per_min is not None and not self.ramp_mw_per_min > 0.0:
            raise BadInput([Fault("ramp_mw_per_min", f"must be above 0, not {self.ramp_mw_per_min}")])
        trained = self.policy.trained_battery
        refuse([*step_faults(self.policy.step_min), *([] if trained is None else mismatches(trained, self.battery))])

    @cached_property
    def step_min(self) -> int:
        """Minutes between the decisions that the policy is made for."""
        return self.policy.step_min

    @cached_property
    def judged_series(self) -> str | None:
        """The prices whose freshness counts; None for a policy that looks at none."""
        return judged_series(self.policy)

    def valid_until(self, time: int) -> int:
        """The end of the interval that a decision at an epoch minute is for: the next step of the policy's clock."""
        return time + self.step_min - time % self.step_min

    def prepare(
        self,
        market: MarketSeries,
        time: int,
        *,
        now_s: float | None = None,
        risk: RiskChoice = NEUTRAL,
        reported: Iterable[tuple[Quality, Finding]] = (),
        of_feed: bool = False,
    ) -> Prepared:
        """Read a market for the interval that begins at `time`, an epoch minute.

        now_s: seconds since the epoch, from which age counts; the interval's beginning unless given.
        risk: how risk is weighed this once; None in it leaves the policy as it was loaded.
        reported: what was noticed when the records came.
        of_feed: what the market lacks is a fallback, for no one can give it; else it is refused.
        Raises BadInput for risk that the policy does not know, or a market that lacks what it was trained on.
        """
        policy, missing = self.policy.with_risk(risk), missing_sources(self.policy.sources, market.known_at(time))
        found = [*reported, *missing_records(market, time, self._secondary(missing))]
        if missing and of_feed:
            names = ", ".join(fault.where for fault in missing)
            found.append((Quality.ABSENT, Finding("missing_source", {"sources": names})))
        else:
            refuse(missing)
        now = time * SECONDS_PER_MINUTE if now_s is None else now_s
        due_s = now - self.bounds.under_way_s if of_feed else now_s
        return self._read(market, time, policy, self._judge(market, time, now, due_s).with_findings(found))

    def prepare_live(
        self,
        snapshot: Snapshot,
        time: int,
        now_s: float,
        risk: RiskChoice = NEUTRAL,
        judged_s: float | None = None,
    ) -> Prepared:
        """Read what a feed knows; as `prepare`. Raises BadInput for risk that the policy does not know.

        judged_s: seconds since the epoch from which age counts, where that is later than now.
        """
        found: Found = [*snapshot.reported]
        if snapshot.taken_at_s is None or now_s - snapshot.taken_at_s > self.bounds.not_polled_s:
            found.append((Quality.OK, Finding("not_polled", {"since_s": snapshot.taken_at_s})))
        judged = now_s if judged_s is None else judged_s
        return self.prepare(snapshot.market, time, now_s=judged, risk=risk, reported=found, of_feed=True)

    def _read(self, market: MarketSeries, time: int, policy: Policy, judgement: Judgement) -> Prepared:
        chosen = self._level(judgement, market, time)
        trusted = without_faulty(market, judgement)
        prepared = self._prepared(trusted, time, policy, judgement, chosen)
        if chosen[0] not in (Level.POLICY, Level.LAST_GOOD_DATA):
            return prepared
        instead = _ruled(POLICY_NOT_FINITE, market, time)
        return replace(prepared, instead=self._prepared(trusted, time, policy, judgement, instead))

    def _prepared(
        self, market: MarketSeries, time: int, policy: Policy, judgement: Judgement, chosen: tuple[Level, str | None]
    ) -> Prepared:
        fallbacks: dict[Level, Policy] = {Level.RULE: DayAheadRule(), Level.HOLD: Idle()}
        deciding = fallbacks.get(chosen[0], policy)
        dispatcher = Dispatcher(deciding, self.battery, market, time, self.valid_until(time) - time)
        familiarity = familiarity_of(dispatcher.view, deciding.needs, market.known_at(time))
        cautious = self._cautious(deciding, market, time) if familiarity.unfamiliar else None
        frame = self._frame(policy, market, time, chosen, judgement, familiarity)
        return Prepared(self, frame, dispatcher, cautious, familiarity.unfamiliar)

    def _secondary(self, missing: list[Fault]) -> list[Need]:
        """What the policy needs besides the judged series, as far as the market carries it at all."""
        known = {self.judged_series, *(fault.where for fault in missing)}
        return [need for need in self.policy.needs if need.series not in known]

    def _judge(self, market: MarketSeries, time: int, now_s: float, due_s: float | None) -> Judgement:
        if self.judged_series is None:
            return Judgement(Quality.OK, None, None)
        return judge(market, time, now_s, self.judged_series, self.bounds, due_s)

    def _level(self, judgement: Judgement, market: MarketSeries, time: int) -> tuple[Level, str | None]:
        level = _LEVELS[judgement.quality]
        if level is Level.RULE:
            return _ruled(judgement.quality.value, market, time)
        return level, None if level is Level.POLICY else judgement.quality.value

    def _cautious(self, policy: Policy, market: MarketSeries, time: int) -> Dispatcher | None:
        """The most risk-averse reading, which has to agree before anything unfamiliar is acted on; None: hold."""
        if not policy.takes_risk_aversion:
            return None
        averse = policy.with_risk(RiskChoice(MOST_RISK_AVERSE))
        return Dispatcher(averse, self.battery, market, time, self.valid_until(time) - time)

    def _frame(
        self,
        policy: Policy,
        market: MarketSeries,
        time: int,
        chosen: tuple[Level, str | None],
        judgement: Judgement,
        familiarity: Familiarity,
    ) -> Frame:
        known = market.known_at(time)
        seen = prices_seen(known)
        return Frame(
            valid_from=time,
            valid_until=self.valid_until(time),
            resets_at=brussels_midnight(int(brussels_day_numbers([time])[0]) + 1),
            level=chosen[0],
            fallback_reason=chosen[1],
            judgement=judgement,
            risk=risk_in_words(policy),
            policy=self.identity,
            warnings=familiarity.findings(),
            price_seen_eur_mwh=newest_price(seen),
            seen={name: value for name, value in seen.items() if value is not None},
        )


@dataclass(frozen=True)
class Prepared:
    """The market read for one interval and one setting of risk, waiting for batteries."""

    decider: LiveDecider
    frame: Frame
    dispatcher: Dispatcher
    """Of the level that decides."""
    cautious: Dispatcher | None
    """The most risk-averse reading of an unfamiliar market; None: there is none, and it is held."""
    unfamiliar: bool
    """Whether the policy decides on something unlike anything in training."""
    instead: Prepared | None = None
    """What decides where the policy comes to no finite numbers; None where the policy does not decide."""

    @property
    def contract(self) -> dict[str, Any]:
        """What all decisions of this interval say alike, as long as the policy's numbers are finite."""
        return self.frame.contract

    def decide(self, state: AssetState, orders: Orders = FOLLOW, now_s: float | None = None) -> LiveDecision:
        """Decide for one battery.

        now_s: seconds since the epoch; from the end of the interval on, it is to hold.
        """
        frame, battery, duration_min = self.frame, self.decider.battery, self.dispatcher.duration_min
        try:
            wanted = self._wanted(state)
        except CannotDecide as failed:
            return self._without_policy(failed).decide(state, orders, now_s)
        asked_mw = wanted.intent.power_mw
        careful = self._careful_mw(state, asked_mw) if self.unfamiliar else asked_mw
        expired = now_s is not None and now_s >= frame.valid_until * SECONDS_PER_MINUTE
        request = ordered(asked_mw, careful, orders, frame.valid_from, expired)
        request = ramped(request, state.power_mw, self.decider.ramp_mw_per_min, duration_min)
        flow, request = flowing(request, wanted, battery, duration_min)
        chosen, others, warnings = self._outcomes(state, request)
        return LiveDecision(
            frame=frame,
            state=state,
            after=flow.after,
            power_mw=flow.power_mw,
            wear_eur=flow.wear_eur,
            mode=request.mode,
            shield=Shield(request.requested_mw, request.rule),
            reasons=(Reason(wanted.intent.reason, self._params(wanted)),),
            profit_eur=chosen,
            alternatives=others,
            cycle_budget=battery.max_cycles_per_day,
            capacity_mwh=battery.law.capacity_mwh,
            warnings=warnings,
        )

    def _wanted(self, state: AssetState) -> Decision:
        """What the level that decides wants. Raises CannotDecide where that is not finite."""
        wanted = self.dispatcher.decide(0, state.battery, state.profit_today_eur)
        if not math.isfinite(wanted.intent.power_mw):
            raise NotANumber([Fault("power_mw", f"is {wanted.intent.power_mw}")])
        return wanted

    def _without_policy(self, failed: CannotDecide) -> Prepared:
        """The fallback, labelled with why the policy does not decide."""
        instead = self.instead
        if instead is None:
            raise AssertionError("the rules of the fallback come to finite numbers") from failed
        if isinstance(failed, NotANumber):
            return instead
        frame, said = instead.frame, Finding(POLICY_FAILED, {"message": str(failed)})
        reason = (frame.fallback_reason or "").replace(POLICY_NOT_FINITE, POLICY_FAILED)
        return replace(instead, frame=replace(frame, fallback_reason=reason, warnings=(*frame.warnings, said)))

    def _careful_mw(self, state: AssetState, asked_mw: float) -> float:
        if self.cautious is None:
            return 0.0
        try:
            averse = self.cautious.decide(0, state.battery, state.profit_today_eur)
        except CannotDecide:
            return 0.0
        return careful_mw(asked_mw, averse.intent.power_mw)

    def _params(self, wanted: Decision) -> Params:
        """The numbers beside the policy's reason: what it expects of acting, and the prices it saw."""
        params = dict(self.frame.seen)
        for name in ("charge_advantage_eur", "discharge_advantage_eur"):
            value = getattr(wanted.intent, name)
            if value is not None and math.isfinite(value):
                params[name] = value
        return params

    def _outcomes(
        self, state: AssetState, request: PowerRequest
    ) -> tuple[Distribution | None, tuple[Alternative, ...], tuple[Finding, ...]]:
        """How the day may turn out after the action that is set, and after the others, with what is to be said of it.

        A person's power is nothing that the policy can foretell: there all three are alternatives.
        """
        outcomes = self.dispatcher.outcomes_eur(0, state.battery)
        if outcomes is None:
            return None, (), ()
        with np.errstate(over="ignore", invalid="ignore"):
            summary = outcomes @ summary_weights(outcomes.shape[1])
        if not np.isfinite(summary).all():
            return None, (), (Finding("outcomes_not_finite", {}),)
        rows = summary.tolist()
        reported = {action: Distribution(*row) for action, row in zip(ACTIONS, rows, strict=True)}
        chosen = None if request.mode is Mode.OVERRIDE else reported.pop(action_of(request.power_mw))
        return chosen, tuple(Alternative(action, distribution) for action, distribution in reported.items()), ()


def _ruled(reason: str, market: MarketSeries, time: int) -> tuple[Level, str]:
    """The level of the day-ahead rule, for a reason; to hold where no curve is known."""
    if knows_curve(market.known_at(time)):
        return Level.RULE, reason
    return Level.HOLD, f"{reason}_and_no_day_ahead_price"
