"""ONNX Runtime as an engine: results, buffers, checks, threads, forks, failures."""

from __future__ import annotations

import concurrent.futures
import gc
import sys
import threading
import weakref
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import tiny_networks as tiny
from emulated_array import EmulatedArray
from forks import in_a_fork
from mutants import mutant
from onnx import helper

from pyposefast.engines import machine
from pyposefast.engines.onnx_runtime import OnnxRuntime
from pyposefast.errors import (
    DeviceMismatchError,
    EngineError,
    InputError,
    InputTypeError,
    ModelError,
)

if TYPE_CHECKING:
    from pathlib import Path

onnxruntime = pytest.importorskip("onnxruntime", reason="ONNX Runtime is the extra `cpu`")


@pytest.fixture
def network(tmp_path: Path) -> OnnxRuntime:
    return OnnxRuntime(tiny.save(tiny.convolution(), tmp_path / "net.onnx"), device="cpu")


def image(batch: int = 1, seed: int = 3) -> Any:
    random = np.random.default_rng(seed)
    return random.normal(size=(batch, 3, 16, 12)).astype(np.float32)


# ---- what it gives -------------------------------------------------------------------------------


def test_ports_are_those_of_the_file(network: OnnxRuntime) -> None:
    assert [str(port) for port in network.inputs] == ["float32 [1, 3, 16, 12]"]
    assert [port.name for port in network.outputs] == ["maps", "means"]
    assert network.device == "cpu"


def test_results_are_those_of_the_runtime_itself(tmp_path: Path) -> None:
    path = tiny.save(tiny.convolution(), tmp_path / "net.onnx")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    expected = session.run(["maps", "means"], {"image": image()})
    results = OnnxRuntime(path, device="cpu", threads=1).run({"image": image()})
    assert list(results) == ["maps", "means"]
    assert np.array_equal(results["maps"], expected[0])
    assert np.array_equal(results["means"], expected[1])


def test_a_free_axis_takes_any_size(tmp_path: Path) -> None:
    path = tiny.save(tiny.convolution("n"), tmp_path / "net.onnx")
    network = OnnxRuntime(path, device="cpu")
    assert network.inputs[0].shape == (None, 3, 16, 12)
    assert network.run({"image": image(5)})["maps"].shape == (5, 4, 16, 12)
    assert network.is_batch_free
    network.warmup([1, 4])


def test_dtypes_are_those_of_the_network(tmp_path: Path) -> None:
    network = OnnxRuntime(tiny.save(tiny.bytes_to_float(), tmp_path / "net.onnx"), device="cpu")
    assert [port.dtype for port in network.inputs] == ["uint8", "float32"]
    picture = np.array([[1, 2, 3, 255]], np.uint8)
    results = network.run({"offset": np.full((1, 4), 0.5, np.float32), "picture": picture})
    assert results["sum"].tolist() == [[1.5, 2.5, 3.5, 255.5]]


def test_chosen_outputs_come_alone_and_in_the_chosen_order(tmp_path: Path) -> None:
    path = tiny.save(tiny.convolution(), tmp_path / "net.onnx")
    assert list(OnnxRuntime(path, outputs=["means"]).run({"image": image()})) == ["means"]
    both = OnnxRuntime(path, outputs=["means", "maps"])
    assert [port.name for port in both.outputs] == ["means", "maps"]
    out = {"means": np.empty((1, 4), np.float32)}
    assert both.run({"image": image()}, out=out)["maps"].shape == (1, 4, 16, 12)
    for wrong in (["nose"], [], ["maps", "maps"]):
        with pytest.raises(InputError, match="outputs: expected some of maps, means"):
            OnnxRuntime(path, outputs=wrong)
    with pytest.raises(InputTypeError, match="names of outputs"):
        OnnxRuntime(path, outputs="maps")


def test_weights_beside_the_file_are_found(tmp_path: Path) -> None:
    (tmp_path / "w.bin").write_bytes(np.array([2, 3, 4], np.float32).tobytes())
    network = tiny.scaled()
    network.graph.initializer[0].CopyFrom(tiny.outside("w.bin"))
    opened = OnnxRuntime(tiny.save(network, tmp_path / "net.onnx"), device="cpu")
    ones = np.ones((1, 3), np.float32)
    assert opened.run({"x": ones})["y"].tolist() == [[2, 3, 4]]


