"""The Brussels day so far as a small picture, drawn with numpy alone.

Contract: three panels, one below the other, over the whole Brussels day from left to right: the imbalance price (of
settled time, between its own lowest and highest so far), the state of charge (0 to 100 % of capacity), and the power
(discharge above the line, charge below it, up to the rating). Thin lines stand every six hours. What is still to come
is left empty.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from arbitrage.arrays import Floats
from arbitrage.battery import Battery
from arbitrage.env.episode import Episode

Picture = npt.NDArray[np.uint8]

WIDTH, HEIGHT = 400, 240
_MARGIN, _PANEL, _HEADING = 8, 58, 16
_PAPER, _PANEL_PAPER, _INK, _RULE = (255, 255, 255), (245, 246, 248), (60, 64, 72), (214, 217, 222)
_PRICE, _STORE, _DISCHARGE, _CHARGE = (92, 99, 112), (46, 134, 122), (222, 122, 34), (45, 105, 196)
_LETTERS = (
    "0:75557 1:26227 2:71747 3:71717 4:55711 5:74717 6:74757 7:71122 8:75757 9:75717 -:00700 +:02720 .:00002 %:51245 "
    "/:11244 A:25755 C:74447 E:74647 F:74644 G:74557 H:55755 I:72227 M:57755 O:75557 P:75744 R:75765 S:74717 T:72222 "
    "U:55557 W:55775"
)
"""Letters of 3 by 5 points: a digit is a row, its bits the points from left to right."""
_GLYPHS = {letter[0]: letter[2:] for letter in _LETTERS.split()}
_BLANK = "00000"


class DaySoFar:
    """Keeps what an episode's batteries did, and draws the Brussels day of the last step."""

    def __init__(self, episode: Episode, battery: Battery, count: int) -> None:
        """`count` batteries of one kind, which share the episode's prices."""
        self._episode, self._battery = episode, battery
        self._soc_mwh: list[Floats] = []
        self._power_mw: list[Floats] = []
        self._count = count

    def add(self, soc_mwh: float | Floats, power_mw: float | Floats) -> None:
        """A step is over: state of charge at its end and the power that flowed, of one battery or of all of them."""
        self._soc_mwh.append(np.full(self._count, soc_mwh))
        self._power_mw.append(np.full(self._count, power_mw))

    def picture(self, battery: int) -> Picture:
        """The day so far of one of the batteries, shape [HEIGHT, WIDTH, 3]."""
        first, last = self._day()
        done = slice(first, len(self._power_mw))
        until = np.full(last - first, np.nan)
        price, store, power = until.copy(), until.copy(), until.copy()
        seen = len(self._power_mw) - first
        price[:seen] = self._episode.price_eur_mwh[done]
        store[:seen] = [soc_mwh[battery] for soc_mwh in self._soc_mwh[done]]
        power[:seen] = [power_mw[battery] for power_mw in self._power_mw[done]]
        return _draw(price, 100.0 * store / self._battery.capacity_mwh, power, self._battery.power_mw)

    def _day(self) -> tuple[int, int]:
        """First step of the Brussels day of the last step that was made, and the one after its last."""
        ends = np.flatnonzero(self._episode.ends_day) + 1
        made = max(len(self._power_mw), 1)
        number = int(np.searchsorted(ends, made))
        first = int(ends[number - 1]) if number else 0
        return first, int(ends[number]) if number < len(ends) else len(self._episode)


def _draw(price_eur_mwh: Floats, store_percent: Floats, power_mw: Floats, rating_mw: float) -> Picture:
    """Arrays of shape [steps of the day], NaN where nothing is known."""
    known = price_eur_mwh[~np.isnan(price_eur_mwh)]
    low, high = (min(known.min(), 0.0), max(known.max(), 0.0)) if len(known) else (0.0, 0.0)
    picture: Picture = np.full((HEIGHT, WIDTH, 3), _PAPER, dtype=np.uint8)
    panels = (
        (f"PRICE {low:.0f} TO {high:.0f} EUR/MWH", price_eur_mwh, (low, high), (_PRICE, _PRICE)),
        ("STATE OF CHARGE 0 TO 100 %", store_percent, (0.0, 100.0), (_STORE, _STORE)),
        (f"POWER {-rating_mw:.3g} TO {rating_mw:.3g} MW", power_mw, (-rating_mw, rating_mw), (_DISCHARGE, _CHARGE)),
    )
    for number, (heading, values, bounds, colours) in enumerate(panels):
        top = _MARGIN + number * (_PANEL + _HEADING + 2)
        _write(picture[top : top + _HEADING, _MARGIN:], heading.upper())
        area = picture[top + _HEADING : top + _HEADING + _PANEL, _MARGIN : WIDTH - _MARGIN]
        _fill(area, values, bounds, colours)
    return picture


def _fill(area: Picture, values: Floats, bounds: tuple[float, float], colours: tuple[tuple[int, ...], ...]) -> None:
    """Columns from zero to each value; the first colour above zero, the second below."""
    height, width = area.shape[:2]
    low, high = bounds
    span = max(high - low, 1e-12)
    column = values[np.arange(width) * len(values) // width]
    area[:] = _PANEL_PAPER
    area[:, [width // 4, width // 2, 3 * width // 4]] = _RULE
    row_of = (height - 1) * (high - column) / span
    zero = round((height - 1) * high / span)
    rows = np.arange(height)[:, None]
    area[(rows <= zero) & (rows >= np.floor(row_of)) & (column > 0.0)] = colours[0]
    area[(rows >= zero) & (rows <= np.ceil(row_of)) & (column < 0.0)] = colours[1]
    area[zero] = _INK


def _write(area: Picture, text: str) -> None:
    """Letters twice as large as their points."""
    points = np.array([[int(row) for row in _GLYPHS.get(letter, _BLANK)] for letter in text])
    bits = (points[:, :, None] >> np.array([2, 1, 0, 8])) & 1
    line = bits.transpose(1, 0, 2).reshape(5, -1)
    drawn = np.kron(line, np.ones((2, 2), dtype=np.int64)).astype(np.bool_)[:, : area.shape[1]]
    area[: drawn.shape[0], : drawn.shape[1]][drawn] = _INK
