"""How good a pipeline or a detector is on annotated pictures."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from pyposefast import arguments, metrics
from pyposefast.errors import InputError, MediaError
from pyposefast.media import read_image
from pyposefast.metrics import Truths
from pyposefast.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from pyposefast.metrics import PCK, BoxAP, KeypointAP, Pairs, Truth
    from pyposefast.poses import Poses

PCK_FACTOR = 0.1  # of the longer side of a person's box
PDJ_FACTOR = 0.2  # of the torso
_SIDES = ("left", "right")
_LIMB_JOINTS = ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")
LIMBS = tuple(f"{side}_{joint}" for joint in _LIMB_JOINTS for side in _SIDES)

BoxesFrom = Literal["truth", "detector"]


@dataclass(frozen=True, slots=True)
class Judged:
    """Whose joints are judged by PCK and PDJ. COCO's AP has rules of its own for that."""

    joints: tuple[str, ...] = ()  # none: all that the network knows
    least_area: float = 0.0  # square pixels that a person covers
    least_joints: int = 1  # of those judged, that have a label


@dataclass(frozen=True, slots=True, eq=False)
class Measured:
    """Every figure of one network on one set of pictures."""

    images: int
    boxes: BoxesFrom | None  # where a top-down network looked; None: it looked at everything
    box_ap: BoxAP | None  # of a detector, which has nothing else
    ap: KeypointAP | None
    pck: PCK | None
    pdj: PCK | None
    failures: tuple[str, ...]  # pictures that could not be read; they count nowhere

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        parts = {"box_ap": self.box_ap, "ap": self.ap, "pck": self.pck, "pdj": self.pdj}
        figures = {name: part.to_dict() for name, part in parts.items() if part is not None}
        failures = list(self.failures)
        return {"images": self.images, "boxes": self.boxes, **figures, "failures": failures}


def measure(
    model: Any,
    truths: Truths,
    folder: Path,
    *,
    boxes: BoxesFrom | None = None,
    limit: int | None = None,
    judged: Judged | None = None,
) -> Measured:
    """Run a network on all pictures and compare what it finds with the truth.

    Args:
        model: a pipeline or a detector.
        truths: who is in the pictures.
        folder: where the pictures are.
        boxes: where a top-down pipeline looks; by default into the true boxes.
        limit: take so many pictures from the first.
        judged: whose joints PCK and PDJ judge.
    """
    is_detector = not hasattr(model, "skeleton")
    looks_into_boxes = hasattr(model, "boxes_of")
    if boxes is not None and not looks_into_boxes:
        got, what = repr(boxes), "a network that looks at whole pictures"
        raise InputError("--boxes", f"nothing for {what}", got)
    used: BoxesFrom | None = (boxes or "truth") if looks_into_boxes else None
    read: list[Truth] = []
    found: dict[int, Any] = {}
    failures = []
    wanted = truths.images[:limit]
    with Progress(len(wanted), "pictures") as progress:
        for truth in wanted:
            progress.add()
            try:
                image = read_image(folder / truth.file_name)
            except MediaError as error:
                failures.append(error.message)
                continue
            read.append(truth)
            where = {"boxes": _true_boxes(truth)} if used == "truth" else {}
            found[truth.image_id] = model(image, **where)
    kept = Truths(tuple(read), truths.skeleton)
    measured = Measured(len(read), used, None, None, None, None, tuple(failures))
    if is_detector:
        return replace(measured, box_ap=metrics.box_ap(kept, found))
    return _judge(measured, kept, found, judged or Judged())


def _judge(measured: Measured, truths: Truths, found: dict[int, Poses], judged: Judged) -> Measured:
    pairs = metrics.pair_people(truths, found, by="row" if measured.boxes == "truth" else "oks")
    joints = _joints(judged.joints, pairs)
    labelled = _labelled(pairs, truths, judged, joints)
    common: dict[str, Any] = {
        "truth": pairs.truth,
        "labelled": labelled,
        "skeleton": pairs.skeleton,
        "joints": joints,
    }
    scale = metrics.box_size(pairs.box)
    return replace(
        measured,
        ap=metrics.keypoint_ap(truths, found),
        pck=metrics.pck(pairs.xy, scale=scale, factor=PCK_FACTOR, **common),
        pdj=metrics.pdj(pairs.xy, factor=PDJ_FACTOR, **common),
    )


def _true_boxes(truth: Truth) -> Any:
    """Return boxes [P, 4] that have an area, which an annotation need not have."""
    box = truth.box.astype(np.float32)
    box[:, 2:] = np.maximum(box[:, 2:], box[:, :2] + 1)
    return box


def _joints(wanted: Sequence[str], pairs: Pairs) -> list[str]:
    known = [joint for joint in pairs.joints if not wanted or joint in wanted]
    if not known:
        expected = f"some of {', '.join(pairs.joints)}"
        raise InputError("--joints", expected, ", ".join(wanted))
    return known


def _labelled(pairs: Pairs, truths: Truths, judged: Judged, joints: list[str]) -> Any:
    """Return the labels [P, K] of the people who are judged."""
    least = arguments.number(judged.least_area, "--min-area", 0.0, 1e12)
    area = np.concatenate([np.zeros(0), *(truth.area for truth in truths)])  # [P]
    places = [pairs.skeleton.index(joint) for joint in joints]
    count = pairs.labelled[:, places].sum(axis=1)
    is_judged = (area >= least) & (count >= judged.least_joints)
    return pairs.labelled & is_judged[:, None]
