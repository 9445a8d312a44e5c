"""Tasks of a sweep on a Ray cluster; needs the extra `ray`.

Contract: as `workers`. Ray retries nothing by itself, so that lost tasks are counted in one place. The market lies in
the cluster's object store once and each node takes its copy from there.
"""

from __future__ import annotations

import pickle
from typing import Any

from arbitrage.errors import BadInput, Fault
from arbitrage.experiments.sweep.task import ONE_THREAD
from arbitrage.experiments.sweep.workers import Failed, Job, Lost, Outcome, try_job
from arbitrage.market.series import MarketSeries

_MOMENT_S = 1.0


class RayWorkers:
    """The processors of a cluster. Raises BadInput where Ray is not installed, ConnectionError where none answers."""

    def __init__(self, market: MarketSeries, address: str) -> None:
        self._ray = _import_ray()
        self._ray.init(address=address, log_to_driver=False, logging_level="ERROR")
        self._market = self._ray.put(pickle.dumps(market))
        self._run = self._ray.remote(_run).options(
            num_cpus=1, max_retries=0, runtime_env={"env_vars": ONE_THREAD}, scheduling_strategy="SPREAD"
        )
        self._jobs: dict[Any, Job] = {}

    @property
    def has_room(self) -> bool:
        """Whether there are fewer jobs than processors in the cluster as it is now."""
        return len(self._jobs) < max(1, self.processors)

    @property
    def processors(self) -> int:
        """Of all nodes that are alive."""
        return int(self._ray.cluster_resources().get("CPU", 0))

    def start(self, job: Job) -> None:
        """Put a job into the cluster's queue."""
        self._jobs[self._run.remote(job, self._market)] = job

    def wait(self) -> list[Outcome]:
        """Wait until some job is over, for a moment at most."""
        over, _ = self._ray.wait(list(self._jobs), num_returns=1, timeout=_MOMENT_S)
        return [self._outcome(reference, self._jobs.pop(reference)) for reference in over]

    def end(self) -> None:
        """Break off all jobs and leave the cluster, which goes on."""
        for reference in self._jobs:
            self._ray.cancel(reference, force=True)
        self._ray.shutdown()

    def _outcome(self, reference: Any, job: Job) -> Outcome:
        errors = self._ray.exceptions
        try:
            outcome: Outcome = self._ray.get(reference)
        except errors.RayTaskError as failed:
            return Failed(job.fingerprint, str(failed))
        except errors.RayError as lost:
            return Lost(job.fingerprint, f"{type(lost).__name__}: {str(lost).partition('. ')[0]}")
        return outcome


def _run(job: Job, market: bytes) -> Outcome:
    """Arrays straight from the object store could not be written to, which compiled code takes for another type."""
    return try_job(job, pickle.loads(market), lambda _update: None)


def _import_ray() -> Any:
    try:
        import ray
        import ray.exceptions
    except ImportError as missing:
        raise BadInput([Fault("ray", f"is not installed ({missing}): pip install 'arbitrage[ray]'")]) from missing
    return ray
