"""How `PartAffinity` is called: what it accepts, keeps and gives back."""

from __future__ import annotations

import dataclasses
import gc
import pickle
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from emulated_array import emulated
from standing_person import COCO, F32, PERSON, arrays_of, bytes_of, maps_of

from pyposefast import ops
from pyposefast.decoders import PartAffinity, People
from pyposefast.errors import InputError, InputTypeError

if TYPE_CHECKING:
    from conftest import Device


# ---- results -------------------------------------------------------------------------------------


def test_shapes_and_types(device: Device) -> None:
    heat, fields = maps_of(images=3)
    people = device.get(PartAffinity(COCO, people=5)(device.put(heat), device.put(fields)))
    shapes = {
        "xy": (F32, (3, 5, 18, 2)),
        "score": (F32, (3, 5, 18)),
        "peak": (np.int32, (3, 5, 18)),
        "person_score": (F32, (3, 5)),
        "count": (np.int32, (3,)),
        "total": (np.int32, (3,)),
        "dropped": (np.int32, (3,)),
        "nonfinite": (np.int32, (3,)),
    }
    assert [field.name for field in dataclasses.fields(people)] == list(shapes)
    for name, (dtype, shape) in shapes.items():
        array = getattr(people, name)
        assert (array.dtype, array.shape) == (dtype, shape)
        assert array.flags.c_contiguous
        assert array.flags.writeable


def test_results_are_made_where_the_maps_are(device: Device) -> None:
    heat, fields = (device.put(maps) for maps in maps_of())
    people = PartAffinity(COCO)(heat, fields)
    assert {type(array) for array in arrays_of(people)} == {type(heat)}


def test_results_of_two_calls_share_nothing() -> None:
    decoder = PartAffinity(COCO)
    heat, fields = maps_of()
    one = decoder(heat, fields)
    before = bytes_of(one)
    other = decoder(heat * 0, fields)
    assert bytes_of(one) == before
    assert not any(
        np.shares_memory(a, b) for a in arrays_of(one) for b in [*arrays_of(other), heat, fields]
    )


def test_no_images_give_no_people(device: Device) -> None:
    heat, fields = maps_of()
    people = device.get(PartAffinity(COCO)(device.put(heat[:0]), device.put(fields[:0])))
    assert people.xy.shape == (0, 128, 18, 2)
    assert people.count.shape == (0,)


@pytest.mark.parametrize(
    "convert", [memoryview, lambda maps: maps.view(type("Mine", (np.ndarray,), {}))]
)
def test_other_kinds_of_arrays(convert: Any) -> None:
    heat, fields = maps_of()
    decoder = PartAffinity(COCO)
    people = decoder(convert(heat), convert(fields))
    assert type(people.xy) is np.ndarray
    assert bytes_of(people) == bytes_of(decoder(heat, fields))


def test_tensors_give_tensors() -> None:
    torch = pytest.importorskip("torch", reason="Torch is not installed")
    heat, fields = maps_of()
    decoder = PartAffinity(COCO)
    people = decoder(torch.from_numpy(heat), torch.from_numpy(fields))
    assert {type(array) for array in arrays_of(people)} == {torch.Tensor}
    assert [array.numpy().tobytes() for array in arrays_of(people)] == bytes_of(
        decoder(heat, fields)
    )


# ---- results written over ------------------------------------------------------------------------


def test_out_is_written_and_returned(device: Device) -> None:
    heat, fields = maps_of(images=2)
    decoder = PartAffinity(COCO)
    expected = bytes_of(device.get(decoder(device.put(heat), device.put(fields))))
    out = decoder(device.put(heat * 0), device.put(fields))
    for _ in range(3):
        assert decoder(device.put(heat), device.put(fields), out=out) is out
        assert bytes_of(device.get(out)) == expected
        assert decoder(device.put(heat * 0), device.put(fields), out=out) is out
        assert not device.get(out).count.any()


def test_out_may_be_any_arrays_of_the_right_shape() -> None:
    heat, fields = maps_of()
    decoder = PartAffinity(COCO)
    expected = decoder(heat, fields)
    copies = People(*(np.full_like(array, 77) for array in arrays_of(expected)))
    two = [copies, decoder(heat * 0, fields)]
    for turn in range(4):
        out = decoder(heat, fields, out=two[turn % 2])
        assert out is two[turn % 2]
        assert bytes_of(out) == bytes_of(expected)


def spoilt(**arrays: Any) -> People:
    heat, fields = maps_of()
    return dataclasses.replace(PartAffinity(COCO, people=4)(heat, fields), **arrays)


def read_only(array: Any) -> Any:
    array.setflags(write=False)
    return array


