"""Declarations of the tables of the Belgian market and of their columns.

Contract
- Every spelling of a column maps to one standard name, and that name carries its unit.
- A column is declared once, with every spelling that was seen for it.

Sources: Elia open data (ods031, 032, 046, 047, 078, 086, 087, 133, 134, 136, 147, 161, 162), the former Elia web site
(merit order), ENTSO-E day-ahead prices, Energy-Charts. API names of the activated volumes are those of ods127 and
ods169.

Not checked against genuine data: API names of ods136, ods147 and the wind and solar datasets (taken from public clients
of that API); both layouts of ENTSO-E's web site, to 2024 and since (taken from public programs that read such files);
the response of Energy-Charts (taken from its documentation).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum, StrEnum

from arbitrage.market.point_in_time import DAY_AHEAD, PRICE, SOLAR_FORECAST, WIND_FORECAST
from arbitrage.quarter_hour import MINUTES_PER_HOUR, MINUTES_PER_QUARTER_HOUR

START = "start"
UNIX_SECONDS = "unix_seconds"
QUARTER_HOUR = "quarter_hour"
QUALITY = "quality"
NEGATIVE_PRICE = "negative_imbalance_price_eur_mwh"
RESOLUTION = "resolution"
DURATION = "duration_min"


class Kind(Enum):
    """The kind of a table; messages use the value."""

    IMBALANCE_PRICE_QUARTER_HOUR = "imbalance prices by quarter-hour"
    IMBALANCE_PRICE_MINUTE = "imbalance prices by minute"
    SYSTEM_IMBALANCE_FORECAST = "forecasts of the system imbalance"
    SYSTEM_IMBALANCE_COMPONENTS = "system imbalance and activated volumes by minute"
    MERIT_ORDER = "a merit order (bid ladder)"
    DAY_AHEAD_PRICE = "day-ahead prices"
    WIND_SOLAR_FORECAST = "wind and solar forecasts"
    WIND_BY_PART = "wind forecasts by region and connection"
    SOLAR_BY_REGION = "solar forecasts by region"


class RecordQuality(StrEnum):
    """The quality status that Elia gives a record."""

    VALIDATED = "validated"
    NOT_VALIDATED = "not_validated"
    DATA_ISSUE = "data_issue"
    UNKNOWN = "unknown"


_QUALITIES = {
    "validated": RecordQuality.VALIDATED,
    "validatedinferred": RecordQuality.VALIDATED,
    "notvalidated": RecordQuality.NOT_VALIDATED,
    "nonvalidated": RecordQuality.NOT_VALIDATED,
    "nv": RecordQuality.NOT_VALIDATED,
    "dataissue": RecordQuality.DATA_ISSUE,
}


def quality_of(status: str | None) -> RecordQuality:
    """The quality of a published status; UNKNOWN for an unknown status or none."""
    return _QUALITIES.get(re.sub(r"[^a-z]", "", (status or "").lower()), RecordQuality.UNKNOWN)


class Role(Enum):
    """How to read and check the cells of a column."""

    START = "start of the interval: the index"
    TIME = "another time, on the quarter-hour"
    PRICE = "a number, required in every row"
    NUMBER = "a number, may be absent"
    QUALITY = "a quality status"
    RESOLUTION = "a resolution code"
    INTERVAL = "start and end of the interval in one cell"
    AREA = "the area of a price"
    CURRENCY = "the currency of a price"
    SEQUENCE = "the auction of a price, where there are several"
    TEXT = "text, kept unchanged"


@dataclass(frozen=True, slots=True)
class Column:
    """One column: its standard name, its role, and its other spellings."""

    name: str
    role: Role
    spellings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Layout:
    """One set of columns that identifies a kind of table."""

    kind: Kind
    columns: tuple[Column, ...]
    needs: frozenset[str]
    """Columns that a table of this layout must have."""
    needs_one_of: frozenset[str] = frozenset()
    resolutions: tuple[str, ...] = ()
    """Resolution codes that its rows may carry."""
    step_min: int | None = MINUTES_PER_QUARTER_HOUR
    """The grid of `start`; None where records are not on a grid of minutes."""
    no_price: frozenset[str] = frozenset()
    """Cells that mean "no price published", so that the interval is a gap. Empty: each row must have its price."""
    times: str = START
    """The column with the time of the interval."""

    def fits(self, names: set[str]) -> bool:
        """Whether columns of these names match this layout."""
        return self.needs <= names and (not self.needs_one_of or bool(self.needs_one_of & names))


def _numbers(*columns: tuple[str, ...]) -> tuple[Column, ...]:
    """Columns of numbers, each given as its name and its other spellings."""
    return tuple(Column(name, Role.NUMBER, tuple(spellings)) for name, *spellings in columns)


def _api_probability(low: str, high: str) -> str:
    return f"predictions_categoricalsiprediction_from_{low}_to_{high}"


_START = Column(START, Role.START, ("Datetime", "datetime_utc"))
_QUARTER_HOUR = Column(QUARTER_HOUR, Role.TIME, ("Quarter hour", "quarter_hour_utc"))
_RESOLUTION = Column(RESOLUTION, Role.RESOLUTION, ("Resolution code",))
_SYSTEM_IMBALANCE = _numbers(
    ("system_imbalance_mw", "System imbalance"),
    ("net_regulation_volume_mw", "Net regulation volume", "nrv_mw"),
    ("area_control_error_mw", "ACE", "ace_mw"),
)
_PRICE_PARTS = _numbers(
    ("alpha_component_eur_mwh", "Alpha", "alpha_eur_mwh"),
    ("alpha_prime_component_eur_mwh", "Alpha'", "alpha_prime_eur_mwh"),
    ("marginal_incremental_price_eur_mwh", "Marginal incremental price", "mip_eur_mwh"),
    ("marginal_decremental_price_eur_mwh", "Marginal decremental price", "mdp_eur_mwh"),
    ("strategic_reserve_price_eur_mwh", "Strategic reserve price"),
)
_STATUS = (
    Column(QUALITY, Role.QUALITY, ("Quality status",)),
    Column("covariate_quality", Role.QUALITY),
    Column("price_source", Role.TEXT),
)
_ONE_PRICE = (Column(PRICE, Role.PRICE, ("Imbalance Price",)),)
_TWO_PRICES = (
    Column(PRICE, Role.PRICE, ("Positive imbalance price",)),
    Column(NEGATIVE_PRICE, Role.PRICE, ("Negative imbalance price",)),
)
_VOLUMES = _numbers(
    ("strategic_reserve_mw", "SR"),
    ("gross_upward_volume_mw", "GUV"),
    ("gross_downward_volume_mw", "GDV"),
    ("afrr_up_mw", "aFRR+", "afrrvolumeup"),
    ("afrr_down_mw", "aFRR-", "afrrvolumedown"),
    ("igcc_up_mw", "IGCC+", "igccvolumeup"),
    ("igcc_down_mw", "IGCC-", "igccvolumedown"),
    ("bids_up_mw", "Bids+"),
    ("bids_down_mw", "Bids-"),
    ("mfrr_standard_mw", "mFRR Standard"),
    ("mfrr_flex_mw", "mFRR Flex"),
    ("ich_up_mw", "ICH+"),
    ("inter_tso_import_mw", "Inter-TSO import"),
    ("inter_tso_export_mw", "Inter-TSO export"),
)
_SYSTEM_IMBALANCE_FORECAST = _numbers(
    ("system_imbalance_forecast_mw", "System imbalance forecast", "predictions_silinearregressionforecast"),
    ("input_data_available_fraction", "Input data availability", "predictionquality"),
    ("probability_below_m400mw_fraction", "Probability in [-inf,-400]", _api_probability("minus_inf", "minus_400")),
    ("probability_m400mw_to_m200mw_fraction", "Probability in [-400,-200]", _api_probability("minus_400", "minus_200")),
    ("probability_m200mw_to_0mw_fraction", "Probability in [-200,0]", _api_probability("minus_200", "0")),
    ("probability_0mw_to_200mw_fraction", "Probability in [0,200]", _api_probability("0", "200")),
    ("probability_200mw_to_400mw_fraction", "Probability in [200,400]", _api_probability("200", "400")),
    ("probability_above_400mw_fraction", "Probability in [400,inf]", _api_probability("400", "inf")),
)
_WIND_SOLAR = _numbers(
    (WIND_FORECAST, "wind_forecast_da6pm_mw"),
    (SOLAR_FORECAST, "solar_forecast_da6pm_mw"),
    ("wind_forecast_recent_mw",),
    ("solar_forecast_recent_mw",),
    ("wind_measured_mw",),
    ("solar_measured_mw",),
)
REGION = "region"
PART_COLUMNS = ("offshore_onshore", REGION, "grid_connection")
"""The columns that identify a part of the national wind production."""
_PARTS = (
    Column(PART_COLUMNS[0], Role.TEXT, ("Offshore/onshore",)),
    Column(PART_COLUMNS[1], Role.TEXT),
    Column(PART_COLUMNS[2], Role.TEXT, ("Grid connection type",)),
)
PART_DAY_AHEAD = "day_ahead_forecast_mw"
_PART_VALUES = _numbers(
    (PART_DAY_AHEAD, "dayaheadforecast"),
    ("recent_forecast_mw", "mostrecentforecast"),
    ("measured_mw", "measured", "realtime"),
)
"""`dayaheadforecast` is the day-ahead forecast of 18:00."""


def ladder_column(activated_mw: int) -> str:
    """Column name of the marginal price at an activated volume; downward volumes are negative."""
    return f"ladder_{'m' if activated_mw < 0 else ''}{abs(activated_mw)}mw_eur_mwh"


_LADDER = (
    *_numbers(("imbalance_price_excl_alpha_eur_mwh",), ("ladder_down_max_eur_mwh", "-Max")),
    *_numbers(*((ladder_column(mw), f"{mw}MW") for mw in range(-1000, 1001, 100))),
    *_numbers(("ladder_up_max_eur_mwh", "Max")),
)

INTERVAL = "interval"
AREA = "area"
CURRENCY = "currency"
SEQUENCE = "sequence"
_WEB_SITE = (
    Column(INTERVAL, Role.INTERVAL, ("MTU (CET/CEST)", "MTU (UTC)", "MTU (CET)", "MTU")),
    Column(DAY_AHEAD, Role.PRICE, ("Day-ahead Price [EUR/MWh]",)),
    Column(AREA, Role.AREA, ("BZN|BE",)),
    Column(CURRENCY, Role.CURRENCY),
    Column(SEQUENCE, Role.SEQUENCE),
)
"""The export of day-ahead prices of ENTSO-E's web site; the older layout has the area as a column name."""

