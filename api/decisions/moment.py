"""The interval that a request is about: a client's time is believed within bounds that the service's clock sets.

Contract
- The next interval begins at the next step of the policy's clock, counted from the service's time. `at` may name any
  minute from the beginning of the running interval up to there; without `at` the coming minute is decided.
- Later by at most `SKEW_MIN` minutes: the client's clock is fast. The next interval is decided, and the answer warns of
  `client_clock_ahead`. Later than that: refused (422, field `at`).
- Earlier than the running interval by at most `SKEW_MIN` minutes: the client's clock is slow. The interval is decided,
  and the answer warns of `client_clock_behind`.
- Earlier than that: a replay of the past. It needs the battery's state in the request (else 409), the answer warns of
  `replay`, and nothing that the service keeps of an asset is moved; it stands in the log under the role `replay`.
- Age counts from the beginning of the interval or from the service's time, whichever is later. The replay of a market
  in the request is the exception: it is judged as it was at the interval.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from http import HTTPStatus

from api.clock import minute_time, next_step, utc_text
from api.http.problems import Problem, fault, unusable
from arbitrage.live.quality import SECONDS_PER_MINUTE, Finding
from arbitrage.quarter_hour import MINUTES_PER_QUARTER_HOUR, epoch_minute

SKEW_MIN = 5
"""How far a client's clock may be off, either way."""


@dataclass(frozen=True, slots=True)
class Moment:
    """When an interval begins, and how that stands to the service's time."""

    time: int
    """Epoch minute at which the interval begins."""
    now_s: float
    """The service's time, seconds since the epoch."""
    is_replay: bool = False
    warnings: tuple[Finding, ...] = ()
    jumped_s: float = 0.0
    """By how much the service's clock has jumped, while it is doubted."""

    @property
    def judged_s(self) -> float:
        """Seconds since the epoch from which age counts: a later interval is decided on data that are older then."""
        return self.now_s + max(0, self.time - _coming(self.now_s)) * SECONDS_PER_MINUTE

    @property
    def lag_min(self) -> int:
        """Minutes by which the service's time is past the beginning, rounded up."""
        return max(0, _coming(self.now_s) - self.time)


def coming_moment(now: dt.datetime) -> Moment:
    """The coming minute."""
    return Moment(next_step(now, 1), now.timestamp())


def asked_moment(at: dt.datetime | None, now: dt.datetime, step_min: int) -> Moment:
    """The interval that a request asks for; `step_min` is the policy's. Raises Problem (422) beyond the next one."""
    if at is None:
        return coming_moment(now)
    time, next_begins, now_s = epoch_minute(at), next_step(now, step_min), now.timestamp()
    running = int(now_s // SECONDS_PER_MINUTE) // step_min * step_min
    if time > next_begins + SKEW_MIN:
        raise unusable([fault("at", "beyond_next_interval", _too_late(now, next_begins))])
    if time > next_begins:
        return Moment(
            next_begins, now_s, warnings=(_said("client_clock_ahead", time * SECONDS_PER_MINUTE - now_s, now),)
        )
    if time >= running:
        return Moment(time, now_s)
    behind_s = now_s - time * SECONDS_PER_MINUTE
    is_replay = time < running - SKEW_MIN
    said = _said("replay", behind_s, now) if is_replay else _said("client_clock_behind", behind_s, now)
    return Moment(time, now_s, is_replay, (said,))


def refuse_past(moment: Moment, kept_minute: int) -> None:
    """Refuse to decide the past on a kept state, which begins at that epoch minute. Raises Problem (409)."""
    old = moment.now_s - moment.time * SECONDS_PER_MINUTE > SKEW_MIN * SECONDS_PER_MINUTE
    if moment.is_replay or (old and moment.time < kept_minute):
        message = (
            f"lies before the running interval or the asset's state of {utc_text(minute_time(kept_minute))}: "
            "leave `at` out for the coming interval, or give the state that the battery had then"
        )
        raise Problem(HTTPStatus.CONFLICT, "The interval is past.", faults=[fault("at", "past", message)])


def is_from_the_future(minute: int, now_s: float) -> bool:
    """Whether an epoch minute lies further ahead than any interval that may be decided now."""
    return minute > next_step(dt.datetime.fromtimestamp(now_s, dt.UTC), MINUTES_PER_QUARTER_HOUR) + SKEW_MIN


def _coming(now_s: float) -> int:
    return int(-(-now_s // SECONDS_PER_MINUTE))


def _said(code: str, seconds: float, now: dt.datetime) -> Finding:
    return Finding(code, {"seconds": round(seconds, 3), "service_time": utc_text(now)})


def _too_late(now: dt.datetime, next_begins: int) -> str:
    return (
        f"must be at most {utc_text(minute_time(next_begins))}, where the next interval begins: the service's time is "
        f"{utc_text(now)}. Leave `at` out for the coming interval, or correct the client's clock"
    )
