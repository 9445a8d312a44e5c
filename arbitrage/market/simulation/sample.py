"""The small simulated market that ships with the project: its location, and how it is generated.

Contract
- Everything in it is SIMULATED, and the file names say so. Its values follow from one seed and the preset named here.
- Prices are written in Elia's formats, so that reading them exercises the readers: quarter-hours as the CSV of ods134,
  minutes as that of ods133. Day-ahead prices and forecasts are plain CSV.
- `python -m arbitrage.market.simulation.sample` writes the files again, byte for byte the same.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from arbitrage.market.point_in_time import DAY_AHEAD, PRICE, SOLAR_FORECAST, WIND_FORECAST
from arbitrage.market.simulation.simulator import SimulatedMarket, simulate
from arbitrage.quarter_hour import BRUSSELS, epoch_minute

SEED = 31
"""Of the seeds 0 to 39, one that is close to 2022 in price quantiles, fraction of negative prices, autocorrelation,
correlation with day-ahead prices and daily range."""
PRESET = "2022"
"""Price level and volatility of 2022, under the settlement rules of 2025."""
START = epoch_minute("2025-03-01T00:00+01:00")
END = epoch_minute("2025-06-01T00:00+02:00")
MINUTES_START = epoch_minute("2025-03-17T00:00+01:00")
MINUTES_END = epoch_minute("2025-04-07T00:00+02:00")
"""Three weeks of minutes, including the day on which summer time begins."""

_STATUS = "NotValidated"
_MINUTE_STATUS = "NV"
"""The same status in the minute tables of the portal."""
_PRICE_PARTS = {
    "ACE": "area_control_error_mw",
    "System imbalance": "system_imbalance_mw",
    "Alpha": "alpha_component_eur_mwh",
    "Alpha'": None,
    "Marginal incremental price": "marginal_incremental_price_eur_mwh",
    "Marginal decremental price": "marginal_decremental_price_eur_mwh",
    "Imbalance Price": PRICE,
}
"""Elia's labels and the standard columns; alpha' is written as zero, its value in all records seen."""


@dataclass(frozen=True, slots=True)
class SampleFiles:
    """Paths of the embedded sample."""

    prices: Path
    day_ahead: Path
    forecasts: Path
    minutes: Path


def sample_files() -> SampleFiles:
    """The shipped sample, in a source checkout or in an installed package."""
    checkout, installed = _directories()
    return files_in(checkout if checkout.is_dir() else installed)


def files_in(directory: Path) -> SampleFiles:
    """The sample's file names in a directory."""
    return SampleFiles(
        prices=directory / "SIMULATED_imbalance_prices_quarter_hour.csv",
        day_ahead=directory / "SIMULATED_day_ahead_prices.csv",
        forecasts=directory / "SIMULATED_wind_solar_forecasts.csv",
        minutes=directory / "SIMULATED_imbalance_prices_minute.csv",
    )


def simulate_sample() -> SimulatedMarket:
    """The simulated market of the sample."""
    return simulate(START, END, seed=SEED, parameters=PRESET)


def write_sample(directory: Path) -> SampleFiles:
    """Write the sample's four files into a directory."""
    world = simulate_sample()
    files = files_in(directory)
    directory.mkdir(parents=True, exist_ok=True)
    _write(files.prices, "\ufeff" + _elia_csv(world.prices, {"Resolution code": "PT15M", "Quality status": _STATUS}))
    shown = world.minutes.iloc[MINUTES_START - START : MINUTES_END - START]
    quarter_hour = _brussels(pd.DatetimeIndex(shown["quarter_hour"]))
    leading = {"Resolution code": "PT1M", "Quarter hour": quarter_hour, "Quality status": _MINUTE_STATUS}
    _write(files.minutes, "\ufeff" + _elia_csv(shown, leading))
    _write(files.day_ahead, _plain_csv(world.day_ahead[[DAY_AHEAD]]))
    _write(files.forecasts, _plain_csv(world.forecasts[[WIND_FORECAST, SOLAR_FORECAST]].round(0).astype("int64")))
    return files


def _directories() -> tuple[Path, Path]:
    package = Path(__file__).resolve().parents[2]
    return package.parent / "data" / "sample", package / "sample"


def _brussels(index: pd.DatetimeIndex) -> list[str]:
    """ISO 8601 with the Brussels offset, as Elia's portal writes times."""
    return [time.isoformat() for time in index.tz_convert(BRUSSELS)]


def _elia_csv(table: pd.DataFrame, leading: Mapping[str, str | Sequence[str]]) -> str:
    """A table as Elia's portal exports it with labels: semicolons, newest row first."""
    columns: dict[str, object] = {"Datetime": _brussels(pd.DatetimeIndex(table.index)), **leading}
    for label, name in _PRICE_PARTS.items():
        columns[label] = 0.0 if name is None else table[name].to_numpy()
    return str(pd.DataFrame(columns).iloc[::-1].to_csv(sep=";", index=False, lineterminator="\n"))


def _plain_csv(table: pd.DataFrame) -> str:
    """A table with UTC offsets, commas, oldest row first."""
    stamps = [time.isoformat() for time in pd.DatetimeIndex(table.index)]
    return str(table.set_index(pd.Index(stamps, name="datetime")).to_csv(lineterminator="\n"))


def _write(path: Path, text: str) -> None:
    path.write_bytes(text.encode("utf-8"))


def main(arguments: list[str]) -> None:
    """Write the sample into the given directory, or into that of the source checkout."""
    directory = Path(arguments[0]) if arguments else _directories()[0]
    files = write_sample(directory)
    for path in (files.prices, files.minutes, files.day_ahead, files.forecasts):
        print(f"{path.stat().st_size:>9} bytes  {path}")


if __name__ == "__main__":
    main(sys.argv[1:])
