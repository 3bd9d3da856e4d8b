"""Threads: ops are shared without locks, give the same bytes, and let others run meanwhile."""

from __future__ import annotations

import ctypes
import dataclasses
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from reference import inputs

from pyposefast import ops
from pyposefast.decoders import PartAffinity

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Device

F32 = np.float32
WORKERS = 8


def all_ops(device: Device) -> dict[str, Callable[[], Any]]:
    """Every op on inputs that all threads share."""
    rng = np.random.default_rng(0)
    put = device.put
    maps = put(inputs.crowd(rng, 2, 5, 24, 18))
    offsets = put(rng.normal(size=(2, 5, 2, 24, 18)).astype(F32))
    flipped = put(inputs.crowd(rng, 2, 5, 24, 18))
    x, y = put(rng.random((2, 5, 48), F32)), put(rng.random((2, 5, 64), F32))
    image = put(inputs.rough_image(rng, (60, 80, 3)))
    nv12 = put((inputs.rough_image(rng, (60, 80)), inputs.rough_image(rng, (30, 40, 2))))
    boxes = put(np.array([[3.0, 4.0, 50.0, 50.0], [-9.0, 10.0, 90.0, 33.0]]))
    affines = put(inputs.random_affines(rng, 4, (60, 80), (24, 18)))
    points = put(rng.random((4, 7, 2), F32))
    scores = put(rng.random((3, 9, 12), F32))
    calls: dict[str, Callable[[], Any]] = {
        "crop_images": lambda: ops.crop_images(image, affines, size=(24, 18)),
        "crop_images of nv12": lambda: ops.crop_images(
            nv12, affines, size=(24, 18), source="nv12", dtype="uint8"
        ),
        "box_affines": lambda: ops.box_affines(boxes, size=(24, 18), padding=1.25),
        "transform_points": lambda: ops.transform_points(points, affines),
        "assign": lambda: ops.assign(scores, gate=0.2),
        "assign greedily": lambda: ops.assign(scores, method="greedy"),
        "decode_simcc": lambda: ops.decode_simcc(x, y),
        "average_flip": lambda: ops.average_flip(maps, flipped, pairs=[(0, 1)], shift=True),
    }
    for refine in inputs.REFINES:
        given = offsets if refine == "offset" else None
        calls[f"best_peaks {refine}"] = lambda refine=refine, given=given: ops.best_peaks(  # type: ignore[misc]
            maps, refine=refine, offsets=given
        )
        if refine != "second_peak":
            calls[f"find_peaks {refine}"] = lambda refine=refine, given=given: ops.find_peaks(  # type: ignore[misc]
                maps, refine=refine, offsets=given
            )
    return calls


def bytes_of(device: Device, result: Any) -> list[bytes]:
    on_host = device.get(result)
    if not dataclasses.is_dataclass(on_host):
        return [on_host.tobytes()]
    return [getattr(on_host, field.name).tobytes() for field in dataclasses.fields(on_host)]


def test_threads_share_ops(device: Device) -> None:
    """Eight threads call everything in their own order; all see the bytes that one thread sees."""
    calls = all_ops(device)
    expected = {name: bytes_of(device, call()) for name, call in calls.items()}
    rounds = 20 if device.is_cpu else 2
    start = threading.Barrier(WORKERS)

    def work(seed: int) -> list[str]:
        rng = np.random.default_rng(seed)
        start.wait()
        return [
            str(name)
            for _ in range(rounds)
            for name in rng.permutation(list(calls))
            if bytes_of(device, calls[name]()) != expected[name]
        ]

    with ThreadPoolExecutor(WORKERS) as pool:
        assert not [name for wrong in pool.map(work, range(WORKERS)) for name in wrong]


def test_errors_in_threads() -> None:
    """An error belongs to the thread whose call it was, and nobody else notices."""
    maps = inputs.crowd(np.random.default_rng(1), 1, 3, 24, 18)
    expected = ops.best_peaks(maps, refine="dark").xy.tobytes()
    start = threading.Barrier(WORKERS)

    def work(number: int) -> bool:
        start.wait()
        for _ in range(200):
            if number % 2:
                with pytest.raises(ValueError, match="threshold"):
                    ops.best_peaks(maps, threshold=float("nan"))
            elif ops.best_peaks(maps, refine="dark").xy.tobytes() != expected:
                return False
        return True

    with ThreadPoolExecutor(WORKERS) as pool:
        assert all(pool.map(work, range(WORKERS)))