@pytest.mark.parametrize(
    ("out", "error"),
    [
        (None, None),
        ([], InputTypeError),
        (np.zeros(3), InputTypeError),
        (spoilt(xy=np.zeros((1, 4, 18, 2))), InputTypeError),
        (spoilt(peak=np.zeros((1, 4, 18), F32)), InputTypeError),
        (spoilt(xy=np.zeros((1, 5, 18, 2), F32)), InputError),
        (spoilt(count=np.zeros(2, np.int32)), InputError),
        (spoilt(score=read_only(np.zeros((1, 4, 18), F32))), InputError),
        (spoilt(score=np.zeros((1, 4, 36), F32)[..., ::2]), InputError),
        (spoilt(total=None), InputTypeError),
        (PartAffinity(COCO, people=5)(*maps_of()), InputError),
        (PartAffinity(COCO, people=4)(*maps_of(images=2)), InputError),
    ],
)
def test_out_that_cannot_be(out: Any, error: Any) -> None:
    heat, fields = maps_of()
    decoder = PartAffinity(COCO, people=4)
    for _ in range(2):  # nor the second time, when it has been seen before
        if error is None:
            assert decoder(heat, fields, out=out).count[0] == 1
        else:
            with pytest.raises(error, match=r"^out"):
                decoder(heat, fields, out=out)


def test_out_must_not_overlap_the_maps() -> None:
    heat, fields = maps_of()
    decoder = PartAffinity(COCO, people=4)
    out = spoilt(score=heat.reshape(-1)[: 4 * 18].reshape(1, 4, 18))
    before = heat.tobytes()
    with pytest.raises(InputError, match=r"out\.score: .*overlaps heatmaps"):
        decoder(heat, fields, out=out)
    assert heat.tobytes() == before


# ---- workspaces ----------------------------------------------------------------------------------


def test_shapes_may_change_from_call_to_call() -> None:
    decoder = PartAffinity(COCO)
    sizes = [(48 + 2 * i, 40 + i) for i in range(9)]
    expected = {size: bytes_of(PartAffinity(COCO)(*maps_of(*size))) for size in sizes}
    for seed in range(3):
        for i in np.random.default_rng(seed).permutation(len(sizes)):
            assert bytes_of(decoder(*maps_of(*sizes[i]))) == expected[sizes[i]]


def test_few_workspaces_are_kept() -> None:
    decoder = PartAffinity(COCO)
    sizes = [(48 + i, 40) for i in range(9)]
    for size in sizes:
        decoder(*maps_of(*size))
    kept = list(decoder._local.kept.values())
    assert [workspace.shape[2:] for workspace in kept] == sizes[-4:]
    again = decoder._local.kept[next(iter(decoder._local.kept))].scratch
    decoder(*maps_of(*sizes[-4]))
    assert next(reversed(decoder._local.kept.values())).scratch is again


def test_maps_and_results_are_let_go() -> None:
    heat, fields = maps_of()
    decoder = PartAffinity(COCO)
    decoder(heat, fields)
    counts = sys.getrefcount(heat), sys.getrefcount(fields)
    people = decoder(heat, fields)
    assert (sys.getrefcount(heat), sys.getrefcount(fields)) == counts
    xy = people.xy
    assert xy.base is None  # who keeps the places alone does not keep the rest alive
    del people
    gc.collect()
    assert sys.getrefcount(xy) == 2


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * 4096


def test_memory_does_not_grow() -> None:
    """Ten thousand frames into one result; 64 bytes lost in each would be 640 kB."""
    decoder = PartAffinity(COCO)
    small = [maps_of(), tuple(maps * F32(0) for maps in maps_of())]
    out = decoder(*small[0])
    for heat, fields in small * 500:
        decoder(heat, fields, out=out)
    growth: list[int] = []
    # An allocator keeps a page now and then; what leaks is lost again in every round.
    while not growth or (growth[-1] > 256 * 1024 and len(growth) < 3):
        before = resident_bytes()
        for heat, fields in small * 5000:
            decoder(heat, fields, out=out)
        growth.append(resident_bytes() - before)
    assert growth[-1] <= 256 * 1024, growth


# ---- decoders are values ------------------------------------------------------------------------


def test_a_decoder_never_changes() -> None:
    decoder: Any = PartAffinity(COCO)
    for name in ("skeleton", "threshold", "people"):
        with pytest.raises(AttributeError):
            setattr(decoder, name, 1)


