"""The settings of an environment and the options of a reset, checked before anything is made of them.

Contract: all faults are raised at once as BadInput. A setting that does not exist is a TypeError as well, as it is for
any other call in Python; wrappers such as stable-baselines3's `make_vec_env` rely on that.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt

from arbitrage.battery import Battery
from arbitrage.env.choices import ActionKind
from arbitrage.errors import BadInput, Fault, refuse
from arbitrage.market.series import MarketSeries
from arbitrage.market.splits import ChosenDays, covered_days, read_days
from arbitrage.numeric import as_written, is_named, is_whole, percent_remedy, real_number
from arbitrage.quarter_hour import brussels_day, day_number, step_faults

RENDER_MODES = ("rgb_array",)
_ARGUMENTS = ("num_envs", "market", "battery", "features", "render_mode")
_RESET_OPTIONS = ("day", "soc_fraction")


class UnknownSetting(BadInput, TypeError):
    """A setting that the environment does not have; `faults` names the nearest one.

    Gymnasium raises it again with text that it has added to; then the text is the one fault.
    """

    def __init__(self, faults: Iterable[Fault] | str) -> None:
        super().__init__([Fault("settings", faults)] if isinstance(faults, str) else faults)


@dataclass(frozen=True, slots=True, kw_only=True)
class EpisodeConfig:
    """How episodes are made. Raises BadInput naming every setting that makes no sense."""

    step_min: int = 15
    """Minutes between decisions: 1, 3, 5 or 15."""
    actions: ActionKind = ActionKind.DISCRETE
    episode_days: int = 1
    start_soc_fraction: float | None = None
    """State of charge at reset as a fraction of the SoC window; None draws it uniformly."""
    partial_days: bool = False
    """Whether an episode may begin where the series begins within a day, and end where it ends."""
    days: ChosenDays | None = None
    """The only days that an episode may hold: "1-20" of every month, or an iterable of days; None: all there are."""
    reward_scale: float = 1.0
    """EUR that make a reward of 1."""

    def __post_init__(self) -> None:
        faults = [*step_faults(self.step_min), *_config_faults(self)]
        days: ChosenDays | None = None
        try:
            days = None if self.days is None else read_days(self.days)
        except BadInput as refused:
            faults += refused.faults
        refuse(faults)
        start = self.start_soc_fraction
        as_kept = {
            "step_min": int(self.step_min),
            "actions": ActionKind(self.actions),
            "episode_days": int(self.episode_days),
            "start_soc_fraction": None if start is None else float(start),
            "partial_days": bool(self.partial_days),
            "days": days,
            "reward_scale": float(self.reward_scale),
        }
        for name, value in as_kept.items():
            object.__setattr__(self, name, value)


def _config_faults(config: EpisodeConfig) -> list[Fault]:
    start, kinds = config.start_soc_fraction, [str(kind) for kind in ActionKind]
    rules = {
        "actions": (is_named(config.actions, ActionKind), f"must be one of {kinds}"),
        "episode_days": (
            is_whole(config.episode_days) and config.episode_days >= 1,
            "must be a whole number, 1 or more",
        ),
        "start_soc_fraction": (start is None or is_fraction(start), "must be between 0 and 1"),
        "partial_days": (isinstance(config.partial_days, bool | np.bool_), "must be True or False"),
        "reward_scale": (1e-9 <= real_number(config.reward_scale) <= 1e9, "must be a positive number of EUR up to 1e9"),
    }
    faults = []
    for name, (holds, why) in rules.items():
        value = getattr(config, name)
        remedy = percent_remedy(value) if name == "start_soc_fraction" else ""
        faults += [] if holds else [Fault(name, f"{why}, not {as_written(value)}{remedy}")]
    return faults


def is_fraction(value: object) -> bool:
    """Whether the value is a number from 0 to 1."""
    return 0.0 <= real_number(value) <= 1.0


def checked_settings(
    settings: Mapping[str, Any], *, market: object, battery: object, render_mode: object, num_envs: object = 1
) -> EpisodeConfig:
    """The settings by name, and the arguments' types. Raises UnknownSetting or BadInput with all that is wrong."""
    known = [setting.name for setting in fields(EpisodeConfig)]
    unknown = sorted(set(settings) - set(known))
    faults = [
        Fault(name, f"is not a setting of the environment{nearest(name, (*known, *_ARGUMENTS))}") for name in unknown
    ]
    rules = {
        "num_envs": (is_whole(num_envs) and num_envs >= 1, "must be a whole number, 1 or more"),
        "market": (market is None or isinstance(market, MarketSeries), "must be a market, as `read_market` returns it"),
        "battery": (battery is None or isinstance(battery, Battery), "must be a `Battery`"),
        "render_mode": (
            render_mode is None or is_named(render_mode, RENDER_MODES),
            f"must be None or {RENDER_MODES[0]}",
        ),
    }
    given = {"num_envs": num_envs, "market": market, "battery": battery, "render_mode": render_mode}
    faults += [Fault(name, f"{why}, not {given[name]!r:.80}") for name, (holds, why) in rules.items() if not holds]
    try:
        config = EpisodeConfig(**{name: value for name, value in settings.items() if name in known})
    except BadInput as refused:
        faults += refused.faults
    if unknown:
        raise UnknownSetting(faults)
    refuse(faults)
    return config


def nearest(name: str, known: tuple[str, ...]) -> str:
    """What was meant by an unknown name, else all that there are."""
    close = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {close[0]}?" if close else f"; there are {', '.join(known)}"


def chosen_start(
    options: Mapping[str, Any] | None,
    first_days: npt.NDArray[np.int64],
    start_soc_fraction: float | None,
    rng: np.random.Generator,
    count: int,
) -> tuple[int, npt.NDArray[np.float64]]:
    """The day number of an episode and start fractions [count], as the options of a reset say; what they do not, drawn.

    first_days: shape [n]; on which an episode can begin. Raises BadInput naming all that is wrong with the options.
    """
    if options is not None and not isinstance(options, Mapping):
        raise BadInput([Fault("options", f"must be a dict of options, not {options!r}")])
    given = options or {}
    unknown = sorted(set(map(str, given)) - set(_RESET_OPTIONS))
    faults = [Fault(name, f"is not an option of reset{nearest(name, _RESET_OPTIONS)}") for name in unknown]
    day = _or_fault(faults, lambda: _wanted_day(given.get("day"), first_days))
    fraction = given.get("soc_fraction", start_soc_fraction)
    if fraction is not None and not is_fraction(fraction):
        text = f"must be between 0 and 1, not {as_written(fraction)}{percent_remedy(fraction)}"
        faults.append(Fault("soc_fraction", text))
    refuse(faults)
    number = int(rng.choice(first_days)) if day is None else day
    return number, rng.random(count) if fraction is None else np.full(count, float(fraction))


def _or_fault(faults: list[Fault], read: Callable[[], int | None]) -> int | None:
    try:
        return read()
    except BadInput as refused:
        faults += refused.faults
        return None


def _wanted_day(day: object, first_days: npt.NDArray[np.int64]) -> int | None:
    if day is None:
        return None
    date = brussels_day(day)
    if day_number(date) not in first_days:
        able = f"one can on {len(first_days)} days, {covered_days(first_days)}"
        raise BadInput([Fault("day", f"no episode can begin on {date} in this market with these settings; {able}")])
    return day_number(date)
