"""A whole picture: several people in a meadow, with everything that is to be known about them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from pyposefast import skeletons
from pyposefast.errors import InputError
from pyposefast.synthetic import cones, figure, meadow

if TYPE_CHECKING:
    from pyposefast.skeletons import Skeleton

MAX_PEOPLE = 1000
_SMALLEST_SIDE, _LARGEST_SIDE = 16, 8192
_CAMERA_HEIGHT = 2.0  # metres above the ground: far people stand higher in the picture
_OWN_BODY = 0.17  # metres of one's own body that do not hide a joint: it lies inside that body


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """A picture of P people, farthest first."""

    image: npt.NDArray[np.uint8]  # [H, W, 3] RGB
    joints: npt.NDArray[np.float32]  # [P, 17, 2], image pixels, pixel centres at whole numbers
    visible: npt.NDArray[np.bool_]  # [P, 17], inside the picture and hidden by nothing
    box: npt.NDArray[np.float32]  # [P, 4], x1 y1 x2 y2, edges of the figure, hidden parts too
    skeleton: Skeleton  # coco17


def render_scene(*, people: int = 5, size: tuple[int, int] = (720, 1280), seed: int = 0) -> Scene:
    """Draw people in a meadow, some partly behind others.

    Args:
        people: P, 0 to 1000.
        size: (height, width) of the picture in pixels.
        seed: 0 or more; the same seed gives the same picture.
    """
    height, width = size
    _check(people, size, seed)
    skeleton = skeletons.load("coco17")
    random = np.random.default_rng(seed)
    horizon = random.uniform(0.26, 0.31) * height
    canvas = meadow.paint(random, height, width, horizon)
    owner = np.full((height, width), -1)  # the person that each pixel shows
    depth = np.full((height, width), np.inf)  # of that person's surface, in its own pixels
    joints = np.zeros((people, len(skeleton.joints), 3), np.float32)
    boxes = np.zeros((people, 4), np.float32)
    nearest = (0.95 * height - horizon) / _CAMERA_HEIGHT  # pixels per metre
    scales = nearest * np.linspace(0.48 if people > 1 else 0.9, 1.0, max(people, 1))
    slots, stances = random.permutation(people), random.permutation(len(figure.STANCES))
    for person in range(people):
        scale = float(scales[person])
        stance = figure.STANCES[stances[person % len(stances)]]
        points, body = figure.pose_figure(random, stance)
        margin = min(0.7 * scale, width / 2)  # room for arms
        place = (slots[person] + random.uniform(0.1, 0.9)) / people * width
        feet = np.array(
            [np.clip(place, margin, width - margin), horizon + _CAMERA_HEIGHT * scale, 0]
        )
        aloft = 1.0 + 2.0 * stance.jump
        meadow.cast_shadow(
            canvas, (feet[0], feet[1]), (0.42 * scale * aloft, 0.10 * scale * aloft), 0.5 / aloft
        )
        joints[person] = points * scale + feet
        layer = cones.draw([_place(cone, scale, feet) for cone in body])
        boxes[person] = layer.box
        _paste(canvas, owner, depth, layer, person)
    canvas += random.normal(0.0, 2.0, canvas.shape)  # the grain of a camera
    return Scene(
        image=np.clip(np.rint(canvas), 0, 255).astype(np.uint8),
        joints=np.ascontiguousarray(joints[..., :2]),
        visible=_visible(joints, owner, depth, _OWN_BODY * scales[:people]),
        box=boxes,
        skeleton=skeleton,
    )


def _check(people: int, size: tuple[int, int], seed: int) -> None:
    if not 0 <= people <= MAX_PEOPLE:
        raise InputError("people", f"0 to {MAX_PEOPLE}", repr(people))
    if not all(_SMALLEST_SIDE <= side <= _LARGEST_SIDE for side in size):
        expected = f"a height and a width from {_SMALLEST_SIDE} to {_LARGEST_SIDE}"
        raise InputError("size", expected, repr(size))
    if seed < 0:
        raise InputError("seed", "0 or more", repr(seed))


def _place(cone: cones.Cone, scale: float, feet: npt.NDArray[np.float64]) -> cones.Cone:
    """Take a cone from metres to image pixels."""
    return cone._replace(
        start=cone.start * scale + feet,
        end=cone.end * scale + feet,
        start_radius=cone.start_radius * scale,
        end_radius=cone.end_radius * scale,
    )


def _paste(
    canvas: meadow.Canvas,
    owner: npt.NDArray[np.int64],
    depth: npt.NDArray[np.float64],
    layer: cones.Layer,
    person: int,
) -> None:
    """Put a figure over the picture and note which pixels are now its own."""
    height, width = canvas.shape[:2]
    rows, columns = layer.alpha.shape
    top, bottom = max(layer.top, 0), min(layer.top + rows, height)
    left, right = max(layer.left, 0), min(layer.left + columns, width)
    if top >= bottom or left >= right:
        return
    inside = np.s_[top - layer.top : bottom - layer.top, left - layer.left : right - layer.left]
    here = np.s_[top:bottom, left:right]
    canvas[here] += (layer.colour[inside] - canvas[here]) * layer.alpha[inside][..., None]
    covered = np.isfinite(layer.depth[inside])
    owner[here][covered] = person
    depth[here][covered] = layer.depth[inside][covered]


def _visible(
    joints: npt.NDArray[np.float32],
    owner: npt.NDArray[np.int64],
    depth: npt.NDArray[np.float64],
    own_body: npt.NDArray[np.float64],
) -> npt.NDArray[np.bool_]:
    """Return [P, 17]: the pixel shows this person, and no limb far in front of the joint."""
    height, width = owner.shape
    x, y = (np.rint(joints[..., axis]).astype(np.int64) for axis in (0, 1))
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    x, y = np.clip(x, 0, width - 1), np.clip(y, 0, height - 1)
    is_own = owner[y, x] == np.arange(len(joints))[:, None]
    is_near = joints[..., 2] - depth[y, x] < own_body[:, None]
    visible: npt.NDArray[np.bool_] = inside & is_own & is_near
    return visible
