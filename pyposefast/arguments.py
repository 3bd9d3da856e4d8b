"""Checks of plain arguments: numbers, words, sizes. Arrays are checked where they are imported."""

from __future__ import annotations

import functools
import math
import operator
from types import ModuleType
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from pyposefast.errors import CapacityError, InputError, InputTypeError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

FLOAT32_MAX = float(np.finfo(np.float32).max)
FLOAT32_TINY = float(np.finfo(np.float32).tiny)
LARGEST_SIDE = 1 << 15  # of a crop, in pixels
MOST_THREADS = 1024
LARGEST_RESULT_BYTES = 8 << 30  # of what one call allocates

_T = TypeVar("_T")
# Values that are what they say for good: an array of one number can be cached too, and then change.
_PLAIN = frozenset((bool, int, float, str, ModuleType))


def once(check: Callable[..., _T]) -> Callable[..., _T]:
    """Remember what a check of plain settings returned: most calls repeat those of the last one.

    True, 1 and 1.0 are different settings here, although they are equal keys of a dict.
    """
    cached = functools.lru_cache(maxsize=256, typed=True)(check)

    @functools.wraps(check)
    def checked(*settings: Any) -> _T:
        if _PLAIN.issuperset(map(type, settings)):
            return cached(*settings)
        return check(*settings)

    return checked


def word(value: Any, argument: str, choices: tuple[str, ...]) -> str:
    """Check that a word is one of the choices."""
    if not isinstance(value, str):
        raise InputTypeError(argument, "one of " + ", ".join(choices), type(value).__name__)
    if value not in choices:
        raise InputError(argument, "one of " + ", ".join(choices), repr(value))
    return value


def flag(value: Any, argument: str) -> bool:
    """Check that a value is True or False."""
    if not isinstance(value, (bool, np.bool_)):
        raise InputTypeError(argument, "True or False", type(value).__name__)
    return bool(value)


def integer(value: Any, argument: str, low: int, high: int) -> int:
    """Check for a whole number from low to high."""
    expected = f"a whole number from {low} to {high}"
    try:
        number = operator.index(value)
    except TypeError:
        raise InputTypeError(argument, expected, type(value).__name__) from None
    if isinstance(value, bool) or not low <= number <= high:
        raise InputError(argument, expected, str(value))
    return number


def number(
    value: Any, argument: str, low: float = -FLOAT32_MAX, high: float = FLOAT32_MAX
) -> float:
    """Check for a finite number from low to high; by default all that float32 can hold."""
    is_number = isinstance(value, (int, float, np.integer, np.floating))
    if not is_number or isinstance(value, bool):
        raise InputTypeError(argument, "a number", type(value).__name__)
    try:
        result = float(value)
    except OverflowError:
        result = math.inf
    if not low <= result <= high:  # written so that NaN is refused too
        raise InputError(argument, f"a number from {low:g} to {high:g}", f"{result:g}")
    return result


def per_channel(
    value: Any, argument: str, channels: int, low: float = -FLOAT32_MAX
) -> tuple[float, ...]:
    """Spread one number over the channels, or check that there is one for each."""
    if isinstance(value, (str, bytes)) or not hasattr(value, "__len__"):
        return (number(value, argument, low),) * channels
    if len(value) != channels:
        raise InputError(argument, f"one number or {channels}", f"{len(value)}")
    return tuple(number(each, argument, low) for each in value)


def crop_size(size: Any) -> tuple[int, int]:
    """Check a (height, width) in pixels."""
    expected = f"(height, width), whole numbers from 1 to {LARGEST_SIDE}"
    try:
        height, width = (operator.index(side) for side in size)
    except (TypeError, ValueError):
        raise InputTypeError("size", expected, repr(size)) from None
    if not (0 < height <= LARGEST_SIDE and 0 < width <= LARGEST_SIDE):
        raise InputError("size", expected, repr(size))
    return height, width


def threads(value: Any) -> int:
    """Check a number of CPU threads."""
    return integer(value, "threads", 1, MOST_THREADS)


def room(wanted_bytes: int, argument: str, hint: str = "split it over several calls") -> None:
    """Check that what a call is about to allocate can be meant.

    Args:
        wanted_bytes: the results, and scratch where there is much of it.
        argument: whose numbers ask for so much.
        hint: what to do about it.

    Raises:
        CapacityError: it is more than ``LARGEST_RESULT_BYTES``.
    """
    if wanted_bytes > LARGEST_RESULT_BYTES:
        expected = f"at most {_size(LARGEST_RESULT_BYTES)} of results"
        got, limit = _size(wanted_bytes), LARGEST_RESULT_BYTES
        raise CapacityError(argument, expected, got, hint, limit=limit, seen=wanted_bytes)


def _size(count: int) -> str:
    """Bytes in words, as in "8 GiB"."""
    units = ["bytes", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"]
    power = min((count.bit_length() - 1) // 10, len(units) - 1) if count else 0
    return f"{count / (1 << 10 * power):.3g} {units[power]}"


def pairs(value: Sequence[tuple[int, int]], channels: int) -> list[int]:
    """Turn pairs of channels that swap sides into the partner of every channel."""
    partner = list(range(channels))
    try:
        rows = [tuple(pair) for pair in value]
    except TypeError:
        raise InputTypeError("pairs", "pairs of channels", type(value).__name__) from None
    for row in rows:
        if len(row) != 2:  # noqa: PLR2004
            raise InputError("pairs", "pairs of channels", str(row))
        left, right = (integer(channel, "pairs", 0, channels - 1) for channel in row)
        partner[left], partner[right] = right, left
    return partner
