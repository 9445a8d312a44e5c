"""Dynamic programming against the linear programme on one year: time and agreement, in one run.

The whole of 2022 is one span: energy is carried over every midnight. The linear programme's time includes building it.

    python benchmarks/perfect_foresight.py [--json OUT]
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from arbitrage.backtest.hindsight.perfect_foresight import foresight_value_eur, perfect_foresight
from arbitrage.battery import Battery
from arbitrage.market.files.read import read_market
from arbitrage.market.splits import SocReset, Span, select

DATA = Path(__file__).parents[2] / "shared" / "data"
ROUNDS = 5


def timed(work: Callable[..., Any], *arguments: Any) -> tuple[Any, float]:
    began = time.perf_counter()
    result = work(*arguments)
    return result, time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    market = read_market(DATA / "imbalance_qh_2022.parquet")
    year = select(market, soc_reset=SocReset.NEVER)
    answer = {}
    for cap in (None, 1.1):
        battery = Battery(max_cycles_per_day=cap)
        foresight_value_eur(market, battery, (Span(0, 96),))
        exact_s, lattice_s = [], []
        for _ in range(ROUNDS):
            exact, seconds = timed(perfect_foresight, market, battery, year)
            exact_s.append(seconds)
            lattice, seconds = timed(foresight_value_eur, market, battery, year)
            lattice_s.append(seconds)
        exact, lattice = exact.profit_eur, float(lattice.sum())
        linear, dynamic = statistics.median(exact_s), statistics.median(lattice_s)
        row = {
            "linear_programme_eur": exact,
            "dynamic_programme_eur": lattice,
            "relative_difference": lattice / exact - 1.0,
            "linear_programme_s": linear,
            "dynamic_programme_s": dynamic,
            "ratio": linear / dynamic,
        }
        answer["uncapped" if cap is None else f"cap {cap}"] = row
        print(
            f"cap {cap}: {exact:,.0f} EUR in {linear:.2f} s, {lattice:,.0f} EUR in {dynamic:.3f} s: "
            f"{row['relative_difference']:+.3%}, {row['ratio']:.1f} x"
        )
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(answer, indent=2) + "\n")


if __name__ == "__main__":
    main()
