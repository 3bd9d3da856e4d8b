"""Random builds, and crowds of them in maps and fields: from clean to hostile."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from reference import inputs

Generator = np.random.Generator

KINDS = ("clean", "noise", "levels", "spots", "random", "hostile")


@dataclasses.dataclass(frozen=True)
class Build:
    """A skeleton that nobody has, and how it stands."""

    shape: Any  # [K, 2] joints of a figure of size 1, the first at the origin
    limbs: list[tuple[int, int, int, int]]  # two joints and two channels
    body: list[tuple[float, float, list[int]] | None]  # as shape, and the bones to the first joint
    variances: list[float]


def random_build(rng: Generator) -> Build:
    """A tree of joints, some limbs that close a loop, some joints of which nothing is known."""
    joints = int(rng.integers(2, 7))
    parents = [0] + [int(rng.integers(0, joint)) for joint in range(1, joints)]
    steps = rng.uniform((-0.6, -0.2), (0.6, 0.8), (joints, 2))
    shape = np.zeros((joints, 2))
    bones: list[list[int]] = [[]]
    for joint in range(1, joints):
        shape[joint] = shape[parents[joint]] + steps[joint]
        bones.append([*bones[parents[joint]], joint])
    pairs = [(parents[joint], joint) for joint in range(1, joints)]
    for _ in range(int(rng.integers(0, 3))):
        second = int(rng.integers(1, joints))
        pairs.append((int(rng.integers(0, second)), second))
    channels = rng.permutation(2 * len(pairs)).reshape(-1, 2)
    limbs = [(*pair, int(x), int(y)) for pair, (x, y) in zip(pairs, channels, strict=True)]
    body = [
        (float(x), float(y), chain) if rng.random() < 0.85 else None
        for (x, y), chain in zip(shape, bones, strict=True)
    ]
    return Build(shape, limbs, body, rng.uniform(0.001, 0.1, joints).tolist())


def crowds(
    rng: Generator, build: Build, kind: str, n: int, height: int, width: int
) -> tuple[Any, Any]:
    """Maps [N, K, H, W] and fields [N, 2L, H, W], float32, of up to twelve people an image."""
    count = int(rng.integers(0, 13))
    joints = len(build.shape)
    there = (rng.random((n, count)) < 0.7)[..., None]
    size = rng.uniform(3, 12, (n, count, 1, 1))
    root = rng.uniform(-1, (width, height), (n, count, 1, 2))
    places = root + size * build.shape + rng.normal(0, 0.4, (n, count, joints, 2))
    rows, columns = np.mgrid[:height, :width]
    dx = columns - places[..., 0, None, None]  # [N, P, K, H, W]
    dy = rows - places[..., 1, None, None]
    seen = there & (rng.random((n, count, joints)) < 0.9)
    heights = rng.uniform(0.3, 1.0, seen.shape) * seen
    sigma = rng.uniform(0.8, 1.2, seen.shape)[..., None, None]
    blobs = heights[..., None, None] * np.exp(-(dx**2 + dy**2) / (2 * sigma**2))
    maps = blobs.max(axis=1, initial=0.0).astype(np.float32)

    fields = np.zeros((n, 2 * len(build.limbs), height, width), np.float32)
    for a, b, x, y in build.limbs:
        step = places[:, :, b] - places[:, :, a]
        length = np.hypot(step[..., 0], step[..., 1])[..., None, None] + 1e-6
        unit = step[..., None, None] / length[..., None, :, :]
        along = dx[:, :, a] * unit[:, :, 0] + dy[:, :, a] * unit[:, :, 1]
        across = dx[:, :, a] * unit[:, :, 1] - dy[:, :, a] * unit[:, :, 0]
        band = (np.abs(across) <= 1.2) & (along >= -1.2) & (along <= length + 1.2)
        band = band & there[..., None]
        fields[:, x] = (unit[:, :, 0] * band).sum(axis=1)
        fields[:, y] = (unit[:, :, 1] * band).sum(axis=1)
    return spoilt(rng, kind, maps), spoilt(rng, kind, fields)


def spoilt(rng: Generator, kind: str, samples: Any) -> Any:
    """The same samples [N, C, H, W] with what networks, or the devil, put into them."""
    if kind == "noise":
        return samples + rng.normal(0, 0.05, samples.shape).astype(np.float32)
    if kind == "levels":  # plateaus, as an int8 network gives them
        return np.round(samples * 8) / np.float32(8)
    if kind == "spots":
        values = np.array([np.nan, np.inf, -np.inf, 3e38, -3e38, 1e-40], np.float32)
        bad = rng.random(samples.shape) < rng.choice([0.002, 0.05])
        return np.where(bad, rng.choice(values, samples.shape), samples)
    if kind == "random":
        return rng.uniform(-1, 1, samples.shape).astype(np.float32)
    if kind == "hostile" and min(samples.shape[2:]) >= 8:  # smaller ones have no room for plateaus
        name = rng.choice(list(inputs.ALL_MAPS))
        return inputs.ALL_MAPS[name](rng, *samples.shape)
    return samples
