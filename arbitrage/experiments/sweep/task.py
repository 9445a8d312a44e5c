"""One task of a sweep, from a market in memory to the files of a run folder: the same wherever it runs.

Contract
- A worker that runs other code or packages than the sweep does not work for it.
- Everything goes out as bytes, so that a worker needs no disk that others see.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from arbitrage.backtest.engine import PERFECT_FORESIGHT, Backtest, backtest_perfect_foresight, run_backtest
from arbitrage.backtest.report.tear_sheet import context_of
from arbitrage.backtest.runs.folder import Run, run_files, span_times
from arbitrage.experiments.sweep.plan import SweepTask, risk_words
from arbitrage.market.series import MarketSeries
from arbitrage.policies.checkpoint.files import CARD_FILE, TENSORS_FILE
from arbitrage.policies.checkpoint.load import load_policy, read_card
from arbitrage.policies.checkpoint.risk_setting import risk_setting
from arbitrage.policies.protocol import Policy
from arbitrage.policies.strategy_spec import policy_facts
from arbitrage.progress import Progress, ProgressCallback
from arbitrage.training.methods import takes_seed, trainer_named
from arbitrage.training.plan import TrainingPlan, train

ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"), "1")
"""Environment of every worker: sums come out the same to the last bit whatever the machine has of cores."""


@dataclass(frozen=True, slots=True)
class TaskResult:
    """What a task leaves, by file name."""

    run: dict[str, bytes]
    policy: dict[str, bytes]
    """Of a strategy that was trained; else empty."""


@dataclass(frozen=True, slots=True)
class _Learned:
    policy: Policy
    files: dict[str, bytes]
    facts: dict[str, Any]


def run_task(task: SweepTask, market: MarketSeries, fingerprint: str, progress: ProgressCallback) -> TaskResult:
    """Learn, test, and pack up. Raises BadInput, and RuntimeError where this is another program than the sweep's."""
    if task.fingerprint(market.data_hash) != fingerprint:
        raise RuntimeError("the worker runs other code or packages, or has other data, than the sweep")
    selection = task.window.selection(market)
    if task.strategy == PERFECT_FORESIGHT:
        ceiling = backtest_perfect_foresight(market, task.battery, selection)
        return TaskResult(_pack(task, market, fingerprint, [(ceiling, {})]), {})
    learned = _load(dict(task.given.files)) if task.given is not None else _train(task, market, progress)
    progress(Progress("testing", 1.0))
    results = []
    for risk in task.risks:
        policy = learned.policy.with_risk(risk)
        result = run_backtest(market, task.battery, policy, selection, step_min=policy.step_min)
        name = ", ".join(filter(None, (task.contender, risk_words(risk))))
        results.append((replace(result, strategy=name), learned.facts | _risk_facts(task, policy)))
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


def _train(task: SweepTask, market: MarketSeries, progress: ProgressCallback) -> _Learned:
    split = task.window.split(market)
    trainer = trainer_named(task.strategy, split, task.training)
    plan = TrainingPlan(trainer=trainer, split=split, battery=task.battery, seed=task.seed or 0)
    with tempfile.TemporaryDirectory() as folder:
        directory = Path(folder) / "policy"
        card = train(plan, directory, progress)
        files = {name: (directory / name).read_bytes() for name in (CARD_FILE, TENSORS_FILE)}
        policy = trainer.load(directory)
    facts = {"policy": card["tensors_sha256"]} if takes_seed(task.strategy) else {"rule": policy_facts(policy)}
    return _Learned(policy, files, facts)


def _load(files: dict[str, bytes]) -> _Learned:
    with tempfile.TemporaryDirectory() as folder:
        for name, content in files.items():
            (Path(folder) / name).write_bytes(content)
        card = read_card(Path(folder))
        return _Learned(load_policy(folder), files, {"policy": card["tensors_sha256"]})


def _risk_facts(task: SweepTask, policy: Policy) -> dict[str, Any]:
    """How the risk of a learned policy is set; nothing for a rule."""
    return risk_setting(policy) if task.given is not None or takes_seed(task.strategy) else {}
