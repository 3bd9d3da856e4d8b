"""How people are built: where joints usually are, and how far bones swing.

Decoders use it where a network says nothing: to tell that two legs below a hidden hip belong to the
shoulders above. Numbers are those of an adult who stands upright and faces the camera, in body
heights from the base of the neck, x to the right of the picture and y downwards, after the segment
lengths that are common in biomechanics (Drillis and Contini, 1966).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence


class Bone(NamedTuple):
    """The joint at a bone's far end."""

    parent: str  # the joint at its near end
    x: float  # of the joint, body heights
    y: float
    sway_rad: float  # standard deviation of the bone's direction


ROOT = "neck"

# Side by side, so that nobody's left arm is longer than the right one.
_SIDES: dict[str, Bone] = {
    "eye": Bone("nose", 0.02, -0.125, 0.7),
    "ear": Bone("nose", 0.05, -0.11, 0.5),
    "shoulder": Bone(ROOT, 0.115, 0.01, 0.3),
    "elbow": Bone("shoulder", 0.16, 0.18, 0.7),
    "wrist": Bone("elbow", 0.17, 0.33, 0.8),
    "hip": Bone(ROOT, 0.07, 0.32, 0.15),
    "knee": Bone("hip", 0.08, 0.57, 0.35),
    "ankle": Bone("knee", 0.08, 0.81, 0.4),
    "heel": Bone("ankle", 0.08, 0.84, 0.7),
    "big_toe": Bone("ankle", 0.11, 0.86, 0.7),
    "small_toe": Bone("ankle", 0.13, 0.86, 0.7),
}
_MIDDLE: dict[str, Bone] = {
    "nose": Bone(ROOT, 0.0, -0.10, 0.35),
    "head_top": Bone("nose", 0.0, -0.20, 0.3),
    "upper_neck": Bone(ROOT, 0.0, -0.04, 0.3),
    "chest": Bone(ROOT, 0.0, 0.14, 0.15),
    "mid_hip": Bone(ROOT, 0.0, 0.32, 0.15),
}


def _both_sides() -> dict[str, Bone]:
    bones = dict(_MIDDLE)
    # Right joints are on the left of the picture of somebody who faces the camera.
    for side, sign in (("right", -1), ("left", 1)):
        for name, bone in _SIDES.items():
            parent = f"{side}_{bone.parent}" if bone.parent in _SIDES else bone.parent
            bones[f"{side}_{name}"] = bone._replace(parent=parent, x=sign * bone.x)
    return bones


BONES = _both_sides()


class JointPlace(NamedTuple):
    """Where a joint is, and the bones on the way to it from the neck."""

    x: float  # body heights
    y: float
    bones: list[int]  # indices into BONES


def place_of(joint: str) -> JointPlace | None:
    """Return where a joint is; ``None`` when the table does not know it."""
    if joint == ROOT:
        return JointPlace(0.0, 0.0, [])
    if joint not in BONES:
        return None
    names = list(BONES)
    bones = []
    at = joint
    while at != ROOT:
        bones.append(names.index(at))
        at = BONES[at].parent
    return JointPlace(BONES[joint].x, BONES[joint].y, bones)


def variances() -> list[float]:
    """Return, for each bone, the variance that its sway gives its far end, in body heights."""
    result = []
    for bone in BONES.values():
        near = BONES.get(bone.parent)
        x, y = (near.x, near.y) if near else (0.0, 0.0)
        result.append((bone.sway_rad * math.hypot(bone.x - x, bone.y - y)) ** 2)
    return result


def places_of(joints: Sequence[str]) -> list[JointPlace | None]:
    """Return where each of the joints is."""
    return [place_of(joint) for joint in joints]
