"""The store: every revision kept, whole files only, and what it says of a time gone by."""

from __future__ import annotations

import json
import multiprocessing
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as parquet
import pytest

from arbitrage.errors import BadInput
from arbitrage.market.files.read import read_answer, read_table
from arbitrage.market.files.schemas import QUALITY, RecordQuality
from arbitrage.market.point_in_time import INDICATIVE, PRICE
from arbitrage.market.store import parquet as store_files
from arbitrage.market.store.datasets import DATASETS, MINUTES, PRICES, WIND, Chunk, pieces
from arbitrage.market.store.store import DATASET, FIRST_SEEN, Seen, Stage, Store
from arbitrage.market.store.stored_market import stored_market, stored_tables
from tests.market.fetch import elia_server as double
from tests.market.fetch.elia_server import Row
from tests.shared_data import shared_file

SETS = {dataset.name: dataset for dataset in DATASETS}
MONDAY = pd.Timestamp("2024-06-03T08:00", tz="UTC")
TUESDAY = MONDAY + pd.Timedelta(days=1)
LATER = pd.Timestamp("2024-07-20", tz="UTC")
MUCH_LATER = pd.Timestamp("2024-12-01", tz="UTC")


def utc(text: str) -> pd.Timestamp:
    return pd.Timestamp(text, tz="UTC")


def chunk(dataset: str, start: str = "2024-06-01") -> Chunk:
    return next(pieces(SETS[dataset], utc(start), utc(start) + pd.Timedelta(minutes=1)))


def seen(rows: list[Row], at: pd.Timestamp, *, whole: bool = True) -> Seen:
    table = read_answer("answer", json.dumps(rows).encode())
    return Seen(table.frame, at, table.replaced, whole)


JUNE = chunk("ods134")
FIRST_DAY = ("2024-06-01", "2024-06-02")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def prices(store: Store, **which: object) -> list[float]:
    return store.frame(PRICES, **which)[PRICE].tolist()  # type: ignore[arg-type]


def test_stored_records_are_read_as_a_file_is_read(store: Store) -> None:
    rows = double.quarter_hours(*FIRST_DAY)
    store.absorb(JUNE, seen(rows, MONDAY))
    pd.testing.assert_frame_equal(store.frame(PRICES), read_answer("answer", json.dumps(rows).encode()).frame)


def test_minutes_are_read_as_a_genuine_file_is_read(store: Store) -> None:
    file = shared_file("formats/ods161_portal_csv_labels_bom_lf_NV.csv")
    frame = read_table(file).frame
    store.absorb(chunk("ods161", "2024-09-06"), Seen(frame, MONDAY))
    pd.testing.assert_frame_equal(store.frame(MINUTES), frame)


def test_the_same_records_again_add_nothing_and_leave_the_file_unchanged(store: Store) -> None:
    store.absorb(JUNE, seen(double.quarter_hours(*FIRST_DAY), MONDAY))
    before = store.path(JUNE).stat()
    change = store.absorb(JUNE, seen(double.quarter_hours(*FIRST_DAY)[::-1], TUESDAY))
    assert (change.added, change.revised, change.withdrawn) == (0, 0, 0)
    after = store.path(JUNE).stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_the_same_absence_again_adds_nothing(store: Store) -> None:
    march = chunk("ods047", "2024-03-01")
    rows = double.old_quarter_hours("2024-03-01", "2024-03-02", "NotValidated")
    assert rows[0]["strategicreserveprice"] is None
    store.absorb(march, seen(rows, MONDAY))
    assert store.absorb(march, seen(rows, TUESDAY)).revised == 0


def test_a_record_without_any_value_is_a_record(store: Store) -> None:
    rows = double.solar("2024-06-01", "2024-06-01T00:30")
    for name in ("measured", "mostrecentforecast", "dayaheadforecast"):
        rows[0][name] = None
    store.absorb(chunk("ods032"), seen(rows[3:], MONDAY))
    assert store.absorb(chunk("ods032"), seen(rows, TUESDAY)).added == 1


def test_a_validated_record_counts_before_any_later_revision(store: Store) -> None:
    hour = ("2024-06-01T00:00", "2024-06-01T00:15")
    store.absorb(JUNE, seen(double.quarter_hours(*hour, "Validated", 1.0), MONDAY))
    store.absorb(JUNE, seen(double.quarter_hours(*hour, "NotValidated", 2.0), TUESDAY))
    assert prices(store) == [double.price_of(utc("2024-06-01")) + 1.0]


