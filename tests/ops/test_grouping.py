"""`group_people` against the oracle, and at its edges. Whole scenes: the decoder's tests."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from emulated_array import emulated
from reference import grouping as reference
from reference.part_affinity.figures import crowd, drawn

from pyposefast import body, ops, skeletons
from pyposefast.errors import DeviceMismatchError, InputError, InputTypeError

if TYPE_CHECKING:
    from conftest import Device

F32 = np.float32
COCO = skeletons.load("openpose_coco18")
LIMITS: Any = {"least_joints": 3, "least_score": 0.2, "least_lone": 0.4}


def put(device: Device, result: Any) -> Any:
    names = [field.name for field in dataclasses.fields(result)]
    return type(result)(**{name: device.put(getattr(result, name)) for name in names})


def steps(
    heat: Any, fields: Any, skeleton: skeletons.Skeleton = COCO, capacity: int = 20
) -> tuple[ops.Peaks, ops.Links]:
    maps = heat[:, : len(skeleton.joints)]
    peaks = ops.find_peaks(maps, threshold=0.1, capacity=capacity, shoulders=True)
    return peaks, ops.score_limbs(fields, peaks, skeleton=skeleton, threshold=0.1)


def rough_scene(seed: int, skeleton: skeletons.Skeleton = COCO) -> tuple[Any, Any]:
    """A crowd with joints that hide, limbs that fade, and peaks and links that nobody drew."""
    rng = np.random.default_rng(seed)
    people = crowd(skeleton, 2 + seed % 6, 64, 72, seed=seed)
    people[rng.random(people.shape[:2]) < 0.2] = np.nan
    heat, fields = drawn(skeleton, people, 64, 72, background=False)
    heat = (heat * rng.uniform(0.4, 1, (1, len(skeleton.joints), 1, 1))).astype(F32)
    heat += rng.normal(0, 0.03, heat.shape).astype(F32)
    for _ in range(30):
        k, y, x = (int(rng.integers(high)) for high in heat.shape[1:])
        heat[0, k, y, x] += F32(rng.uniform(0.2, 0.9))
    fields += rng.normal(0, 0.15, fields.shape).astype(F32)
    return heat, fields


@pytest.mark.parametrize("name", ["openpose_coco18", "openpose_body25", "trt_pose18", "unknown"])
def test_people_are_those_of_the_oracle(name: str, device: Device) -> None:
    """Scores differ from scene to scene by far more than float32 from float64: no near ties."""
    if name == "unknown":  # half of the joints
        joints = tuple(joint if k % 2 else f"part {k}" for k, joint in enumerate(COCO.joints))
        skeleton = dataclasses.replace(COCO, joints=joints)
    else:
        skeleton = skeletons.load(name)
    shapes = COCO if name == "unknown" else skeleton
    joined = 0
    for seed in range(12 if device.is_cpu else 2):
        peaks, links = steps(*rough_scene(seed, shapes), skeleton)
        people = device.get(
            ops.group_people(
                put(device, peaks),
                put(device, links),
                skeleton=skeleton,
                people=40,
                **LIMITS,
            )
        )
        expected = reference.group_people(skeleton, peaks, links, 0, **LIMITS)
        assert people.total.tolist() == people.count.tolist() == [len(expected)], seed
        for person, found in zip(expected, people.peak[0], strict=False):
            assert {k: int(i) for k, i in enumerate(found) if i >= 0} == person, seed
            joined += len(person)
    assert joined > 40


@pytest.mark.parametrize(
    "limits",
    [
        {"least_joints": 1, "least_score": 0.0, "least_lone": 0.0},
        {"least_joints": 8, "least_score": 0.0, "least_lone": 0.1},
        {"least_joints": 2, "least_score": 0.5, "least_lone": 5.0},
    ],
)
def test_limits(limits: Any, device: Device) -> None:
    peaks, links = steps(*rough_scene(5))
    people = device.get(
        ops.group_people(put(device, peaks), put(device, links), skeleton=COCO, **limits)
    )
    expected = reference.group_people(COCO, peaks, links, 0, **limits)
    assert people.total.tolist() == [len(expected)]
    for person, found in zip(expected, people.peak[0], strict=False):
        assert {k: int(i) for k, i in enumerate(found) if i >= 0} == person


def test_images_and_threads(device: Device) -> None:
    scenes = [rough_scene(seed) for seed in range(5)]
    heat, fields = (np.concatenate(maps) for maps in zip(*scenes, strict=True))
    peaks, links = steps(heat, fields)
    together = device.get(
        ops.group_people(put(device, peaks), put(device, links), skeleton=COCO, people=9)
    )
    for threads in (2, 3, 8) if device.is_cpu else ():
        shared = ops.group_people(peaks, links, skeleton=COCO, people=9, threads=threads)
        assert shared.xy.tobytes() == together.xy.tobytes()
        assert shared.peak.tobytes() == together.peak.tobytes()
    for n, maps in enumerate(scenes):
        alone = ops.group_people(*steps(*maps), skeleton=COCO, people=9)
        assert alone.xy.tobytes() == together.xy[n].tobytes()
        assert alone.total[0] == together.total[n]


def test_nobody(device: Device) -> None:
    heat, fields = rough_scene(1)
    for maps in ((heat * 0, fields), (heat[:0], fields[:0])):
        peaks, links = steps(*maps)
        people = device.get(
            ops.group_people(put(device, peaks), put(device, links), skeleton=COCO, people=3)
        )
        assert people.total.tolist() == [0] * len(maps[0])
        assert (people.peak == -1).all()
        assert not people.xy.any()


# ---- lists that no maps gave ---------------------------------------------------------------------


def random_lists(seed: int, capacity: int, spread: str) -> tuple[ops.Peaks, ops.Links]:
    """Peaks anywhere and links among any of them, with scores of one kind."""
    rng = np.random.default_rng(seed)
    joints, limbs, partners = len(COCO.joints), len(COCO.fields), 6
    count = rng.integers(0, capacity + 1, (1, joints)).astype(np.int32)
    count[0, rng.integers(joints)] = capacity
    xy = rng.uniform(0, 64, (1, joints, capacity, 2)).astype(F32)
    if seed % 3 == 0:
        xy = np.round(xy / 16) * 16  # many of no length, and many that are alike
    peaks = ops.Peaks(
        xy=xy,
        score=rng.uniform(0.1, 1, (1, joints, capacity)).astype(F32),
        count=count,
        total=count,
        nonfinite=np.zeros((1, joints), np.int32),
    )
    shape = (1, limbs, capacity, partners)
    score = rng.uniform(0.1, 1, shape).astype(F32)
    if spread == "ties":
        score = np.round(score * 4) / 4
    elif spread == "far off":
        score[rng.random(shape) < 0.002] = F32(3e38)
    elif spread == "any":
        score = rng.integers(-(2**31), 2**31, shape).astype(np.int32).view(F32)
    links = ops.Links(
        partner=np.zeros(shape, np.int32),
        score=score,
        count=np.zeros(shape[:3], np.int32),
        total=np.zeros(shape[:3], np.int32),
    )
    for limb, field in enumerate(COCO.fields):
        first, second = field.first, field.second
        for i in range(count[0, first]):
            most = min(partners, int(count[0, second]))
            links.count[0, limb, i] = rng.integers(0, most + 1)
            links.partner[0, limb, i, :most] = rng.permutation(count[0, second])[:most]
    return peaks, links


@pytest.mark.parametrize("spread", ["even", "ties", "far off", "any"])
@pytest.mark.parametrize("capacity", [1, 2, 5, 24, 128])
def test_lists_of_any_kind(spread: str, capacity: int, device: Device) -> None:
    """Few and many links, in every order of scores, and fragments that fit and do not."""
    for seed in range(3 if capacity == 128 else 12):
        peaks, links = random_lists(seed, capacity, spread)
        limits: Any = {"least_joints": 1, "least_score": 0.0, "least_lone": 0.3 * (seed % 2)}
        expected = ops.group_people(peaks, links, skeleton=COCO, people=200, **limits)
        people = device.get(
            ops.group_people(
                put(device, peaks), put(device, links), skeleton=COCO, people=200, **limits
            )
        )
        assert people.total[0] > 0
        for k in range(len(COCO.joints)):
            owner = np.flatnonzero(people.peak[0, :, k] >= 0)
            index = people.peak[0, owner, k]
            assert len(set(index.tolist())) == len(index)  # nobody shares a joint
            assert (people.xy[0, owner, k] == peaks.xy[0, k, index]).all()
        if device.is_cpu:
            continue  # it is what the others are compared with
        for field in dataclasses.fields(people):
            found, wanted = getattr(people, field.name), getattr(expected, field.name)
            assert found.tobytes() == wanted.tobytes(), (field.name, seed)


def standing(seed: int, people: int, false_links: int) -> tuple[ops.Peaks, ops.Links]:
    """Bodies with hidden joints, all limbs that are seen, and links between any two of them."""
    rng = np.random.default_rng(seed)
    joints, partners = len(COCO.joints), 4
    usual = np.array([place[:2] for place in body.places_of(COCO.joints) if place], F32)
    feet = rng.uniform(0, 40 * np.sqrt(people), (people, 1, 2))
    height = rng.uniform(15, 40, (people, 1, 1))
    places = (feet + height * usual + rng.normal(0, 1, (people, joints, 2))).astype(F32)
    is_seen = rng.random((people, joints)) < 0.7
    shape = (1, len(COCO.fields), people, partners)
    xy, number = np.zeros((1, joints, people, 2), F32), np.cumsum(is_seen, axis=0) - 1
    for k in range(joints):
        xy[0, k, : is_seen[:, k].sum()] = places[is_seen[:, k], k]
    peaks = ops.Peaks(
        xy=xy,
        score=rng.uniform(0.2, 1, (1, joints, people)).astype(F32),
        count=is_seen.sum(axis=0, dtype=np.int32)[None],
        total=is_seen.sum(axis=0, dtype=np.int32)[None],
        nonfinite=np.zeros((1, joints), np.int32),
    )
    links = ops.Links(
        partner=np.zeros(shape, np.int32),
        score=rng.uniform(0.1, 1, shape).astype(F32),
        count=np.zeros(shape[:3], np.int32),
        total=np.zeros(shape[:3], np.int32),
    )
    pairs = {
        (limb, number[p, field.first], number[p, field.second])
        for limb, field in enumerate(COCO.fields)
        for p in np.flatnonzero(is_seen[:, field.first] & is_seen[:, field.second])
    }
    for limb in rng.integers(0, len(COCO.fields), false_links):
        ends = COCO.fields[limb].first, COCO.fields[limb].second
        pairs.add((limb, *(rng.integers(max(peaks.count[0, k], 1)) for k in ends)))
    for limb, a, b in sorted(pairs):
        rank = links.count[0, limb, a]
        has_ends = a < peaks.count[0, COCO.fields[limb].first]
        if rank < partners and has_ends and b < peaks.count[0, COCO.fields[limb].second]:
            links.partner[0, limb, a, rank] = b
            links.count[0, limb, a] += 1
    return peaks, links


@pytest.mark.parametrize("false_links", [0, 2, 40])
@pytest.mark.parametrize("people", [1, 3, 6, 9, 30, 128])
def test_bodies_that_no_maps_gave(people: int, false_links: int, device: Device) -> None:
    """Alone and in crowds: whatever is left out because it cannot matter does not."""
    for seed in range(20 if people < 10 else 2):
        peaks, links = standing(seed, people, false_links)
        found = device.get(
            ops.group_people(
                put(device, peaks), put(device, links), skeleton=COCO, people=128, **LIMITS
            )
        )
        if not device.is_cpu:
            same = ops.group_people(peaks, links, skeleton=COCO, people=128, **LIMITS)
            for field in dataclasses.fields(found):
                name = field.name
                assert getattr(found, name).tobytes() == getattr(same, name).tobytes(), seed
        # Both hips foretell a wrist equally well; of many loose ends some show which one rounding
        # prefers.
        elif people <= 30 and false_links < 40:
            expected = reference.group_people(COCO, peaks, links, 0, **LIMITS)
            rows = [
                {k: int(i) for k, i in enumerate(row) if i >= 0}
                for row in found.peak[0, : found.count[0]]
            ]
            assert rows == expected, seed


# ---- what is refused -----------------------------------------------------------------------------


def refused(argument: str, peaks: Any, links: Any, **options: Any) -> None:
    with pytest.raises((InputError, InputTypeError)) as caught:
        ops.group_people(peaks, links, **({"skeleton": COCO} | options))
    assert str(caught.value).startswith(f"{argument}: expected "), str(caught.value)


def test_what_cannot_be() -> None:
    peaks, links = steps(*rough_scene(2))
    assert ops.group_people(peaks, links, skeleton=COCO).count[0] > 0
    for wrong in (None, links, peaks.xy):
        refused("peaks", wrong, links)
    for wrong in (None, peaks, links.partner):
        refused("links", peaks, wrong)
    for name in ("xy", "score", "count", "total", "nonfinite"):
        for bad in (getattr(peaks, name)[:, :-1], getattr(peaks, name).astype(np.float64)):
            refused(f"peaks.{name}", dataclasses.replace(peaks, **{name: bad}), links)
    for name in ("partner", "score", "count"):
        for bad in (getattr(links, name)[:, :-1], getattr(links, name).astype(np.float64)):
            refused(f"links.{name}", peaks, dataclasses.replace(links, **{name: bad}))
    for option, values in {
        "people": [0, -1, 1025, 2.5, "x", None],
        "least_joints": [0, -1, 33, 2.5, "x", None],
        "least_score": [np.nan, np.inf, "x", None],
        "least_lone": [np.nan, np.inf, "x", None],
        "threads": [0, -1, 1.5, None],
        "mode": ["x", None, 3],
        "skeleton": ["x", None, "coco17"],
    }.items():
        for value in values:
            refused(option, peaks, links, **{option: value})


def test_lists_that_would_lead_out_of_memory() -> None:
    """Counts and indices may come from anywhere: on the CPU each is looked at."""
    peaks, links = steps(*rough_scene(2))
    limb, i = next(tuple(at) for at in np.argwhere(links.count[0] > 0) if at[1] == 0)
    for name, at, values in (
        ("count", (0, limb, i), [-1, 9, 1 << 30]),
        ("partner", (0, limb, i, 0), [-1, 20, 1 << 30]),
    ):
        for value in values:
            bad = getattr(links, name).copy()
            bad[at] = value
            refused(f"links.{name}", peaks, dataclasses.replace(links, **{name: bad}))
    for value in (-1, 21, 1 << 30):
        bad = peaks.count.copy()
        bad[0, 3] = value
        refused("peaks.count", dataclasses.replace(peaks, count=bad), links)


def test_mixed_devices() -> None:
    peaks, links = steps(*rough_scene(2))
    for name in ("partner", "score"):
        moved = dataclasses.replace(links, **{name: emulated(getattr(links, name))})
        with pytest.raises(DeviceMismatchError, match="cuda:0"):
            ops.group_people(peaks, moved, skeleton=COCO)
