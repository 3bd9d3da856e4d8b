"""Bottom-up decoding gives the same people on the CPU and by the CUDA kernels, bit for bit.

Every operation of the decoder is an IEEE one in a fixed order, so that not even the last bit may
differ. A scene is one image; scenes come in blocks, one call each, made from a seed alone, which is
in the message when a device disagrees. With people of a single joint allowed, as in every third
block, all peaks of a scene are in its result. tests/emulation/test_part_affinity.cpp looks at the
stages in between.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from conftest import CPU, OTHER_THREAD_ORDERS, emulated_module, emulation
from reference import inputs
from reference.part_affinity import crowds

from pyposefast import _C, body, skeletons

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

    from conftest import Device

MODES = ("pyposefast", "openpose", "trt_pose")
BLOCKS = 1280
IMAGES = 8  # of a block


@dataclasses.dataclass(frozen=True)
class Block:
    """One call on several scenes."""

    what: str
    skeleton: tuple[Any, ...]  # joints, limbs, body, variances
    maps: Any
    fields: Any
    people: int
    options: dict[str, Any]
    is_nhwc: bool = False


def random_block(seed: int) -> Block:
    rng = np.random.default_rng(seed)
    build = crowds.random_build(rng)
    kind = crowds.KINDS[seed % len(crowds.KINDS)]
    height, width = (int(side) for side in rng.integers(4, 15, 2))
    if rng.random() < 0.15:
        height, width = inputs.SMALL_SIZES[rng.integers(len(inputs.SMALL_SIZES))]
    maps, fields = crowds.crowds(rng, build, kind, IMAGES, height, width)
    if rng.random() < 0.3:  # networks have a channel for the background
        maps = np.concatenate([maps, 1 - maps.max(axis=1, keepdims=True)], axis=1)
    if rng.random() < 0.3:
        maps = inputs.as_float16(maps)
    if rng.random() < 0.3:
        fields = inputs.as_float16(fields)
    is_nhwc = bool(rng.random() < 0.3)
    if is_nhwc:
        maps, fields = (np.ascontiguousarray(each.transpose(0, 2, 3, 1)) for each in (maps, fields))
    maps, fields = (inputs.in_memory(each, rng.choice(inputs.LAYOUTS)) for each in (maps, fields))
    mode = MODES[rng.choice(3, p=(0.6, 0.2, 0.2))]
    options = {
        "mode": mode,
        "threshold": float(rng.choice([0.0, 0.05, 0.2])),
        "field_threshold": float(rng.choice([0.0, 0.05])),
        "longest": float(rng.choice([0.5, 2.0])),
        "capacity": int(rng.choice([1, 4, 32, 128], p=(0.1, 0.2, 0.5, 0.2))),
        "partners": int(rng.choice([1, 8, 30])),
        "least_joints": seed % 3 + 1,
        "least_score": float(rng.choice([0.0, 0.3])) if seed % 3 else 0.0,
    }
    if mode == "trt_pose":  # weighs all pairs
        options["partners"] = options["capacity"]
    people = int(rng.choice([1, 20, 200]))
    what = f"seed {seed}: {kind} {maps.dtype} {fields.dtype} {maps.shape} {options}"
    skeleton = (len(build.shape), build.limbs, build.body, build.variances)
    return Block(what, skeleton, maps, fields, people, options, is_nhwc)


def decoded(device: Device, block: Block) -> dict[str, Any]:
    """Every array of the result, on the host."""
    module: Any = emulated_module() if device.name == "emulated" else _C
    joints, limbs, build, variances = block.skeleton
    options = block.options
    spec = module.part_affinity_spec(
        module.limb_spec(
            options["mode"], joints, limbs, options["field_threshold"], options["longest"]
        ),
        module.group_spec(
            options["mode"],
            joints,
            [limb[:2] for limb in limbs],
            build,
            variances,
            options["least_joints"],
            options["least_score"],
            2 * options["threshold"],
            options["field_threshold"],
            [],
        ),
        options["threshold"],
        options["capacity"],
        options["partners"],
    )
    shape = block.maps.shape
    n, k, height, width = (shape[0], shape[3], *shape[1:3]) if block.is_nhwc else shape
    words = module.part_affinity_scratch(spec, n, k, height, width, 1, not device.is_cpu)
    people = (n, block.people)
    # Nothing may rely on what fresh memory holds.
    results = {
        "xy": np.full((*people, joints, 2), np.nan, np.float32),
        "score": np.full((*people, joints), np.nan, np.float32),
        "peak": np.full((*people, joints), -77, np.int32),
        "person_score": np.full(people, np.nan, np.float32),
        "count": np.full(n, -77, np.int32),
        "total": np.full(n, -77, np.int32),
        "dropped": np.full(n, -77, np.int32),
        "nonfinite": np.full(n, -77, np.int32),
    }
    outputs = {name: device.put(array) for name, array in results.items()}
    module.decode_part_affinity(
        spec,
        device.put(block.maps),
        device.put(block.fields),
        block.is_nhwc,
        module.people_arrays(*outputs.values(), 0),
        block.people,
        device.put(np.full(words, -1, np.int32)),
        1,
        0,
    )
    return {name: device.get(array) for name, array in outputs.items()}


def assert_same_people(device: Device, block: Block, expected: dict[str, Any]) -> None:
    for name, got in decoded(device, block).items():
        wrong = got.view(np.uint32) != expected[name].view(np.uint32)
        if wrong.any():
            at = tuple(np.argwhere(wrong)[0].tolist())
            pytest.fail(
                f"{block.what}: {name}{at} is {got[at]!r} on {device.name}, "
                f"{expected[name][at]!r} on the CPU; {wrong.sum()} of {wrong.size} differ"
            )


def test_ten_thousand_scenes_agree(device: Device) -> None:
    if device.is_cpu:
        pytest.skip("the CPU is what the others are compared with")
    assert BLOCKS * IMAGES >= 10_000
    names = ("count", "total", "dropped", "nonfinite")
    found = dict.fromkeys(names, 0)
    for seed in range(BLOCKS):
        block = random_block(seed)
        expected = decoded(CPU, block)
        for name in names:
            found[name] += int(expected[name].sum())
        assert_same_people(device, block, expected)
    # That many people, people past the room for them, dropped peaks and samples that are no number.
    assert found["count"] > 10_000
    assert found["total"] > 1.2 * found["count"]
    assert found["dropped"] > 10_000
    assert found["nonfinite"] > 10_000


@pytest.mark.parametrize("order", OTHER_THREAD_ORDERS)
def test_any_order_of_threads(order: str) -> None:
    """What depends on which thread comes first would be a race on a device."""
    with emulation(order) as device:
        for seed in range(OTHER_THREAD_ORDERS.index(order), BLOCKS, 40):
            block = random_block(seed)
            assert_same_people(device, block, decoded(CPU, block))


def networks(workload: ModuleType) -> Iterator[Block]:
    """Scenes as a network of OpenPose's gives them, with the skeleton of its model."""
    skeleton = skeletons.load("openpose_coco18")
    for people, mode, seed in [(1, 0, 1), (4, 1, 2), (8, 2, 3), (20, 0, 4), (60, 0, 5)]:
        scene = workload.bottom_up(people, 46, 54, seed=seed)
        options = {
            "mode": MODES[mode],
            "threshold": 0.05,
            "field_threshold": 0.05,
            "longest": 0.5,
            "capacity": 128,
            "partners": 128 if MODES[mode] == "trt_pose" else 8,
            "least_joints": 4,
            "least_score": 0.0,
        }
        yield Block(
            f"{people} people, {MODES[mode]}",
            (
                len(skeleton.joints),
                [list(field) for field in skeleton.fields],
                body.places_of(skeleton.joints),
                body.variances(),
            ),
            scene["heat"][None],
            scene["paf"][None],
            128,
            options,
        )


@pytest.mark.thread_orders
def test_scenes_of_a_network_agree(device: Device, workload: ModuleType) -> None:
    if device.is_cpu:
        pytest.skip("the CPU is what the others are compared with")
    for block in networks(workload):
        expected = decoded(CPU, block)
        assert expected["count"][0] > 0
        assert_same_people(device, block, expected)
