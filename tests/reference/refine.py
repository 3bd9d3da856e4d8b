"""Oracle of the sub-pixel rules, in float64.

Whole maps are blurred with matrices, and every rule is the few lines that its publication has.
Because the library works in float32, each place comes with `bound` (px): how far a float32
evaluation of the same rule may lie from it. The bounds are first order: every float32 operation may
be wrong by UNIT of its result, and errors pass through each formula with its derivatives. Where
rounding alone could turn a decision (which of two neighbours is larger, whether a Hessian is
negative definite) `is_sure` is False and the place says nothing.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from reference.affine import Floats

UNIT = 2.0**-24  # largest relative error of one float32 operation
TINY = 2.0**-149  # largest absolute error of one whose result is denormal
LARGEST = float(np.finfo(np.float32).max)
# A sigmoid in float32: exponential, sum and quotient, each good to two units in the last place.
SIGMOID_ERROR = 8 * UNIT
# A logarithm in float32 good to two units in the last place, and the differences taken of it.
LOG_ERROR = 8 * UNIT

CLIP_LIMITS = {"dark": (1e-10, np.inf), "udp_dark": (1e-3, 50.0)}  # clipped before the logarithm


@dataclass(frozen=True)
class Samples:
    """One map: its samples as they count (probabilities when the map holds logits)."""

    values: Floats  # [H, W]
    relative_error: float = 0.0  # of a sample in float32
    logits: Floats | None = None  # [H, W], where the values were made from them

    @property
    def height(self) -> int:
        return self.values.shape[0]

    @property
    def width(self) -> int:
        return self.values.shape[1]

    def at(self, y: int, x: int) -> float:
        return float(self.values[y, x])


@dataclass(frozen=True)
class Place:
    """Where a peak is, in map pixels."""

    xy: Floats  # [2]
    bound: Floats  # [2]
    is_sure: bool = True


def samples_of(raw: Any, *, logits: bool) -> Samples:
    """The samples of one map [H, W] as they count."""
    raw = np.asarray(raw, np.float64)
    if not logits:
        return Samples(raw)
    with np.errstate(over="ignore", invalid="ignore"):
        values = 1 / (1 + np.exp(-raw))
    # An infinite logit is invalid although its sigmoid is not.
    return Samples(np.where(np.isfinite(raw), values, np.nan), SIGMOID_ERROR, raw)


# ---- rules that look at the next samples ---------------------------------------------------------


def exact(x: float, y: float) -> Place:
    """A place whose only float32 errors are those of its last additions."""
    xy = np.array([x, y], np.float64)
    return Place(xy, 4 * UNIT * np.abs(xy) + TINY)


def compare(samples: Samples, one: tuple[int, int], other: tuple[int, int]) -> tuple[int, bool]:
    """Sign of sample `one` minus sample `other`, and whether float32 evaluations agree on it.

    Invalid samples are less than all others. Two logits may differ where their sigmoids do not.
    """
    a, b = samples.at(*one), samples.at(*other)
    if not (np.isfinite(a) and np.isfinite(b)):
        return int(np.isfinite(a)) - int(np.isfinite(b)), True
    is_sure = abs(a - b) > samples.relative_error * (abs(a) + abs(b))
    if samples.logits is not None:
        a, b = float(samples.logits[one]), float(samples.logits[other])
    return int(np.sign(a - b)), is_sure or a == b


def quarter(samples: Samples, y: int, x: int, half: float = 0.0) -> Place:
    """HRNet: a quarter towards the larger neighbour on each axis; none near the border."""
    step, is_sure = np.zeros(2), True
    if 1 < x < samples.width - 1 and 1 < y < samples.height - 1:
        sides = (((y, x - 1), (y, x + 1)), ((y - 1, x), (y + 1, x)))
        for axis, (before, after) in enumerate(sides):
            if np.isfinite(samples.at(*before)) and np.isfinite(samples.at(*after)):
                sign, sure = compare(samples, after, before)
                step[axis] = 0.25 * sign
                is_sure &= sure
    place = exact(x + step[0] + half, y + step[1] + half)
    return Place(place.xy, place.bound, is_sure)


def quarter_binary_half(samples: Samples, y: int, x: int) -> Place:
    """Associative embedding: always a quarter, ties go back; neighbours are clamped to the map."""

    def clamped(v: int, u: int) -> tuple[int, int]:
        return min(max(v, 0), samples.height - 1), min(max(u, 0), samples.width - 1)

    right, right_sure = compare(samples, clamped(y, x + 1), clamped(y, x - 1))
    down, down_sure = compare(samples, clamped(y + 1, x), clamped(y - 1, x))
    place = exact(x + (0.25 if right > 0 else -0.25) + 0.5, y + (0.25 if down > 0 else -0.25) + 0.5)
    return Place(place.xy, place.bound, right_sure and down_sure)


def parabola_step(
    left: float, centre: float, right: float, log_errors: tuple[float, float, float]
) -> tuple[float, float, bool]:
    """Vertex of the parabola through three logarithms: step, its bound, whether it is sure."""
    slope, curvature = 0.5 * (left - right), left - 2 * centre + right
    if left == centre == right:
        return 0.0, 0.0, True
    slope_error = 0.5 * (log_errors[0] + log_errors[2])
    curvature_error = log_errors[0] + 2 * log_errors[1] + log_errors[2]
    if abs(curvature) <= 2 * curvature_error:
        return 0.0, 0.0, False
    if curvature > 0:
        return 0.0, 0.0, True
    step = slope / curvature
    # Second-order terms are below a tenth of the first once the curvature is known to a half.
    bound = 2 * (slope_error + abs(step) * curvature_error) / -curvature
    return step, bound + 4 * UNIT * abs(step), True


def log_parabola(samples: Samples, y: int, x: int) -> Place:
    """Per axis the vertex of a parabola through the logs of three samples, within half a pixel."""
    step, bound, is_sure = np.zeros(2), np.zeros(2), True
    triples = [
        [samples.at(y, u) for u in (x - 1, x, x + 1)] if 0 < x < samples.width - 1 else None,
        [samples.at(v, x) for v in (y - 1, y, y + 1)] if 0 < y < samples.height - 1 else None,
    ]
    for axis, triple in enumerate(triples):
        if triple is None or not all(np.isfinite(v) and v > 0 for v in triple):
            continue
        logs = np.log(triple)
        errors = samples.relative_error + LOG_ERROR * np.abs(logs)
        step[axis], bound[axis], sure = parabola_step(*logs, errors)
        step[axis] = np.clip(step[axis], -0.5, 0.5)
        # Denormal probabilities are 0 on some processors, and 0 has no logarithm.
        is_sure &= sure and not (samples.relative_error and min(triple) < 1e-37)
    place = exact(x + step[0], y + step[1])
    return Place(place.xy, place.bound + bound, is_sure)


# ---- centroids -----------------------------------------------------------------------------------


def weighted_mean(
    positions: Floats, weights: Floats, relative_error: float
) -> tuple[Floats, Floats, bool] | None:
    """Mean of positions [n, 2] around the peak, its bound, whether it is sure; None: no weight.

    n products, n sums and a quotient, each with its own rounding.
    """
    total, mass = float(weights.sum()), float(np.abs(weights).sum())
    rounding = (len(weights) + 4) * UNIT + relative_error
    error = rounding * mass + 4 * len(weights) * TINY
    # Products with positions up to 3 must not overflow either.
    is_sure = abs(total) > 8 * error and mass < LARGEST / 4
    if not total > 0:
        return None if is_sure or mass == 0 else (np.zeros(2), np.zeros(2), False)
    mean = positions.T @ weights / total
    reach = np.abs(positions).T @ np.abs(weights)
    bound = 1.25 * (rounding * reach + 12 * len(weights) * TINY + np.abs(mean) * error) / total
    return mean, bound, is_sure


def centroid7(samples: Samples, y: int, x: int) -> Place:
    """OpenPose: mean of the positive samples in the 7x7 window, as much as is inside the map."""
    rows = np.arange(max(y - 3, 0), min(y + 4, samples.height))
    columns = np.arange(max(x - 3, 0), min(x + 4, samples.width))
    window = samples.values[np.ix_(rows, columns)]
    weights = np.where(np.isfinite(window) & (window > 0), window, 0.0)
    v, u = np.meshgrid(rows - y, columns - x, indexing="ij")
    positions = np.stack([u.ravel(), v.ravel()], axis=-1).astype(np.float64)
    mean = weighted_mean(positions, weights.ravel(), samples.relative_error)
    if mean is None:
        return exact(x, y)
    place = exact(x + mean[0][0], y + mean[0][1])
    return Place(place.xy, place.bound + mean[1], mean[2])


def reflected(index: Any, size: int) -> Any:
    """Positions outside 0..size-1 mirrored at the border samples, which are not repeated."""
    if size == 1:
        return np.zeros_like(index)
    index = np.abs(index) % (2 * size - 2)
    return np.where(index < size, index, 2 * size - 2 - index)


def centroid5(samples: Samples, y: int, x: int) -> Place:
    """trt_pose: mean over the 5x5 window, outside the map weighted as its reflection, plus 0.5."""
    offsets = np.arange(-2, 3)
    window = samples.values[
        np.ix_(reflected(y + offsets, samples.height), reflected(x + offsets, samples.width))
    ]
    weights = np.where(np.isfinite(window), window, 0.0)
    v, u = np.meshgrid(offsets, offsets, indexing="ij")
    positions = np.stack([u.ravel(), v.ravel()], axis=-1).astype(np.float64)
    mean = weighted_mean(positions, weights.ravel(), samples.relative_error)
    if mean is None:
        return exact(x + 0.5, y + 0.5)
    place = exact(x + mean[0][0] + 0.5, y + mean[0][1] + 0.5)
    return Place(place.xy, place.bound + mean[1], mean[2])


def offset_field(x: int, y: int, offset: Floats, scale: float) -> Place:
    """DeeperCut: cell centre plus the network's own offset [2] at the cell."""
    moved = np.where(np.isfinite(offset), offset, 0.0) * scale
    place = exact(x + 0.5 + moved[0], y + 0.5 + moved[1])
    return Place(place.xy, place.bound + 4 * UNIT * np.abs(moved))


