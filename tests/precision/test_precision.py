"""What holds for every network that was converted: borders, casts, names, bytes, refusals."""

from __future__ import annotations

import builtins
import itertools
import json
import random
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import precision_networks as nets
import pytest
from precision_networks import W, conv, network, node, onnx

from pyposefast import precision
from pyposefast.errors import InputError, InputTypeError, ModelError
from pyposefast.precision import graph, plan, to_fp16, with_rounding
from pyposefast.precision.rewrite import rewrite

if TYPE_CHECKING:
    from pathlib import Path

X = nets.weights(1, 4, 8, 8, seed=1, scale=1.0)
PLAIN = network([conv("x", "a"), node("Relu", ["a"], ["b"]), conv("b", "y")], constants=W)


def rounding_bound(layers: int, terms: int) -> float:
    """Bound what float16 moves values of size 1 by, with weights of size 0.3 and float32 sums.

    A layer rounds its weights and its result by 2^-11 each, and sums `terms` products of 0.3.
    """
    gain = 1 + 0.3 * terms
    return float(sum(2 * 2.0**-11 * gain ** (layer + 1) for layer in range(layers)))


def converts(model: bytes, feeds: dict[str, Any] | None = None, layers: int = 2) -> bytes:
    """Convert a network, and check that it gives what it gave, with real rounding as well."""
    result = to_fp16(model)
    feeds = {"x": X} if feeds is None else feeds
    expected = nets.run(model, feeds)
    for half in (result, with_rounding(result)):
        for before, after in zip(expected, nets.run(half, feeds), strict=True):
            assert before.dtype == after.dtype
            np.testing.assert_allclose(after, before, rtol=0, atol=rounding_bound(layers, 4))
    return result


def test_inputs_and_outputs_stay_and_everything_between_is_half() -> None:
    result = converts(PLAIN)
    types = nets.types_of(result)
    assert types["x"] == types["y"] == nets.FLOAT
    assert {kind for name, kind in types.items() if name not in "xy"} == {nets.HALF}
    assert nets.ops_of(result) == ["Cast", "Conv", "Relu", "Conv", "Cast"]


def test_a_value_is_cast_once_however_many_take_it() -> None:
    nodes = [
        conv("x", "a"), conv("x", "b"), conv("x", "c"),
        node("LogSoftmax", ["a"], ["e"]), node("Softmax", ["a"], ["s"]),
        node("Concat", ["b", "c", "e", "s"], ["d"], axis=1), node("Conv", ["d", "v"], ["y"]),
    ]  # fmt: skip
    model = network(nodes, constants={**W, "v": nets.weights(2, 16, 1, 1)})
    made = plan(model)
    # x down, a up once for two, e and s down, y up.
    assert made.casts == nets.ops_of(to_fp16(model)).count("Cast") == 5


def test_casts_of_the_source_that_became_pointless_are_gone() -> None:
    nodes = [
        conv("x", "a"),
        node("Cast", ["a"], ["h"], to=nets.HALF),
        node("Relu", ["h"], ["r"]),
        node("Cast", ["r"], ["f"], to=nets.FLOAT),
        conv("f", "y"),
    ]
    result = converts(network(nodes, constants=W))
    assert nets.ops_of(result) == ["Cast", "Conv", "Relu", "Conv", "Cast"]


def test_no_value_is_ever_cast_back() -> None:
    for path in itertools.product(("Relu", "Exp", "Sigmoid", "Softmax"), repeat=3):
        nodes, before = [conv("x", "v0")], "v0"
        for index, op in enumerate(path):
            nodes.append(node(op, [before], [f"u{index}"]))
            nodes.append(conv(f"u{index}", f"v{index + 1}"))
            before = f"v{index + 1}"
        model = network([*nodes, node("Relu", [before], ["y"])], constants=W)
        proto = onnx.load_from_string(to_fp16(model))
        casts = {
            each.output[0]: each.input[0] for each in proto.graph.node if each.op_type == "Cast"
        }
        assert not casts.keys() & set(casts.values()), path
        assert len(set(casts.values())) == len(casts), path


