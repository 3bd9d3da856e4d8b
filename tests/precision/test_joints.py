"""What float16 costs where it matters: in joints that are where they were labelled."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import real_networks
import shared_data

from pyposefast import zoo
from pyposefast.metrics import box_ap, keypoint_ap

if TYPE_CHECKING:
    from pathlib import Path

for package, extra in (("onnxruntime", "cpu"), ("cv2", "cpu"), ("onnx", "export")):
    pytest.importorskip(package, reason=f"{package} is not installed: the extra `{extra}`")

from pyposefast.precision import to_fp16, with_rounding  # noqa: E402

MOST = 0.005  # of PCK, AP


@pytest.fixture
def rounded(tmp_path: Path) -> Path:
    """Where a network goes that rounds as a GPU does: ONNX Runtime on a CPU computes in float32."""
    return tmp_path / "rounded.onnx"


def convert(name: str, path: Path) -> Path:
    source = shared_data.path(f"models/{real_networks.FILES[name]}")
    path.write_bytes(with_rounding(to_fp16(source)))
    return path


@pytest.mark.parametrize(
    "name",
    [
        "blazepose_lite",
        "efficientpose_ii",
        "efficientpose_rt",
        "mobile_pose_cpm",
        "mobile_pose_hourglass",
        "movenet_lightning",
    ],
)
def test_joints_stay_where_they_were(name: str, rounded: Path) -> None:
    before = real_networks.share_of_correct_joints(real_networks.load(name, detector=None))
    after = zoo.load(name, weights=convert(name, rounded), detector=None)
    assert abs(real_networks.share_of_correct_joints(after) - before) <= MOST


def test_people_are_found_as_before(rounded: Path) -> None:
    name = "tfpose_mobilenet_v2_small"
    truths, figures = real_networks.truths(), []
    for weights in (real_networks.FILES[name], None):
        file = shared_data.path(f"models/{weights}") if weights else convert(name, rounded)
        pipeline = zoo.load(name, weights=file)
        found = {
            truth.image_id: pipeline(real_networks.photograph(truth.file_name))
            for truth in truths.images
        }
        figures.append(keypoint_ap(truths, found).ap)
    assert abs(figures[1] - figures[0]) <= MOST


def test_boxes_stay_where_they_were(rounded: Path) -> None:
    name, truths, figures = "rtmdet_nano", real_networks.truths(), []
    for weights in (shared_data.path(f"models/{real_networks.FILES[name]}"), None):
        detector = zoo.load(name, weights=weights or convert(name, rounded))
        found = {
            truth.image_id: detector(real_networks.photograph(truth.file_name))
            for truth in truths.images
        }
        figures.append(box_ap(truths, found).ap)
    assert np.ptp(figures) <= MOST
