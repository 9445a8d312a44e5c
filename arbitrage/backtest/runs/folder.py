"""The run folder: what a backtest leaves, from which its tear sheet can be drawn again without data or policy.

    summary.json            what was asked, on what, by which code, and the figures; its form is `run_schema.json`
    ledgers/00.parquet ...  the ledger of each strategy, in order
    foresight.parquet       the optimum of the same quarter-hours
    days.parquet            profit of each Brussels day, a column a strategy
    day_ahead.parquet       day-ahead prices, where there are any

Contract
- A folder is there whole or not at all, and is never written over.
- `summary.json` bears a digest of itself and of every other file. What is altered, foreign, damaged or newer is refused
  with every reason.
- The same backtest leaves the same bytes, wherever and whenever it runs.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from hashlib import sha256
from importlib import resources
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pandas as pd

from arbitrage.backtest.comparison import daily_profits_eur
from arbitrage.backtest.engine import Backtest
from arbitrage.backtest.hindsight.perfect_foresight import Foresight
from arbitrage.backtest.ledger import violations
from arbitrage.backtest.metrics import summary
from arbitrage.backtest.plain import plain
from arbitrage.backtest.report.tear_sheet import PriceStage, ReportContext
from arbitrage.backtest.runs.tables import decode_table, encode_table
from arbitrage.battery import Battery
from arbitrage.errors import BadInput, Fault, refuse
from arbitrage.market.coverage import SourceCoverage
from arbitrage.market.series import MarketSeries, MinuteSource
from arbitrage.market.splits import SocReset, Span
from arbitrage.quarter_hour import MINUTES_PER_QUARTER_HOUR, utc_timestamps

SCHEMA_VERSION = 1
SUMMARY_FILE = "summary.json"
KIND = "arbitrage backtest"
_FORESIGHT, _DAYS, _DAY_AHEAD = "foresight.parquet", "days.parquet", "day_ahead.parquet"
_PACKAGES = ("arbitrage", "highspy", "numba", "numpy", "pandas", "pyarrow", "torch")
_FORESIGHT_COLUMNS = ("charge_mwh", "discharge_mwh", "soc_mwh")

Files = Mapping[str, bytes]
"""Content by the path inside the folder."""


def installed_versions() -> dict[str, str]:
    """Versions of the packages that figures depend on."""
    return {name: version(name) for name in _PACKAGES}


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One or more backtests on the same quarter-hours with the same battery, and where they come from."""

    backtests: tuple[Backtest, ...]
    """The first is the one that the tear sheet is about."""
    context: ReportContext
    config: Mapping[str, Any]
    """What was asked, ready for JSON: command, spans, delays and the like."""
    facts: tuple[Mapping[str, Any], ...]
    """Of each strategy, ready for JSON: which policy, how its risk is set."""
    versions: Mapping[str, str] = field(default_factory=installed_versions)


def span_times(market: MarketSeries, selection: Sequence[Span]) -> list[list[str]]:
    """Spans as UTC times [start, end), for a run's config."""
    edges = [(span.first, span.last - 1) for span in selection]
    starts = utc_timestamps(market.quarter_hours[[first for first, _ in edges]])
    ends = utc_timestamps(market.quarter_hours[[last for _, last in edges]] + MINUTES_PER_QUARTER_HOUR)
    return [[start.isoformat(), end.isoformat()] for start, end in zip(starts, ends, strict=True)]


def write_run(directory: Path, run: Run) -> None:
    """Leave a run in a folder that is not there yet. Raises BadInput, see `refuse_taken` and `run_files`."""
    write_files(directory, run_files(run))


def write_files(directory: Path, files: Files) -> None:
    """Put the files of a run into a folder that is not there yet, whole or not at all. Raises BadInput."""
    refuse_taken(directory)
    directory.parent.mkdir(parents=True, exist_ok=True)
    beside = Path(tempfile.mkdtemp(dir=directory.parent, prefix=f".{directory.name}.unfinished-"))
    try:
        for name, content in files.items():
            path = beside / name
            path.parent.mkdir(exist_ok=True)
            with path.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
        beside.chmod(0o755)
        beside.rename(directory)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def refuse_taken(directory: Path) -> None:
    """Raise BadInput where something is in the folder's place: nothing is written over."""
    if directory.exists() and not (directory.is_dir() and not any(directory.iterdir())):
        raise BadInput([Fault(str(directory), "is there already; name another folder")])


