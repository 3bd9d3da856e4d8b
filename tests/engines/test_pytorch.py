"""PyTorch as an engine: modules of any shape of result, arrays of two frameworks."""

from __future__ import annotations

import concurrent.futures
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from forks import in_a_fork

from pyposefast.engines import Port, open_engine
from pyposefast.engines.pytorch import PyTorch
from pyposefast.errors import (
    DeviceError,
    EngineError,
    InputError,
    InputTypeError,
    UntrustedModelError,
)

if TYPE_CHECKING:
    from pathlib import Path

torch = pytest.importorskip("torch", reason="Torch is the extra `torch`")

X = Port("x", (None, 3), "float32")
Y, TOTAL = Port("y", (None, 3), "float32"), Port("total", (None,), "float32")


class Doubling(torch.nn.Module):  # type: ignore[misc, name-defined]
    """Twice the input, and its sum, in the form that is asked for."""

    def __init__(self, form: str = "tuple") -> None:
        super().__init__()
        self.form = form
        self.drop = torch.nn.Dropout(0.9)  # which does nothing in eval mode

    def forward(self, x: Any) -> Any:
        y = self.drop(x * 2)
        if self.form == "tensor":
            return y
        if self.form == "dict":
            return {"total": y.sum(1), "y": y}
        return (y, y.sum(1))


def engine(form: str = "tuple", **more: Any) -> PyTorch:
    outputs = [Y] if form == "tensor" else [Y, TOTAL]
    return PyTorch(Doubling(form), inputs=[X], outputs=outputs, device="cpu", **more)


def feed() -> Any:
    return np.arange(6, dtype=np.float32).reshape(2, 3)


@pytest.mark.parametrize("form", ["tensor", "tuple", "dict"])
def test_a_module_may_return_a_tensor_a_tuple_or_a_dict(form: str) -> None:
    results = engine(form).run({"x": feed()})
    assert list(results) == (["y"] if form == "tensor" else ["y", "total"])
    assert isinstance(results["y"], np.ndarray)
    assert np.array_equal(results["y"], feed() * 2)


def test_torch_tensors_go_in_and_come_out() -> None:
    tensor = torch.from_numpy(feed())
    results = engine().run({"x": tensor})
    assert isinstance(results["total"], torch.Tensor)
    assert results["total"].tolist() == [6, 24]
    assert not results["y"].requires_grad


def test_results_go_into_the_buffers_that_were_given() -> None:
    network, buffer = engine(), np.zeros((2, 3), np.float32)
    results = network.run({"x": feed()}, out={"y": buffer})
    assert results["y"] is buffer
    assert np.array_equal(buffer, feed() * 2)
    with pytest.raises(EngineError, match=r'out\["y"\]: the network gave \[2, 3\], got \[1, 3\]'):
        network.run({"x": feed()}, out={"y": np.zeros((1, 3), np.float32)})
    with pytest.raises(InputError, match="memory in use"):
        network.run({"x": buffer}, out={"y": buffer})


def test_feeds_are_not_copied_and_not_given_back() -> None:
    seen = []

    class Same(torch.nn.Module):  # type: ignore[misc, name-defined]
        def forward(self, x: Any) -> Any:
            seen.append(x.data_ptr())
            return x

    network = PyTorch(Same(), inputs=[X], outputs=[Y], device="cpu")
    mine = feed()
    mine.flags.writeable = False
    result = network.run({"x": mine})["y"]
    assert seen == [mine.ctypes.data]
    assert not np.shares_memory(result, mine)


def test_the_module_is_put_into_eval_mode() -> None:
    module = Doubling().train()
    PyTorch(module, inputs=[X], outputs=[Y, TOTAL], device="cpu")
    assert not module.training


@pytest.mark.parametrize(
    ("outputs", "text"),
    [
        ([Y], "expected 1 tensors, got 2"),
        ([Port("y", (None, 4), "float32"), TOTAL], r"y to be float32 \[any, 4\], got float32 \[2,"),
        ([Port("y", (None, 3), "float16"), TOTAL], "y to be float16"),
    ],
)
def test_a_module_is_held_to_its_outputs(outputs: list[Port], text: str) -> None:
    network = PyTorch(Doubling(), inputs=[X], outputs=outputs, device="cpu")
    with pytest.raises(EngineError, match=text):
        network.run({"x": feed()})


