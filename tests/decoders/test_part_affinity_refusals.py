"""What `PartAffinity` refuses, naming the argument, before anything is written."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from emulated_array import emulated
from standing_person import COCO, F32, arrays_of, bytes_of, maps_of

from pyposefast import skeletons
from pyposefast.decoders import PartAffinity, People
from pyposefast.errors import DeviceError, DeviceMismatchError, InputError, InputTypeError

MANY = tuple(f"joint {k}" for k in range(40))
CHAIN = tuple(skeletons.Field(k, k + 1, 2 * k, 2 * k + 1) for k in range(39))
STAR = tuple(
    skeletons.Field(a, b, 2 * n, 2 * n + 1)
    for n, (a, b) in enumerate([(a, b) for a in range(11) for b in range(a)][:49])
)


def skeleton(joints: tuple[str, ...], fields: tuple[skeletons.Field, ...]) -> skeletons.Skeleton:
    return skeletons.Skeleton("made", joints, (), (), (0.1,) * len(joints), fields)


@pytest.mark.parametrize(
    ("given", "error", "says"),
    [
        ("coco17", InputError, "coco17, which has none"),
        ("coco71", InputError, "one of aic14, blazepose33, coco17"),
        (skeleton(MANY[:33], CHAIN[:32]), InputError, "at most 32 joints"),
        (skeleton(MANY[:11], STAR), InputError, "48 fields, got 11 and 49"),
        (None, InputTypeError, "NoneType"),
        (COCO.joints, InputTypeError, "tuple"),
    ],
)
def test_skeletons_that_cannot_be(given: Any, error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says) as caught:
        PartAffinity(given)
    assert str(caught.value).startswith("skeleton: ")


def test_the_largest_skeletons_work() -> None:
    largest = [skeleton(MANY[:32], CHAIN[:31]), skeleton(MANY[:11], STAR[:48])]
    for each in largest:
        maps = np.zeros((1, len(each.joints), 9, 8), F32)
        fields = np.zeros((1, 2 * len(each.fields), 9, 8), F32)
        assert PartAffinity(each)(maps, fields).count[0] == 0


BAD_NUMBERS = [float("nan"), float("inf"), -1.0, 1e300, "x", None, [], True]
BAD_COUNTS = [0, -1, 1 << 40, 1 << 70, 2.5, float("nan"), "x", None, True]


@pytest.mark.parametrize(
    ("argument", "values"),
    [
        ("threshold", BAD_NUMBERS),
        ("field_threshold", BAD_NUMBERS),
        ("longest", [*BAD_NUMBERS, 0]),
        ("capacity", [*BAD_COUNTS, 129]),
        ("partners", [*BAD_COUNTS, 129]),
        ("people", [*BAD_COUNTS, 1025]),
        ("least_joints", [*BAD_COUNTS, 33]),
        ("least_score", [value for value in BAD_NUMBERS if value != -1.0]),
        ("mode", ["x", "", None, 3, [], b"pyposefast"]),
    ],
)
def test_settings_that_cannot_be(argument: str, values: list[Any]) -> None:
    default = argument not in ("longest", "mode")  # None stands for what the mode wants
    for value in [each for each in values if not (default and each is None)]:
        with pytest.raises((InputError, InputTypeError)) as caught:
            PartAffinity(COCO, **{argument: value})
        assert str(caught.value).startswith(f"{argument}: expected ")


def test_maps_that_cannot_be() -> None:
    heat, fields = maps_of(images=2)
    huge = np.lib.stride_tricks.as_strided(np.zeros(1, F32), (1 << 40, 19, 8, 8), (0,) * 4)
    cases: list[tuple[str, Any, Any]] = [
        ("heatmaps", heat[:, :17], fields),
        ("heatmaps", heat[0], fields),
        ("heatmaps", heat[:, :, :0], fields[:, :, :0]),
        ("heatmaps", heat[..., :0], fields[..., :0]),
        ("heatmaps", heat.astype(np.float64), fields),
        ("heatmaps", heat.astype(">f4"), fields),
        ("heatmaps", heat.astype(np.uint8), fields),
        ("heatmaps", np.ma.masked_array(heat), fields),
        ("heatmaps", heat.tolist(), fields),
        ("heatmaps", None, fields),
        ("heatmaps", huge, fields),
        ("fields", heat, fields[:, :37]),
        ("fields", heat, fields[:1]),
        ("fields", heat, fields[0]),
        ("fields", heat, fields[:, :, :-1]),
        ("fields", heat, fields[..., 1:]),
        ("fields", heat, fields[:, :, :0]),
        ("fields", heat, fields.astype(np.int32)),
        ("fields", heat, fields.transpose(0, 1, 3, 2)),
        ("fields", heat, np.ma.masked_array(fields)),
        ("fields", heat, None),
    ]
    decoder = PartAffinity(COCO)
    out = decoder(heat, fields)
    before = bytes_of(out)
    for argument, maps, vectors in cases:
        for again in (None, out):  # before the first good call of a shape, and after
            with pytest.raises((InputError, InputTypeError)) as caught:
                decoder(maps, vectors, out=again)
            assert str(caught.value).startswith(f"{argument}: expected "), caught.value
    assert bytes_of(out) == before


def test_other_arguments_that_cannot_be() -> None:
    heat, fields = maps_of()
    decoder = PartAffinity(COCO)
    for argument, values in {
        "layout": ["x", "NCHW", None, 3, [], "nhwc\0"],
        "threads": [0, -1, 1 << 40, 1.0, True, None, "x", []],
        "nonfinite": ["x", None, 3, []],
    }.items():
        for value in values:
            decoder(heat, fields)  # what was right last time says nothing about now
            with pytest.raises((InputError, InputTypeError)) as caught:
                decoder(heat, fields, **{argument: value})
            assert str(caught.value).startswith(f"{argument}: expected "), (value, caught.value)
    assert decoder(heat, fields, threads=np.int64(2)).count[0] == 1
    # Channels first, of which there are too few when they are read as channels last.
    with pytest.raises(InputError, match=r"^heatmaps: expected at least 18 channels"):
        decoder(heat[..., :17], fields[..., :17], layout="nhwc")


@pytest.mark.parametrize("moved", ["heatmaps", "fields", "out"])
def test_arrays_in_two_places(moved: str) -> None:
    heat, fields = maps_of()
    decoder = PartAffinity(COCO)
    given: dict[str, Any] = {"heatmaps": heat, "fields": fields, "out": decoder(heat, fields)}
    if moved == "out":
        given["out"] = People(*(emulated(array) for array in arrays_of(given["out"])))
    else:
        given[moved] = emulated(given[moved])
    with pytest.raises((DeviceMismatchError, DeviceError)) as caught:
        decoder(given.pop("heatmaps"), given.pop("fields"), **given)
    assert "cuda" in str(caught.value)