def test_a_record_that_changed_is_a_revision_and_both_are_kept(store: Store) -> None:
    first = double.quarter_hours("2024-06-01T00:00", "2024-06-01T00:30", "NotValidated")
    second = [first[0], *double.quarter_hours("2024-06-01T00:15", "2024-06-01T00:45", "Validated", shift=5.0)]
    assert store.absorb(JUNE, seen(first, MONDAY)).added == 2
    change = store.absorb(JUNE, seen(second, LATER))
    assert (change.added, change.revised) == (1, 1)
    revisions = store.revisions(PRICES)
    assert revisions[FIRST_SEEN].tolist() == [MONDAY, MONDAY, LATER, LATER]
    old = double.price_of(utc("2024-06-01T00:15"))
    assert revisions[PRICE].tolist()[1:3] == [old, old + 5.0]
    assert revisions[QUALITY].tolist()[1:3] == [RecordQuality.NOT_VALIDATED, RecordQuality.VALIDATED]


def test_a_record_that_changed_only_its_status_is_a_revision(store: Store) -> None:
    store.absorb(JUNE, seen(double.quarter_hours(*FIRST_DAY, "NotValidated"), MONDAY))
    assert store.absorb(JUNE, seen(double.quarter_hours(*FIRST_DAY), LATER)).revised == 96


def test_a_value_that_comes_back_is_a_revision_each_time(store: Store) -> None:
    hour = ("2024-06-01T00:00", "2024-06-01T00:15", "NotValidated")
    for day, shift in enumerate((0.0, 5.0, 0.0)):
        store.absorb(JUNE, seen(double.quarter_hours(*hour, shift), MONDAY + pd.Timedelta(days=day)))
    base = double.price_of(utc("2024-06-01"))
    assert store.revisions(PRICES)[PRICE].tolist() == [base, base + 5.0, base]


def test_a_value_that_was_absent_and_is_given_later_is_a_revision(store: Store) -> None:
    rows = double.quarter_hours("2024-06-01T00:00", "2024-06-01T00:15", "NotValidated")
    store.absorb(JUNE, seen([rows[0] | {"ace": None}], MONDAY))
    assert store.absorb(JUNE, seen(rows, TUESDAY)).revised == 1
    assert store.absorb(JUNE, seen(rows, LATER)).revised == 0


def test_a_new_column_makes_revisions_and_an_absent_one_too(store: Store) -> None:
    rows = double.quarter_hours("2024-06-01T00:00", "2024-06-01T00:15", "NotValidated")
    less = [{name: value for name, value in rows[0].items() if name != "alpha"}]
    store.absorb(JUNE, seen(less, MONDAY))
    assert store.absorb(JUNE, seen(rows, TUESDAY)).revised == 1
    assert store.absorb(JUNE, seen(less, LATER)).revised == 1
    assert store.revisions(PRICES)["alpha_component_eur_mwh"].isna().tolist() == [True, False, True]


def test_rows_of_one_response_that_a_validated_one_replaces_are_kept_before_it(store: Store) -> None:
    hour = ("2024-06-01T00:00", "2024-06-01T00:30")
    rows = [*double.quarter_hours(*hour), *double.quarter_hours(*hour, "NotValidated", shift=-3.0)]
    change = store.absorb(JUNE, seen(rows, MONDAY))
    assert (change.added, change.revised) == (2, 2)
    assert store.revisions(PRICES)[QUALITY].tolist() == [RecordQuality.NOT_VALIDATED, RecordQuality.VALIDATED] * 2
    again = store.absorb(JUNE, seen(rows[::-1], TUESDAY))
    assert (again.added, again.revised) == (0, 0)


def test_records_that_disappear_are_counted_and_kept(store: Store) -> None:
    store.absorb(JUNE, seen(double.quarter_hours(*FIRST_DAY), MONDAY))
    assert store.absorb(JUNE, seen(double.quarter_hours(*FIRST_DAY)[4:], TUESDAY)).withdrawn == 4
    assert len(store.frame(PRICES)) == 96


