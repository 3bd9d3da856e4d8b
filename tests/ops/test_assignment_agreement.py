"""`assign` of the CPU and of the kernels agree bit for bit, on thousands of problems.

A problem is made from the seed that is in the message when a device disagrees.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from conftest import CPU, OTHER_THREAD_ORDERS, emulation
from reference import inputs

from pyposefast import ops

if TYPE_CHECKING:
    from conftest import Device

F32 = np.float32
PROBLEMS = 7  # in a call
CALLS = 480
Call = Callable[[Callable[[Any], Any]], Any]  # put -> result

UGLY = np.array([np.nan, np.inf, -np.inf, 3e38, -3e38, 1e38, 1e-40, -1e-45, 0.0, -0.0, 1.0], F32)


def random_scores(rng: np.random.Generator, shape: tuple[int, int, int]) -> Any:
    kind = rng.integers(7)
    if kind == 0:
        return rng.random(shape, F32)
    if kind == 1:
        return rng.integers(0, 4, shape).astype(F32)
    if kind == 2:
        of_row, of_column = rng.random((*shape[:2], 1)), rng.random((shape[0], 1, shape[2]))
        return (of_row * of_column).astype(F32)
    if kind == 3:
        return rng.choice(UGLY, shape)
    if kind == 4:
        return rng.integers(0, 1 << 32, shape, np.uint64).astype(np.uint32).view(F32)
    scores = rng.normal(size=shape).astype(F32)
    missing = rng.random(shape) < 0.5
    if kind == 5:  # all want the first columns
        missing |= (rng.random(shape) < 0.9) & (np.arange(shape[2]) > shape[2] // 3)
    scores[missing] = rng.choice(UGLY[:3])
    return scores


def call_of(seed: int) -> tuple[str, Call]:
    rng = np.random.default_rng([11, seed])
    if seed % 60 == 0:  # more threads, and more than a lane or a thread can hold
        shape = (2, *(int(side) for side in rng.integers(60, 150, 2)))
    elif seed % 60 == 30:  # too large for shared memory
        shape = (2, 4200, 2) if seed % 120 < 60 else (2, 3, 1200)
    else:
        shape = (PROBLEMS, *(int(side) for side in rng.integers(1, 20, 2)))
    scores = inputs.in_memory(random_scores(rng, shape), rng.choice(inputs.LAYOUTS))
    counts = [
        rng.integers(0, most + 1, shape[0]).astype(np.int32) if rng.random() < 0.3 else None
        for most in shape[1:]
    ]
    options: dict[str, Any] = {
        "method": "greedy" if seed % 3 == 0 else "optimal",
        "maximise": bool(rng.random() < 0.5),
        "gate": None if rng.random() < 0.5 else float(rng.choice([-1.0, 0.0, 0.3, 2.0, 1e38])),
        "iterations": int(rng.integers(1, 60)) if rng.random() < 0.1 else (1 << 31) - 1,
    }

    def call(put: Callable[[Any], Any]) -> Any:
        return ops.assign(put(scores), rows=put(counts[0]), columns=put(counts[1]), **options)

    return f"seed {seed}: {shape} {options}", call


def assert_same_bits(device: Device, what: str, call: Call, expected: Any) -> None:
    got = device.get(call(device.put))
    for name in ("column", "row", "total", "finished"):
        one, other = getattr(got, name), getattr(expected, name)
        assert one.dtype == other.dtype
        assert one.shape == other.shape
        assert one.tobytes() == other.tobytes(), f"{what}: {name} on {device.name}"


def test_cpu_and_device_agree(device: Device) -> None:
    if device.is_cpu:
        pytest.skip("the CPU is what the others are compared with")
    assert CALLS * PROBLEMS >= 3000
    for seed in range(CALLS):
        what, call = call_of(seed)
        assert_same_bits(device, what, call, call(CPU.put))


@pytest.mark.parametrize("order", OTHER_THREAD_ORDERS)
def test_any_order_of_threads(order: str) -> None:
    """What depends on which thread comes first would be a race on a device."""
    first = 7 * OTHER_THREAD_ORDERS.index(order)
    calls = [call_of(seed) for seed in range(first, CALLS, 30)] + [call_of(0), call_of(30)]
    expected = [call(CPU.put) for _, call in calls]
    with emulation(order) as device:
        for (what, call), from_cpu in zip(calls, expected, strict=True):
            assert_same_bits(device, what, call, from_cpu)
