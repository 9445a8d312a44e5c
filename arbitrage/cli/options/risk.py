"""Options of the risk that a policy takes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import typer

from arbitrage.cli.options.panels import RISK
from arbitrage.policies.closed_form.risk_head import MOST_RISK_AVERSE
from arbitrage.policies.protocol import RiskChoice
from arbitrage.risk import RiskPreference

RiskPreferenceText = Annotated[
    str | None,
    typer.Option(
        "--risk-preference",
        help="measure:level:weight, as cvar:0.1:0.5: each step weighs the measure of its outcomes against the mean.",
        rich_help_panel=RISK,
    ),
]


@dataclass(frozen=True, slots=True)
class RiskOptions:
    """The risk of one policy."""

    PANEL: ClassVar[str] = RISK

    risk_aversion: Annotated[
        float | None,
        typer.Option(
            min=0.0,
            max=MOST_RISK_AVERSE,
            help="Risk aversion, for policies with a risk head; 0 is neutral. [default: the policy's setting, else 0]",
        ),
    ] = None
    risk_preference: RiskPreferenceText = None

    def choice(self) -> RiskChoice:
        """What is asked of the policy. Raises BadInput."""
        return risk_choice(self.risk_aversion, self.risk_preference)


@dataclass(frozen=True, slots=True)
class ComparedRiskOptions:
    """The risk of several policies: each is tried at each risk aversion."""

    PANEL: ClassVar[str] = RISK

    risk_aversion: Annotated[
        list[float] | None, typer.Option(min=0.0, max=MOST_RISK_AVERSE, help="Each policy is tried at each of these.")
    ] = None
    risk_preference: RiskPreferenceText = None

    def choices(self) -> list[RiskChoice]:
        """What is asked of each policy, one after the other; at least one. Raises BadInput."""
        dials: list[float | None] = [*self.risk_aversion] if self.risk_aversion else [None]
        return [risk_choice(each, self.risk_preference) for each in dials]


def risk_choice(risk_aversion: float | None, preference: str | None) -> RiskChoice:
    """What the options ask of a policy's risk. Raises BadInput."""
    return RiskChoice(risk_aversion, None if preference is None else RiskPreference.parse(preference))
