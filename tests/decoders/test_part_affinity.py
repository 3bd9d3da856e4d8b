"""`PartAffinity`: what it finds, and what must not make a difference to it.

The first tests know the answer; the others compare the decoder with itself on related inputs.
"""

from __future__ import annotations

import dataclasses
import itertools
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from reference.part_affinity.figures import crowd, drawn, standing

from pyposefast import ops, skeletons
from pyposefast.decoders import PartAffinity, People

if TYPE_CHECKING:
    from conftest import Device

F32 = np.float32
HEIGHT, WIDTH = 80, 64
COCO = skeletons.load("openpose_coco18")
WITH_FIELDS = [name for name in skeletons.names() if skeletons.load(name).fields]
SIZES = [(46, 46), (64, 48), (40, 90), (80, 64)]

# The parabola through the logarithms of a Gaussian's samples has its vertex at the joint. Samples
# near the top are good to 6e-8 of themselves, their logarithms to 1e-7 and what the codes of three
# roundings add; second differences are 1, so the vertex is good to 1e-6, and to one rounding at 64.
EXACT_PX = 2e-5


def names_of(people: People) -> list[str]:
    return [field.name for field in dataclasses.fields(people)]


def bytes_of(people: People) -> dict[str, bytes]:
    return {
        name: np.ascontiguousarray(getattr(people, name)).tobytes() for name in names_of(people)
    }


def scene(size: tuple[int, int], people: int, seed: int) -> tuple[Any, Any]:
    return drawn(COCO, crowd(COCO, people, *size, seed=seed), *size)


def batch(images: int, size: tuple[int, int] = (64, 48)) -> tuple[Any, Any]:
    scenes = [scene(size, 1 + seed % 5, seed) for seed in range(images)]
    heat, fields = (np.concatenate(each) for each in zip(*scenes, strict=True))
    return heat, fields


def noisy_batch(images: int, size: tuple[int, int] = (64, 48)) -> tuple[Any, Any]:
    """With false peaks and links that nobody drew."""
    heat, fields = batch(images, size)
    rng = np.random.default_rng(images)
    return (
        (heat + rng.normal(0, 0.03, heat.shape)).astype(F32),
        (fields + rng.normal(0, 0.1, fields.shape)).astype(F32),
    )


# ---- what it finds -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", WITH_FIELDS)
def test_every_skeleton_finds_its_person(name: str, device: Device) -> None:
    skeleton = skeletons.load(name)
    person = standing(skeleton, 31.3, 14.2, 60.0)
    heat, fields = drawn(skeleton, person, HEIGHT, WIDTH)
    people = device.get(PartAffinity(name)(device.put(heat), device.put(fields)))
    assert people.count.tolist() == people.total.tolist() == [1]
    assert people.dropped.tolist() == people.nonfinite.tolist() == [0]
    assert (people.peak[0, 0] == 0).all()
    assert np.abs(people.xy[0, 0] - person).max() < EXACT_PX
    x, y = np.round(person).astype(int).T
    assert (people.score[0, 0] == heat[0, range(len(person)), y, x]).all()
    # K additions of scores up to 1, each rounded to 24 bits.
    mean = people.score[0, 0].astype(float).mean()
    assert people.person_score[0, 0] == pytest.approx(mean, rel=len(person) * 2**-24)


def test_where_nobody_is_there_is_nothing(device: Device) -> None:
    heat, fields = drawn(COCO, standing(COCO, 31.3, 14.2, 60.0), HEIGHT, WIDTH)
    people = device.get(PartAffinity(COCO, people=7)(device.put(heat), device.put(fields)))
    for name in ("xy", "score", "person_score"):
        assert not getattr(people, name)[:, 1:].any()
    assert (people.peak[:, 1:] == -1).all()
    nobody = device.get(PartAffinity(COCO)(device.put(heat * 0), device.put(fields * 0)))
    assert nobody.count.tolist() == [0]
    assert (nobody.peak == -1).all()


def test_joints_that_hide_are_not_found(device: Device) -> None:
    person = standing(COCO, 31.3, 14.2, 60.0)
    hidden = [COCO.index(name) for name in ("left_wrist", "left_elbow", "nose")]
    person[hidden] = np.nan
    heat, fields = drawn(COCO, person, HEIGHT, WIDTH)
    people = device.get(PartAffinity(COCO)(device.put(heat), device.put(fields)))
    assert people.count.tolist() == [1]
    seen = np.isfinite(person[:, 0])
    assert ((people.peak[0, 0] >= 0) == seen).all()
    assert np.abs(people.xy[0, 0, seen] - person[seen]).max() < EXACT_PX
    assert not people.xy[0, 0, hidden].any()
    assert not people.score[0, 0, hidden].any()