def read_run(directory: Path) -> Run:
    """The run that a folder holds. Raises BadInput with every reason why it cannot be used."""
    return run_of_files(read_files(directory), str(directory))


def read_files(directory: Path) -> dict[str, bytes]:
    """The files of a run folder: the summary and what it names, as far as they can be read. Raises BadInput."""
    path = directory / SUMMARY_FILE
    if not path.is_file():
        raise BadInput([Fault(str(directory), f"is not a run folder: it has no {SUMMARY_FILE}")])
    content = path.read_bytes()
    named = _sound_summary(content, str(directory))["files"]
    present = {name: directory / name for name in named if (directory / name).is_file()}
    return {SUMMARY_FILE: content, **{name: file.read_bytes() for name, file in present.items()}}


def run_files(run: Run) -> dict[str, bytes]:
    """The content of a run's folder. Raises BadInput if its backtests do not belong together."""
    first = run.backtests[0]
    days = daily_profits_eur(run.backtests)
    refuse(
        Fault(backtest.strategy, f"was measured against another optimum than {first.strategy}")
        for backtest in run.backtests[1:]
        if not _same_foresight(backtest.foresight, first.foresight)
    )
    files = {_ledger_name(number): encode_table(each.ledger) for number, each in enumerate(run.backtests)}
    schedule = {name: getattr(first.foresight, name) for name in _FORESIGHT_COLUMNS}
    files[_FORESIGHT] = encode_table(pd.DataFrame(schedule, index=first.ledger.index))
    files[_DAYS] = encode_table(days)
    if run.context.day_ahead_eur_mwh is not None:
        files[_DAY_AHEAD] = encode_table(
            run.context.day_ahead_eur_mwh.rename("eur_mwh").rename_axis("start").to_frame()
        )
    document = _summary(run, files)
    return {SUMMARY_FILE: json.dumps({**document, "digest": _digest(document)}, indent=1).encode() + b"\n", **files}


def run_of_files(files: Files, where: str) -> Run:
    """The inverse of `run_files`; `where` names them in faults. Raises BadInput with every reason."""
    document = _sound_summary(files[SUMMARY_FILE], where)
    refuse(_file_faults(document["files"], files, where))
    tables = {name: decode_table(content, f"{where}/{name}") for name, content in files.items() if name != SUMMARY_FILE}
    schedule = tables[_FORESIGHT]
    columns = [schedule[name].to_numpy(np.float64) for name in _FORESIGHT_COLUMNS]
    foresight = Foresight(document["foresight_profit_eur"], *columns)
    battery = _battery(document["battery"], where)
    backtests = []
    for entry in document["strategies"]:
        ledger = tables[entry["ledger"]]
        figures = entry["figures"]
        covered = tuple(SourceCoverage(source, **counts) for source, counts in figures.get("coverage", {}).items())
        broken, seen = violations(ledger, battery), figures.get("in_sample_days")
        backtests.append(Backtest(entry["strategy"], battery, ledger, broken, foresight, covered, seen))
    return Run(
        backtests=tuple(backtests),
        context=_context(document["context"], tables.get(_DAY_AHEAD)),
        config=document["config"],
        facts=tuple(entry["facts"] for entry in document["strategies"]),
        versions=document["versions"],
    )


def summary_of(files: Files, where: str) -> dict[str, Any]:
    """What `summary.json` says. Raises BadInput."""
    return _sound_summary(files[SUMMARY_FILE], where)


def _ledger_name(number: int) -> str:
    return f"ledgers/{number:02d}.parquet"


