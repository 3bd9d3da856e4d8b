"""R6: what a call allocates is bounded, whatever the numbers in its arguments say."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import pyposefast
from pyposefast import arguments, ops

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Device

F32 = np.float32
GIB = 1 << 30


def huge(*shape: int, dtype: Any = F32) -> Any:
    """An array of any size in the memory of one element."""
    return np.lib.stride_tricks.as_strided(np.zeros(1, dtype), shape, (0,) * len(shape))


def affines_of(count: int) -> Any:
    return np.tile(np.eye(2, 3), (count, 1, 1))


def test_crops_are_refused_before_they_are_allocated() -> None:
    image = np.zeros((8, 8, 3), np.uint8)
    with pytest.raises(pyposefast.CapacityError) as caught:
        ops.crop_images(image, affines_of(1000), size=(32768, 32768))
    error = caught.value
    assert error.argument == "size"
    assert error.limit == 8 * GIB
    assert error.seen == 1000 * 3 * 32768**2 * 4 + 1000 * 48
    assert error.code == "PF-CP-001"
    assert str(error).startswith("size: expected at most 8 GiB of results, got 11.7 TiB\nhint: ")


HUGE: dict[str, Callable[[], Any]] = {
    "affines": lambda: ops.crop_images(
        np.zeros((8, 8, 3), np.uint8), huge(1 << 40, 2, 3, dtype=np.float64), size=(1, 1)
    ),
    "boxes": lambda: ops.box_affines(huge(1 << 40, 4, dtype=np.float64), size=(8, 6)),
    "maps": lambda: ops.best_peaks(huge(1 << 40, 17, 4, 4)),
    "capacity": lambda: ops.find_peaks(huge(1 << 20, 17, 1, 1), capacity=1024),
    "maps of second_peak": lambda: ops.best_peaks(huge(1, 1, 1, 1 << 30), refine="second_peak"),
    "x": lambda: ops.decode_simcc(huge(1 << 40, 17, 4), huge(1 << 40, 17, 4)),
    "points": lambda: ops.transform_points(huge(1 << 34, 17, 2), affines_of(1)),
}


@pytest.mark.parametrize("argument", HUGE)
def test_every_op_has_the_cap(argument: str) -> None:
    with pytest.raises(pyposefast.CapacityError) as caught:
        HUGE[argument]()
    assert caught.value.argument == argument.partition(" of ")[0]
    assert caught.value.seen > caught.value.limit


def test_flip_has_the_cap() -> None:
    maps = huge(1 << 32, 1, 1, 2)
    with pytest.raises(pyposefast.CapacityError, match=r"^maps: "):
        ops.average_flip(maps, maps, pairs=[])


def test_what_fits_exactly_is_fine(device: Device, monkeypatch: pytest.MonkeyPatch) -> None:
    image = device.put(np.zeros((8, 8, 3), np.uint8))
    affines = device.put(affines_of(2))
    wanted = 2 * (3 * 4 * 5 * 2 + 48)

    def crop() -> None:
        ops.crop_images(image, affines, size=(4, 5), dtype="float16")

    monkeypatch.setattr(arguments, "LARGEST_RESULT_BYTES", wanted)
    crop()
    monkeypatch.setattr(arguments, "LARGEST_RESULT_BYTES", wanted - 1)
    with pytest.raises(pyposefast.CapacityError) as caught:
        crop()
    assert (caught.value.limit, caught.value.seen) == (wanted - 1, wanted)


def test_a_buffer_of_ones_own_has_no_cap(monkeypatch: pytest.MonkeyPatch) -> None:
    image, maps = np.zeros((8, 8, 3), np.uint8), np.zeros((1, 1, 40, 40), F32)
    points = np.zeros((1, 100, 2), F32)
    monkeypatch.setattr(arguments, "LARGEST_RESULT_BYTES", 100)
    ops.crop_images(image, affines_of(1), size=(9, 9), out=np.zeros((1, 3, 9, 9), F32))
    ops.average_flip(maps, maps.copy(), pairs=[], out=maps)
    ops.transform_points(points, affines_of(1), out=points)
    for call in (
        lambda: ops.crop_images(image, affines_of(1), size=(9, 9)),
        lambda: ops.average_flip(maps, maps, pairs=[]),
        lambda: ops.transform_points(points, affines_of(1)),
    ):
        with pytest.raises(pyposefast.CapacityError):
            call()
