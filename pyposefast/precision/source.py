"""What is known of a network before anything is decided: types, constants, who reads whom."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from pyposefast.errors import ModelError
from pyposefast.precision import graph
from pyposefast.precision.cut import Value

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import numpy.typing as npt

FLOAT, HALF = 1, 10  # TensorProto.FLOAT, TensorProto.FLOAT16
LARGEST_HALF = 65504.0
# Rounding to float16 moves a normal number by 2^-11 of itself at most. A tensor that moves by twice
# that, in the Euclidean norm, is made of numbers below 2^-14, where float16 loses bits.
_MOST_LOSS = 2.0**-10
# Inputs whose type is a variable of its own, and which stay float32 beside float16 data: statistics
# have no need to be small, and a variance of 1e-8 is 0 in float16.
_SINGLE_VARIABLES = {"BatchNormalization": ("T1", "T2")}


class Source:
    """A network that was read, and the facts about it."""

    def __init__(self, model: bytes | str | Path) -> None:
        """Read, check and index the network."""
        self.proto, self.label = graph.read(model)
        inferred = graph.check(self.proto, self.label)
        self.types = graph.element_types(self.proto, self.label, inferred)
        self.shapes = {name: _dimensions(kind) for name, kind in inferred.items()}
        self.outputs = frozenset(each.name for each in self.proto.graph.output)
        self.constants = Constants(self.proto.graph, self.label, self.outputs)
        self.nodes: list[Any] = self.constants.remaining
        opsets = graph.opsets_of(self.proto)
        self.signatures = [graph.signature(node, opsets) for node in self.nodes]
        self.captures = [graph.captured(node) for node in self.nodes]
        self.variables = [self._variables(index) for index in range(len(self.nodes))]
        self.values = self._values()

    def inputs(self, index: int) -> Iterator[tuple[int, bool]]:
        """Yield the positions of a node's float32 inputs, and whether each turns with the node."""
        yield from self._slots(index, self.nodes[index].input, is_input=True)

    def outputs_of(self, index: int) -> Iterator[tuple[int, bool]]:
        """Yield the positions of a node's float32 outputs, and whether each turns with the node."""
        yield from self._slots(index, self.nodes[index].output, is_input=False)

    def floats(self, index: int) -> list[str]:
        """Return the names of a node's float32 inputs that are computed, not constant."""
        names = self.nodes[index].input
        return [names[at] for at, _ in self.inputs(index) if names[at] in self.values]

    def _slots(self, index: int, names: Any, *, is_input: bool) -> Iterator[tuple[int, bool]]:
        prescribed = self.signatures[index]
        for position, name in enumerate(names):
            if name and self.types.get(name) == FLOAT:
                slot = ""
                if prescribed is not None:
                    slot = (prescribed.inputs if is_input else prescribed.outputs)[position]
                yield position, slot in self.variables[index]

    def _variables(self, index: int) -> frozenset[str]:
        """Return the type variables of a node that are float32 now and may be float16."""
        prescribed, node = self.signatures[index], self.nodes[index]
        if prescribed is None:
            return frozenset()
        found: dict[str, set[int]] = {}
        names = (*node.input, *node.output)
        for name, slot in zip(names, (*prescribed.inputs, *prescribed.outputs), strict=True):
            if name:
                found.setdefault(slot, set()).add(self.types.get(name, 0))
        single = _SINGLE_VARIABLES.get(node.op_type, ())
        return frozenset(
            slot
            for slot, kinds in found.items()
            if kinds == {FLOAT}
            and slot not in single
            and "tensor(float16)" in prescribed.allowed.get(slot, ())
        )

    def _values(self) -> dict[str, Value]:
        values = {
            each.name: Value(None)
            for each in self.proto.graph.input
            if self.types.get(each.name) == FLOAT and each.name not in self.constants.stored
        }
        for index, node in enumerate(self.nodes):
            for position, turns in self.inputs(index):
                value = values.get(node.input[position])
                if value is not None:
                    value.consumers.append(index)
                    value.stays |= not turns
                    if turns:
                        value.turning.append(index)
            for name in self.captures[index]:
                if name in values:
                    values[name].stays = True
            for position, _ in self.outputs_of(index):
                values[node.output[position]] = Value(index)
        for name in self.outputs & values.keys():
            values[name].stays = True
        return values


