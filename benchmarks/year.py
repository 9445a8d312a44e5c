"""How long a year takes: reading it from an Elia CSV, and backtesting a learned policy on it.

    python benchmarks/year.py POLICY_DIR [--day-ahead] [--json OUT]

The policy may be any that `arbitrage train` made; where it was trained with day-ahead prices they are given to it.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path

import pandas as pd

from arbitrage.backtest.engine import run_backtest
from arbitrage.market.files.read import read_market
from arbitrage.market.point_in_time import DAY_AHEAD
from arbitrage.market.splits import SocReset, select
from arbitrage.policies.checkpoint.load import load_policy
from arbitrage.quarter_hour import BRUSSELS

DATA = Path(__file__).parents[2] / "shared" / "data"


def write_portal_csv(path: Path) -> None:
    """The year in the portal's dialect: labels, semicolons, byte order mark, newest first, Brussels offsets."""
    price = pd.read_parquet(DATA / "imbalance_qh_2022.parquet")["imbalance_price_eur_mwh"].iloc[::-1]
    starts = [stamp.isoformat() for stamp in price.index.tz_convert(BRUSSELS)]
    columns = {
        "DateTime": starts,
        "Quality status": "Validated",
        "Resolution code": "PT15M",
        "Positive imbalance price": price.to_numpy(),
        "Negative imbalance price": price.to_numpy(),
    }
    pd.DataFrame(columns).to_csv(path, sep=";", index=False, encoding="utf-8-sig")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("policy", type=Path)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    policy = load_policy(arguments.policy)
    day_ahead = DATA / "day_ahead_hourly_2021_2022.parquet" if DAY_AHEAD in policy.sources else None
    with tempfile.TemporaryDirectory() as folder:
        csv = Path(folder) / "year.csv"
        write_portal_csv(csv)
        read_market(csv)
        began = time.perf_counter()
        read_market(csv)
        read_s = time.perf_counter() - began
        market = read_market(csv, day_ahead=day_ahead)
    run_backtest(market, policy.battery, policy, select(market, days_of_month="1-2")[:2])
    began = time.perf_counter()
    result = run_backtest(market, policy.battery, policy, select(market, soc_reset=SocReset.NEVER))
    backtest_s = time.perf_counter() - began
    answer = {"read_csv_year_s": read_s, "backtest_year_s": backtest_s, "violations": len(result.violations)}
    print(f"reading a year from CSV {read_s:.2f} s")
    print(f"backtest of a year {backtest_s:.2f} s, {len(result.violations)} violations")
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(answer, indent=2) + "\n")


if __name__ == "__main__":
    main()
