"""Each rule on the smallest network that shows it: what stays float32, and why."""

from __future__ import annotations

from typing import Any

import numpy as np
import precision_networks as nets
import pytest
from precision_networks import W, conv, network, node

from pyposefast.precision import Plan, plan, to_fp16

AXES = {"axes": np.array([2, 3])}


def placed(made: Plan, op: str) -> set[tuple[str, bool]]:
    return {(each.precision, each.is_pinned) for each in made.placements if each.op == op}


def why(made: Plan, op: str) -> str:
    return next(each.why for each in made.placements if each.op == op)


def between(*nodes: Any, constants: dict[str, Any] | None = None, opset: int = 17) -> bytes:
    """Return a network with the nodes, from `a` to `b`, between two convolutions."""
    return network(
        [conv("x", "a"), *nodes, conv("b", "y")], constants={**W, **(constants or {})}, opset=opset
    )


SENSITIVE = [
    (node("InstanceNormalization", ["a", "s", "s"], ["b"]), {"s": nets.weights(4)}, "normalises"),
    (node("LayerNormalization", ["a", "g"], ["b"]), {"g": nets.weights(8)}, "normalises"),
    (node("LpNormalization", ["a"], ["b"]), {}, "normalises"),
    (node("Softmax", ["a"], ["b"]), {}, "65504"),
    (node("LogSoftmax", ["a"], ["b"]), {}, "65504"),
    (node("Exp", ["a"], ["b"]), {}, "65504"),
    (node("Log", ["a"], ["b"]), {}, "65504"),
    (node("Sqrt", ["a"], ["b"]), {}, "65504"),
    (node("Pow", ["a", "two"], ["b"]), {"two": np.float32(2)}, "65504"),
    (node("Softplus", ["a"], ["b"]), {}, "65504"),
    (node("Floor", ["a"], ["b"]), {}, "decides"),
    (node("Sin", ["a"], ["b"]), {}, "coordinates"),
    (node("Mul", ["a", "a"], ["b"]), {}, "squares"),
    (node("Div", ["x", "a"], ["b"]), {}, "divides by data"),
]


@pytest.mark.parametrize(
    ("one", "constants", "words"), SENSITIVE, ids=[x[0].op_type for x in SENSITIVE]
)
def test_a_sensitive_operator_stays_single_between_half_convolutions(
    one: Any, constants: dict[str, Any], words: str
) -> None:
    made = plan(between(one, constants=constants))
    assert placed(made, one.op_type) == {("fp32", True)}
    assert words in why(made, one.op_type)
    assert placed(made, "Conv") == {("fp16", False)}
    to_fp16(between(one, constants=constants))


@pytest.mark.parametrize("op", ["Relu", "Sigmoid", "Tanh", "Erf", "HardSwish", "Neg", "Identity"])
def test_an_ordinary_operator_is_half_between_half_convolutions(op: str) -> None:
    made = plan(between(node(op, ["a"], ["b"])))
    assert placed(made, op) == {("fp16", False)}
    assert made.casts == 2


@pytest.mark.parametrize(("side", "precision"), [(8, "fp16"), (9, "fp32")])
def test_a_sum_over_many_elements_stays_single(side: int, precision: str) -> None:
    model = network(
        [conv("x", "a"), node("GlobalAveragePool", ["a"], ["b"]), conv("b", "y")],
        inputs={"x": [1, 4, side, side]},
        constants=W,
    )
    assert placed(plan(model), "GlobalAveragePool") == {(precision, precision == "fp32")}


def test_a_sum_over_an_unknown_number_stays_single() -> None:
    model = network(
        [conv("x", "a"), node("ReduceMean", ["a"], ["b"], axes=[2, 3]), conv("b", "y")],
        inputs={"x": [1, 4, "h", "w"]},
        constants=W,
    )
    assert "unknown" in why(plan(model), "ReduceMean")


def test_axes_of_a_sum_may_be_an_input() -> None:
    model = between(node("ReduceSum", ["a", "axes"], ["b"]), constants=AXES)
    assert placed(plan(model), "ReduceSum") == {("fp16", False)}
    every = between(node("ReduceSum", ["a"], ["b"]))
    assert placed(plan(every), "ReduceSum") == {("fp32", True)}


