"""How good poses and boxes are, measured against the truth, by the published definitions."""

from __future__ import annotations

from pyposefast.metrics.box_ap import BoxAP, FoundBoxes, box_ap
from pyposefast.metrics.coco_file import read_coco
from pyposefast.metrics.keypoint_ap import KeypointAP, keypoint_ap
from pyposefast.metrics.pairing import Pairs, pair_people
from pyposefast.metrics.pck import PCK, box_size, head_size, pck, pckh, pdj, torso_size
from pyposefast.metrics.pcp import PCP, pcp
from pyposefast.metrics.plots import plot_precision, plot_shares
from pyposefast.metrics.truth import Truth, Truths

__all__ = [
    "PCK",
    "PCP",
    "BoxAP",
    "FoundBoxes",
    "KeypointAP",
    "Pairs",
    "Truth",
    "Truths",
    "box_ap",
    "box_size",
    "head_size",
    "keypoint_ap",
    "pair_people",
    "pck",
    "pckh",
    "pcp",
    "pdj",
    "plot_precision",
    "plot_shares",
    "read_coco",
    "torso_size",
]