_QUARTER_HOURLY = ("PT15M",)
_MINUTELY = ("PT1M",)
DURATIONS_MIN = {"PT60M": MINUTES_PER_HOUR, "PT1H": MINUTES_PER_HOUR, "PT15M": MINUTES_PER_QUARTER_HOUR}
"""Resolution codes of day-ahead prices and the minutes they stand for."""


def _imbalance_layout(kind: Kind, price: tuple[Column, ...]) -> Layout:
    by_minute = kind is Kind.IMBALANCE_PRICE_MINUTE
    keys = (_START, _QUARTER_HOUR) if by_minute else (_START,)
    return Layout(
        kind,
        (*keys, _RESOLUTION, *price, *_SYSTEM_IMBALANCE, *_PRICE_PARTS, *_STATUS),
        needs=frozenset(column.name for column in (*keys, *price)),
        resolutions=_MINUTELY if by_minute else _QUARTER_HOURLY,
        step_min=1 if by_minute else MINUTES_PER_QUARTER_HOUR,
    )


LAYOUTS = (
    _imbalance_layout(Kind.IMBALANCE_PRICE_QUARTER_HOUR, _ONE_PRICE),
    _imbalance_layout(Kind.IMBALANCE_PRICE_QUARTER_HOUR, _TWO_PRICES),
    _imbalance_layout(Kind.IMBALANCE_PRICE_MINUTE, _ONE_PRICE),
    _imbalance_layout(Kind.IMBALANCE_PRICE_MINUTE, _TWO_PRICES),
    Layout(
        Kind.SYSTEM_IMBALANCE_FORECAST,
        (
            Column(START, Role.START, ("Prediction Datetime", "predictiontimeutc")),
            Column(QUARTER_HOUR, Role.TIME, (*_QUARTER_HOUR.spellings, "predictions_forecastedtimeutc")),
            _RESOLUTION,
            *_SYSTEM_IMBALANCE_FORECAST,
        ),
        needs=frozenset({START, QUARTER_HOUR, "system_imbalance_forecast_mw"}),
        resolutions=_MINUTELY,
        step_min=None,
    ),
    Layout(
        Kind.SYSTEM_IMBALANCE_COMPONENTS,
        (_START, _RESOLUTION, *_SYSTEM_IMBALANCE, *_VOLUMES, _STATUS[0]),
        needs=frozenset({START, "system_imbalance_mw", "afrr_up_mw", "afrr_down_mw"}),
        resolutions=_MINUTELY,
        step_min=1,
    ),
    Layout(
        Kind.MERIT_ORDER,
        (_START, _RESOLUTION, *_SYSTEM_IMBALANCE, *_PRICE_PARTS, *_LADDER, *_STATUS),
        needs=frozenset({START, ladder_column(-100), ladder_column(100)}),
        resolutions=_QUARTER_HOURLY,
    ),
    Layout(
        Kind.DAY_AHEAD_PRICE,
        (_START, _RESOLUTION, Column(DAY_AHEAD, Role.PRICE, ("dam_price_eur_mwh", "Day-ahead Price [EUR/MWh]"))),
        needs=frozenset({START, DAY_AHEAD}),
        resolutions=tuple(DURATIONS_MIN),
    ),
    Layout(
        Kind.DAY_AHEAD_PRICE,
        _WEB_SITE,
        needs=frozenset({INTERVAL, DAY_AHEAD}),
        no_price=frozenset({"", "-", "n/e", "n/a"}),
        times=INTERVAL,
    ),
    Layout(
        Kind.DAY_AHEAD_PRICE,
        (Column(UNIX_SECONDS, Role.START), _RESOLUTION, Column(DAY_AHEAD, Role.PRICE, ("price",))),
        needs=frozenset({UNIX_SECONDS, DAY_AHEAD}),
        resolutions=tuple(DURATIONS_MIN),
        no_price=frozenset({""}),
        times=UNIX_SECONDS,
    ),
    Layout(
        Kind.WIND_SOLAR_FORECAST,
        (_START, _RESOLUTION, *_WIND_SOLAR),
        needs=frozenset({START}),
        needs_one_of=frozenset({WIND_FORECAST, SOLAR_FORECAST}),
        resolutions=_QUARTER_HOURLY,
    ),
    Layout(
        Kind.WIND_BY_PART,
        (_START, _RESOLUTION, *_PARTS, *_PART_VALUES),
        needs=frozenset({START, PART_DAY_AHEAD, *PART_COLUMNS}),
        resolutions=_QUARTER_HOURLY,
    ),
    Layout(
        Kind.SOLAR_BY_REGION,
        (_START, _RESOLUTION, _PARTS[1], *_PART_VALUES),
        needs=frozenset({START, PART_DAY_AHEAD, REGION}),
        resolutions=_QUARTER_HOURLY,
    ),
)
