"""A fleet: thousands of batteries of different kinds and sizes through the same days, in one process.

Contract
- Each battery does what `run_backtest` would make it do, quarter-hour by quarter-hour; only its daily figures and
  totals are kept, and the ledgers of those that are asked for.
- A group shares a policy and what it reads of the market. A rule may have numbers of its own for each battery. A
  learned policy is for one kind of battery, of any size: its group's batteries are that one, so many times as large.
- Decisions are risk-neutral and made by the quarter-hour.
- Time passes in stretches of a week, so that memory grows with the fleet by its daily figures alone.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np
import pandas as pd

from arbitrage.arrays import Floats, Numbers
from arbitrage.backtest.fleet.loops import KEPT, Books, Keep, Laws, Stretch, live
from arbitrage.backtest.ledger import make_ledger
from arbitrage.battery import Battery, BatteryLaw
from arbitrage.errors import Fault, refuse
from arbitrage.market.coverage import SourceCoverage, source_coverage
from arbitrage.market.series import MarketSeries
from arbitrage.market.splits import Span, new_day_flags, rows_of
from arbitrage.policies.fleet_reading import FleetPolicy, FleetReading
from arbitrage.policies.protocol import NEUTRAL
from arbitrage.progress import Progress, ProgressCallback, silent
from arbitrage.quarter_hour import MINUTES_PER_QUARTER_HOUR, calendar_day, energy_mwh

_ShareOut = Callable[[Callable[[int, int], None], int], None]

_STRETCH = 672
"""Quarter-hours; a learned policy's table of a week fits a processor's cache."""
_FAULTS_NAMED = 10


@dataclass(frozen=True, slots=True)
class FleetGroup:
    """Batteries that one policy decides for."""

    policy: FleetPolicy
    batteries: Sequence[Battery]
    start_soc_mwh: Floats | None = None
    """Shape [n]; with which each span begins; None: empty."""
    bounds: Floats | None = None
    """Shape [n, 2]; a rule's lower and upper number for each battery; None: the rule's own."""


@dataclass(frozen=True, slots=True)
class FleetResult:
    """What the batteries did, in the order of the groups and of the batteries in each."""

    days: pd.DatetimeIndex
    """Brussels days, shape [days]."""
    profit_by_day_eur: Floats
    """Shape [batteries, days]."""
    cycles_by_day: Floats
    """Equivalent full cycles, shape [batteries, days]."""
    totals: pd.DataFrame
    """A row a battery: `group`, `charge_mwh`, `discharge_mwh`, `cash_eur`, `wear_eur`, `profit_eur`, `cycles`,
    `end_soc_mwh` (at the end of the last span) and `violations` (rules broken, summed over quarter-hours)."""
    ledgers: dict[int, pd.DataFrame] = field(default_factory=dict)
    """By the battery's number, of those asked for; see `ledger.COLUMNS`."""
    coverage: tuple[tuple[SourceCoverage, ...], ...] = ()
    """Of each group: how many records of each series were there when its policy decided."""


def run_fleet(
    market: MarketSeries,
    groups: Sequence[FleetGroup],
    selection: Sequence[Span],
    *,
    ledgers_of: Collection[int] = (),
    threads: int | None = None,
    progress: ProgressCallback = silent,
) -> FleetResult:
    """Take a fleet through the spans.

    ledgers_of: numbers of the batteries whose ledgers are kept; threads: as many as there are cores if not given.
    Raises BadInput naming the faults of all groups.
    """
    refuse(_faults(groups, ledgers_of))
    rows = rows_of(selection)
    stretch = _stretch(market, selection, rows)
    parts, number, completed = [], 0, 0
    total = len(rows) * sum(len(group.batteries) for group in groups)
    at_once = threads or os.cpu_count() or 1
    with ThreadPoolExecutor(at_once) as pool, ThreadPoolExecutor(1) as reader:
        for group, reading in zip(groups, _read_ahead(reader, market, groups, rows), strict=True):
            own = sorted(one - number for one in ledgers_of if number <= one < number + len(group.batteries))
            part = _Part(group, stretch, own)
            for first, last in _weeks(len(rows)):
                part.walk(reading, stretch, (first, last), partial(_share_out, pool, at_once))
                completed += len(group.batteries) * (last - first)
                progress(Progress("backtesting the fleet", completed, total))
            parts.append(part)
            number += len(group.batteries)
    span_of_row = np.repeat(np.arange(len(selection)), [len(span) for span in selection])
    kept = {
        one: make_ledger(market, rows, span_of_row, columns)
        for one, columns in zip(sorted(ledgers_of), (each for part in parts for each in part.ledgers()), strict=True)
    }
    days = pd.DatetimeIndex([str(calendar_day(int(day))) for day in np.unique(market.day_numbers[rows])])
    covered = tuple(source_coverage(market, group.policy.needs, market.quarter_hours[rows]) for group in groups)
    return replace(_result(days, parts, kept), coverage=covered)


