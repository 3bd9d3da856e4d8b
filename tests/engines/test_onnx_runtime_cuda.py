"""ONNX Runtime on CUDA: what is bound where, and that nothing falls back to the CPU in silence.

Where there is no GPU, a stand-in runs on the CPU what is bound for a device: that shows which
pointers, shapes and dtypes are bound, and nothing of CUDA itself.
"""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import tiny_networks as tiny

from pyposefast.engines import machine
from pyposefast.engines.onnx_runtime import OnnxRuntime
from pyposefast.errors import DeviceError, DeviceMismatchError, EngineError, InputError

if TYPE_CHECKING:
    from pathlib import Path

onnxruntime = pytest.importorskip("onnxruntime", reason="ONNX Runtime is the extra `cpu`")


def image(batch: int = 1) -> Any:
    return np.random.default_rng(3).normal(size=(batch, 3, 16, 12)).astype(np.float32)


def test_cuda_needs_a_runtime_that_has_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tiny.save(tiny.convolution(), tmp_path / "net.onnx")
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CPUExecutionProvider"])
    with pytest.raises(DeviceError, match="with CUDAExecutionProvider, got"):
        OnnxRuntime(path, device="cuda")
    with pytest.raises(DeviceError, match="with TensorrtExecutionProvider"):
        OnnxRuntime(path, device="cuda:1", tensor_rt=True)
    with pytest.raises(InputError, match="since tensor_rt is True"):
        OnnxRuntime(path, device="cpu", tensor_rt=True)
    assert OnnxRuntime(path, device="auto").device == "cpu"


@pytest.fixture
def pretended_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    """ONNX Runtime says that it has CUDA and then, as it does, goes on with the CPU."""
    names = ["TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider"]
    session = onnxruntime.InferenceSession

    def on_the_cpu(data: bytes, settings: Any, providers: Any, **more: Any) -> Any:
        del providers
        return session(data, settings, providers=["CPUExecutionProvider"], **more)

    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: names)
    monkeypatch.setattr(onnxruntime, "InferenceSession", on_the_cpu)
    monkeypatch.setattr(onnxruntime, "preload_dlls", lambda: None, raising=False)
    monkeypatch.setattr(machine, "cuda_device_count", lambda: 1)


@pytest.mark.usefixtures("pretended_cuda")
def test_falling_back_to_the_cpu_is_never_silent(tmp_path: Path) -> None:
    path = tiny.save(tiny.convolution(), tmp_path / "net.onnx")
    with pytest.raises(
        EngineError, match="expected the network on CUDAExecutionProvider, got CPUExecutionProvider"
    ):
        OnnxRuntime(path, device="cuda")
    with pytest.raises(EngineError, match="expected the network on TensorrtExecutionProvider"):
        OnnxRuntime(path, device="cuda", tensor_rt=True)
    with pytest.raises(DeviceError, match="expected cuda:1, got a machine with 1 CUDA devices"):
        OnnxRuntime(path, device="cuda:1")
    with pytest.warns(RuntimeWarning, match="expected the network on CUDAExecution"):
        network = OnnxRuntime(path, device="cuda", strict=False)
    assert network.device == "cpu"
    with pytest.warns(RuntimeWarning, match="expected the network on CUDAExecution"):
        assert OnnxRuntime(path, device="auto").device == "cpu"


class HostCuPy:
    """A stand-in for CuPy whose device is the host: what is bound by pointer can be followed."""

    class Place:
        id = 0

        def __enter__(self) -> None: ...

        def __exit__(self, *_: object) -> None: ...

    class ndarray:  # noqa: N801  CuPy's name
        def __init__(self, host: Any) -> None:
            self.host, self.shape, self.dtype = host, host.shape, host.dtype
            self.device = HostCuPy.Place()
            self.__cuda_array_interface__ = host.__array_interface__

    def __init__(self) -> None:
        self.waited: list[int] = []
        waited = self.waited

        class ExternalStream:
            def __init__(self, pointer: int, index: int) -> None:
                assert index == 0
                self.pointer = pointer

            def synchronize(self) -> None:
                waited.append(self.pointer)

        stream = SimpleNamespace(ptr=5)
        self.cuda = SimpleNamespace(
            Device=lambda _: HostCuPy.Place(),
            ExternalStream=ExternalStream,
            get_current_stream=lambda: stream,
        )

    def empty(self, shape: Any, dtype: str) -> Any:
        return self.ndarray(np.empty(shape, dtype))

    def array(self, found: Any) -> Any:
        interface = SimpleNamespace(__array_interface__=found.__cuda_array_interface__)
        return self.ndarray(np.array(interface))


