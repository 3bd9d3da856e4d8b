"""Maps that no network gives: the decoder stays right, or says by how much it was not.

What every answer has to satisfy is in `assert_sane`; the tests add what they know besides.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from reference import inputs
from reference.part_affinity.figures import crowd, drawn, standing

from pyposefast import ops, skeletons
from pyposefast.decoders import PartAffinity, People

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Device

F32 = np.float32
COCO = skeletons.load("openpose_coco18")
JOINTS, LIMBS, CHANNELS = 18, 19, 38


def decode(device: Device, heat: Any, fields: Any, **settings: Any) -> People:
    """Decode, and check what has to be so whatever the maps are."""
    people: People = device.get(
        PartAffinity(COCO, **settings)(device.put(heat), device.put(fields))
    )
    assert_sane(people, heat, **settings)
    return people


def assert_sane(
    found: People, heat: Any, *, threshold: float = 0.05, least_joints: int = 4, **_: Any
) -> None:
    n, capacity = found.person_score.shape
    height, width = heat.shape[2:]
    assert (found.count == np.minimum(found.total, capacity)).all()
    assert (found.count >= 0).all()
    assert (found.dropped >= 0).all()
    assert (found.nonfinite == (~np.isfinite(heat[:, :JOINTS])).sum(axis=(1, 2, 3))).all()
    for floats in (found.xy, found.score, found.person_score):
        assert np.isfinite(floats).all()
    is_real = np.arange(capacity) < found.count[:, None]
    is_found = found.peak >= 0
    assert (is_found.sum(axis=2) >= least_joints * is_real).all()
    assert not is_found[~is_real].any()
    assert (found.peak[~is_found] == -1).all()
    assert not found.xy[~is_found].any()
    assert not found.score[~is_found].any()
    assert (found.score[is_found] > F32(threshold)).all()
    assert (np.diff(found.person_score, axis=1)[is_real[:, 1:]] <= 0).all()
    # A shoulder's place is at most 3/4 px from a sample, a peak's less than one.
    assert (found.xy[is_found] > -1).all()
    assert (found.xy[is_found] < (width, height)).all()
    for image in range(n):
        for joint in range(JOINTS):
            taken = found.peak[image, :, joint]
            taken = taken[taken >= 0]
            assert len(set(taken.tolist())) == len(taken), "a joint of two people"


def constant(value: float, size: tuple[int, int] = (32, 24)) -> tuple[Any, Any]:
    return np.full((1, JOINTS, *size), value, F32), np.full((1, CHANNELS, *size), value, F32)


def grid(size: int, step: int) -> Any:
    heat = np.zeros((1, JOINTS, size, size), F32)
    heat[..., ::step, ::step] = 1
    return heat


FIELDS: dict[str, Callable[[tuple[int, int]], Any]] = {
    "ones": lambda size: np.ones((1, CHANNELS, *size), F32),
    "zeros": lambda size: np.zeros((1, CHANNELS, *size), F32),
    "random": lambda size: (
        np.random.default_rng(1).uniform(-1, 1, (1, CHANNELS, *size)).astype(F32)
    ),
    "NaN": lambda size: np.full((1, CHANNELS, *size), np.nan, F32),
    "infinite": lambda size: np.full((1, CHANNELS, *size), np.inf, F32),
    "infinities of both signs": lambda size: (
        np.random.default_rng(2).choice([np.inf, -np.inf], (1, CHANNELS, *size)).astype(F32)
    ),
    "huge": lambda size: np.full((1, CHANNELS, *size), 3e38, F32),
    "denormal": lambda size: np.full((1, CHANNELS, *size), 1e-40, F32),
}
SILENT = ("zeros", "NaN", "infinite", "infinities of both signs", "denormal")


# ---- too many peaks ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FIELDS)
def test_all_ones(name: str, device: Device) -> None:
    """A8: a map of one plateau has one peak, and all joints at one place have no limb."""
    heat, _ = constant(1.0)
    people = decode(device, heat, FIELDS[name](heat.shape[2:]))
    assert people.total.tolist() == people.dropped.tolist() == [0]


@pytest.mark.parametrize("name", FIELDS)
def test_a_grid_of_1369_peaks_per_part(name: str, device: Device) -> None:
    """A9: what there was no room for is counted."""
    if not device.is_cpu and name not in ("ones", "random"):
        pytest.skip("two kinds of fields are enough for an emulator")
    heat = grid(256, 7)
    people = decode(device, heat, FIELDS[name]((256, 256)))
    assert people.dropped.tolist() == [JOINTS * (1369 - 128)]
    if name in SILENT:
        assert people.total.tolist() == [0]


@pytest.mark.parametrize("name", FIELDS)
def test_ten_thousand_peaks_in_every_channel(name: str) -> None:
    """A10: every second sample of 256 x 256 is one."""
    from conftest import CPU

    rng = np.random.default_rng(3)
    heat = np.zeros((1, JOINTS, 256, 256), F32)
    heat[..., ::2, ::2] = rng.uniform(0.5, 1, (1, JOINTS, 128, 128))
    people = decode(CPU, heat, FIELDS[name]((256, 256)))
    assert people.dropped.tolist() == [JOINTS * (128 * 128 - 128)]
    kept = np.sort(heat.reshape(JOINTS, -1))[:, -128:]
    # A11: the best are kept, wherever they are.
    for joint in range(JOINTS):
        scores = people.score[0, people.peak[0, :, joint] >= 0, joint]
        assert set(scores.tolist()) <= set(kept[joint].tolist())


def test_the_best_peaks_are_kept_wherever_they_are(device: Device) -> None:
    """A11: 200 weak ones above, and a person below."""
    person = standing(COCO, 20.3, 32.2, 40.0)
    heat, fields = drawn(COCO, person, 72, 60, background=False)
    expected = decode(device, heat, fields)
    heat[:, :, 0:20:2, 0:40:2] = 0.3
    people = decode(device, heat, fields, capacity=16)
    assert people.count.tolist() == [1]
    assert people.dropped[0] >= JOINTS * (200 - 16)
    assert (people.xy[0, 0] == expected.xy[0, 0]).all()


@pytest.mark.parametrize("kind", sorted(inputs.ALL_MAPS))
def test_any_maps_with_any_fields(kind: str, device: Device) -> None:
    rng = np.random.default_rng(4)
    make = inputs.ALL_MAPS[kind]
    for height, width in [(1, 1), (2, 2), (1, 40), (40, 1), (3, 5), (24, 31)]:
        if kind == "plateaus" and min(height, width) < 3:
            continue
        heat = make(rng, 2, JOINTS, height, width)
        for threshold in (0.0, 0.05):
            decode(
                device,
                heat,
                rng.uniform(-1, 1, (2, CHANNELS, height, width)).astype(F32),
                threshold=threshold,
                field_threshold=threshold,
                least_joints=1,
            )


# ---- what is not finite --------------------------------------------------------------------------


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_heatmaps_that_are_not_finite(value: float, device: Device) -> None:
    """A4, A5: everywhere, nobody is there; at one sample, somebody still is."""
    heat, fields = constant(value)
    people = decode(device, heat, fields)
    assert people.total.tolist() == [0]
    assert people.nonfinite.tolist() == [heat.size]
    heat, fields = drawn(COCO, standing(COCO, 20.3, 12.2, 40.0), 56, 40)
    expected = decode(device, heat, fields)
    for y, x in ((0, 0), (30, 39), (20, 20), (12, 20), (8, 20), (45, 23)):
        spoilt = heat.copy()
        spoilt[0, :JOINTS, y, x] = value
        people = decode(device, spoilt, fields)
        # Farther than a peak and its shoulders reach, nothing has changed.
        reached = np.abs(expected.xy[0, 0] - (x, y)).max(axis=1) < 4
        if not reached.any():
            assert people.xy.tobytes() == expected.xy.tobytes()
            continue
        # A joint with a hole in its middle may become two, and these two people.
        assert people.total[0] >= 1
        found = people.xy[0, people.peak[0].max(axis=1) >= 0]
        for joint in np.flatnonzero(~reached):
            assert (found[:, joint] == expected.xy[0, 0, joint]).all(axis=1).any()


@pytest.mark.parametrize("name", [*SILENT, "mixed"])
def test_fields_that_say_nothing(name: str, device: Device) -> None:
    """A2, A3: no links; the joints are there all the same."""
    heat, fields = drawn(COCO, crowd(COCO, 4, 56, 60, seed=1), 56, 60)
    if name == "mixed":
        rng = np.random.default_rng(5)
        fields = rng.choice([np.nan, np.inf, -np.inf], fields.shape).astype(F32)
    else:
        fields = FIELDS[name](fields.shape[2:])
    people = decode(device, heat, fields)
    assert people.total.tolist() == [0]
    assert people.nonfinite.tolist() == [0]
    peaks = ops.find_peaks(device.put(heat[:, :JOINTS].copy()), threshold=0.05, capacity=128)
    links = ops.score_limbs(device.put(fields), peaks, skeleton=COCO)
    count = device.get(peaks).count
    assert (count > 0).any(axis=1).all()
    found = device.get(links).count
    for limb, field in enumerate(COCO.fields):
        assert not found[0, limb, : count[0, field.first]].any()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_bad_sample_of_a_field_is_nobody_elses_business(value: float, device: Device) -> None:
    """A1: at each place where it could matter to one person, the other stays to the last bit."""
    left, right = standing(COCO, 14.3, 12.2, 40.0), standing(COCO, 46.2, 12.4, 40.0)
    heat, fields = drawn(COCO, [left, right], 56, 60, background=False)
    heat[..., 30:] *= F32(0.75)  # so that the left one comes first
    expected = decode(device, heat, fields)
    assert expected.count.tolist() == [2]
    for limb, field in enumerate(COCO.fields):
        if limb % 6 and not device.is_cpu:
            continue
        middle = np.round((left[field.first] + left[field.second]) / 2).astype(int)
        spoilt = fields.copy()
        spoilt[0, (field.x, field.y)[limb % 2], middle[1], middle[0]] = value
        people = decode(device, heat, spoilt)
        assert people.count.tolist() == [2]
        for name in ("xy", "score", "peak", "person_score"):
            one, other = getattr(people, name)[0, 1], getattr(expected, name)[0, 1]
            assert one.tobytes() == other.tobytes()
    # Where there is nobody it changes nothing at all.
    spoilt = fields.copy()
    spoilt[:, :, 54:, :] = value
    people = decode(device, heat, spoilt)
    assert people.xy.tobytes() == expected.xy.tobytes()


# ---- small maps, small lists ---------------------------------------------------------------------


@pytest.mark.parametrize("size", [(1, 1), (2, 2), (1, 9), (9, 1), (1, 300), (2, 3), (3, 3)])
@pytest.mark.parametrize("name", FIELDS)
def test_maps_smaller_than_any_window(size: tuple[int, int], name: str, device: Device) -> None:
    """A13, A14."""
    rng = np.random.default_rng(6)
    for heat in (
        np.ones((1, JOINTS, *size), F32),
        rng.random((1, JOINTS, *size), F32),
        rng.choice([0, 1, np.nan, np.inf], (1, JOINTS, *size)).astype(F32),
    ):
        decode(device, heat, FIELDS[name](size), least_joints=1)


def twenty_people() -> tuple[Any, Any]:
    people = [
        standing(COCO, 16.3 + 28 * (i % 5), 10.2 + 40.3 * (i // 5), 36 + i / 4) for i in range(20)
    ]
    return drawn(COCO, people, 170, 150, background=False)


def test_lists_of_every_length(device: Device) -> None:
    heat, fields = twenty_people()
    everybody = decode(device, heat, fields)
    assert everybody.total.tolist() == [20]
    for people in (1, 2, 19, 20, 21, 1024):
        few = decode(device, heat, fields, people=people)
        assert few.total.tolist() == [20]
        assert (few.xy[0, : min(people, 20)] == everybody.xy[0, : min(people, 20)]).all()
        if not device.is_cpu:
            break
    for capacity in (1, 2, 19):
        few = decode(device, heat, fields, capacity=capacity)
        assert few.peak.max() < capacity
        assert few.dropped.tolist() == [JOINTS * (20 - capacity)]
        if not device.is_cpu:
            break
    for partners in (1, 2, 128):
        same = decode(device, heat, fields, partners=partners)
        assert same.xy.tobytes() == everybody.xy.tobytes()
        if not device.is_cpu:
            break


def test_fewer_people_than_peaks(device: Device) -> None:
    """A12: nothing is written past the people, however many peaks there are."""
    rng = np.random.default_rng(7)
    heat = rng.random((2, JOINTS, 40, 30), F32)
    fields = np.ones((2, CHANNELS, 40, 30), F32)
    for people in (1, 3):
        maps, vectors = device.put(heat), device.put(fields)
        found = decode(device, heat, fields, people=people, least_joints=1)
        assert (found.total > people).all()
        decoder = PartAffinity(COCO, people=people, least_joints=1)
        assert device.get(decoder(maps, vectors)).xy.shape == (2, people, JOINTS, 2)


# ---- places and magnitudes -----------------------------------------------------------------------


def test_two_joints_at_one_place(device: Device) -> None:
    """A19: a limb without a length is none; the rest stays together."""
    person = standing(COCO, 20.3, 12.2, 40.0)
    person[COCO.index("right_eye")] = person[COCO.index("nose")]
    person[COCO.index("left_knee")] = person[COCO.index("left_hip")]
    heat, fields = drawn(COCO, person, 56, 40)
    people = decode(device, heat, fields)
    assert people.count.tolist() == [1]
    assert (people.peak[0, 0] >= 0).sum() >= JOINTS - 2


@pytest.mark.parametrize("scale", [1e-40, 1e-38, 1e30, 3e38])
def test_tiny_and_huge_values(scale: float, device: Device) -> None:
    """A6: places do not depend on the unit of the maps."""
    heat, fields = drawn(COCO, crowd(COCO, 3, 56, 60, seed=2), 56, 60, background=False)
    expected = decode(device, heat, fields)
    assert expected.count.tolist() == [3]
    scaled = (heat * scale).astype(F32)
    people = decode(device, scaled, fields)
    if scale < 1:
        assert people.total.tolist() == [0]
        people = decode(device, scaled, fields, threshold=0.0)
    assert people.count.tolist() == [3]
    if scale > 1:  # sums that overflow are equal, so that people may come in another order
        one, other = ({each.tobytes() for each in p.peak[0, :3]} for p in (people, expected))
        assert one == other
    stretched = (fields * scale).astype(F32)
    decode(device, heat, stretched, field_threshold=0.0)