def test_what_the_schema_does_not_allow_stays_single() -> None:
    model = network(
        [
            conv("x", "a"),
            node("NonMaxSuppression", ["boxes", "scores"], ["picked"]),
            node("Cast", ["picked"], ["y"], to=nets.FLOAT),
            node("Reshape", ["a", "s"], ["z"]),
        ],
        inputs={"x": [1, 4, 8, 8], "boxes": [1, 6, 4], "scores": [1, 1, 6]},
        outputs={"y": None, "z": None},
        constants={**W, "s": np.array([1, -1])},
    )
    made = plan(model)
    assert placed(made, "NonMaxSuppression") == {("fp32", True)}
    assert placed(made, "Cast") == {("fp32", True)}  # indices are counted in float32
    to_fp16(model)


def test_scales_of_resize_stay_single_beside_half_data() -> None:
    model = between(
        node("Resize", ["a", "", "by"], ["b"], mode="linear"),
        constants={"by": np.array([1, 1, 2, 2], np.float32)},
    )
    assert placed(plan(model), "Resize") == {("fp16", False)}
    types = nets.types_of(to_fp16(model))
    assert types["by"] == nets.FLOAT


@pytest.mark.parametrize(("opset", "kind"), [(14, nets.HALF), (15, nets.FLOAT)])
def test_statistics_stay_single_where_the_schema_lets_them(opset: int, kind: int) -> None:
    ones = np.ones(4, np.float32)
    model = between(
        node("BatchNormalization", ["a", "p", "p", "p", "p"], ["b"]),
        constants={"p": ones},
        opset=opset,
    )
    result = to_fp16(model)
    assert kind in {value for name, value in nets.types_of(result).items() if name[0] == "p"}
    x = nets.weights(1, 4, 8, 8)
    np.testing.assert_allclose(
        nets.run(result, {"x": x})[0], nets.run(model, {"x": x})[0], atol=0.01
    )


# ---- constants -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "words"),
    [(1e-5, "few bits"), (1e-9, "few bits"), (65520.0, "beyond 65504"), (-1e9, "beyond 65504")],
)
def test_a_constant_that_float16_cannot_hold_stays_single(value: float, words: str) -> None:
    model = between(node("Add", ["a", "c"], ["b"]), constants={"c": np.float32(value)})
    made = plan(model)
    assert placed(made, "Add") == {("fp32", True)}
    assert [each.name for each in made.kept_constants] == ["c"]
    assert words in made.kept_constants[0].why
    assert nets.types_of(to_fp16(model))["c"] == nets.FLOAT


@pytest.mark.parametrize("value", [0.0, 65504.0, 65519.0, -np.inf, 2.0**-14, 1e-4])
def test_a_constant_that_float16_holds_is_half(value: float) -> None:
    model = between(node("Add", ["a", "c"], ["b"]), constants={"c": np.float32(value)})
    assert placed(plan(model), "Add") == {("fp16", False)}


def test_tiny_weights_beside_ordinary_ones_do_not_matter() -> None:
    mixed = nets.weights(4, 4, 1, 1)
    mixed[:2] = 1e-9
    assert placed(plan(network([conv("x", "y")], constants={"w": mixed})), "Conv") == {
        ("fp16", False)
    }


def test_weights_that_are_tiny_altogether_stay_single() -> None:
    tiny = nets.weights(4, 4, 1, 1, scale=1e-6)
    model = network([conv("x", "a"), node("Conv", ["a", "t"], ["y"])], constants={**W, "t": tiny})
    made = plan(model)
    assert placed(made, "Conv") == {("fp16", False), ("fp32", True)}


def test_a_tiny_bias_may_vanish_and_a_large_one_may_not() -> None:
    for value, precision in ((1e-9, "fp16"), (1e6, "fp32")):
        bias = np.full(4, value, np.float32)
        one = node("Conv", ["x", "w", "bias"], ["a"])
        model = network([one, conv("a", "y", "last")], constants={**W, "bias": bias})
        assert plan(model).placements[0].precision == precision


# ---- places --------------------------------------------------------------------------------------


