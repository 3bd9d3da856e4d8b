"""Inputs with known answers, the same on every machine: seeded, NumPy alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]


def frame(height: int = 1080, width: int = 1920, seed: int = 0) -> npt.NDArray[np.uint8]:
    """A picture with structure at all scales: [H, W, 3]."""
    random = np.random.default_rng([1, seed])
    picture = random.normal(0, 4, (height, width, 3))
    for step in (8, 64):
        coarse = random.uniform(-60, 60, (height // step + 2, width // step + 2, 3))
        y, x = np.arange(height) / step, np.arange(width) / step
        top, left = y.astype(int), x.astype(int)
        down, right = (y - top)[:, None, None], (x - left)[None, :, None]
        upper = coarse[top][:, left] * (1 - right) + coarse[top][:, left + 1] * right
        lower = coarse[top + 1][:, left] * (1 - right) + coarse[top + 1][:, left + 1] * right
        picture += upper * (1 - down) + lower * down
    return np.clip(picture + 128, 0, 255).astype(np.uint8)


def boxes(
    count: int, height: int = 1080, width: int = 1920, seed: int = 0
) -> npt.NDArray[np.float64]:
    """Person-like boxes [N, 4], x1 y1 x2 y2, a few of them partly outside."""
    random = np.random.default_rng([2, count, seed])
    h = np.clip(random.lognormal(np.log(0.3 * height), 0.5, count), 40, 0.95 * height)
    w = h * random.uniform(0.35, 0.65, count)
    x = random.uniform(-0.1 * w, width - 0.9 * w)
    y = random.uniform(-0.1 * h, height - 0.9 * h)
    return np.stack([x, y, x + w, y + h], axis=1)


def heatmaps(
    count: int, height: int = 64, width: int = 48, joints: int = 17, seed: int = 0
) -> tuple[Floats, Floats]:
    """Gaussian maps [N, K, H, W] of sigma 2 with noise, and the places [N, K, 2] they show."""
    random = np.random.default_rng([3, count, height, width, seed])
    places = random.uniform([4, 4], [width - 5, height - 5], (count, joints, 2))
    x = np.exp(-((np.arange(width) - places[..., :1]) ** 2) / 8)
    y = np.exp(-((np.arange(height) - places[..., 1:]) ** 2) / 8)
    maps = y[..., :, None] * x[..., None, :] * random.uniform(0.5, 1, (count, joints, 1, 1))
    maps += random.normal(0, 0.005, maps.shape)
    return maps.astype(np.float32), places.astype(np.float32)


def simcc(
    count: int, height: int = 256, width: int = 192, joints: int = 17, seed: int = 0
) -> tuple[Floats, Floats, Floats]:
    """SimCC vectors of split 2, [N, K, 2 W] and [N, K, 2 H], and the places [N, K, 2] in pixels."""
    random = np.random.default_rng([4, count, seed])
    places = random.uniform([4, 4], [width - 5, height - 5], (count, joints, 2))
    vectors: list[Any] = []
    for axis, bins, sigma in ((0, 2 * width, 4.9), (1, 2 * height, 5.66)):
        distance = np.arange(bins) - 2 * places[..., axis, None]
        vector = np.exp(-0.5 * (distance / sigma) ** 2)
        vector *= random.uniform(0.4, 1, (count, joints, 1))
        vectors.append((vector + random.normal(0, 0.01, vector.shape)).astype(np.float32))
    return vectors[0], vectors[1], places.astype(np.float32)


def mean_error(found: Any, places: Floats) -> float:
    """Mean distance between places, in their own units."""
    return float(np.linalg.norm(np.asarray(found) - places, axis=-1).mean())
