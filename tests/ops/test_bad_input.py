"""Hostile input: a result or a typed error that names the argument, and inputs stay as they were.

The cases are in `reference/hostile.py`. Nothing else than `InputError` and `InputTypeError` may
ever come out, and the argument at fault is in the message.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from emulated_array import emulated
from reference.hostile import CALLS, FINE, REFUSED, all_cases, arrays, read_only

from pyposefast import ops
from pyposefast.errors import DeviceMismatchError, InputError, InputTypeError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from conftest import Device

F32 = np.float32


def numpy_arrays(value: Any) -> Iterator[Any]:
    """All arrays in an argument."""
    if isinstance(value, (list, tuple)):
        for each in value:
            yield from numpy_arrays(each)
    elif isinstance(value, np.ndarray) and value.nbytes < 1 << 20 and not value.dtype.hasobject:
        yield value


def bytes_of(arguments: dict[str, Any]) -> list[bytes]:
    return [array.tobytes() for array in numpy_arrays(list(arguments.values()))]


@pytest.mark.parametrize(
    ("call", "argument", "what", "value", "verdict"),
    [pytest.param(*case, id="-".join(case[:3])) for case in all_cases()],
)
def test_one_thing_wrong(call: str, argument: str, what: str, value: Any, verdict: str) -> None:
    function, make_arguments = CALLS[call]
    arguments = make_arguments()
    name = argument.partition("[")[0]
    arguments = {**arguments, name: value}
    before = bytes_of(arguments)
    error: InputError | InputTypeError | None = None
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            function(**arguments)
        except (InputError, InputTypeError) as typed:
            error = typed
    if error is None:
        arguments.pop("out", None)  # filled, as asked for
    assert bytes_of(arguments) == before[: len(bytes_of(arguments))], "an input was changed"
    if verdict == REFUSED:
        assert error is not None, f"{what} was accepted"
    if verdict == FINE:
        assert error is None, str(error)
    if error is not None:
        assert error.argument.startswith(argument), str(error)
        assert str(error).startswith(f"{error.argument}: expected ")
        assert error.code.startswith("PF-IN-")


def test_there_are_enough_cases() -> None:
    """M1: at least 600 generated cases."""
    assert len(all_cases()) >= 600


# ---- combinations --------------------------------------------------------------------------------


def test_wrong_sizes_are_refused_before_allocating() -> None:
    """B9: what cannot be is refused by its shape; what only does not fit is the machine's fault."""
    many = np.lib.stride_tricks.as_strided(np.zeros(1, F32), (1 << 40, 17, 64, 48), (0,) * 4)
    for call in (ops.best_peaks, ops.find_peaks):
        with pytest.raises((InputError, MemoryError)):
            call(many)
    affines = np.lib.stride_tricks.as_strided(np.zeros(1), (1 << 40, 2, 3), (0, 0, 0))
    with pytest.raises((InputError, MemoryError)):
        ops.crop_images(arrays()["image"], affines, size=(256, 192))


def test_output_that_overlaps_an_input() -> None:
    """B14: in place where the contract says so, and refused everywhere else."""
    memory = np.random.default_rng(2).random(2000, F32)
    maps, flipped = memory[:432].reshape(1, 6, 9, 8), memory[432:864].reshape(1, 6, 9, 8)
    for out in (
        memory[1:433].reshape(1, 6, 9, 8),
        memory[300:732].reshape(1, 6, 9, 8),
        flipped,
        maps[..., ::-1],
    ):
        before = memory.copy()
        with pytest.raises(InputError, match="out: "):
            ops.average_flip(maps, flipped, pairs=[], out=out)
        assert memory.tobytes() == before.tobytes()
    image = memory[:1800].reshape(20, 30, 3)
    affines = arrays()["affines"][:1]
    for start in (0, 7, 1700):
        with pytest.raises(InputError, match="out: "):
            ops.crop_images(
                image, affines, size=(8, 6), out=memory[start : start + 144].reshape(1, 3, 8, 6)
            )
    points, matrices = np.zeros((2, 20, 2), F32), np.zeros((2, 2, 3))
    flat = np.zeros(200, F32)
    with pytest.raises(InputError, match="out: "):
        ops.transform_points(
            flat[:80].reshape(2, 20, 2), matrices, out=flat[1:81].reshape(2, 20, 2)
        )
    with pytest.raises(InputError, match="out: "):
        ops.transform_points(points, matrices, out=matrices.view(F32).reshape(2, 6, 2))


