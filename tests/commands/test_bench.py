"""`bench`: that the figures are there and add up; never how large they are."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from pyposefast import cli, zoo
from pyposefast.commands.timing import Load, time_it
from pyposefast.errors import EngineError

if TYPE_CHECKING:
    from pathlib import Path

pytest.importorskip("cv2", reason="pictures need OpenCV: the extra `cpu`")
pytest.importorskip("onnxruntime", reason="networks need ONNX Runtime: the extra `cpu`")
tiny = pytest.importorskip("tiny_pipelines", reason="networks are made with onnx")

QUICK = ["--repeat", "4", "--warmup", "1"]


def bench(*arguments: object) -> int:
    return cli.main(["bench", *map(str, arguments), *QUICK])


def figures(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    record: dict[str, Any] = json.loads(capsys.readouterr().out)
    return record


def check_sums(record: dict[str, Any]) -> None:
    for timing in record["timings"]:
        whole = timing["call"]["mean_ms"]
        stages = timing["stages"]
        # Differences of the same float64 numbers, added up again.
        assert sum(stage["mean_ms"] for stage in stages.values()) == pytest.approx(whole, rel=1e-9)
        networks = [spread for name, spread in stages.items() if name.endswith("network")]
        share = 1 - sum(spread["mean_ms"] for spread in networks) / whole
        assert timing["our_share"] == pytest.approx(share)
        assert 0 < timing["our_share"] < 1
        for spread in (*stages.values(), timing["call"]):
            assert spread["p50_ms"] <= spread["p95_ms"] <= spread["p99_ms"]


def test_stages_add_up_to_the_call_in_every_setting(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    network = tiny.top_down(tmp_path)
    options = ["--people", 3, "--batches", "1,4", "--streams", "1,2", "--threads", 1, "--json"]
    assert bench(network, *options) == 0
    record = figures(capsys)
    check_sums(record)
    settings = [(each["batch"], each["streams"], each["calls"]) for each in record["timings"]]
    assert settings == [(1, 1, 4), (4, 1, 4), (1, 2, 8)]
    stages = ["preprocess", "network", "decode", "download", "rest"]
    assert all(list(each["stages"]) == stages for each in record["timings"])
    assert all(each["people_a_frame"] == 3 for each in record["timings"])
    assert record["boxes"] == "given"
    assert record["machine"]["cores"] >= 1
    assert record["engine"].startswith("onnx_runtime ")


def test_a_detector_that_is_named_is_timed_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    network, detector = tiny.top_down(tmp_path, boxes="detector"), tiny.detector(tmp_path)
    assert bench(network, "--detector", detector, "--json") == 0
    record = figures(capsys)
    check_sums(record)
    assert {"detect", "detect/network"} < set(record["timings"][0]["stages"])
    assert record["boxes"] == "the detector's"


def test_a_detector_alone_can_be_timed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tiny.pictures(tmp_path / "in", 3)
    assert bench(tiny.detector(tmp_path), "--source", tmp_path / "in", "--json") == 0
    record = figures(capsys)
    check_sums(record)
    assert record["picture"].endswith("24 x 32, 3 frames")


def test_the_text_names_machine_network_and_stages(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert bench(tiny.top_down(tmp_path), "--batches", 2) == 0
    text = capsys.readouterr().out
    for part in ("onnx_runtime", "5 people, 1280 x 720", "machine  ", "2 frames a call, 1 stream"):
        assert part in text
    for stage in ("preprocess", "network", "decode", "download", "rest", "call"):
        assert f"\n  {stage} " in text
    assert "synthetic" in text


def test_the_plot_is_a_picture(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="plots need Matplotlib: the extra `plot`")
    plot = tmp_path / "stages.png"
    assert bench(tiny.top_down(tmp_path), "--batches", "1,2", "--plot", plot) == 0
    assert plot.read_bytes().startswith(b"\x89PNG")
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--batches", "1,x"], "--batches: expected whole numbers with commas"),
        (["--batches", "0"], "--batches: expected a whole number from 1"),
        (["--streams", "1,99999"], "--streams: expected a whole number"),
        (["--plot", "a.jpg"], "--plot: expected a name that ends in .png"),
        (["--source", "0"], "--source: expected a picture, a folder or a video"),
        (["--people", "-1"], "people: expected 0 to 1000"),
    ],
)
def test_wrong_options_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str], says: str
) -> None:
    assert bench(tiny.top_down(tmp_path), *options) == 2
    assert says in capsys.readouterr().err


def test_nvtx_has_to_be_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "nvtx", None)
    assert bench(tiny.top_down(tmp_path), "--nvtx") == 3
    assert "pip install nvtx" in capsys.readouterr().err


def test_a_failure_in_one_stream_is_raised_and_ends_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline = zoo.load(tiny.top_down(tmp_path), device="cpu", threads=1)
    count = iter(range(100))
    whole = type(pipeline).people

    def fail(self: Any, *arguments: Any) -> Any:
        if next(count) == 3:
            message = "the third call fails"
            raise EngineError(message)
        return whole(self, *arguments)

    monkeypatch.setattr(type(pipeline), "people", fail)
    load = Load(pipeline, [np.zeros((32, 32, 3), np.uint8)], None)
    with pytest.raises(EngineError, match="the third call"):
        time_it(load, batch=1, streams=3, repeat=4, warmup=2)
    pipeline.close()
