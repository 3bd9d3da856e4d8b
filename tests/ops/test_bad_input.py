"""Hostile input: a result or a typed error that names the argument, and inputs stay as they were.

Rows A, B and C of the fault catalogue, as far as they reach these ops. Each case is one call with
one thing wrong. `REFUSED` must raise, `FINE` must not, `EITHER` may do both; nothing else than
`InputError` and `InputTypeError` may ever come out, and the argument at fault is in the message.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from emulated_array import emulated

from pyposefast import ops
from pyposefast.errors import DeviceMismatchError, InputError, InputTypeError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from conftest import Device

F32 = np.float32
REFUSED, FINE, EITHER = "refused", "fine", "either"

Case = tuple[str, str, Any, str]  # argument, what is wrong with it, its value, what must happen


# ---- calls that are in order, to be spoilt one argument at a time --------------------------------


def arrays() -> dict[str, Any]:
    rng = np.random.default_rng(0)
    return {
        "maps": rng.random((1, 2, 9, 8), F32),
        "offsets": rng.random((1, 2, 2, 9, 8), F32),
        "vectors": rng.random((1, 2, 20), F32),
        "image": rng.integers(0, 256, (20, 30, 3), np.uint8),
        "affines": np.array([[[1.0, 0.0, 2.0], [0.0, 1.0, -3.0]]] * 3),
        "boxes": np.array([[1.0, 2.0, 20.0, 30.0]] * 5),
        "points": rng.random((3, 4, 2), F32),
    }


CALLS: dict[str, tuple[Callable[..., Any], Callable[[], dict[str, Any]]]] = {
    "best_peaks": (ops.best_peaks, lambda: {"maps": arrays()["maps"]}),
    "find_peaks": (ops.find_peaks, lambda: {"maps": arrays()["maps"]}),
    "best_peaks with offsets": (
        ops.best_peaks,
        lambda: {"maps": arrays()["maps"], "offsets": arrays()["offsets"], "refine": "offset"},
    ),
    "best_peaks with dark": (ops.best_peaks, lambda: {"maps": arrays()["maps"], "refine": "dark"}),
    "decode_simcc": (
        ops.decode_simcc,
        lambda: {"x": arrays()["vectors"], "y": arrays()["vectors"].copy()},
    ),
    "average_flip": (
        ops.average_flip,
        lambda: {
            "maps": arrays()["maps"],
            "flipped": arrays()["maps"].copy(),
            "pairs": [(0, 1)],
        },
    ),
    "crop_images": (
        ops.crop_images,
        lambda: {"images": arrays()["image"], "affines": arrays()["affines"], "size": (8, 6)},
    ),
    "crop_images of nv12": (
        ops.crop_images,
        lambda: {
            "images": (np.zeros((20, 30), np.uint8), np.zeros((10, 15, 2), np.uint8)),
            "affines": arrays()["affines"],
            "size": (8, 6),
            "source": "nv12",
        },
    ),
    "box_affines": (ops.box_affines, lambda: {"boxes": arrays()["boxes"], "size": (8, 6)}),
    "scale_affines": (
        ops.scale_affines,
        lambda: {"centres": arrays()["boxes"][:, :2], "scales": np.ones(5), "size": (8, 6)},
    ),
    "joint_affines": (
        ops.joint_affines,
        lambda: {
            "points": np.random.default_rng(1).uniform(0, 99, (2, 4, 2)),
            "size": (8, 6),
            "reference": (0, 3),
            "sigma": 2.0,
        },
    ),
    "axis_affines": (
        ops.axis_affines,
        lambda: {
            "starts": arrays()["boxes"][:, :2],
            "ends": arrays()["boxes"][:, 2:],
            "size": (8, 6),
        },
    ),
    "letterbox_affines": (
        ops.letterbox_affines,
        lambda: {"image_sizes": np.array([[20.0, 30.0]] * 2), "size": (8, 6)},
    ),
    "transform_points": (
        ops.transform_points,
        lambda: {"points": arrays()["points"], "affines": arrays()["affines"]},
    ),
}


def numpy_arrays(value: Any) -> Iterator[Any]:
    """All arrays in an argument."""
    if isinstance(value, (list, tuple)):
        for each in value:
            yield from numpy_arrays(each)
    elif isinstance(value, np.ndarray) and value.nbytes < 1 << 20 and not value.dtype.hasobject:
        yield value


def bytes_of(arguments: dict[str, Any]) -> list[bytes]:
    return [array.tobytes() for array in numpy_arrays(list(arguments.values()))]


# ---- what can be wrong with an array -------------------------------------------------------------

WRONG_TYPES = [
    "int8",
    "int16",
    "uint16",
    "uint32",
    "int64",
    "complex64",
    "longdouble",
    ">f4",
    ">f2",
    ">i4",
    "S4",
    "U2",
    "O",
    "M8[s]",
    "m8[s]",
    "V4",
    [("a", "f4")],
]

NO_ARRAYS: list[Any] = [
    None,
    "maps",
    b"",
    b"abc",
    5,
    3.0,
    float("nan"),
    object(),
    range(4),
    {},
    {"a": 1},
    Exception,
    Ellipsis,
    np.float32(3),
    lambda: 0,
]


def wrong_arrays(argument: str, good: Any, also_wrong: list[Any]) -> Iterator[Case]:
    """Rows B6, B7, B10, B11, B12 for an argument that takes arrays as they are."""
    for dtype in [*WRONG_TYPES, *also_wrong]:
        yield argument, f"dtype {dtype}", np.zeros(good.shape, dtype), REFUSED
    for thing in NO_ARRAYS:
        yield argument, f"a {type(thing).__name__}", thing, REFUSED
    yield argument, "nested lists", good.tolist(), REFUSED
    yield argument, "a masked array", np.ma.masked_array(good), REFUSED
    yield argument, "one axis more", good[None][None], REFUSED
    yield argument, "one axis less", good.reshape(good.shape[0] * good.shape[1], -1)[0], REFUSED
    yield argument, "no axis", np.zeros((), good.dtype), REFUSED
    yield argument, "a byte off", off_by_a_byte(good), EITHER
    yield argument, "read-only", read_only(good), FINE
    yield argument, "a subclass", good.view(type("Mine", (np.ndarray,), {})), FINE


def wrong_tables(argument: str, good: Any) -> Iterator[Case]:
    """The same for small tables of numbers, which are converted on the CPU."""
    yield from (
        (argument, f"dtype {dtype}", np.ones(good.shape, dtype), REFUSED)
        for dtype in ("complex128", "S4", "U2", "M8[s]", "m8[s]", "V4")
    )
    for thing in ("abc", b"abc", object(), Ellipsis, Exception, {}, {"a": 1}):
        yield argument, f"a {type(thing).__name__}", thing, REFUSED
    yield argument, "None", None, REFUSED
    yield argument, "a masked array", np.ma.masked_array(good), REFUSED
    yield argument, "one axis more", good[None], REFUSED
    yield argument, "no axis", np.zeros(()), REFUSED
    yield argument, "one column more", np.ones((*good.shape[:-1], good.shape[-1] + 1)), REFUSED
    yield argument, "ragged lists", [[1.0], [1.0, 2.0]], REFUSED
    yield argument, "nested lists", good.tolist(), EITHER
    yield argument, "read-only", read_only(good), FINE
    yield argument, "float32", good.astype(F32), FINE
    yield argument, "big-endian", good.astype(">f8"), EITHER


def bad_numbers(argument: str, good: Any, *, strict: bool = True) -> Iterator[Case]:
    """Rows A17, C1, C6: one entry that is no proper number."""
    for value in (np.nan, np.inf, -np.inf, 1e30, -1e30, 1e300, -1e300):
        spoilt = good.copy()
        spoilt.reshape(len(good), -1)[-1, -1] = value
        yield argument, f"{value} in the last row", spoilt, REFUSED if strict else EITHER


def off_by_a_byte(good: Any) -> Any:
    """B15: elements that start at odd addresses."""
    memory = np.zeros(good.nbytes + 1, np.uint8)
    view = (
        memory[1:].view(good.dtype)
        if good.itemsize == 1
        else np.frombuffer(memory.data, good.dtype, good.size, offset=1)
    )
    return view.reshape(good.shape)


def read_only(good: Any) -> Any:
    copy = good.copy()
    copy.setflags(write=False)
    return copy


def bad_scalars(argument: str, wrong: list[Any], fine: list[Any]) -> Iterator[Case]:
    """Values in range and out of it, and things that are no numbers at all."""
    for value in wrong:
        yield argument, repr(value), value, REFUSED
    for value in fine:
        yield argument, repr(value), value, FINE
    for thing in ("x", None, [], {}, 1j, object()):
        if not any(thing is accepted for accepted in fine):
            yield argument, f"a {type(thing).__name__}", thing, REFUSED


def bad_choices(argument: str) -> Iterator[Case]:
    for value in ("x", "", "RGB", None, 3, [], ["rgb"], b"rgb", "none\0"):
        yield argument, repr(value), value, REFUSED


def bad_sizes() -> Iterator[Case]:
    wrong: list[Any] = [(0, 5), (5, 0), (-1, 5), (1 << 20, 1), (1 << 40, 1 << 40), (1, 1 << 63)]
    wrong += [None, 5, "ab", (1,), (1, 2, 3), (), ("a", 2), (np.nan, 3), (2.5, 3), (None, 1)]
    for size in wrong:
        yield "size", repr(size), size, REFUSED
    yield "size", "a list", [8, 6], FINE
    yield "size", "NumPy integers", (np.int64(8), np.int32(6)), FINE


def bad_threads() -> Iterator[Case]:
    for threads in (0, -1, 1 << 10):
        yield "threads", repr(threads), threads, EITHER
    for threads in (1 << 40, "x", None, 1.5, []):
        yield "threads", repr(threads), threads, REFUSED


# ---- all cases, op by op -------------------------------------------------------------------------


def cases_of_peaks(call: str) -> Iterator[Case]:
    maps = arrays()["maps"]
    yield from wrong_arrays("maps", maps, ["uint8", "int32", "bool", "float64"])
    for shape in ((1, 0, 3, 4), (1, 2, 0, 4), (1, 2, 3, 0)):
        yield "maps", f"shape {shape}", np.zeros(shape, F32), REFUSED
    yield "maps", "no maps", np.zeros((0, 2, 3, 4), F32), FINE
    tall = np.lib.stride_tricks.as_strided(np.zeros(1, F32), (1, 1, 70_000, 40_000), (0, 0, 0, 0))
    yield "maps", "2.8e9 samples", tall, EITHER
    wide = np.lib.stride_tricks.as_strided(np.zeros(1, F32), (1, 1, 1, 1 << 33), (0, 0, 0, 0))
    yield "maps", "a row of 2^33 samples", wide, REFUSED
    yield from bad_scalars("threshold", [np.nan, np.inf, -np.inf, 1e300], [0, 0.5, -1.0, 1e30])
    yield from bad_choices("refine")
    yield from bad_choices("layout")
    yield from bad_choices("nonfinite")
    yield from bad_threads()
    if call == "find_peaks":
        yield "refine", "the second peak of many", "second_peak", REFUSED
        yield from bad_scalars("capacity", [0, -1, 1025, 1 << 40, 1 << 70, 2.5], [1, 1024])
    for value in (0, -1, 2, 10, 43, 1 << 20, 1 << 40, 1 << 70, 2.5, "x", None):
        yield "kernel", repr(value), value, REFUSED
    yield "offsets", "of a rule that has none", arrays()["offsets"], REFUSED


def cases_of_offsets() -> Iterator[Case]:
    offsets = arrays()["offsets"]
    yield from wrong_arrays("offsets", offsets, ["uint8", "int32", "bool", "float64"])
    for shape in ((1, 2, 2, 9, 7), (1, 2, 2, 8, 9), (1, 2, 3, 9, 8), (2, 2, 2, 9, 8)):
        yield "offsets", f"shape {shape}", np.zeros(shape, F32), REFUSED
    yield from bad_scalars("offset_scale", [np.nan, np.inf, 1e300], [0, -2.0])


def cases_of_simcc() -> Iterator[Case]:
    vectors = arrays()["vectors"]
    for name in ("x", "y"):
        yield from wrong_arrays(name, vectors, ["uint8", "int32", "bool", "float64"])
        yield name, "no bins", np.zeros((1, 2, 0), F32), REFUSED
    yield "y", "other people", np.zeros((2, 2, 20), F32), REFUSED
    yield "y", "other joints", np.zeros((1, 3, 20), F32), REFUSED
    yield "y", "another dtype", np.zeros((1, 2, 20), np.float16), REFUSED
    yield from bad_scalars("split", [0, -1, np.nan, np.inf, 1e-300, 1e300], [1, 0.5, 3])
    yield from bad_scalars("threshold", [np.nan, np.inf], [0.5, -1])
    yield from bad_choices("refine")
    yield "refine", "of maps", "udp_dark", REFUSED
    yield from bad_choices("score")
    yield from bad_choices("nonfinite")
    for value in (0, -1, 2, 10, 1 << 20, 1 << 40, 2.5, "x", None):
        yield "kernel", repr(value), value, REFUSED
    yield from bad_threads()


def cases_of_flip() -> Iterator[Case]:
    maps = arrays()["maps"]
    for name in ("maps", "flipped"):
        yield from wrong_arrays(name, maps, ["uint8", "int32", "bool", "float64"])
    for shape in ((1, 2, 9, 7), (1, 3, 9, 8), (2, 2, 9, 8), (1, 2, 8, 9)):
        yield "flipped", f"shape {shape}", np.zeros(shape, F32), REFUSED
        yield "out", f"shape {shape}", np.zeros(shape, F32), REFUSED
    yield "flipped", "another dtype", np.zeros((1, 2, 9, 8), np.float16), REFUSED
    yield "out", "another dtype", np.zeros((1, 2, 9, 8), np.float16), REFUSED
    yield "out", "read-only", read_only(maps), REFUSED
    for pairs in ([(0, 2)], [(-1, 0)], [(0, 1 << 40)]):
        yield "pairs", repr(pairs), pairs, REFUSED
    for pairs in (None, 3, "ab", [0, 1], [(0,)], [(0, 1, 1)], [("a", "b")], [(0.5, 1)], [None]):
        yield "pairs", repr(pairs), pairs, REFUSED
    yield "pairs", "a channel twice", [(0, 1), (1, 0)], EITHER
    yield "pairs", "none", [], FINE
    yield "pairs", "with itself", [(1, 1)], FINE
    yield from bad_choices("layout")
    yield from bad_threads()


def cases_of_crop() -> Iterator[Case]:
    image, affines = arrays()["image"], arrays()["affines"]
    yield from wrong_arrays("images", image, ["int32", "bool", "float16", "float64"])
    for shape in ((20, 30, 1), (20, 30, 2), (20, 30, 4), (3, 20, 30), (0, 30, 3), (20, 0, 3)):
        yield "images", f"shape {shape}", np.zeros(shape, np.uint8), REFUSED
    yield "images", "no images", np.zeros((0, 20, 30, 3), np.uint8), REFUSED
    yield "images", "an empty list", [], REFUSED
    for value, what in (
        ([image, None], "None"),
        ([image, image[..., 0]], "a grey one"),
        ([image, image.astype(F32)], "another dtype"),
        ([image, image[:0]], "an empty one"),
        ([[image]], "a list"),
    ):
        yield "images", f"a list with {what}", value, REFUSED
    # Pixels must lie next to each other; refused by name, or right.
    for part in (image[:, ::2], image[..., ::-1], image[:, ::-1], image.transpose(1, 0, 2)):
        yield "images", f"strides {part.strides}", part, EITHER
    yield "images", "broadcast rows", np.broadcast_to(image[:1], image.shape), EITHER
    yield (
        "images",
        "a row of 2^33 pixels",
        np.lib.stride_tricks.as_strided(image, (1, 1 << 33, 3), (0, 0, 1)),
        REFUSED,
    )
    yield from wrong_tables("affines", affines)
    yield from bad_numbers("affines", affines, strict=False)
    for matrix in (np.zeros((2, 3)), np.ones((2, 3)), np.full((2, 3), np.nan)):
        spoilt = affines.copy()
        spoilt[2] = matrix
        yield "affines[2]", f"{matrix.tolist()}", spoilt, REFUSED
    for index in ([-1, 0, 0], [0, 0, 1], [1 << 31, 0, 0], [1 << 32, 0, 0], [1 << 40, 0, 0]):
        yield "image_index", repr(index), np.array(index), REFUSED
    yield "image_index", "2^64 - 1", np.array([0, 0, (1 << 64) - 1], np.uint64), REFUSED
    for wrong in (
        [0, 0],
        [[0, 0, 0]],
        [0.0, 0.0, 0.0],
        [np.nan, 0, 0],
        ["a", "b", "c"],
        "x",
        0,
        {},
    ):
        yield "image_index", repr(wrong), wrong, REFUSED
    yield from bad_sizes()
    for name in ("mean", "std", "fill"):
        wrong = [np.nan, np.inf, -np.inf, 1e300, [1, 2], [1, 2, 3, 4], [1, np.nan, 2], [[1, 2, 3]]]
        wrong += [["a", "b", "c"], [None] * 3]
        wrong += [0, -1.0, [1, 0, 1], 1e-300] if name == "std" else []
        yield from bad_scalars(name, wrong, [7, 0.5, [1, 2, 3], (1, 2, 3), np.ones(3)])
    for name in ("source", "output", "layout", "border", "yuv"):
        yield from bad_choices(name)
    yield "output", "grey of colour", "grey", REFUSED
    for dtype in ("int8", "float64", "x", None, 3, []):
        yield "dtype", repr(dtype), dtype, REFUSED
    for shape in ((3, 3, 8, 5), (2, 3, 8, 6), (3, 8, 6, 3), (3, 3, 8, 6, 1), ()):
        yield "out", f"shape {shape}", np.zeros(shape, F32), REFUSED
    for other in ("float64", "int32", ">f4", "O"):
        yield "out", f"dtype {other}", np.zeros((3, 3, 8, 6), other), REFUSED
    yield "out", "read-only", read_only(np.zeros((3, 3, 8, 6), F32)), REFUSED
    yield (
        "out",
        "all the same element",
        np.lib.stride_tricks.as_strided(np.zeros(1, F32), (3, 3, 8, 6), (0, 0, 0, 0)),
        REFUSED,
    )
    yield "out", "a list", [], REFUSED
    yield from bad_threads()


def cases_of_nv12() -> Iterator[Case]:
    y, uv = np.zeros((20, 30), np.uint8), np.zeros((10, 15, 2), np.uint8)
    pairs: dict[str, Any] = {
        "no pair": y,
        "one plane": (y,),
        "three planes": (y, uv, uv),
        "None": None,
        "no pairs": [],
        "UV too small": (y, uv[:5]),
        "UV empty": (y, uv[:0]),
        "UV without a pair": (y, uv[..., 0]),
        "UV of three": (y, np.zeros((10, 15, 3), np.uint8)),
        "swapped": (uv, y),
        "UV missing": (y, None),
        "UV float": (y, uv.astype(F32)),
        "Y float": (y.astype(F32), uv),
        "Y odd": (y[:19], uv[:9]),
        "one batch": (y[None].repeat(2, axis=0), uv),
        "batches of two lengths": (y[None].repeat(2, axis=0), uv[None].repeat(3, axis=0)),
        "a bad second": [(y, uv), (y, uv[:5])],
    }
    for what, value in pairs.items():
        yield "images", what, value, REFUSED
    yield (
        "images",
        "UV of two planes",
        (y, np.zeros((2, 10, 15), np.uint8).transpose(1, 2, 0)),
        EITHER,
    )


def cases_of_regions(call: str) -> Iterator[Case]:
    _, arguments = CALLS[call]
    names = [name for name in arguments() if isinstance(arguments()[name], np.ndarray)]
    for name in names:
        yield from wrong_tables(name, arguments()[name])
        yield from bad_numbers(name, arguments()[name])
    yield from bad_sizes()
    yield from bad_choices("alignment")
    if call in ("box_affines", "scale_affines"):
        yield from bad_scalars("padding", [0, -1, np.nan, np.inf, 1e300], [1.25, 2])
        yield from bad_choices("fit")
        for wrong in ([0.0] * 4, [[0.0]] * 5, ["a"] * 5, "x", [np.nan] * 5, [0, 0, 0, 0, np.inf]):
            yield "angle_rad", repr(wrong), wrong, REFUSED
        for wrong in ([True] * 4, [[True]] * 5, "x", object()):
            yield "mirror", f"{type(wrong).__name__} {wrong!r:.20}", wrong, REFUSED


def cases_of_boxes() -> Iterator[Case]:
    """C1 to C6, by row."""
    good = arrays()["boxes"]
    rows: dict[str, tuple[list[float], str]] = {
        "NaN": ([np.nan, 0, 1, 1], REFUSED),
        "infinite": ([0, 0, np.inf, 1], REFUSED),
        "zero width": ([5, 5, 5, 9], REFUSED),
        "zero height": ([5, 5, 9, 5], REFUSED),
        "no area": ([5, 5, 5, 5], REFUSED),
        "swapped x": ([9, 5, 5, 9], REFUSED),
        "swapped y": ([5, 9, 9, 5], REFUSED),
        "swapped both": ([9, 9, 5, 5], REFUSED),
        "huge": ([0, 0, 1e30, 1e30], REFUSED),
        "far": ([1e30, 1e30, 1e30, 1e30], REFUSED),
        "beyond float64": ([-1.7e308, 0, 1.7e308, 1], REFUSED),
        "outside": ([-500, -500, -400, -400], FINE),
        "tiny": ([5, 5, 5.001, 5.001], FINE),
        "denormal": ([0, 0, 1e-310, 1e-310], REFUSED),
    }
    for what, (row, verdict) in rows.items():
        boxes = good.copy()
        boxes[3] = row
        yield "boxes[3]", what, boxes, verdict


def all_cases() -> list[Any]:
    makers: dict[str, list[Iterator[Case]]] = {
        "best_peaks": [cases_of_peaks("best_peaks")],
        "find_peaks": [cases_of_peaks("find_peaks")],
        "best_peaks with offsets": [cases_of_offsets()],
        "decode_simcc": [cases_of_simcc()],
        "average_flip": [cases_of_flip()],
        "crop_images": [cases_of_crop()],
        "crop_images of nv12": [cases_of_nv12()],
        "box_affines": [cases_of_regions("box_affines"), cases_of_boxes()],
        "scale_affines": [
            cases_of_regions("scale_affines"),
            bad_scalars("unit_px", [0, -1, np.nan, np.inf, 1e300], [200, 1.5]),
        ],
        "joint_affines": [
            cases_of_regions("joint_affines"),
            bad_scalars("sigma", [0, -1, np.nan, np.inf, 1e300], [1, 2.5]),
            bad_scalars("reference", [(0, 4), (-1, 0), (0,), (0, 1, 2), 3, (0, 1 << 40)], [(1, 2)]),
        ],
        "axis_affines": [
            cases_of_regions("axis_affines"),
            bad_scalars("reach", [0, -1, np.nan, np.inf, 1e300], [1, 2.5]),
        ],
        "letterbox_affines": [cases_of_regions("letterbox_affines"), bad_choices("anchor")],
        "transform_points": [
            wrong_arrays("points", arrays()["points"], ["uint8", "int32", "bool", "float64"]),
            wrong_tables("affines", arrays()["affines"]),
        ],
    }
    return [
        pytest.param(call, *case, id=f"{call}-{case[0]}-{case[1]}")
        for call, several in makers.items()
        for cases in several
        for case in cases
    ]


@pytest.mark.parametrize(("call", "argument", "what", "value", "verdict"), all_cases())
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
