"""Maps of one standing person, and what a decoder makes of them, for the tests of its calls."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np
from reference.part_affinity.figures import drawn, standing

from pyposefast import skeletons

if TYPE_CHECKING:
    from pyposefast.decoders import People

F32 = np.float32
COCO = skeletons.load("openpose_coco18")
PERSON = standing(COCO, 20.3, 8.2, 40.0)


def maps_of(height: int = 48, width: int = 40, images: int = 1) -> tuple[Any, Any]:
    heat, fields = drawn(COCO, PERSON, height, width)
    return heat.repeat(images, axis=0), fields.repeat(images, axis=0)


def arrays_of(people: People) -> list[Any]:
    return [getattr(people, field.name) for field in dataclasses.fields(people)]


def bytes_of(people: People) -> list[bytes]:
    return [array.tobytes() for array in arrays_of(people)]
