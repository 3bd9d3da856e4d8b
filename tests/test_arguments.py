"""Settings are checked once, and no unequal type passes for an equal value that was."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from pyposefast import ops
from pyposefast.errors import InputError, InputTypeError

MAPS = np.ones((1, 1, 9, 9), np.float32)


@pytest.mark.parametrize(
    ("good", "bad"),
    [
        ({"threads": 1}, {"threads": True}),
        ({"threads": 1}, {"threads": 1.0}),
        ({"logits": True}, {"logits": 1}),
        ({"logits": False}, {"logits": 0.0}),
        ({"kernel": 11}, {"kernel": 11.0}),
        ({"threshold": 0.0}, {"threshold": False}),
        ({"offset_scale": 1}, {"offset_scale": True}),
    ],
)
def test_equal_values_of_other_types(good: Any, bad: Any) -> None:
    ops.best_peaks(MAPS, **good)
    with pytest.raises((InputError, InputTypeError)):
        ops.best_peaks(MAPS, **bad)


def test_what_can_change_is_checked_again() -> None:
    kernel: Any = np.array(11)
    ops.best_peaks(MAPS, refine="dark", kernel=kernel)
    kernel[...] = 4
    with pytest.raises(InputError, match="kernel"):
        ops.best_peaks(MAPS, refine="dark", kernel=kernel)


@pytest.mark.parametrize("bad", [[], None, {}, "11"])
def test_no_number_at_all(bad: Any) -> None:
    with pytest.raises(InputTypeError, match="kernel"):
        ops.best_peaks(MAPS, kernel=bad)
    with pytest.raises(InputTypeError, match="kernel"):
        ops.decode_simcc(MAPS[0], MAPS[0], kernel=bad)


def test_refused_settings_stay_refused() -> None:
    for _ in range(2):
        with pytest.raises(InputError, match="threshold"):
            ops.best_peaks(MAPS, threshold=float("nan"))
