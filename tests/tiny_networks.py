"""Networks of a few nodes, written as ONNX: what an engine is tested with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

onnx = pytest.importorskip("onnx", reason="tiny networks are made with onnx: the extra `export`")

from onnx import TensorProto, helper, numpy_helper  # noqa: E402  absent where the test is skipped

FLOAT, UINT8, INT64 = TensorProto.FLOAT, TensorProto.UINT8, TensorProto.INT64


def value(name: str, shape: Sequence[int | str | None], kind: int = FLOAT) -> Any:
    """One input or output; words are free sizes."""
    return helper.make_tensor_value_info(name, kind, shape)


def weight(name: str, array: Any) -> Any:
    return numpy_helper.from_array(np.asarray(array), name)


def model(
    nodes: Sequence[Any],
    inputs: Sequence[Any],
    outputs: Sequence[Any],
    weights: Sequence[Any] = (),
    **more: Any,
) -> Any:
    """A network of opset 13."""
    graph = helper.make_graph(nodes, "tiny", inputs, outputs, list(weights))
    opsets = more.pop("opsets", [helper.make_opsetid("", 13)])
    return helper.make_model(graph, opset_imports=opsets, ir_version=8, **more)


def convolution(batch: int | str = 1, *, channels: int = 4) -> Any:
    """Image [batch, 3, 16, 12] -> maps [batch, channels, 16, 12] and their means [batch, C]."""
    random = np.random.default_rng(7)
    return model(
        [
            helper.make_node("Conv", ["image", "w", "b"], ["maps"], pads=[1, 1, 1, 1]),
            helper.make_node("ReduceMean", ["maps"], ["means"], axes=[2, 3], keepdims=0),
        ],
        [value("image", [batch, 3, 16, 12])],
        [value("maps", [batch, channels, 16, 12]), value("means", [batch, channels])],
        [
            weight("w", random.normal(size=(channels, 3, 3, 3)).astype(np.float32)),
            weight("b", random.normal(size=channels).astype(np.float32)),
        ],
    )


def scaled(batch: int | str = "n", factor: float = 2.0) -> Any:
    """X [batch, 3] -> y = factor * x, the factor being a weight of three numbers."""
    return model(
        [helper.make_node("Mul", ["x", "w"], ["y"])],
        [value("x", [batch, 3])],
        [value("y", [batch, 3])],
        [weight("w", np.full(3, factor, np.float32))],
    )


def bytes_to_float() -> Any:
    """Picture [1, 4] uint8 and offset [1, 4] -> their sum, float32."""
    return model(
        [
            helper.make_node("Cast", ["picture"], ["as_float"], to=FLOAT),
            helper.make_node("Add", ["as_float", "offset"], ["sum"]),
        ],
        [value("picture", [1, 4], UINT8), value("offset", [1, 4])],
        [value("sum", [1, 4])],
    )


def counting() -> Any:
    """X [n] -> places of what is not zero, [1, m] int64: the result's shape depends on values."""
    return model(
        [helper.make_node("NonZero", ["x"], ["places"])],
        [value("x", ["n"])],
        [value("places", [1, "m"], INT64)],
    )


def branching(then_weight: Any) -> Any:
    """A network with a weight inside of a branch of If."""

    def branch(name: str, constant: Any) -> Any:
        node = helper.make_node("Identity", [constant.name], [f"{name}_y"])
        return helper.make_graph([node], name, [], [value(f"{name}_y", [3])], [constant])

    node = helper.make_node(
        "If",
        ["which"],
        ["y"],
        then_branch=branch("then", then_weight),
        else_branch=branch("other", weight("v", np.zeros(3, np.float32))),
    )
    return model([node], [value("which", [1], TensorProto.BOOL)], [value("y", [3])])


def outside(location: str, **entries: str) -> Any:
    """A weight w of three numbers that is kept in another file."""
    tensor = TensorProto(name="w", data_type=FLOAT, dims=[3], data_location=TensorProto.EXTERNAL)
    for key, text in {"location": location, **entries}.items():
        tensor.external_data.add(key=key, value=text)
    return tensor


def save(network: Any, path: Path) -> Path:
    path.write_bytes(network.SerializeToString())
    return path
