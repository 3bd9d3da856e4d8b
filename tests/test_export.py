"""Export: what is written, what the report says of it, and what is left behind when it fails."""

from __future__ import annotations

import errno
import json
from typing import TYPE_CHECKING, Any

import numpy as np
import precision_networks as nets
import pytest
from precision_networks import W, conv, network, node

from pyposefast import _C
from pyposefast import export as module
from pyposefast.errors import DeviceError, InputError, InputTypeError, ModelError, StorageError
from pyposefast.export import export
from pyposefast.precision import to_fp16

if TYPE_CHECKING:
    from pathlib import Path

pytest.importorskip("onnxruntime", reason="export compares with ONNX Runtime: the extra `cpu`")

PLAIN = network(
    [conv("x", "a"), node("Relu", ["a"], ["b"]), conv("b", "y")],
    outputs={"y": [1, 4, 8, 8]},
    constants=W,
)
IMAGES = [nets.weights(1, 4, 8, 8, seed=seed, scale=1.0) for seed in range(3)]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "network.onnx"
    path.write_bytes(PLAIN)
    return path


def names(folder: Path) -> list[str]:
    return sorted(each.name for each in folder.iterdir())


def test_single_precision_is_a_checked_copy(source: Path, tmp_path: Path) -> None:
    target = tmp_path / "copy.onnx"
    report = export(source, target)
    assert target.read_bytes() == PLAIN
    assert (report.plan, report.rounded) == (None, ())
    assert [each.largest for each in report.differences] == [0]
    assert report.bytes_before == report.bytes_after == len(PLAIN)
    assert names(tmp_path) == ["copy.onnx", "network.onnx"]


def test_half_precision_comes_with_both_comparisons(source: Path, tmp_path: Path) -> None:
    target = tmp_path / "half.onnx"
    report = export(source, target, precision="fp16", images=IMAGES)
    assert target.read_bytes() == to_fp16(PLAIN)
    assert report.plan is not None
    assert report.plan.fp16 == 3
    before = [nets.run(PLAIN, {"x": each})[0] for each in IMAGES]
    after = [nets.run(target.read_bytes(), {"x": each})[0] for each in IMAGES]
    (found,) = report.differences
    # ONNX Runtime may add four products in another order in another session: a few float32 ulps.
    expected = np.abs(np.stack(before) - np.stack(after)).max()
    assert found.largest == pytest.approx(expected, abs=8 * 2.0**-23)
    (rounded,) = report.rounded
    assert 0 < rounded.largest < 0.01
    assert rounded.correlation > 0.9999
    assert names(tmp_path) == ["half.onnx", "network.onnx"]


def test_the_report_reads_well_and_goes_into_json(source: Path, tmp_path: Path) -> None:
    report = export(source, tmp_path / "half.onnx", precision="fp16")
    text = report.text()
    for words in (
        "(onnx, fp16)",
        "4 inputs of noise (seed 0)",
        "every float16 result",
        "y  largest",
    ):
        assert words in text
    fields = json.loads(json.dumps(report.to_dict(), allow_nan=False))
    assert fields["plan"]["fp16"] == 3
    assert fields["differences"][0]["output"] == "y"
    assert fields["score_after"] is None


def test_scores_are_those_of_the_source_and_of_the_result(source: Path, tmp_path: Path) -> None:
    seen: list[bytes] = []

    def score(path: Path) -> float:
        seen.append(path.read_bytes())
        return 0.75 if len(seen) == 1 else 0.5

    report = export(source, tmp_path / "half.onnx", precision="fp16", score=score)
    assert (report.score_before, report.score_after) == (0.75, 0.5)
    assert seen == [PLAIN, to_fp16(PLAIN)]
    assert "score 0.7500 -> 0.5000" in report.text()


def test_a_score_that_fails_leaves_nothing_behind(source: Path, tmp_path: Path) -> None:
    def score(path: Path) -> float:
        raise KeyError(path.name)

    with pytest.raises(KeyError):
        export(source, tmp_path / "half.onnx", precision="fp16", score=score)
    assert names(tmp_path) == ["network.onnx"]


