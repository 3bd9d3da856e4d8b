"""ONNX files as data: checked when they are read, and the element type of every value in them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pyposefast.errors import InputTypeError, ModelError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

MOST_BYTES = (1 << 31) - 1  # protobuf's own limit of one message
# Operators whose output type is an attribute's, not an input's.
_TYPE_ATTRIBUTE = {
    "Cast": "to",
    "EyeLike": "dtype",
    "RandomNormal": "dtype",
    "RandomNormalLike": "dtype",
    "RandomUniform": "dtype",
    "RandomUniformLike": "dtype",
    "Multinomial": "dtype",
    "Bernoulli": "dtype",
}


@dataclass(frozen=True, slots=True)
class Signature:
    """What an operator's schema says about the types of one node.

    Each slot has the name of a type variable ("T"), or one fixed type ("tensor(float)"), or an
    empty text where the schema says nothing that binds two slots (the outputs of an If).
    """

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    allowed: Mapping[str, frozenset[str]]  # by variable: what it may be


def onnx_package() -> Any:
    """Import onnx, or say how to get it."""
    try:
        import onnx  # noqa: PLC0415  an extra: imported when needed
        import onnx.checker  # noqa: PLC0415
        import onnx.defs  # noqa: PLC0415
        import onnx.numpy_helper  # noqa: PLC0415
        import onnx.shape_inference  # noqa: PLC0415
    except ImportError as error:
        message = (
            "changing an ONNX file needs the package `onnx`, which does not import here\n"
            'hint: pip install "pyposefast[export]"'
        )
        raise ImportError(message) from error
    return onnx


def read(model: bytes | str | Path) -> tuple[Any, str]:
    """Parse and check an ONNX file, with the weights inside.

    Args:
        model: the file's bytes, or its path.

    Returns:
        The ModelProto, and what to call it in messages.

    Raises:
        InputTypeError: the model is neither bytes nor a path.
        ModelError: the file is absent, damaged, or keeps weights in other files.
    """
    onnx = onnx_package()
    if isinstance(model, (bytes, bytearray, memoryview)):
        label, data = "model", bytes(model)
    elif isinstance(model, (str, Path)):
        label, data = str(model), _bytes_of(Path(model))
    else:
        raise InputTypeError("model", "the bytes or the path of an ONNX file", type(model).__name__)
    try:
        proto = onnx.load_model_from_string(data)
    except Exception as error:  # protobuf has no public base of its errors
        raise ModelError(f"{label}: expected an ONNX file, got {_line(error)}") from error
    if not proto.graph.node or not proto.graph.output:
        raise ModelError(f"{label}: expected an ONNX file, got one without nodes or outputs")
    for tensor in _tensors(proto.graph):
        if tensor.data_location == onnx.TensorProto.EXTERNAL or tensor.external_data:
            raise ModelError(
                f"{label}: expected all weights in the file, got `{tensor.name}` in another one",
                "onnx.save(onnx.load(path), other_path) puts them inside",
            )
    if proto.graph.sparse_initializer:
        raise ModelError(f"{label}: expected dense weights, got sparse ones")
    check(proto, label)
    return proto, label


def check(proto: Any, label: str) -> dict[str, Any]:
    """Check a network as onnx itself does, and return the TypeProto of each value it could infer.

    Raises:
        ModelError: the checker or the strict inference of shapes refuses the network.
    """
    onnx = onnx_package()
    try:
        inferred = onnx.shape_inference.infer_shapes(proto, check_type=True, strict_mode=True)
        onnx.checker.check_model(_with_output_shapes(inferred))
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise ModelError(f"{label}: expected a valid network, got: {_line(error)}") from error
    except (ValueError, RuntimeError) as error:  # beyond protobuf's limit, or a broken tensor
        raise ModelError(f"{label}: cannot be checked: {_line(error)}") from error
    graph = inferred.graph
    return {value.name: value.type for value in (*graph.value_info, *graph.output, *graph.input)}


def signature(node: Any, opsets: Mapping[str, int]) -> Signature | None:
    """Return the types that the node's schema prescribes, or None where there is no schema."""
    onnx = onnx_package()
    domain = "" if node.domain == "ai.onnx" else node.domain
    if domain not in opsets:
        return None
    try:
        schema = onnx.defs.get_schema(node.op_type, opsets[domain], domain)
    except onnx.defs.SchemaError:
        return None
    variadic = onnx.defs.OpSchema.FormalParameterOption.Variadic

    def slots(formals: Any, count: int) -> tuple[str, ...]:
        names = []
        for index in range(count):
            formal = formals[min(index, len(formals) - 1)] if formals else None
            mixed = formal is not None and formal.option == variadic and not formal.is_homogeneous
            names.append("" if formal is None or mixed else formal.type_str)
        return tuple(names)

    return Signature(
        slots(schema.inputs, len(node.input)),
        slots(schema.outputs, len(node.output)),
        {
            each.type_param_str: frozenset(each.allowed_type_strs)
            for each in schema.type_constraints
        },
    )


def opsets_of(proto: Any) -> dict[str, int]:
    """Return the version of each operator set, by domain; ONNX's own is the empty text."""
    return {
        "" if each.domain == "ai.onnx" else each.domain: each.version for each in proto.opset_import
    }


