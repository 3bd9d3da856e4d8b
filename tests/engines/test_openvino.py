"""OpenVINO as an engine: what ONNX Runtime gives, to rounding, and the same contract."""

from __future__ import annotations

import concurrent.futures
import sys
import threading
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import tiny_networks as tiny
from forks import in_a_fork
from onnx import helper

from pyposefast.engines.onnx_runtime import OnnxRuntime
from pyposefast.engines.openvino import OpenVino
from pyposefast.errors import DeviceError, EngineError, InputError, ModelError

if TYPE_CHECKING:
    from pathlib import Path

pytest.importorskip("openvino", reason="OpenVINO is the extra `openvino`")
pytest.importorskip("onnxruntime", reason="ONNX Runtime is the extra `cpu`")

# 27 products and a bias, and a mean of 192 such: each sum of n float32 terms errs by at most
# n * 2^-24 of the sum of the terms' sizes, which stays below 64 here; two engines, so twice.
TOLERANCE = 2 * 28 * 2**-24 * 64


def image(batch: int = 1, seed: int = 3) -> Any:
    random = np.random.default_rng(seed)
    return random.normal(size=(batch, 3, 16, 12)).astype(np.float32)


@pytest.mark.parametrize("batch", [1, "n"])
@pytest.mark.parametrize("mode", ["latency", "throughput"])
def test_results_are_those_of_onnx_runtime(tmp_path: Path, batch: int | str, mode: Any) -> None:
    path = tiny.save(tiny.convolution(batch), tmp_path / "net.onnx")
    feeds = {"image": image(1 if batch == 1 else 5)}
    theirs, ours = OnnxRuntime(path, device="cpu"), OpenVino(path, mode=mode)
    assert ours.inputs == theirs.inputs
    assert ours.outputs == theirs.outputs
    expected, results = theirs.run(feeds), ours.run(feeds)
    assert list(results) == ["maps", "means"]
    for name, result in results.items():
        assert result.shape == expected[name].shape
        assert np.abs(result - expected[name]).max() <= TOLERANCE


@pytest.mark.parametrize("batch", [1, "n"])
def test_results_go_into_the_buffers_that_were_given(tmp_path: Path, batch: int | str) -> None:
    network = OpenVino(tiny.save(tiny.convolution(batch), tmp_path / "net.onnx"))
    feeds = {"image": image()}
    expected = network.run(feeds)
    maps = np.full((1, 4, 16, 12), np.nan, np.float32)
    results = network.run(feeds, out={"maps": maps})
    assert results["maps"] is maps
    assert np.array_equal(maps, expected["maps"])
    network.run({"image": image(seed=9)})  # by the same request: it must have let go of the buffer
    assert np.array_equal(maps, expected["maps"])
    assert np.array_equal(results["means"], expected["means"])
    with pytest.raises(InputError, match="memory in use"):
        network.run(feeds, out={"maps": maps, "means": maps.reshape(-1)[:4].reshape(1, 4)})


def test_a_buffer_of_the_wrong_size_on_a_free_axis_is_refused(tmp_path: Path) -> None:
    network = OpenVino(tiny.save(tiny.convolution("n"), tmp_path / "net.onnx"))
    for size in (1, 3):
        out = {"maps": np.full((size, 4, 16, 12), 7, np.float32)}
        with pytest.raises(EngineError, match=r"the network gave \[2, 4, 16, 12\]"):
            network.run({"image": image(2)}, out=out)
        assert (out["maps"] == 7).all()


def test_feeds_are_read_and_not_written(tmp_path: Path) -> None:
    network = OpenVino(tiny.save(tiny.convolution(), tmp_path / "net.onnx"))
    feed = image()
    feed.flags.writeable = False
    expected = network.run({"image": feed.copy()})["maps"]
    assert np.array_equal(network.run({"image": feed})["maps"], expected)
    with pytest.raises(InputError, match=r'feeds\["image"\]'):
        network.run({"image": image(2)})
    with pytest.raises(InputError, match="stream"):
        network.run({"image": feed}, stream=3)


