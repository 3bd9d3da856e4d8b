"""Tiny networks for the tests of precision and export, and a plain way to run them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt

onnx = pytest.importorskip("onnx", reason="changing ONNX files needs the package onnx: `export`")
FLOAT, HALF, INT64, UINT8 = 1, 10, 7, 2
node = onnx.helper.make_node


def network(
    nodes: Sequence[Any],
    *,
    inputs: Mapping[str, Any] | None = None,
    outputs: Mapping[str, Any] | None = None,
    constants: Mapping[str, Any] | None = None,
    opset: int = 17,
    ir_version: int = 8,
    domains: Sequence[str] = (),
) -> bytes:
    """Return a network; by default from `x` [1, 4, 8, 8] float32 to `y` float32 of any shape.

    Args:
        nodes: in order.
        inputs: by name a shape, or a pair (type, shape).
        outputs: the same; None as a shape is any.
        constants: arrays by name.
        opset: of ONNX's own operators.
        ir_version: of the format.
        domains: further sets of operators.
    """

    def value(name: str, spec: Any) -> Any:
        kind, shape = spec if isinstance(spec, tuple) else (FLOAT, spec)
        return onnx.helper.make_tensor_value_info(name, kind, shape)

    made = onnx.helper.make_model(
        onnx.helper.make_graph(
            list(nodes),
            "network",
            [value(*each) for each in (inputs or {"x": [1, 4, 8, 8]}).items()],
            [value(*each) for each in (outputs or {"y": None}).items()],
            [onnx.numpy_helper.from_array(np.asarray(v), k) for k, v in (constants or {}).items()],
        ),
        opset_imports=[
            onnx.helper.make_opsetid("", opset),
            *(onnx.helper.make_opsetid(domain, 1) for domain in domains),
        ],
        ir_version=ir_version,
    )
    return bytes(made.SerializeToString())


def weights(*shape: int, seed: int = 0, scale: float = 0.3) -> npt.NDArray[np.float32]:
    """Return seeded normal numbers."""
    return (np.random.default_rng(seed).normal(size=shape) * scale).astype(np.float32)


def conv(before: str, after: str, name: str = "") -> Any:
    """Return a 1x1 convolution with the constant `w`."""
    return node("Conv", [before, "w"], [after], name=name or f"conv_{after}")


W = {"w": weights(4, 4, 1, 1)}


def run(model: bytes, feeds: Mapping[str, npt.NDArray[Any]]) -> list[npt.NDArray[Any]]:
    """Run a network with ONNX Runtime on the CPU."""
    runtime = pytest.importorskip("onnxruntime", reason="running needs ONNX Runtime: `cpu`")
    settings = runtime.SessionOptions()
    settings.log_severity_level = 3
    settings.intra_op_num_threads = 1
    session = runtime.InferenceSession(model, settings, providers=["CPUExecutionProvider"])
    outputs: list[npt.NDArray[Any]] = session.run(None, dict(feeds))
    return outputs


def types_of(model: bytes) -> dict[str, int]:
    """Return the element types that onnx infers for every value, constants included."""
    proto = onnx.shape_inference.infer_shapes(onnx.load_from_string(model), strict_mode=True)
    graph = proto.graph
    found = {each.name: each.data_type for each in graph.initializer}
    for each in (*graph.input, *graph.value_info, *graph.output):
        found[each.name] = each.type.tensor_type.elem_type
    return found


def ops_of(model: bytes) -> list[str]:
    """Return the operators in order."""
    return [each.op_type for each in onnx.load_from_string(model).graph.node]
