"""A machine with TensorRT and CuPy that are not there, and small networks to open on it."""

from __future__ import annotations

import dataclasses
import sys
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from pyposefast.engines.tensor_rt import TensorRt, open_tensor_rt
from tensor_rt.fake import Orders, fake_tensorrt
from tensor_rt.machine import Machine, fake_cupy

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt

GPU = {"index": 0, "name": "Fake 9000", "compute_capability": "9.0", "memory_bytes": 1 << 33}


@dataclasses.dataclass
class Bench:
    """What a test of the engine works on."""

    machine: Machine
    orders: Orders
    folder: Path
    survey: dict[str, Any]

    def open(self, network: bytes | Path, **options: Any) -> TensorRt:
        """Open a network, with a cache of the test's own."""
        options.setdefault("cache", self.folder / "plans")
        if isinstance(network, bytes):
            path = self.folder / "network.onnx"
            path.write_bytes(network)
            return open_tensor_rt(path, **options)
        path = network
        return open_tensor_rt(path, **options)

    def plans(self) -> list[str]:
        """The names of the files in the cache, without locks and keys."""
        names = [path.name for path in (self.folder / "plans").iterdir()]
        return sorted(name for name in names if not name.endswith((".lock", ".key")))


def set_up(monkeypatch: pytest.MonkeyPatch, folder: Path, version: str) -> Bench:
    """Put the stand-ins in place of the real modules."""
    pytest.importorskip("onnx", reason="the stand-in for TensorRT reads networks with onnx")
    machine, orders = Machine(), Orders()
    survey = {"status": "ok", "driver_version": 13000, "runtime_version": 13000, "devices": [GPU]}
    monkeypatch.setitem(sys.modules, "cupy", fake_cupy(machine))
    monkeypatch.setitem(sys.modules, "tensorrt", fake_tensorrt(version, machine, orders))
    monkeypatch.setattr(
        "pyposefast.engines.tensor_rt_gpu._C", SimpleNamespace(cuda_devices=lambda: survey)
    )
    return Bench(machine, orders, folder, survey)


def make_network(
    batch: int | str = "N", *, width: int | str = 3, half: bool = False, operator: str = "Mul"
) -> bytes:
    """Y = x * w and s = x + w, all [batch, width] float32; with `half`, x * w is in float16."""
    from onnx import TensorProto, helper

    def port(name: str) -> Any:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, [batch, width])

    nodes = [helper.make_node("Add", ["x", "w"], ["s"])]
    if half:
        kind = TensorProto.FLOAT16
        nodes += [
            helper.make_node("Cast", ["x"], ["x16"], to=kind),
            helper.make_node("Cast", ["w"], ["w16"], to=kind),
            helper.make_node(operator, ["x16", "w16"], ["y16"]),
            helper.make_node("Cast", ["y16"], ["y"], to=TensorProto.FLOAT),
        ]
    else:
        nodes.append(helper.make_node(operator, ["x", "w"], ["y"]))
    graph = helper.make_graph(nodes, "small", [port("x"), port("w")], [port("y"), port("s")])
    opsets = [helper.make_opsetid("", 17)]
    content: bytes = helper.make_model(graph, opset_imports=opsets).SerializeToString()
    return content


def make_quantised_network() -> bytes:
    """Y = dequantise(quantise(x)), [1, 3] float32."""
    from onnx import TensorProto, helper

    def port(name: str) -> Any:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 3])

    constants = [
        helper.make_tensor("scale", TensorProto.FLOAT, [], [0.5]),
        helper.make_tensor("zero", TensorProto.INT8, [], [0]),
    ]
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "scale", "zero"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "scale", "zero"], ["y"]),
    ]
    graph = helper.make_graph(nodes, "small", [port("x")], [port("y")], constants)
    opsets = [helper.make_opsetid("", 19)]
    content: bytes = helper.make_model(graph, opset_imports=opsets).SerializeToString()
    return content


def make_matrix_network() -> bytes:
    """A network with weights: y = x m + 0.5, all [1, 3] float32, m swaps the axes round."""
    from onnx import TensorProto, helper

    def port(name: str) -> Any:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 3])

    rotation = np.roll(np.eye(3, dtype=np.float32), 1, axis=1)
    constants = [
        helper.make_tensor("m", TensorProto.FLOAT, [3, 3], rotation.ravel()),
        helper.make_tensor("c", TensorProto.FLOAT, [3], [0.5] * 3),
    ]
    nodes = [
        helper.make_node("MatMul", ["x", "m"], ["turned"]),
        helper.make_node("Add", ["turned", "c"], ["y"]),
    ]
    graph = helper.make_graph(nodes, "small", [port("x")], [port("y")], constants)
    opsets = [helper.make_opsetid("", 17)]
    content: bytes = helper.make_model(graph, opset_imports=opsets).SerializeToString()
    return content


def feeds_of(batch: int, seed: int = 0) -> dict[str, npt.NDArray[np.float32]]:
    """Feeds for `make_network`, of numbers that float16 holds exactly."""
    random = np.random.default_rng(seed)
    return {name: random.integers(-8, 8, (batch, 3)).astype(np.float32) for name in ("x", "w")}