def test_torch_tensors_go_in_and_come_out(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch", reason="Torch is the extra `torch`")
    network = OpenVino(tiny.save(tiny.convolution(), tmp_path / "net.onnx"))
    result = network.run({"image": torch.from_numpy(image())})["maps"]
    assert isinstance(result, torch.Tensor)
    assert np.array_equal(result.numpy(), network.run({"image": image()})["maps"])


def test_chosen_outputs_come_alone(tmp_path: Path) -> None:
    path = tiny.save(tiny.convolution(), tmp_path / "net.onnx")
    expected = OpenVino(path).run({"image": image()})
    network = OpenVino(path, outputs=["means"])
    assert [port.name for port in network.outputs] == ["means"]
    assert np.array_equal(network.run({"image": image()})["means"], expected["means"])
    swapped = OpenVino(path, outputs=["means", "maps"]).run({"image": image()})
    assert list(swapped) == ["means", "maps"]
    assert np.array_equal(swapped["maps"], expected["maps"])


def test_a_result_may_have_any_shape(tmp_path: Path) -> None:
    network = OpenVino(tiny.save(tiny.counting(), tmp_path / "net.onnx"))
    for values in ([0, 5, 0, 7], [0], [1]):
        feed = np.array(values, np.float32)
        assert network.run({"x": feed})["places"].tolist() == [np.flatnonzero(feed).tolist()]


def test_weights_beside_the_file_are_found(tmp_path: Path) -> None:
    (tmp_path / "w.bin").write_bytes(np.array([2, 3, 4], np.float32).tobytes())
    network = tiny.scaled()
    network.graph.initializer[0].CopyFrom(tiny.outside("w.bin"))
    opened = OpenVino(tiny.save(network, tmp_path / "net.onnx"))
    assert opened.run({"x": np.ones((1, 3), np.float32)})["y"].tolist() == [[2, 3, 4]]


def test_eight_threads_get_the_same_bytes(tmp_path: Path) -> None:
    network = OpenVino(tiny.save(tiny.convolution("n"), tmp_path / "net.onnx"), threads=2)
    feeds = [image(2, seed) for seed in range(8)]
    expected = [network.run({"image": feed})["maps"].tobytes() for feed in feeds]
    start = threading.Barrier(8)

    def work(index: int) -> bool:
        start.wait()
        results = [network.run({"image": feeds[index]})["maps"] for _ in range(30)]
        return all(result.tobytes() == expected[index] for result in results)

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        assert all(pool.map(work, range(8)))


def test_a_closed_engine_says_so(tmp_path: Path) -> None:
    with OpenVino(tiny.save(tiny.convolution(), tmp_path / "net.onnx")) as network:
        network.warmup()
    network.close()
    with pytest.raises(EngineError, match=r"net\.onnx: the engine is closed"):
        network.run({"image": image()})


def test_a_fork_is_told_to_open_its_own_and_does_not_hang(tmp_path: Path) -> None:
    networks = [OpenVino(tiny.save(tiny.convolution(), tmp_path / "net.onnx"))]
    networks[0].run({"image": image()})

    def child() -> None:
        with pytest.raises(EngineError, match="spawn"):
            networks[0].run({"image": image()})
        # Freeing a compiled network waits for its threads, of which there are none here.
        networks.pop().close()

    in_a_fork(child)
    networks[0].run({"image": image()})


def test_what_it_cannot_do_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tiny.save(tiny.convolution(), tmp_path / "net.onnx")
    with pytest.raises(DeviceError, match=r"expected cpu or auto with OpenVINO, got cuda:0"):
        OpenVino(path, device="cuda:0")
    with pytest.raises(InputError, match="precision: expected fp32 with OpenVINO, got fp16"):
        OpenVino(path, precision="fp16")
    network = tiny.model(
        [helper.make_node("Frobnicate", ["x"], ["y"])],
        [tiny.value("x", [1])],
        [tiny.value("y", [1])],
    )
    with pytest.raises((ModelError, EngineError), match="Frobnicate"):
        OpenVino(tiny.save(network, tmp_path / "odd.onnx"))
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(ImportError, match=r'hint: pip install "pyposefast\[openvino\]"'):
        OpenVino(path)


def test_precision_is_kept(tmp_path: Path) -> None:
    network = OpenVino(tiny.save(tiny.convolution(), tmp_path / "net.onnx"))
    compiled, _ = network._held.get()
    assert compiled.get_property("INFERENCE_PRECISION_HINT").get_type_name() == "f32"
    assert compiled.get_property("DYNAMIC_QUANTIZATION_GROUP_SIZE") == 0