def test_arithmetic_after_the_last_convolution_stays_single() -> None:
    nodes = [conv("x", "a"), node("Sigmoid", ["a"], ["b"]), node("Add", ["b", "x"], ["y"])]
    made = plan(network(nodes, constants=W))
    assert placed(made, "Sigmoid") == placed(made, "Add") == {("fp32", True)}
    assert "finishes" in why(made, "Sigmoid")
    assert made.casts == 2  # in, and after the convolution


def test_a_residual_sum_that_feeds_on_is_half() -> None:
    nodes = [conv("x", "a"), node("Add", ["a", "x"], ["b"]), conv("b", "c"),
             node("Add", ["b", "c"], ["y"])]  # fmt: skip
    made = plan(network(nodes, constants=W))
    assert [each.precision for each in made.placements] == ["fp16", "fp16", "fp16", "fp32"]


def test_what_is_computed_of_sizes_stays_single() -> None:
    nodes = [
        conv("x", "a"),
        node("Shape", ["x"], ["size"]),
        node("Cast", ["size"], ["number"], to=nets.FLOAT),
        node("ReduceMax", ["number"], ["largest"], keepdims=0),
        node("Mul", ["largest", "step"], ["scaled"]),
        node("Add", ["a", "scaled"], ["b"]),
        conv("b", "y"),
    ]
    made = plan(network(nodes, constants={**W, "step": np.float32(8)}))
    for op in ("Cast", "Mul", "Add", "ReduceMax"):
        assert {each[0] for each in placed(made, op)} == {"fp32"}, op
    assert "2048" in why(made, "Mul")


def test_pixels_become_half_numbers() -> None:
    model = network(
        [node("Cast", ["x"], ["a"], to=nets.FLOAT), conv("a", "y")],
        inputs={"x": (nets.UINT8, [1, 4, 8, 8])},
        constants=W,
    )
    made = plan(model)
    assert placed(made, "Cast") == {("fp16", False)}
    assert made.casts == 1  # of the output: the pixels go to float16 at once


def test_movement_among_single_nodes_stays_there() -> None:
    nodes = [
        node("Softmax", ["a"], ["p"]),
        node("Transpose", ["p"], ["q"]),
        node("Transpose", ["q"], ["r"]),
        node("Exp", ["r"], ["b"]),
    ]
    made = plan(between(*nodes))
    assert placed(made, "Transpose") == {("fp32", False)}
    assert "only add casts" in why(made, "Transpose")
    assert made.casts == 4


def test_quantised_convolutions_stay_as_they_are() -> None:
    scale, zero = np.float32(0.1), np.int8(0)
    nodes = [
        node("QuantizeLinear", ["x", "scale", "zero"], ["q"]),
        node("DequantizeLinear", ["q", "scale", "zero"], ["d"]),
        node("DequantizeLinear", ["w8", "scale", "zero"], ["wd"]),
        node("Conv", ["d", "wd"], ["a"]),
        conv("a", "y"),
    ]
    levels = np.arange(16, dtype=np.int8).reshape(4, 4, 1, 1)
    model = network(nodes, constants={**W, "scale": scale, "zero": zero, "w8": levels})
    made = plan(model)
    assert made.folded == 0
    assert [x.precision for x in made.placements if x.op == "Conv"] == ["fp32", "fp16"]
    assert "quantised" in why(made, "Conv")
    assert nets.ops_of(to_fp16(model)).count("DequantizeLinear") == 2


def test_an_operator_of_another_domain_stays_single() -> None:
    model = network(
        [
            conv("x", "a"),
            node("Gelu", ["a"], ["b"], domain="com.microsoft"),
            conv("b", "y"),
        ],
        constants=W,
        domains=["com.microsoft"],
    )
    made = plan(model)
    assert placed(made, "Gelu") == {("fp32", True)}
    assert "without a rule" in why(made, "Gelu")


@pytest.mark.parametrize("wish", ["conv_a", "a", "w_own", "Conv"])
def test_what_the_caller_keeps_stays_single(wish: str) -> None:
    nodes = [node("Conv", ["x", "w_own"], ["a"], name="conv_a"), conv("a", "b"), conv("b", "y")]
    model = network(nodes, constants={**W, "w_own": W["w"]})
    first = plan(model, keep=[wish]).placements[0]
    assert (first.precision, first.why) == ("fp32", "was asked for")
