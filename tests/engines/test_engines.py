"""`open_engine`: which engine, on which device, for how many items; and what is refused."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, get_args

import numpy as np
import pytest
import tiny_networks as tiny

from pyposefast.engines import EngineName, batches, machine, open_engine
from pyposefast.errors import (
    DeviceError,
    InputError,
    InputTypeError,
    ModelError,
    UntrustedModelError,
)

if TYPE_CHECKING:
    from pathlib import Path

pytest.importorskip("onnxruntime", reason="ONNX Runtime is the extra `cpu`")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tiny.save(tiny.convolution(), tmp_path / "net.onnx")


def images(count: int) -> Any:
    return np.random.default_rng(2).normal(size=(count, 3, 16, 12)).astype(np.float32)


def test_onnx_runtime_is_the_default(path: Path) -> None:
    with open_engine(path) as network:
        assert network.name == "onnx_runtime"
        assert network.device in ("cpu", "cuda:0")


@pytest.mark.parametrize("name", ["onnx_runtime", "openvino"])
@pytest.mark.parametrize("mode", ["latency", "throughput"])
def test_a_network_for_one_item_takes_any_number(path: Path, name: EngineName, mode: Any) -> None:
    if name == "openvino":
        pytest.importorskip("openvino", reason="OpenVINO is the extra `openvino`")
    with open_engine(path, engine=name, device="cpu", mode=mode) as network:
        assert network.inputs[0].shape == (None, 3, 16, 12)
        many = network.run({"image": images(5)})["maps"]
        assert many.shape == (5, 4, 16, 12)
        for index in range(5):
            one = network.run({"image": images(5)[index : index + 1]})["maps"]
            assert np.array_equal(many[index : index + 1], one)
    with open_engine(path, engine=name, device="cpu", batched=False) as network:
        assert network.inputs[0].shape == (1, 3, 16, 12)


def test_as_many_items_run_at_once_as_there_are_cores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "usable_cores", lambda: 4)
    fixed = tiny.save(tiny.convolution(), tmp_path / "fixed.onnx")
    free = tiny.save(tiny.convolution("n"), tmp_path / "free.onnx")

    def parallel(path: Path, **settings: Any) -> int | None:
        with open_engine(path, device="cpu", **settings) as network:
            return network._parallel if isinstance(network, batches.Batched) else None

    assert parallel(fixed) == 4
    assert parallel(fixed, threads=4) == 1
    assert parallel(fixed, mode="throughput") == 4
    assert parallel(fixed, mode="throughput", threads=2) == 2
    assert parallel(fixed, mode="throughput", threads=8) == 1
    assert parallel(free) == 4
    assert parallel(free, mode="throughput") == 4
    assert parallel(free, mode="throughput", batched=False) is None


def test_a_free_axis_that_is_not_the_batch_is_left_alone(tmp_path: Path) -> None:
    # n items in, m boxes out: nothing says that they belong together.
    network = tiny.scaled("n")
    network.graph.output[0].type.tensor_type.shape.dim[0].dim_param = "m"
    opened = open_engine(tiny.save(network, tmp_path / "net.onnx"), mode="throughput")
    assert not isinstance(opened, batches.Batched)
    opened.close()


def test_words_have_to_be_known(path: Path) -> None:
    refused: list[tuple[dict[str, Any], type[Exception], str]] = [
        ({"engine": "onnx"}, InputError, "engine: expected one of onnx_runtime, openvino"),
        ({"precision": "fp8"}, InputError, "precision: expected one of fp32, fp16, int8"),
        ({"mode": "fast"}, InputError, "mode: expected one of latency, throughput"),
        ({"device": "gpu"}, InputError, 'device: expected "auto", "cpu", "cuda" or "cuda:1"'),
        ({"device": "cuda:-1"}, InputError, "device"),
        ({"device": 0}, InputTypeError, "device"),
        ({"threads": "2"}, InputTypeError, "threads"),
        ({"strict": 1}, InputTypeError, "strict"),
        ({"batched": None}, InputTypeError, "batched"),
        ({"profile": 1}, InputError, "options: expected of onnx_runtime: .*tensor_rt, got profile"),
        ({"precision": "int8"}, InputError, "precision: expected fp32 or fp16 with onnx_runtime"),
        ({"engine": "openvino", "spinning": True}, InputError, "spinning: expected None"),
    ]
    for settings, error, text in refused:
        with pytest.raises(error, match=text):
            open_engine(path, **settings)


def test_only_files_of_onnx_are_opened(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="cannot be read"):
        open_engine(tmp_path / "absent.onnx")
    (tmp_path / "net.pt").write_bytes(b"PK\x03\x04")
    with pytest.raises(UntrustedModelError, match="pickle"):
        open_engine(tmp_path / "net.pt")
    with pytest.raises(InputTypeError, match="path: expected the path of an ONNX file"):
        open_engine(object())


def test_tensor_rt_needs_a_gpu(path: Path) -> None:
    if machine.cuda_device_count():
        pytest.skip("there is a GPU: what follows is tested in test_tensor_rt.py")
    with pytest.raises((DeviceError, ImportError)):
        open_engine(path, engine="tensor_rt")


def test_half_precision_is_converted_and_not_pretended(tmp_path: Path) -> None:
    precision = pytest.importorskip("pyposefast.precision", reason="the fp16 pass")
    del precision
    network = tiny.convolution()
    path = tiny.save(network, tmp_path / "net.onnx")
    with (
        open_engine(path, device="cpu") as full,
        open_engine(path, device="cpu", precision="fp16") as half,
    ):
        assert half.inputs == full.inputs
        assert half.outputs == full.outputs
        expected, results = full.run({"image": images(2)}), half.run({"image": images(2)})
    difference = np.abs(results["maps"] - expected["maps"]).max()
    # Inputs, weights and the result are rounded to 11 bits, 27 products and a bias among them.
    size = float(np.abs(expected["maps"]).max())
    assert 0 < difference <= 30 * 2**-11 * size


def test_every_engine_offers_the_protocol() -> None:
    from pyposefast.engines.onnx_runtime import OnnxRuntime
    from pyposefast.engines.openvino import OpenVino
    from pyposefast.engines.pytorch import PyTorch

    assert get_args(EngineName) == ("onnx_runtime", "openvino", "pytorch", "tensor_rt")
    for engine in (OnnxRuntime, OpenVino, PyTorch, batches.Batched):
        run = inspect.signature(engine.run)
        assert list(run.parameters) == ["self", "feeds", "out", "stream"]
        assert list(inspect.signature(engine.warmup).parameters) == ["self", "batches"]