def test_a_part_of_a_piece_adds_to_it_and_withdraws_nothing(store: Store) -> None:
    store.absorb(JUNE, seen(double.quarter_hours("2024-06-01T00:00", "2024-06-01T01:00"), MONDAY, whole=False))
    change = store.absorb(
        JUNE, seen(double.quarter_hours("2024-06-01T00:45", "2024-06-01T01:30"), TUESDAY, whole=False)
    )
    assert (change.added, change.revised, change.withdrawn) == (2, 0, 0)


# What counts


@pytest.fixture
def revised(store: Store) -> Store:
    """One quarter-hour: live on Monday, of the past on Tuesday, validated later, live again after all."""
    hour = ("2024-06-01T00:00", "2024-06-01T00:15")
    live = chunk("ods162")
    store.absorb(live, seen(double.quarter_hours(*hour, "NotValidated", 1.0), MONDAY))
    store.absorb(JUNE, seen(double.quarter_hours(*hour, "NotValidated", 2.0), TUESDAY))
    store.absorb(JUNE, seen(double.quarter_hours(*hour, "Validated", 3.0), LATER))
    store.absorb(live, seen(double.quarter_hours(*hour, "NotValidated", 4.0), MUCH_LATER))
    return store


@pytest.mark.parametrize(
    ("which", "shifts"),
    [
        ({}, [3.0]),
        ({"stage": Stage.FIRST}, [1.0]),
        ({"stage": Stage.VALIDATED}, [3.0]),
        ({"stage": Stage.VALIDATED, "as_of": TUESDAY}, []),
        ({"as_of": MONDAY - pd.Timedelta(1, "s")}, []),
        ({"as_of": MONDAY}, [1.0]),
        ({"as_of": TUESDAY}, [2.0]),
        ({"as_of": LATER - pd.Timedelta(1, "s")}, [2.0]),
        ({"as_of": LATER}, [3.0]),
        ({"as_of": LATER, "stage": Stage.FIRST}, [1.0]),
    ],
)
def test_the_store_returns_the_chosen_revision(revised: Store, which: dict[str, object], shifts: list[float]) -> None:
    base = double.price_of(utc("2024-06-01"))
    assert prices(revised, **which) == [base + shift for shift in shifts]


def test_a_record_of_a_past_dataset_counts_before_a_live_one(store: Store) -> None:
    hour = ("2024-06-01T00:00", "2024-06-01T00:15", "NotValidated")
    store.absorb(JUNE, seen(double.quarter_hours(*hour, 2.0), MONDAY))
    store.absorb(chunk("ods162"), seen(double.quarter_hours(*hour, 1.0), TUESDAY))
    assert prices(store) == [double.price_of(utc("2024-06-01")) + 2.0]


def test_revisions_name_their_dataset(revised: Store) -> None:
    assert revised.revisions(PRICES)[DATASET].tolist() == ["ods162", "ods134", "ods134", "ods162"]


def test_a_span_is_read_across_pieces_and_dialects(store: Store) -> None:
    store.absorb(chunk("ods047", "2024-05-01"), seen(double.old_quarter_hours("2024-05-20", "2024-05-22"), MUCH_LATER))
    store.absorb(chunk("ods134", "2024-05-23"), seen(double.quarter_hours("2024-05-22", "2024-05-24"), MUCH_LATER))
    store.absorb(JUNE, seen(double.quarter_hours(*FIRST_DAY), MUCH_LATER))
    frame = store.frame(PRICES, utc("2024-05-21T12:00"), utc("2024-06-01T06:00"))
    expected = [
        *double.stamps("2024-05-21T12:00", "2024-05-24", 15),
        *double.stamps("2024-06-01", "2024-06-01T06:00", 15),
    ]
    assert frame.index.tolist() == expected
    assert frame[PRICE].tolist() == [double.price_of(stamp) for stamp in expected]
    assert frame.loc[:"2024-05-21", "net_regulation_volume_mw"].notna().all()
    assert frame.loc["2024-05-22":, "area_control_error_mw"].notna().all()


def test_an_empty_store_is_empty(store: Store) -> None:
    assert len(store.frame(PRICES)) == 0
    assert len(store.frame(MINUTES, as_of=MONDAY, stage=Stage.VALIDATED)) == 0
    assert not store.is_final(JUNE)


# When a piece is final


def whole_june(status: str) -> list[Row]:
    return double.quarter_hours("2024-06-01", "2024-07-01", status)


