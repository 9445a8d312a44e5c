"""Options that several commands share, and what they mean in the terms of the house."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import wraps
from pathlib import Path
from typing import Annotated, Any

import typer

from arbitrage.backtest.tested_days import Cards, DaysAsked, DaysTested, days_to_test, strict_faults
from arbitrage.battery import Battery, unit_warnings
from arbitrage.cli.output import warn
from arbitrage.cli.output_paths import directory, json_file, printed_file, report_file
from arbitrage.errors import BadInput, Fault, refuse
from arbitrage.features.names import FeatureSet
from arbitrage.learners.closed_form.config import Preset
from arbitrage.market.files.read import read_market
from arbitrage.market.files.reading import Decimal
from arbitrage.market.point_in_time import INDICATIVE
from arbitrage.market.reconstruction.with_minutes import with_reconstructed_minutes
from arbitrage.market.series import MINUTE_PUBLICATION_DELAY_MIN, MarketSeries
from arbitrage.market.splits import SocReset
from arbitrage.market.store.store import Store
from arbitrage.market.store.stored_market import stored_market
from arbitrage.market.timing import KnownAs, with_decision_latency, with_first_published
from arbitrage.numeric import percent_remedy
from arbitrage.policies.closed_form.risk_head import MOST_RISK_AVERSE
from arbitrage.policies.protocol import RiskChoice
from arbitrage.quarter_hour import MINUTES_PER_QUARTER_HOUR, epoch_minute, utc_timestamps
from arbitrage.risk import RiskPreference


def checked_fraction(option: typer.CallbackParam, value: float) -> float:
    """A share between 0 and 1. Raises BadInput, with the share that is meant where it looks like percent."""
    if 0.0 <= value <= 1.0:
        return value
    raise BadInput([Fault(str(option.name), f"must be a fraction from 0 to 1, not {value:g}{percent_remedy(value)}")])


_PRICES = typer.Option(
    help="Quarter-hour imbalance prices: files, or the directory of a store, which has all the rest too."
)
Prices = Annotated[list[Path], _PRICES]
PricesOrNone = Annotated[list[Path] | None, _PRICES]
DayAhead = Annotated[list[Path] | None, typer.Option(help="Day-ahead prices.")]
Forecasts = Annotated[list[Path] | None, typer.Option(help="Day-ahead wind and solar forecasts.")]
Minutes = Annotated[
    list[str] | None,
    typer.Option(
        help="Indicative prices by minute: files, or reconstructed-easy, -matched, -harsh or -severe, which draws them "
        "around the final prices; a seed may follow after a colon."
    ),
]
PublicationDelay = Annotated[
    int | None,
    typer.Option(
        min=0,
        help="Minutes from the end of a minute or quarter-hour until its price is known. "
        "[default: 1 with minutes, else 0]",
    ),
]
Timezone = Annotated[
    str | None,
    typer.Option(help="Of times in files that have no offset, such as Europe/Brussels. [default: refuse them]"),
]
DecimalSign = Annotated[
    Decimal, typer.Option(help="Decimal sign of the numbers in files; auto: whichever they show, refused if unclear.")
]
FeatureSetOption = Annotated[
    FeatureSet | None,
    typer.Option("--features", help="What the policy sees. [default: full with minutes, else quarter_hour]"),
]
RiskHeadOption = Annotated[
    bool | None,
    typer.Option(
        "--risk-head/--no-risk-head",
        help="Search for what the risk dial does. [default: yes, but not by the minute, where it takes long]",
    ),
]
PresetOption = Annotated[
    Preset, typer.Option("--preset", help="How much time training may take; quick and fast: by the quarter-hour.")
]
Power = Annotated[float | None, typer.Option(help="Rated power, both directions. [default: 1]")]
Capacity = Annotated[float | None, typer.Option(help="Nominal capacity. [default: 2]")]
ChargeEfficiency = Annotated[float | None, typer.Option(help="One way, fraction. [default: 0.9]")]
DischargeEfficiency = Annotated[float | None, typer.Option(help="One way, fraction. [default: 0.9]")]
MaxCycles = Annotated[float | None, typer.Option(help="Hard budget of equivalent full cycles a Brussels day.")]
WearCost = Annotated[float | None, typer.Option(help="Per MWh drawn from the store. [default: 0]")]
DecisionLatency = Annotated[
    int | None,
    typer.Option(
        min=0,
        help="Minutes that deciding takes: each interval is decided on what was known so long before. "
        "[default: as the policy was trained, else 0]",
    ),
]
KnownAsOption = Annotated[
    KnownAs,
    typer.Option(
        help="final: decide on prices as they stand; first-published: as they were first seen, where the store watched."
    ),
]
StartTime = Annotated[str | None, typer.Option(help="First time, ISO 8601 with offset.")]
StopTime = Annotated[str | None, typer.Option(help="Time after the last, ISO 8601 with offset.")]
TestDays = Annotated[str | None, typer.Option(help="Brussels days of every month, such as 26-31.")]
Reset = Annotated[
    SocReset | None,
    typer.Option(
        help="daily: each day on its own from an empty battery, the default with days of the month and for training; "
        "never: energy is carried over midnight, the default otherwise."
    ),
]
TuneDays = Annotated[str, typer.Option(help="Days of the month on which rules are tuned; tested days are left out.")]
StrategyName = Annotated[
    str,
    typer.Option(
        help="idle, threshold, spread, minute-spread, a policy directory, or a ceiling: perfect-foresight, or "
        "known-quarter-hour, which is told each quarter-hour's final price as it begins."
    ),
]
StrategiesOrNone = Annotated[list[str] | None, typer.Option(help="As for backtest; give it again for each strategy.")]
RiskAversion = Annotated[
    float | None,
    typer.Option(
        min=0.0,
        max=MOST_RISK_AVERSE,
        help="Dial of a learned policy's risk head, 0 risk-neutral. [default: as set beside the policy, else 0]",
    ),
]
RiskAversions = Annotated[
    list[float] | None,
    typer.Option("--risk-aversion", min=0.0, max=MOST_RISK_AVERSE, help="Each policy is tried at each of these."),
]
RiskPreferenceText = Annotated[
    str | None,
    typer.Option(
        "--risk-preference",
        help="measure:level:weight, as cvar:0.1:0.5: each step weighs the measure of its outcomes against the mean.",
    ),
]
SocFraction = Annotated[
    float, typer.Option(help="State of charge, share of capacity, 0 to 1.", callback=checked_fraction)
]
ProfitToday = Annotated[float, typer.Option(help="Made since Brussels midnight, as far as its prices are published.")]
JsonOut = Annotated[
    str | None,
    typer.Option("--json", help="Write the figures as JSON to this file; - for stdout.", callback=json_file),
]
ReportOut = Annotated[
    Path | None,
    typer.Option(help="Write a self-contained HTML report, or print it: .pdf, .png.", callback=report_file),
]
PdfOut = Annotated[
    Path | None,
    typer.Option("--pdf", help="Print the report to a PDF file, by Chromium or Chrome.", callback=printed_file(".pdf")),
]
PngOut = Annotated[
    Path | None,
    typer.Option("--png", help="Draw the report to a PNG file, by Chromium or Chrome.", callback=printed_file(".png")),
]
PolicyOut = Annotated[
    Path,
    typer.Option(help="Directory of the policy; an interrupted training there is resumed.", callback=directory),
]
Strict = Annotated[
    bool,
    typer.Option(
        "--strict",
        help="Refuse to test on days that a policy has seen, and spans that reach beyond the data, instead of warning.",
    ),
]


_RECONSTRUCTED = re.compile(r"reconstructed-(?P<grade>[a-z]+)(:(?P<seed>\d+))?")


@dataclass(frozen=True, slots=True)
class MarketOptions:
    """The market as the command line names it."""

    prices: Sequence[Path]
    day_ahead: Sequence[Path] | None
    forecasts: Sequence[Path] | None
    minutes: Sequence[str] | None
    publication_delay_min: int | None
    decision_latency_min: int | None = None
    timezone: str | None = None
    decimal: str = Decimal.POINT
    known_as: KnownAs = KnownAs.FINAL

    def market(self, trained_delay_min: int | None = None, trained_latency_min: int = 0) -> MarketSeries:
        """Read it, with the delay and latency asked for, else those a policy was trained for. Raises BadInput."""
        market = self._as_published(trained_delay_min)
        if self.known_as is KnownAs.FIRST_PUBLISHED:
            market = self._as_first_published(market)
        given = self.decision_latency_min
        return with_decision_latency(market, trained_latency_min if given is None else given)

    def _as_first_published(self, market: MarketSeries) -> MarketSeries:
        if not self._from_store:
            raise BadInput([Fault("known_as", "first-published prices are in a store alone; give its directory")])
        first = with_first_published(market, Store(self.prices[0]))
        if first.fetched_later:
            seen = f"{first.seen_live:,} of {first.seen_live + first.fetched_later:,}"
            warn(f"{seen} quarter-hours are known as first published; the store fetched the others later")
        return first.market

    @property
    def _from_store(self) -> bool:
        return len(self.prices) == 1 and self.prices[0].is_dir()

    def _as_published(self, trained_delay_min: int | None) -> MarketSeries:
        drawn = [_RECONSTRUCTED.fullmatch(name) for name in self.minutes or ()]
        if any(drawn) and len(drawn) > 1:
            raise BadInput([Fault("minutes", "are either files or one reconstruction")])
        grade = drawn[0] if drawn else None
        delay = self._delay_min(trained_delay_min)
        if grade is None:
            return self._read(delay)
        market = replace(self, minutes=None)._read(MINUTE_PUBLICATION_DELAY_MIN if delay is None else delay)
        return with_reconstructed_minutes(market, grade["grade"], int(grade["seed"] or 0))

    def _delay_min(self, trained: int | None) -> int | None:
        given = self.publication_delay_min
        if given is not None and trained not in (None, given):
            raise BadInput([Fault("publication_delay_min", f"the policy was trained for {trained}, not {given}")])
        return trained if given is None else given

    def _read(self, delay_min: int | None) -> MarketSeries:
        if self._from_store:
            given = {"day-ahead": self.day_ahead, "forecasts": self.forecasts, "minutes": self.minutes}
            refuse(Fault(name, "come from the store, as the prices do") for name, files in given.items() if files)
            if self.timezone is not None:
                raise BadInput([Fault("timezone", f"{self.timezone} is of files; a store holds its times in UTC")])
            return stored_market(Store(self.prices[0]), publication_delay_min=delay_min)
        return read_market(
            list(self.prices),
            day_ahead=self.day_ahead,
            forecasts=self.forecasts,
            minutes=[Path(name) for name in self.minutes] if self.minutes else None,
            publication_delay_min=delay_min,
            timezone=self.timezone,
            decimal=self.decimal,
        )


@dataclass(frozen=True, slots=True)
class BatteryOptions:
    """The battery as the command line names it; None where the user said nothing."""

    power_mw: Power = None
    capacity_mwh: Capacity = None
    charge_efficiency: ChargeEfficiency = None
    discharge_efficiency: DischargeEfficiency = None
    max_cycles_per_day: MaxCycles = None
    wear_cost_eur_mwh: WearCost = None

    def battery(self, card: dict[str, Any] | None) -> Battery:
        """What the user said, else what the policy was trained for, else the defaults. Raises BadInput.

        Warns of a battery that looks like one in other units.
        """
        base = asdict(Battery()) if card is None else dict(card["battery"])
        battery = Battery(**base | {name: value for name, value in asdict(self).items() if value is not None})
        for text in unit_warnings(battery):
            warn(text)
        return battery


AS_TRAINED = BatteryOptions()
"""Nothing said of the battery: it is the one that a policy was trained for, or the default one."""


def with_battery_options(command: Callable[..., None]) -> Callable[..., None]:
    """The command with the fields of `BatteryOptions`, one option each, in place of its argument `options`."""
    signature, fields = (inspect.signature(each, eval_str=True).parameters for each in (command, BatteryOptions))
    given = [field.replace(kind=inspect.Parameter.KEYWORD_ONLY) for field in fields.values()]
    own = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in signature.values()]
    at = [parameter.name for parameter in own].index("options")

    @wraps(command)
    def with_fields(**values: Any) -> None:
        options = BatteryOptions(**{name: values.pop(name) for name in fields})
        command(**values, options=options)

    parameters = [*own[:at], *given, *own[at + 1 :]]
    with_fields.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    with_fields.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return with_fields


def risk_choice(risk_aversion: float | None, preference: str | None) -> RiskChoice:
    """What the options ask of a policy's risk. Raises BadInput."""
    return RiskChoice(risk_aversion, None if preference is None else RiskPreference.parse(preference))