class Constants:
    """Everything that does not depend on the inputs, weights that are stored packed included.

    Small files store weights as float16 or int8 and unpack them in front of their use. Those nodes
    are evaluated here, because the weight will be stored in another type anyway.
    """

    def __init__(self, proto: Any, label: str, outputs: frozenset[str]) -> None:
        """Evaluate what unpacks constants; the other nodes are `remaining`."""
        self._label = label
        self.stored: dict[str, Any] = {each.name: each for each in proto.initializer}
        self._arrays: dict[str, npt.NDArray[Any]] = {}
        self.remaining: list[Any] = []
        quantised = self._inside_quantised(proto)
        for node in proto.node:
            is_fixed = all(name in self.stored for name in node.input if name)
            values = None
            if is_fixed and outputs.isdisjoint(node.output) and node.output[0] not in quantised:
                values = self._evaluate(node)
            if values is None:
                self.remaining.append(node)
            else:
                self._arrays[node.output[0]] = values
                self.stored[node.output[0]] = None
        self.folded = len(proto.node) - len(self.remaining)

    def array(self, name: str) -> npt.NDArray[Any]:
        """Return the elements of a constant."""
        if name not in self._arrays:
            try:
                array = graph.onnx_package().numpy_helper.to_array(self.stored[name])
            except (ValueError, TypeError) as error:
                raise ModelError(f"{self._label}: weight `{name}` is damaged: {error}") from error
            self._arrays[name] = array
        return self._arrays[name]

    def tensor(self, name: str) -> Any:
        """Return a constant as a TensorProto, the stored one where there is one."""
        stored = self.stored[name]
        if stored is None:
            return graph.onnx_package().numpy_helper.from_array(self._arrays[name], name)
        return stored

    def half(self, name: str, new_name: str) -> Any:
        """Return a constant as a TensorProto of float16."""
        with np.errstate(over="ignore"):  # infinities and biases that vanish are as they should be
            values = self.array(name).astype(np.float16)
        return graph.onnx_package().numpy_helper.from_array(values, new_name)

    def loss(self, name: str, *, may_vanish: bool) -> str:
        """Say what float16 would do to a float32 constant, or return an empty text.

        Single weights may vanish beside larger ones of the same tensor: what they add is below
        what the others are rounded by.

        Args:
            name: the constant's.
            may_vanish: too small is no loss; only too large is.
        """
        values = self.array(name)
        finite = values[np.isfinite(values)].astype(np.float64)
        if np.isnan(values).any():
            raise ModelError(f"{self._label}: weight `{name}`: expected numbers, got NaN")
        if finite.size == 0:
            return ""
        with np.errstate(over="ignore"):
            rounded = finite.astype(np.float16).astype(np.float64)
        if not np.isfinite(rounded).all():
            return f"reaches {np.abs(finite).max():.3g}, beyond {LARGEST_HALF:.0f}"
        size = float(np.linalg.norm(finite))
        moved = float(np.linalg.norm(rounded - finite))
        if not may_vanish and moved > _MOST_LOSS * size:
            return (
                f"is at most {np.abs(finite).max():.3g}, where float16 has few bits: "
                f"it would move by {moved / size:.1%}"
            )
        return ""

    def _evaluate(self, node: Any) -> npt.NDArray[Any] | None:
        """Return the elements of a node's output, or None for what is no unpacking."""
        if node.domain not in ("", "ai.onnx"):
            return None
        if node.op_type == "Constant":
            return self._literal(node)
        if node.op_type == "Identity":
            return self.array(node.input[0])
        if node.op_type == "Cast" and graph.attribute(node, "to") == FLOAT:
            values = self.array(node.input[0])
            return values.astype(np.float32) if values.dtype.kind in "fiub" else None
        if node.op_type == "DequantizeLinear" and not graph.attribute(node, "block_size", 0):
            return self._dequantised(node)
        return None

    @staticmethod
    def _literal(node: Any) -> npt.NDArray[Any] | None:
        helper = graph.onnx_package().numpy_helper
        each = node.attribute[0]
        value = graph.attribute(node, each.name)
        kinds: dict[str, type] = {"value_float": np.float32, "value_floats": np.float32}
        kinds.update({"value_int": np.int64, "value_ints": np.int64})
        if each.name == "value":
            array: npt.NDArray[Any] = helper.to_array(value)
            return array
        return np.array(value, kinds[each.name]) if each.name in kinds else None

    def _dequantised(self, node: Any) -> npt.NDArray[np.float32] | None:
        levels, scale = self.array(node.input[0]), self.array(node.input[1])
        if levels.dtype.kind not in "iu" or scale.dtype != np.float32:
            return None
        shape = [1] * levels.ndim
        if scale.size > 1:
            axis = graph.attribute(node, "axis", 1)
            if scale.ndim != 1 or levels.shape[axis] != scale.size:
                raise ModelError(
                    f"{self._label}: {graph.describe(node)}: expected one scale for each of "
                    f"{levels.shape[axis]} channels, got {scale.size}"
                )
            shape[axis] = scale.size
        zero = np.zeros((), np.int32)
        if len(node.input) > 2 and node.input[2]:  # noqa: PLR2004
            zero = self.array(node.input[2]).astype(np.int32)
            zero = zero.reshape(shape if zero.size > 1 else ())
        # As the operator is defined: an exact difference, then one product in float32.
        difference = (levels.astype(np.int32) - zero).astype(np.float32)
        return np.asarray(difference * scale.reshape(shape if scale.size > 1 else ()), np.float32)

    def _inside_quantised(self, proto: Any) -> frozenset[str]:
        """Return the inputs of nodes that also take quantised activations.

        An engine for int8 recognises a convolution by the DequantizeLinear in front of both the
        data and the weights.
        """
        fixed = set(self.stored)
        data: set[str] = set()
        for node in proto.node:
            if all(name in fixed for name in node.input if name):
                fixed.update(node.output)
            elif node.op_type == "DequantizeLinear":
                data.update(node.output)
        return frozenset(
            name for node in proto.node if data.intersection(node.input) for name in node.input
        )


def _dimensions(kind: Any) -> tuple[int, ...] | None:
    """Return the sizes of a tensor, 0 for those that are free, or None if even their count is."""
    if not kind.HasField("tensor_type") or not kind.tensor_type.HasField("shape"):
        return None
    return tuple(int(each.dim_value) for each in kind.tensor_type.shape.dim)