def test_weights_that_are_stored_packed_are_unpacked_once_and_for_all() -> None:
    half = nets.weights(4, 4, 1, 1).astype(np.float16)
    levels = np.arange(-8, 8, dtype=np.int8).reshape(4, 4, 1, 1)
    scales = np.array([0.1, 0.02, 0.3, 0.04], np.float32)
    zeros = np.array([0, 1, -3, 0], np.int8)
    nodes = [
        node("Cast", ["half"], ["w1"], to=nets.FLOAT),
        node("Conv", ["x", "w1"], ["a"]),
        node("DequantizeLinear", ["levels", "scales", "zeros"], ["w2"], axis=0),
        node("Conv", ["a", "w2"], ["b"]),
        node("Constant", [], ["c"], value=onnx.numpy_helper.from_array(np.float32(0.5))),
        node("Mul", ["b", "c"], ["d"]),
        node("Conv", ["d", "w1"], ["y"]),
    ]
    constants = {"half": half, "levels": levels, "scales": scales, "zeros": zeros}
    model = network(nodes, constants=constants)
    assert plan(model).folded == 3
    result = converts(model, layers=3)
    graph = onnx.load_from_string(result).graph
    stored = {each.name: onnx.numpy_helper.to_array(each) for each in graph.initializer}
    assert [stored[name].tobytes() for name in stored if name.startswith("w1")] == [half.tobytes()]
    expected = (levels.astype(np.float32) - zeros.reshape(4, 1, 1, 1)) * scales.reshape(4, 1, 1, 1)
    (found,) = [stored[name] for name in stored if name.startswith("w2")]
    np.testing.assert_array_equal(found, expected.astype(np.float16))
    assert set(nets.ops_of(result)) == {"Cast", "Conv", "Mul"}


def test_a_graph_inside_of_a_node_finds_its_values_in_single() -> None:
    def branch(name: str, op: str) -> Any:
        out = onnx.helper.make_tensor_value_info(name, nets.FLOAT, [1, 4, 8, 8])
        return onnx.helper.make_graph([node(op, ["a", "k"], [name])], name, [], [out])

    choose = node(
        "If", ["flag"], ["b"], then_branch=branch("t", "Add"), else_branch=branch("e", "Mul")
    )
    model = network(
        [conv("x", "a"), choose, node("Mul", ["b", "k"], ["c"]), conv("c", "y")],
        inputs={"x": [1, 4, 8, 8], "flag": (9, [])},
        constants={**W, "k": np.float32(0.5)},
    )
    made = plan(model)
    assert next(each.why for each in made.placements if each.op == "If").startswith("holds a graph")
    for flag in (True, False):
        converts(model, {"x": X, "flag": np.array(flag)})


def test_an_output_in_the_middle_keeps_its_name_and_type() -> None:
    model = network(
        [conv("x", "a"), conv("a", "y")],
        outputs={"a": [1, 4, 8, 8], "y": [1, 4, 8, 8]},
        constants=W,
    )
    result = converts(model)
    assert [each.name for each in onnx.load_from_string(result).graph.output] == ["a", "y"]
    assert nets.ops_of(result).count("Cast") == 3


def test_a_name_that_is_taken_is_not_taken_again() -> None:
    nodes = [conv("x", "a"), node("Relu", ["a"], ["a/fp16"]), conv("a/fp16", "y")]
    converts(network(nodes, constants=W))


def test_constants_that_old_files_list_as_inputs_are_constants() -> None:
    model = network(
        [conv("x", "y")],
        inputs={"x": [1, 4, 8, 8], "w": [4, 4, 1, 1]},
        outputs={"y": [1, 4, 8, 8]},
        constants=W,
        opset=8,
        ir_version=3,
    )
    result = converts(model)
    proto = onnx.load_from_string(result)
    assert [each.name for each in proto.graph.input] == ["x"]
    assert proto.ir_version == 4
    assert nets.types_of(result)["w/fp16"] == nets.HALF


def test_the_same_network_gives_the_same_bytes_and_converting_twice_changes_nothing(
    tmp_path: Path,
) -> None:
    path = tmp_path / "network.onnx"
    path.write_bytes(PLAIN)
    once = to_fp16(PLAIN)
    assert to_fp16(path) == to_fp16(str(path)) == once
    assert to_fp16(once) == once


def test_a_network_in_half_already_stays_as_it_is() -> None:
    half = {"w": W["w"].astype(np.float16)}
    shape = (nets.HALF, [1, 4, 8, 8])
    model = network([conv("x", "y")], inputs={"x": shape}, outputs={"y": shape}, constants=half)
    result = to_fp16(model)
    assert nets.ops_of(result) == ["Conv"]
    assert nets.types_of(result)["x"] == nets.HALF


def test_a_network_of_which_nothing_can_be_half_is_refused() -> None:
    with pytest.raises(ModelError, match="nothing in it can be float16"):
        to_fp16(network([node("Softmax", ["x"], ["y"])]))
    with pytest.raises(ModelError, match="nothing in it"):
        to_fp16(PLAIN, keep=["Conv"])
    assert plan(PLAIN, keep=["Conv"]).fp16 == 0


