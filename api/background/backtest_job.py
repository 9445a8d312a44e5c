"""One backtest that was asked for over HTTP, run in a process of its own: `python -m api.background.backtest_job`.

Contract: the job is taken from the database, and all that comes of it goes back there. Whatever is raised is kept as
the job's failure; why a process died is kept by the service that started it. A job that is no longer this process' own
is left alone.
"""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import structlog

from api.background.job_processes import failure_of, worker_name
from api.clock import machine_clock
from api.logs import configure_logs
from api.schemas.backtests import SAMPLE, BacktestIn
from api.settings import Settings
from api.storage.database.database import Database
from api.storage.database.refusals import JobLost, StorageUnavailable
from api.storage.job_store import Job, JobStore
from arbitrage.backtest.engine import PERFECT_FORESIGHT, Backtest
from arbitrage.backtest.metrics import summary
from arbitrage.backtest.report.tear_sheet import write_report
from arbitrage.backtest.tested_days import DaysAsked, days_to_test, strict_faults
from arbitrage.battery import Battery
from arbitrage.cli.trials import check_risk_settings, report_context, trained_timing
from arbitrage.errors import BadInput, Fault, refuse
from arbitrage.experiments.strategies import EvaluationSpec, try_strategy
from arbitrage.market.point_in_time import INDICATIVE
from arbitrage.market.series import MarketSeries
from arbitrage.market.simulation.embedded_sample import sample_market
from arbitrage.market.splits import DaysOfMonth, SocReset
from arbitrage.market.store.store import Store
from arbitrage.market.store.stored_market import stored_market
from arbitrage.market.timing import with_decision_latency
from arbitrage.policies.checkpoint.load import Card, read_card
from arbitrage.policies.protocol import RiskChoice
from arbitrage.policies.registry import RULES, find_strategy, names_own_strategy
from arbitrage.progress import Progress

BEAT_S = 1.0
_RIVALS = ("idle", "threshold", PERFECT_FORESIGHT)
log = structlog.get_logger("api.background.backtest_job")
Beat = Callable[[float], None]
"""Called with the fraction of the job that is done."""


def main() -> None:
    """Take one job, if there is one, and run it."""
    settings = Settings()  # as the process that started this one has checked them
    configure_logs(settings.log_level)
    database = Database(settings.database_url)
    jobs, worker = JobStore(database), worker_name(os.getpid())
    job = jobs.take(worker, machine_clock())
    if job is not None:
        _run(settings, jobs, job, worker)
    database.close()


def _run(settings: Settings, jobs: JobStore, job: Job, worker: str) -> None:
    last_s = -math.inf

    def beat(fraction: float) -> None:
        nonlocal last_s
        if time.monotonic() - last_s >= BEAT_S:
            last_s = time.monotonic()
            with suppress(StorageUnavailable):  # said again in a moment; silence counts only when it lasts
                jobs.beat(job.job_id, worker, machine_clock(), min(fraction, 1.0))

    try:
        figures, report = run_backtest_job(settings, BacktestIn.model_validate_json(_text(job)), job.job_id, beat)
        jobs.finish(job.job_id, worker, machine_clock(), figures, None if report is None else str(report))
    except JobLost as lost:
        log.warning("backtest_given_up", job_id=job.job_id, reason=str(lost))
    except Exception as failed:  # whatever it is, who asked has to know
        log.warning("backtest_failed", job_id=job.job_id, exc_info=not isinstance(failed, BadInput))
        jobs.fail(job.job_id, worker, machine_clock(), failure_of(failed))


