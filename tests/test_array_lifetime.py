"""What a call holds it lets go: references, exports and memory, whether it succeeds or fails."""

from __future__ import annotations

import gc
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from array_checks import MAPS, describe
from dlpack_exporter import Exporter
from emulated_array import EmulatedArray

from pyposefast.errors import InputError, InputTypeError
from pyposefast.ops.peaks import BestPeaks, best_peaks

if TYPE_CHECKING:
    from collections.abc import Callable

CALLS = 100_000
ROUNDS = 3
# Plain malloc and free drift by about 200 KiB in so many calls; 16 bytes lost per call are 1.5 MiB.
DRIFT_BYTES = 512 * 1024


def _torch_tensor() -> object:
    return pytest.importorskip("torch", reason="Torch is not installed").zeros(2, 3)


def _released() -> memoryview:
    view = memoryview(bytes(3))
    view.release()
    return view


ACCEPTED: dict[str, Callable[[], Any]] = {
    "numpy": lambda: np.zeros((2, 3), np.float32),
    "empty": lambda: np.zeros((0, 17, 3), np.float32),
    "bytearray": lambda: bytearray(3),
    "torch": _torch_tensor,
    "CUDA array interface": lambda: EmulatedArray(MAPS),
}
REFUSED: dict[str, Callable[[], Any]] = {
    "dtype": lambda: MAPS.astype(np.int16),
    "misaligned": lambda: np.frombuffer(bytearray(64), np.float32, 2, offset=1),
    "no array": lambda: [1.0],
    "released": _released,
    "CUDA array interface": lambda: EmulatedArray(MAPS.astype(">f4")),
}


OF_RESULTS = (BestPeaks, np.dtype(np.float32), np.dtype(np.int32))


def _resident_bytes() -> int:
    fields = Path("/proc/self/statm").read_text(encoding="ascii").split()
    return int(fields[1]) * 4096


def _refuse(thing: object) -> None:
    try:
        describe(thing)
    except (InputError, InputTypeError):
        return
    pytest.fail("accepted")


def _assert_flat(call: Callable[[object], object], thing: object) -> None:
    for _ in range(CALLS // 5):
        call(thing)
    gc.collect()
    witnesses = (thing, type(thing), MAPS, InputError, InputTypeError, describe, *OF_RESULTS)
    counts = [sys.getrefcount(witness) for witness in witnesses]
    objects = len(gc.get_objects())
    drifts = []
    # The allocator keeps a page now and then; what is leaked is lost again in every round.
    while not drifts or (drifts[-1] > DRIFT_BYTES and len(drifts) < ROUNDS):
        resident = _resident_bytes()
        for _ in range(CALLS):
            call(thing)
        gc.collect()
        drifts.append(_resident_bytes() - resident)
    assert [sys.getrefcount(witness) for witness in witnesses] == counts
    assert len(gc.get_objects()) < objects + CALLS // 100  # threads of others make a few
    assert drifts[-1] <= DRIFT_BYTES, drifts


@pytest.mark.parametrize("make", ACCEPTED.values(), ids=ACCEPTED.keys())
def test_accepted_arrays_leave_nothing_behind(make: Callable[[], Any]) -> None:
    _assert_flat(describe, make())


@pytest.mark.parametrize("make", REFUSED.values(), ids=REFUSED.keys())
def test_refused_arrays_leave_nothing_behind(make: Callable[[], Any]) -> None:
    _assert_flat(_refuse, make())


def test_results_leave_nothing_behind() -> None:
    _assert_flat(best_peaks, np.ones((1, 2, 3, 4), np.float32))


@pytest.mark.parametrize("fields", [{}, {"lanes": 2}, {"major": 9}], ids=str)
def test_every_capsule_is_deleted_once(fields: dict[str, Any]) -> None:
    exporter = Exporter(MAPS, **fields)
    calls = 5000
    call = _refuse if fields else describe
    for _ in range(calls):
        call(exporter)
    assert (exporter.deleted, exporter.alive) == (calls, 0)


def test_memory_is_kept_until_the_last_user_is_gone() -> None:
    buffer = bytearray(MAPS.nbytes)
    describe(np.frombuffer(buffer, np.float32))
    buffer.append(0)  # BufferError if anything still exported it


def test_threads_may_share_arrays() -> None:
    exporters = [Exporter(MAPS) for _ in range(4)]
    shared = [MAPS, MAPS[::-1], EmulatedArray(MAPS), *exporters]
    expected = [describe(thing) for thing in shared]
    threads, rounds = 8, 500
    start = threading.Barrier(threads)

    def work(_: int) -> bool:
        start.wait()
        same = True
        for _ in range(rounds):
            same = same and [describe(thing) for thing in shared] == expected
            _refuse([1.0])
        return same

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        with ThreadPoolExecutor(threads) as pool:
            assert all(pool.map(work, range(threads)))
    finally:
        sys.setswitchinterval(interval)
    for exporter in exporters:
        assert (exporter.deleted, exporter.alive) == (threads * rounds + 1, 0)
