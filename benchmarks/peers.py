"""Part-affinity decoders that race: ours, and others from where the reader has built them.

README.md says how to build those.
"""

from __future__ import annotations

import ctypes
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

VARIABLE = "TRT_POSE_PARSER"
OURS, TRT_POSE = "pyposefast", "trt_pose C++ parser"
OURS_ANEW = "pyposefast, into new arrays"
TRT_POSE_CLEARING = "trt_pose, clearing as its extension does"


@dataclass(frozen=True)
class Decoder:
    """Maps [K or more, H, W] and fields [2 L, H, W] to people."""

    # From maps and fields to what is timed: a call that decodes them. Decoders write over the
    # result of their last call, except where their name says otherwise.
    on: Callable[[Any, Any], Callable[[], Any]]
    people: Callable[[Any], Any]  # its result as [P, K, 3]: x, y in map pixels, score

    def __call__(self, heat: Any, paf: Any) -> Any:
        """People [P, K, 3] of one image."""
        return self.people(self.on(heat, paf)())


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


def add_peer_option(parser: argparse.ArgumentParser) -> None:
    """`--peer`, for every program that races."""
    parser.add_argument("--peer", type=Path, help=f"trt_pose's parser; else ${VARIABLE} names it")


def pyposefast_decoder(*, anew: bool = False) -> Decoder:
    """Ours, for OpenPose's COCO network."""
    from pyposefast.decoders import PartAffinity  # noqa: PLC0415

    decode = PartAffinity("openpose_coco18")

    def on(heat: Any, paf: Any) -> Callable[[], Any]:
        heatmaps, fields = heat[None], paf[None]
        out = None if anew else decode(heatmaps, fields)
        return lambda: decode(heatmaps, fields, out=out)

    def people(result: Any) -> Any:
        joints = np.concatenate([result.xy, result.score[..., None]], axis=-1)
        return joints[0, : int(result.count[0])]

    return Decoder(on, people)


def decoders(peer: Path | None, *, other_ways: bool = False) -> dict[str, Decoder]:
    """All that can be loaded here, for OpenPose's COCO network; what cannot is said.

    With `other_ways` each takes part a second time, to be timed: ours with new arrays for every
    result, the parser as its own project runs it. They find the same.
    """
    found = {}
    try:
        found[OURS] = pyposefast_decoder()
        if other_ways:
            found[OURS_ANEW] = pyposefast_decoder(anew=True)
    except ImportError as error:
        print(f"skipped: {OURS} ({error})")
    path = trt_pose_path(peer)
    if path is None:
        print(f"skipped: {TRT_POSE} (neither --peer nor ${VARIABLE} says where it is)")
    else:
        found[TRT_POSE] = Decoder(trt_pose_parser(path), lambda people: people)
        if other_ways:
            found[TRT_POSE_CLEARING] = Decoder(
                trt_pose_parser(path, clear_scores=True), lambda people: people
            )
    return found


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
    clear_scores: bool = False,
) -> Callable[[Any, Any], Callable[[], Any]]:
    """trt_pose's C++ parser on float32 maps and fields: a call returns people [P, K, 3].

    They are in map pixels, and a view of a buffer that the next call fills again, so that a call
    costs the parser and nothing else. With `clear_scores` it clears its table of scores first, as
    trt_pose's Torch extension does for every image.
    """
    library = ctypes.CDLL(str(path.resolve()))
    library.trt_pose_create.restype = ctypes.c_void_p
    library.trt_pose_parse.argtypes = [
        *[ctypes.c_void_p] * 3,
        *[ctypes.c_float] * 2,
        *[ctypes.c_int] * 3,
        ctypes.c_void_p,
    ]
    topology = np.array(
        [(y, x, a, b) for (a, b), (x, y) in zip(layout.limbs, layout.channels, strict=True)],
        np.int32,
    )
    people = np.zeros((max_people, layout.parts, 3), np.float32)
    people_at = people.ctypes.data
    parsers: dict[tuple[int, int], int] = {}  # one for each size of maps, kept to the end

    def on(cmap: Any, paf: Any) -> Callable[[], Any]:
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
        pointers = parser, cmap.ctypes.data, paf.ctypes.data
        numbers = threshold, link_threshold, window, samples, clear_scores
        parse = library.trt_pose_parse

        def decode(_alive: object = (cmap, paf)) -> Any:
            return people[: parse(*pointers, *numbers, people_at)]

        return decode

    return on
