"""Training of several seeds at once, seen from the command line."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as ProgressBar

from arbitrage.cli.options.output import write_json
from arbitrage.cli.output import print_cells, shown_on, stderr
from arbitrage.experiments.seeds import SeedResults, parse_seeds, seed_directory, seed_name, train_seeds
from arbitrage.progress import Progress, ProgressCallback
from arbitrage.training.plan import TrainingPlan

Seeds = Annotated[
    str | None,
    typer.Option(help="Several seeds, such as 0-4 or 0,3,7; each goes to a directory seed-N of its own under --out."),
]
Workers = Annotated[
    int | None, typer.Option(min=1, help="Seeds trained at once, each in its own process. [default: processor cores]")
]


def train_several(plan: TrainingPlan, seeds: str, workers: int | None, out: Path, json_out: str | None) -> None:
    """Train every seed, show what came of each, and raise RuntimeError naming those that failed."""
    numbers = parse_seeds(seeds)
    at_once = min(workers or os.cpu_count() or 1, len(numbers))
    try:
        with _live(numbers) as show:
            results = train_seeds(plan, numbers, out, workers=at_once, progress=show)
    except KeyboardInterrupt:
        stderr.print("interrupted; the same command goes on from here", highlight=False)
        raise
    write_json({"cards": results.cards, "failures": results.failures}, json_out)
    if json_out != "-":
        _print(results, out)
    if results.failures:
        raise RuntimeError("\n".join(f"seed {seed}: {why}" for seed, why in sorted(results.failures.items())))


@contextmanager
def _live(seeds: tuple[int, ...]) -> Iterator[ProgressCallback]:
    """A line for each seed that says what is being done with it."""
    name, text = TextColumn("{task.fields[seed]}"), TextColumn("{task.description}")
    with ProgressBar(name, BarColumn(), TimeElapsedColumn(), text, console=stderr) as bar:
        names = [seed_name(seed) for seed in seeds]
        lines = {name: bar.add_task("waiting", total=1.0, start=False, seed=name) for name in names}

        def show(progress: Progress) -> None:
            bar.start_task(lines[progress.task])
            shown_on(bar, lines[progress.task])(progress)

        yield show


def _print(results: SeedResults, out: Path) -> None:
    names = ("profit_eur_per_day", "conditional_value_at_risk_eur", "cycles_per_day")
    rows = []
    for seed, card in sorted(results.cards.items()):
        figures = card["validation"][card["chosen_stage"]]
        numbers = [*(figures.get(name) for name in names), card["training_seconds"]]
        cells = ["" if number is None else f"{number:,.2f}" for number in numbers]
        rows.append([str(seed), card["chosen_stage"], *cells, str(seed_directory(out, seed))])
    print_cells(("seed", "stage", "validation EUR a day", "CVaR EUR", "cycles a day", "seconds", "policy"), rows)