def test_people_are_best_first(device: Device) -> None:
    people = [standing(COCO, 16.3, 14.2, 60.0), standing(COCO, 47.2, 14.4, 60.0)]
    heat, fields = drawn(COCO, people, HEIGHT, WIDTH)
    heat[..., 32:] *= F32(0.5)
    for swapped in (False, True):
        if swapped:
            heat, fields = np.roll(heat, 32, axis=-1), np.roll(fields, 32, axis=-1)
        found = device.get(PartAffinity(COCO)(device.put(heat), device.put(fields)))
        assert found.count.tolist() == [2]
        assert found.person_score[0, 0] > found.person_score[0, 1]
        neck = found.xy[0, :2, COCO.index("neck"), 0]
        assert (neck[0] > 32) == swapped
        assert (neck[1] > 32) != swapped


def test_a_skeleton_that_no_body_knows(device: Device) -> None:
    """What is known of bodies does not help here, and must not be needed."""
    strange = dataclasses.replace(COCO, joints=tuple(f"part {k}" for k in range(18)))
    person = standing(COCO, 31.3, 14.2, 60.0)
    heat, fields = drawn(COCO, person, HEIGHT, WIDTH)
    people = device.get(PartAffinity(strange)(device.put(heat), device.put(fields)))
    assert people.count.tolist() == [1]
    assert np.abs(people.xy[0, 0] - person).max() < EXACT_PX


def test_settings_decide(device: Device) -> None:
    person = standing(COCO, 31.3, 14.2, 60.0)
    heat, fields = device.put(drawn(COCO, person, HEIGHT, WIDTH))

    def count(**settings: Any) -> int:
        return int(device.get(PartAffinity(COCO, **settings)(heat, fields)).total[0])

    assert count() == 1
    assert count(threshold=1.5) == 0
    assert count(field_threshold=1.5) == 0
    assert count(longest=0.001) == 0
    assert count(least_score=1.5) == 0
    assert count(least_joints=18) == 1
    assert count(least_joints=19) == 0


def test_room_for_fewer_people_keeps_the_best(device: Device) -> None:
    people = [standing(COCO, 16.3, 14.2, 60.0), standing(COCO, 47.2, 14.4, 60.0)]
    heat, fields = drawn(COCO, people, HEIGHT, WIDTH)
    heat[..., 32:] *= F32(0.5)
    maps = device.put((heat, fields))
    both = device.get(PartAffinity(COCO)(*maps))
    best = device.get(PartAffinity(COCO, people=1)(*maps))
    assert best.count.tolist() == [1]
    assert best.total.tolist() == both.total.tolist() == [2]
    assert (best.xy[0, 0] == both.xy[0, 0]).all()


# ---- the decoder is its steps --------------------------------------------------------------------


@pytest.mark.parametrize("size", SIZES)
def test_the_steps_give_what_the_decoder_gives(size: tuple[int, int], device: Device) -> None:
    heat, fields = noisy_batch(3, size)
    settings: dict[str, Any] = {"capacity": 40, "partners": 5, "people": 12}
    maps, vectors = device.put(heat), device.put(fields)
    expected = device.get(PartAffinity(COCO, **settings)(maps, vectors))
    assert expected.count.min() > 0
    joints = maps[:, :18]
    peaks = ops.find_peaks(joints, threshold=0.05, capacity=40, shoulders=True)
    links = ops.score_limbs(vectors, peaks, skeleton=COCO, partners=5)
    people = ops.group_people(peaks, links, skeleton=COCO, people=12)
    assert bytes_of(device.get(people)) == bytes_of(expected)
    # A joint is where its peak is.
    host_peaks = device.get(peaks)
    for n, p in np.argwhere(expected.peak.max(axis=2) >= 0):
        for k in np.flatnonzero(expected.peak[n, p] >= 0):
            assert (expected.xy[n, p, k] == host_peaks.xy[n, k, expected.peak[n, p, k]]).all()


# ---- what changes the answer in a known way ------------------------------------------------------


def test_shifted_maps_shift_people(device: Device) -> None:
    heat, fields = drawn(COCO, standing(COCO, 22.3, 10.2, 40.0), HEIGHT, WIDTH, background=False)
    decoder = PartAffinity(COCO)
    here = device.get(decoder(device.put(heat), device.put(fields)))
    assert here.count[0] == 1
    for dy, dx in ((0, 5), (11, 0), (17, 20)):
        moved = device.put([np.roll(maps, (dy, dx), axis=(2, 3)) for maps in (heat, fields)])
        there = device.get(decoder(*moved))
        for name in ("peak", "score", "person_score", "count", "total"):
            assert (getattr(there, name) == getattr(here, name)).all()
        # One rounding at less than 128 px on each side.
        assert np.abs(there.xy[0, 0] - (dx, dy) - here.xy[0, 0]).max() <= 2 * 2**-18


