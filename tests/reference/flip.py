"""Oracle of ``average_flip``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from reference.affine import Floats


def average_flip(maps: Any, flipped: Any, *, pairs: Any, shift: bool = False) -> Floats:
    """Maps and flipped [N, K, H, W] -> their mean, not yet rounded to the maps' dtype."""
    partner = np.arange(maps.shape[1])
    for left, right in pairs:
        partner[left], partner[right] = right, left
    mirrored = np.asarray(flipped, np.float64)[:, partner, :, ::-1].copy()
    if shift:  # HRNet's SHIFT_HEATMAP: the first column stays where it is
        mirrored[..., 1:] = mirrored[..., :-1].copy()
    return (np.asarray(maps, np.float64) + mirrored) / 2
