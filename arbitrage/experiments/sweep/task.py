"""One task of a sweep, from a market in memory to the files of a run folder: the same wherever it runs.

Contract
- A worker that runs other code or packages than the sweep does not work for it.
- Everything goes out as bytes, so that a worker needs no disk that others see.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from arbitrage.backtest.engine import PERFECT_FORESIGHT, Backtest, backtest_perfect_foresight, run_backtest
from arbitrage.backtest.report.tear_sheet import context_of
from arbitrage.backtest.runs.folder import Run, run_files, span_times
from arbitrage.experiments.strategies import refuse_without_sources
from arbitrage.experiments.sweep.plan import LEARNED, SweepTask, risk_words
from arbitrage.market.series import MarketSeries
from arbitrage.market.splits import spans
from arbitrage.market.timing import until
from arbitrage.policies.checkpoint.files import TENSORS_FILE
from arbitrage.policies.checkpoint.load import CARD_FILE, load_policy, read_card
from arbitrage.policies.checkpoint.risk_setting import risk_setting
from arbitrage.policies.minute_rule import MinuteSpreadRule, tune_by_minute
from arbitrage.policies.protocol import Policy
from arbitrage.policies.rules import Idle, SpreadRule, ThresholdRule, tune
from arbitrage.training.closed_form import train
from arbitrage.training.plan import TrainingPlan

ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"), "1")
"""Environment of every worker: sums come out the same to the last bit whatever the machine has of cores."""

ProgressCallback = Callable[[str, float], None]
"""Told what is being done, and the share of the training that is done, 0 to 1."""


@dataclass(frozen=True, slots=True)
class TaskResult:
    """What a task leaves, by file name."""

    run: dict[str, bytes]
    policy: dict[str, bytes]
    """Of a learned strategy; else empty."""


@dataclass(frozen=True, slots=True)
class _Learned:
    policy: Policy
    files: dict[str, bytes]
    facts: dict[str, Any]


def run_task(task: SweepTask, market: MarketSeries, fingerprint: str, report: ProgressCallback) -> TaskResult:
    """Learn, test, and pack up. Raises BadInput, and RuntimeError where this is not the program that was asked for."""
    if task.fingerprint(market.data_hash) != fingerprint:
        raise RuntimeError("the worker runs other code or packages, or has other data, than the sweep")
    selection = task.window.selection(market)
    if task.strategy == PERFECT_FORESIGHT:
        ceiling = backtest_perfect_foresight(market, task.battery, selection)
        return TaskResult(_pack(task, market, fingerprint, [(ceiling, {})]), {})
    learned = _learn(task, market, report)
    report("testing", 1.0)
    results = []
    for risk in task.risks:
        policy = learned.policy.with_risk(risk)
        result = run_backtest(market, task.battery, policy, selection, step_min=policy.step_min)
        name = ", ".join(filter(None, (task.contender, risk_words(risk))))
        facts = learned.facts | (risk_setting(policy) if learned.files else {})
        results.append((replace(result, strategy=name), facts))
    return TaskResult(_pack(task, market, fingerprint, results), learned.files)


def _pack(
    task: SweepTask, market: MarketSeries, fingerprint: str, results: list[tuple[Backtest, dict[str, Any]]]
) -> dict[str, bytes]:
    seeds = () if task.seed is None else (task.seed,)
    run = Run(
        backtests=tuple(result for result, _ in results),
        context=context_of(market, task.window.soc_reset, task.label, seeds=seeds),
        config={
            "command": "sweep",
            "spans": span_times(market, task.window.selection(market)),
            "task": task.facts(),
            "fingerprint": fingerprint,
        },
        facts=tuple(facts for _, facts in results),
    )
    return run_files(run)


def _learn(task: SweepTask, market: MarketSeries, report: ProgressCallback) -> _Learned:
    end = task.window.train_end
    seen = market if end is None else until(market, end)
    if task.given is not None:
        return _load(dict(task.given.files), {})
    if task.strategy == LEARNED:
        return _train(task, seen, report)
    report("tuning", 0.0)
    rule = _tune(task, seen)
    return _Learned(rule, {}, {"rule": asdict(rule)})


def _train(task: SweepTask, market: MarketSeries, report: ProgressCallback) -> _Learned:
    settings, window = task.training, task.window
    head = {} if settings.with_risk_head is None else {"with_risk_head": settings.with_risk_head}
    plan = TrainingPlan.of(
        settings.features,
        market,
        settings.preset,
        battery=task.battery,
        train_days=window.train_days,
        validation_days=window.validation_days,
        start=window.train_start,
        end=window.train_end,
        soc_reset=window.soc_reset,
        seed=task.seed,
        members=settings.members,
        refit=settings.refit,
        **head,
    )
    with tempfile.TemporaryDirectory() as folder:
        directory = Path(folder) / "policy"
        train(plan, directory, report)
        return _load({name: (directory / name).read_bytes() for name in (CARD_FILE, TENSORS_FILE)}, {})


def _load(files: dict[str, bytes], facts: dict[str, Any]) -> _Learned:
    with tempfile.TemporaryDirectory() as folder:
        for name, content in files.items():
            (Path(folder) / name).write_bytes(content)
        card = read_card(Path(folder))
        return _Learned(load_policy(folder), files, facts | {"policy": card["tensors_sha256"]})


def _tune(task: SweepTask, market: MarketSeries) -> Idle | MinuteSpreadRule | SpreadRule | ThresholdRule:
    """A rule whose numbers were chosen on the days that a learned policy would have had."""
    if task.strategy == "idle":
        return Idle()
    refuse_without_sources(task.strategy, market)
    days, told = spans(market, task.window.learned(market), task.window.soc_reset), "the days to learn from"
    if task.strategy == "threshold":
        return tune(ThresholdRule(), market, task.battery, days, told)
    if task.strategy == "spread":
        return tune(SpreadRule(), market, task.battery, days, told)
    return tune_by_minute(MinuteSpreadRule(), market, task.battery, days, told)
