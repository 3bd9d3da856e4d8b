"""OpenPose's decoder: up-sample, find peaks, score links, assemble people from the best link down.

Its CPU and its GPU code differ. This follows the GPU's where the people depend on it:

- A peak is strictly greater than its eight neighbours and is never on the outermost pixels. (The
  CPU accepts ties one pixel further in.)
- All links of all limbs are sorted together, and two partial people merge when they share no part.
  (The CPU takes limb after limb and merges no people.)
- A link that fails scores -1, and one needs more than 1e-6 to count. (On the CPU it scores 0.)

In three things it follows neither:

- Up-sampling is cv::resize's, which is what the CPU does: Keys' kernel with a = -0.75 and a clamped
  border. The GPU has a = -0.5 and extrapolates the first half cell.
- Of more than 127 peaks of one part it keeps the best by score, ties in raster order. Both
  published codes keep the first in raster order, which is blind to people at the bottom of a crowd.
  Which peaks are kept is all that changes: they are listed in raster order.
- Peaks get no offset. OpenPose adds 0.5 / (output scale) up-sampled pixels for the sake of its
  output format, so that its samples of the field depend on the size of the picture that is shown.

Sums are float64; OpenPose has float32.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from reference.part_affinity.upsample import FACTOR, native, upsampled

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reference.affine import Floats

MAX_PEAKS = 127  # of one part
PEAK_THRESHOLD = 0.05
LINK_THRESHOLD = 0.05  # of one sample of the field along a limb
LINK_FRACTION = 0.95  # of the samples has to be above it
MIN_PARTS = 3
MIN_MEAN_SCORE = 0.4
CENTROID_RADIUS = 3


class Peaks(NamedTuple):
    """The peaks of one part, in raster order."""

    xy: Floats  # [M, 2] up-sampled pixels
    score: Floats  # [M]


class Link(NamedTuple):
    """One candidate limb between two peaks. Links compare as OpenPose sorts them."""

    rank: float  # its own score and a tenth of its two peaks'
    score: float  # mean of the field along it
    limb: int
    a: int  # index into the peaks of the limb's first part
    b: int  # and of its second


class Person(NamedTuple):
    """A set of peaks, at most one of each part."""

    peaks: dict[int, int]  # part to index of its peak
    total: float  # scores of all its peaks and links


class People(NamedTuple):
    """What the decoder gives."""

    joints: Floats  # [P, K, 3]: x, y in native map pixels, score; all 0 where absent
    score: Floats  # [P], total over (parts + limbs), as OpenPose publishes it


def strict_maxima(values: Floats, threshold: float) -> list[tuple[int, int]]:
    """(y, x) above the threshold and above all eight neighbours, in raster order."""
    height, width = values.shape
    middle = values[1:-1, 1:-1]
    above = middle > threshold
    for dy, dx in np.ndindex(3, 3):
        if (dy, dx) != (1, 1):
            # A plateau has no peak, and neither NaN nor what is next to it is one.
            above &= middle > values[dy : height - 2 + dy, dx : width - 2 + dx]
    return [(int(y), int(x)) for y, x in np.argwhere(above) + 1]


def centroid(values: Floats, y: int, x: int) -> tuple[float, float]:
    """(x, y) of the weighted mean of the positive samples around; outside of the map is nothing."""
    top, left = max(y - CENTROID_RADIUS, 0), max(x - CENTROID_RADIUS, 0)
    window = values[top : y + CENTROID_RADIUS + 1, left : x + CENTROID_RADIUS + 1]
    weight = np.where(window > 0, window, 0.0)
    rows, columns = np.indices(window.shape)
    total = weight.sum()
    return (
        float((weight * (columns + left)).sum() / total),
        float((weight * (rows + top)).sum() / total),
    )


def part_peaks(
    values: Any, *, threshold: float = PEAK_THRESHOLD, max_peaks: int = MAX_PEAKS
) -> Peaks:
    """The peaks of one part's native map [H, W]."""
    big = upsampled(values)
    maxima = strict_maxima(big, threshold)
    if len(maxima) > max_peaks:
        maxima = sorted(sorted(maxima, key=lambda peak: (-big[peak], peak))[:max_peaks])
    return Peaks(
        np.array([centroid(big, y, x) for y, x in maxima]).reshape(-1, 2),
        np.array([big[peak] for peak in maxima]),
    )


def sample_count(step: Any) -> int:
    """How many samples a link of this (dx, dy) in up-sampled pixels has."""
    return min(max(int(np.sqrt(5 * np.abs(step).max()) + 0.5), 5), 25)


def link_score(
    start: Floats,
    end: Floats,
    field_x: Floats,
    field_y: Floats,
    *,
    threshold: float = LINK_THRESHOLD,
    fraction: float = LINK_FRACTION,
    peak_threshold: float = PEAK_THRESHOLD,
) -> float:
    """The field along a link, -1 when there is none.

    Args:
        start: (x, y) in pixels of the field.
        end: the same of the other peak.
        field_x: [H, W], already up-sampled.
        field_y: the same.
        threshold: a sample counts when its dot product with the direction is above.
        fraction: this part of the samples has to be exceeded by those that count.
        peak_threshold: what a link that is very short gets, and 1e-6, when its samples fail: the
            field is hardly there between two joints at the same place.
    """
    height, width = field_x.shape
    step = end - start
    length = float(np.sqrt(step @ step))
    if not length > 1e-6:
        return -1.0
    count = sample_count(step)
    # The last sample is one step short of the end.
    places = start + np.arange(count)[:, None] * (step / count)
    # Rounded by adding a half and cutting off.
    x = np.minimum((places[:, 0] + 0.5).astype(np.int64), width - 1)
    y = np.minimum((places[:, 1] + 0.5).astype(np.int64), height - 1)
    dots = (step[0] / length) * field_x[y, x] + (step[1] / length) * field_y[y, x]
    good = dots[dots > threshold]
    if len(good) / count > fraction:
        return float(good.mean())
    if length < np.sqrt(width * height) / 150:
        return peak_threshold + 1e-6
    return -1.0


