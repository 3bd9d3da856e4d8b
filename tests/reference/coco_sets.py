"""Random people in COCO's format, random answers to them, and what COCO's own program says."""

from __future__ import annotations

import contextlib
import io
from typing import Any

import numpy as np

SHAPE = np.random.default_rng(0).uniform([0, 0], [40, 90], (17, 2))  # one pose, [K, 2]
SIDES = ("eye", "ear", "shoulder", "elbow", "wrist", "hip", "knee", "ankle")
JOINTS = ["nose", *(f"{side}_{joint}" for joint in SIDES for side in ("left", "right"))]


def random_record(random: np.random.Generator, pictures: int) -> dict[str, Any]:
    """Empty pictures, crowds, unlabelled people, twins, no area, and places on whole pixels."""
    annotations: list[dict[str, Any]] = []
    is_whole = random.random() < 0.3
    for picture in range(1, pictures + 1):
        people = int(random.choice([0, 1, 2, 5, 12, 30], p=[0.15, 0.2, 0.25, 0.25, 0.1, 0.05]))
        for one in range(people):
            xy = SHAPE * random.uniform(0.2, 3) + random.uniform(0, 600, 2)
            if is_whole:
                xy = np.round(xy)
            low, size = xy.min(0), np.ptp(xy, axis=0)
            if one and random.random() < 0.1:
                annotations.append({**annotations[-1], "id": len(annotations) + 1})
                continue
            labels = random.choice([0, 1, 2], 17) * (random.random() > 0.2)
            area = float(random.choice([0.0, 1.0, 0.5], p=[0.05, 0.1, 0.85]) * size.prod())
            if random.random() < 0.03:
                size = np.zeros(2)
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": picture,
                    "category_id": 1,
                    "iscrowd": int(random.random() < 0.15),
                    "area": area,
                    "bbox": [*low.tolist(), *size.tolist()],
                    "num_keypoints": int((labels > 0).sum()),
                    "keypoints": np.column_stack([xy * (labels > 0)[:, None], labels])
                    .ravel()
                    .tolist(),
                }
            )
    return {
        "info": {},
        "images": [
            {"id": picture, "file_name": f"{picture}.jpg", "width": 640, "height": 480}
            for picture in range(pictures, 0, -1)
        ],
        "categories": [{"id": 1, "name": "person", "keypoints": JOINTS}],
        "annotations": annotations,
    }


def random_people(
    random: np.random.Generator, record: dict[str, Any], most: int
) -> dict[int, tuple[Any, Any]]:
    """Joints [P, K, 2] with NaN, and scores [P] with ties, float32, of some of the pictures."""
    answers = {}
    for image in record["images"]:
        if random.random() < 0.1:
            continue
        poses = []
        for person in record["annotations"]:
            if person["image_id"] != image["id"]:
                continue
            joints = np.array(person["keypoints"]).reshape(17, 3)[:, :2]
            if not person["num_keypoints"]:  # somebody at a place within the box
                x, y, width, height = person["bbox"]
                joints = np.array([x, y]) + random.uniform(-1, 2, (17, 2)) * [width, height]
            for _ in range(random.integers(0, 4)):
                away = random.normal(0, random.choice([0.0, 0.5, 3, 10]), (17, 2))
                near = joints + away
                near[random.random(17) < 0.1] = np.nan
                poses.append(near)
        poses += [SHAPE * random.uniform(0.2, 3) for _ in range(int(random.choice([0, 0, 1, 4])))]
        poses = [poses[place] for place in random.permutation(len(poses))][:most]
        scores = np.round(random.uniform(0, 1, len(poses)), int(random.choice([1, 6])))
        xy = np.array(poses, np.float32).reshape(-1, 17, 2)
        answers[image["id"]] = (xy, scores.astype(np.float32))
    return answers


def random_boxes(
    random: np.random.Generator, record: dict[str, Any], most: int
) -> dict[int, tuple[Any, Any]]:
    """Boxes [D, 4] x y w h, and scores [D] with ties, of some of the pictures."""
    answers = {}
    for image in record["images"]:
        if random.random() < 0.1:
            continue
        boxes = [random.uniform([0, 0, 0, 0], [600, 400, 200, 200]) for _ in range(3)]
        for person in record["annotations"]:
            if person["image_id"] != image["id"]:
                continue
            for _ in range(random.integers(0, 8)):
                moved = np.array(person["bbox"]) + random.normal(0, random.choice([0, 2, 9]), 4)
                boxes.append([*moved[:2], *np.maximum(moved[2:], 0)])
        boxes = [boxes[place] for place in random.permutation(len(boxes))][:most]
        scores = np.round(random.uniform(0, 1, len(boxes)), int(random.choice([1, 6])))
        # Quarters of pixels: x + w - x is w again, so that both programs see the same boxes.
        answers[image["id"]] = (np.round(np.array(boxes).reshape(-1, 4) * 4) / 4, scores)
    return answers


def coco_says(record: dict[str, Any], results: list[dict[str, Any]], kind: str) -> Any:
    """Run COCO's own program, "keypoints" or "bbox", and return it after its work."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    with contextlib.redirect_stdout(io.StringIO()):
        there = COCO()
        there.dataset = record
        there.createIndex()
        program = COCOeval(there, there.loadRes(results), kind)
        program.evaluate()
        program.accumulate()
        program.summarize()
    return program