def element_types(proto: Any, label: str, inferred: Mapping[str, Any]) -> dict[str, int]:
    """Follow the element types from the inputs to the outputs, node by node, on our own.

    Args:
        proto: the network.
        label: what to call it in messages.
        inferred: what ``check`` returned; it decides where a schema leaves a type open.

    Returns:
        The TensorProto type of each value of the main graph; what is no tensor, or has no known
        type, is absent.

    Raises:
        ModelError: two ends of an edge do not agree, or an output is not what it is declared as.
    """
    graph, opsets = proto.graph, opsets_of(proto)
    types = {each.name: each.data_type for each in graph.initializer}
    types.update({each.name: _element(each.type) for each in graph.input})
    for node in graph.node:
        prescribed = signature(node, opsets)
        bound: dict[str, int] = {}
        if prescribed is not None:
            for name, slot in zip(node.input, prescribed.inputs, strict=True):
                found = types.get(name, 0)
                if name and slot and found:
                    _bind(node, name, slot, found, prescribed, bound, label)
        for index, name in enumerate(node.output):
            slot = prescribed.outputs[index] if prescribed is not None else ""
            guess = _element(inferred[name]) if name in inferred else 0
            kind = bound.get(slot, 0) or _fixed(slot) or _by_attribute(node) or guess
            if guess and kind != guess:
                raise ModelError(
                    f"{label}: `{name}` of {describe(node)}: expected {_name(guess)}, "
                    f"got {_name(kind)}"
                )
            if name and kind:
                types[name] = kind
    for value in graph.output:
        declared, found = _element(value.type), types.get(value.name, 0)
        if declared and found and declared != found:
            raise ModelError(
                f"{label}: output `{value.name}`: expected {_name(declared)}, got {_name(found)}"
            )
    return {name: kind for name, kind in types.items() if kind}


def captured(node: Any) -> list[str]:
    """Return the names that the node's subgraphs take from the graph around them, in order."""
    seen: dict[str, None] = {}
    for graph in _subgraphs(node):
        own = {each.name for each in (*graph.input, *graph.initializer)}
        own.update(name for inner in graph.node for name in inner.output)
        for inner in graph.node:
            seen.update(dict.fromkeys(n for n in (*inner.input, *captured(inner)) if n not in own))
        seen.update(dict.fromkeys(each.name for each in graph.output if each.name not in own))
    seen.pop("", None)
    return list(seen)


def attribute(node: Any, name: str, default: Any = None) -> Any:
    """Return the value of a node's attribute, or the default where it has none."""
    for each in node.attribute:
        if each.name == name:
            return onnx_package().helper.get_attribute_value(each)
    return default


def describe(node: Any) -> str:
    """Name a node in a message: its own name, or its first output's."""
    return f"{node.op_type} `{node.name or (node.output[0] if node.output else '')}`"


def _bytes_of(path: Path) -> bytes:
    if not path.exists():
        raise ModelError(f"{path}: expected an ONNX file, got nothing of that name")
    if not path.is_file():  # reading from a pipe or a device could wait for ever
        raise ModelError(f"{path}: expected an ONNX file, got something that is no regular file")
    size = path.stat().st_size
    if size > MOST_BYTES:
        raise ModelError(f"{path}: expected at most {MOST_BYTES} bytes, got {size}")
    try:
        return path.read_bytes()
    except OSError as error:
        raise ModelError(f"{path}: cannot be read: {error.strerror}") from error


def _with_output_shapes(proto: Any) -> Any:
    """Return the network with a shape for every output: without, only the checker refuses it."""
    missing = [
        index
        for index, each in enumerate(proto.graph.output)
        if each.type.HasField("tensor_type") and not each.type.tensor_type.HasField("shape")
    ]
    if not missing:
        return proto
    result = type(proto)()
    result.CopyFrom(proto)
    for index in missing:
        result.graph.output[index].type.tensor_type.shape.SetInParent()
    return result


def _subgraphs(node: Any) -> Iterator[Any]:
    for each in node.attribute:
        if each.HasField("g"):
            yield each.g
        yield from each.graphs


def _tensors(graph: Any) -> Iterator[Any]:
    yield from graph.initializer
    for node in graph.node:
        for each in node.attribute:
            if each.HasField("t"):
                yield each.t
            yield from each.tensors
        for inner in _subgraphs(node):
            yield from _tensors(inner)


def _bind(
    node: Any,
    name: str,
    slot: str,
    found: int,
    prescribed: Signature,
    bound: dict[str, int],
    label: str,
) -> None:
    """Check the type of one input against its slot and those that share its variable."""
    choices = prescribed.allowed.get(slot, frozenset((slot,)))
    if _text(found) not in choices:
        raise ModelError(f"{label}: {describe(node)} cannot take `{name}`, which is {_name(found)}")
    if slot in prescribed.allowed and bound.setdefault(slot, found) != found:
        raise ModelError(
            f"{label}: {describe(node)} takes `{name}`, which is {_name(found)}, "
            f"beside {_name(bound[slot])}"
        )


def _by_attribute(node: Any) -> int:
    if node.op_type in _TYPE_ATTRIBUTE:
        return int(attribute(node, _TYPE_ATTRIBUTE[node.op_type], 0))
    return 0


def _element(kind: Any) -> int:
    return int(kind.tensor_type.elem_type) if kind.HasField("tensor_type") else 0


def _name(kind: int) -> str:
    return str(onnx_package().TensorProto.DataType.Name(kind)).lower()


def _text(kind: int) -> str:
    return f"tensor({_name(kind)})"


def _fixed(slot: str) -> int:
    """Return the type that a slot such as "tensor(int64)" stands for, or 0 for anything else."""
    kinds = onnx_package().TensorProto.DataType
    if not slot.startswith("tensor("):
        return 0
    return int(kinds.Value(slot[len("tensor(") : -1].upper()))


def _line(error: Exception) -> str:
    """Return an error of another package as one line of bearable length."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 300 else text[:297] + "..."  # noqa: PLR2004