@pytest.mark.parametrize(
    ("rows", "at", "final"),
    [
        (whole_june("Validated"), LATER, True),
        (whole_june("Validated")[:-1], LATER, False),
        (whole_june("Validated")[:-1], MUCH_LATER, True),
        (whole_june("NotValidated"), LATER, False),
        (whole_june("NotValidated"), MUCH_LATER, False),
        (whole_june("DataIssue"), LATER, False),
        (whole_june("DataIssue"), MUCH_LATER, True),
        ([*whole_june("Validated")[:-1], *whole_june("NV")[-1:]], MUCH_LATER, False),
    ],
    ids=["validated", "gap", "old gap", "open", "old but open", "issue", "old issue", "one open"],
)
def test_a_piece_is_final_when_validated_or_long_past(
    store: Store, rows: list[Row], at: pd.Timestamp, final: bool
) -> None:
    store.absorb(JUNE, seen(rows, at))
    assert store.is_final(JUNE) is final


def test_a_piece_that_was_open_becomes_final_though_nothing_else_changed(store: Store) -> None:
    store.absorb(JUNE, seen(whole_june("DataIssue"), LATER))
    assert store.absorb(JUNE, seen(whole_june("DataIssue"), MUCH_LATER)).revised == 0
    assert store.is_final(JUNE)


def test_a_live_piece_and_a_part_of_a_piece_are_never_final(store: Store) -> None:
    live = chunk("ods162")
    store.absorb(live, seen(double.quarter_hours(*FIRST_DAY), MUCH_LATER))
    assert not store.is_final(live)
    store.absorb(JUNE, seen(whole_june("Validated"), MUCH_LATER, whole=False))
    assert not store.is_final(JUNE)


# Files


