"""The oracles of part-affinity decoding themselves, on scenes whose answer is known."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest
from reference.part_affinity import openpose, trt_pose
from reference.part_affinity.openpose import Link, Person
from reference.part_affinity.scenes import (
    CHANNELS,
    HEAD,
    HIP,
    LEFT,
    LIMBS,
    NECK,
    RIGHT,
    drawn,
    upright,
)
from reference.part_affinity.upsample import native, upsampled, upsampled_value

HEIGHT, WIDTH = 24, 30
# No joint is in the middle of a cell or between two, where OpenPose sees equal pixels and no peak.
ONE = upright(10.4, 9.2, 12.0)
# Two figures whose arms cross: left of each is nearer to the other's neck than to its own.
CROSSING = np.stack([upright(11.3, 9.2, 12.0), upright(17.8, 9.6, 12.0)])
CROSSING[0, LEFT], CROSSING[1, LEFT] = (19.7, 14.2), (9.3, 14.4)


def openpose_people(heat: Any, paf: Any, **options: Any) -> Any:
    return openpose.decode(heat, paf, LIMBS, CHANNELS, **options).joints


def trt_pose_people(heat: Any, paf: Any, **options: Any) -> Any:
    return trt_pose.decode(heat, paf, LIMBS, CHANNELS, **options)


DECODERS = pytest.mark.parametrize("decode", [openpose_people, trt_pose_people])


def assert_found(found: Any, people: Any, distance: float) -> None:
    """The same people in any order, every joint nearer than `distance` px; NaN is absent."""
    assert len(found) == len(people)
    for person in people:
        seen = np.isfinite(person[:, 0])
        fits = [
            ((other[:, 2] > 0) == seen).all()
            and np.abs(other[seen, :2] - person[seen]).max() < distance
            for other in found
        ]
        assert sum(fits) == 1


# ---- both decoders, whole scenes -----------------------------------------------------------------


@DECODERS
def test_one_person(decode: Any) -> None:
    # OpenPose's peak is the up-sampled pixel next to the joint, trt_pose's the cell around it: half
    # of one at most, and half a cell is what a centroid of an isolated bump never gets wrong.
    assert_found(decode(*drawn([ONE], HEIGHT, WIDTH)), [ONE], 0.5)


def test_openpose_is_good_to_a_fraction_of_a_cell() -> None:
    # Half an up-sampled pixel to the nearest one, as much again for the bump's cubic interpolation.
    assert_found(openpose_people(*drawn([ONE], HEIGHT, WIDTH)), [ONE], 1 / 8)


@DECODERS
def test_two_crossing_people(decode: Any) -> None:
    assert_found(decode(*drawn(CROSSING, HEIGHT, WIDTH)), CROSSING, 0.5)


@DECODERS
def test_people_cut_by_the_border(decode: Any) -> None:
    people = np.stack([upright(4.8, 4.8, 12.0), upright(24.4, 12.2, 12.0)])
    people[0, LEFT] = (0.1, 8.4)
    people[0, HEAD] = (4.8, 0.2)
    people[1, RIGHT] = (WIDTH - 1.1, 15.8)
    people[1, HIP] = (24.4, HEIGHT - 1.3)
    # At a border the Gaussian is cut, and its centroid moves inwards: still nearest to its cell.
    assert_found(decode(*drawn(people, HEIGHT, WIDTH)), people, 0.6)


@DECODERS
def test_a_missing_joint_stays_absent(decode: Any) -> None:
    person = ONE.copy()
    person[RIGHT] = np.nan
    found = decode(*drawn([person], HEIGHT, WIDTH))
    assert_found(found, [person], 0.5)
    assert (found[0, RIGHT] == 0).all()


@DECODERS
def test_empty_maps(decode: Any) -> None:
    assert decode(*drawn([], HEIGHT, WIDTH)).shape == (0, 5, 3)


@DECODERS
def test_scores_are_those_of_the_peaks(decode: Any) -> None:
    heat, paf = drawn([ONE], HEIGHT, WIDTH)
    whole, half = decode(heat, paf), decode(heat * np.float32(0.5), paf)
    assert_found(half, [ONE], 0.5)
    # Halving is exact, in float32 and in float64.
    assert (half[..., 2] == whole[..., 2] / 2).all()


def test_openpose_needs_fields_and_trt_pose_hands_out_lone_joints() -> None:
    heat, paf = drawn([ONE], HEIGHT, WIDTH)
    assert len(openpose_people(heat, paf * 0)) == 0
    lone = trt_pose_people(heat, paf * 0)
    assert len(lone) == 5
    assert ((lone[..., 2] > 0).sum(axis=1) == 1).all()


def test_a_joint_in_the_middle_of_a_cell_is_a_plateau() -> None:
    person = np.round(ONE)
    heat, paf = drawn([person], HEIGHT, WIDTH)
    assert len(openpose_people(heat, paf)) == 0
    assert_found(trt_pose_people(heat, paf), [person], 0.5)


def test_openpose_person_score_counts_parts_and_links() -> None:
    heat, paf = drawn([ONE], HEIGHT, WIDTH)
    people = openpose.decode(heat, paf, LIMBS, CHANNELS)
    peaks = [openpose.part_peaks(m) for m in heat]
    links = [openpose.limb_links(peaks, paf, limb, LIMBS, CHANNELS) for limb in range(5)]
    assert [len(of_limb) for of_limb in links] == [1] * 5
    for (candidate,) in links:
        rank = candidate.score + 0.1 * sum(peaks[part].score[0] for part in LIMBS[candidate.limb])
        assert candidate.rank == pytest.approx(rank, rel=1e-15)  # four operations in float64
    total = people.joints[0, :, 2].sum() + sum(of_limb[0].score for of_limb in links)
    assert people.score == pytest.approx([total / 10], rel=1e-15)  # ten additions in float64


# ---- up-sampling ---------------------------------------------------------------------------------


def test_upsampled_like_opencv() -> None:
    maps = np.random.default_rng(1).uniform(-1, 1, (7, 9)).astype(np.float32)
    expected = cv2.resize(maps, None, fx=8, fy=8, interpolation=cv2.INTER_CUBIC)
    # OpenCV works in float32: weights of magnitude at most 1.3 good to a few units, 16 products.
    assert np.abs(upsampled(maps) - expected).max() < 64 * 2.0**-24


def test_upsampled_value_is_a_pixel_of_upsampled() -> None:
    maps = np.random.default_rng(2).uniform(-1, 1, (5, 4))
    big = upsampled(maps)
    assert big.shape == (40, 32)
    assert (upsampled_value(maps, *np.indices(big.shape)) == big).all()
    assert upsampled_value(maps, 39, 0) == big[39, 0]


def test_upsampling_is_exactly_symmetric() -> None:
    maps = np.random.default_rng(3).uniform(-1, 1, (6, 5))
    assert (upsampled(maps[::-1]) == upsampled(maps)[::-1]).all()
    assert (upsampled(maps[:, ::-1]) == upsampled(maps)[:, ::-1]).all()


def test_native_pixels() -> None:
    assert native(3.5) == 0
    assert native(-0.5) == -0.5
    assert native(8 * 10 - 0.5) == 9.5


# ---- OpenPose: peaks -----------------------------------------------------------------------------


def test_strict_maxima() -> None:
    values = np.zeros((7, 9))
    values[0, 4] = values[3, 0] = 9  # the outermost pixels are never peaks
    values[2, 3] = 0.5
    values[4, 5:7] = 0.7  # a plateau
    values[5, 2] = 0.05  # not above the threshold
    assert openpose.strict_maxima(values, 0.05) == [(2, 3)]
    values[1, 2] = np.nan
    assert openpose.strict_maxima(values, 0.05) == []


def test_openpose_centroid() -> None:
    values = np.zeros((9, 9))
    values[4, 4] = 1
    assert openpose.centroid(values, 4, 4) == (4, 4)
    values[4, 5], values[7, 4], values[4, 8], values[3, 3] = 0.5, 0.5, 100, -5
    # (4, 8) is four away and (3, 3) negative: 4 + 0.5 / 2 and 4 + 3 * 0.5 / 2.
    assert openpose.centroid(values, 4, 4) == (4.25, 4.75)
    values[0, 0] = 2
    assert openpose.centroid(values[:2, :2], 0, 0) == (0, 0)


def test_openpose_keeps_the_best_peaks_in_raster_order() -> None:
    values = np.zeros((60, 60))
    rng = np.random.default_rng(4)
    values[1::4, 1::4] = rng.uniform(0.2, 1, (15, 15))
    # Not in the middle of a cell.
    values[1::4, 2::4], values[2::4, 1::4] = values[1::4, 1::4] / 2, values[1::4, 1::4] / 4
    all_peaks = openpose.part_peaks(values, max_peaks=300)
    kept = openpose.part_peaks(values)
    assert (len(all_peaks.score), len(kept.score)) == (225, 127)
    best = np.sort(np.argsort(-all_peaks.score)[:127])
    assert (kept.score == all_peaks.score[best]).all()
    assert (kept.xy == all_peaks.xy[best]).all()


# ---- OpenPose: links -----------------------------------------------------------------------------


def field(value: float, height: int = 200, width: int = 300) -> Any:
    return np.full((height, width), value)


def at(x: float, y: float = 10.0) -> Any:
    return np.array([x, y])


@pytest.mark.parametrize(
    ("step", "count"),
    [((3, 0), 5), ((5, 0), 5), ((0, -20), 10), ((12, 20), 10), ((125, 0), 25), ((400, 7), 25)],
)
def test_sample_count(step: Any, count: int) -> None:
    assert openpose.sample_count(np.array(step, np.float64)) == count


def test_link_along_a_field() -> None:
    x, none = field(0.75), field(0.0)
    assert openpose.link_score(at(10), at(60), x, none) == 0.75
    assert openpose.link_score(at(60), at(10), x, none) == -1  # against it
    assert openpose.link_score(at(10), at(10, 60), x, none) == -1  # across
    # Along the diagonal, with a direction of (0.6, 0.8).
    score = openpose.link_score(at(10), at(40, 50), field(0.3), field(0.4))
    assert score == pytest.approx(0.6 * 0.3 + 0.8 * 0.4, rel=1e-15)


@pytest.mark.parametrize(("length", "tolerates_one"), [(72.2, False), (80, False), (88.2, True)])
def test_all_but_one_of_twenty_samples_are_not_enough(
    length: float,
    tolerates_one: bool,  # noqa: FBT001
) -> None:
    """19, 20 and 21 samples: more than 95 % of them have to be good."""
    x = field(0.5)
    count = openpose.sample_count(at(length, 0))
    assert count == {72.2: 19, 80: 20, 88.2: 21}[length]
    assert openpose.link_score(at(10), at(10 + length), x, field(0.0)) == 0.5
    x[10, int(10 + 3 * length / count + 0.5)] = 0.05  # one sample, exactly at the threshold
    expected = 0.5 if tolerates_one else -1
    assert openpose.link_score(at(10), at(10 + length), x, field(0.0)) == expected


def test_samples_begin_at_the_first_peak_and_end_before_the_second() -> None:
    none = field(0.0)
    first, second = field(0.5), field(0.5)
    first[10, 10], second[10, 60] = 0, 0
    assert openpose.link_score(at(10), at(60), first, none) == -1
    assert openpose.link_score(at(10), at(60), second, none) == 0.5


def test_samples_are_rounded_to_the_nearest_pixel() -> None:
    x = field(0.5)
    x[:, :11] = 0
    x[11:] = 0
    assert openpose.link_score(at(10.5), at(15.5), x, field(0.0)) == 0.5
    assert openpose.link_score(at(10.4), at(15.4), x, field(0.0)) == -1
    assert openpose.link_score(at(11, 10.4), at(16, 10.4), x, field(0.0)) == 0.5
    assert openpose.link_score(at(11, 10.5), at(16, 10.5), x, field(0.0)) == -1


def test_very_short_links_count_a_little() -> None:
    none = field(0.0)
    limit = np.sqrt(200 * 300) / 150
    assert openpose.link_score(at(10), at(10 + 0.99 * limit), none, none) == 0.05 + 1e-6
    assert openpose.link_score(at(10), at(10 + 1.01 * limit), none, none) == -1
    assert openpose.link_score(at(10), at(10), field(1.0), none) == -1


# ---- OpenPose: people ----------------------------------------------------------------------------


def flat_peaks(count: int) -> list[openpose.Peaks]:
    """So many peaks of each part, all with score 0.5."""
    return [openpose.Peaks(np.zeros((count, 2)), np.full(count, 0.5)) for _ in range(5)]


def link(rank: float, limb: int, a: int, b: int) -> Link:
    return Link(rank, 0.25, limb, a, b)


def test_a_new_person_then_a_part_then_a_closed_loop() -> None:
    links = [link(0.7, 4, 0, 0), link(0.9, 0, 0, 0), link(0.8, 1, 0, 0)]
    people = openpose.assembled(links, flat_peaks(1), LIMBS)
    # Three peaks and three links, of which the last adds no part.
    assert people == [Person({NECK: 0, HEAD: 0, LEFT: 0}, 3 * 0.5 + 3 * 0.25)]


def test_a_taken_part_is_kept_and_the_worse_link_lost() -> None:
    links = [link(0.9, 0, 0, 0), link(0.8, 0, 0, 1)]
    assert openpose.assembled(links, flat_peaks(2), LIMBS) == [
        Person({NECK: 0, HEAD: 0}, 2 * 0.5 + 0.25)
    ]


def test_complementary_people_merge_into_the_older() -> None:
    links = [link(0.9, 4, 1, 1), link(0.8, 3, 0, 0), link(0.7, 1, 0, 1)]
    assert openpose.assembled(links, flat_peaks(2), LIMBS) == [
        Person({HEAD: 1, LEFT: 1, NECK: 0, HIP: 0}, 4 * 0.5 + 3 * 0.25)
    ]
    # What belonged to the younger one belongs to the older now.
    links.append(link(0.6, 2, 0, 1))
    assert openpose.assembled(links, flat_peaks(2), LIMBS)[0].peaks[RIGHT] == 1


def test_people_with_a_part_in_common_do_not_merge() -> None:
    links = [link(0.9, 0, 0, 0), link(0.8, 0, 1, 1), link(0.7, 4, 0, 0), link(0.6, 4, 1, 0)]
    people = openpose.assembled(links, flat_peaks(2), LIMBS)
    assert people == [
        Person({NECK: 0, HEAD: 0, LEFT: 0}, 3 * 0.5 + 2 * 0.25),
        Person({NECK: 1, HEAD: 1}, 2 * 0.5 + 0.25),
    ]


def test_of_equal_links_the_last_is_taken_first() -> None:
    links = [link(0.9, 0, 0, 0), link(0.9, 0, 0, 1)]
    assert openpose.assembled(links, flat_peaks(2), LIMBS)[0].peaks == {NECK: 0, HEAD: 1}
    links = [Link(0.9, 0.5, 0, 0, 0), Link(0.9, 0.4, 0, 0, 1)]  # but a better field goes first
    assert openpose.assembled(links, flat_peaks(2), LIMBS)[0].peaks == {NECK: 0, HEAD: 0}


def test_who_is_worth_keeping() -> None:
    pair, weak = Person({0: 0, 1: 0}, 9.0), Person({0: 1, 1: 1, 2: 1}, 3 * 0.4 - 1e-9)
    good = Person({0: 2, 1: 2, 2: 2}, 3 * 0.5)
    limits: Any = {"min_parts": 3, "min_mean_score": 0.4}
    assert openpose.worth_keeping([pair, weak, good], **limits) == [good]
    assert openpose.worth_keeping([pair, weak], **limits) == []


def test_feet_do_not_make_a_person() -> None:
    limits: Any = {"min_parts": 3, "min_mean_score": 0.4, "feet": (7, 8)}
    walker = Person(dict.fromkeys((0, 1, 2, 3, 4, 7), 0), 6.0)
    legs = Person(dict.fromkeys((1, 2, 3, 4, 7, 8), 1), 6.0)
    bust = Person(dict.fromkeys((1, 2, 3), 2), 6.0)  # few parts, but no feet
    assert openpose.worth_keeping([walker, legs, bust], **limits) == [walker, bust]
    assert openpose.worth_keeping([legs], **limits) == [legs]  # better than nobody


# ---- trt_pose ------------------------------------------------------------------------------------


def maxima_of(values: Any, max_peaks: int = 100) -> Any:
    return trt_pose.window_maxima(values, threshold=0.1, window=5, max_peaks=max_peaks)


def test_window_maxima() -> None:
    values = np.zeros((7, 12), np.float32)
    values[0, 0] = np.float32(0.1)  # a corner, at the threshold
    values[3, 4], values[5, 6] = 0.5, 0.4  # the second is in the first one's window
    values[3, 10:12] = 0.3  # every sample of a plateau
    assert maxima_of(values) == [(0, 0), (3, 4), (3, 10), (3, 11)]
    assert maxima_of(values, max_peaks=2) == [(0, 0), (3, 4)]
    values[6, 0] = np.nan
    assert (6, 0) in maxima_of(values)


def test_trt_pose_centroid_mirrors_the_map() -> None:
    values = np.zeros((6, 6))
    values[0, 0], values[0, 1] = 1.0, 0.5
    # Column 1 is seen at -1 too, and cancels; the outermost sample itself counts once.
    assert trt_pose.centroid(values, 0, 0, 5) == (0, 0)
    values[5, 5], values[5, 4], values[4, 5] = 1.0, 0.0, -0.25
    assert trt_pose.centroid(values, 5, 5, 5) == (5, 5)
    values[5, 3] = 0.25  # seen at 3 and at 7
    values[3, 5] = 0.0
    assert trt_pose.centroid(values, 5, 4, 5)[0] == pytest.approx(
        (0.25 * 3 + 5.0 - 2 * 0.25 * 5) / (0.25 + 1.0 - 2 * 0.25), rel=1e-15
    )


def test_line_integral() -> None:
    x, none = np.full((8, 9), 0.5), np.zeros((8, 9))
    # 1e-5 is added to the length, here of 4.
    assert trt_pose.line_integral(at(2, 3), at(6, 3), x, none) == pytest.approx(
        0.5 * 4 / (4 + 1e-5), rel=1e-14
    )
    # Samples are at both ends too.
    ends = np.zeros((8, 9))
    ends[3, 2], ends[3, 6] = 0.3, 0.4
    assert trt_pose.line_integral(at(2, 3), at(6, 3), ends, none) == pytest.approx(
        0.7 / 7 * 4 / (4 + 1e-5), rel=1e-14
    )
    # Of samples at -3, -2 ... 3 two are outside: cutting off brings -1.5 < x <= -0.5 back.
    outside = trt_pose.line_integral(at(-3, 3), at(3, 3), x, none)
    assert outside == pytest.approx(5 / 7 * 0.5 * 6 / (6 + 1e-5), rel=1e-14)
    assert trt_pose.line_integral(at(2, 3), at(2, 3), x, none) == 0


def test_the_assignment_maximises_the_sum() -> None:
    # The best pair goes, because 0.8 + 0.8 is more than 0.9 + 0.05.
    scores = np.array([[0.9, 0.8], [0.8, 0.05]])
    assert trt_pose.assigned(scores) == [(0, 1), (1, 0)]
    # A pair below the threshold takes part in the sum, and is dropped after it.
    assert trt_pose.assigned(np.array([[0.9, 0.5], [0.4, -0.1]])) == [(0, 1), (1, 0)]
    assert trt_pose.assigned(np.array([[0.9, 0.2], [0.4, -0.1]])) == [(0, 0)]
    assert trt_pose.assigned(np.array([[0.1]])) == []
    assert trt_pose.assigned(np.zeros((0, 3))) == []


def test_connected() -> None:
    pairs = [[(0, 1)], [(0, 0)], [], [(1, 0)], []]
    assert trt_pose.connected([2, 2, 1, 0, 1], pairs, LIMBS) == [
        {HEAD: 0},
        {HEAD: 1, NECK: 0, LEFT: 0},
        {NECK: 1, HIP: 0},
    ]
    assert len(trt_pose.connected([2, 2, 1, 0, 1], pairs, LIMBS, max_objects=2)) == 2


def test_one_false_link_makes_two_people_one() -> None:
    # Two necks hang together over a head and a left: the one visited last stays.
    pairs = [[(0, 0)], [(1, 0)], [], [], [(0, 0)]]
    assert trt_pose.connected([1, 2, 1, 0, 0], pairs, LIMBS) == [{HEAD: 0, NECK: 1, LEFT: 0}]
