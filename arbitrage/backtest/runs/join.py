"""Runs of several folders made one, to be compared day by day.

Contract: strategies keep their names where these distinguish them. Where the same name stands for the same ledger it is
the same backtest and counts once; where it stands for another one the folder's name follows. Whether they may be
compared at all is for `comparison` to say.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from arbitrage.backtest.comparison import daily_profits_eur
from arbitrage.backtest.engine import Backtest
from arbitrage.backtest.runs.folder import Run, read_run
from arbitrage.errors import BadInput, Fault


@dataclass(frozen=True, slots=True)
class _Named:
    backtest: Backtest
    folder: str


def read_joined(directories: Sequence[Path]) -> tuple[tuple[Backtest, ...], Run]:
    """All backtests of some run folders, in order and each once, and the first run, which is the reference.

    Raises BadInput with the faults of every folder that cannot be used, and where backtests do not cover the same
    quarter-hours at the same prices with the same battery.
    """
    runs: list[Run] = []
    faults: list[Fault] = []
    for directory in directories:
        try:
            runs.append(read_run(directory))
        except BadInput as refused:
            faults.extend(refused.faults)
    if faults or not runs:
        raise BadInput(faults or [Fault("run folders", "are none")])
    joined = join(runs, folder_names(directories))
    daily_profits_eur(joined)
    return joined, runs[0]


def folder_names(directories: Sequence[Path]) -> tuple[str, ...]:
    """The shortest ends of the paths that distinguish them."""
    parts = [directory.resolve().parts for directory in directories]
    depth = next((n for n in range(1, 1 + max(map(len, parts))) if len({p[-n:] for p in parts}) == len(parts)), 1)
    return tuple("/".join(path[-depth:]) for path in parts)


def join(runs: Sequence[Run], folders: Sequence[str]) -> tuple[Backtest, ...]:
    """Backtests of some runs, each once, with names that distinguish them."""
    kept: list[_Named] = []
    for run, folder in zip(runs, folders, strict=True):
        kept += [_Named(each, folder) for each in run.backtests if not any(_same(each, one.backtest) for one in kept)]
    names = [one.backtest.strategy for one in kept]
    return tuple(
        one.backtest
        if names.count(one.backtest.strategy) == 1
        else replace(one.backtest, strategy=f"{one.backtest.strategy} [{one.folder}]")
        for one in kept
    )


def _same(one: Backtest, other: Backtest) -> bool:
    return (
        one.strategy == other.strategy
        and one.battery == other.battery
        and one.ledger.equals(other.ledger)
        and one.foresight.profit_eur == other.foresight.profit_eur
    )
