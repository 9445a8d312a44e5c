"""What a training reports while it runs, and what stops it.

Contract: overestimation, collapse and numbers that are none are watched for. A training that diverges stops with a
message that says what and where; what was kept before stays.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from arbitrage.errors import BadInput, Fault
from arbitrage.learners.neural.learner import UpdateReport
from arbitrage.progress import Progress, ProgressCallback

Figures = dict[str, float]


class Diverged(RuntimeError):
    """The training has run away."""


def figures_of(report: UpdateReport) -> Figures:
    """The scalars of an update."""
    return {name: float(getattr(report, name)) for name in UpdateReport._fields if name != "error"}


def refuse_divergence(step: int, figures: Figures, largest_value: float) -> None:
    """Raise Diverged where a figure is no number, or a value is larger than any return can be."""
    broken = [f"{name} is {value}" for name, value in figures.items() if not math.isfinite(value)]
    if figures["value_largest"] > largest_value:
        broken.append(f"a value is {figures['value_largest']:.3g}, beyond {largest_value:.3g}")
    if broken:
        raise Diverged(f"training diverged at step {step}: {'; '.join(broken)}")


def refuse_collapse(step: int, earned: Sequence[float]) -> None:
    """Raise Diverged where the newest looks all earned next to nothing of what an earlier one did, in order of time."""
    best = max(earned, default=0.0)
    newest = earned[-_LOOKS_OF_COLLAPSE:]
    if len(newest) == _LOOKS_OF_COLLAPSE and max(newest) < _COLLAPSED_FRACTION * best:
        raise Diverged(f"training collapsed at step {step}: from {best:,.1f} to at most {max(newest):,.1f} since")


_LOOKS_OF_COLLAPSE = 8
_COLLAPSED_FRACTION = 0.1


def tensorboard_sink(directory: Path) -> ProgressCallback:
    """Figures of each report to TensorBoard. Raises BadInput where it is not installed (extra `tensorboard`)."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as missing:
        raise BadInput([Fault("tensorboard", "is not installed: pip install 'arbitrage[tensorboard]'")]) from missing
    writer = SummaryWriter(str(directory))

    def write(progress: Progress) -> None:
        for name, value in progress.figures.items():
            writer.add_scalar(name, value, int(progress.completed))
        writer.flush()

    return write
