"""`export`: a network that `predict` takes, and a report of what it has become."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest

from pyposefast import _C, cli

if TYPE_CHECKING:
    from pathlib import Path

pytest.importorskip("cv2", reason="pictures need OpenCV: the extra `cpu`")
pytest.importorskip("onnxruntime", reason="networks need ONNX Runtime: the extra `cpu`")
tiny = pytest.importorskip("tiny_pipelines", reason="networks are made with onnx")


def export(*arguments: object) -> int:
    return cli.main(["export", *map(str, arguments)])


def test_what_is_exported_can_be_used_with_the_same_manifest(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    network = tiny.top_down(tmp_path)
    (picture,) = tiny.pictures(tmp_path / "in", 1)
    monkeypatch.chdir(tmp_path)
    assert export(network, "--to", "onnx", "--precision", "fp16") == 0
    captured = capsys.readouterr()
    assert "differences on" in captured.out
    assert captured.err == "wrote tiny_fp16.onnx\n"
    assert cli.main(["predict", str(network), str(picture), "--weights", "tiny_fp16.onnx"]) == 0
    assert "1 person" in capsys.readouterr().out


def test_pictures_are_what_is_compared_and_measured_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = tiny.pictures(tmp_path / "in", 3)
    truth = tiny.annotations(tmp_path / "truth.json", paths)
    data = ["--images", tmp_path / "in", "--annotations", truth]
    out = ["--output", tmp_path / "result.onnx", "--json"]
    for network, precision in (
        (tiny.top_down(tmp_path), "fp16"),
        (tiny.detector(tmp_path), "fp32"),
    ):
        assert export(network, "--to", "onnx", "--precision", precision, *data, *out) == 0
        report = json.loads(capsys.readouterr().out)
        assert report["inputs"].startswith("3 given")
        assert report["score_before"] == pytest.approx(report["score_after"], abs=0.05)
        assert np.isfinite(report["differences"][0]["largest"])


def test_half_of_the_data_is_wrong_usage(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert export(tiny.top_down(tmp_path), "--to", "onnx", "--images", tmp_path) == 2
    assert "got only --images" in capsys.readouterr().err


def test_tensorrt_needs_a_device(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    if _C.cuda_devices()["devices"]:
        pytest.skip("this machine has a CUDA device")
    folder = tmp_path / "plans"
    assert export(tiny.top_down(tmp_path), "--to", "tensorrt", "--output", folder) == 3
    assert capsys.readouterr().err.startswith("error: cuda:0: ")
    assert not folder.exists()
