"""`doctor`: the weights and compiled engines that are in the cache."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from pyposefast import cli, doctor

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_what_is_in_the_cache_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYPOSEFAST_CACHE", str(tmp_path))
    for name in (
        "weights/rtmpose_s/end2end.onnx",
        "weights/rtmpose_s/end2end.onnx.sha256",
        "weights/half_fetched/end2end.onnx.17-0123abcd.part",
        "plans/v1-0123.plan",
        "plans/v1-0123.timing",
        "plans/v1-4567.plan.bad",
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"content")
    (cache, *_) = doctor._caches()
    assert cache.path == str(tmp_path)
    assert cache.weights == ("rtmpose_s",)
    assert cache.plans == 1
    lines = doctor._cache_lines(cache)
    assert "weights            rtmpose_s" in lines[1]
    assert "compiled engines   1" in lines[2]


def test_json_is_what_the_report_says(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["doctor", "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    names = {component["name"] for component in record["components"]}
    assert names >= {"onnx", "matplotlib", "nvtx", "cv2", "onnxruntime"}
    assert set(record["caches"][0]) >= {"path", "weights", "plans"}
