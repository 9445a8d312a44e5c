"""The embedded sample: what is committed is what the writer writes, and it says that it is simulated."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from arbitrage.market.files.read import read_market, read_table
from arbitrage.market.point_in_time import DAY_AHEAD, PRICE, SOLAR_FORECAST, WIND_FORECAST
from arbitrage.market.series import MarketSeries
from arbitrage.market.simulation import sample
from arbitrage.quarter_hour import BRUSSELS, MINUTES_PER_QUARTER_HOUR

FIELDS = ("prices", "day_ahead", "forecasts", "minutes")


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> sample.SampleFiles:
    """The sample written anew."""
    return sample.write_sample(tmp_path_factory.mktemp("sample"))


@pytest.fixture(scope="module")
def market() -> MarketSeries:
    """The shipped sample as the reader takes it."""
    files = sample.sample_files()
    return read_market(files.prices, day_ahead=files.day_ahead, forecasts=files.forecasts)


@pytest.mark.parametrize("field", FIELDS)
def test_the_committed_sample_is_what_the_writer_writes(written: sample.SampleFiles, field: str) -> None:
    committed: Path = getattr(sample.sample_files(), field)
    assert committed.read_bytes() == getattr(written, field).read_bytes()


@pytest.mark.parametrize("field", FIELDS)
def test_every_file_says_in_its_name_that_it_is_simulated(field: str) -> None:
    assert getattr(sample.sample_files(), field).name.startswith("SIMULATED_")


def test_the_sample_says_in_its_readme_that_it_is_simulated() -> None:
    assert "SIMULATED" in (sample.sample_files().prices.parent / "README.md").read_text(encoding="utf-8")


def test_the_sample_is_small() -> None:
    assert sum(getattr(sample.sample_files(), field).stat().st_size for field in FIELDS) < 5_000_000


def test_the_reader_takes_the_sample_as_three_whole_months_without_a_gap(market: MarketSeries) -> None:
    local = pd.DatetimeIndex(market.frame.index).tz_convert(BRUSSELS)
    assert (str(local[0]), str(local[-1])) == ("2025-03-01 00:00:00+01:00", "2025-05-31 23:45:00+02:00")
    assert len(market) == 92 * 96 - 4
    assert len(market.gaps()) == 0


def test_what_the_reader_takes_is_what_was_simulated(market: MarketSeries) -> None:
    world = sample.simulate_sample()
    np.testing.assert_array_equal(market.price_eur_mwh, world.prices[PRICE])
    known = market.known_at(market.quarter_hours[200:])
    np.testing.assert_array_equal(known.gather(DAY_AHEAD, [0])[::4, 0], world.day_ahead[DAY_AHEAD].to_numpy()[50:])
    for name in (WIND_FORECAST, SOLAR_FORECAST):
        np.testing.assert_allclose(known.gather(name, [0])[:, 0], world.forecasts[name].to_numpy()[200:], atol=0.51)


def test_the_minutes_of_the_sample_end_in_its_quarter_hours(market: MarketSeries) -> None:
    table = read_table(sample.sample_files().minutes)
    assert len(table.frame) == (21 * 24 - 1) * 60
    last = table.frame.iloc[MINUTES_PER_QUARTER_HOUR - 1 :: MINUTES_PER_QUARTER_HOUR].set_index("quarter_hour")
    np.testing.assert_array_equal(last[PRICE], market.frame.loc[last.index, PRICE])


def test_the_files_are_in_the_portals_dialect() -> None:
    files = sample.sample_files()
    prices = files.prices.read_text(encoding="utf-8").splitlines()
    assert prices[0] == (
        "\ufeffDatetime;Resolution code;Quality status;ACE;System imbalance;Alpha;Alpha';"
        "Marginal incremental price;Marginal decremental price;Imbalance Price"
    )
    assert prices[1].startswith("2025-05-31T23:45:00+02:00;PT15M;NotValidated;")
    assert prices[-1].startswith("2025-03-01T00:00:00+01:00;PT15M;NotValidated;")
    minutes = files.minutes.read_text(encoding="utf-8").splitlines()
    assert minutes[0] == (
        "\ufeffDatetime;Resolution code;Quarter hour;Quality status;ACE;System imbalance;Alpha;Alpha';"
        "Marginal incremental price;Marginal decremental price;Imbalance Price"
    )
    assert minutes[1].startswith("2025-04-06T23:59:00+02:00;PT1M;2025-04-06T23:45:00+02:00;NV;")


def test_the_sample_is_as_learnable_and_as_volatile_as_the_market_of_2022(market: MarketSeries) -> None:
    price = market.price_eur_mwh
    day_ahead = market.known_series[DAY_AHEAD].values
    assert np.corrcoef(price[:-1], price[1:])[0, 1] == pytest.approx(0.71, abs=0.07)
    assert np.corrcoef(price, day_ahead)[0, 1] == pytest.approx(0.57, abs=0.10)
    days = market.frame[PRICE].groupby(market.day_numbers)
    assert (days.max() - days.min()).median() == pytest.approx(693.0, rel=0.25)


def test_an_installed_package_finds_the_sample_inside_itself(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    installed = tmp_path / "arbitrage" / "sample"
    installed.mkdir(parents=True)
    monkeypatch.setattr(sample, "__file__", str(tmp_path / "arbitrage" / "market" / "simulation" / "sample.py"))
    assert sample.sample_files().prices.parent == installed


def test_the_command_writes_into_the_given_directory(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sample.main([str(tmp_path)])
    assert {path.name for path in tmp_path.iterdir()} == {
        getattr(sample.sample_files(), field).name for field in FIELDS
    }
    assert "bytes" in capsys.readouterr().out
