"""Walk-forward: learn, test the months after, learn again with what has come, and so on.

Contract
- A trainer is handed a market that ends when the window's training does: it cannot see further. Days to choose on lie
  inside that.
- Tested windows follow each other; the battery carries its energy from one policy to the next.
- Every window's policy is kept in a folder of its own. An interrupted walk goes on; a kept policy of another plan, of
  other data or of other code is replaced.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from arbitrage.battery import Battery
from arbitrage.market.series import MarketSeries
from arbitrage.market.splits import DaysOfMonth, SocReset, Span, select_rows, spans
from arbitrage.market.timing import until
from arbitrage.market.windows import Window, refuse_windows_outside
from arbitrage.policies.policy_schedule import PolicySchedule, policy_schedule
from arbitrage.policies.protocol import Policy
from arbitrage.progress import Progress, ProgressCallback, silent
from arbitrage.training.data_split import DataSplit
from arbitrage.training.methods import TrainingSettings, trainer_named
from arbitrage.training.plan import Trainer, TrainingPlan, trained_policy

TRAIN_DAYS, VALIDATION_DAYS = DaysOfMonth(1, 25), DaysOfMonth(26, 31)
"""Days of the month, inside what a window may learn from, to learn from and to choose on."""


@dataclass(frozen=True, slots=True)
class TrainingWindow:
    """What there is to learn from for one window."""

    market: MarketSeries
    """It ends with the window's training."""
    battery: Battery
    window: Window
    folder: Path
    """Of this window alone; what is made is kept there."""
    before: Path | None = None
    """The folder of the window before; None for the first."""

    @property
    def split(self) -> DataSplit:
        """The window's days, to learn from and to choose on."""
        return DataSplit(
            market=self.market,
            train_days=TRAIN_DAYS,
            validation_days=VALIDATION_DAYS,
            start=self.window.train_start,
            end=self.window.train_end,
            soc_reset=SocReset.NEVER,
        )


PolicyTrainer = Callable[[TrainingWindow], Policy]
"""Learns for one window, or loads what it finished there before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Walk:
    """Which windows are learned and tested."""

    market: MarketSeries
    battery: Battery
    windows: tuple[Window, ...]
    market_at: Callable[[int], MarketSeries] | None = None
    """The market as it was known at an epoch minute, as a store knows it (`stored_market(..., as_of=...)`); None:
    `market` as far as it was published by then."""

    def selection(self) -> tuple[Span, ...]:
        """The tested quarter-hours of all windows, one after the other. Raises BadInput outside the market."""
        refuse_windows_outside(self.market, self.windows)
        chosen = select_rows(self.market, start=self.windows[0].test_start, end=self.windows[-1].test_end)
        return spans(self.market, chosen, SocReset.NEVER)


def walk_forward(
    walk: Walk, train_window: PolicyTrainer, folder: Path, *, name: str, progress: ProgressCallback = silent
) -> PolicySchedule:
    """The policies of all windows, in turn, for one backtest over `walk.selection()`. Raises BadInput."""
    refuse_windows_outside(walk.market, walk.windows)
    market_at = walk.market_at or (lambda time: until(walk.market, time))
    turns, before, count = [], None, len(walk.windows)
    for number, window in enumerate(walk.windows):
        progress(Progress(f"{name}: learning for {window.label}", number, count))
        own = folder / window.label
        room = TrainingWindow(market_at(window.train_end), walk.battery, window, own, before)
        turns.append((window.test_start, train_window(room)))
        before = own
    progress(Progress(f"{name}: all windows learned", count, count))
    return policy_schedule(name, turns)


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowTrainer:
    """Trains any method for each window; see `trainer_named`."""

    method: str
    seed: int = 0
    settings: TrainingSettings = field(default_factory=lambda: TrainingSettings(refit=True))
    """By default the days that have chosen are learned from before the window is tested: they are the newest."""
    warm_start: bool = True
    """Whether a neural agent begins with the weights that it ended the window before with. Warm or not, a window counts
    its own updates, and its best agent is chosen on its own validation days."""

    def trainer(self, room: TrainingWindow) -> Trainer:
        """The method, with what it may begin with."""
        before = room.before if self.warm_start else None
        return trainer_named(self.method, room.split, self.settings, warm_start=before, keep_learner=self.warm_start)

    def plan(self, room: TrainingWindow) -> TrainingPlan:
        """What is learned for the window."""
        return TrainingPlan(trainer=self.trainer(room), split=room.split, battery=room.battery, seed=self.seed)

    def __call__(self, room: TrainingWindow) -> Policy:
        """The policy of the window, trained or loaded."""
        return trained_policy(self.plan(room), room.folder)
