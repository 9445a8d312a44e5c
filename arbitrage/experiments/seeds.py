"""Several seeds of one plan, each trained in a process of its own, whatever the method.

Contract
- A seed ends with the same policy, bit for bit, as when it is trained alone: its process does what `train` does, with
  the same threads.
- A seed that fails, or whose process is killed, takes no other with it.
- An interruption ends all processes and leaves what they had finished; calling again goes on from there. A seed whose
  policy is already there, made by the same plan, is not trained again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from arbitrage.errors import BadInput, Fault
from arbitrage.experiments.worker_process import Pipe, WorkerDied, WorkerProcess, ready
from arbitrage.policies.checkpoint.files import Card
from arbitrage.progress import Progress, ProgressCallback, silent
from arbitrage.training.plan import TrainingPlan, finished_card, train


@dataclass(frozen=True, slots=True)
class SeedResults:
    """The result of each seed."""

    cards: dict[int, Card]
    """Of the seeds that are trained, by seed."""
    failures: dict[int, str]
    """Why the others are not, by seed."""


def parse_seeds(text: str) -> tuple[int, ...]:
    """Read "0-4", "7" or "0-2,5". Raises BadInput."""
    seeds: list[int] = []
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        last = last if dash else first
        if not (first.isdecimal() and last.isdecimal() and int(first) <= int(last)):
            raise BadInput([Fault("seeds", f"{text!r} is not a list such as 0-4 or 0,3,7")])
        seeds.extend(range(int(first), int(last) + 1))
    if len(set(seeds)) < len(seeds):
        raise BadInput([Fault("seeds", f"{text!r} names a seed twice")])
    return tuple(seeds)


def seed_directory(folder: Path, seed: int) -> Path:
    """Where the policy of a seed goes."""
    return folder / f"seed-{seed}"


def seed_name(seed: int) -> str:
    """The seed as progress names it."""
    return f"seed {seed}"


def train_seeds(
    plan: TrainingPlan, seeds: Sequence[int], folder: Path, *, workers: int, progress: ProgressCallback = silent
) -> SeedResults:
    """Train the plan with each seed into `folder`/seed-N, `workers` at once; `plan.seed` does not matter.

    `progress` is given reports whose `task` is the `seed_name`.
    """
    results = SeedResults({}, {})
    waiting: list[int] = []
    for seed in seeds:
        card = finished_card(replace(plan, seed=seed), seed_directory(folder, seed))
        if card is None:
            waiting.append(seed)
        else:
            results.cards[seed] = card
            progress(Progress("already trained", 1.0, task=seed_name(seed)))
    running: list[_SeedWorker] = []
    try:
        while waiting or running:
            while waiting and len(running) < workers:
                running.append(_SeedWorker(replace(plan, seed=waiting.pop(0)), folder))
            for worker in ready(running):
                if worker.listen(progress, results):
                    running.remove(worker)
    finally:
        for worker in running:
            worker.end()
    return results


class _SeedWorker(WorkerProcess):
    """The process that trains one seed."""

    def __init__(self, plan: TrainingPlan, folder: Path) -> None:
        super().__init__(f"seed-{plan.seed}", _train_one)
        self.seed = plan.seed
        self.send((plan, seed_directory(folder, plan.seed)))

    def listen(self, progress: ProgressCallback, results: SeedResults) -> bool:
        """Take one message, and say whether it was the last."""
        try:
            message = self.receive()
        except WorkerDied as died:
            message = str(died)
        else:
            if isinstance(message, Progress):
                progress(replace(message, task=seed_name(self.seed)))
                return False
            self.join()
        if isinstance(message, str):
            results.failures[self.seed] = message
            progress(Progress("failed", 1.0, task=seed_name(self.seed)))
        else:
            results.cards[self.seed] = message
        return True


def _train_one(child_conn: Pipe) -> None:
    """Train the plan that is received; sends Progress, then the card, or the reason of a failure as text."""
    plan, directory = child_conn.recv()
    try:
        card = train(plan, directory, child_conn.send)
    except (BadInput, RuntimeError, OSError) as failed:
        child_conn.send(str(failed) or type(failed).__name__)
    else:
        child_conn.send(card)
