"""What float16 does to the numbers, shown on a processor that computes in float32.

ONNX Runtime has no float16 kernels for most operators of a CPU: it computes them in float32 and
leaves the casts out between them, even casts that the file asks for. An overflow that stops a
network on a GPU is not seen there. What follows rounds where the file says float16.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from pyposefast.precision import graph
from pyposefast.precision.source import FLOAT, HALF

if TYPE_CHECKING:
    from pathlib import Path

_SUFFIX = "/float32"  # of the rounded form that the next nodes take


def with_rounding(model: bytes | str | Path) -> bytes:
    """Return a float32 network that gives what a float16 one gives where float16 is real.

    Every node computes in float32, as tensor cores accumulate, and its float16 results are rounded
    to float16 at once, to infinity where they do not fit. It is slow; it is for comparing.

    Args:
        model: what ``to_fp16`` returned, as bytes or the path of a file. Graphs inside of nodes,
            which stay float32 there, are left as they are.
    """
    onnx = graph.onnx_package()
    proto, label = graph.read(model)
    types = graph.element_types(proto, label, graph.check(proto, label))
    result = type(proto)()
    result.CopyFrom(proto)
    for index, tensor in enumerate(proto.graph.initializer):
        if tensor.data_type == HALF:
            values = onnx.numpy_helper.to_array(tensor).astype(np.float32)
            single = onnx.numpy_helper.from_array(values, tensor.name + _SUFFIX)
            result.graph.initializer[index].CopyFrom(single)
    nodes: list[Any] = [
        _cast(each.name, each.name + _SUFFIX, FLOAT)
        for each in proto.graph.input
        if types.get(each.name) == HALF
    ]
    for node in result.graph.node:
        for at, name in enumerate(node.input):
            if types.get(name) == HALF:
                node.input[at] = name + _SUFFIX
        nodes.append(node)
        for at, name in enumerate(node.output):
            if types.get(name) == HALF:
                node.output[at] = f"{name}/exact"
                nodes.append(_cast(f"{name}/exact", name, HALF))
                nodes.append(_cast(name, name + _SUFFIX, FLOAT))
    del result.graph.node[:]
    result.graph.node.extend(nodes)
    del result.graph.value_info[:]
    graph.element_types(result, label, graph.check(result, label))
    return bytes(result.SerializeToString(deterministic=True))


def _cast(before: str, after: str, kind: int) -> Any:
    return graph.onnx_package().helper.make_node("Cast", [before], [after], to=kind)