def test_a_write_that_is_interrupted_leaves_the_old_file(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    store.absorb(JUNE, seen(double.quarter_hours(*FIRST_DAY), MONDAY))
    before = store.path(JUNE).read_bytes()

    def interrupted(self: Path, target: Path) -> Path:
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        store.absorb(JUNE, seen(double.quarter_hours(*FIRST_DAY, shift=1.0), TUESDAY))
    assert store.path(JUNE).read_bytes() == before
    monkeypatch.undo()
    assert len(list(store.path(JUNE).parent.glob(".*"))) == 1
    store.absorb(JUNE, seen(double.quarter_hours(*FIRST_DAY, shift=1.0), TUESDAY))
    assert list(store.path(JUNE).parent.iterdir()) == [store.path(JUNE)]
    assert len(store.revisions(PRICES)) == 2 * 96


def test_a_half_written_file_of_a_dead_writer_is_never_read_and_swept_by_the_next(store: Store) -> None:
    store.absorb(JUNE, seen(double.quarter_hours(*FIRST_DAY), MONDAY))
    half = store.path(JUNE).parent / ".2024-06.parquet.4711.unfinished"
    half.write_bytes(b"PAR1 half")
    assert len(store.frame(PRICES)) == 96
    store.absorb(JUNE, seen(double.quarter_hours(*FIRST_DAY), TUESDAY))
    assert not half.exists()


@pytest.mark.parametrize("length", [0, 3, 200, -1])
def test_a_damaged_file_is_named_and_not_written_over(store: Store, length: int) -> None:
    store.absorb(JUNE, seen(double.quarter_hours(*FIRST_DAY), MONDAY))
    path = store.path(JUNE)
    damaged = path.read_bytes()[:length]
    path.write_bytes(damaged)
    for act in (
        lambda: store.is_final(JUNE),
        lambda: store.frame(PRICES),
        lambda: store.absorb(JUNE, seen(double.quarter_hours(*FIRST_DAY), TUESDAY)),
    ):
        with pytest.raises(BadInput, match=r"2024-06\.parquet: is damaged: delete it"):
            act()
    assert path.read_bytes() == damaged


def test_a_file_of_another_layout_is_refused(store: Store) -> None:
    path = store.path(JUNE)
    path.parent.mkdir(parents=True)
    frame = read_answer("answer", json.dumps(double.quarter_hours(*FIRST_DAY)).encode()).frame
    frame.to_parquet(path)
    with pytest.raises(BadInput, match="not written by this version of the store"):
        store.frame(PRICES)


def test_a_file_is_small_and_plain_parquet(store: Store) -> None:
    store.absorb(JUNE, seen(whole_june("Validated"), LATER))
    table = parquet.read_table(store.path(JUNE))
    assert table.num_rows == 30 * 96
    assert str(table.schema.field("start").type) == "timestamp[us, tz=UTC]"
    assert store.path(JUNE).stat().st_size < 60_000


def _absorb_minute(directory: Path, number: int) -> None:
    start = utc("2024-06-01") + pd.Timedelta(minutes=number)
    rows = double.minutes(start.isoformat()[:16], (start + pd.Timedelta(minutes=1)).isoformat()[:16])
    Store(directory).absorb(chunk("ods161"), seen(rows, MONDAY, whole=False))


def test_two_writers_do_not_lose_each_others_records(store: Store) -> None:
    context = multiprocessing.get_context("spawn")
    with context.Pool(2) as pool:
        pool.starmap(_absorb_minute, [(store.directory, number) for number in range(12)], chunksize=1)
    assert len(store.frame(MINUTES)) == 12


def test_the_lock_is_held_while_writing(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_files, "_LOCK_WAIT_S", 0.05)
    with (
        store_files.writing(store.directory, store.path(JUNE).parent),
        pytest.raises(OSError, match="lock"),
    ):
        store.absorb(JUNE, seen(double.quarter_hours(*FIRST_DAY), MONDAY))


# Into the house


def test_a_stored_market_has_prices_minutes_and_forecasts(store: Store) -> None:
    store.absorb(JUNE, seen(double.quarter_hours(*FIRST_DAY), MONDAY))
    store.absorb(chunk("ods133"), seen(double.minutes(*FIRST_DAY), MONDAY))
    store.absorb(chunk("ods031"), seen(double.wind(*FIRST_DAY), MONDAY))
    store.absorb(chunk("ods032"), seen(double.solar(*FIRST_DAY), MONDAY))
    market = stored_market(store)
    assert market.price_eur_mwh.tolist() == [double.price_of(stamp) for stamp in double.stamps(*FIRST_DAY, 15)]
    assert INDICATIVE in market.known_series
    minute = market.known_series[INDICATIVE].series()
    assert minute.loc["2024-06-01T11:49Z"] == double.price_of(utc("2024-06-01T11:49"))
    forecasts = stored_tables(store).forecasts
    assert forecasts is not None
    # The parts blow 100 to 500 MW day-ahead, and each the hour besides; see `elia_server.wind`.
    assert forecasts.loc["2024-06-01T07:30Z", "wind_forecast_day_ahead_mw"] == 1500.0 + 5 * 7
    assert forecasts.loc["2024-06-01T07:30Z", "solar_forecast_day_ahead_mw"] == 1000.0 + 7


def test_a_market_without_prices_is_refused(store: Store) -> None:
    store.absorb(chunk("ods031"), seen(double.wind(*FIRST_DAY), MONDAY))
    with pytest.raises(BadInput, match="no imbalance price"):
        stored_market(store)


# Wind and solar by region


def test_a_sum_of_wind_lacks_what_a_part_lacks(store: Store) -> None:
    rows = double.wind(*FIRST_DAY)
    rows[7]["dayaheadforecast"] = None  # of the second quarter-hour
    del rows[10]  # of the third
    frame = read_answer("wind", json.dumps(rows[::-1]).encode()).frame
    absent = np.flatnonzero(frame[WIND.value].isna())
    assert absent.tolist() == [1, 2]
    assert frame["wind_measured_mw"].iloc[:3].tolist()[:2] == [1505.0, 1505.0]


def test_parts_of_wind_that_contradict_each_other_are_refused() -> None:
    rows = double.wind("2024-06-01", "2024-06-01T00:15")
    with pytest.raises(BadInput, match="wind_forecast_day_ahead_mw"):
        read_answer("wind", json.dumps([*rows, rows[0] | {"dayaheadforecast": 7.0}]).encode())
    repeated = read_answer("wind", json.dumps([*rows, rows[0]]).encode())
    assert repeated.duplicates_collapsed == 1


def test_solar_without_the_country_is_refused() -> None:
    rows = [row for row in double.solar(*FIRST_DAY) if row["region"] != "Belgium"]
    with pytest.raises(BadInput, match="no row for Belgium"):
        read_answer("solar", json.dumps(rows).encode())
