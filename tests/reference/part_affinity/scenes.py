"""Scenes small enough to know the answer by heart: a stick figure of five parts."""

from __future__ import annotations

from typing import Any

import numpy as np

from pyposefast.skeletons import Field, Skeleton

HEAD, NECK, LEFT, RIGHT, HIP = range(5)
# The last limb is redundant: it closes a loop, as the ear to shoulder limbs of COCO networks do.
LIMBS = np.array([(NECK, HEAD), (NECK, LEFT), (NECK, RIGHT), (NECK, HIP), (HEAD, LEFT)])
CHANNELS = np.array([(2 * limb, 2 * limb + 1) for limb in range(len(LIMBS))])


def upright(x: float, y: float, size: float) -> Any:
    """Joints [5, 2] of a figure whose neck is at (x, y)."""
    shape = np.array([(0, -0.4), (0, 0), (-0.4, 0.3), (0.4, 0.3), (0, 0.8)])
    return shape * size + (x, y)


def drawn(
    people: Any, height: int, width: int, *, sigma: float = 0.9, half_width: float = 1.5
) -> tuple[Any, Any]:
    """Maps [5, H, W] with a Gaussian per joint, and fields [10, H, W] with a band per limb.

    Args:
        people: [P, 5, 2] x and y in map pixels; NaN where a joint is not to be seen.
        height: of the maps.
        width: the same.
        sigma: of the Gaussians, px.
        half_width: of the bands, px; where people cross they are averaged, as networks learn it.
    """
    rows, columns = np.indices((height, width))
    heat = np.zeros((5, height, width), np.float32)
    paf = np.zeros((2 * len(LIMBS), height, width), np.float32)
    bands = np.zeros((len(LIMBS), height, width), np.float32)
    for joints in np.asarray(people, np.float64):
        for part in np.flatnonzero(np.isfinite(joints[:, 0])):
            x, y = joints[part]
            bump = np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * sigma**2))
            heat[part] = np.maximum(heat[part], bump)
        for limb, (a, b) in enumerate(LIMBS):
            step = joints[b] - joints[a]
            length = np.hypot(*step)
            if not np.isfinite(length):
                continue
            along = (columns - joints[a, 0]) * step[0] + (rows - joints[a, 1]) * step[1]
            across = (columns - joints[a, 0]) * step[1] - (rows - joints[a, 1]) * step[0]
            band = np.abs(across) <= half_width * length
            band &= (along >= -half_width * length) & (along <= (length + half_width) * length)
            paf[CHANNELS[limb]] += (step / length)[:, None, None] * band
            bands[limb] += band
    return heat, paf / np.repeat(np.maximum(bands, 1), 2, axis=0)


def skeleton() -> Skeleton:
    """The figure, for decoders; its names are those of no body."""
    parts = int(LIMBS.max()) + 1
    return Skeleton(
        name="figure",
        joints=tuple(f"part {part}" for part in range(parts)),
        limbs=tuple((int(a), int(b)) for a, b in LIMBS),
        pairs=(),
        sigmas=(0.05,) * parts,
        fields=tuple(
            Field(int(a), int(b), int(x), int(y))
            for (a, b), (x, y) in zip(LIMBS, CHANNELS, strict=True)
        ),
    )


def smooth_noise(rng: np.random.Generator, shape: tuple[int, ...], deviation: float) -> Any:
    """Noise as networks have it: neighbouring samples [..., H, W] resemble each other."""
    noise = rng.normal(size=shape)
    for axis in (-2, -1):
        noise = (np.roll(noise, 1, axis) + 2 * noise + np.roll(noise, -1, axis)) / 4
    return (noise * (deviation / noise.std())).astype(np.float32)


def random_scene(rng: np.random.Generator, height: int, width: int) -> tuple[Any, Any]:
    """Maps and fields of one to four figures, some of whose parts are hidden or out of sight.

    Places are random numbers, so that no joint is exactly in the middle of a cell, where OpenPose
    sees equal pixels.
    """
    people = [
        upright(rng.uniform(0, width), rng.uniform(0, height), rng.uniform(5, 14))
        + rng.normal(0, 0.8, (5, 2))
        for _ in range(rng.integers(1, 5))
    ]
    joints = np.stack(people)
    joints[rng.random(joints.shape[:2]) < 0.1] = np.nan
    heat, paf = drawn(joints, height, width)
    heat *= rng.uniform(0.5, 1.0, (len(heat), 1, 1)).astype(np.float32)
    return heat + smooth_noise(rng, heat.shape, 0.012), paf + smooth_noise(rng, paf.shape, 0.03)
