"""Inputs that tests share: maps from well-behaved to hostile, images, affines, memory layouts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

Generator = np.random.Generator
Maps = Any  # float32 [N, K, H, W]
MakeMaps = Callable[[Generator, int, int, int, int], Maps]

REFINES = (
    "none",
    "quarter",
    "quarter_half",
    "quarter_binary_half",
    "second_peak",
    "dark",
    "udp_dark",
    "centroid7",
    "centroid5",
    "offset",
    "log_parabola",
)
LOCAL_REFINES = tuple(refine for refine in REFINES if refine != "second_peak")

SMALL_SIZES = [(1, 1), (1, 9), (9, 1), (2, 2), (3, 3), (4, 6), (5, 5), (7, 12), (12, 9), (13, 21)]


# ---- maps ----------------------------------------------------------------------------------------


def gaussians(rng: Generator, n: int, k: int, h: int, w: int, sigma: float = 2.0) -> Maps:
    """One Gaussian each, its centre anywhere, at times just outside."""
    centre = rng.uniform(-1.0, [w, h], (n, k, 2))
    y, x = np.mgrid[:h, :w]
    square = (x - centre[..., 0, None, None]) ** 2 + (y - centre[..., 1, None, None]) ** 2
    heights = rng.uniform(0.2, 1.0, (n, k, 1, 1))
    return (heights * np.exp(-square / (2 * sigma**2))).astype(np.float32)


def noisy(rng: Generator, n: int, k: int, h: int, w: int) -> Maps:
    noise = rng.normal(0, 0.02, (n, k, h, w))
    return (gaussians(rng, n, k, h, w) + noise).astype(np.float32)


def crowd(rng: Generator, n: int, k: int, h: int, w: int) -> Maps:
    """Several Gaussians that overlap, as of people in a group."""
    return np.max([gaussians(rng, n, k, h, w, 1.5) for _ in range(4)], axis=0)


def uniform(rng: Generator, n: int, k: int, h: int, w: int) -> Maps:
    return rng.random((n, k, h, w), np.float32)


def normal(rng: Generator, n: int, k: int, h: int, w: int) -> Maps:
    return rng.normal(size=(n, k, h, w)).astype(np.float32)


def quantised(rng: Generator, n: int, k: int, h: int, w: int) -> Maps:
    """Few levels: ties and plateaus everywhere."""
    return (rng.integers(-1, 4, (n, k, h, w)) / 4).astype(np.float32)


def quantised_gaussians(rng: Generator, n: int, k: int, h: int, w: int) -> Maps:
    """As an int8 network gives them."""
    return (np.round(gaussians(rng, n, k, h, w) * 12) / 12).astype(np.float32)


def constant(rng: Generator, n: int, k: int, h: int, w: int) -> Maps:
    level = rng.choice([0.0, -0.0, 1.0, -1.0, 0.1, 1e-40, 3e38], (n, k, 1, 1))
    return np.broadcast_to(level, (n, k, h, w)).astype(np.float32)


def ramps(rng: Generator, n: int, k: int, h: int, w: int) -> Maps:
    """Monotone: the best is on the border, the Hessian is singular."""
    y, x = np.mgrid[:h, :w]
    slope = rng.choice([-1.0, 0.0, 1.0], (2, n, k, 1, 1))
    return (slope[0] * x + slope[1] * y).astype(np.float32)


def signed_zeros(rng: Generator, n: int, k: int, h: int, w: int) -> Maps:
    return rng.choice(np.array([0.0, -0.0, -1.0], np.float32), (n, k, h, w))


def tiny(rng: Generator, n: int, k: int, h: int, w: int) -> Maps:
    """Denormals and the smallest normal numbers."""
    return (rng.random((n, k, h, w)) * 10.0 ** rng.integers(-44, -36)).astype(np.float32)


def huge(rng: Generator, n: int, k: int, h: int, w: int) -> Maps:
    """Sums of these overflow."""
    return (rng.uniform(-1, 1, (n, k, h, w)) * 3.4e38).astype(np.float32)


def wide(rng: Generator, n: int, k: int, h: int, w: int) -> Maps:
    """All magnitudes at once."""
    exponent = rng.uniform(-44, 38, (n, k, h, w))
    return (10.0**exponent * rng.choice([-1, 1], (n, k, h, w))).astype(np.float32)


def holes(rng: Generator, n: int, k: int, h: int, w: int) -> Maps:
    """Noisy Gaussians with NaN and infinities here and there."""
    maps = noisy(rng, n, k, h, w)
    for value in (np.nan, np.inf, -np.inf):
        maps[rng.random(maps.shape) < 0.02] = value
    return maps


def nonfinite(rng: Generator, n: int, k: int, h: int, w: int) -> Maps:
    """Hardly anything else."""
    maps = rng.choice(np.array([np.nan, np.inf, -np.inf], np.float32), (n, k, h, w))
    maps[rng.random(maps.shape) < 0.05] = 0.5
    return maps


SHAPES = {
    "u": ["#...#", "#...#", "#...#", "#####"],
    "comb": ["#.#.#.#", "#.#.#.#", "#######"],
    "turned_comb": ["#######", "#.#.#.#", "#.#.#.#"],
    "ring": ["#####", "#...#", "#...#", "#####"],
    "spiral": ["#######", "......#", "#####.#", "#...#.#", "#.###.#", "#.....#", "#######"],
    "diagonal": ["#....", ".#...", "..#..", "...#.", "....#"],
    "anti_diagonal": ["....#", "...#.", "..#..", ".#...", "#...."],
    "cross": ["..#..", "..#..", "#####", "..#..", "..#.."],
    "hook": ["....#", "....#", "#...#", ".###."],
}


def shape_mask(name: str) -> Any:
    return np.array([[letter == "#" for letter in row] for row in SHAPES[name]])


def plateaus(rng: Generator, n: int, k: int, h: int, w: int) -> Maps:
    """Odd shapes of one level, whole or cut off by the border, some with a higher sample beside."""
    maps = rng.uniform(-0.5, 0.3, (n, k, h, w)).astype(np.float32)
    if rng.random() < 0.5:
        maps[...] = 0.0
    for one in maps.reshape(-1, h, w):
        for _ in range(2):
            mask = shape_mask(rng.choice(list(SHAPES)))
            mask = np.rot90(mask, rng.integers(4))[:h, :w]
            y = rng.integers(0, h - mask.shape[0] + 1)
            x = rng.integers(0, w - mask.shape[1] + 1)
            one[y : y + mask.shape[0], x : x + mask.shape[1]][mask] = 0.5
        if rng.random() < 0.4:
            one[rng.integers(h), rng.integers(w)] = 0.75
    return maps


WELL_BEHAVED: dict[str, MakeMaps] = {
    "gaussians": gaussians,
    "noisy": noisy,
    "crowd": crowd,
}
UGLY: dict[str, MakeMaps] = {
    "uniform": uniform,
    "normal": normal,
    "quantised": quantised,
    "quantised_gaussians": quantised_gaussians,
    "constant": constant,
    "ramps": ramps,
    "signed_zeros": signed_zeros,
    "tiny": tiny,
    "huge": huge,
    "wide": wide,
    "holes": holes,
    "nonfinite": nonfinite,
    "plateaus": plateaus,
}
ALL_MAPS = WELL_BEHAVED | UGLY


def as_float16(maps: Maps) -> Maps:
    """To float16; what is too large becomes infinite, as it would in a network."""
    with np.errstate(over="ignore"):
        return maps.astype(np.float16)


def gaussian_at(centres: Any, h: int = 64, w: int = 48, sigma: float = 2.0) -> Any:
    """Centres [..., 2] -> maps [..., h, w] float32."""
    centres = np.asarray(centres, np.float64)
    y, x = np.mgrid[:h, :w]
    square = (x - centres[..., 0, None, None]) ** 2 + (y - centres[..., 1, None, None]) ** 2
    return np.exp(-square / (2 * sigma**2)).astype(np.float32)


def offsets_for(rng: Generator, maps: Any, refine: str) -> Any:
    if refine != "offset":
        return None
    n, k, h, w = maps.shape
    return rng.normal(0, 0.5, (n, k, 2, h, w)).astype(maps.dtype)


# ---- memory layouts ------------------------------------------------------------------------------


def in_memory(array: Any, how: str) -> Any:
    """The same values with other strides."""
    if how == "contiguous":
        return np.ascontiguousarray(array)
    if how == "channels_last":  # [N, K, H, W] whose channels lie next to each other
        return np.ascontiguousarray(np.moveaxis(array, 1, -1)).transpose(
            0, -1, *range(1, array.ndim - 1)
        )
    if how == "fortran":
        return np.asfortranarray(array)
    if how == "sparse":  # every other sample of a larger buffer full of something else
        buffer = np.full([2 * size + 1 for size in array.shape], 77, array.dtype)
        view = buffer[tuple(slice(1, None, 2) for _ in array.shape)]
        view[...] = array
        return view
    if how == "reversed":  # all strides negative
        back = tuple(slice(None, None, -1) for _ in array.shape)
        return np.ascontiguousarray(array[back])[back]
    if how == "window":  # rows and columns of a larger buffer
        buffer = np.full([size + 3 for size in array.shape], 77, array.dtype)
        view = buffer[tuple(slice(2, size + 2) for size in array.shape)]
        view[...] = array
        return view
    raise ValueError(how)


LAYOUTS = ("contiguous", "channels_last", "fortran", "sparse", "reversed", "window")


# ---- images and affines --------------------------------------------------------------------------


def rough_image(rng: Generator, shape: tuple[int, ...], dtype: str = "uint8") -> Any:
    """Every pixel its own: what a wrong position by 1e-5 px shows in."""
    if dtype == "uint8":
        return rng.integers(0, 256, shape, np.uint8)
    return rng.uniform(-1.0, 1.0, shape).astype(np.float32)


def smooth_image(height: int, width: int) -> Any:
    """uint8 [H, W, 3] like a photograph: shades, soft edges and some texture."""
    y, x = np.mgrid[:height, :width]
    shade = 110 + 60 * np.sin(x / 31.0) + 50 * np.cos(y / 23.0 + x / 90.0)
    edge = 40 / (1 + np.exp(-(x + 0.5 * y - width * 0.7) / 2.0))
    texture = 6 * np.sin(x / 2.1) * np.cos(y / 1.9)
    planes = [shade + edge + texture, 0.8 * shade - edge + texture, 255 - shade + 0.5 * edge]
    return np.clip(np.rint(np.stack(planes, axis=-1)), 0, 255).astype(np.uint8)


def random_affines(
    rng: Generator, count: int, image: tuple[int, int], crop: tuple[int, int]
) -> Any:
    """[P, 2, 3] image px -> crop px: turns, shears, mirror images, parts outside."""
    height, width = image
    affines = np.empty((count, 2, 3))
    for row in range(count):
        angle = rng.choice([0.0, 0.0, np.pi / 2, rng.uniform(-np.pi, np.pi)])
        turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
        shear = np.array([[1.0, rng.choice([0.0, rng.uniform(-0.6, 0.6)])], [0.0, 1.0]])
        covered = rng.uniform(0.15, 1.5, 2) * [width, height]
        scale = np.array([crop[1], crop[0]]) / covered
        scale[0] *= rng.choice([-1.0, 1.0])
        linear = np.diag(scale) @ shear @ turn
        centre = rng.uniform(-0.1, 1.1, 2) * [width, height]
        affines[row] = np.column_stack([linear, np.array([crop[1], crop[0]]) / 2 - linear @ centre])
    return affines