def test_more_threads_than_work() -> None:
    """`threads` is how many may help, not how many there are."""
    maps = inputs.crowd(np.random.default_rng(2), 1, 2, 24, 18)
    image = inputs.rough_image(np.random.default_rng(3), (60, 80, 3))
    affines = inputs.random_affines(np.random.default_rng(4), 3, (60, 80), (24, 18))
    for threads in (1, 2, 64):
        assert ops.best_peaks(maps, threads=threads).count.all()
        assert ops.crop_images(image, affines, size=(24, 18), threads=threads).pixels.any()
        none = np.zeros((0, 2, 24, 18), F32)
        assert ops.best_peaks(none, threads=threads).xy.shape == (0, 2, 2)


def long_calls() -> dict[str, Callable[[int], Any]]:
    """Ops on `amount` times as much work; the input is one item seen many times, without memory."""
    image = inputs.rough_image(np.random.default_rng(5), (256, 256, 3))
    turned = np.array([[[0.9, 0.3, 5.0], [-0.3, 0.9, 60.0]]])
    maps = inputs.crowd(np.random.default_rng(6), 1, 17, 64, 48)
    vectors = np.random.default_rng(7).random((1, 17, 512), F32)
    fields = np.random.default_rng(8).uniform(-1, 1, (1, 38, 64, 48)).astype(F32)
    joints = inputs.crowd(np.random.default_rng(9), 1, 18, 64, 48)
    decoder = PartAffinity("openpose_coco18")
    scores = np.random.default_rng(10).random((1, 40, 40), F32)

    def many(array: Any, count: int) -> Any:
        return np.broadcast_to(array, (count, *array.shape[1:]))

    return {
        "crop_images": lambda amount: ops.crop_images(
            image, many(turned, 4 * amount), size=(256, 192), dtype="uint8", source="rgb"
        ),
        "assign": lambda amount: ops.assign(many(scores, 128 * amount)),
        "best_peaks": lambda amount: ops.best_peaks(many(maps, 8 * amount), refine="second_peak"),
        "find_peaks": lambda amount: ops.find_peaks(many(maps, 32 * amount)),
        "decode_simcc": lambda amount: ops.decode_simcc(
            many(vectors, 512 * amount), many(vectors, 512 * amount)
        ),
        "PartAffinity": lambda amount: decoder(
            many(joints, 16 * amount), many(fields, 16 * amount)
        ),
    }


def naps_during(call: Callable[[], Any]) -> int:
    """How many naps of a millisecond this thread takes while another one makes a call.

    If the call keeps the GIL, this thread does not come back from its nap before the call is over.
    """
    begun, over = threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        call()
        over.set()

    worker = threading.Thread(target=work)
    naps = 0
    worker.start()
    begun.wait()
    while not over.is_set():
        time.sleep(0.001)
        naps += not over.is_set()
    worker.join()
    return naps


# Some naps may pass before the call begins: the interpreter switches threads every 5 ms.
ENOUGH_NAPS = 12


def test_a_kept_gil_is_noticed() -> None:
    """`PyDLL` calls C without releasing it."""
    assert naps_during(lambda: ctypes.PyDLL(None).usleep(100_000)) < ENOUGH_NAPS
    assert naps_during(lambda: ctypes.CDLL(None).usleep(100_000)) >= ENOUGH_NAPS


@pytest.mark.parametrize("op", list(long_calls()))
def test_others_run_meanwhile(op: str) -> None:
    """The GIL is released while an op is at work."""
    call = long_calls()[op]
    amount, took = 1, 0.0
    while took < 0.15 and amount < 512:  # long enough for many naps, whatever the machine
        amount *= 2
        began = time.perf_counter()
        call(amount)
        took = time.perf_counter() - began
    assert naps_during(lambda: call(amount)) >= ENOUGH_NAPS