# ---- buffers -------------------------------------------------------------------------------------


def test_results_go_into_the_buffers_that_were_given(network: OnnxRuntime) -> None:
    expected = network.run({"image": image()})
    maps = np.full((1, 4, 16, 12), np.nan, np.float32)
    results = network.run({"image": image()}, out={"maps": maps})
    assert results["maps"] is maps
    assert np.array_equal(maps, expected["maps"])
    assert np.array_equal(results["means"], expected["means"])


def test_results_are_the_callers_own(network: OnnxRuntime) -> None:
    first = network.run({"image": image(seed=1)})["maps"]
    before = first.copy()
    network.run({"image": image(seed=2)})
    network.close()
    gc.collect()
    assert np.array_equal(first, before)
    first[:] = 0  # and may be written to


def test_a_buffer_of_the_wrong_size_on_a_free_axis_is_refused(tmp_path: Path) -> None:
    path = tiny.save(tiny.convolution("n"), tmp_path / "net.onnx")
    network = OnnxRuntime(path, device="cpu")
    for size in (1, 3):
        out = {"maps": np.full((size, 4, 16, 12), 7, np.float32)}
        with pytest.raises(EngineError, match=r"outputs maps have to fit"):
            network.run({"image": image(2)}, out=out)
        assert (out["maps"] == 7).all()


@pytest.mark.parametrize(
    ("buffer", "error", "text"),
    [
        (np.empty((1, 4, 16, 11), np.float32), InputError, r"got float32 \[1, 4, 16, 11\]"),
        (np.empty((1, 4, 16, 12), np.float64), InputTypeError, "got float64"),
        (np.empty((1, 4, 16, 24), np.float32)[..., ::2], InputError, "C-contiguous"),
        (np.broadcast_to(np.float32(0), (1, 4, 16, 12)), InputError, "C-contiguous"),
        ([1.0], InputTypeError, "expected an array"),
    ],
)
def test_buffers_have_to_fit(
    network: OnnxRuntime, buffer: Any, error: type[Exception], text: str
) -> None:
    with pytest.raises(error, match=rf'out\["maps"\].*{text}'):
        network.run({"image": image()}, out={"maps": buffer})


def test_a_read_only_buffer_is_refused(network: OnnxRuntime) -> None:
    buffer = np.zeros((1, 4, 16, 12), np.float32)
    buffer.flags.writeable = False
    with pytest.raises(InputError, match="read-only"):
        network.run({"image": image()}, out={"maps": buffer})


def test_buffers_share_no_memory_with_anything_else(tmp_path: Path) -> None:
    network = OnnxRuntime(tiny.save(tiny.scaled(), tmp_path / "net.onnx"), device="cpu")
    feed = np.ones((2, 3), np.float32)
    with pytest.raises(InputError, match="memory in use"):
        network.run({"x": feed}, out={"y": feed})


def test_nothing_keeps_the_callers_arrays(network: OnnxRuntime) -> None:
    class Mine(np.ndarray[Any, Any]):
        pass

    feed, buffer = image().view(Mine), np.empty((1, 4, 16, 12), np.float32).view(Mine)
    gone = [weakref.ref(feed), weakref.ref(buffer)]
    network.run({"image": feed}, out={"maps": buffer})
    del feed, buffer
    gc.collect()
    assert [each() for each in gone] == [None, None]


# ---- feeds ---------------------------------------------------------------------------------------


def test_torch_tensors_go_in_and_come_out(network: OnnxRuntime) -> None:
    torch = pytest.importorskip("torch", reason="Torch is the extra `torch`")
    expected = network.run({"image": image()})["maps"]
    tensor = torch.from_numpy(image())
    results = network.run({"image": tensor})
    assert isinstance(results["maps"], torch.Tensor)
    assert np.array_equal(results["maps"].numpy(), expected)
    out = torch.empty(1, 4, 16, 12)
    results = network.run({"image": tensor}, out={"maps": out})
    assert results["maps"] is out
    assert np.array_equal(out.numpy(), expected)
    assert isinstance(results["means"], torch.Tensor)
    with pytest.raises(InputTypeError, match="requires grad"):
        network.run({"image": tensor.clone().requires_grad_()})


