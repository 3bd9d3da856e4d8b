"""Decoders of other projects, loaded from where the reader has built them: see README.md."""

from __future__ import annotations

import ctypes
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    Decoder = Callable[[Any, Any], Any]

VARIABLE = "TRT_POSE_PARSER"


@dataclass(frozen=True)
class Layout:
    """Which maps and fields a network has."""

    parts: int
    limbs: tuple[tuple[int, int], ...]
    channels: tuple[tuple[int, int], ...]  # x and y channel of each limb


# OpenPose's COCO network of 18 parts; its 19th map, the background, is nobody's part.
OPENPOSE_COCO18 = Layout(
    18,
    (
        *((1, 2), (1, 5), (2, 3), (3, 4), (5, 6), (6, 7), (1, 8), (8, 9), (9, 10), (1, 11)),
        *((11, 12), (12, 13), (1, 0), (0, 14), (14, 16), (0, 15), (15, 17), (2, 16), (5, 17)),
    ),
    tuple(
        (x, x + 1) for x in (12, 20, 14, 16, 22, 24, 0, 2, 4, 6, 8, 10, 28, 30, 34, 32, 36, 18, 26)
    ),
)
# trt_pose's own networks: COCO's 17 parts and the neck, and the y channel first.
TRT_POSE_COCO18 = Layout(
    18,
    (
        *((15, 13), (13, 11), (16, 14), (14, 12), (11, 12), (5, 7), (6, 8), (7, 9), (8, 10)),
        *((1, 2), (0, 1), (0, 2), (1, 3), (2, 4), (3, 5), (4, 6), (17, 0), (17, 5), (17, 6)),
        *((17, 11), (17, 12)),
    ),
    tuple((2 * limb + 1, 2 * limb) for limb in range(21)),
)


def trt_pose_path(option: Path | None = None) -> Path | None:
    """Where the parser is: from an option, else from the environment."""
    return option or (Path(os.environ[VARIABLE]) if VARIABLE in os.environ else None)


def trt_pose_parser(
    path: Path,
    layout: Layout = OPENPOSE_COCO18,
    *,
    threshold: float = 0.1,
    link_threshold: float = 0.1,
    window: int = 5,
    samples: int = 7,
    max_peaks: int = 100,
    max_people: int = 100,
) -> Decoder:
    """trt_pose's C++ parser: float32 maps and fields to people [P, K, 3] in map pixels.

    The result is a view of a buffer that the next call fills again, so that a call costs the parser
    and nothing else.
    """
    library = ctypes.CDLL(str(path.resolve()))
    library.trt_pose_create.restype = ctypes.c_void_p
    library.trt_pose_parse.argtypes = [
        *[ctypes.c_void_p] * 3,
        *[ctypes.c_float] * 2,
        *[ctypes.c_int] * 2,
        ctypes.c_void_p,
    ]
    topology = np.array(
        [(y, x, a, b) for (a, b), (x, y) in zip(layout.limbs, layout.channels, strict=True)],
        np.int32,
    )
    people = np.zeros((max_people, layout.parts, 3), np.float32)
    people_at = people.ctypes.data
    parsers: dict[tuple[int, int], int] = {}  # one for each size of maps, kept to the end

    def parse(cmap: Any, paf: Any) -> Any:
        size = cmap.shape[1:]
        parser = parsers.get(size)
        if parser is None:
            for maps, channels in ((cmap, layout.parts), (paf, 2 * len(layout.limbs))):
                assert maps.dtype == np.float32
                assert maps.flags.c_contiguous
                assert maps.shape[0] >= channels
                assert maps.shape[1:] == size
            parser = parsers[size] = library.trt_pose_create(
                layout.parts,
                len(layout.limbs),
                *size,
                max_peaks,
                max_people,
                topology.ctypes.data_as(ctypes.c_void_p),
            )
        count = library.trt_pose_parse(
            parser,
            cmap.ctypes.data,
            paf.ctypes.data,
            threshold,
            link_threshold,
            window,
            samples,
            people_at,
        )
        return people[:count]

    return parse