def test_an_overflow_is_an_error_and_what_was_there_stays(tmp_path: Path) -> None:
    hundred = {"w": 100 * np.eye(4, dtype=np.float32).reshape(4, 4, 1, 1)}
    nodes = [conv("x", "a"), conv("a", "b"), conv("b", "y")]
    source, target = tmp_path / "big.onnx", tmp_path / "half.onnx"
    source.write_bytes(network(nodes, outputs={"y": [1, 4, 8, 8]}, constants=hundred))
    target.write_bytes(b"earlier")
    images = [np.full((1, 4, 8, 8), 10, np.float32)]
    with pytest.raises(ModelError, match=r"`y` is not finite on input 0[^\0]*hint: name what"):
        export(source, target, precision="fp16", images=images)
    assert target.read_bytes() == b"earlier"
    assert names(tmp_path) == ["big.onnx", "half.onnx"]
    export(source, target, precision="fp16", images=images, keep=["conv_b", "conv_y"])
    assert target.read_bytes() != b"earlier"


def test_int8_needs_a_network_that_is_quantised(source: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no QuantizeLinear node"):
        export(source, tmp_path / "int8.onnx", precision="int8")
    nodes = [
        node("QuantizeLinear", ["x", "s", "z"], ["q"]),
        node("DequantizeLinear", ["q", "s", "z"], ["d"]),
        conv("d", "y"),
    ]
    constants = {**W, "s": np.float32(0.01), "z": np.int8(0)}
    data = network(nodes, outputs={"y": [1, 4, 8, 8]}, constants=constants)
    source.write_bytes(data)
    report = export(source, tmp_path / "int8.onnx", precision="int8")
    assert (tmp_path / "int8.onnx").read_bytes() == data
    assert report.precision == "int8"


@pytest.mark.skipif(
    len(_C.cuda_devices()["devices"]) > 0, reason="shows what is said without a GPU"
)
def test_tensorrt_without_a_device_is_a_device_error(source: Path, tmp_path: Path) -> None:
    with pytest.raises(DeviceError):
        export(source, tmp_path / "plans", to="tensorrt", precision="fp16")
    assert names(tmp_path) == ["network.onnx"]


# ---- refusals ------------------------------------------------------------------------------------


@pytest.mark.parametrize("length", [0, 1, 20, 100, -1])
def test_a_damaged_source_is_a_model_error(tmp_path: Path, length: int) -> None:
    source = tmp_path / "bad.onnx"
    source.write_bytes(PLAIN[:length])
    for precision in ("fp32", "fp16", "int8"):
        with pytest.raises(ModelError, match=r"bad\.onnx"):
            export(source, tmp_path / "out.onnx", precision=precision)  # type: ignore[arg-type]
    assert names(tmp_path) == ["bad.onnx"]


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"to": "coreml"}, InputError, "to: expected one of onnx, tensorrt"),
        ({"precision": "fp8"}, InputError, "precision: expected one of"),
        ({"keep": ["conv_y"]}, InputError, "keep: expected nothing for fp32"),
        ({"keep": ["nobody"], "precision": "fp16"}, InputError, "keep: .*'nobody'"),
        ({"target": 5}, InputTypeError, "target: expected a path"),
        ({"target": "out.plan"}, InputError, r"target: expected a name that ends in \.onnx"),
        ({"target": "network.onnx"}, InputError, "target: expected another file"),
        ({"target": "folder.onnx"}, InputError, "target: expected a file's name"),
        ({"target": "absent/out.onnx"}, StorageError, "out.onnx: cannot be written: no such file"),
        ({"source": "absent.onnx"}, ModelError, "absent.onnx: expected an ONNX file"),
        ({"images": [np.ones((1, 4, 8, 9), np.float32)]}, InputError, "feeds"),
        ({"images": [np.ones((1, 4, 8, 8))]}, InputTypeError, "feeds"),
        ({"images": []}, InputError, "images"),
        ({"to": "tensorrt", "score": len}, InputError, "score: expected nothing for TensorRT"),
        ({"to": "tensorrt", "source": 5}, InputTypeError, "source: expected the path"),
    ],
)
def test_wrong_arguments_are_refused(
    source: Path, tmp_path: Path, change: dict[str, Any], error: type[Exception], words: str
) -> None:
    (tmp_path / "folder.onnx").mkdir()
    settings: dict[str, Any] = {"source": source, "target": "out.onnx", **change}
    for name in ("source", "target"):
        if isinstance(settings[name], str):
            settings[name] = tmp_path / settings[name]
    with pytest.raises(error, match=words):
        export(settings.pop("source"), settings.pop("target"), **settings)
    assert names(tmp_path) == ["folder.onnx", "network.onnx"]
    assert source.read_bytes() == PLAIN


def test_a_full_disk_is_a_storage_error(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(module.os, "fsync", full)
    with pytest.raises(StorageError, match="no space left"):
        export(source, tmp_path / "out.onnx")
    assert names(tmp_path) == ["network.onnx"]