def test_whatever_numpy_can_look_at_goes_in(network: OnnxRuntime) -> None:
    expected = network.run({"image": image()})["maps"]
    view = memoryview(image())
    assert np.array_equal(network.run({"image": view})["maps"], expected)
    read_only = image()
    read_only.flags.writeable = False
    assert np.array_equal(network.run({"image": read_only})["maps"], expected)


@pytest.mark.parametrize(
    ("feed", "error", "text"),
    [
        (image()[0], InputError, r"expected float32 \[1, 3, 16, 12\], got float32 \[3, 16, 12\]"),
        (image(2), InputError, r"got float32 \[2, 3, 16, 12\]"),
        (image().astype(np.float64), InputTypeError, "got float64"),
        (image().astype(">f4"), InputTypeError, "got >f4"),
        (image().transpose(0, 1, 3, 2).copy().transpose(0, 1, 3, 2), InputError, "C-contiguous"),
        (image().tolist(), InputTypeError, "expected an array"),
        (np.ma.masked_less(image(), 0), InputTypeError, "mask"),
        (None, InputTypeError, "NoneType"),
    ],
)
def test_feeds_have_to_fit(
    network: OnnxRuntime, feed: Any, error: type[Exception], text: str
) -> None:
    with pytest.raises(error, match=rf'feeds\["image"\].*{text}'):
        network.run({"image": feed})


def test_names_have_to_be_those_of_the_network(network: OnnxRuntime) -> None:
    for feeds in ({}, {"picture": image()}, {"image": image(), "more": image()}):
        with pytest.raises(InputError, match="feeds: expected image, got"):
            network.run(feeds)
    with pytest.raises(InputTypeError, match="a mapping of names to arrays, got ndarray"):
        network.run(image())
    with pytest.raises(InputError, match="out: expected maps, means, got nose"):
        network.run({"image": image()}, out={"nose": image()})


def test_arrays_of_another_device_are_refused(network: OnnxRuntime) -> None:
    feed = EmulatedArray(image())
    with pytest.raises(DeviceMismatchError, match=r"on cuda:0 but the network is on the CPU"):
        network.run({"image": feed})
    with pytest.raises(InputError, match="stream: expected None"):
        network.run({"image": image()}, stream=7)


# ---- life ----------------------------------------------------------------------------------------


def test_eight_threads_get_the_same_bytes(tmp_path: Path) -> None:
    network = OnnxRuntime(tiny.save(tiny.convolution("n"), tmp_path / "net.onnx"), threads=2)
    feeds = [image(2, seed) for seed in range(8)]
    expected = [network.run({"image": feed})["maps"].tobytes() for feed in feeds]
    start = threading.Barrier(8)

    def work(index: int) -> bool:
        start.wait()
        buffer = np.empty((2, 4, 16, 12), np.float32)
        for _ in range(50):
            plain = network.run({"image": feeds[index]})["maps"]
            network.run({"image": feeds[index]}, out={"maps": buffer})
            if not plain.tobytes() == buffer.tobytes() == expected[index]:
                return False
        return True

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        assert all(pool.map(work, range(8)))


def test_a_closed_engine_says_so(network: OnnxRuntime) -> None:
    with network as opened:
        opened.warmup()
    network.close()
    with pytest.raises(EngineError, match=r"net\.onnx: the engine is closed"):
        network.run({"image": image()})


def test_an_engine_can_be_closed_while_others_run(network: OnnxRuntime) -> None:
    def go_on() -> None:
        while True:
            network.run({"image": image()})

    def work() -> None:
        with pytest.raises(EngineError, match="closed"):
            go_on()

    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        futures = [pool.submit(work) for _ in range(3)]
        network.run({"image": image()})
        network.close()
        for future in futures:
            future.result()


def test_a_fork_is_told_to_open_its_own(network: OnnxRuntime) -> None:
    def child() -> None:
        with pytest.raises(EngineError, match="spawn"):
            network.run({"image": image()})
        network.close()

    network.run({"image": image()})
    in_a_fork(child)
    network.run({"image": image()})


# ---- settings ------------------------------------------------------------------------------------