def test_a_failing_module_ends_in_a_typed_error() -> None:
    class Failing(torch.nn.Module):  # type: ignore[misc, name-defined]
        def forward(self, x: Any) -> Any:
            return x @ x

    network = PyTorch(Failing(), inputs=[X], outputs=[Y], device="cpu")
    with pytest.raises(EngineError, match="pytorch: mat1 and mat2"):
        network.run({"x": feed()})


def test_feeds_are_checked() -> None:
    network = engine()
    with pytest.raises(InputTypeError, match=r'feeds\["x"\]: expected float32 \[any, 3\]'):
        network.run({"x": feed().astype(np.int32)})
    with pytest.raises(InputError, match="feeds: expected x"):
        network.run({})
    with pytest.raises(InputError, match="stream"):
        network.run({"x": feed()}, stream=1)


def test_threads_share_an_engine() -> None:
    network = engine()
    feeds = [np.full((4, 3), index, np.float32) for index in range(8)]
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        for _ in range(10):
            results = pool.map(lambda each: network.run({"x": each})["y"], feeds)
            assert [float(result[0, 0]) for result in results] == [2.0 * i for i in range(8)]


def test_a_closed_engine_and_a_fork_say_so() -> None:
    network = engine()

    def child() -> None:
        with pytest.raises(EngineError, match="spawn"):
            network.run({"x": feed()})

    in_a_fork(child)
    with network:
        network.warmup([1, 4])
    network.close()
    with pytest.raises(EngineError, match="pytorch, Doubling: the engine is closed"):
        network.run({"x": feed()})


def test_files_of_torch_are_never_opened(tmp_path: Path) -> None:
    for path in ("net.pt", tmp_path / "net.pth"):
        with pytest.raises(UntrustedModelError, match="pickles"):
            open_engine(path, engine="pytorch", inputs=[X], outputs=[Y])


def test_open_engine_takes_a_module() -> None:
    with open_engine(Doubling(), engine="pytorch", inputs=[X], outputs=[Y, TOTAL]) as network:
        assert network.name == "pytorch"
        assert network.run({"x": feed()})["total"].tolist() == [6, 24]
    with pytest.raises(InputError, match="outputs: expected a list of Port"):
        open_engine(Doubling(), engine="pytorch", inputs=[X])
    with pytest.raises(InputTypeError, match="outputs: expected a list of Port"):
        open_engine(Doubling(), engine="pytorch", inputs=[X], outputs=["y"])
    with pytest.raises(InputTypeError, match=r"module: expected a torch\.nn\.Module, got function"):
        open_engine(feed, engine="pytorch", inputs=[X], outputs=[Y])
    with pytest.raises(InputError, match="threads"):
        open_engine(Doubling(), engine="pytorch", inputs=[X], outputs=[Y], threads=2)
    with pytest.raises(InputError, match="precision"):
        open_engine(Doubling(), engine="pytorch", inputs=[X], outputs=[Y], precision="fp16")


def test_an_absent_device_or_runtime_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    if not torch.cuda.is_available():
        with pytest.raises(DeviceError, match="got a Torch that sees 0 CUDA devices"):
            PyTorch(Doubling(), inputs=[X], outputs=[Y], device="cuda")
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(ImportError, match=r'hint: pip install "pyposefast\[torch\]"'):
        PyTorch(None, inputs=[X], outputs=[Y])


@pytest.mark.cuda
@pytest.mark.parametrize("graph", [False, True])
def test_tensors_on_a_gpu_stay_there(graph: bool) -> None:  # noqa: FBT001  a case
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device that Torch can use")
    network = PyTorch(Doubling(), inputs=[X], outputs=[Y, TOTAL], device="cuda", graph=graph)
    for batch in (2, 1, 2):
        tensor = torch.from_numpy(feed()[:batch]).cuda()
        results = network.run({"x": tensor})
        assert results["y"].is_cuda
        assert torch.equal(results["y"], tensor * 2)
    assert np.array_equal(network.run({"x": feed()})["y"], feed() * 2)