def _same_foresight(one: Foresight, other: Foresight) -> bool:
    return one.profit_eur == other.profit_eur and all(
        np.array_equal(getattr(one, name), getattr(other, name)) for name in _FORESIGHT_COLUMNS
    )


def _summary(run: Run, files: Files) -> dict[str, Any]:
    context = {entry.name: getattr(run.context, entry.name) for entry in fields(run.context)}
    del context["day_ahead_eur_mwh"]
    strategies = [
        {"strategy": backtest.strategy, "ledger": _ledger_name(number), "facts": dict(facts), "figures": figures}
        for number, (backtest, facts, figures) in enumerate(
            zip(run.backtests, run.facts, map(summary, run.backtests), strict=True)
        )
    ]
    document: dict[str, Any] = plain(
        {
            "schema_version": SCHEMA_VERSION,
            "kind": KIND,
            "config": dict(run.config),
            "battery": asdict(run.backtests[0].battery),
            "context": context,
            "versions": dict(run.versions),
            "foresight_profit_eur": run.backtests[0].foresight.profit_eur,
            "strategies": strategies,
            "files": {name: sha256(content).hexdigest() for name, content in files.items()},
        }
    )
    return document


def _digest(document: Mapping[str, Any]) -> str:
    """Of a summary without its digest."""
    return sha256(json.dumps(document, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _sound_summary(content: bytes, where: str) -> dict[str, Any]:
    """The summary, if it is one of ours and unaltered. Raises BadInput with every reason."""
    place = f"{where}/{SUMMARY_FILE}"
    try:
        document = json.loads(content)
    except ValueError as error:
        raise BadInput([Fault(place, f"is not JSON: {error}")]) from error
    if not isinstance(document, dict) or document.get("kind") != KIND:
        raise BadInput([Fault(place, "is not the summary of a backtest")])
    own = document.get("schema_version")
    if isinstance(own, int) and own > SCHEMA_VERSION:
        newer = f"has schema version {own}, and this program reads up to {SCHEMA_VERSION}: use a newer program"
        raise BadInput([Fault(place, newer)])
    refuse(_form_faults(document, place))
    if document.pop("digest") != _digest(document):
        raise BadInput([Fault(place, "does not match its own digest: it was altered")])
    return document


def _form_faults(document: Mapping[str, Any], place: str) -> Iterator[Fault]:
    schema = json.loads(resources.files("arbitrage.backtest.runs").joinpath("run_schema.json").read_bytes())
    errors = list(jsonschema.Draft202012Validator(schema).iter_errors(document))
    yield from (Fault(place, f"{error.json_path}: {error.message}") for error in errors)
    if not errors:
        ledgers = [entry["ledger"] for entry in document["strategies"]]
        yield from (Fault(place, f"has no digest of {name}") for name in ledgers if name not in document["files"])


def _file_faults(named: Mapping[str, str], files: Files, where: str) -> Iterator[Fault]:
    for name, digest in named.items():
        if name not in files:
            yield Fault(f"{where}/{name}", "is missing")
        elif sha256(files[name]).hexdigest() != digest:
            yield Fault(f"{where}/{name}", f"does not match the digest in {SUMMARY_FILE}: altered or cut short")


def _battery(document: Mapping[str, Any], where: str) -> Battery:
    try:
        return Battery(**document)
    except TypeError as error:
        raise BadInput([Fault(where, f"describes a battery that this program does not know: {error}")]) from error


def _context(document: Mapping[str, Any], day_ahead: pd.DataFrame | None) -> ReportContext:
    source = document["minute_source"]
    kinds = {
        "price_stage": PriceStage(document["price_stage"]),
        "soc_reset": SocReset(document["soc_reset"]),
        "minute_source": None if source is None else MinuteSource(source),
        "seeds": tuple(document["seeds"]),
        "notes": tuple(document["notes"]),
    }
    known = {entry.name for entry in fields(ReportContext)}
    plain = {name: value for name, value in document.items() if name in known}
    return ReportContext(**plain | kinds, day_ahead_eur_mwh=None if day_ahead is None else day_ahead["eur_mwh"])
