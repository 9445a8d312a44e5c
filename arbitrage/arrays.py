"""Names of array types.

Contract: a name states the type of the elements; the docstring of each function states the shapes.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Singles = npt.NDArray[np.float32]
"""What networks read: half the memory, and the precision that they are trained with."""
Numbers = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]
