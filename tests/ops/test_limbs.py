"""`score_limbs` against the oracle, and at its edges. Whole scenes: the decoder's tests."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from emulated_array import emulated
from reference import limbs as reference
from reference.part_affinity.figures import crowd, drawn

from pyposefast import ops, skeletons
from pyposefast.errors import DeviceMismatchError, InputError, InputTypeError
from pyposefast.skeletons import Field, Skeleton

if TYPE_CHECKING:
    from conftest import Device

F32 = np.float32
COCO = skeletons.load("openpose_coco18")
PAIR = Skeleton("pair", ("a", "b"), ((0, 1),), (), (0.1, 0.1), (Field(0, 1, 0, 1),))

# A sample along the line is a sum of few products of numbers below 2 in float32: it is good to a
# dozen roundings of 2**-24. Closer than ten times that to a threshold, rounding decides.
CLOSE = 1e-5


def peaks_at(*places: list[Any]) -> ops.Peaks:
    """Peaks [1, K, M] at given places of each joint."""
    capacity = max(1, *map(len, places))
    xy = np.zeros((1, len(places), capacity, 2), F32)
    count = np.array([[len(each) for each in places]], np.int32)
    for k, each in enumerate(places):
        xy[0, k, : len(each)] = np.reshape(each, (-1, 2))
    zeros = np.zeros_like(count)
    return ops.Peaks(xy, np.ones(xy.shape[:3], F32), count, count.copy(), zeros)


def put(device: Device, peaks: ops.Peaks) -> ops.Peaks:
    names = [field.name for field in dataclasses.fields(peaks)]
    return ops.Peaks(**{name: device.put(getattr(peaks, name)) for name in names})


def score(device: Device, fields: Any, peaks: ops.Peaks, **options: Any) -> ops.Links:
    options = {"skeleton": PAIR} | options
    links: ops.Links = device.get(
        ops.score_limbs(device.put(fields), put(device, peaks), **options)
    )
    return links


def towards(x: float, y: float, size: tuple[int, int] = (20, 30)) -> Any:
    fields = np.empty((1, 2, *size), F32)
    fields[0, 0], fields[0, 1] = x, y
    return fields


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("noise", [0.0, 0.15])
def test_links_are_those_of_the_oracle(seed: int, noise: float, device: Device) -> None:
    size = [(46, 46), (30, 61), (64, 48), (20, 20)][seed]
    heat, fields = drawn(COCO, crowd(COCO, 5, *size, seed=seed), *size, background=False)
    rng = np.random.default_rng(seed)
    fields = (fields + rng.normal(0, noise, fields.shape)).astype(F32)
    found = ops.find_peaks(heat, threshold=0.05, capacity=24, shoulders=True)
    links = score(device, fields, found, skeleton=COCO, partners=24, threshold=0.1, longest=0.4)
    compared = 0
    for limb, field in enumerate(COCO.fields):
        ends = [found.xy[0, k, : found.count[0, k]] for k in (field.first, field.second)]
        expected = reference.links(fields[0, [field.x, field.y]], *ends, threshold=0.1, longest=0.4)
        for i, row in enumerate(expected):
            count = links.count[0, limb, i]
            scores = dict(
                zip(
                    links.partner[0, limb, i, :count].tolist(),
                    links.score[0, limb, i, :count].tolist(),
                    strict=True,
                )
            )
            assert links.total[0, limb, i] == count == len(scores)
            assert (np.diff(links.score[0, limb, i, :count]) <= 0).all()
            for j, verdict in row.items():
                if verdict.margin < CLOSE:
                    continue
                assert (j in scores) == np.isfinite(verdict.score), (limb, i, j, verdict)
                if j in scores:
                    assert abs(scores[j] - verdict.score) <= verdict.slack
                    compared += 1
            assert set(scores) <= set(row)
    assert compared > 40


def test_one_pair(device: Device) -> None:
    """Perfectly along the field: misalignment is as small as it counts, and the length 10."""
    links = score(device, towards(0.6, 0.8), peaks_at([(3, 4)], [(9, 12)]))
    assert links.count.tolist() == links.total.tolist() == [[[1]]]
    assert links.partner[0, 0, 0, 0] == 0
    expected = -0.7 * np.log(1e-3) - np.log(10)
    assert links.score[0, 0, 0, 0] == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize(
    ("what", "fields", "ends", "options"),
    [
        ("against the field", towards(-1, 0), [(3, 5), (15, 5)], {}),
        ("across the field", towards(0, 1), [(3, 5), (15, 5)], {}),
        ("a weak field", towards(0.04, 0), [(3, 5), (15, 5)], {}),
        ("at one place", towards(1, 0), [(3, 5), (3, 5)], {}),
        ("too long", towards(1, 0), [(3, 5), (19, 5)], {}),
        ("too long by request", towards(1, 0), [(3, 5), (15, 5)], {"longest": 0.3}),
        ("below the threshold", towards(1, 0), [(3, 5), (15, 5)], {"threshold": 1.0}),
        ("NaN", towards(np.nan, 0), [(3, 5), (15, 5)], {}),
        ("infinite", towards(np.inf, 0), [(3, 5), (15, 5)], {}),
        ("beside the field", towards(0, 0), [(3, 5), (15, 5)], {}),
        ("nowhere", towards(1, 0), [(3, 5), (np.nan, 5)], {}),
    ],
)
def test_pairs_that_are_no_limb(
    what: str, fields: Any, ends: Any, options: Any, device: Device
) -> None:
    links = score(device, fields, peaks_at(ends[:1], ends[1:]), **options)
    assert links.count.tolist() == [[[0]]], what


def test_no_sample_may_be_missing(device: Device) -> None:
    """Samples are at 1/10, 3/10, ...; the screens look at the ends, quarters and middle."""
    pair = peaks_at([(2, 5)], [(18, 5)])  # samples at x = 3.6, 6.8, 10, ...; screens at 6, 10, 14
    for holes, count in (([4], 1), ([3, 4], 0), ([6], 0), ([12], 1), ([12, 13, 14], 0)):
        fields = towards(1, 0, (20, 40))
        fields[:, :, :, holes] = 0
        assert score(device, fields, pair).count.tolist() == [[[count]]], holes


def test_better_partners_come_first(device: Device) -> None:
    """Nearer is better where the direction is the same; equal ones come in the order of index."""
    ends = [(10, 5), (8, 5), (12, 5), (10, 5), (8, 5)]
    pair = peaks_at([(3, 5)], ends)
    links = score(device, towards(1, 0), pair)
    assert links.partner[0, 0, 0, :5].tolist() == [1, 4, 0, 3, 2]
    for partners in (1, 2, 4):
        few = score(device, towards(1, 0), pair, partners=partners)
        assert few.total[0, 0, 0] == 5
        assert few.count[0, 0, 0] == partners
        assert few.partner[0, 0, 0].tolist() == [1, 4, 0, 3][:partners]


def test_in_a_crowd_the_shortest_four_are_judged(device: Device) -> None:
    ends = [(4 + i / 2, 5) for i in range(20)]
    for count, most in ((20, 4), (9, 4), (8, 8), (5, 5)):
        links = score(device, towards(1, 0), peaks_at([(3, 5)], ends[count - 1 :: -1]), partners=20)
        assert links.total[0, 0, 0] == links.count[0, 0, 0] == most
        assert links.partner[0, 0, 0, :most].tolist() == list(
            range(count - 1, count - 1 - most, -1)
        )


def test_lengths_are_compared_to_17_binary_digits(device: Device) -> None:
    """Ten and a bit; of equally long pairs the last is too many."""
    for longer, kept in ((10.00002, [0, 1, 2, 3]), (10.001, [0, 1, 2, 4])):
        ends = [(3 + longer, 5)] * 4 + [(13, 5)] + [(1, 5)] * 4  # the last four lie behind
        links = score(device, towards(1, 0), peaks_at([(3, 5)], ends))
        assert sorted(links.partner[0, 0, 0, :4].tolist()) == kept


def test_no_peaks_and_no_images(device: Device) -> None:
    for places in (([], []), ([(3, 5)], []), ([], [(3, 5)])):
        links = score(device, towards(1, 0), peaks_at(*places))
        assert not links.count[0, 0, : len(places[0])].any()
    empty = ops.find_peaks(np.zeros((0, 2, 20, 30), F32))
    assert score(device, towards(1, 0)[:0], empty).partner.shape == (0, 1, 32, 8)


def test_threads_and_layouts_change_nothing(device: Device) -> None:
    heat, fields = drawn(COCO, crowd(COCO, 5, 46, 46, seed=3), 46, 46, background=False)
    found = ops.find_peaks(heat, threshold=0.05, capacity=16)
    expected = score(device, fields, found, skeleton=COCO)
    last = np.ascontiguousarray(fields.transpose(0, 2, 3, 1))
    others = [score(device, last, found, skeleton=COCO, layout="nhwc")]
    if device.is_cpu:
        others += [score(device, fields, found, skeleton=COCO, threads=n) for n in (2, 5, 40)]
    for other in others:
        for field in dataclasses.fields(expected):
            one, two = (getattr(links, field.name) for links in (expected, other))
            assert one.tobytes() == two.tobytes(), field.name


@pytest.mark.parametrize("mode", ["pyposefast", "openpose", "trt_pose"])
def test_past_the_count_all_is_0(device: Device, mode: Any) -> None:
    heat, fields = drawn(COCO, crowd(COCO, 5, 46, 46, seed=3), 46, 46, background=False)
    found = ops.find_peaks(heat, threshold=0.05, capacity=16)
    links = score(device, fields, found, skeleton=COCO, mode=mode)
    assert links.count.any()
    is_past = np.arange(8) >= links.count[..., None]
    assert not links.partner[is_past].any()
    assert not links.score[is_past].view(np.int32).any()
    for limb, field in enumerate(COCO.fields):
        past = int(found.count[0, field.first])
        assert not links.count[0, limb, past:].any()
        assert not links.total[0, limb, past:].any()


# ---- what is refused -----------------------------------------------------------------------------


def refused(argument: str, fields: Any, peaks: Any, **options: Any) -> None:
    with pytest.raises((InputError, InputTypeError)) as caught:
        ops.score_limbs(fields, peaks, **({"skeleton": PAIR} | options))
    assert str(caught.value).startswith(f"{argument}: expected "), str(caught.value)


def test_what_cannot_be() -> None:
    fields, peaks = towards(1, 0), peaks_at([(3, 5)], [(15, 5)])
    for wrong in (
        fields[0],
        fields[:, :1],
        fields.astype(float),
        None,
        np.zeros((1, 2, 0, 9), F32),
    ):
        refused("fields", wrong, peaks)
    for wrong in (None, peaks.xy, [], ops.best_peaks(fields)):
        refused("peaks", fields, wrong)
    for name, wrong in (
        ("xy", peaks.xy[0]),
        ("xy", peaks.xy.astype(float)),
        ("xy", np.zeros((1, 3, 1, 2), F32)),
        ("xy", np.zeros((1, 2, 129, 2), F32)),
        ("xy", np.zeros((1, 2, 0, 2), F32)),
        ("count", peaks.count[0]),
        ("count", peaks.count - 2),
        ("count", peaks.count + 1),
        ("count", peaks.count.astype(np.int64)),
    ):
        refused(f"peaks.{name}", fields, dataclasses.replace(peaks, **{name: wrong}))
    for option, values in {
        "threshold": [np.nan, -1.0, np.inf, "x", None],
        "longest": [np.nan, 0, -1.0, np.inf, "x", None],
        "partners": [0, -1, 129, 2.5, "x", None],
        "layout": ["x", None, 3],
        "threads": [0, -1, 1.5, None],
        "mode": ["x", None, 3],
        "skeleton": ["x", None, "coco17"],
    }.items():
        for value in values:
            refused(option, fields, peaks, **{option: value})


def test_mixed_devices() -> None:
    fields, peaks = towards(1, 0), peaks_at([(3, 5)], [(15, 5)])
    with pytest.raises(DeviceMismatchError, match="cuda:0"):
        ops.score_limbs(fields, dataclasses.replace(peaks, xy=emulated(peaks.xy)), skeleton=PAIR)
