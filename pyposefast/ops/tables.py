"""Small tables that come with the images: boxes, affines, indices; and where results belong."""

from __future__ import annotations

from typing import Any

import numpy as np

from pyposefast import arguments
from pyposefast.arrays import Array, Home, home_of, shape_of
from pyposefast.errors import DeviceMismatchError, InputError, InputTypeError


def home_of_results(out: Array | None, array: Array, argument: str) -> Home:
    """Find out where results belong: with ``out`` where there is one, else with an input."""
    # With a buffer for the results, the input may be of a framework in which none can be made.
    return home_of(array, argument) if out is None else home_of(out, "out")


def _table(value: Array, argument: str, kinds: str, expected: str) -> np.ndarray[Any, Any]:
    """A small table on the CPU, as a NumPy array of one of the kinds of dtype."""
    if isinstance(value, (np.ma.MaskedArray, str, bytes)):
        raise InputTypeError(argument, expected, type(value).__name__)
    try:
        table = np.asarray(value)
    except (TypeError, ValueError):
        raise InputTypeError(argument, expected, type(value).__name__) from None
    if table.dtype.kind not in kinds and table.size:
        raise InputTypeError(argument, expected, str(table.dtype))
    return table


def float64(value: Array, argument: str, home: Home) -> Array:
    """Small tables of numbers: converted on the CPU, taken as they are on a device."""
    if home.device_kind != "cpu":
        return value  # what lives elsewhere is refused with the other arrays of the call
    if not isinstance(value, np.ndarray) and hasattr(value, "__dlpack_device__"):
        other = home_of(value, argument)
        if other.device_kind != "cpu":
            raise DeviceMismatchError(argument, "the other arrays are on the CPU", other.place)
    table = _table(value, argument, "iuf", "numbers")
    if table.dtype == np.longdouble and np.longdouble is not np.float64:
        raise InputTypeError(argument, "numbers of float64 or less", str(table.dtype))
    arguments.room(8 * table.size, argument)  # a broadcast view may stand for any number of rows
    return np.ascontiguousarray(table, dtype=np.float64)


def int32(value: Array, argument: str) -> Array:
    """Indices on the CPU, of any kind of integer."""
    table = _table(value, argument, "iu", "integers")
    if table.size and not (table.min() >= 0 and table.max() <= np.iinfo(np.int32).max):
        raise InputError(argument, "indices of images", f"{table.min()} to {table.max()}")
    return np.ascontiguousarray(table, dtype=np.int32)


def booleans(value: Array, argument: str) -> Array:
    """Flags on the CPU, as the bytes that the extension reads."""
    table = _table(value, argument, "biu", "booleans")
    return np.ascontiguousarray(table != 0, dtype=np.uint8)


def rows(array: Array, argument: str, row: tuple[int | None, ...], count: int | None = None) -> int:
    """Check for shape [count, *row] and give the count."""
    shape = shape_of(array, argument)
    fits = len(shape) == len(row) + 1 and all(
        wanted in (None, size) for wanted, size in zip(row, shape[1:], strict=True)
    )
    if not fits or (count is not None and shape[0] != count):
        wanted = ", ".join("K" if size is None else str(size) for size in row)
        first = "P" if count is None else str(count)
        raise InputError(argument, f"[{first}{', ' if wanted else ''}{wanted}]", str(list(shape)))
    return shape[0]
