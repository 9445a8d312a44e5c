"""The commands that look at market files (`data validate`, `data info`, `data formats`), and those that fill the store.

The latter are `data fetch` for a span and `data watch` for the present.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path
from textwrap import fill
from typing import Annotated, Any

import pandas as pd
import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from arbitrage.cli.options.build import command
from arbitrage.cli.options.market import DecimalSign, Timezone
from arbitrage.cli.options.output import JsonOut, write_json
from arbitrage.cli.options.panels import DAYS, MARKET, OUTPUT
from arbitrage.cli.output import print_cells, shown_on, stderr, stdout
from arbitrage.errors import BadInput, Fault
from arbitrage.market.fetch.elia_client import HOST, HOST_VARIABLE, EliaClient, RetryLimits, utc_now
from arbitrage.market.fetch.entsoe import TOKEN_VARIABLE, EntsoeSource, entsoe_library
from arbitrage.market.fetch.fetch import EliaSource, FetchReport, RecordProvider, RecordTypeReport, fetch, span_words
from arbitrage.market.fetch.poll import INTERVAL_S, Poll, live_datasets, watch
from arbitrage.market.files.format_list import FORMATS
from arbitrage.market.files.read import Table as MarketTable
from arbitrage.market.files.read import read_table
from arbitrage.market.files.reading import Decimal
from arbitrage.market.files.schemas import QUALITY
from arbitrage.market.store.datasets import Source
from arbitrage.market.store.store import Store
from arbitrage.progress import ProgressCallback
from arbitrage.quarter_hour import BRUSSELS, epoch_minute, utc_timestamps

What = Annotated[list[Source], typer.Option(help="What to ask for; several may follow.", rich_help_panel=MARKET)]
StoreDirectory = Annotated[Path, typer.Option("--store", help="Directory of the store.", rich_help_panel=OUTPUT)]
BaseUrl = Annotated[
    str,
    typer.Option(envvar=HOST_VARIABLE, help="Elia's open-data host, or a mirror of it.", rich_help_panel=MARKET),
]
Token = Annotated[
    str | None,
    typer.Option(
        envvar=TOKEN_VARIABLE,
        help="For day-ahead; better in the environment.",
        show_default=False,
        rich_help_panel=MARKET,
    ),
]
MarketFiles = Annotated[list[Path], typer.Argument(help="Market files of any kind.")]
_WIDTH = 79
_DEFAULT_STORE = Path("data/raw")
_SPANS_SHOWN = 10
_WATCH_TRIES = 2


@command(example="data validate ods134.csv day_ahead.csv")
def validate_command(
    files: MarketFiles,
    timezone: Timezone = None,
    decimal: DecimalSign = Decimal.POINT,
    json_out: JsonOut = None,
) -> None:
    """Read files and say what is wrong with them and where they have gaps: exit 0 if nothing is wrong, else 2."""
    faults: list[Fault] = []
    facts = []
    for file in files:
        try:
            table = read_table(file, timezone=timezone, decimal=decimal)
        except BadInput as refused:
            faults.extend(refused.faults)
            facts.append({"file": str(file), "faults": [asdict(fault) for fault in refused.faults]})
            continue
        facts.append({**_facts(table), "faults": []})
        if json_out != "-":
            _show(table)
    write_json(facts, json_out)
    if faults:
        raise BadInput(faults)


@command(example="data info ods134.csv")
def info_command(
    files: MarketFiles,
    timezone: Timezone = None,
    decimal: DecimalSign = Decimal.POINT,
    json_out: JsonOut = None,
) -> None:
    """Say what files hold."""
    tables = [read_table(file, timezone=timezone, decimal=decimal) for file in files]
    write_json([_facts(table) for table in tables], json_out)
    if json_out != "-":
        for table in tables:
            _show(table)
            _line(f"columns: {', '.join(table.frame.columns)}")


@command(example="data formats")
def formats_command(json_out: JsonOut = None) -> None:
    """List what is read, with an example of each."""
    listed = [{**asdict(each), "kind": each.kind.value} for each in FORMATS]
    write_json(listed, json_out)
    if json_out == "-":
        return
    for each in FORMATS:
        typer.echo(f"{each.kind.value}\n  {each.source}")
        for name, value in each.options.items():
            typer.echo(f"  with --{name} {value}")
        for line in each.example.splitlines():
            typer.echo(f"    {line}")
    _line("CSV may be split at ; , | or tabs; Parquet with the same columns is read too.", indent="")


def _facts(table: MarketTable) -> dict[str, Any]:
    return {
        "file": table.path,
        "kind": table.kind.value,
        "rows": len(table.frame),
        "first": table.frame.index[0].isoformat(),
        "last": table.frame.index[-1].isoformat(),
        "gaps": [[start.isoformat(), end.isoformat()] for start, end in table.gaps()],
        "duplicates": table.duplicates_collapsed,
        "revisions": table.revisions,
        "rows_without_price": table.without_price,
        "rows_of_other_auctions": table.of_other_auctions,
        "columns": list(table.frame.columns),
        "unread_columns": list(table.unread_columns),
    }


def _show(table: MarketTable) -> None:
    """A table in lines that fit a terminal of 80 columns, with the first of its gaps."""
    gaps = table.gaps()
    typer.echo(table.path)
    counts = f"{len(table.frame):,} rows, {len(gaps):,} gaps, {table.duplicates_collapsed:,} duplicates"
    _line(f"{table.kind.value}: {counts}, {table.revisions:,} revisions")
    _line(f"first {_brussels(table.frame.index[0])}, last {_brussels(table.frame.index[-1])}")
    for start, end in gaps[:_SPANS_SHOWN]:
        _line(f"gap {_brussels(start)} to {_brussels(end)}")
    if len(gaps) > _SPANS_SHOWN:
        _line(f"and {len(gaps) - _SPANS_SHOWN:,} more gaps; --json FILE has them all")
    if table.without_price:
        _line(f"{table.without_price:,} rows say that no price was published")
    if table.of_other_auctions:
        _line(f"{table.of_other_auctions:,} rows of other auctions are not read")
    if table.unread_columns:
        _line(f"columns not read: {', '.join(table.unread_columns)}")


def _brussels(time: pd.Timestamp) -> str:
    return time.tz_convert(BRUSSELS).isoformat(sep=" ", timespec="minutes")


def _line(text: str, indent: str = "  ") -> None:
    typer.echo(fill(text, _WIDTH, initial_indent=indent, subsequent_indent=f"{indent}  ", break_on_hyphens=False))


@command(example="data fetch --start 2024-01-01 --end 2025-01-01 --what prices minutes --store data/raw")
def fetch_command(
    start: Annotated[
        str, typer.Option(help="First time: a Brussels day, or ISO 8601 with an offset.", rich_help_panel=DAYS)
    ],
    end: Annotated[
        str | None, typer.Option(help="Time after the last, likewise. [default: now]", rich_help_panel=DAYS)
    ] = None,
    what: What = [Source.PRICES],  # noqa: B006 - typer reads the default and never changes it
    store: StoreDirectory = _DEFAULT_STORE,
    refresh: Annotated[bool, typer.Option("--refresh", help="Ask again for pieces that are final.")] = False,
    base_url: BaseUrl = HOST,
    entsoe_token: Token = None,
    json_out: JsonOut = None,
) -> None:
    """Bring past prices and forecasts into the store; repeating it fetches only what may have changed."""
    first, after = _time("start", start), utc_now() if end is None else _time("end", end)
    with ExitStack() as stack:
        sources = _sources(stack, what, base_url, entsoe_token)
        with _progress() as show:
            report = fetch(Store(store), sources, first, after, refresh=refresh, progress=show)
    write_json(_in_words(report), json_out)
    if json_out != "-":
        _print(report)
    if report.failures:
        raise RuntimeError("\n".join(str(failure) for failure in report.failures))


@command(example="data watch --what prices minutes --store data/raw")
def watch_command(
    what: What = [Source.PRICES, Source.MINUTES],  # noqa: B006 - typer reads the default and never changes it
    store: StoreDirectory = _DEFAULT_STORE,
    interval_s: Annotated[float, typer.Option(min=1.0, help="Seconds from poll to poll.")] = INTERVAL_S,
    base_url: BaseUrl = HOST,
) -> None:
    """Poll the near-real-time sets into the store until Ctrl-C, and say what is the newest record."""
    datasets = live_datasets(tuple(what))
    polls = records = 0
    try:
        with EliaClient(base_url, RetryLimits(tries=_WATCH_TRIES)) as client:
            for poll in watch(Store(store), EliaSource(client), datasets, interval_s=interval_s):
                polls += 1
                records += poll.change.added + poll.change.revised
                typer.echo(poll_words(poll))
    except KeyboardInterrupt:
        typer.echo(f"stopped after {polls} polls: {records} records stored")


def poll_words(poll: Poll) -> str:
    """One line on a poll: the outage if there is one, else the newest record and its age."""
    head = f"{poll.at:%Y-%m-%dT%H:%M:%SZ} {poll.dataset.name} {poll.dataset.record_type.name}:"
    if poll.failure is not None:
        return f"{head} OUTAGE since {poll.failing_since:%Y-%m-%dT%H:%M:%SZ}: {poll.failure}; {_newest_words(poll)}"
    back = "" if poll.restored_after is None else f"back after {poll.restored_after.total_seconds():.0f} s; "
    return f"{head} {back}{_newest_words(poll)}; {poll.change.added} new, {poll.change.revised} revised"


def _newest_words(poll: Poll) -> str:
    if poll.newest is None:
        return "no record yet"
    start, record_type = pd.Timestamp(str(poll.newest.name)), poll.dataset.record_type
    status = f", {poll.newest[QUALITY]}" if QUALITY in poll.newest else ""
    value = f"{record_type.value} {poll.newest[record_type.value]:.2f}"
    return f"newest {start:%Y-%m-%dT%H:%MZ} {value}{status}, age {poll.age_s:.0f} s"


def _time(option: str, text: str) -> pd.Timestamp:
    return utc_timestamps([epoch_minute(text, option)])[0]


def _sources(stack: ExitStack, what: list[Source], base_url: str, token: str | None) -> dict[Source, RecordProvider]:
    """Where each topic comes from. Raises BadInput where something needed for it is absent."""
    sources: dict[Source, RecordProvider] = {}
    if Source.DAY_AHEAD in what:
        library = entsoe_library(token)
        sources[Source.DAY_AHEAD] = EntsoeSource(library, str(token))
    if set(what) - {Source.DAY_AHEAD}:
        elia = EliaSource(stack.enter_context(EliaClient(base_url)))
        sources |= {topic: elia for topic in what if topic is not Source.DAY_AHEAD}
    return sources


@contextmanager
def _progress() -> Iterator[ProgressCallback]:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=stderr, transient=True) as bar:
        yield shown_on(bar, bar.add_task("", total=None))


def _figures(report: RecordTypeReport) -> dict[str, Any]:
    return {
        "record_type": report.record_type.name,
        "asked": report.asked,
        "empty": report.empty,
        "skipped": report.skipped,
        "added": report.change.added,
        "revised": report.change.revised,
        "withdrawn": report.change.withdrawn,
        "missing": [[start.isoformat(), end.isoformat()] for start, end in report.missing],
    }


def _in_words(report: FetchReport) -> dict[str, Any]:
    failures = [str(failure) for failure in report.failures]
    return {"record_types": [_figures(each) for each in report.record_types], "failures": failures}


def _print(report: FetchReport) -> None:
    rows = [_figures(each) for each in report.record_types]
    cells = [[str(len(value)) if name == "missing" else str(value) for name, value in row.items()] for row in rows]
    print_cells(list(rows[0]), cells)
    for each in report.record_types:
        words = span_words(each.missing)
        for span in words[:_SPANS_SHOWN]:
            stdout.print(f"missing {each.record_type.name}: {span}", highlight=False, soft_wrap=True)
        if len(words) > _SPANS_SHOWN:
            more = len(words) - _SPANS_SHOWN
            stdout.print(f"missing {each.record_type.name}: and {more} more spans", highlight=False)