def _read_ahead(
    reader: ThreadPoolExecutor, market: MarketSeries, groups: Sequence[FleetGroup], rows: Numbers
) -> Iterator[FleetReading]:
    """What each group's policy reads, the next one being at it meanwhile."""
    known = market.known_at(market.quarter_hours[rows])
    ahead = reader.submit(groups[0].policy.read_for_fleet, known)
    for following in groups[1:]:
        reading = ahead.result()
        ahead = reader.submit(following.policy.read_for_fleet, known)
        yield reading
    yield ahead.result()


def _weeks(count: int) -> Iterator[tuple[int, int]]:
    yield from ((first, min(first + _STRETCH, count)) for first in range(0, count, _STRETCH))


def _share_out(pool: ThreadPoolExecutor, threads: int, work: Callable[[int, int], None], count: int) -> None:
    """Do [0, count) in as many pieces as there are threads."""
    edges = np.linspace(0, count, min(count, threads) + 1).astype(int).tolist()
    for done in [pool.submit(work, first, last) for first, last in itertools.pairwise(edges)]:
        done.result()


class _Part:
    """The batteries of a group on their way through time, and what is written down of them."""

    def __init__(self, group: FleetGroup, whole: Stretch, keep: Sequence[int]) -> None:
        count = len(group.batteries)
        self.laws, self.books = _laws(group), _open_books(count, int(whole.day.max()) + 1)
        self._slot = np.full(count, -1, dtype=np.int64)
        self._slot[list(keep)] = np.arange(len(keep))
        self._rows = np.zeros((len(whole.day), len(keep), len(KEPT)))

    def walk(self, reading: FleetReading, whole: Stretch, rows: tuple[int, int], share_out: _ShareOut) -> None:
        """Through rows [first, last) of the selection."""
        stretch, (scale, table) = whole.between(*rows), reading.between(*rows)
        keep = Keep(self._slot, self._rows[rows[0] : rows[1]])
        fixed = (stretch, scale, reading.shape, table, self.laws, self.books, keep)
        share_out(lambda first, last: live(*fixed, first, last), len(self._slot))

    def ledgers(self) -> Iterator[dict[str, Floats]]:
        """Columns of the kept ledgers, in the order of the batteries."""
        for rows in self._rows.transpose(1, 2, 0):
            kept = dict(zip(KEPT, np.ascontiguousarray(rows), strict=True))
            power = kept.pop("power_mw")
            energy = energy_mwh(power, MINUTES_PER_QUARTER_HOUR)
            flows = {"charge_mwh": np.maximum(-energy, 0.0), "discharge_mwh": np.maximum(energy, 0.0)}
            yield flows | kept | {"shielded_fraction": (power != kept["asked_mw"]).astype(np.float64)}


def _stretch(market: MarketSeries, selection: Sequence[Span], rows: Numbers) -> Stretch:
    begins = np.concatenate([np.arange(len(span)) == 0 for span in selection])
    new_day = np.concatenate([new_day_flags(market, span) for span in selection])
    _, day = np.unique(market.day_numbers[rows], return_inverse=True)
    return Stretch(market.price_eur_mwh[rows], begins, new_day, day.astype(np.int64))


def _laws(group: FleetGroup) -> Laws:
    values = np.array([battery.law for battery in group.batteries], dtype=np.float64)
    laws = BatteryLaw(*values.T)
    start = laws.min_soc_mwh if group.start_soc_mwh is None else np.asarray(group.start_soc_mwh, dtype=np.float64)
    bounds, times = np.zeros((len(values), 2)), np.ones(len(values))
    own = group.policy.trained_battery
    if own is not None:
        times = np.array([battery.power_mw for battery in group.batteries]) / own.power_mw
    else:
        bounds[:] = group.policy.bounds if group.bounds is None else group.bounds
    return Laws(values, np.ascontiguousarray(start), bounds, times)


