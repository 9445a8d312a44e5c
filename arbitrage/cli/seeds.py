"""Training of several seeds at once, seen from the command line."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from arbitrage.cli.options import write_json
from arbitrage.experiments.seeds import SeedReport, SeedResults, parse_seeds, seed_directory, train_seeds
from arbitrage.training.plan import TrainingPlan

Seeds = Annotated[
    str | None,
    typer.Option(help="Several seeds, such as 0-4 or 0,3,7; each goes to a directory seed-N of its own under --out."),
]
Workers = Annotated[
    int | None, typer.Option(min=1, help="Seeds trained at once, each in its own process. [default: processor cores]")
]
stderr = Console(stderr=True)
stdout = Console()


def train_several(plan: TrainingPlan, seeds: str, workers: int | None, out: Path, json_out: str | None) -> None:
    """Train every seed, show what came of each, and raise RuntimeError naming those that failed."""
    numbers = parse_seeds(seeds)
    at_once = min(workers or os.cpu_count() or 1, len(numbers))
    try:
        with _live(numbers) as tell:
            results = train_seeds(plan, numbers, out, workers=at_once, report=tell)
    except KeyboardInterrupt:
        stderr.print("interrupted; the same command goes on from here", highlight=False)
        raise
    write_json({"cards": results.cards, "failures": results.failures}, json_out)
    if json_out != "-":
        _print(results, out)
    if results.failures:
        raise RuntimeError("\n".join(f"seed {seed}: {why}" for seed, why in sorted(results.failures.items())))


@contextmanager
def _live(seeds: tuple[int, ...]) -> Iterator[SeedReport]:
    """A line for each seed that says what is being done with it."""
    name, text = TextColumn("seed {task.fields[seed]}"), TextColumn("{task.description}")
    with Progress(name, BarColumn(), TimeElapsedColumn(), text, console=stderr) as progress:
        lines = {seed: progress.add_task("waiting", total=1.0, start=False, seed=seed) for seed in seeds}

        def tell(seed: int, doing: str, share: float) -> None:
            progress.start_task(lines[seed])
            progress.update(lines[seed], description=escape(doing), completed=share)

        yield tell


def _print(results: SeedResults, out: Path) -> None:
    table = Table("seed", "stage", "validation EUR/day", "CVaR, EUR", "cycles/day", "seconds", "policy")
    for seed, card in sorted(results.cards.items()):
        stage = card["chosen_stage"]
        figures = card["validation"][stage]
        numbers = [figures[name] for name in ("profit_eur_per_day", "conditional_value_at_risk_eur", "cycles_per_day")]
        told = [f"{number:,.2f}" for number in (*numbers, card["training_seconds"])]
        table.add_row(str(seed), stage, *told, escape(str(seed_directory(out, seed))))
    stdout.print(table)
