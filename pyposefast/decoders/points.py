"""What decoders of one person per region give: a place and a score for each joint."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyposefast.arrays import Array


@dataclass(frozen=True, slots=True)
class Points:
    """The joints of P regions, where the network's output is. Nothing here has been waited for."""

    xy: Array  # [P, K, 2] float32, pixels of a grid laid over the region, centres at whole numbers
    score: Array  # [P, K] float32; joints that were not found have 0
    found: Array  # [P, K] int32, 1 or 0
    grid: tuple[int, int]  # height and width of that grid: the network's input, or its maps
    person_score: Array | None = None  # [P] float32, of networks that tell
    world_m: Array | None = None  # [P, K, 3] float32, metres, of networks that tell
