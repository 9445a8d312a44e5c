"""Figures as JSON takes them.

Contract: JSON knows neither arrays nor infinities nor what is not a number. A figure that is none of the finite numbers
becomes null, wherever it stands.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np


def plain(value: Any) -> Any:
    """The same value made of dictionaries, lists, text, booleans, None and finite numbers only."""
    if isinstance(value, Mapping):
        return {str(name): plain(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [plain(part) for part in value]
    if isinstance(value, np.generic):
        return plain(value.item())
    return None if isinstance(value, float) and not math.isfinite(value) else value
