"""A picture of the report with its heading, caption and key to colours.

Contract: a heading says what was found, computed from the same rows as the picture; the caption says what is shown.
Where there is nothing to show, the caption says why in one sentence, and there is no picture.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import plotly.graph_objects as go
from jinja2.utils import htmlsafe_json_dumps
from markupsafe import Markup

from arbitrage.backtest.report.figures.rounding import number, sensible_decimals


@dataclass(frozen=True, slots=True)
class Panel:
    """A picture with its words."""

    name: str
    """Identifier in the page."""
    heading: str
    caption: str
    figure: go.Figure | None = None
    """None where the caption says why there is none."""
    key: Sequence[tuple[str, str, str]] = ()
    """What the colours mean: (label, colour, `solid`, `dashed`, `dotted`, `block`, `diamond` or `scale`)."""

    @property
    def payload(self) -> Markup:
        """The picture as JSON that can stand inside a script element."""
        return htmlsafe_json_dumps(self.figure, dumps=lambda figure: str(figure.to_json()))


def panel_or_reason(name: str, subject: str, why_not: str | None, draw: Callable[[], Panel]) -> Panel:
    """What `draw` makes, or the reason why there is nothing to draw under the subject as a heading."""
    return draw() if why_not is None else Panel(name, subject, why_not)


def euros(value: float, *, signed: bool = False) -> str:
    """A sum on its own, rounded by its size."""
    return f"{number(value, sensible_decimals(value), signed=signed)} EUR"