# ---- blurs ---------------------------------------------------------------------------------------


def gaussian(kernel: int) -> Floats:
    """OpenCV's Gaussian of a given number of taps, when no sigma is given."""
    sigma = 0.3 * ((kernel - 1) * 0.5 - 1) + 0.8
    taps = np.exp(-0.5 * ((np.arange(kernel) - kernel // 2) / sigma) ** 2)
    return taps / taps.sum()


@functools.lru_cache(maxsize=256)
def blur_matrix(size: int, kernel: int, border: str, pad: int = 0) -> Floats:
    """[size + 2 pad, size]: blurred = matrix @ vector. Outside are zeros, or the reflection."""
    matrix = np.zeros((size + 2 * pad, size))
    for row in range(size + 2 * pad):
        for tap, weight in enumerate(gaussian(kernel)):
            column = row - pad + tap - kernel // 2
            if border == "reflect":
                column = int(reflected(np.array(column), size))
            if 0 <= column < size:
                matrix[row, column] += weight
    return matrix


@dataclass(frozen=True)
class LogMap:
    """Logarithm of a blurred map, how wrong it may be, and which samples each entry has read."""

    values: Floats  # [H, W]
    errors: Floats  # [H, W]
    clipped: (
        Any  # [H, W]: -1 and 1 where a limit surely applied, so that all such entries are equal
    )
    rows: Floats  # [H, H]: rows read by each row
    columns: Floats  # [W, W]


def log_of_blurred(samples: Samples, kernel: int, rule: str) -> LogMap:
    """Blur, clip, logarithm: of the whole map, as publications do it."""
    border = "zero" if rule == "dark" else "reflect"
    rows = blur_matrix(samples.height, kernel, border)
    columns = blur_matrix(samples.width, kernel, border)
    finite = np.where(np.isfinite(samples.values), samples.values, 0.0)
    blurred = rows @ finite @ columns.T
    # Two passes of `kernel` products and sums with rounded weights.
    rounding = (2 * kernel + 12) * UNIT + samples.relative_error
    error = rounding * (rows @ np.abs(finite) @ columns.T) + 4 * kernel * TINY
    lowest, highest = CLIP_LIMITS[rule]
    logs = np.log(np.clip(blurred, lowest, highest))
    least = np.log(np.clip(blurred - error, lowest, highest))
    most = np.log(np.clip(blurred + error, lowest, highest))
    errors = np.maximum(most - logs, logs - least) + LOG_ERROR * np.abs(logs)
    clipped = (blurred - error > highest).astype(int) - (blurred + error < lowest)
    return LogMap(logs, errors, clipped, rows, columns)


# Stencils of the derivatives: (weight, dy, dx) of the log map.
_DARK = {
    "dx": [(0.5, 0, 1), (-0.5, 0, -1)],
    "dy": [(0.5, 1, 0), (-0.5, -1, 0)],
    "dxx": [(0.25, 0, 2), (-0.5, 0, 0), (0.25, 0, -2)],
    "dyy": [(0.25, 2, 0), (-0.5, 0, 0), (0.25, -2, 0)],
    "dxy": [(0.25, 1, 1), (-0.25, -1, 1), (-0.25, 1, -1), (0.25, -1, -1)],
}
_UDP_DARK = {
    "dx": [(0.5, 0, 1), (-0.5, 0, -1)],
    "dy": [(0.5, 1, 0), (-0.5, -1, 0)],
    "dxx": [(1.0, 0, 1), (-2.0, 0, 0), (1.0, 0, -1)],
    "dyy": [(1.0, 1, 0), (-2.0, 0, 0), (1.0, -1, 0)],
    "dxy": [
        (0.5, 1, 1),
        (-0.5, 0, 1),
        (-0.5, 1, 0),
        (1.0, 0, 0),
        (-0.5, 0, -1),
        (-0.5, -1, 0),
        (0.5, -1, -1),
    ],
}
_FURTHEST = 2.0  # cells; a longer Taylor step is not believed


def taylor(samples: Samples, y: int, x: int, kernel: int, rule: str) -> Place:
    """DARK and UDP-DARK: a Newton step on the logarithm of the blurred map."""
    height, width = samples.values.shape
    if rule == "dark" and not (1 < x < width - 2 and 1 < y < height - 2):
        return exact(x, y)
    stencils = _DARK if rule == "dark" else _UDP_DARK
    logs = log_of_blurred(samples, kernel, rule)
    points = {(dy, dx) for stencil in stencils.values() for _, dy, dx in stencil}

    def clamped(dy: int, dx: int) -> tuple[int, int]:
        return min(max(y + dy, 0), height - 1), min(max(x + dx, 0), width - 1)

    reads = np.zeros(samples.values.shape, bool)
    for point in points:
        v, u = clamped(*point)
        reads |= np.outer(logs.rows[v] > 0, logs.columns[u] > 0)
    bad = ~np.isfinite(samples.values)
    if (bad & reads).any():
        return quarter(samples, y, x)
    # The corners of the square around all windows: read by nobody, but easily read by accident.
    # Either way out is as good as the other.
    square = np.outer(reads.any(axis=1), reads.any(axis=0))
    no_accident = not (bad & square).any()

    value, error = {}, {}
    for name, stencil in stencils.items():
        # What is read twice, or equal because clipped, is wrong the same way each time.
        total: dict[Any, tuple[float, float]] = {}
        for weight, dy, dx in stencil:
            cell = clamped(dy, dx)
            key = int(logs.clipped[cell]) or cell
            total[key] = (total.get(key, (0.0, 0.0))[0] + weight, float(logs.errors[cell]))
        value[name] = sum(weight * logs.values[clamped(dy, dx)] for weight, dy, dx in stencil)
        error[name] = sum(abs(weight) * wrong for weight, wrong in total.values())
    ridge = float(np.finfo(np.float32).eps) if rule == "udp_dark" else 0.0
    hessian = np.array([[value["dxx"] + ridge, value["dxy"]], [value["dxy"], value["dyy"] + ridge]])
    wrong = np.array([[error["dxx"], error["dxy"]], [error["dxy"], error["dyy"]]])
    determinant = hessian[0, 0] * hessian[1, 1] - hessian[0, 1] ** 2
    doubt = (
        abs(hessian[0, 0]) * wrong[1, 1]
        + abs(hessian[1, 1]) * wrong[0, 0]
        + 2 * abs(hessian[0, 1]) * wrong[0, 1]
        + 4 * UNIT * (abs(hessian[0, 0] * hessian[1, 1]) + hessian[0, 1] ** 2)
    )
    is_definite = hessian[0, 0] < 0 and determinant > 0
    is_sure = no_accident and abs(hessian[0, 0]) > 2 * wrong[0, 0] and abs(determinant) > 4 * doubt
    if hessian[0, 0] > 2 * wrong[0, 0] or hessian[1, 1] > 2 * wrong[1, 1]:
        is_sure = no_accident  # not definite, whatever the determinant
    fallback = quarter(samples, y, x)
    fallback = Place(fallback.xy, fallback.bound, is_sure and fallback.is_sure)
    if not is_definite:
        return fallback
    inverse = np.linalg.inv(hessian)
    step = -inverse @ [value["dx"], value["dy"]]
    through = np.array([error["dx"], error["dy"]]) + wrong @ np.abs(step)
    arithmetic = 8 * UNIT * np.abs(hessian) @ np.abs(step)
    bound = 1.5 * np.abs(inverse) @ (through + arithmetic)
    is_sure = is_sure and bool((np.abs(np.abs(step) - _FURTHEST) > bound).all())
    if (np.abs(step) > _FURTHEST).any():
        return Place(fallback.xy, fallback.bound, is_sure and fallback.is_sure)
    place = exact(x + step[0], y + step[1])
    return Place(place.xy, place.bound + bound, is_sure)


def second_peak(samples: Samples) -> tuple[Place, float | None]:
    """CPN, MSPN: a quarter from the best towards the second best sample of the blurred map.

    Returns:
        The place with the published half pixel, and the raw sample at the rounded point (None when
        rounding or an invalid sample there makes it unsure).
    """
    pad, kernel = 10, 21
    finite = np.where(np.isfinite(samples.values), samples.values, 0.0)
    height, width = finite.shape
    finite = finite / finite.max()
    rows = blur_matrix(height, kernel, "zero", pad)
    columns = blur_matrix(width, kernel, "zero", pad)
    blurred = rows @ finite @ columns.T
    rounding = (2 * kernel + 13) * UNIT + samples.relative_error
    error = rounding * (rows @ np.abs(finite) @ columns.T) + 4 * kernel * TINY

    def best(of: Floats) -> tuple[int, int, bool]:
        """The arg-max, and whether all others are lower beyond rounding."""
        flat = int(np.argmax(of))
        others = of + error
        others.flat[flat] = -np.inf
        return *map(int, np.unravel_index(flat, of.shape)), bool(
            others.max() < of.flat[flat] - error.flat[flat]
        )

    first_y, first_x, first_sure = best(blurred)
    blurred[first_y, first_x] = 0.0
    second_y, second_x, second_sure = best(blurred)
    toward = np.array([second_x - first_x, second_y - first_y], np.float64)
    length = float(np.hypot(*toward))
    step = 0.25 * toward / length if length > 1e-3 else np.zeros(2)
    xy = np.clip(np.array([first_x - pad, first_y - pad]) + step, 0, [width - 1, height - 1])
    at = np.rint(xy).astype(int)
    score = float(samples.values[at[1], at[0]])
    is_sure = first_sure and second_sure
    place = exact(xy[0] + 0.5, xy[1] + 0.5)
    on_tie = (np.abs(np.abs(xy - np.floor(xy)) - 0.5) < 1e-6).any()
    return Place(place.xy, place.bound + 8 * UNIT, is_sure), (
        score if np.isfinite(score) and not on_tie else None
    )


# ---- any rule ------------------------------------------------------------------------------------


def refined(
    samples: Samples,
    y: int,
    x: int,
    refine: str,
    kernel: int = 11,
    offset: Any = None,
    offset_scale: float = 7.2801 / 8,
) -> Place:
    """One peak, to a fraction of a pixel, by any rule but "second_peak"."""
    if refine == "none":
        return exact(x, y)
    if refine == "quarter":
        return quarter(samples, y, x)
    if refine == "quarter_half":
        return quarter(samples, y, x, half=0.5)
    if refine == "quarter_binary_half":
        return quarter_binary_half(samples, y, x)
    if refine in ("dark", "udp_dark"):
        return taylor(samples, y, x, kernel, refine)
    if refine == "centroid7":
        return centroid7(samples, y, x)
    if refine == "centroid5":
        return centroid5(samples, y, x)
    if refine == "offset":
        return offset_field(x, y, np.asarray(offset, np.float64), offset_scale)
    if refine == "log_parabola":
        return log_parabola(samples, y, x)
    raise ValueError(refine)
