"""Hostile arguments: rows A, B and C of the fault catalogue, as far as they reach the ops.

`CALLS` are calls that are in order; each case spoils one argument of one of them. `REFUSED` must
raise, `FINE` must not, `EITHER` may do both.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from pyposefast import ops

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

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
        "scores": rng.random((2, 3, 4), F32),
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
    "assign": (ops.assign, lambda: {"scores": arrays()["scores"]}),
    "assign of counts": (
        ops.assign,
        lambda: {
            "scores": arrays()["scores"],
            "rows": np.array([3, 2], np.int32),
            "columns": np.array([0, 4], np.int32),
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


def cases_of_assignment() -> Iterator[Case]:
    yield from wrong_arrays("scores", arrays()["scores"], ["float16", "float64", "int32", "bool"])
    for shape in ((0, 3, 4), (2, 0, 4), (2, 3, 0), (1, 1, 1)):
        yield "scores", f"shape {shape}", np.zeros(shape, F32), FINE
    for shape in ((1, 1 << 20, 2), (1, 2, 1 << 20), (1, 1 << 28, 1 << 28)):
        huge = np.lib.stride_tricks.as_strided(np.zeros(1, F32), shape, (0, 0, 0))
        yield "scores", f"shape {shape}", huge, REFUSED
    for value in (np.nan, np.inf, -np.inf, 3e38, 1e-45):
        yield "scores", f"all {value}", np.full((2, 3, 4), value, F32), FINE
    yield from bad_choices("method")
    for value in (0, 1, "x", [], np.array([True]), 1.0, None):
        yield "maximise", repr(value), value, REFUSED
    yield from bad_scalars("gate", [np.nan, np.inf, -np.inf, 1e300], [None, 0, -0.5, 1e38])
    wrong = [0, -1, 1 << 31, 1 << 40, 1 << 70, 2.5, np.nan, True]
    yield from bad_scalars("iterations", wrong, [1, (1 << 31) - 1])
    yield from bad_threads()


def cases_of_counts() -> Iterator[Case]:
    for name, capacity in (("rows", 3), ("columns", 4)):
        good = np.array([capacity, 0], np.int32)
        for dtype in ["float32", "uint8", "bool", *WRONG_TYPES]:
            yield name, f"dtype {dtype}", np.zeros(2, dtype), REFUSED
        for thing in NO_ARRAYS[1:]:
            yield name, f"a {type(thing).__name__}", thing, REFUSED
        for shape in ((1,), (3,), (0,), (), (2, 1), (1, 2)):
            yield name, f"shape {shape}", np.zeros(shape, np.int32), REFUSED
        yield name, "a list", good.tolist(), REFUSED
        yield name, "None", None, FINE
        yield name, "read-only", read_only(good), FINE
        yield name, "of steps", np.repeat(good, 3)[::3], FINE
        for value in (-1, capacity + 1, (1 << 31) - 1, -(1 << 31)):
            spoilt = good.copy()
            spoilt[1] = value
            yield f"{name}[1]", repr(value), spoilt, REFUSED


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


def all_cases() -> list[tuple[str, str, str, Any, str]]:
    """(call, argument, what is wrong with it, its value, what must happen)."""
    makers: dict[str, list[Iterator[Case]]] = {
        "best_peaks": [cases_of_peaks("best_peaks")],
        "find_peaks": [cases_of_peaks("find_peaks")],
        "best_peaks with offsets": [cases_of_offsets()],
        "decode_simcc": [cases_of_simcc()],
        "average_flip": [cases_of_flip()],
        "assign": [cases_of_assignment()],
        "assign of counts": [cases_of_counts()],
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
        (call, *case) for call, several in makers.items() for cases in several for case in cases
    ]