def tested_days(market: MarketSeries, asked: DaysAsked, cards: Cards, *, strict: bool) -> DaysTested:
    """The days to test, with a warning of each difference from what was asked for. Raises BadInput.

    strict: refuse days that one of the policies has seen, and spans that reach beyond the data.
    """
    tested = days_to_test(market, asked, cards)
    if strict:
        refuse(strict_faults(market, tested, cards))
    for note in tested.notes:
        warn(note)
    return tested


def time_range(start: str | None, end: str | None) -> dict[str, Any]:
    """`start` and `end` as far as they were given, as epoch minutes. Raises BadInput."""
    times = {name: epoch_minute(text) for name, text in (("start", start), ("end", end)) if text is not None}
    if len(times) == 2 and times["end"] <= times["start"]:
        raise BadInput([Fault("end", f"{end} is not after start {start}")])
    return times


def time_to_decide(market: MarketSeries, at: str | None, step_min: int) -> int:
    """The time to decide: the one named, or when the newest record is out. Raises BadInput outside the market."""
    first, after = int(market.quarter_hours[0]), int(market.quarter_hours[-1]) + MINUTES_PER_QUARTER_HOUR
    if step_min == 1 and INDICATIVE in market.known_series:
        after = max(after, int(market.known_series[INDICATIVE].available_at[-1]))
    time = after if at is None else epoch_minute(at)
    if time % step_min:
        raise BadInput([Fault("at", f"{at} is not the beginning of a quarter-hour")])
    if not first < time <= after:
        span = " to ".join(stamp.isoformat() for stamp in utc_timestamps([first, after]))
        raise BadInput([Fault("at", f"{at} lies outside the prices given, {span}")])
    return time


def write_json(value: Any, out: str | None) -> None:
    """To a file, or to standard output for `-`; nowhere for None."""
    if out is None:
        return
    text = json.dumps(value, indent=2, default=str)
    if out == "-":
        typer.echo(text)
    else:
        Path(out).parent.mkdir(parents=True, exist_ok=True)
        Path(out).write_text(text + "\n")
