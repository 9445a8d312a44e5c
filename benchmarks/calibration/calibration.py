"""How the simulator compares with the real market: figures side by side, with tolerance, hit or miss.

    python benchmarks/calibration/calibration.py [--seeds 24] [--data ../shared/data] [--json] [--plot OUT.html]

A simulated figure is the mean over seeds of the same span as the real one. The column `between seeds` is the standard
deviation from seed to seed: how far one real year may lie from another for no reason at all. The column `by chance`
says where a figure lies in 95 of 100 cases: for genuine minutes, one day each, over resampled hours; for a daily shape
it is how well one simulated world follows the mean of the others, that is, what a perfect simulator could reach.
The verdict depends on the tolerance alone.

Real figures are computed from the files in `--data` where they are present; where they are not, the published ones
stand in, and there are no real curves. What is missed is said in words at the end.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from rich.console import Console

PROJECT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(PROJECT))

from benchmarks.calibration.evidence import (
    BLOCKS,
    Floats,
    real_evidence,
    simulated_evidence,
)
from benchmarks.calibration.figures import (
    Curves,
    Figures,
    curves_of,
    figures_of,
    minute_sampling_intervals,
)
from benchmarks.calibration.report import Comparison, Row, print_table, write_plot
from benchmarks.calibration.tolerances import (
    PUBLISHED,
    PUBLISHED_MINUTE_MEDIANS,
    SHAPE_CORRELATION,
    remark_of,
    tolerance_of,
)


@dataclass(frozen=True, slots=True)
class _Worlds:
    """What the simulated worlds of a block yield, seed by seed."""

    figures: list[Figures]
    curves: list[Curves]


def compare(block: str, data: Path, seeds: int) -> Comparison:
    """Simulate a block once a seed and set it beside the real evidence, or beside the published figures."""
    evidence = [simulated_evidence(block, seed) for seed in range(seeds)]
    worlds = _Worlds([figures_of(world) for world in evidence], [curves_of(world) for world in evidence])
    real = real_evidence(block, data)
    real_figures = dict(PUBLISHED.get(block, {})) if real is None else figures_of(real)
    by_chance = {} if real is None else minute_sampling_intervals(real)
    rows = [
        _row(block, name, value, worlds, by_chance.get(name))
        for name, value in real_figures.items()
        if name in worlds.figures[0]
    ]
    if block == "minutes":
        rows += [
            _row("minutes, as published", name, value, worlds, by_chance.get(name))
            for name, value in _published_medians().items()
        ]
    real_curves = {} if real is None else curves_of(real)
    rows += _shape_rows(block, real_curves, worlds.curves)
    return Comparison(block, rows, real_curves, {name: _band(worlds.curves, name) for name in worlds.curves[0]})


def _published_medians() -> Figures:
    """The published medians of the minute day: they are not what the file of that day yields."""
    return {f"median |indicative - final| after minute {k}": value for k, value in PUBLISHED_MINUTE_MEDIANS.items()}


def _row(block: str, name: str, real: float, worlds: _Worlds, by_chance: tuple[float, float] | None) -> Row:
    values = [figures[name] for figures in worlds.figures]
    mean, spread = float(np.mean(values)), float(np.std(values))
    tolerance = tolerance_of(name)
    if tolerance is None:
        return Row(block, name, real, mean, spread, None, by_chance, "", "")
    allowed = tolerance.allowed(real)
    verdict = "hit" if abs(mean - real) <= allowed else "miss"
    return Row(block, name, real, mean, spread, allowed, by_chance, verdict, remark_of(block, name))


def _shape_rows(block: str, real: Curves, worlds: Sequence[Curves]) -> list[Row]:
    """How far the simulated means by hour follow the real ones, and one world the others."""
    rows = []
    for name in real:
        if not name.endswith("mean by hour"):
            continue
        each = np.array([curves[name][1] for curves in worlds])
        correlation = _correlation(real[name][1], each.mean(axis=0))
        verdict = "hit" if correlation >= SHAPE_CORRELATION else "miss"
        spread = float(np.std([_correlation(real[name][1], one) for one in each]))
        title = f"{name}, correlation with real"
        allowed = 1.0 - SHAPE_CORRELATION
        remark = remark_of(block, name)
        rows.append(Row(block, title, 1.0, correlation, spread, allowed, _among_themselves(each), verdict, remark))
    return rows


def _among_themselves(each: Floats) -> tuple[float, float] | None:
    """Range of the correlation of one world's curve with the mean of the others, `each` of shape [worlds, points]."""
    if len(each) < 3:
        return None
    others = (each.sum(axis=0) - each) / (len(each) - 1)
    found = [_correlation(one, rest) for one, rest in zip(each, others, strict=True)]
    return float(np.quantile(found, 0.025)), float(np.quantile(found, 0.975))


def _correlation(a: Floats, b: Floats) -> float:
    return float(np.corrcoef(a, b)[0, 1])


def _band(worlds: Sequence[Curves], name: str) -> tuple[Floats, Floats, Floats, Floats]:
    """A curve's x, and the mean, least and greatest y over worlds."""
    x = worlds[0][name][0]
    y = np.array([curves[name][1] for curves in worlds])
    return x, y.mean(axis=0), y.min(axis=0), y.max(axis=0)


def main() -> None:
    """Compare, print, and write what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=24, help="simulated worlds a block")
    parser.add_argument("--data", type=Path, default=PROJECT.parent / "shared" / "data", help="real parquet files")
    parser.add_argument("--json", action="store_true", help="print rows as JSON in place of the table")
    parser.add_argument("--plot", type=Path, help="write an HTML page of curves")
    options = parser.parse_args()
    began = time.perf_counter()
    comparisons = [compare(block, options.data, options.seeds) for block in BLOCKS]
    if options.json:
        print(json.dumps([asdict(row) for comparison in comparisons for row in comparison.rows], indent=1))
    else:
        print_table(Console(width=150), comparisons, time.perf_counter() - began)
    if options.plot:
        write_plot(options.plot, comparisons)


if __name__ == "__main__":
    main()
