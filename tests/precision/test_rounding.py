"""What a processor without float16 hides, and what shows it."""

from __future__ import annotations

import numpy as np
import precision_networks as nets
from precision_networks import W, conv, network, node

from pyposefast.precision import plan, to_fp16, with_rounding

IDENTITY = {"w": np.eye(4, dtype=np.float32).reshape(4, 4, 1, 1)}


def test_results_are_rounded_to_float16_exactly() -> None:
    x = nets.weights(1, 4, 8, 8)
    model = network(
        [conv("x", "a"), node("Relu", ["a"], ["b"]), conv("b", "y")], constants=IDENTITY
    )
    (got,) = nets.run(with_rounding(to_fp16(model)), {"x": x})
    np.testing.assert_array_equal(got, np.maximum(x, 0).astype(np.float16).astype(np.float32))


def test_an_overflow_that_the_cpu_hides_shows() -> None:
    hundred = {"w": np.float32(100) * IDENTITY["w"]}
    scale = {"small": np.float32(0.01)}
    nodes = [conv("x", "a"), conv("a", "b"), node("Mul", ["b", "small"], ["c"]), conv("c", "y")]
    model = network(nodes, constants={**hundred, **scale})
    x = np.full((1, 4, 8, 8), 10, np.float32)  # b is 100 000, c is 1000, y is 100 000
    half = to_fp16(model)
    assert np.isfinite(nets.run(model, {"x": x})[0]).all()
    assert not np.isfinite(nets.run(with_rounding(half), {"x": x})[0]).any()


def test_keeping_what_overflows_repairs_it() -> None:
    hundred = {"w": np.float32(100) * IDENTITY["w"]}
    nodes = [
        conv("x", "a"), conv("a", "b"), node("Mul", ["b", "small"], ["c"]),
        node("Conv", ["c", "one"], ["y"]),
    ]  # fmt: skip
    constants = {**hundred, "small": np.float32(0.01), "one": IDENTITY["w"]}
    model = network(nodes, constants=constants)
    x = np.full((1, 4, 8, 8), 10, np.float32)
    half = to_fp16(model, keep=["conv_b"])
    (got,) = nets.run(with_rounding(half), {"x": x})
    # 0.01 is off by 2^-11 of itself at most, and so is each of the two other results.
    np.testing.assert_allclose(got, nets.run(model, {"x": x})[0], rtol=3 * 2.0**-11)
    kept = {each.node: each.precision for each in plan(model, keep=["conv_b"]).placements}
    assert kept["conv_b"] == "fp32"


def test_what_float16_would_overflow_in_stays_single_and_right() -> None:
    nodes = [
        conv("x", "a"),
        node("Mul", ["a", "a"], ["square"]),  # 90 000
        node("ReduceMean", ["square"], ["mean"], axes=[1], keepdims=1),
        node("Add", ["mean", "eps"], ["safe"]),
        node("Sqrt", ["safe"], ["norm"]),
        node("Div", ["a", "norm"], ["b"]),
        conv("b", "y"),
    ]
    model = network(nodes, constants={**IDENTITY, "eps": np.float32(1e-6)})
    made = plan(model)
    assert {x.op for x in made.placements if x.precision == "fp16"} <= {"Conv", "ReduceMean"}
    x = np.full((1, 4, 8, 8), 300, np.float32)
    x[0, 0, 0] = 0
    (got,) = nets.run(with_rounding(to_fp16(model)), {"x": x})
    np.testing.assert_allclose(got, nets.run(model, {"x": x})[0], rtol=2 * 2.0**-11)


def test_half_inputs_and_outputs_stay_half() -> None:
    shape = (nets.HALF, [1, 4, 8, 8])
    half = {"w": W["w"].astype(np.float16)}
    model = network([conv("x", "y")], inputs={"x": shape}, outputs={"y": shape}, constants=half)
    (got,) = nets.run(with_rounding(model), {"x": np.ones((1, 4, 8, 8), np.float16)})
    assert got.dtype == np.float16
