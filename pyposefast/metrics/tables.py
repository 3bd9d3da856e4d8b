"""Checks of the arrays that figures are made of: NumPy on the host, float64 once they are in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from pyposefast.arguments import FLOAT32_MAX
from pyposefast.errors import InputError, InputTypeError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyposefast.skeletons import Skeleton

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Shape = tuple["int | str", ...]


def floats(value: Any, argument: str, shape: Shape) -> Floats:
    """Return numbers as float64 of that shape; a letter in it stands for any size.

    Raises:
        InputError: the shape is another.
        InputTypeError: it is no array of real numbers on the host.
    """
    expected = f"numbers {_words(shape)}"
    array = _array(value, argument, expected)
    # An empty list is float64 to NumPy, and nobody is an ordinary result.
    if array.dtype.kind not in "fiu":
        raise InputTypeError(argument, expected, f"{array.dtype} {list(array.shape)}")
    _check_shape(array, argument, shape, expected)
    return array.astype(np.float64)


def finite(value: Any, argument: str, shape: Shape) -> Floats:
    """Do what ``floats`` does, and refuse what is no number that float32 can hold."""
    array = floats(value, argument, shape)
    # Twice their squares and the distances between them are then finite in float64 too.
    if not (np.abs(array) <= FLOAT32_MAX).all():
        bad = array[~(np.abs(array) <= FLOAT32_MAX)]
        raise InputError(argument, "finite values", f"{bad[0]:g} among {array.size} values")
    return array


def not_negative(value: Any, argument: str, shape: Shape) -> Floats:
    """Do what ``finite`` does, and refuse what is below 0."""
    array = finite(value, argument, shape)
    if (array < 0).any():
        raise InputError(argument, "values from 0", f"{array.min():g}")
    return array


def boxes(value: Any, argument: str, count: int | str = "P") -> Floats:
    """Return boxes x1 y1 x2 y2 as float64 [P, 4], which may be empty but not inside out."""
    array = finite(value, argument, (count, 4))
    inside_out = (array[:, 2:] < array[:, :2]).any(axis=-1)
    if inside_out.any():
        expected = "x1 y1 x2 y2 with x1 <= x2 and y1 <= y2"
        raise InputError(argument, expected, str(array[inside_out][0].tolist()))
    return array


def bools(value: Any, argument: str, shape: Shape) -> Bools:
    """Return a mask of that shape."""
    expected = f"bool {_words(shape)}"
    array = _array(value, argument, expected)
    if array.dtype != np.bool_:
        raise InputTypeError(argument, expected, f"{array.dtype} {list(array.shape)}")
    _check_shape(array, argument, shape, expected)
    return array


def joint_places(skeleton: Skeleton, names: Sequence[str], argument: str) -> list[int]:
    """Return where the joints of these names are in the skeleton.

    Raises:
        InputError: there are none, one is named twice, or the skeleton has no such joint.
        InputTypeError: they are no names.
    """
    expected = f"some of {', '.join(skeleton.joints)}"
    if isinstance(names, str) or not all(isinstance(name, str) for name in names):
        raise InputTypeError(argument, "a list of names of joints", repr(names))
    if len(names) == 0 or len(set(names)) != len(names):
        raise InputError(argument, expected + ", each once", repr(list(names)))
    for name in names:
        if name not in skeleton.joints:
            raise InputError(argument, expected, repr(name))
    return [skeleton.joints.index(name) for name in names]


def plain(value: float) -> float | None:
    """Return a number for JSON, which has no NaN."""
    return float(value) if np.isfinite(value) else None


def _array(value: Any, argument: str, expected: str) -> npt.NDArray[Any]:
    try:
        return np.asarray(value)
    except (TypeError, ValueError) as error:  # on a device; rows of different lengths
        hint = "copy it to the host first" if hasattr(value, "__dlpack__") else ""
        raise InputTypeError(argument, expected, type(value).__name__, hint) from error


def _check_shape(array: npt.NDArray[Any], argument: str, shape: Shape, expected: str) -> None:
    is_that = array.ndim == len(shape) and all(
        isinstance(want, str) or want == have for want, have in zip(shape, array.shape, strict=True)
    )
    if not is_that:
        raise InputError(argument, expected, f"{array.dtype} {list(array.shape)}")


def _words(shape: Shape) -> str:
    return f"[{', '.join(map(str, shape))}]"
