"""`demo` with a network and a picture of one's own: the same report of another pipeline."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from pyposefast import cli
from pyposefast.media import read_image

if TYPE_CHECKING:
    from pathlib import Path

pytest.importorskip("cv2", reason="the demo needs OpenCV: the extra `cpu`")
pytest.importorskip("onnxruntime", reason="networks need ONNX Runtime: the extra `cpu`")
tiny = pytest.importorskip("tiny_pipelines", reason="networks are made with onnx")


def demo(*arguments: object) -> int:
    return cli.main(["demo", "--repeat", "1", *map(str, arguments)])


def test_a_network_and_a_picture_of_ones_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    network = tiny.top_down(tmp_path, boxes="detector")
    detector = tiny.detector(tmp_path)
    (picture,) = tiny.pictures(tmp_path / "in", 1)
    output = tmp_path / "out.png"
    options = ["--network", network, "--detector", detector, "--image", picture]
    assert demo(*options, "--output", output) == 0
    text = capsys.readouterr().out
    for part in (f"{picture}, 24 x 32", "(onnx_runtime, cpu)", "(detector)", "(network)", "detect"):
        assert part in text
    assert "exact joints are not known" in text
    assert read_image(output).shape == (32, 24, 3)


def test_a_network_looks_at_the_scene_where_there_is_no_picture(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    network = tiny.top_down(tmp_path, boxes="detector")
    output = tmp_path / "out.jpg"
    assert demo("--network", network, "--people", 2, "--output", output, "--json") == 0
    record = json.loads(capsys.readouterr().out)
    assert len(record["people"]) == 2
    assert record["picture"] == "2 people, 1280 x 720, seed 4"
    assert "stand in" not in record["network"]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--image", "a.jpg"], "--network: expected a network with --image"),
        (["--weights", "a.onnx"], "--network: expected a network with --weights"),
        (["--output", "picture.gif"], "output: expected a name that ends in"),
    ],
)
def test_what_makes_no_sense_is_refused(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    options: list[str],
    says: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert demo(*options) == 2
    assert says in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
