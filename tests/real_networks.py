"""Real networks, real photographs, and who is in them: what ``load`` is tried with."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import numpy as np
import shared_data

from pyposefast import media, skeletons, zoo
from pyposefast.metrics import Truths, box_size, pck, read_coco

if TYPE_CHECKING:
    from pyposefast.metrics import Truth

# Name of the zoo -> the network's file.
FILES = {
    "blazepose_detector": "blazepose_detector/blazepose_detector_224.onnx",
    "blazepose_lite": "blazepose_landmark_lite/blazepose_landmark_lite_256.onnx",
    "efficientpose_ii": "efficientpose_ii/efficientpose_ii_368.onnx",
    "efficientpose_rt": "efficientpose_rt/efficientpose_rt_224.onnx",
    "mobile_pose_cpm": "pefm_cpm/pefm_cpm_192.onnx",
    "mobile_pose_hourglass": "pefm_hourglass/pefm_hourglass_192.onnx",
    "movenet_lightning": "movenet_lightning/movenet_lightning_192.onnx",
    "rtmdet_nano": "rtmdet_nano_person/rtmdet_nano_person.onnx",
    "tfpose_mobilenet_v2_small": "tfpose_mobilenet_v2_small/tfpose_mobilenet_v2_small_368x432.onnx",
}
COCO = skeletons.load("coco17")
JUDGED = COCO.joints[5:]  # shoulders to ankles: what all of these networks know
_LEAST_AREA, _FEWEST_JOINTS = 64**2, 6


def load(name: str, **options: Any) -> Any:
    """Load a network of the zoo from its local file."""
    return zoo.load(name, weights=shared_data.path(f"models/{FILES[name]}"), **options)


@functools.cache
def truths() -> Truths:
    return read_coco(shared_data.path("annotations/coco_person_keypoints_20.json"))


@functools.cache
def photograph(file_name: str) -> Any:
    return media.read_image(shared_data.path(f"images/{file_name}"))


def judged(truth: Truth) -> Any:
    """Return which people are large enough, with enough labelled joints, to be measured on."""
    places = [COCO.index(joint) for joint in JUDGED]
    labelled = truth.is_labelled[:, places].sum(axis=1)
    return (truth.area >= _LEAST_AREA) & (labelled >= _FEWEST_JOINTS) & ~truth.is_crowd


def share_of_correct_joints(pipeline: Any) -> float:
    """PCK at 0.1 of the larger side of the box, with the true boxes, over all photographs."""
    places: list[Any] = []
    wanted: list[tuple[Any, Any, Any]] = []
    order = COCO.indices_in(pipeline.skeleton)
    for truth in truths().images:
        who = judged(truth)
        if not who.any():
            continue
        poses = pipeline(photograph(truth.file_name), boxes=truth.box[who])
        known = [0 if index is None else index for index in order]
        places.append(poses.xy[:, known])
        wanted.append((truth.xy[who], truth.is_labelled[who], truth.box[who]))
    xy, labelled, box = (np.concatenate(part) for part in zip(*wanted, strict=True))
    measured = pck(
        np.concatenate(places),
        truth=xy,
        labelled=labelled,
        scale=box_size(box),
        skeleton=COCO,
        factor=0.1,
        joints=JUDGED,
    )
    assert measured.count.sum() == 229
    return float(measured.mean)