def options_of(network: OnnxRuntime) -> Any:
    return network._held.get().get_session_options()


def test_threads_follow_the_mode(tmp_path: Path) -> None:
    path = tiny.save(tiny.convolution(), tmp_path / "net.onnx")
    spinning = "session.intra_op.allow_spinning"
    latency, throughput = OnnxRuntime(path), OnnxRuntime(path, mode="throughput")
    assert options_of(latency).intra_op_num_threads == machine.usable_cores()
    assert options_of(latency).get_session_config_entry(spinning) == "1"
    assert options_of(throughput).intra_op_num_threads == 1
    assert options_of(throughput).get_session_config_entry(spinning) == "0"
    own = OnnxRuntime(path, threads=3, spinning=False)
    assert options_of(own).intra_op_num_threads == 3
    assert options_of(own).get_session_config_entry(spinning) == "0"
    with pytest.raises(InputError, match="threads"):
        OnnxRuntime(path, threads=0)
    with pytest.raises(InputTypeError, match="spinning"):
        OnnxRuntime(path, spinning=1)  # type: ignore[arg-type]


def test_warming_up_needs_to_know_the_sizes(tmp_path: Path) -> None:
    network = tiny.model(
        [helper.make_node("Relu", ["x"], ["y"])],
        [tiny.value("x", ["n", 3, "h", "w"])],
        [tiny.value("y", ["n", 3, "h", "w"])],
    )
    opened = OnnxRuntime(tiny.save(network, tmp_path / "net.onnx"), device="cpu")
    with pytest.raises(InputError, match=r"all sizes but the first fixed, got float32 \[any, 3,"):
        opened.warmup()


# ---- failures ------------------------------------------------------------------------------------


def test_a_failing_run_says_why_on_one_line(tmp_path: Path) -> None:
    shape = tiny.weight("shape", np.array([1, 6], np.int64))
    network = tiny.model(
        [helper.make_node("Reshape", ["x", "shape"], ["y"])],
        [tiny.value("x", ["n", 3])],
        [tiny.value("y", [1, 6])],
        [shape],
    )
    opened = OnnxRuntime(tiny.save(network, tmp_path / "net.onnx"), device="cpu")
    assert opened.run({"x": np.zeros((2, 3), np.float32)})["y"].shape == (1, 6)
    with pytest.raises(EngineError, match=r"onnx_runtime: Non-zero status.*Reshape") as caught:
        opened.run({"x": np.zeros((3, 3), np.float32)})
    assert "\n" not in str(caught.value)
    assert "/onnxruntime_src/" not in str(caught.value)


def test_an_operator_that_nobody_knows_is_the_files_fault(tmp_path: Path) -> None:
    network = tiny.model(
        [helper.make_node("Frobnicate", ["x"], ["y"])],
        [tiny.value("x", [1])],
        [tiny.value("y", [1])],
    )
    with pytest.raises(ModelError, match=r"net\.onnx: ONNX Runtime refuses it: .*Frobnicate"):
        OnnxRuntime(tiny.save(network, tmp_path / "net.onnx"))


def test_a_sequence_is_no_array(tmp_path: Path) -> None:
    network = tiny.model(
        [helper.make_node("SequenceConstruct", ["x"], ["y"])],
        [tiny.value("x", [1])],
        [helper.make_tensor_sequence_value_info("y", tiny.FLOAT, [1])],
    )
    with pytest.raises(ModelError, match=r"y is a seq\(tensor\(float\)\)"):
        OnnxRuntime(tiny.save(network, tmp_path / "net.onnx"))


def test_mutants_end_in_typed_errors(tmp_path: Path) -> None:
    random = np.random.default_rng(5)
    original = tiny.convolution().SerializeToString()
    path = tmp_path / "net.onnx"
    opened = 0
    for _ in range(120):
        path.write_bytes(mutant(random, original))
        try:
            with OnnxRuntime(path, device="cpu", threads=1) as network:
                opened += 1
                network.warmup()
        except (ModelError, EngineError, InputError):
            pass
    assert opened > 0


def test_an_absent_runtime_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tiny.save(tiny.convolution(), tmp_path / "net.onnx")
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(ImportError, match=r'hint: pip install "pyposefast\[cpu\]"'):
        OnnxRuntime(path)