MIXED: list[tuple[str, str]] = [
    ("best_peaks with offsets", "offsets"),
    ("decode_simcc", "y"),
    ("average_flip", "flipped"),
    ("crop_images", "affines"),
    ("scale_affines", "scales"),
    ("axis_affines", "ends"),
    ("transform_points", "affines"),
]


@pytest.mark.parametrize(("call", "argument"), MIXED)
@pytest.mark.parametrize("moved", ["the first", "the other"])
def test_mixed_devices(call: str, argument: str, moved: str) -> None:
    """B17: one array on the CPU, one on a device."""
    function, make_arguments = CALLS[call]
    arguments = make_arguments()
    name = next(iter(arguments)) if moved == "the first" else argument
    arguments[name] = emulated(arguments[name])
    with pytest.raises(DeviceMismatchError) as caught:
        function(**arguments)
    assert "cuda:0" in str(caught.value)
    assert "on the CPU" in str(caught.value)


def test_mixed_devices_in_a_list_and_in_out(device: Device) -> None:
    image, affines = arrays()["image"], arrays()["affines"]
    if device.is_cpu:
        pytest.skip("both are on the CPU")
    with pytest.raises(DeviceMismatchError):
        ops.crop_images([device.put(image), image], device.put(affines), size=(8, 6))
    with pytest.raises(DeviceMismatchError):
        ops.crop_images(
            device.put(image), device.put(affines), size=(8, 6), out=np.zeros((3, 3, 8, 6), F32)
        )
    with pytest.raises(DeviceMismatchError):
        ops.crop_images(
            device.put(image),
            device.put(affines),
            size=(8, 6),
            image_index=np.zeros(3, np.int32),
        )


@pytest.mark.parametrize("argument", ["rows", "columns"])
def test_mixed_devices_of_counts(device: Device, argument: str) -> None:
    if device.is_cpu:
        pytest.skip("both are on the CPU")
    scores, counts = arrays()["scores"], np.array([3, 2], np.int32)
    for one, other in ((device.put(scores), counts), (scores, device.put(counts))):
        with pytest.raises(DeviceMismatchError) as caught:
            ops.assign(one, **{argument: other})
        assert caught.value.argument == argument


def test_bad_regions_on_a_device(device: Device) -> None:
    """Where nobody can look without waiting, a bad row is NaN, and its crop shows the fill."""
    if device.is_cpu:
        pytest.skip("on the CPU they raise: test_one_thing_wrong")
    boxes = arrays()["boxes"]
    bad = [[np.nan, 0, 1, 1], [0, 0, np.inf, 1], [5, 5, 5, 9], [9, 9, 5, 5], [0, 0, 1e30, 1e30]]
    boxes = np.concatenate([boxes[:1], bad, boxes[:1]])
    affines = ops.box_affines(device.put(boxes), size=(8, 6))
    matrices = device.get(affines)
    assert np.isnan(matrices.affine[1:-1]).all()
    assert np.isnan(matrices.inverse[1:-1]).all()
    assert np.isfinite(matrices.affine[[0, -1]]).all()
    crops = device.get(
        ops.crop_images(
            device.put(arrays()["image"]), affines.affine, size=(8, 6), fill=[3.0, 5.0, 7.0]
        )
    )
    expected = np.array([3, 5, 7], F32)[:, None, None]
    assert (crops.pixels[1:-1] == expected).all()
    assert np.isnan(crops.inverse[1:-1]).all()
    assert crops.pixels[0].tobytes() == crops.pixels[-1].tobytes()
    # The same for matrices that come from elsewhere.
    strange = np.array([np.zeros((2, 3)), np.ones((2, 3)), np.full((2, 3), np.inf)])
    crops = device.get(
        ops.crop_images(
            device.put(arrays()["image"]), device.put(strange), size=(8, 6), fill=[3.0, 5.0, 7.0]
        )
    )
    assert (crops.pixels == expected).all()
    assert np.isnan(crops.inverse).all()


