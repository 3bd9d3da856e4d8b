"""Scenes of people with the joints of any skeleton: heatmaps and fields as networks learn them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from pyposefast import body

if TYPE_CHECKING:
    from pyposefast.skeletons import Skeleton

F32 = np.float32


def standing(skeleton: Skeleton, x: float, y: float, height: float) -> Any:
    """Joints [K, 2] of somebody upright whose neck is at (x, y), all in map pixels."""
    places = [body.place_of(joint) for joint in skeleton.joints]
    return np.array([(place.x, place.y) for place in places if place]) * height + (x, y)


def drawn(
    skeleton: Skeleton, people: Any, height: int, width: int, *, background: bool = True
) -> tuple[Any, Any]:
    """Heatmaps [1, K, H, W] and fields [1, C, H, W] of people [P, K, 2].

    Args:
        skeleton: says which channels the fields have.
        people: x and y of the joints in map pixels; NaN where one is not to be seen.
        height: of the maps.
        width: of the maps.
        background: add the channel that networks have behind those of the joints.
    """
    rows, columns = np.indices((height, width))
    joints = len(skeleton.joints)
    heat = np.zeros((joints + background, height, width), F32)
    fields = np.zeros((1 + max(max(f.x, f.y) for f in skeleton.fields), height, width), F32)
    for person in np.asarray(people, np.float64).reshape(-1, joints, 2):
        for joint in np.flatnonzero(np.isfinite(person[:, 0])):
            x, y = person[joint]
            bump = np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / 2.0)
            heat[joint] = np.maximum(heat[joint], bump)
        for field in skeleton.fields:
            step = person[field.second] - person[field.first]
            length = np.hypot(*step)
            if not (np.isfinite(length) and length > 0):
                continue
            unit = step / length
            dx, dy = columns - person[field.first, 0], rows - person[field.first, 1]
            along, across = dx * unit[0] + dy * unit[1], dx * unit[1] - dy * unit[0]
            near = (np.abs(across) <= 1.5) & (along >= -1.5) & (along <= length + 1.5)
            fields[field.x][near], fields[field.y][near] = unit
    if background:
        heat[joints] = 1.0 - heat[:joints].max(axis=0)
    return heat[None], fields[None]


def crowd(skeleton: Skeleton, people: int, height: int, width: int, *, seed: int) -> Any:
    """People [P, K, 2] who stand anywhere, upright and of different sizes."""
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(people):
        size = rng.uniform(0.35, 0.7) * height
        x, y = rng.uniform(0.1, 0.9) * width, 0.25 * size + rng.uniform(0, height - size)
        found.append(standing(skeleton, x, y, size) + rng.normal(0, 0.02 * size, (1, 2)))
    return np.array(found)
