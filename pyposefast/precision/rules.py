"""Which nodes float16 does not suit, operator by operator, and why."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from pyposefast.precision import graph
from pyposefast.precision.source import FLOAT, HALF

if TYPE_CHECKING:
    from pyposefast.precision.source import Source

# A float16 sum of n equal terms is off by up to n/2 * 2^-11 of itself: 64 terms lose 1.6 %, and a
# map of 64 x 64 stops growing half way, as 2048 + 1 is 2048 there. Engines sum convolutions in
# float32, but promise nothing for reductions.
MOST_SUMMED = 64
# Integers of these types are pixels or flags, which float16 counts exactly; wider ones are sizes.
_SMALL_INTEGERS = frozenset((2, 3, 9))  # UINT8, INT8, BOOL

# Sums of many products, where float16 pays: twice the rate, half the weights. Engines accumulate
# them in float32.
HEAVY = frozenset(("Conv", "ConvTranspose", "Einsum", "Gemm", "MatMul"))
# Each element of the result is an element of the arguments: exact in any type.
EXACT = frozenset(
    """
    Abs Clip Compress Concat DepthToSpace Dropout Expand Flatten Gather GatherElements GatherND
    GlobalMaxPool Identity Max MaxPool Min Neg Pad ReduceMax ReduceMin Relu Reshape ScatterElements
    ScatterND Shape Sign Size Slice SpaceToDepth Split Squeeze Tile Transpose Trilu Unsqueeze Where
    """.split()  # noqa: SIM905  a table of names
)
# One rounding by 2^-11 each, and results about as large as the arguments.
ARITHMETIC = frozenset(
    """
    Add AveragePool BatchNormalization Cast Celu Div Elu Erf Gelu GlobalAveragePool HardSigmoid
    HardSwish LeakyRelu Mean Mul PRelu ReduceMean ReduceSum Resize Selu Sigmoid Softsign Sub Sum
    Swish Tanh ThresholdedRelu Upsample
    """.split()  # noqa: SIM905
)
_SUMS = frozenset(("AveragePool", "GlobalAveragePool", "ReduceMean", "ReduceSum"))

_DECIDES = "decides: two values that round to one would tie"
_SENSITIVE = {
    op: why
    for why, ops in {
        "normalises: it sums squares over many elements": """
            GlobalLpPool GroupNormalization InstanceNormalization LRN LayerNormalization
            LpNormalization LpPool MeanVarianceNormalization RMSNormalization ReduceL1 ReduceL2
            ReduceSumSquare
            """,
        "grows past 65504, or falls below 6e-5, on everyday numbers": """
            Cosh CumSum Exp Log LogSoftmax Mish Pow Reciprocal ReduceLogSum ReduceLogSumExp
            ReduceProd Sinh Softmax Softplus Sqrt Tan
            """,
        _DECIDES: """
            ArgMax ArgMin Ceil Equal Floor Greater GreaterOrEqual Hardmax IsInf IsNaN Less
            LessOrEqual Mod NonMaxSuppression NonZero Round TopK Unique
            """,
        "reads coordinates: float16 steps by 1/8 beyond 128": """
            AffineGrid Cos DeformConv GridSample MaxRoiPool Range RoiAlign Sin
            """,
        "feeds its rounding back into itself": "GRU LSTM RNN",
        "quantises with scales that stay exact": """
            DequantizeLinear DynamicQuantizeLinear QuantizeLinear
            """,
    }.items()
    for op in ops.split()
}

_ASKED = "was asked for"
_SQUARES = "squares: float16 overflows from 256"
_DIVIDES = "divides by data, which may be tiny"
# Operators whose results may be beyond float16: those of the other pinned ones are bounded, or
# grow more slowly than what goes in.
_UNBOUNDED = frozenset(
    """
    Cosh CumSum Exp GlobalLpPool LpPool Pow Reciprocal ReduceL1 ReduceL2 ReduceProd ReduceSumSquare
    Sinh Tan
    """.split()  # noqa: SIM905
)


def reasons(source: Source, keep: frozenset[str]) -> tuple[list[str | None], dict[str, str]]:
    """Say for each node why it has to stay float32, or None.

    Args:
        source: the network.
        keep: names of nodes, values, constants or operators that the caller wants in float32.

    Returns:
        A reason or None for each node, and what float16 would do to each constant that is one.
    """
    finishes = _finishes(source)
    counted: set[str] = set()  # made of nothing but sizes and indices
    quantised: set[str] = set()  # stands for integers: it comes straight out of a DequantizeLinear
    large: set[str] = set()  # may be beyond float16
    kept: dict[str, str] = {}
    found: list[str | None] = []
    for index, node in enumerate(source.nodes):
        inputs = source.floats(index)
        outputs = [node.output[at] for at, _ in source.outputs_of(index)]
        unfit = _constant_reason(source, index, kept)
        reason = _own_reason(source, index, keep) or unfit
        is_counted = _counts(source, node) or not counted.isdisjoint(inputs)
        if node.op_type == "DequantizeLinear" or (
            node.op_type in EXACT and not quantised.isdisjoint(inputs)
        ):
            quantised.update(outputs)
        if is_counted and node.op_type not in HEAVY and counted.issuperset(inputs):
            counted.update(outputs)
        if reason is None and node.op_type in HEAVY and not quantised.isdisjoint(inputs):
            reason = "is quantised: its input comes out of a DequantizeLinear"
        is_large = not large.isdisjoint(inputs)
        if reason is None and node.op_type in ARITHMETIC | EXACT and is_large and outputs:
            # One step is enough for what was made to be scaled down, a mean or a product, and does
            # not spread over everything that is added up later.
            reason = "takes what may be beyond float16"
        if (
            (node.op_type in EXACT and is_large)
            or (node.op_type in _UNBOUNDED and reason is not None)
            or (reason is not None and reason in {_ASKED, _SQUARES, _DIVIDES, unfit})
        ):
            large.update(outputs)
        if reason is None and node.op_type in ARITHMETIC and outputs:
            if is_counted:
                reason = "works on sizes or indices: float16 counts to 2048"
            elif finishes[index]:
                reason = "finishes the outputs: nothing after it is worth float16"
        found.append(reason)
    return found, kept


def _own_reason(source: Source, index: int, keep: frozenset[str]) -> str | None:
    """Return why a node stays float32 whatever is around it."""
    node, op = source.nodes[index], source.nodes[index].op_type
    made = list(source.outputs_of(index))
    if not made and not list(source.inputs(index)):
        return None
    constants = (name for name in node.input if name in source.constants.stored)
    if not keep.isdisjoint((node.name, op, *node.output, *constants)):
        return _ASKED
    if any(each.HasField("g") or each.graphs for each in node.attribute):
        return "holds a graph of its own, which stays as it is"
    is_known = node.domain in ("", "ai.onnx") and source.signatures[index] is not None
    if is_known and op in _SENSITIVE:
        return _SENSITIVE[op]
    if not is_known or op not in HEAVY | EXACT | ARITHMETIC:
        return "is an operator without a rule"
    # A Cast is ours to change: its type is an attribute. Other slots are as the schema has them.
    if not source.variables[index] or any(not turns for _, turns in made):
        return "is float32 by its schema"
    if op in _SUMS and not 0 < _summed(source, node) <= MOST_SUMMED:
        return f"sums over more than {MOST_SUMMED} elements, or an unknown number"
    if op.startswith("Scatter") and graph.attribute(node, "reduction", b"none") != b"none":
        return "adds up an unknown number of elements"
    if op == "Mul" and node.input[0] == node.input[1]:
        return _SQUARES
    if op == "Div" and node.input[1] in source.values:
        return _DIVIDES
    if op == "Cast" and source.types.get(node.output[0]) not in (FLOAT, HALF):
        return _DECIDES
    return None


def _constant_reason(source: Source, index: int, kept: dict[str, str]) -> str | None:
    """Return why a constant of the node cannot be float16, and enter it into `kept`."""
    node = source.nodes[index]
    if node.op_type not in HEAVY | EXACT | ARITHMETIC:
        return None
    for position, turns in source.inputs(index):
        name = node.input[position]
        if not turns or name not in source.constants.stored:
            continue
        # A bias that vanishes beside the sum that it is added to may do so.
        is_bias = node.op_type in HEAVY and position == 2  # noqa: PLR2004
        loss = source.constants.loss(name, may_vanish=is_bias)
        if loss:
            kept[name] = loss
            return f"has a constant that float16 cannot hold: `{name}` {loss}"
    return None


def _counts(source: Source, node: Any) -> bool:
    """Whether a node makes floating-point numbers of sizes or indices."""
    if node.op_type == "Range":
        return True
    if node.op_type != "Cast" or source.types.get(node.output[0]) != FLOAT:
        return False
    return source.types.get(node.input[0]) not in {FLOAT, HALF, *_SMALL_INTEGERS}


def _finishes(source: Source) -> list[bool]:
    """Return for each node whether all its results reach the outputs past no heavy node."""
    last = [True] * len(source.nodes)
    for index in range(len(last) - 1, -1, -1):
        node = source.nodes[index]
        last[index] = all(
            source.nodes[consumer].op_type not in HEAVY and last[consumer]
            for at, _ in source.outputs_of(index)
            for consumer in source.values[node.output[at]].consumers
        )
    return last


def _summed(source: Source, node: Any) -> int:
    """Return how many elements go into one of a sum, or 0 where that is not known."""
    if node.op_type == "AveragePool":
        return math.prod(graph.attribute(node, "kernel_shape", [0]))
    shape = source.shapes.get(node.input[0])
    if shape is None:
        return 0
    if node.op_type == "GlobalAveragePool":
        return math.prod(shape[2:])
    axes = graph.attribute(node, "axes")
    if axes is None and len(node.input) > 1 and node.input[1]:
        if node.input[1] not in source.constants.stored:
            return 0
        axes = source.constants.array(node.input[1]).ravel().tolist()
    if not axes:
        return 1 if graph.attribute(node, "noop_with_empty_axes", 0) else math.prod(shape)
    return math.prod(shape[axis] for axis in axes)