def test_mirrored_maps_mirror_people(device: Device) -> None:
    people = crowd(COCO, 3, HEIGHT, WIDTH, seed=5)
    heat, fields = drawn(COCO, people, HEIGHT, WIDTH, background=False)
    order = COCO.mirrored
    flipped_fields = fields[..., ::-1].copy()
    for field in COCO.fields:
        twin = next(
            other
            for other in COCO.fields
            if (other.first, other.second) == (order[field.first], order[field.second])
        )
        flipped_fields[:, field.x] = -fields[:, twin.x, :, ::-1]
        flipped_fields[:, field.y] = fields[:, twin.y, :, ::-1]
    flipped = heat[:, order, :, ::-1].copy()
    decoder = PartAffinity(COCO)
    one = device.get(decoder(device.put(heat), device.put(fields)))
    other = device.get(decoder(device.put(flipped), device.put(flipped_fields)))
    assert one.count[0] == other.count[0] == 3
    assert (one.score[0, :3] == other.score[0, :3][:, order]).all()
    seen = one.peak[0, :3] >= 0
    mirrored = other.xy[0, :3][:, order]
    mirrored[..., 0] = WIDTH - 1 - mirrored[..., 0]
    # The vertex of a mirrored parabola is exact but for the order in which three logarithms of up
    # to 4 are added; then there is a rounding at less than 128 px on either side.
    assert np.abs(mirrored - one.xy[0, :3])[seen].max() < 4 * 4 * 2**-23 + 2 * 2**-18


def test_images_of_a_batch_are_on_their_own(device: Device) -> None:
    heat, fields = noisy_batch(6)
    decoder = PartAffinity(COCO, people=9)
    together = device.get(decoder(device.put(heat), device.put(fields)))
    assert len(set(together.count.tolist())) > 1
    order = [3, 0, 5, 1, 4, 2]
    permuted = device.get(decoder(device.put(heat[order]), device.put(fields[order])))
    alone = [device.get(decoder(device.put(heat[[n]]), device.put(fields[[n]]))) for n in range(6)]
    for name in names_of(together):
        expected = getattr(together, name)
        assert getattr(permuted, name).tobytes() == expected[order].tobytes()
        singles = np.concatenate([getattr(one, name) for one in alone])
        assert singles.tobytes() == expected.tobytes()


# ---- what must not change it ---------------------------------------------------------------------


def test_layouts_and_strides(device: Device) -> None:
    heat, fields = noisy_batch(2)
    decoder = PartAffinity(COCO)
    expected = bytes_of(device.get(decoder(device.put(heat), device.put(fields))))
    last = [np.ascontiguousarray(maps.transpose(0, 2, 3, 1)) for maps in (heat, fields)]
    assert bytes_of(device.get(decoder(*device.put(last), layout="nhwc"))) == expected
    wide = [
        np.zeros((*maps.shape[:3], 2 * maps.shape[3]), F32)[..., ::2] for maps in (heat, fields)
    ]
    for strided, maps in zip(wide, (heat, fields), strict=True):
        strided[...] = maps
    assert bytes_of(device.get(decoder(*device.put(wide)))) == expected
    backwards = [maps[..., ::-1].copy()[..., ::-1] for maps in (heat, fields)]
    assert bytes_of(device.get(decoder(*device.put(backwards)))) == expected
    by_column = [np.asfortranarray(maps) for maps in (heat, fields)]
    assert bytes_of(device.get(decoder(*device.put(by_column)))) == expected


def test_half_equals_float_of_the_same_values(device: Device) -> None:
    halves = [maps.astype(np.float16) for maps in noisy_batch(2)]
    floats = [maps.astype(F32) for maps in halves]
    decoder = PartAffinity(COCO)
    results = {
        str(pair): bytes_of(device.get(decoder(*device.put(list(maps)))))
        for pair, maps in (
            (pair, [(halves, floats)[which][number] for number, which in enumerate(pair)])
            for pair in itertools.product((0, 1), repeat=2)
        )
    }
    assert len({tuple(result.values()) for result in results.values()}) == 1


def test_cpu_threads_give_the_same_bytes() -> None:
    heat, fields = noisy_batch(7)
    decoder = PartAffinity(COCO)
    expected = bytes_of(decoder(heat, fields))
    for threads in (2, 3, 4, 64):
        assert bytes_of(decoder(heat, fields, threads=threads)) == expected


def test_python_threads_share_a_decoder(device: Device) -> None:
    scenes = [device.put(noisy_batch(images, size)) for images, size in enumerate(SIZES, 1)]
    decoder = PartAffinity(COCO)
    expected = [bytes_of(device.get(PartAffinity(COCO)(*maps))) for maps in scenes]
    rounds = 25 if device.is_cpu else 1

    def work(seed: int) -> bool:
        order = np.random.default_rng(seed).permutation(len(scenes) * rounds) % len(scenes)
        return all(bytes_of(device.get(decoder(*scenes[i]))) == expected[i] for i in order)

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(work, range(4)))


def test_inputs_are_left_alone(device: Device) -> None:
    heat, fields = noisy_batch(2)
    for maps in (heat, fields):
        maps.setflags(write=False)
    before = heat.tobytes(), fields.tobytes()
    PartAffinity(COCO)(device.put(heat), device.put(fields))
    assert (heat.tobytes(), fields.tobytes()) == before