def _open_books(count: int, days: int) -> Books:
    one: list[Floats] = [np.zeros(count) for _ in range(7)]
    soc, cycles, drawn, charge, discharge, cash, wear = one
    broken = np.zeros(count, dtype=np.int64)
    by_day = np.zeros((2, count, days))
    return Books(soc, cycles, drawn, charge, discharge, cash, wear, broken, by_day[0], by_day[1])


def _result(days: pd.DatetimeIndex, parts: Sequence[_Part], ledgers: dict[int, pd.DataFrame]) -> FleetResult:
    books = Books(*(np.concatenate(columns) for columns in zip(*(part.books for part in parts), strict=True)))
    capacity_mwh = BatteryLaw(*np.concatenate([part.laws.values for part in parts]).T).capacity_mwh
    cycles = books.drawn_by_day_mwh / np.asarray(capacity_mwh)[:, None]
    totals = pd.DataFrame(
        {
            "group": np.repeat(np.arange(len(parts)), [len(part.laws.values) for part in parts]),
            "charge_mwh": books.charge_mwh,
            "discharge_mwh": books.discharge_mwh,
            "cash_eur": books.cash_eur,
            "wear_eur": books.wear_eur,
            "profit_eur": books.profit_by_day_eur.sum(axis=1),
            "cycles": cycles.sum(axis=1),
            "end_soc_mwh": books.soc_mwh,
            "violations": books.violations,
        }
    )
    return FleetResult(days, books.profit_by_day_eur, cycles, totals, ledgers)


def _faults(groups: Sequence[FleetGroup], ledgers_of: Collection[int]) -> Iterator[Fault]:
    if not groups:
        yield Fault("fleet", "has no groups")
    for number, group in enumerate(groups):
        yield from (Fault(f"group {number}", message) for message in _wrong_with(group))
    count = sum(len(group.batteries) for group in groups)
    outside = sorted(one for one in ledgers_of if not 0 <= one < count)
    if outside:
        yield Fault("ledgers_of", f"names batteries that there are not: {outside}")


def _wrong_with(group: FleetGroup) -> Iterator[str]:
    count = len(group.batteries)
    if not count:
        yield "has no batteries"
        return
    law = BatteryLaw(*np.array([battery.law for battery in group.batteries]).T)
    start = group.start_soc_mwh
    if start is not None and (
        np.shape(start) != (count,) or not ((start >= law.min_soc_mwh) & (start <= law.max_soc_mwh)).all()
    ):
        yield f"start_soc_mwh must be {count} numbers inside the batteries' SoC windows"
    if group.bounds is not None and np.shape(group.bounds) != (count, 2):
        yield f"bounds must have shape [{count}, 2]"
    if group.policy.trained_battery is not None:
        yield from _wrong_with_learned(group.policy.trained_battery, group, law)


def _wrong_with_learned(trained: Battery, group: FleetGroup, law: BatteryLaw) -> Iterator[str]:
    policy, own = group.policy, trained.law
    if policy.step_min != MINUTES_PER_QUARTER_HOUR:
        yield "the policy decides by the minute, a fleet by the quarter-hour"
    if policy.risk != NEUTRAL:
        yield "the policy weighs risk, a fleet decides risk-neutrally"
    if group.bounds is not None:
        yield "bounds are for rules"
    times = np.array([battery.power_mw for battery in group.batteries]) / trained.power_mw
    scaled = {"charge_power_mw", "discharge_power_mw", "capacity_mwh", "min_soc_mwh", "max_soc_mwh"}
    alike = np.ones(len(times), dtype=np.bool_)
    for name in BatteryLaw._fields:
        expected = getattr(own, name) * (times if name in scaled else np.ones(len(times)))
        alike &= np.isclose(getattr(law, name), expected, rtol=1e-9, atol=0.0)
    others = np.flatnonzero(~alike).tolist()
    if others:
        named = ", ".join(map(str, others[:_FAULTS_NAMED])) + (" and others" if len(others) > _FAULTS_NAMED else "")
        yield f"batteries {named} are not the policy's own at another size"
