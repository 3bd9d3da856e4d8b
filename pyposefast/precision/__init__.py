"""Half precision in the graph: weights and activations become float16, inputs and outputs stay.

Strongly typed engines compute in the types that the graph has, so that the graph is where a
precision is chosen. What float16 does not suit stays float32, each node for a reason that ``plan``
names (rules.py); casts lie where the two meet, as few as there can be (cut.py).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

from pyposefast.errors import InputError, InputTypeError, ModelError
from pyposefast.precision import cut, graph, rules
from pyposefast.precision.rewrite import rewrite
from pyposefast.precision.rounding import with_rounding
from pyposefast.precision.source import FLOAT, HALF, Source

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["KeptConstant", "Placement", "Plan", "plan", "to_fp16", "with_rounding"]


@dataclass(frozen=True, slots=True)
class Placement:
    """Where one node computes, and why."""

    node: str  # its name, or its first output's where it has none
    op: str
    precision: Literal["fp16", "fp32", "none"]  # none: it has no floating-point data
    is_pinned: bool  # fp32 by a rule, not merely because its neighbours are
    why: str


@dataclass(frozen=True, slots=True)
class KeptConstant:
    """A constant that stays float32 because float16 cannot hold it, and why."""

    name: str
    why: str


@dataclass(frozen=True, slots=True)
class Plan:
    """What the pass does to a network."""

    placements: tuple[Placement, ...]  # in the order of the nodes
    kept_constants: tuple[KeptConstant, ...]
    folded: int  # nodes that only unpacked stored weights, and are gone
    casts: int  # between float16 and float32, in the result

    @property
    def fp16(self) -> int:
        """How many nodes compute in float16."""
        return sum(each.precision == "fp16" for each in self.placements)

    @property
    def fp32(self) -> int:
        """How many nodes compute in float32."""
        return sum(each.precision == "fp32" for each in self.placements)

    @property
    def pinned(self) -> int:
        """How many of the latter do so by a rule."""
        return sum(each.is_pinned for each in self.placements)

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain lists, numbers and texts, for JSON."""
        return {"fp16": self.fp16, "fp32": self.fp32, "pinned": self.pinned, **asdict(self)}

    def text(self) -> str:
        """Return a summary for people: counts, and why the rest stays float32."""
        where = f"{self.fp16} nodes in float16, {self.fp32} in float32 ({self.pinned} pinned)"
        lines = [f"{where}, {self.casts} casts, {self.folded} nodes folded"]
        why = Counter((x.op, x.why) for x in self.placements if x.precision == "fp32")
        lines += [f"  {count:4d} {op}: {reason}" for (op, reason), count in sorted(why.items())]
        lines += [f"  constant {each.name} {each.why}" for each in self.kept_constants]
        return "\n".join(lines)


def plan(model: bytes | str | Path, *, keep: Collection[str] = ()) -> Plan:
    """Say which nodes of a network would become float16, and why the others would not.

    Args:
        model: an ONNX file's bytes, or its path; the weights inside.
        keep: what has to stay float32: names of nodes, of values (the node that makes it), of
            constants (the nodes that take it), or of operators ("Conv": all of them).

    Raises:
        ModelError: the file is damaged.
        InputError: ``keep`` names what the network does not have.
        ImportError: the package onnx is absent (the extra ``export``).
    """
    return _convert(model, keep)[0]


def to_fp16(model: bytes | str | Path, *, keep: Collection[str] = ()) -> bytes:
    """Return the network with weights and activations in float16; inputs and outputs stay.

    The result is checked before it is returned, by onnx and by our own propagation of types, and
    is the same bytes for the same network. Constants that older files also list as inputs are no
    inputs of the result. A network that is in float16 already comes back with nothing changed.

    Args:
        model: an ONNX file's bytes, or its path; the weights inside.
        keep: what has to stay float32, see ``plan``.

    Raises:
        ModelError: the file is damaged, or nothing in it can be float16.
        InputError: ``keep`` names what the network does not have.
        ImportError: the package onnx is absent (the extra ``export``).
    """
    _, result, label, has_halves = _convert(model, keep)
    if not has_halves:
        raise ModelError(
            f"{label}: nothing in it can be float16",
            "`pyposefast.precision.plan(model).text()` says why; open it in fp32",
        )
    try:
        return bytes(result.SerializeToString(deterministic=True))
    except ValueError as error:  # protobuf's limit of 2 GiB
        raise ModelError(f"{label}: cannot be written: {error}") from error


def _convert(model: bytes | str | Path, keep: Collection[str]) -> tuple[Plan, Any, str, bool]:
    """Return what was decided, the network that was built and checked, its name, its success."""
    source = Source(model)
    reasons, kept = rules.reasons(source, _wishes(source, keep))
    sides: list[cut.Side] = [
        "fp32"
        if reason is not None or not source.variables[index]
        else ("fp16" if source.nodes[index].op_type in rules.HEAVY else "free")
        for index, reason in enumerate(reasons)
    ]
    chosen = cut.halves(sides, source.values.values())
    halves = [half and side != "fp32" for half, side in zip(chosen, sides, strict=True)]
    result = rewrite(source, halves)
    label = f"{source.label} in float16"
    types = graph.element_types(result, label, graph.check(result, label))
    pair = {FLOAT, HALF}
    casts = sum(
        node.op_type == "Cast" and {types.get(node.input[0]), types.get(node.output[0])} == pair
        for node in result.graph.node
    )
    placements = tuple(
        _placement(source, index, halves[index], reasons[index]) for index in range(len(halves))
    )
    constants = tuple(KeptConstant(name, why) for name, why in kept.items())
    made = Plan(placements, constants, source.constants.folded, casts)
    return made, result, label, HALF in types.values()


def _placement(source: Source, index: int, is_half: bool, reason: str | None) -> Placement:  # noqa: FBT001
    node = source.nodes[index]
    name = node.name or next(filter(None, node.output), "")
    if is_half:
        return Placement(name, node.op_type, "fp16", False, "float16 suits it")
    if not list(source.inputs(index)) and not list(source.outputs_of(index)):
        return Placement(name, node.op_type, "none", False, "has no floating-point data")
    why = reason or "lies among nodes in float32: float16 would only add casts"
    return Placement(name, node.op_type, "fp32", reason is not None, why)


def _wishes(source: Source, keep: Any) -> frozenset[str]:
    is_list = isinstance(keep, Collection) and not isinstance(keep, (str, bytes))
    if not is_list or not all(isinstance(each, str) for each in keep):
        raise InputTypeError("keep", "a list of names", type(keep).__name__)
    known = {name for node in source.nodes for name in (node.name, node.op_type, *node.output)}
    known = (known | source.constants.stored.keys()) - {""}
    unknown = sorted(set(keep) - known)
    if unknown:
        raise InputError("keep", "names of nodes, values, constants or operators", repr(unknown[0]))
    return frozenset(keep)
