"""The supported file formats, each with a short example.

Contract: every example is a complete file, and a test reads each of them with the options given. Parquet files have the
columns of the CSV examples, with timestamps that carry a time zone.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from arbitrage.market.files.schemas import Kind


@dataclass(frozen=True, slots=True)
class Format:
    """One file format of a kind of table."""

    kind: Kind
    source: str
    example: str
    options: dict[str, str] = field(default_factory=dict)
    """Options of `read_table`; the commands take them as --timezone and --decimal."""


_STAMP = "2025-01-01T00:00:00+01:00"
FORMATS = (
    Format(
        Kind.IMBALANCE_PRICE_QUARTER_HOUR,
        "Elia open data, CSV with labels (ods134, ods162)",
        f"Datetime;Quality status;System imbalance;Imbalance Price\n{_STAMP};Validated;-12.5;87.3\n",
    ),
    Format(
        Kind.IMBALANCE_PRICE_QUARTER_HOUR,
        "Elia open data, CSV with API names, two prices (ods047)",
        f"datetime,qualitystatus,positiveimbalanceprice,negativeimbalanceprice\n{_STAMP},Validated,87.3,87.3\n",
    ),
    Format(
        Kind.IMBALANCE_PRICE_QUARTER_HOUR,
        "Elia open data, JSON: an export, or an API response with records",
        f'[{{"datetime": "{_STAMP}",\n  "qualitystatus": "Validated", "imbalanceprice": 87.3}}]\n',
    ),
    Format(
        Kind.IMBALANCE_PRICE_QUARTER_HOUR,
        "saved from a spreadsheet: local times, decimal comma",
        "sep=;\nDatetime;Imbalance Price\n31/12/2022 23:45;-17,95\n",
        {"timezone": "Europe/Brussels", "decimal": ","},
    ),
    Format(
        Kind.IMBALANCE_PRICE_MINUTE,
        "Elia open data (ods133, ods161, ods046)",
        "Datetime;Quarter hour;System imbalance;Imbalance Price\n"
        "2025-01-01T00:01:00+01:00;2025-01-01T00:00:00+01:00;-12.5;87.3\n",
    ),
    Format(
        Kind.DAY_AHEAD_PRICE,
        "your own table, by the hour or quarter-hour",
        "datetime,day_ahead_price_eur_mwh\n2025-01-01T00:00:00+01:00,46.6\n",
    ),
    Format(
        Kind.DAY_AHEAD_PRICE,
        "ENTSO-E's web site, older layout",
        '"MTU (CET/CEST)","Day-ahead Price [EUR/MWh]","Currency","BZN|BE"\n'
        '"01.01.2022 00:00 - 01.01.2022 01:00","46.60","EUR",""\n',
    ),
    Format(
        Kind.DAY_AHEAD_PRICE,
        "ENTSO-E's web site, newer layout",
        '"MTU (CET/CEST)","Area","Sequence","Day-ahead Price (EUR/MWh)"\n'
        '"01/10/2025 00:00:00 - 01/10/2025 00:15:00","BZN|BE","Sequence 1","84.2"\n',
    ),
    Format(
        Kind.DAY_AHEAD_PRICE,
        "Energy-Charts, JSON",
        '{"unix_seconds": [1759269600], "price": [84.2], "unit": "EUR / MWh"}\n',
    ),
    Format(
        Kind.WIND_SOLAR_FORECAST,
        "your own table, by the quarter-hour",
        "datetime,wind_forecast_day_ahead_mw,solar_forecast_day_ahead_mw\n2025-01-01T00:00:00Z,1200,0\n",
    ),
    Format(
        Kind.WIND_SOLAR_FORECAST,
        "Elia open data, wind by part (ods031, ods086)",
        "datetime,offshoreonshore,region,gridconnectiontype,dayaheadforecast\n"
        "2025-01-01T00:00:00Z,Offshore,Federal,Elia,1200\n",
    ),
    Format(
        Kind.WIND_SOLAR_FORECAST,
        "Elia open data, solar by region (ods032, ods087)",
        "datetime,region,dayaheadforecast\n2025-01-01T12:00:00Z,Belgium,300\n",
    ),
    Format(
        Kind.SYSTEM_IMBALANCE_FORECAST,
        "Elia open data (ods136, ods147)",
        "Prediction Datetime;Quarter hour;System imbalance forecast\n2025-01-01T00:01:06Z;2025-01-01T00:15:00Z;-38.2\n",
    ),
    Format(
        Kind.SYSTEM_IMBALANCE_COMPONENTS,
        "Elia open data, activated volumes by minute",
        "Datetime,System imbalance,aFRR+,aFRR-\n2025-01-01T00:01:00Z,-12.5,11.4,3.9\n",
    ),
    Format(
        Kind.MERIT_ORDER,
        "a bid ladder, as exported by the former web site of Elia",
        "Datetime,-100MW,100MW\n2025-01-01T00:00:00Z,84.58,175.19\n",
    ),
)
