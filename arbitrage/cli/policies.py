"""The commands that look at trained policies: `policies show` for one, `policies list` for all below a folder.

Cards are read generically: what a card of another kind says is shown as it stands, and what it lacks is left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from arbitrage.backtest.engine import Backtest
from arbitrage.backtest.runs.card_figures import figures_for_card, refuse_recording
from arbitrage.cli.options.build import command
from arbitrage.cli.options.output import JsonOut, write_json
from arbitrage.cli.output import print_cells, print_lines, warn
from arbitrage.errors import BadInput, Fault
from arbitrage.experiments.strategies import EvaluationSpec
from arbitrage.policies.checkpoint.card import (
    TESTS,
    TensorsState,
    policy_directories,
    read_any_card,
    refuse_label,
    seal_in_words,
    tensors_of_card,
    write_test,
)
from arbitrage.policies.checkpoint.files import card_digest
from arbitrage.policies.checkpoint.load import Card
from arbitrage.quarter_hour import utc_timestamps

_SECTIONS = (
    ("What it is", ("name", "kind", "description", "feature_set", "step_min", "created_at", "code_revision")),
    ("Battery", ("battery",)),
    ("Data", ("data_sha256", "sources", "minute_source", "minute_seed", "day_ahead_learned_min", "split")),
    ("Timing", ("publication_delay_min", "decision_latency_min")),
    (
        "Training",
        ("seed", "seeds", "members", "chosen_stage", "refit", "training_seconds", "config", "lattice", "plan_sha256"),
    ),
    ("Versions", ("versions",)),
)
_TABLES = (("Validation", "validation"), ("Test", TESTS))
_OWN_PLACE = {"tensors_sha256", "card_sha256", "features", "feature_units", *(key for _, key in _TABLES)}
_EPOCH_MINUTE = "_epoch_minute"
_LISTED = (
    "policy",
    "name",
    "kind",
    "feature_set",
    "battery",
    "max_cycles_per_day",
    "seed",
    "chosen_stage",
    "validation_eur_per_day",
    "test_eur_per_day",
    "code_revision",
)
_PROFIT = "profit_eur_per_day"


@command(example="policies show policies/first")
def show_command(
    directory: Annotated[Path, typer.Argument(help="Directory of a policy of any kind.")], json_out: JsonOut = None
) -> None:
    """Say what a policy is: features and units, battery, data, split, seeds, figures, code."""
    card = read_any_card(directory)
    state = tensors_of_card(directory, card)
    write_json({**card, "directory": str(directory), "tensors": state.name.lower()}, json_out)
    if json_out != "-":
        _show(card, state)


@command(example="policies list policies")
def list_command(
    folder: Annotated[Path, typer.Argument(help="Folder to look in, however deep.")], json_out: JsonOut = None
) -> None:
    """List all policies at or below a folder."""
    rows = []
    for directory in policy_directories(folder):
        try:
            rows.append(_line(directory.relative_to(folder), read_any_card(directory)))
        except BadInput as refused:
            warn(str(refused))
    write_json(rows, json_out)
    if json_out != "-":
        headings = [name.replace("_eur_per_day", ", EUR a day").replace("_", " ") for name in _LISTED]
        print_cells(headings, [[_in_words(name, row[name]) for name in _LISTED] for row in rows])


@dataclass(frozen=True, slots=True)
class Recording:
    """Test figures on their way to the card of a policy."""

    label: str
    directory: Path
    digest: str
    """Of the policy that is tested."""
    trial: EvaluationSpec

    def write(self, result: Backtest, facts: dict[str, Any]) -> None:
        """Put the figures into the card; `facts` say where they come from. Raises BadInput."""
        figures = figures_for_card(result, self.trial.selection, self.trial.market, facts)
        write_test(self.directory, self.digest, self.label, figures)


def prepare_recording(label: str | None, strategy: str, card: Card | None, trial: EvaluationSpec) -> Recording | None:
    """None if no label is given. Raises BadInput, before any work is done, if the trial may not go into the card.

    card: None if the strategy is not a policy.
    """
    if label is None:
        return None
    if card is None:
        raise BadInput([Fault("record", "only policies have a card to write to")])
    refuse_label(card, label)
    refuse_recording(card, trial.battery, trial.market, trial.selection)
    return Recording(label, Path(strategy), card["tensors_sha256"], trial)


def _show(card: Card, state: TensorsState) -> None:
    known = {key for _, keys in _SECTIONS for key in keys} | _OWN_PLACE
    rest = ("Other", tuple(sorted(set(card) - known)))
    for title, keys in (*_SECTIONS, rest):
        _section(title, [row for key in keys if key in card for row in _flat(key, card[key])])
    for title, key in _TABLES:
        _figures(title, card.get(key))
    _features(card)
    _section("Tensors", [("sha256", str(card["tensors_sha256"])), ("files", f"the tensors {state}")])
    _section("Card", [("sha256, for `serve --pin`", card_digest(card)), ("seal", seal_in_words(card))])


def _section(title: str, rows: Sequence[tuple[str, str]]) -> None:
    """A titled table of names and values; nothing where there are none."""
    if rows:
        print_lines(rows, title, indent=2)


def _figures(title: str, results: object) -> None:
    """Results by name beside each other, a row a figure; a flat mapping is one result."""
    if not isinstance(results, Mapping) or not results:
        return
    named = {name: result for name, result in results.items() if isinstance(result, Mapping)}
    if len(named) < len(results):
        _section(title, _flat("", results))
        return
    figures = dict.fromkeys(figure for result in named.values() for figure in result)
    cells = [[each, *(_in_words(each, result.get(each)) for result in named.values())] for each in figures]
    print_lines([], title)
    print_cells(["", *named], cells)


def _features(card: Card) -> None:
    """Features by unit, so that a hundred of them stay readable."""
    units = card.get("feature_units", {})
    names = card.get("features", list(units))
    grouped: dict[str, list[str]] = {}
    for name in names:
        grouped.setdefault(units.get(name, "unit not on the card"), []).append(name)
    _section(f"Features ({len(names)})", [(unit, ", ".join(members)) for unit, members in grouped.items()])


def _flat(key: str, value: object) -> list[tuple[str, str]]:
    """A value as rows; of a mapping one for each of its parts, the names joined by dots."""
    if not isinstance(value, Mapping):
        return [(key.removesuffix(_EPOCH_MINUTE), _in_words(key, value))]
    prefix = f"{key}." if key else ""
    return [row for name, part in value.items() for row in _flat(f"{prefix}{name}", part)]


def _in_words(name: str, value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:,.4g}" if abs(value) < 1.0 else f"{value:,.2f}"
    if isinstance(value, int) and name.endswith(_EPOCH_MINUTE):
        return utc_timestamps([value])[0].isoformat()
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_in_words(key, part)}" for key, part in value.items())
    if isinstance(value, list):
        return ", ".join(_in_words(name, part) for part in value)
    return str(value)


def _line(directory: Path, card: Card) -> dict[str, Any]:
    """One policy in a listing; None where its card says nothing."""
    battery = card.get("battery", {})
    size = f"{battery['power_mw']:g} MW / {battery['capacity_mwh']:g} MWh" if battery else None
    validation = card.get("validation", {})
    chosen = validation.get(card.get("chosen_stage"), validation)
    tests = {label: figures.get(_PROFIT) for label, figures in card.get(TESTS, {}).items()}
    return {
        "policy": str(directory),
        **{key: card.get(key) for key in ("name", "kind", "feature_set", "seed", "chosen_stage", "code_revision")},
        "battery": size,
        "max_cycles_per_day": battery.get("max_cycles_per_day"),
        "validation_eur_per_day": chosen.get(_PROFIT),
        "test_eur_per_day": tests or None,
    }
