"""`evaluate`: its figures are those of `metrics` for what the pipeline finds."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import shared_data

from pyposefast import cli, metrics, zoo
from pyposefast.media import read_image

if TYPE_CHECKING:
    from pathlib import Path

pytest.importorskip("cv2", reason="pictures need OpenCV: the extra `cpu`")
pytest.importorskip("onnxruntime", reason="networks need ONNX Runtime: the extra `cpu`")
tiny = pytest.importorskip("tiny_pipelines", reason="networks are made with onnx")


@pytest.fixture
def data(tmp_path: Path) -> list[str]:
    paths = tiny.pictures(tmp_path / "in", 5)
    truth = tiny.annotations(tmp_path / "truth.json", paths)
    return ["--images", str(tmp_path / "in"), "--annotations", str(truth)]


def evaluate(*arguments: object) -> int:
    return cli.main(["evaluate", *map(str, arguments)])


def test_figures_are_those_of_the_metrics(tmp_path: Path, data: list[str]) -> None:
    network, out = tiny.top_down(tmp_path), tmp_path / "figures.json"
    assert evaluate(network, *data, "--json", out) == 0
    record = json.loads(out.read_text())
    truths = metrics.read_coco(data[3])
    with_boxes = {}
    pipeline = zoo.load(network, device="cpu")
    for truth in truths:
        image = read_image(tmp_path / "in" / truth.file_name)
        boxes = truth.box.astype(np.float32)
        with_boxes[truth.image_id] = pipeline(image, boxes=boxes)
    pipeline.close()
    pairs = metrics.pair_people(truths, with_boxes, by="row")
    common: Any = {"truth": pairs.truth, "labelled": pairs.labelled, "skeleton": pairs.skeleton}
    size = metrics.box_size(pairs.box)
    pck = metrics.pck(pairs.xy, scale=size, factor=0.1, **common)
    assert record["boxes"] == "truth"
    assert record["pck"] == json.loads(json.dumps(pck.to_dict()))
    assert record["pdj"]["mean"] == metrics.pdj(pairs.xy, **common).mean
    assert record["ap"]["ap"] == metrics.keypoint_ap(truths, with_boxes).ap
    assert record["images"] == 5


def test_the_table_has_every_measure(
    tmp_path: Path, data: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert evaluate(tiny.top_down(tmp_path), *data, "--verbose") == 0
    captured = capsys.readouterr()
    for part in ("AP50", "AR", "PCK at 0.1 of the box", "PDJ at 0.2 of the torso", "85 joints"):
        assert part in captured.out
    assert "\n  left_ankle           5  " in captured.out
    assert captured.err == ""


def test_detectors_are_measured_by_their_boxes(
    tmp_path: Path, data: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    # An input of 16 x 16 that is stretched over 24 x 32 pixels: this box is the whole picture.
    detector = tiny.detector(tmp_path, [(0, 0, 16, 16, 0.9)])
    assert evaluate(detector, *data) == 0
    assert "box AP    1.000" in capsys.readouterr().out


def test_people_can_be_found_by_the_detector(
    tmp_path: Path, data: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    network = tiny.top_down(tmp_path, boxes="detector")
    detector = tiny.detector(tmp_path, [(0, 0, 16, 16, 0.9)])
    more = ["--boxes", "detector", "--detector", detector]
    assert evaluate(network, *data, *more) == 0
    assert "boxes    the detector" in capsys.readouterr().out


def test_a_picture_that_cannot_be_read_is_left_out_and_told(
    tmp_path: Path, data: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "in" / "3.jpg").unlink()
    assert evaluate(tiny.top_down(tmp_path), *data) == 1
    captured = capsys.readouterr()
    assert "images   4" in captured.out
    assert captured.err.startswith(f"left out: {tmp_path / 'in' / '3.jpg'}: ")


def test_whose_joints_are_judged(
    tmp_path: Path, data: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    network = tiny.top_down(tmp_path)
    for more, says in (
        (["--joints", "limbs"], "60 joints"),
        (["--joints", "nose,left_ankle", "--limit", 2], "4 joints"),
        (["--min-joints", "18"], "0 joints"),
        (["--min-area", "1000"], "0 joints"),
        (["--min-area", "700"], "85 joints"),
    ):
        assert evaluate(network, *data, *more) == 0
        assert says in capsys.readouterr().out
    assert evaluate(network, *data, "--joints", "nosse") == 2
    assert "--joints: expected some of nose" in capsys.readouterr().err


def test_curves_are_drawn(tmp_path: Path, data: list[str]) -> None:
    pytest.importorskip("matplotlib", reason="plots need Matplotlib: the extra `plot`")
    plot = tmp_path / "curves.png"
    assert evaluate(tiny.top_down(tmp_path), *data, "--plot", plot) == 0
    for path in (plot, tmp_path / "curves_precision.png"):
        assert path.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--plot", "x.pdf"], "--plot: expected a name that ends in .png"),
        (["--limit", "0"], "--limit: expected a whole number from 1"),
    ],
)
def test_wrong_options_are_refused(
    tmp_path: Path,
    data: list[str],
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    says: str,
) -> None:
    assert evaluate(tiny.top_down(tmp_path), *data, *arguments) == 2
    assert says in capsys.readouterr().err


def test_a_bottom_up_network_or_a_detector_has_no_use_for_true_boxes(
    tmp_path: Path, data: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert evaluate(tiny.detector(tmp_path), *data, "--boxes", "truth") == 2
    assert "--boxes: expected nothing" in capsys.readouterr().err


def test_a_real_network_is_as_good_as_it_is_said_to_be(tmp_path: Path) -> None:
    out = tmp_path / "figures.json"
    done = evaluate(
        "efficientpose_rt",
        "--weights",
        shared_data.path("models/efficientpose_rt/efficientpose_rt_224.onnx"),
        "--images",
        shared_data.path("images"),
        "--annotations",
        shared_data.path("annotations/coco_person_keypoints_20.json"),
        *("--joints", "limbs", "--min-area", "4096", "--min-joints", "6", "--json", out),
    )
    assert done == 0
    record = json.loads(out.read_text())
    # 0.60 by a plain arg-max, on these 229 joints.
    assert sum(joint["count"] for joint in record["pck"]["joints"].values()) == 229
    assert record["pck"]["mean"] >= 0.59
