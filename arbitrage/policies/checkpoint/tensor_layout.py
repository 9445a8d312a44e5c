"""Which tensors a policy has: their names, types, shapes and ranges, checked before any compiled loop sees them.

Contract: compiled loops check no bounds, so nothing reaches them but arrays that `check_tensors` has passed. Sizes that
a file may choose for itself are read from one tensor (`size_of`); all others must fit that one.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError, deserialize

from arbitrage.errors import BadInput, Fault, refuse

Tensors = dict[str, npt.NDArray[Any]]

SINGLE, DOUBLE, INDEX = "F32", "F64", "I32"
_DTYPES = {SINGLE: np.float32, DOUBLE: np.float64, INDEX: np.int32}
_MOST_HEADER_BYTES = 4 * 1024 * 1024
_LENGTH_BYTES = 8
"""A safetensors file begins with the length of its header."""
_MOST_AXES = 3
_NAMED = 5
LEAST_SPREAD = float(np.finfo(np.float32).tiny)
"""Of standard deviations, which inputs are divided by."""


@dataclass(frozen=True, slots=True)
class Slot:
    """What one tensor must be."""

    dtype: str
    shape: tuple[int, ...]
    low: float = -math.inf
    high: float = math.inf
    finite: bool = True


Layout = dict[str, Slot]


def parse_tensors(content: bytes, path: Path) -> Tensors:
    """The tensors of a safetensors file. Raises BadInput for what is none, and for types and shapes of no policy."""
    header_bytes = int.from_bytes(content[:_LENGTH_BYTES], "little")
    if header_bytes > _MOST_HEADER_BYTES:
        raise BadInput([Fault(str(path), f"is not a safetensors file of a policy: a header of {header_bytes:,} bytes")])
    try:
        found: list[tuple[str, dict[str, Any]]] = deserialize(content)  # type: ignore[no-untyped-call]
    except SafetensorError as error:
        raise BadInput([Fault(str(path), f"is not a safetensors file: {error}")]) from error
    refuse(
        Fault(str(path), f"tensor {name[:100]!r} has the type {view['dtype']} and the shape {view['shape'][:10]}")
        for name, view in found
        if view["dtype"] not in _DTYPES or len(view["shape"]) > _MOST_AXES or 0 in view["shape"]
    )
    return {name: np.frombuffer(view["data"], _DTYPES[view["dtype"]]).reshape(view["shape"]) for name, view in found}


def size_of(tensors: Mapping[str, npt.NDArray[Any]], name: str, axis: int = 0) -> int:
    """A size that the file chooses; 1 where the tensor is missing or has no such axis, which the check then says."""
    tensor = tensors.get(name)
    return 1 if tensor is None or tensor.ndim <= axis else int(tensor.shape[axis])


def numbered(tensors: Mapping[str, npt.NDArray[Any]], prefix: str) -> int:
    """How many parts `prefix0.`, `prefix1.` and so on the names have, as far as they are counted without a gap."""
    number = 0
    while any(name.startswith(f"{prefix}{number}.") for name in tensors):
        number += 1
    return number


def check_tensors(tensors: Tensors, layout: Layout, path: Path) -> None:
    """Raises BadInput with every tensor that is missing, unknown, of another type or shape, or out of range."""
    refuse([*_name_faults(tensors, layout, path), *_slot_faults(tensors, layout, path)])


def _name_faults(tensors: Tensors, layout: Layout, path: Path) -> Iterator[Fault]:
    lists = (("missing", sorted(layout.keys() - tensors)), ("unknown", sorted(tensors.keys() - layout)))
    for what, names in lists:
        if names:
            listed = ", ".join(name[:100] for name in names[:_NAMED])
            more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
            yield Fault(
                str(path), f"holds other tensors than this version serves: {listed}{more} {what}; train it again"
            )


def _slot_faults(tensors: Tensors, layout: Layout, path: Path) -> Iterator[Fault]:
    for name, slot in layout.items():
        tensor = tensors.get(name)
        if tensor is not None and (message := _misfit(tensor, slot)):
            yield Fault(str(path), f"tensor {name} {message}")


def _misfit(tensor: npt.NDArray[Any], slot: Slot) -> str:
    """What keeps the tensor from its slot; empty where it fits."""
    if tensor.dtype != _DTYPES[slot.dtype]:
        return f"is of {tensor.dtype}, not of {np.dtype(_DTYPES[slot.dtype])}"
    if tensor.shape != slot.shape:
        return f"has the shape {list(tensor.shape)} where the others leave room for {list(slot.shape)}"
    if slot.finite and not np.isfinite(tensor).all():
        return "holds values that are not finite"
    if _is_bounded(slot) and not (tensor >= slot.low).all() & (tensor <= slot.high).all():
        return f"holds values outside {slot.low:g} to {slot.high:g}"
    return ""


def _is_bounded(slot: Slot) -> bool:
    """Whether values are compared at all; NaN is within no bounds, so it needs no other check where they are."""
    return slot.low > -math.inf or slot.high < math.inf
