"""Settings of the closed-form fit, and the presets that trade money for time.

Contract: every number here was chosen by cross-validation on days 1-25 of each month of 2022, or walking through 2021,
none on other days. Reading day-ahead prices as hour means has no such choice: it changes nothing where they are hourly,
and was introduced after results on 1 to 10 October 2025, which are therefore no test of it.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import StrEnum

from arbitrage.learners.closed_form.minute_fit import MinuteConfig
from arbitrage.learners.closed_form.network_training import NetworkConfig
from arbitrage.policies.closed_form.lattice import LatticeSize
from arbitrage.policies.closed_form.online_combination import CombinationConfig
from arbitrage.policies.closed_form.price_chain import ChainSize

NETWORK_FROM_DAYS = 200
"""Training days from which the network is worth having: walking through 2021 it lost money with 190 days and fewer."""


class Preset(StrEnum):
    """How much time a training may take."""

    FULL = "full"
    """All that cross-validation found worth its time, with the quantile critic."""
    FAST = "fast"
    """A few seconds on one core: one pass on a coarser lattice; nothing is left to the validation days to choose."""
    QUICK = "quick"
    """Uncapped about a second on one core: fewer random features and a smaller price chain besides."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClosedFormConfig:
    """Settings of the fit."""

    cosines: int = 1500
    plan_cosines: int | None = None
    """Of the plan made at midnight; None: as many."""
    orthogonal: bool = False
    """Whether the cosines' frequencies are drawn at right angles to each other."""
    plan_penalty: float = 300.0
    forecast_penalty: float = 100.0
    slow_penalty: float = 30.0
    correction_penalty: float = 1000.0
    correction_share: float = 1.0
    """How much of what the ridge would correct is corrected."""
    passes: int = 2
    network: NetworkConfig | None = field(default_factory=NetworkConfig)
    """Of the stage above the last pass; None: there is none."""
    minutes: MinuteConfig = field(default_factory=MinuteConfig)
    combination: CombinationConfig | None = None
    """Of the minutes' price forecasts with the naive ones when they are served; None: they stand alone."""
    quarter_gain: float = 2.0
    """How much faster the random features vary with the quarter of the hour."""
    half_life_days: float | None = None
    """Age at which a training day counts half as much as the newest; None: all days count the same."""
    scale_days: int | None = None
    """How many days the trailing scale looks back; its prior is then taken from the newest training days and fades as
    the history fills. None: the constant prior of `TrailingScale`."""
    hour_means: bool = True
    """Whether day-ahead prices by the quarter-hour are read as the means of their hours; see `MarketFeatures`."""
    shrinkage: float = 1.0
    """By how much the penalties of plan, forecast, slow gap and correction are multiplied."""
    chain: ChainSize = field(default_factory=ChainSize)
    size: LatticeSize = field(default_factory=LatticeSize)
    final_stage_only: bool = False
    """Whether only the last stage is returned, so that validation days have nothing to choose, and no returns for a
    critic."""

    @classmethod
    def of(cls, preset: Preset) -> ClosedFormConfig:
        """By the quarter-hour, for so much time."""
        if preset is Preset.FULL:
            return cls()
        return cls.fast() if preset is Preset.FAST else cls.quick()

    def up_to_stage(self, stage: int) -> ClosedFormConfig:
        """The configuration that fits that stage alone, one of `stage_names`."""
        if self.final_stage_only:
            return self
        network = self.network if stage > self.passes else None
        return replace(self, passes=min(stage, self.passes), network=network, final_stage_only=True)

    @classmethod
    def by_minute(cls) -> ClosedFormConfig:
        """Where minutes are seen, cross-validation finds less to correct: one pass, half of it, and no network."""
        return cls(cosines=800, passes=1, correction_share=0.5, network=None)

    @classmethod
    def fast(cls) -> ClosedFormConfig:
        """By the quarter-hour, for batteries of about two hours; see `Preset`."""
        size = LatticeSize(soc_nodes=9, cycle_nodes=9)
        return cls(
            cosines=1000, plan_cosines=500, orthogonal=True, passes=1, network=None, size=size, final_stage_only=True
        )

    @classmethod
    def quick(cls) -> ClosedFormConfig:
        """By the quarter-hour, for batteries of about two hours; see `Preset`."""
        return replace(cls.fast(), cosines=500, plan_cosines=250, chain=ChainSize(fast_bins=9, slow_bins=2))
