"""Options of the market: its files or store, and when its prices are known."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, ClassVar

import typer

from arbitrage.cli.options.panels import MARKET
from arbitrage.cli.output import warn
from arbitrage.errors import BadInput, Fault, refuse
from arbitrage.market.files.read import read_market
from arbitrage.market.files.reading import Decimal
from arbitrage.market.reconstruction.with_minutes import with_reconstructed_minutes
from arbitrage.market.series import MINUTE_PUBLICATION_DELAY_MIN, MarketSeries
from arbitrage.market.store.store import Store
from arbitrage.market.store.stored_market import stored_market
from arbitrage.market.timing import KnownAs, with_decision_latency, with_first_published

Prices = Annotated[
    list[Path],
    typer.Option(
        help="Quarter-hour imbalance prices: files, or the directory of a store, which has all the rest too.",
        show_default=False,
    ),
]
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
DecisionLatency = Annotated[
    int | None,
    typer.Option(
        min=0,
        help="Minutes that deciding takes: each interval is decided on what was known so long before. "
        "[default: as the policy was trained, else 0]",
    ),
]
Timezone = Annotated[
    str | None,
    typer.Option(
        help="Of times in files that have no offset, such as Europe/Brussels. [default: refuse them]",
        rich_help_panel=MARKET,
    ),
]
DecimalSign = Annotated[
    Decimal,
    typer.Option(
        help="Decimal sign of the numbers in files; auto: whichever they show, refused if unclear.",
        rich_help_panel=MARKET,
    ),
]
KnownAsOption = Annotated[
    KnownAs,
    typer.Option(
        help="final: decide on prices as they stand; first-published: as they were first seen, where the store watched."
    ),
]
_RECONSTRUCTED = re.compile(r"reconstructed-(?P<grade>[a-z]+)(:(?P<seed>\d+))?")


@dataclass(frozen=True, slots=True)
class MarketOptions:
    """The market as the command line names it."""

    PANEL: ClassVar[str] = MARKET

    prices: Prices
    day_ahead: DayAhead = None
    forecasts: Forecasts = None
    minutes: Minutes = None
    publication_delay_min: PublicationDelay = None
    decision_latency_min: DecisionLatency = None
    timezone: Timezone = None
    decimal: DecimalSign = Decimal.POINT
    known_as: KnownAsOption = KnownAs.FINAL

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


NO_MARKET = MarketOptions([])
"""Where a command can do without prices."""