def run_backtest_job(
    settings: Settings, asked: BacktestIn, job_id: str, beat: Beat
) -> tuple[dict[str, Any], Path | None]:
    """The figures of a backtest and where its report is. Raises BadInput."""
    name = _named(settings, asked)
    trial, figures = _trial(settings, asked, name)
    names = [name, *(rival for rival in _RIVALS if rival != name)] if asked.with_report else [name]
    notes: list[str] = figures.pop("notes")
    results: list[Backtest] = []

    def report(progress: Progress) -> None:
        beat((len(results) + progress.fraction) / len(names))

    beat(0.0)
    for each in names:
        results.append(try_strategy(each, trial, progress=report, warn=notes.append))  # noqa: PERF401 (`report` counts)
    figures |= {key: _plain(value) for key, value in summary(results[0]).items()} | {"notes": notes}
    return figures, _report(settings, job_id, trial, results, asked) if asked.with_report else None


def _named(settings: Settings, asked: BacktestIn) -> str:
    """What the operator's settings call the strategy, or a rule or ceiling. Raises BadInput for another name.

    A name of the request itself never leads to code or files.
    """
    source = settings.policies.get(asked.strategy)
    if source is None and asked.strategy not in (*RULES, PERFECT_FORESIGHT):
        raise BadInput([Fault("strategy", f"{asked.strategy} is neither a policy of the service nor a rule")])
    return source or asked.strategy


def _trial(settings: Settings, asked: BacktestIn, name: str) -> tuple[EvaluationSpec, dict[str, Any]]:
    """The trial, and what is to be said of its days. Raises BadInput."""
    is_code = name in (*RULES, PERFECT_FORESIGHT) or names_own_strategy(name)
    cards = [] if is_code else [read_card(Path(name))]
    market = _market(settings, asked, name, cards)
    days = DaysAsked(
        start=None if asked.start is None else asked.start.isoformat(),
        end=None if asked.end is None else asked.end.isoformat(),
        days_of_month=asked.days_of_month,
        soc_reset=None if asked.soc_reset is None else SocReset(asked.soc_reset),
    )
    tested = days_to_test(market, days, cards)
    refuse(strict_faults(market, tested, cards) if asked.strict else ())
    risk = RiskChoice() if asked.risk is None else RiskChoice(asked.risk.aversion, asked.risk.preference())
    check_risk_settings([name], risk)
    made_for = Battery(**cards[0]["battery"]) if cards else Battery()
    battery = made_for if asked.battery is None else asked.battery.battery()
    trial = EvaluationSpec(
        market, battery, tested.selection, tested.soc_reset, DaysOfMonth.parse(asked.tune_days), risk
    )
    said = {"quarter_hours_beyond_data": tested.quarter_hours_beyond_data, "notes": [*tested.notes]}
    return trial, said


def _market(settings: Settings, asked: BacktestIn, name: str, cards: list[Card]) -> MarketSeries:
    """The market with the delay and latency that a policy was trained for. Raises BadInput."""
    delay_min, latency_min = trained_timing(cards)
    if asked.data != SAMPLE:
        market = stored_market(Store(settings.markets[asked.data]), publication_delay_min=delay_min)
    else:
        sources = cards[0]["sources"] if cards else _sources_of_code(name)
        market = sample_market(with_minutes=INDICATIVE in sources, publication_delay_min=delay_min)
    return with_decision_latency(market, latency_min)


def _sources_of_code(name: str) -> tuple[str, ...]:
    """The series that a rule or an own strategy reads; none for a ceiling. Raises BadInput."""
    spec = find_strategy(name)
    return () if spec is None else tuple(need.series for need in spec.needs)


def _report(settings: Settings, job_id: str, trial: EvaluationSpec, results: list[Backtest], asked: BacktestIn) -> Path:
    path = settings.reports / f"{job_id}.html"
    context = report_context(trial, f"Backtest: {asked.strategy}", (), simulated=asked.data == SAMPLE)
    write_report(path, results[0], rivals=results[1:], context=context)
    return path.resolve()


def _plain(value: Any) -> Any:
    """JSON has no infinities, at any depth."""
    if isinstance(value, dict):
        return {name: _plain(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _text(job: Job) -> str:
    return json.dumps(dict(job.request))


if __name__ == "__main__":
    main()