def test_the_report_says_what_happened() -> None:
    model = network(
        [
            conv("x", "a"),
            node("Add", ["a", "eps"], ["b"]),
            conv("b", "c"),
            node("Exp", ["c"], ["y"]),
        ],
        constants={**W, "eps": np.float32(1e-6)},
    )
    made = plan(model)
    assert (made.fp16, made.fp32, made.pinned) == (2, 2, 2)
    text = made.text()
    assert "2 nodes in float16, 2 in float32 (2 pinned)" in text
    assert "Exp: grows past 65504" in text
    assert "constant eps is at most 1e-06" in text
    assert json.loads(json.dumps(made.to_dict()))["casts"] == made.casts


# ---- refusals ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("keep", "error", "words"),
    [
        ("Conv", InputTypeError, "keep: expected a list of names, got str"),
        (5, InputTypeError, "got int"),
        ([5], InputTypeError, "got list"),
        (["conv_a", "nobody"], InputError, "'nobody'"),
        ([""], InputError, "''"),
    ],
)
def test_a_wrong_wish_is_refused(keep: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words.replace("(", r"\(")):
        to_fp16(PLAIN, keep=keep)


def test_what_is_no_network_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputTypeError, match="model: expected the bytes or the path"):
        to_fp16(5)  # type: ignore[arg-type]
    with pytest.raises(ModelError, match="nothing of that name"):
        to_fp16(tmp_path / "absent.onnx")
    with pytest.raises(ModelError, match="no regular file"):
        to_fp16(tmp_path)
    for data in (b"", b"hello", b"\x00" * 100, PLAIN[:-40]):
        path = tmp_path / "bad.onnx"
        path.write_bytes(data)
        with pytest.raises(ModelError, match=r"bad\.onnx"):
            to_fp16(path)


def test_weights_in_another_file_are_refused() -> None:
    proto = onnx.load_from_string(PLAIN)
    onnx.external_data_helper.set_external_data(proto.graph.initializer[0], "../secret.bin")
    proto.graph.initializer[0].ClearField("raw_data")
    with pytest.raises(ModelError, match="all weights in the file"):
        to_fp16(proto.SerializeToString())


def test_weights_that_are_no_numbers_are_refused() -> None:
    broken = nets.weights(4, 4, 1, 1)
    broken[0] = np.nan
    with pytest.raises(ModelError, match="weight `w`: expected numbers, got NaN"):
        to_fp16(network([conv("x", "y")], constants={"w": broken}))


def test_edges_whose_ends_disagree_are_refused() -> None:
    mixed = {"w": W["w"].astype(np.float16)}
    with pytest.raises(ModelError):
        to_fp16(network([conv("x", "y")], constants=mixed))


def test_mutated_files_are_converted_or_refused() -> None:
    generator = random.Random(0)  # noqa: S311  tests
    outcomes = {True: 0, False: 0}
    for _ in range(400):
        data = bytearray(PLAIN)
        for _ in range(generator.randint(1, 3)):
            data[generator.randrange(len(data))] = generator.randrange(256)
        try:
            to_fp16(bytes(data))
            outcomes[True] += 1
        except ModelError:
            outcomes[False] += 1
    assert min(outcomes.values()) > 20  # both happen


def test_the_absence_of_onnx_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    original = builtins.__import__

    def absent(name: str, *rest: Any, **named: Any) -> Any:
        if name.split(".", maxsplit=1)[0] == "onnx":
            raise ImportError(name)
        return original(name, *rest, **named)

    for name in [each for each in sys.modules if each.split(".")[0] == "onnx"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(builtins, "__import__", absent)
    with pytest.raises(ImportError, match=r'hint: pip install "pyposefast\[export\]"'):
        to_fp16(PLAIN)


def test_a_result_whose_edges_disagree_is_never_returned(monkeypatch: pytest.MonkeyPatch) -> None:
    def without_casts(source: Any, halves: list[bool]) -> Any:
        result = rewrite(source, halves)
        last = result.graph.node.pop()
        result.graph.node[-1].output[0] = last.output[0]
        return result

    monkeypatch.setattr(precision, "rewrite", without_casts)
    with pytest.raises(ModelError):
        to_fp16(PLAIN)


def test_types_are_followed_without_onnx_too() -> None:
    proto = onnx.load_from_string(to_fp16(PLAIN))
    types = graph.element_types(proto, "network", {})
    assert types["y"] == nets.FLOAT
    del proto.graph.node[0]  # the cast of the input
    proto.graph.node[0].input[0] = "x"
    with pytest.raises(ModelError, match="takes `w/fp16`, which is float16, beside float"):
        graph.element_types(proto, "network", {})
