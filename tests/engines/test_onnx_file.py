"""Looking through ONNX files: what is found, and what never reaches a runtime."""

from __future__ import annotations

import os
import pickle
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import shared_data
import tiny_networks as tiny
from mutants import mutant
from onnx import helper

from pyposefast.engines import onnx_file
from pyposefast.errors import InputTypeError, ModelError, UntrustedModelError

if TYPE_CHECKING:
    from pathlib import Path

MUTANTS = 6000


def with_weights_in(location: str) -> Any:
    network = tiny.scaled()
    network.graph.initializer[0].CopyFrom(tiny.outside(location))
    return network


# ---- what is found -------------------------------------------------------------------------------


def test_names_operators_and_opsets_are_those_of_the_file(tmp_path: Path) -> None:
    found = onnx_file.read(tiny.save(tiny.convolution(), tmp_path / "net.onnx"))
    assert found.inputs == ("image",)
    assert found.outputs == ("maps", "means")
    assert found.operators == {("", "Conv"), ("", "ReduceMean")}
    assert found.opsets == {"": 13}
    assert found.external == ()
    assert found.data == (tmp_path / "net.onnx").read_bytes()


def test_a_weight_that_is_listed_as_an_input_is_none(tmp_path: Path) -> None:
    network = tiny.scaled()
    network.graph.input.append(tiny.value("w", [3]))
    assert onnx_file.read(tiny.save(network, tmp_path / "old.onnx")).inputs == ("x",)


def test_a_batch_is_a_first_axis_that_all_call_the_same(tmp_path: Path) -> None:
    def of(network: Any) -> onnx_file.OnnxFile:
        return onnx_file.read(tiny.save(network, tmp_path / "net.onnx"))

    assert of(tiny.convolution("n")).is_batch_free
    assert not of(tiny.convolution(1)).is_batch_free
    boxes = tiny.convolution("n")
    boxes.graph.output[1].type.tensor_type.shape.dim[0].dim_param = "m"
    assert not of(boxes).is_batch_free
    assert of(boxes).only(["maps"]).is_batch_free
    assert of(boxes).first_axes == {"image": "n", "maps": "n", "means": "m"}
    nameless = tiny.convolution("n")
    nameless.graph.output[0].type.tensor_type.shape.Clear()
    assert of(nameless).first_axes["maps"] == ""
    assert not of(nameless).is_batch_free


def test_outputs_that_nobody_wants_can_be_left_out(tmp_path: Path) -> None:
    network = tiny.convolution()
    file = onnx_file.read(tiny.save(network, tmp_path / "net.onnx"))
    found = file.only(["means"])
    assert found.outputs == ("means",)
    del network.graph.output[0]
    assert found.data == network.SerializeToString()
    assert file.only(["maps", "means"]) is file
    assert file.only([]) is file


def test_outputs_of_shared_networks_are_left_out_one_by_one(tmp_path: Path) -> None:
    for path in sorted(shared_data.path("models").glob("*/*.onnx")):
        file = onnx_file.read(path)
        for name in file.outputs:
            copy = tmp_path / "one.onnx"
            copy.write_bytes(file.only([name]).data)
            again = onnx_file.read(copy)
            assert again.outputs == (name,)
            assert (again.inputs, again.operators) == (file.inputs, file.operators)


def test_all_shared_networks_pass() -> None:
    files = sorted(shared_data.path("models").glob("*/*.onnx"))
    assert len(files) == 11
    for file in files:
        assert onnx_file.read(file).outputs


def test_functions_of_the_file_itself_are_no_foreign_operators(tmp_path: Path) -> None:
    opset = helper.make_opsetid("", 13)
    body = [helper.make_node("Relu", ["a"], ["b"])]
    function = helper.make_function("mine", "Own", ["a"], ["b"], body, [opset])
    network = tiny.model(
        [helper.make_node("Own", ["x"], ["y"], domain="mine")],
        [tiny.value("x", [1])],
        [tiny.value("y", [1])],
        opsets=[opset, helper.make_opsetid("mine", 1)],
        functions=[function],
    )
    assert ("mine", "Own") in onnx_file.read(tiny.save(network, tmp_path / "f.onnx")).operators


def test_weights_in_a_file_beside_it_are_named(tmp_path: Path) -> None:
    (tmp_path / "w.bin").write_bytes(np.ones(3, np.float32).tobytes())
    found = onnx_file.read(tiny.save(with_weights_in("w.bin"), tmp_path / "net.onnx"))
    assert found.external == (tmp_path / "w.bin",)


# ---- what is refused -----------------------------------------------------------------------------


def test_a_file_has_to_be_there(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"absent\.onnx: cannot be read \(No such file"):
        onnx_file.read(tmp_path / "absent.onnx")


def test_a_file_has_to_be_a_file(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="folder"):
        onnx_file.read(tmp_path)
    with pytest.raises(ModelError, match="null"):
        onnx_file.read("a\0b.onnx")
    with pytest.raises(InputTypeError, match="path: expected the path"):
        onnx_file.read(b"net")  # type: ignore[arg-type]


