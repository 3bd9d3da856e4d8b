"""trt_pose's decoder: peaks and fields at the network's own resolution, one assignment per limb.

Quirks that belong to the rule, and that a faster decoder may not want:

- A sample is a peak when nothing in its window is *greater*: a plateau gives a peak per sample. NaN
  is not below a threshold and not exceeded by anything, so that it is a peak too.
- The first peaks in raster order are kept, so that a crowd loses what is at the bottom.
- Two joints of a part within half a window are one.
- Weights of the centroid may be negative, and beyond the border the map is mirrored about its
  outermost samples.
- Samples outside of the map count as zero, and there is no lower limit for single samples.
- The assignment maximises the sum over all pairs of a limb, even when that takes a good pair apart
  to give a bad one a partner; only then are pairs at or below the threshold dropped.
- Whatever hangs together becomes one object. When two joints of a part do, the later visited one
  replaces the other. Objects have no minimal size.

The published code has float32 sums, and its Munkres tests those for being exactly zero. Where two
assignments have the same sum its choice depends on its order of steps; SciPy's may be another one,
and such scenes are no test of anything.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from scipy.optimize import linear_sum_assignment

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reference.affine import Floats

    Pairs = list[tuple[int, int]]


class Peaks(NamedTuple):
    """The peaks of one part, in raster order."""

    yx: Any  # [M, 2] int, samples of the map
    xy: Floats  # [M, 2] refined, map pixels
    score: Floats  # [M], the map at the sample: trt_pose itself hands out none


def window_maxima(values: Any, *, threshold: float, window: int, max_peaks: int) -> Pairs:
    """(y, x) of all samples at or above the threshold that nothing in the window exceeds."""
    radius = window // 2
    maxima = []
    for y, x in np.argwhere(~(values < np.float32(threshold))).tolist():
        around = values[
            max(y - radius, 0) : y + radius + 1,
            max(x - radius, 0) : x + radius + 1,
        ]
        if not (around > values[y, x]).any():
            maxima.append((y, x))
    return maxima[:max_peaks]


def mirrored(index: Any, size: int) -> Any:
    """Indices that run over the border come back, the outermost sample counting once."""
    index = np.abs(index)
    return np.where(index >= size, 2 * size - 2 - index, index)


def centroid(values: Any, y: int, x: int, window: int) -> tuple[float, float]:
    """(x, y) of the weighted mean of the window; mirrored samples count at their outside places."""
    offset = np.arange(-(window // 2), window // 2 + 1)
    rows, columns = y + offset, x + offset
    weight = values[np.ix_(mirrored(rows, values.shape[0]), mirrored(columns, values.shape[1]))]
    total = weight.sum()
    return (
        float((weight.sum(axis=0) * columns).sum() / total),
        float((weight.sum(axis=1) * rows).sum() / total),
    )


def part_peaks(
    values: Any, *, threshold: float = 0.1, window: int = 5, max_peaks: int = 100
) -> Peaks:
    """The peaks of one part's map [H, W]."""
    maxima = window_maxima(values, threshold=threshold, window=window, max_peaks=max_peaks)
    values = np.asarray(values, np.float64)
    return Peaks(
        np.array(maxima, np.int64).reshape(-1, 2),
        np.array([centroid(values, y, x, window) for y, x in maxima]).reshape(-1, 2),
        np.array([values[peak] for peak in maxima]),
    )


def line_integral(
    start: Floats, end: Floats, field_x: Any, field_y: Any, *, samples: int = 7
) -> float:
    """Mean of the field along a link, from end to end; start and end are (x, y) in map pixels."""
    step = end - start
    direction = step / (np.sqrt(step @ step) + 1e-5)
    # Whole numbers are the upper left corners of pixels here, so that cutting off finds the pixel.
    places = start + 0.5 + np.linspace(0, 1, samples)[:, None] * step
    column, row = places.astype(np.int64).T
    height, width = field_x.shape
    inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
    row, column = row[inside], column[inside]
    dots = direction[0] * field_x[row, column] + direction[1] * field_y[row, column]
    return float(dots.sum() / samples)


def limb_scores(
    peaks: Sequence[Peaks], paf: Any, limb: int, limbs: Any, channels: Any, *, samples: int = 7
) -> Floats:
    """The line integrals of all pairs of one limb, [A, B]."""
    a, b = (peaks[int(part)].xy for part in limbs[limb])
    field_x, field_y = (np.asarray(paf[int(c)], np.float64) for c in channels[limb])
    scores = np.zeros((len(a), len(b)))
    for i, j in np.ndindex(scores.shape):
        scores[i, j] = line_integral(a[i], b[j], field_x, field_y, samples=samples)
    return scores


def assigned(scores: Floats, threshold: float = 0.1) -> Pairs:
    """Pairs above the threshold, of the complete assignment [A, B] with the largest sum."""
    rows, columns = linear_sum_assignment(scores, maximize=True)
    return [
        (int(a), int(b)) for a, b in zip(rows, columns, strict=True) if scores[a, b] > threshold
    ]


def connected(
    counts: Sequence[int], pairs: Sequence[Pairs], limbs: Any, *, max_objects: int = 100
) -> list[dict[int, int]]:
    """What hangs together, as part to index of its peak, in the order of the first parts.

    Args:
        counts: peaks of each part.
        pairs: of each limb.
        limbs: [L, 2].
        max_objects: further ones are dropped.
    """
    neighbours: dict[tuple[int, int], list[tuple[int, int]]] = {}
    for (part_a, part_b), of_limb in zip(np.asarray(limbs).tolist(), pairs, strict=True):
        for a, b in of_limb:
            neighbours.setdefault((part_a, a), []).append((part_b, b))
            neighbours.setdefault((part_b, b), []).append((part_a, a))
    visited = set()
    objects: list[dict[int, int]] = []
    for first in ((part, index) for part, count in enumerate(counts) for index in range(count)):
        if first in visited or len(objects) == max_objects:
            continue
        found = {}
        queue = deque([first])
        while queue:
            peak = queue.popleft()
            if peak not in visited:
                visited.add(peak)
                found[peak[0]] = peak[1]
                queue.extend(neighbours.get(peak, []))
        objects.append(found)
    return objects


def decode(
    cmap: Any,
    paf: Any,
    limbs: Any,
    channels: Any,
    *,
    threshold: float = 0.1,
    link_threshold: float = 0.1,
    window: int = 5,
    samples: int = 7,
    max_peaks: int = 100,
    max_objects: int = 100,
) -> Floats:
    """People [P, K, 3] of one image: x, y in map pixels and the map's value there; 0 where absent.

    Args:
        cmap: [K, H, W].
        paf: [2 L, H, W].
        limbs: [L, 2] parts.
        channels: [L, 2] x and y channel of each limb: (2 k + 1, 2 k) in trt_pose's own networks.
        threshold: of a peak.
        link_threshold: of the line integral of an assigned pair.
        window: side of the windows of maxima and centroids, px.
        samples: along a link.
        max_peaks: of one part.
        max_objects: of one image.
    """
    peaks = [part_peaks(m, threshold=threshold, window=window, max_peaks=max_peaks) for m in cmap]
    pairs = [
        assigned(limb_scores(peaks, paf, limb, limbs, channels, samples=samples), link_threshold)
        for limb in range(len(limbs))
    ]
    objects = connected([len(p.score) for p in peaks], pairs, limbs, max_objects=max_objects)
    people = np.zeros((len(objects), len(peaks), 3))
    for row, found in zip(people, objects, strict=True):
        for part, index in found.items():
            row[part] = [*peaks[part].xy[index], peaks[part].score[index]]
    return people