def test_a_decoder_goes_to_another_process() -> None:
    heat, fields = maps_of()
    for skeleton in (COCO, "openpose_coco18"):
        decoder = PartAffinity(skeleton, people=3, threshold=0.2)
        copy = pickle.loads(pickle.dumps(decoder))  # noqa: S301
        assert copy.skeleton == COCO
        assert bytes_of(copy(heat, fields)) == bytes_of(decoder(heat, fields))


# ---- what is not finite --------------------------------------------------------------------------


@pytest.mark.parametrize("layout", ["nchw", "nhwc"])
def test_nonfinite_can_be_an_error(layout: Any) -> None:
    decoder = PartAffinity(COCO)
    for argument in (None, "heatmaps", "fields"):
        maps = dict(zip(("heatmaps", "fields"), maps_of(), strict=True))
        if argument:
            maps[argument][0, 3, 5, 7] = np.nan
        if layout == "nhwc":
            maps = {name: each.transpose(0, 2, 3, 1).copy() for name, each in maps.items()}
        masked = decoder(**maps, layout=layout)
        assert masked.nonfinite.tolist() == [1 if argument == "heatmaps" else 0]
        if argument is None:
            raised = decoder(**maps, layout=layout, nonfinite="raise")
            assert bytes_of(raised) == bytes_of(masked)
            continue
        with pytest.raises(InputError, match="finite samples, got 1 that") as caught:
            decoder(**maps, layout=layout, nonfinite="raise")
        assert caught.value.argument == argument


def test_nonfinite_cannot_be_an_error_on_a_device(device: Device) -> None:
    if device.is_cpu:
        pytest.skip("on the CPU it can")
    heat, fields = maps_of()
    with pytest.raises(InputError, match=r'^nonfinite: .*"mask" on a device'):
        PartAffinity(COCO)(device.put(heat), device.put(fields), nonfinite="raise")


# ---- poses ---------------------------------------------------------------------------------------


def test_poses_are_in_the_image() -> None:
    """Half-pixel centres: a map of an eighth of the image has its first sample at 3.5."""
    heat, fields = maps_of(images=2)
    heat[1, COCO.index("left_wrist")] = 0
    decoder = PartAffinity(COCO)
    people = decoder(heat, fields)
    poses = decoder.poses(people, [[8, 0, 3.5], [0, 8, 3.5]], image=1)
    assert len(poses) == 1
    assert poses.skeleton is COCO
    expected = 8 * PERSON + 3.5
    seen = np.arange(18) != COCO.index("left_wrist")
    # 2e-5 map pixels (see test_part_affinity.py) are eight times as many here.
    assert np.abs(poses.xy[0, seen] - expected[seen]).max() < 8 * 2e-5
    assert np.isnan(poses.xy[0, ~seen]).all()
    assert (poses.score[0] > 0).tolist() == seen.tolist()
    low, high = expected[seen].min(axis=0) + 0.5, expected[seen].max(axis=0) + 0.5
    assert np.abs(poses.box[0] - [*low, *high]).max() < 8 * 2e-5
    turned = decoder.poses(people, [[0, -1, 9], [1, 0, 0]], image=0)
    assert np.abs(turned.xy[0] - np.stack([9 - PERSON[:, 1], PERSON[:, 0]], axis=1)).max() < 2e-5


def test_poses_of_nobody() -> None:
    heat, fields = maps_of()
    decoder = PartAffinity(COCO)
    poses = decoder.poses(decoder(heat * 0, fields), np.eye(2, 3))
    assert len(poses) == 0
    assert poses.xy.shape == (0, 18, 2)


def test_poses_own_their_arrays() -> None:
    heat, fields = maps_of()
    decoder = PartAffinity(COCO)
    people = decoder(heat, fields)
    poses = decoder.poses(people, np.eye(2, 3))
    before = poses.xy.tobytes(), poses.score.tobytes()
    decoder(heat * 0, fields, out=people)
    assert (poses.xy.tobytes(), poses.score.tobytes()) == before


def test_poses_refuse_what_cannot_be() -> None:
    heat, fields = maps_of()
    decoder = PartAffinity(COCO)
    people = decoder(heat, fields)
    for affine in (np.eye(3), np.full((2, 3), np.nan), [1, 2, 3], "x", None):
        with pytest.raises((InputError, InputTypeError), match=r"^affine: "):
            decoder.poses(people, affine)
    for image in (-1, 1, None):
        with pytest.raises((InputError, InputTypeError), match=r"^image: "):
            decoder.poses(people, np.eye(2, 3), image=image)  # type: ignore[arg-type]
    elsewhere = People(*(emulated(array) for array in arrays_of(people)))
    for other in (None, people.xy, ops.find_peaks(heat), elsewhere):
        with pytest.raises(InputTypeError, match=r"^people: "):
            decoder.poses(other, np.eye(2, 3))
