"""Round cones, the only shape that bodies are made of, and how they become pixels.

Each cone is intersected exactly with the ray of every sample, so what covers what, the shading and
the visibility of joints are right by construction.

Axes: x right, y down, z away from the camera. Rays are parallel within one figure.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Vector = npt.NDArray[np.float64]
Colour = tuple[int, int, int]

SAMPLES = 3  # per pixel and axis; odd, so that the middle one lies on the pixel's centre
_TO_LIGHT = np.array([-0.50, -0.65, -0.57])  # above, left and behind the camera
_AMBIENT, _DIFFUSE = 0.56, 0.52


class Cone(NamedTuple):
    """Spheres that move from start to end while their radius changes, and what they cover."""

    start: Vector  # [3]
    end: Vector  # [3]
    start_radius: float
    end_radius: float
    colour: Colour
    end_colour: Colour | None = None  # the colour from `cut` of the way on: skin below a sleeve
    cut: float = 1.0
    flat_axis: Vector | None = None  # [3], unit: the cone is pressed flat along it ...
    flatness: float = 1.0  # ... to this part of its radius


class Layer(NamedTuple):
    """One drawn figure, in the whole pixels around it."""

    left: int  # image column of the first column
    top: int  # image row of the first row
    colour: Vector  # [h, w, 3], 0..255
    alpha: Vector  # [h, w], the part of the pixel that is covered
    depth: Vector  # [h, w], at the centre of the pixel; infinite where nothing is
    box: Vector  # [4], x1 y1 x2 y2, edge coordinates


def draw(cones: list[Cone]) -> Layer:
    """Draw cones whose unit is the pixel, nearest surface first."""
    low = np.min([_bounds(cone)[0] for cone in cones], axis=0)
    high = np.max([_bounds(cone)[1] for cone in cones], axis=0)
    left, top = (int(value) for value in np.floor(low) - 1)
    width, height = (int(value) for value in np.ceil(high) + 2 - (left, top))
    # Pixel i covers [i - 0.5, i + 0.5): samples sit in the middles of its SAMPLES equal parts.
    xs = left - 0.5 + (np.arange(width * SAMPLES) + 0.5) / SAMPLES
    ys = top - 0.5 + (np.arange(height * SAMPLES) + 0.5) / SAMPLES
    depth = np.full((len(ys), len(xs)), np.inf)
    colour = np.zeros((len(ys), len(xs), 3))
    for cone in cones:
        (x1, y1), (x2, y2) = _bounds(cone)
        rows = slice(*np.searchsorted(ys, (y1, y2)))
        columns = slice(*np.searchsorted(xs, (x1, x2)))
        _draw_cone(cone, xs[columns], ys[rows], depth[rows, columns], colour[rows, columns])
    covered = np.isfinite(depth)
    row_hit, column_hit = np.flatnonzero(covered.any(1)), np.flatnonzero(covered.any(0))
    box = np.zeros(4)
    if len(row_hit):
        edges = [column_hit[0], row_hit[0], column_hit[-1] + 1, row_hit[-1] + 1]
        box = np.array(edges) / SAMPLES + np.array([left, top, left, top])
    alpha = _pixel_sums(covered[..., None].astype(np.float64))[..., 0]
    mean_colour = _pixel_sums(colour) / np.maximum(alpha, 1.0)[..., None]
    middle = slice(SAMPLES // 2, None, SAMPLES)
    return Layer(left, top, mean_colour, alpha / SAMPLES**2, depth[middle, middle], box)


def _bounds(cone: Cone) -> tuple[Vector, Vector]:
    """Return the corners [2] of the cone's shadow on the picture; flat cones stay inside."""
    start, end = cone.start[:2], cone.end[:2]
    low = np.minimum(start - cone.start_radius, end - cone.end_radius)
    high = np.maximum(start + cone.start_radius, end + cone.end_radius)
    return low, high


def _pixel_sums(samples: Vector) -> Vector:
    height, width, channels = samples.shape
    blocks = samples.reshape(height // SAMPLES, SAMPLES, width // SAMPLES, SAMPLES, channels)
    sums: Vector = blocks.sum(axis=(1, 3))
    return sums


def _draw_cone(cone: Cone, xs: Vector, ys: Vector, depth: Vector, colour: Vector) -> None:
    """Add one cone to depth [h, w] and colour [h, w, 3], where it is nearer than what is there.

    A point X is on the cone when the smallest |X - C(t)|^2 - r(t)^2 over t is 0, with the centre
    C(t) = A + t D and r(t) = a + t k. With m = X - A and g = |D|^2 - k^2 that smallest value is
    |m|^2 - a^2 - (m.D + a k)^2 / g, a quadratic in the depth of X. Where its t leaves 0..1, one of
    the two spheres is in front. A flat cone is a round one in a space stretched along one axis.
    """
    stretch = np.eye(3)
    if cone.flat_axis is not None:
        axis = cone.flat_axis
        stretch += (1.0 / cone.flatness - 1.0) * np.outer(axis, axis)
    along = stretch @ (cone.end - cone.start)
    ray = stretch[:, 2]
    offset = (  # m at depth 0, [h, w, 3]
        xs[None, :, None] * stretch[:, 0] + ys[:, None, None] * stretch[:, 1]
    ) - stretch @ cone.start
    radius, growth = cone.start_radius, cone.end_radius - cone.start_radius
    nearest = np.full(depth.shape, np.inf)
    position = np.zeros(depth.shape)  # t
    gap = float(along @ along) - growth**2
    if gap > 0:  # else one sphere holds the other
        q, slope = offset @ along + radius * growth, float(ray @ along)
        a = float(ray @ ray) - slope**2 / gap
        b = offset @ ray - q * (slope / gap)
        c = np.square(offset).sum(-1) - radius**2 - np.square(q) / gap
        if a > 0:  # else one looks along the cone and sees a sphere only
            hit = _nearer_root(a, b, c)
            t = (q + hit * slope) / gap
            on_side = np.isfinite(hit) & (t >= 0) & (t <= 1)
            nearest[on_side], position[on_side] = hit[on_side], t[on_side]
    for end, sphere_radius in ((0.0, cone.start_radius), (1.0, cone.end_radius)):
        from_centre = offset - end * along
        distance = np.square(from_centre).sum(-1) - sphere_radius**2
        hit = _nearer_root(float(ray @ ray), from_centre @ ray, distance)
        is_front = hit < nearest
        nearest[is_front], position[is_front] = hit[is_front], end
    shown = nearest < depth
    depth[shown] = nearest[shown]
    t = position[shown]
    outward = offset[shown] + nearest[shown, None] * ray - t[:, None] * along
    normal = outward @ stretch
    normal /= np.linalg.norm(normal, axis=-1, keepdims=True)
    light = _AMBIENT + _DIFFUSE * np.maximum(normal @ _TO_LIGHT, 0.0)
    base = np.full((len(t), 3), cone.colour, np.float64)
    if cone.end_colour is not None:
        base[t > cone.cut] = cone.end_colour
    colour[shown] = np.minimum(base * light[:, None], 255.0)


def _nearer_root(a: float, b: Vector, c: Vector) -> Vector:
    """Solve a z^2 + 2 b z + c = 0 for the nearer z; infinite where the ray misses."""
    square = np.square(b) - a * c
    root = np.sqrt(np.maximum(square, 0.0))
    return np.where(square > 0, (-b - root) / a, np.inf)
