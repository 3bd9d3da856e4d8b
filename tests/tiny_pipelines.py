"""Networks of a few nodes with their manifests: what the command line is tested with."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
from picture_files import encode
from tiny_networks import FLOAT, INT64, convolution, helper, model, save, value, weight

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

_TOP_DOWN = """\
pipeline = "top_down"
skeleton = "coco17"
boxes = "{boxes}"

[input]
size = [16, 12]
std = 255.0

[decoder]
kind = "heatmap"
maps = "maps"
"""
_DETECTOR = """\
pipeline = "detector"

[input]
size = [16, 16]

[decoder]
kind = "boxes"
form = "end2end"
boxes = "dets"
labels = "labels"
"""


def top_down(folder: Path, *, boxes: str = "image") -> Path:
    """Write a network that gives 17 maps of whatever it sees, and return its manifest."""
    save(convolution("n", channels=17), folder / "tiny.onnx")
    manifest = folder / "tiny.toml"
    manifest.write_text(_TOP_DOWN.format(boxes=boxes), encoding="utf-8")
    return manifest


def detector(folder: Path, boxes: Iterable[tuple[float, ...]] = ((2, 2, 10, 14, 0.9),)) -> Path:
    """Write a network that sees the same boxes everywhere, in an input of 16 x 16."""
    rows = np.array([list(boxes)], np.float32)  # [1, n, 5]
    network = model(
        [
            helper.make_node("ReduceMean", ["image"], ["mean"], keepdims=0),
            helper.make_node("Mul", ["mean", "nothing"], ["zero"]),
            helper.make_node("Add", ["rows", "zero"], ["dets"]),
            helper.make_node("Identity", ["people"], ["labels"]),
        ],
        [value("image", [1, 3, 16, 16])],
        [value("dets", rows.shape, FLOAT), value("labels", rows.shape[:2], INT64)],
        [
            weight("nothing", np.float32(0)),
            weight("rows", rows),
            weight("people", np.zeros(rows.shape[:2], np.int64)),
        ],
    )
    save(network, folder / "tiny_detector.onnx")
    manifest = folder / "tiny_detector.toml"
    manifest.write_text(_DETECTOR, encoding="utf-8")
    return manifest


def pictures(folder: Path, count: int, *, size: tuple[int, int] = (32, 24)) -> list[Path]:
    """Write pictures that differ, named 1.jpg, 2.jpg ..."""
    folder.mkdir(exist_ok=True)
    random = np.random.default_rng(3)
    paths = [folder / f"{number}.jpg" for number in range(1, count + 1)]
    for path in paths:
        path.write_bytes(encode(".jpg", random.integers(0, 255, (*size, 3), np.uint8)))
    return paths


def annotations(path: Path, paths: Iterable[Path], *, size: tuple[int, int] = (32, 24)) -> Path:
    """Write COCO's format: one person in each picture, who fills it."""
    names = "nose left_eye right_eye left_ear right_ear left_shoulder right_shoulder left_elbow "
    names += "right_elbow left_wrist right_wrist left_hip right_hip left_knee right_knee "
    names += "left_ankle right_ankle"
    height, width = size
    images: list[dict[str, Any]] = []
    people: list[dict[str, Any]] = []
    for number, each in enumerate(paths, start=1):
        image = {"id": number, "file_name": each.name, "height": height, "width": width}
        images.append(image)
        joints = [[2.0 + k, 3.0 + k, 2] for k in range(17)]
        person = {
            "id": number,
            "image_id": number,
            "category_id": 1,
            "iscrowd": 0,
            "area": float(height * width),
            "bbox": [0, 0, width, height],
            "keypoints": [number for joint in joints for number in joint],
            "num_keypoints": 17,
        }
        people.append(person)
    category = {"id": 1, "name": "person", "keypoints": names.split(), "skeleton": []}
    record = {"images": images, "annotations": people, "categories": [category]}
    path.write_text(json.dumps(record), encoding="utf-8")
    return path