def test_bad_index_on_a_device(device: Device) -> None:
    """An index that is out of range must not read out of bounds there either."""
    if device.is_cpu:
        pytest.skip("on the CPU it raises: test_one_thing_wrong")
    image, affines = arrays()["image"], arrays()["affines"]
    crops = device.get(
        ops.crop_images(
            device.put([image, image]),
            device.put(affines),
            size=(8, 6),
            image_index=device.put(np.array([-1, 1, 7], np.int32)),
            fill=9.0,
        )
    )
    assert (crops.pixels[[0, 2]] == 9).all()
    assert not (crops.pixels[1] == 9).all()


def test_wrong_arrays_on_a_device(device: Device) -> None:
    """The shape and type checks are the same everywhere."""
    good = arrays()
    for maps in (
        np.zeros((1, 2, 9, 8)),
        np.zeros((1, 2, 9, 8), np.int32),
        np.zeros((2, 9, 8), F32),
        np.zeros((1, 0, 9, 8), F32),
        np.zeros((1, 2, 9, 8), ">f4"),
    ):
        for call in (ops.best_peaks, ops.find_peaks):
            with pytest.raises((InputError, InputTypeError), match="maps"):
                call(device.put(maps))
    for scores in (
        np.zeros((2, 3, 4)),
        np.zeros((3, 4), F32),
        np.zeros((2, 3, 4), np.int32),
        np.zeros((1, 1, 1 << 16), F32),
    ):
        with pytest.raises((InputError, InputTypeError), match="scores"):
            ops.assign(device.put(scores))
    for counts in (np.zeros(3, np.int32), np.zeros(2, F32), np.zeros((2, 1), np.int32)):
        with pytest.raises((InputError, InputTypeError), match="columns"):
            ops.assign(device.put(good["scores"]), columns=device.put(counts))
    for image in (good["image"][..., :2], good["image"].astype(np.int32), good["image"][:0]):
        with pytest.raises((InputError, InputTypeError), match="images"):
            ops.crop_images(device.put(image), device.put(good["affines"]), size=(8, 6))
    with pytest.raises((InputError, InputTypeError), match="boxes"):
        ops.box_affines(device.put(good["boxes"][:, :3].copy()), size=(8, 6))


# ---- things that are accepted --------------------------------------------------------------------


class Exported:
    """Nothing but DLPack."""

    def __init__(self, array: Any) -> None:
        self._array = array

    def __dlpack__(self, **options: Any) -> Any:
        return self._array.__dlpack__(**options)

    def __dlpack_device__(self) -> tuple[int, int]:
        return self._array.__dlpack_device__()


def test_what_counts_as_an_array(tmp_path: Path) -> None:
    """B12: memoryview, subclass, memmap, array.array's kin and DLPack exporters give the same."""
    maps = arrays()["maps"]
    expected = ops.best_peaks(maps, refine="dark")
    mapped = np.memmap(tmp_path / "maps", F32, "w+", shape=maps.shape)
    mapped[...] = maps
    for same in (
        memoryview(maps),
        maps.view(type("Mine", (np.ndarray,), {})),
        mapped,
        np.memmap(tmp_path / "maps", F32, "r", shape=maps.shape),
        read_only(maps),
        np.frombuffer(bytearray(maps.tobytes()), F32).reshape(maps.shape),
    ):
        got = ops.best_peaks(same, refine="dark")
        assert type(got.xy) is np.ndarray
        assert got.xy.tobytes() == expected.xy.tobytes()
    # An exporter of which no second can be made gets NumPy arrays.
    got = ops.best_peaks(Exported(maps), refine="dark")
    assert got.xy.tobytes() == expected.xy.tobytes()
    image, affines = arrays()["image"], arrays()["affines"]
    crops = ops.crop_images(image, affines, size=(8, 6))
    same_crops = ops.crop_images(memoryview(image), affines.tolist(), size=(8, 6))
    assert crops.pixels.tobytes() == same_crops.pixels.tobytes()


def test_results_do_not_alias_inputs() -> None:
    """R3, R5: fresh objects that own their memory, at every call."""
    maps = arrays()["maps"]
    one, two = ops.best_peaks(maps), ops.best_peaks(maps)
    for name in ("xy", "score", "count", "nonfinite"):
        first, second = getattr(one, name), getattr(two, name)
        assert first.flags.owndata
        assert first.flags.writeable
        assert not np.shares_memory(first, second)
        assert not np.shares_memory(first, maps)