class HostSession:
    """A session on the CPU that says it is on CUDA, and takes what is bound there for its own."""

    def __init__(self, session: Any) -> None:
        self.session = session

    def __getattr__(self, name: str) -> Any:
        return getattr(self.session, name)

    def get_providers(self) -> list[str]:
        return ["CUDAExecutionProvider", "CPUExecutionProvider"]

    def io_binding(self) -> Any:
        binding = self.session.io_binding()
        to_input, to_output = binding.bind_input, binding.bind_output

        def bind_input(name: str, place: str, *rest: Any) -> None:
            assert place == "cuda"
            to_input(name, "cpu", *rest)

        def bind_output(name: str, place: str = "cpu", *rest: Any) -> None:
            to_output(name, "cpu", *rest)
            del place

        binding.bind_input, binding.bind_output = bind_input, bind_output
        return binding


@pytest.mark.usefixtures("pretended_cuda")
@pytest.mark.parametrize("batch", [1, "n"])
def test_arrays_on_a_device_are_bound_where_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, batch: int | str
) -> None:
    path = tiny.save(tiny.convolution(batch), tmp_path / "net.onnx")
    expected = OnnxRuntime(path, device="cpu").run({"image": image()})
    on_the_cpu, cupy = onnxruntime.InferenceSession, HostCuPy()
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    monkeypatch.setattr(
        onnxruntime, "InferenceSession", lambda *a, **k: HostSession(on_the_cpu(*a, **k))
    )
    network = OnnxRuntime(path, device="cuda")
    assert network.device == "cuda:0"
    feed, out = cupy.ndarray(image()), cupy.empty((1, 4, 16, 12), "float32")
    results = network.run({"image": feed}, out={"maps": out})
    assert results["maps"] is out
    assert np.array_equal(out.host, expected["maps"])
    assert isinstance(results["means"], HostCuPy.ndarray)
    assert np.array_equal(results["means"].host, expected["means"])
    assert cupy.waited[0] == 5  # the work that makes the feeds comes first
    network.run({"image": feed}, stream=9)
    assert 9 in cupy.waited
    host = network.run({"image": image()})
    assert np.array_equal(host["maps"], expected["maps"])
    with pytest.raises(DeviceMismatchError, match=r'out\["maps"\]: on the CPU but the network'):
        network.run({"image": feed}, out={"maps": out.host})
    with pytest.raises(InputError, match=r'feeds\["image"\]: expected float32'):
        network.run({"image": cupy.ndarray(image()[:, :, :8].copy())})
    strided = image().transpose(0, 1, 3, 2).copy().transpose(0, 1, 3, 2)
    with pytest.raises(InputError, match="C-contiguous"):
        network.run({"image": cupy.ndarray(strided)})


@pytest.mark.cuda
def test_arrays_on_a_gpu_stay_there(tmp_path: Path) -> None:
    if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
        pytest.skip("this ONNX Runtime has no CUDA provider")
    if machine.cuda_device_count() == 0:
        pytest.skip("no CUDA device")
    cupy = pytest.importorskip("cupy", reason="CuPy is in the extra `cuda`")
    path = tiny.save(tiny.convolution("n"), tmp_path / "net.onnx")
    on_cpu = OnnxRuntime(path, device="cpu").run({"image": image(2)})
    network = OnnxRuntime(path, device="cuda")
    assert network.device == "cuda:0"
    results = network.run({"image": cupy.asarray(image(2))})
    assert isinstance(results["maps"], cupy.ndarray)
    # 27 products and their sum in another order, perhaps in TF32 (10 bits): 2^-10 of the largest.
    bound = 2**-10 * float(np.abs(on_cpu["maps"]).max())
    assert np.abs(cupy.asnumpy(results["maps"]) - on_cpu["maps"]).max() <= bound
    out = cupy.empty((2, 4, 16, 12), np.float32)
    assert network.run({"image": cupy.asarray(image(2))}, out={"maps": out})["maps"] is out
    assert isinstance(network.run({"image": image(2)})["maps"], np.ndarray)