def test_a_named_pipe_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.onnx")
    with pytest.raises(ModelError, match="no regular file"):
        onnx_file.read(tmp_path / "pipe.onnx")


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "large.onnx"
    with path.open("wb") as file:
        file.truncate(onnx_file.LARGEST_FILE + 1)  # a hole: it takes no room on the disk
    with pytest.raises(ModelError, match="at most 2147483647 bytes, got 2147483648"):
        onnx_file.read(path)


@pytest.mark.parametrize(
    ("content", "error", "text"),
    [
        (b"", ModelError, "empty"),
        (b"version https://git-lfs.github.com/spec/v1\noid", ModelError, "git lfs pull"),
        (b"PK\x03\x04archive", UntrustedModelError, "ZIP"),
        (pickle.dumps({"a": 1}), UntrustedModelError, "pickle"),
        (b"<html>Not found</html>", ModelError, "got a damaged file, or one of another kind"),
        (b"\x08\x08", ModelError, "without a graph"),
    ],
)
def test_other_files_are_called_by_their_names(
    tmp_path: Path, content: bytes, error: type[Exception], text: str
) -> None:
    path = tmp_path / "net.onnx"
    path.write_bytes(content)
    with pytest.raises(error, match=text):
        onnx_file.read(path)


@pytest.mark.parametrize(
    "location",
    [
        "../w.bin",
        "a/../../w.bin",
        "..\\w.bin",
        "/etc/passwd",
        "C:\\w.bin",
        "\\w.bin",
        "",
        "*/_ORT_MEM_ADDR_/*",
    ],
)
def test_weights_elsewhere_are_refused(tmp_path: Path, location: str) -> None:
    folder = tmp_path / "net"
    folder.mkdir()
    (tmp_path / "w.bin").write_bytes(b"0" * 12)
    with pytest.raises(UntrustedModelError, match="weights in a file beside it"):
        onnx_file.read(tiny.save(with_weights_in(location), folder / "net.onnx"))


def test_weights_in_a_branch_are_looked_at_too(tmp_path: Path) -> None:
    network = tiny.branching(tiny.outside("../w.bin"))
    with pytest.raises(UntrustedModelError, match=r"\.\./w\.bin"):
        onnx_file.read(tiny.save(network, tmp_path / "net.onnx"))


def test_weights_behind_a_link_are_refused(tmp_path: Path) -> None:
    folder = tmp_path / "net"
    folder.mkdir()
    secret = tmp_path / "secret"
    secret.write_bytes(b"0" * 12)
    (folder / "soft").symlink_to(secret)
    (folder / "hard").hardlink_to(secret)
    (folder / "sub").symlink_to(tmp_path)
    for location in ("soft", "hard", "sub/secret"):
        with pytest.raises(UntrustedModelError, match="got a link"):
            onnx_file.read(tiny.save(with_weights_in(location), folder / "net.onnx"))


def test_absent_weights_are_said_to_be_absent(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"weights in 'w\.bin' cannot be read"):
        onnx_file.read(tiny.save(with_weights_in("w.bin"), tmp_path / "net.onnx"))


@pytest.mark.parametrize(
    ("operator", "domain", "error"),
    [
        ("Anything", "evil.library", ModelError),
        ("EPContext", "com.microsoft", UntrustedModelError),
        ("PythonOp", "com.microsoft", UntrustedModelError),
    ],
)
def test_operators_from_elsewhere_are_refused(
    tmp_path: Path, operator: str, domain: str, error: type[Exception]
) -> None:
    network = tiny.model(
        [helper.make_node(operator, ["x"], ["y"], domain=domain)],
        [tiny.value("x", [1])],
        [tiny.value("y", [1])],
    )
    with pytest.raises(error, match=operator):
        onnx_file.read(tiny.save(network, tmp_path / "net.onnx"))


def test_graphs_nested_without_end_are_refused(tmp_path: Path) -> None:
    def framed(number: int, content: bytes) -> bytes:
        length, size = bytearray(), len(content)
        while size > 127:
            length.append(size & 127 | 128)
            size >>= 7
        return bytes([number << 3 | 2, *length, size]) + content

    graph = b""
    for _ in range(200):  # graph of an attribute of a node of a graph
        graph = framed(1, framed(5, framed(6, graph)))
    path = tmp_path / "deep.onnx"
    path.write_bytes(framed(7, graph))
    with pytest.raises(ModelError, match="deep"):
        onnx_file.read(path)


# ---- damage --------------------------------------------------------------------------------------


def test_mutants_are_read_or_refused_but_never_break_the_reader(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    random = np.random.default_rng(11)
    sources = [
        tiny.convolution().SerializeToString(),
        tiny.branching(tiny.outside("w.bin")).SerializeToString(),
    ]
    (tmp_path / "w.bin").write_bytes(b"0" * 12)
    content: list[bytes] = []
    monkeypatch.setattr(onnx_file, "_bytes_of", lambda path: content[-1])  # noqa: ARG005
    refused = 0
    for index in range(MUTANTS):
        content.append(mutant(random, sources[index % 2]))
        try:
            onnx_file.read(tmp_path / "net.onnx")
        except ModelError:
            refused += 1
    assert 0.3 * MUTANTS < refused < MUTANTS  # most are broken, yet not all
