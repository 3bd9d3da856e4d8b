"""The new graph: every edge in the type that its two ends agreed on, one cast for each value."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pyposefast.precision import graph
from pyposefast.precision.source import FLOAT, HALF

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pyposefast.precision.source import Source

_SUFFIX = "/fp16"
_FIRST_VERSION_WITH_FREE_CONSTANTS = 4  # of the format: before, every constant was an input too


def rewrite(source: Source, halves: Sequence[bool]) -> Any:
    """Return a new ModelProto in which the chosen nodes compute in float16.

    A value keeps its name in float32 and gets a suffix in float16, so that outputs, and graphs
    inside of nodes, find what they always found.

    Args:
        source: the network.
        halves: for each of its remaining nodes whether it is to compute in float16.
    """
    return _Rewriter(source, halves).run()


class _Rewriter:
    def __init__(self, source: Source, halves: Sequence[bool]) -> None:
        self.source = source
        self.halves = halves
        self.helper = graph.onnx_package().helper
        self.nodes: list[Any] = []
        self.constants: dict[str, Any] = {}  # by the new name, in the order of first use
        self.made: set[tuple[str, int]] = set()  # values that exist by now, and in which type
        self.names: dict[str, str] = {}  # of values in float16
        self.stand_ins: dict[tuple[str, int], str] = {}  # for values that a dropped Cast made
        self.taken = set(_names(source.proto.graph))

    def run(self) -> Any:
        source = self.source
        for index, node in enumerate(source.nodes):
            for name in source.captures[index]:
                self._wanted(name, source.types.get(name, 0))
            self._node(index, node)
        for each in source.proto.graph.output:
            self._wanted(each.name, source.types.get(each.name, 0))
        result = type(source.proto)()
        result.CopyFrom(source.proto)
        result.ir_version = max(result.ir_version, _FIRST_VERSION_WITH_FREE_CONSTANTS)
        new = result.graph
        for old in (new.node, new.initializer, new.input, new.value_info):
            del old[:]
        new.node.extend(self.nodes)
        new.initializer.extend(self.constants.values())
        old_graph = source.proto.graph
        new.input.extend(x for x in old_graph.input if x.name not in source.constants.stored)
        left = {name for node in self.nodes for name in node.output}
        new.value_info.extend(each for each in old_graph.value_info if each.name in left)
        return result

    def _node(self, index: int, node: Any) -> None:
        """Add a node, its inputs and outputs in the types that it was decided to have."""
        source = self.source
        half = HALF if self.halves[index] else FLOAT
        new = type(node)()
        new.CopyFrom(node)
        turning = {at for at, turns in source.inputs(index) if turns}
        kinds = [
            half if at in turning else source.types.get(name, 0)
            for at, name in enumerate(node.input)
        ]
        made = {at: half if turns else FLOAT for at, turns in source.outputs_of(index)}
        if node.op_type == "Cast" and self._is_dropped(node, kinds[0], made):
            return
        for at, name in enumerate(node.input):
            if name:
                new.input[at] = self._wanted(name, kinds[at])
        for at, kind in made.items():
            new.output[at] = self._name(node.output[at], kind)
            self.made.add((node.output[at], kind))
        if node.op_type == "Cast" and made:
            next(each for each in new.attribute if each.name == "to").i = made[0]
        self.nodes.append(new)

    def _is_dropped(self, node: Any, before: int, made: dict[int, int]) -> bool:
        """Whether a Cast of the source has become one from a type to itself, and is left out."""
        name = node.output[0]
        after = made.get(0, self.source.types.get(name, 0))
        is_seen = name in self.source.outputs or any(name in x for x in self.source.captures)
        if before != after or (is_seen and self._name(name, after) == name):
            return False
        self.stand_ins[name, after] = self._wanted(node.input[0], before)
        self.made.add((name, after))
        return True

    def _wanted(self, name: str, kind: int) -> str:
        """Return the name under which a value is there in a type, cast at its first use."""
        if (name, kind) in self.stand_ins:
            return self.stand_ins[name, kind]
        if name in self.source.constants.stored:
            return self._constant(name, kind)
        other = {FLOAT: HALF, HALF: FLOAT}.get(kind, 0)
        found = self._name(name, kind)
        if (name, kind) not in self.made and (name, other) in self._there(name):
            before = self.stand_ins.get((name, other)) or self._name(name, other)
            cast = self.helper.make_node("Cast", [before], [found], name=f"{found}/cast", to=kind)
            self.nodes.append(cast)
            self.made.add((name, kind))
        return found

    def _there(self, name: str) -> set[tuple[str, int]]:
        """Return the forms in which a value exists; inputs have their own from the beginning."""
        value = self.source.values.get(name)
        if value is not None and value.producer is None:
            self.made.add((name, FLOAT))
        return self.made

    def _constant(self, name: str, kind: int) -> str:
        constants = self.source.constants
        is_turned = kind == HALF and self.source.types.get(name) == FLOAT
        new_name = self._name(name, kind) if is_turned else name
        if new_name not in self.constants:
            self.constants[new_name] = (
                constants.half(name, new_name) if is_turned else constants.tensor(name)
            )
        return new_name

    def _name(self, name: str, kind: int) -> str:
        """Return what a value is called in a type."""
        if kind != HALF or self.source.types.get(name) != FLOAT:
            return name
        if name not in self.names:
            new_name = name + _SUFFIX
            while new_name in self.taken:
                new_name += "_"
            self.taken.add(new_name)
            self.names[name] = new_name
        return self.names[name]


def _names(proto: Any) -> Iterator[str]:
    """Yield every name in a graph and in the graphs of its nodes."""
    yield from (each.name for each in (*proto.input, *proto.initializer, *proto.output))
    for node in proto.node:
        yield from (*node.input, *node.output)
        for each in node.attribute:
            for inner in (each.g, *each.graphs):
                yield from _names(inner)
