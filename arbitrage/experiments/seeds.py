"""Several seeds of one plan, each trained in a process of its own.

Contract
- A seed ends with the same policy, bit for bit, as when it is trained alone: its process does what `train` does, with
  the same threads.
- A seed that fails, or whose process is killed, takes no other with it.
- An interruption ends all processes and leaves what they had finished; calling again goes on from there, and a seed
  whose policy is already there, made by the same plan, is not trained again.
- Progress comes over one pipe a process, so that nobody can block another by dying.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from multiprocessing import connection, get_context, parent_process
from pathlib import Path
from typing import Any

from arbitrage.errors import BadInput, Fault
from arbitrage.policies.checkpoint.load import Card
from arbitrage.training.closed_form import finished_card, train
from arbitrage.training.plan import TrainingPlan

SeedReport = Callable[[int, str, float], None]
"""Told a seed, what is being done with it, and the share of it that is done, 0 to 1."""

_CONTEXT = get_context("spawn")
_ORPHANED = 1


@dataclass(frozen=True, slots=True)
class SeedResults:
    """What came of each seed."""

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


def train_seeds(
    plan: TrainingPlan,
    seeds: Sequence[int],
    folder: Path,
    *,
    workers: int,
    report: SeedReport = lambda _seed, _text, _share: None,
) -> SeedResults:
    """Train the plan with each seed into `folder`/seed-N, so many at once; `plan.seed` does not matter."""
    results = SeedResults({}, {})
    waiting: list[int] = []
    running: list[_Worker] = []
    for seed in seeds:
        card = finished_card(replace(plan, seed=seed), seed_directory(folder, seed))
        if card is None:
            waiting.append(seed)
        else:
            results.cards[seed] = card
            report(seed, "there already", 1.0)
    try:
        while waiting or running:
            while waiting and len(running) < workers:
                seed = waiting.pop(0)
                running.append(_Worker(replace(plan, seed=seed), seed_directory(folder, seed)))
                running[-1].begin()
            heard = connection.wait([worker.ear for worker in running])
            running = [worker for worker in running if worker.ear not in heard or not worker.listen(report, results)]
    finally:
        for worker in running:
            worker.end()
    return results


class _Worker:
    """The process that trains one seed, seen from outside."""

    def __init__(self, plan: TrainingPlan, directory: Path) -> None:
        self.seed = plan.seed
        self._task = plan, directory
        self.ear, mouth = _CONTEXT.Pipe()
        self._process = _CONTEXT.Process(target=_train_one, name=f"seed-{self.seed}", args=(mouth,), daemon=True)
        with _ignoring_interrupts():
            self._process.start()
        mouth.close()

    def begin(self) -> None:
        """Hand over the plan. A process that has died already is found out by listening."""
        with suppress(BrokenPipeError):
            self.ear.send(self._task)

    def listen(self, report: SeedReport, results: SeedResults) -> bool:
        """Take one message, and say whether it was the last."""
        try:
            kind, content = self.ear.recv()
        except (EOFError, OSError):  # nothing more, or no whole message
            self._process.join()
            results.failures[self.seed] = f"its process ended with exit code {self._process.exitcode}"
            report(self.seed, "failed", 1.0)
            return True
        if kind == "progress":
            report(self.seed, *content)
            return False
        (results.cards if kind == "card" else results.failures)[self.seed] = content
        if kind == "failure":
            report(self.seed, "failed", 1.0)
        self._process.join()
        return True

    def end(self) -> None:
        self._process.terminate()
        self._process.join()


@contextmanager
def _ignoring_interrupts() -> Iterator[None]:
    """A process started meanwhile is deaf to Ctrl-C from its first moment: that is for the parent, which ends it."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _train_one(mouth: connection.Connection[tuple[str, Any], tuple[TrainingPlan, Path]]) -> None:
    """What a process does: train what it is handed, and tell."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    plan, directory = mouth.recv()
    try:
        card = train(plan, directory, lambda text, share: mouth.send(("progress", (text, share))))
    except (BadInput, RuntimeError, OSError) as failed:
        mouth.send(("failure", str(failed) or type(failed).__name__))
    else:
        mouth.send(("card", card))


def _end_with_parent() -> None:
    """Nobody is left to train for when the parent has been killed."""
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(_ORPHANED)