def limb_links(
    peaks: Sequence[Peaks], paf: Any, limb: int, limbs: Any, channels: Any, **thresholds: float
) -> list[Link]:
    """The candidates of one limb, in the order of their peaks.

    `thresholds` are those of `link_score`, and its.
    """
    a, b = (peaks[int(part)] for part in limbs[limb])
    if not (len(a.score) and len(b.score)):
        return []
    field_x, field_y = (upsampled(paf[int(channel)]) for channel in channels[limb])
    links = []
    for i, j in np.ndindex(len(a.score), len(b.score)):
        score = link_score(a.xy[i], b.xy[j], field_x, field_y, **thresholds)
        if score > 1e-6:
            rank = score + 0.1 * float(a.score[i]) + 0.1 * float(b.score[j])
            links.append(Link(rank, score, limb, i, j))
    return links


def assembled(links: Sequence[Link], peaks: Sequence[Peaks], limbs: Any) -> list[Person]:
    """People from links, the best link first; of equal ones the one of the last limb and peaks."""
    people: dict[int, Person] = {}
    owner: dict[tuple[int, int], int] = {}  # of a peak (part, index): a person
    numbers = itertools.count()
    for link in sorted(links, reverse=True):
        ends = [(int(limbs[link.limb][0]), link.a), (int(limbs[link.limb][1]), link.b)]
        scores = [float(peaks[part].score[index]) for part, index in ends]
        owners = sorted({owner[end] for end in ends if end in owner})
        if not owners:
            number = next(numbers)
            people[number] = Person(dict(ends), sum(scores) + link.score)
            owner.update(dict.fromkeys(ends, number))
        elif len(owners) == 2:
            first, second = (people[number] for number in owners)
            # Two people with a part in common stay two, and the link counts for neither.
            if not first.peaks.keys() & second.peaks.keys():
                people[owners[0]] = Person(
                    first.peaks | second.peaks, first.total + second.total + link.score
                )
                del people[owners[1]]
                owner.update(dict.fromkeys(second.peaks.items(), owners[0]))
        elif all(end in owner for end in ends):
            person = people[owners[0]]
            people[owners[0]] = person._replace(total=person.total + link.score)
        else:
            person = people[owners[0]]
            new, score = next(
                (end, s) for end, s in zip(ends, scores, strict=True) if end not in owner
            )
            # A person keeps the part that came with a better link.
            if new[0] not in person.peaks:
                people[owners[0]] = Person(
                    person.peaks | dict([new]), person.total + score + link.score
                )
                owner[new] = owners[0]
    return list(people.values())


def worth_keeping(
    people: Sequence[Person], *, min_parts: int, min_mean_score: float, feet: Sequence[int] = ()
) -> list[Person]:
    """People with enough parts and, over these, enough score.

    `feet` are parts that do not count (19 to 24 of BODY_25): feet seen twice are common. Whoever
    has any of them besides at most four other parts is left out. When nobody is left all parts
    count.
    """
    for uncounted in (set(feet), set[int]()):
        kept = []
        for person in people:
            count = len(person.peaks.keys() - uncounted)
            if count < len(person.peaks) and count <= 4:
                continue
            if count >= min_parts and person.total / count >= min_mean_score:
                kept.append(person)
        if kept:
            return kept
    return []


def decode(
    heat: Any,
    paf: Any,
    limbs: Any,
    channels: Any,
    *,
    peak_threshold: float = PEAK_THRESHOLD,
    max_peaks: int = MAX_PEAKS,
    link_threshold: float = LINK_THRESHOLD,
    link_fraction: float = LINK_FRACTION,
    min_parts: int = MIN_PARTS,
    min_mean_score: float = MIN_MEAN_SCORE,
    feet: Sequence[int] = (),
) -> People:
    """People of one image, in the order in which their first links were taken.

    Args:
        heat: [K, H, W], or [K + 1, H, W] with the background last; K is one more than the largest
            part of `limbs`.
        paf: [2 L, H, W].
        limbs: [L, 2] parts.
        channels: [L, 2] x and y channel of each limb.
        peak_threshold: of up-sampled heat.
        max_peaks: of one part.
        link_threshold: see `link_score`.
        link_fraction: the same.
        min_parts: see `worth_keeping`.
        min_mean_score: the same.
        feet: the same.
    """
    parts = int(np.max(limbs)) + 1
    peaks = [part_peaks(m, threshold=peak_threshold, max_peaks=max_peaks) for m in heat[:parts]]
    links = [
        link
        for limb in range(len(limbs))
        for link in limb_links(
            peaks,
            paf,
            limb,
            limbs,
            channels,
            threshold=link_threshold,
            fraction=link_fraction,
            peak_threshold=peak_threshold,
        )
    ]
    people = worth_keeping(
        assembled(links, peaks, limbs),
        min_parts=min_parts,
        min_mean_score=min_mean_score,
        feet=feet,
    )
    joints = np.zeros((len(people), parts, 3))
    for row, person in zip(joints, people, strict=True):
        for part, index in person.peaks.items():
            row[part, :2] = native(peaks[part].xy[index], FACTOR)
            row[part, 2] = peaks[part].score[index]
    total = np.array([person.total for person in people])
    return People(joints, total / (parts + len(limbs)))
