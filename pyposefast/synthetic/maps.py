"""Maps for known joints: what a perfect network, or a noisy one, would answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from pyposefast.errors import InputError

if TYPE_CHECKING:
    from pyposefast.skeletons import Skeleton


def heatmaps(
    points: npt.NDArray[np.floating],
    *,
    size: tuple[int, int],
    sigma: float = 2.0,
    amplitude: float | npt.NDArray[np.floating] = 1.0,
    noise: float = 0.0,
    seed: int = 0,
) -> npt.NDArray[np.float32]:
    """Draw what a perfect network would answer: a Gaussian for every joint.

    Args:
        points: [P, K, 2], map pixels; a joint with NaN gets an empty map.
        size: (height, width) of the maps.
        sigma: width of the Gaussians in map pixels; 2 is what most networks are trained with.
        amplitude: height of the Gaussians, one for all or [P, K].
        noise: standard deviation of the noise on every sample.
        seed: of the noise.

    Returns:
        [P, K, h, w] float32.
    """
    height, width = size
    centres = np.asarray(points, np.float64)
    if centres.ndim != 3 or centres.shape[2] != 2:  # noqa: PLR2004
        raise InputError("points", "[P, K, 2]", str(list(centres.shape)))
    across = np.exp(-0.5 * ((np.arange(width) - centres[..., :1]) / sigma) ** 2)  # [P, K, w]
    down = np.exp(-0.5 * ((np.arange(height) - centres[..., 1:]) / sigma) ** 2)  # [P, K, h]
    down = down * np.asarray(amplitude, np.float64)[..., None]
    product = np.nan_to_num(down[..., :, None] * across[..., None, :])
    maps: npt.NDArray[np.float32] = product.astype(np.float32)
    if noise > 0:
        random = np.random.default_rng(seed)
        maps += np.float32(noise) * random.standard_normal(maps.shape, dtype=np.float32)
    return maps


def limb_fields(
    points: npt.NDArray[np.floating],
    *,
    skeleton: Skeleton,
    size: tuple[int, int],
    half_width: float = 1.0,
) -> npt.NDArray[np.float32]:
    """Draw the part affinity fields of people in one image, as networks are trained to give them.

    Args:
        points: [P, K, 2], map pixels; a joint with NaN has no limbs.
        skeleton: which limbs there are, and in which channels their fields.
        size: (height, width) of the maps.
        half_width: of a limb, map pixels.

    Returns:
        [1, C, h, w] float32: unit vectors along each limb, averaged where limbs of people cross.
    """
    joints = np.asarray(points, np.float64)
    if joints.ndim != 3 or joints.shape[1:] != (len(skeleton.joints), 2):  # noqa: PLR2004
        expected = f"[P, {len(skeleton.joints)}, 2]"
        raise InputError("points", expected, str(list(joints.shape)))
    if not skeleton.fields:
        expected = "one with part affinity fields"
        raise InputError("skeleton", expected, f"{skeleton.name}, which has none")
    y, x = np.mgrid[: size[0], : size[1]]
    channels = 1 + max(max(field.x, field.y) for field in skeleton.fields)
    fields = np.zeros((1, channels, *size), np.float32)
    for field in skeleton.fields:
        start, step = joints[:, field.first], joints[:, field.second] - joints[:, field.first]
        length = np.hypot(*step.T)
        is_limb = length > 0  # which NaN is not
        unit = step[is_limb] / length[is_limb, None]  # [P, 2]
        dx, dy = x - start[is_limb, :1, None], y - start[is_limb, 1:, None]  # [P, h, w]
        along = dx * unit[:, :1, None] + dy * unit[:, 1:, None]
        across = dx * unit[:, 1:, None] - dy * unit[:, :1, None]
        is_on = (np.abs(across) <= half_width) & (
            np.abs(along - length[is_limb, None, None] / 2)
            <= length[is_limb, None, None] / 2 + half_width
        )
        people = np.maximum(is_on.sum(axis=0), 1)
        fields[0, field.x] = (is_on * unit[:, :1, None]).sum(axis=0) / people
        fields[0, field.y] = (is_on * unit[:, 1:, None]).sum(axis=0) / people
    return fields


def mirror_points(
    points: npt.NDArray[np.floating], *, width: int, skeleton: Skeleton
) -> npt.NDArray[np.float32]:
    """Return where a network sees the joints when its crop or map of ``width`` pixels is mirrored.

    Left and right change names too: what was the left wrist looks like a right one.

    Args:
        points: [P, K, 2], pixels of the crop or map.
        width: of the crop or map.
        skeleton: says which joints change places.
    """
    mirrored = np.array(points, np.float32)[:, skeleton.mirrored]
    mirrored[..., 0] = (width - 1) - mirrored[..., 0]
    return mirrored
