"""CPU loops and CUDA kernels agree bit for bit, on ten thousand random cases and the ugly ones.

Both run the same element functions, so that this shows the loops, launches and reductions to be
right; that the element functions are is shown by the oracles. A case is one map, one pair of
vectors or one crop; cases come in blocks, one call each. A block is made from a seed alone, and
that seed is in the message when a device disagrees.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from conftest import CPU, OTHER_THREAD_ORDERS, emulation
from reference import inputs

from pyposefast import ops

if TYPE_CHECKING:
    from conftest import Device

F32 = np.float32
Call = Callable[[Callable[[Any], Any]], Any]  # put -> result


@dataclasses.dataclass(frozen=True)
class Block:
    """One call on several cases."""

    seed: int
    what: str
    cases: int
    call: Call


def random_maps(rng: np.random.Generator, name: str, n: int, k: int) -> Any:
    """Small maps of any size, type and memory layout."""
    height, width = (int(side) for side in rng.integers(1, 17, 2))
    if rng.random() < 0.3:
        height, width = inputs.SMALL_SIZES[rng.integers(len(inputs.SMALL_SIZES))]
    maps = inputs.ALL_MAPS[name](rng, n, k, height, width)
    if rng.random() < 0.25:
        maps = inputs.as_float16(maps)
    return inputs.in_memory(maps, rng.choice(inputs.LAYOUTS))


def peak_block(op: str, refine: str, name: str, seed: int) -> Block:
    rng = np.random.default_rng(seed)
    n, k = 2, 5
    maps = random_maps(rng, name, n, k)
    options: dict[str, Any] = {
        "refine": refine,
        "logits": bool(rng.random() < 0.25),
        "threshold": float(rng.choice([0.0, 0.1, 0.5, -1.0])),
        "kernel": int(rng.choice([3, 11, 17, 31])),
    }
    if op == "find_peaks":
        options["capacity"] = int(rng.choice([1, 3, 32, 200]))
    offsets = None
    if refine == "offset":
        offsets = rng.normal(size=(n, k, 2, *maps.shape[2:])).astype(maps.dtype)
        offsets[rng.random(offsets.shape) < 0.05] = np.nan
        options["offset_scale"] = 0.9
    if rng.random() < 0.3:
        maps = np.ascontiguousarray(maps.transpose(0, 2, 3, 1))
        options["layout"] = "nhwc"

    def call(put: Callable[[Any], Any]) -> Any:
        return getattr(ops, op)(put(maps), offsets=put(offsets), **options)

    return Block(seed, f"{op} of {name} {maps.dtype} {maps.shape} {options}", n * k, call)


def simcc_block(refine: str, name: str, seed: int) -> Block:
    rng = np.random.default_rng(seed)
    n, k = 2, 6
    x, y = (
        inputs.ALL_MAPS[name](rng, n, k, 1, int(length))[:, :, 0]
        for length in rng.integers(8 if name == "plateaus" else 1, 90, 2)
    )
    if rng.random() < 0.25:
        x, y = inputs.as_float16(x), inputs.as_float16(y)
    x, y = (inputs.in_memory(each, rng.choice(inputs.LAYOUTS)) for each in (x, y))
    options: dict[str, Any] = {
        "refine": refine,
        "score": rng.choice(["min", "mean"]),
        "split": float(rng.choice([1.0, 2.0, 3.0])),
        "kernel": int(rng.choice([3, 11, 31])),
    }

    def call(put: Callable[[Any], Any]) -> Any:
        return ops.decode_simcc(put(x), put(y), **options)

    return Block(seed, f"decode_simcc of {name} {x.dtype} {x.shape} {options}", n * k, call)


def flip_block(name: str, seed: int) -> Block:
    rng = np.random.default_rng(seed)
    n, k = 2, 5
    maps = random_maps(rng, name, n, k)
    flipped = rng.permuted(maps, axis=3)
    options: dict[str, Any] = {"shift": bool(rng.random() < 0.5), "pairs": [(0, 3), (1, 2)]}

    def call(put: Callable[[Any], Any]) -> Any:
        return ops.average_flip(put(maps), put(flipped), **options)

    return Block(seed, f"average_flip of {name} {maps.dtype} {maps.shape} {options}", n * k, call)


def crop_block(source: str, dtype: str, seed: int) -> Block:
    rng = np.random.default_rng(seed)
    height, width = (2 * int(side) for side in rng.integers(1, 20, 2))
    size = (int(rng.integers(1, 20)), int(rng.choice([1, 5, 8, 16, 17, 33])))
    count = 12
    images: list[Any] = []
    for _ in range(2):
        if source == "nv12":
            luma = inputs.rough_image(rng, (height, width))
            images.append((luma, inputs.rough_image(rng, (height // 2, width // 2, 2))))
        else:
            shape = (height, width) if source == "grey" else (height, width, 3)
            images.append(inputs.rough_image(rng, shape, dtype))
    if dtype == "float32":
        values = np.array([np.nan, np.inf, -np.inf, 3e38, 1e-40], F32)
        for image in images:
            spoilt = rng.random(image.shape) < 0.02
            image[spoilt] = rng.choice(values, int(spoilt.sum()))
    affines = inputs.random_affines(rng, count, (height, width), size)
    options: dict[str, Any] = {
        "size": size,
        "source": source,
        "output": rng.choice(["rgb", "bgr"]),
        "layout": rng.choice(["nchw", "nhwc"]),
        "dtype": rng.choice(["float32", "float16", "uint8"]),
        "border": rng.choice(["constant", "replicate"]),
        "yuv": rng.choice(["bt601", "bt709", "bt601_full", "bt709_full"]),
        "mean": float(rng.choice([0.0, 116.28])),
        "std": float(rng.choice([1.0, 57.12])),
        "fill": float(rng.choice([0.0, 114.0])),
    }
    index = rng.integers(0, 2, count).astype(np.int32)

    def call(put: Callable[[Any], Any]) -> Any:
        return ops.crop_images(put(images), put(affines), image_index=put(index), **options)

    return Block(seed, f"crop_images of {source} {dtype} {options}", count, call)


def region_block(seed: int) -> Block:
    rng = np.random.default_rng(seed)
    count = 10
    corner = rng.uniform(-100, 500, (count, 2))
    boxes = np.concatenate([corner, corner + rng.uniform(1, 400, (count, 2))], axis=1)
    angle_rad, mirror = rng.uniform(-9, 9, count), (rng.random(count) < 0.5).astype(np.uint8)
    joints = rng.uniform(0, 300, (2, 5, 2))
    points = rng.uniform(-500, 500, (count, 7, 2)).astype(F32)
    same: dict[str, Any] = {
        "size": tuple(int(side) for side in rng.integers(2, 300, 2)),
        "alignment": rng.choice(["half_pixel", "corner", "udp"]),
    }

    def call(put: Callable[[Any], Any]) -> list[Any]:
        turned = ops.box_affines(
            put(boxes), padding=1.25, angle_rad=put(angle_rad), mirror=put(mirror), **same
        )
        return [
            turned,
            ops.scale_affines(put(corner), put(scales_of(boxes)), fit="stretch", **same),
            ops.joint_affines(put(joints), reference=(0, 3), sigma=1.5, **same),
            ops.axis_affines(put(corner), put(boxes[:, 2:].copy()), **same),
            ops.letterbox_affines(put(boxes[:, 2:] + 201.0), **same),
            ops.transform_points(put(points), turned.affine),
        ]

    return Block(seed, f"affines {same}", 6 * count, call)


def scales_of(boxes: Any) -> Any:
    """Scales out of boxes: sides in units of 200 px."""
    return (boxes[:, 2:] - boxes[:, :2]) / 200.0


def all_blocks() -> Iterator[Block]:
    seed = 0
    for turn in range(3):
        for name in inputs.ALL_MAPS:
            for refine in inputs.REFINES:
                yield peak_block("best_peaks", refine, name, seed)
                if refine != "second_peak":
                    yield peak_block("find_peaks", refine, name, seed + 1)
                seed += 2
            if name != "plateaus":
                for refine in ("none", "log_parabola", "dark"):
                    yield simcc_block(refine, name, seed)
                    seed += 1
            yield flip_block(name, seed)
            seed += 1
        sources = ("rgb", "bgr", "grey")
        for source, dtype in [(s, d) for s in sources for d in ("uint8", "float32")]:
            for _ in range(7):
                yield crop_block(source, dtype, seed)
                seed += 1
        for _ in range(7):
            yield crop_block("nv12", "uint8", seed)
            seed += 1
        for _ in range(3 if turn else 2):
            yield region_block(seed)
            seed += 1


def test_there_are_ten_thousand_cases() -> None:
    assert sum(block.cases for block in all_blocks()) >= 10_000


def results(device: Device, block: Block) -> list[tuple[str, Any]]:
    """(name, array) of everything that the call returns, on the host."""
    returned = block.call(device.put)
    named: list[tuple[str, Any]] = []
    for number, one in enumerate(returned if isinstance(returned, list) else [returned]):
        on_host = device.get(one)
        if dataclasses.is_dataclass(on_host):
            names = [field.name for field in dataclasses.fields(on_host)]
            named += [(f"{number}.{name}", getattr(on_host, name)) for name in names]
        else:
            named.append((f"{number}", on_host))
    return named


def same_bits(one: Any, other: Any) -> Any:
    """Where two arrays are equal bit for bit, whatever the sign and payload of a NaN."""
    bits = [array.view(f"u{array.itemsize}") for array in (one, other)]
    same = bits[0] == bits[1]
    if one.dtype.kind == "f":
        same |= np.isnan(one) & np.isnan(other)
    return same


def assert_same_bits(device: Device, block: Block, expected: list[tuple[str, Any]]) -> None:
    for (name, one), (_, other) in zip(results(device, block), expected, strict=True):
        assert one.dtype == other.dtype
        assert one.shape == other.shape
        same = same_bits(np.ascontiguousarray(one), np.ascontiguousarray(other))
        if not same.all():
            at = tuple(np.argwhere(~same)[0].tolist())
            pytest.fail(
                f"seed {block.seed}: {block.what}: {name}{at} is {one[at]!r} on {device.name}, "
                f"{other[at]!r} on the CPU; {np.count_nonzero(~same)} of {same.size} differ"
            )


def test_cpu_and_device_agree(device: Device) -> None:
    if device.is_cpu:
        pytest.skip("the CPU is what the others are compared with")
    blocks = [
        block
        for block in all_blocks()
        # A GPU's sine and cosine are not the host's.
        if device.name == "emulated" or not block.what.startswith("affines")
    ]
    for block in blocks:
        # The host arrays go to the installed extension, or on the emulator to the CPU loops of the
        # emulated one: the next test says that these two are one.
        assert_same_bits(device, block, results(CPU, block))


def test_both_builds_agree_on_the_cpu() -> None:
    """The emulated extension has the CPU loops too, from the same sources."""
    blocks = list(all_blocks())[::3]
    expected = [results(CPU, block) for block in blocks]
    with emulation():
        for block, from_installed in zip(blocks, expected, strict=True):
            assert_same_bits(CPU, block, from_installed)


@pytest.mark.parametrize("order", OTHER_THREAD_ORDERS)
def test_any_order_of_threads(order: str) -> None:
    """What depends on which thread comes first would be a race on a device."""
    blocks = [block for block in all_blocks() if block.seed % 5 == OTHER_THREAD_ORDERS.index(order)]
    expected = [results(CPU, block) for block in blocks]
    with emulation(order) as device:
        for block, from_cpu in zip(blocks, expected, strict=True):
            assert_same_bits(device, block, from_cpu)
