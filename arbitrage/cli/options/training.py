"""Options of the closed-form training that several commands share."""

from __future__ import annotations

from typing import Annotated

import typer

from arbitrage.cli.options.panels import TRAINING
from arbitrage.features.names import FeatureSet
from arbitrage.learners.closed_form.config import Preset

Seed = Annotated[int, typer.Option(min=0, help="Seed of everything drawn at random.", rich_help_panel=TRAINING)]
FeatureSetOption = Annotated[
    FeatureSet | None,
    typer.Option(
        "--features",
        help="What the policy sees. [default: full with minutes, else quarter_hour]",
        rich_help_panel=TRAINING,
    ),
]
PresetOption = Annotated[
    Preset,
    typer.Option(
        help="How much time training may take; quick and fast: by the quarter-hour.", rich_help_panel=TRAINING
    ),
]
