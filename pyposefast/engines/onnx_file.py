"""ONNX files, looked through before a runtime loads them.

A network's file may come from anywhere. Runtimes parse it in native code, follow the paths that it
names and load what operators need; so a small bounded reader goes over it first, which skips all
weights, and what it does not like never gets further. It reads the protobuf wire format itself:
the `onnx` package is not needed to run a network.
"""

# Numbers that are compared with are those of onnx.proto's fields; every method says which it reads.
# ruff: noqa: PLR2004

from __future__ import annotations

import os
import stat
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import TYPE_CHECKING

from pyposefast.errors import InputTypeError, ModelError, UntrustedModelError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

LARGEST_FILE = (1 << 31) - 1  # bytes: no protobuf message may be larger
_DEEPEST = 24  # graphs within graphs (If, Loop, Scan); exporters stay below 5
_MOST_FIELDS = 20_000_000  # of one file; the largest published networks have about a million

# Operators of other domains come from libraries of native code.
_DOMAINS = frozenset(("", "ai.onnx", "ai.onnx.ml", "com.microsoft"))
# Of com.microsoft: wrappers of a compiled engine, and calls back into Python.
_RUN_CODE = frozenset(("EPContext", "PythonOp", "PythonOpGrad"))

# ONNX Runtime's own word for an address in memory, which no file has a use for.
_ADDRESS = "*/_ORT_MEM_ADDR_/*"
_LARGEST_KEY = (1 << 32) - 1  # other readers drop the bits above, and see another field
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5  # wire types

_NAMES = {
    b"PK\x03\x04": "a ZIP archive, as Torch writes with pickle inside",
    b"\x80\x02": "a pickle",
    b"\x80\x03": "a pickle",
    b"\x80\x04": "a pickle",
    b"\x80\x05": "a pickle",
}
_LFS = b"version https://git-lfs"


@dataclass(frozen=True, slots=True)
class OnnxFile:
    """What there is to know of a network before it is loaded.

    Attributes:
        path: of the file, absolute.
        data: its bytes.
        inputs, outputs: their names, in the network's order, without inputs that have a weight.
        operators: (domain, operator) of every node, the default domain being "".
        opsets: version of each domain.
        external: files that hold weights, absolute and checked.
        first_axes: of every input and output by name, the size or its name, "" without either.
    """

    path: Path
    data: bytes = field(repr=False)
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    operators: frozenset[tuple[str, str]]
    opsets: dict[str, int]
    external: tuple[Path, ...]
    first_axes: dict[str, int | str]

    @property
    def is_batch_free(self) -> bool:
        """Whether the first axis of all inputs and outputs is free, and says to be the same."""
        axes = {self.first_axes[name] for name in (*self.inputs, *self.outputs)}
        return len(axes) == 1 and all(isinstance(axis, str) and axis for axis in axes)

    def only(self, names: Collection[str]) -> OnnxFile:
        """Return the network without its other outputs.

        A runtime then leaves out the nodes that serve these alone; asked for some outputs of all,
        it computes all.
        """
        wanted = [name for name in self.outputs if name in names]
        if len(wanted) in (0, len(self.outputs)):
            return self
        data = _Findings(self.path.name).without_outputs(self.data, set(self.outputs) - set(wanted))
        return replace(self, data=data, outputs=tuple(wanted))


def read(path: str | os.PathLike[str]) -> OnnxFile:
    """Read an ONNX file and look through it.

    Raises:
        ModelError: there is no such file, it is no ONNX, damaged, too large, or needs operators
            that come from elsewhere.
        UntrustedModelError: loading it would run code or read files that are not its own.
    """
    if not isinstance(path, (str, os.PathLike)):
        raise InputTypeError("path", "the path of an ONNX file", type(path).__name__)
    where = Path(path)
    data = _bytes_of(where)
    found = _Findings(where.name)
    try:
        found.model(data)
    except _BadWireError as error:
        got = f"a damaged file, or one of another kind ({error})"
        message = f"{where.name}: expected an ONNX network, got {got}"
        raise ModelError(message) from None
    found.check()
    folder = where.absolute().parent
    external = tuple(_external(folder, name, where.name) for name in sorted(found.locations))
    return OnnxFile(
        path=where.absolute(),
        data=data,
        inputs=tuple(name for name in found.inputs if name not in found.weights),
        outputs=tuple(found.outputs),
        operators=frozenset(found.operators),
        opsets=found.opsets,
        external=external,
        first_axes=found.first_axes,
    )


def _bytes_of(path: Path) -> bytes:
    """Contents of a regular file of a sensible size that does not announce itself as no ONNX."""
    try:
        # Without waiting: opening a named pipe would otherwise last until somebody writes to it.
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            status = os.fstat(handle)
            if not stat.S_ISREG(status.st_mode):
                kind = "a folder" if stat.S_ISDIR(status.st_mode) else "no regular file"
                raise ModelError(f"{path}: expected an ONNX file, got {kind}")
            if status.st_size > LARGEST_FILE:
                message = f"{path}: expected at most {LARGEST_FILE} bytes, got {status.st_size}"
                raise ModelError(message, "keep its weights in a file beside it (external data)")
            with open(handle, "rb", closefd=False) as file:
                data = file.read(status.st_size)
        finally:
            os.close(handle)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        reason = error.strerror if isinstance(error, OSError) else str(error)
        message = f"{path}: cannot be read ({reason})"
        raise ModelError(message) from error
    if not data:
        raise ModelError(f"{path}: expected an ONNX file, got an empty one")
    if data.startswith(_LFS):
        raise ModelError(f"{path}: a Git LFS pointer, not the file itself", "run `git lfs pull`")
    for start, kind in _NAMES.items():
        if data.startswith(start):
            message = f"{path}: expected an ONNX file, got {kind}"
            raise UntrustedModelError(message, "export the network to ONNX where you trust it")
    return data


def _external(folder: Path, location: str, file: str) -> Path:
    """Path of a file with weights, which has to be a plain file of its own near the network's."""
    posix, windows = PurePosixPath(location), PureWindowsPath(location)
    if (
        not location
        or "\0" in location
        or location == _ADDRESS
        or posix.is_absolute()
        or windows.drive
        or windows.root
        or ".." in posix.parts
        or ".." in windows.parts
    ):
        message = f"{file}: expected weights in a file beside it, got the path {location!r}"
        raise UntrustedModelError(message)
    path = folder / location
    # Folders on the way count too: a link among them leads elsewhere just as well.
    steps = [folder.joinpath(*posix.parts[: count + 1]) for count in range(len(posix.parts))]
    try:
        is_link = any(step.is_symlink() for step in steps)
        status = path.lstat()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        message = f"{file}: its weights in {location!r} cannot be read ({reason})"
        raise ModelError(message, "keep both files together") from error
    if is_link or not stat.S_ISREG(status.st_mode) or status.st_nlink > 1:
        kind = "a link" if is_link or status.st_nlink > 1 else "no regular file"
        message = f"{file}: expected a file of its own for the weights, got {kind}: {location!r}"
        raise UntrustedModelError(message, "copy the file in place of the link")
    return path


class _BadWireError(Exception):
    """The bytes are no protobuf message, or one that no exporter writes."""


class _Findings:
    """Gathers what a file says while its messages are walked."""

    def __init__(self, file: str) -> None:
        self.inputs: list[str] = []
        self.outputs: list[str] = []
        self.first_axes: dict[str, int | str] = {}
        self.weights: set[str] = set()
        self.operators: set[tuple[str, str]] = set()
        self.opsets: dict[str, int] = {}
        self.locations: set[str] = set()
        self._file = file
        self._functions: set[tuple[str, str]] = set()
        self._graphs = 0
        self._fields_left = _MOST_FIELDS

    def check(self) -> None:
        """Refuse what is no network, or one that needs code from elsewhere."""
        if not self._graphs or not self.outputs:
            message = f"{self._file}: expected an ONNX network, got a file without a graph"
            raise ModelError(message)
        for domain, operator in sorted(self.operators - self._functions):
            if operator in _RUN_CODE:
                message = f"{self._file}: the operator {operator} would run code of its own"
                raise UntrustedModelError(message, "export the network again, without it")
            if domain not in _DOMAINS:
                message = f"{self._file}: the operator {domain}.{operator} is not part of ONNX"
                hint = "export the network with standard operators; libraries are never loaded"
                raise ModelError(message, hint)

    def model(self, data: bytes) -> None:
        """ModelProto: graph 7, opset_import 8, training_info 20, functions 25."""
        for number, start, stop in self._messages(data, 0, len(data)):
            if number == 7:
                self._graphs += 1
                self._graph(data, start, stop, 0)
            elif number == 8:
                domain, version = self._opset(data, start, stop)
                self.opsets[domain] = version
            elif number == 20:  # training: its graphs are never run, but they are parsed
                for kind, first, last in self._messages(data, start, stop):
                    if kind in (1, 2):
                        self._graph(data, first, last, 1)
            elif number == 25:
                self._function(data, start, stop)

    def _function(self, data: bytes, start: int, stop: int) -> None:
        """FunctionProto: name 1, node 7, domain 10, attribute_proto 11."""
        name = domain = ""
        for number, first, last in self._messages(data, start, stop):
            if number == 1:
                name = _text(data, first, last)
            elif number == 10:
                domain = _text(data, first, last)
            elif number == 7:
                self._node(data, first, last, 1)
            elif number == 11:
                self._attribute(data, first, last, 1)
        self._functions.add((_plain(domain), name))

    def _graph(self, data: bytes, start: int, stop: int, depth: int) -> None:
        """GraphProto: node 1, initializer 5, input 11, output 12, sparse_initializer 15."""
        if depth > _DEEPEST:
            message = f"graphs more than {_DEEPEST} deep in one another"
            raise _BadWireError(message)
        for number, first, last in self._messages(data, start, stop):
            if number == 1:
                self._node(data, first, last, depth)
            elif number == 5:
                name = self._tensor(data, first, last)
                if depth == 0:
                    self.weights.add(name)
            elif number == 15:
                self._sparse(data, first, last)
            elif number in (11, 12) and depth == 0:
                names = self.inputs if number == 11 else self.outputs
                name = self._string(data, first, last, 1)
                names.append(name)
                self.first_axes[name] = self._first_axis(data, first, last)

    def _first_axis(self, data: bytes, start: int, stop: int) -> int | str:
        """ValueInfoProto: type 2, tensor_type 1, shape 2, dim 1; in it dim_value 1, dim_param 2."""
        for wanted in (2, 1, 2, 1):
            parts = (part for part in self._messages(data, start, stop) if part[0] == wanted)
            found = next(parts, None)
            if found is None:
                return ""
            _, start, stop = found
        axis: int | str = ""
        for number, wire, _, first, last in self._fields(data, start, stop):
            if number == 1 and wire == _VARINT:
                axis = first
            elif number == 2 and wire == _BYTES:
                axis = _text(data, first, last)
        return axis

    def _node(self, data: bytes, start: int, stop: int, depth: int) -> None:
        """NodeProto: op_type 4, attribute 5, domain 7."""
        operator = domain = ""
        for number, first, last in self._messages(data, start, stop):
            if number == 4:
                operator = _text(data, first, last)
            elif number == 7:
                domain = _text(data, first, last)
            elif number == 5:
                self._attribute(data, first, last, depth)
        self.operators.add((_plain(domain), operator))

    def _attribute(self, data: bytes, start: int, stop: int, depth: int) -> None:
        """AttributeProto: t 5, g 6, tensors 10, graphs 11, sparse_tensor 22, sparse_tensors 23."""
        for number, first, last in self._messages(data, start, stop):
            if number in (6, 11):
                self._graph(data, first, last, depth + 1)
            elif number in (5, 10):
                self._tensor(data, first, last)
            elif number in (22, 23):
                self._sparse(data, first, last)

    def _sparse(self, data: bytes, start: int, stop: int) -> None:
        """SparseTensorProto: values 1, indices 2."""
        for number, first, last in self._messages(data, start, stop):
            if number in (1, 2):
                self._tensor(data, first, last)

    def _tensor(self, data: bytes, start: int, stop: int) -> str:
        """TensorProto: name 8, external_data 13, with key 1 and value 2. Returns the name."""
        name = ""
        for number, first, last in self._messages(data, start, stop):
            if number == 8:
                name = _text(data, first, last)
            elif number == 13 and self._string(data, first, last, 1) == "location":
                self.locations.add(self._string(data, first, last, 2))
        return name

    def _opset(self, data: bytes, start: int, stop: int) -> tuple[str, int]:
        """OperatorSetIdProto: domain 1, version 2."""
        domain, version = "", 0
        for number, wire, _, first, last in self._fields(data, start, stop):
            if number == 1 and wire == _BYTES:
                domain = _text(data, first, last)
            elif number == 2 and wire == _VARINT:
                version = first
        return _plain(domain), version

    def _string(self, data: bytes, start: int, stop: int, wanted: int) -> str:
        """Text of one field; of several the last one counts, as for every protobuf reader."""
        text = ""
        for number, first, last in self._messages(data, start, stop):
            if number == wanted:
                text = _text(data, first, last)
        return text

    def _messages(self, data: bytes, start: int, stop: int) -> Iterator[tuple[int, int, int]]:
        """Fields that are bytes, texts or messages: (number, start, stop)."""
        for number, wire, _, first, last in self._fields(data, start, stop):
            if wire == _BYTES:
                yield number, first, last

    def without_outputs(self, data: bytes, names: Collection[str]) -> bytes:
        """Return a model, its graph being field 7, without some of the graph's outputs, field 12.

        A message that comes twice is one message to protobuf, so every part is looked through.
        """
        parts, at = [], 0
        for number, wire, begin, start, stop in self._fields(data, 0, len(data)):
            if number != 7 or wire != _BYTES:
                continue
            parts.append(data[at:begin])
            graph, at = [], start
            for kind, its_wire, its_begin, first, last in self._fields(data, start, stop):
                if kind != 12 or its_wire != _BYTES:
                    continue
                if self._string(data, first, last, 1) in names:
                    graph.append(data[at:its_begin])
                    at = last
            graph.append(data[at:stop])
            parts += [bytes([7 << 3 | _BYTES]), _number(sum(map(len, graph))), *graph]
            at = stop
        return b"".join([*parts, data[at:]])

    def _fields(
        self, data: bytes, start: int, stop: int
    ) -> Iterator[tuple[int, int, int, int, int]]:
        """Fields of a message: number, wire type, begin; then a value, or first and last byte."""
        at = start
        while at < stop:
            begin = at
            self._fields_left -= 1
            if self._fields_left < 0:
                message = f"more than {_MOST_FIELDS} fields"
                raise _BadWireError(message)
            key, at = _varint(data, at, stop)
            number, wire = key >> 3, key & 7
            if number == 0 or key > _LARGEST_KEY:
                message = f"field number {number} at byte {at}"
                raise _BadWireError(message)
            value, last = at, 0
            if wire == _VARINT:
                value, at = _varint(data, at, stop)
            elif wire == _BYTES:
                length, value = _varint(data, at, stop)
                at = last = value + length
            elif wire in (_FIXED64, _FIXED32):
                at += 8 if wire == _FIXED64 else 4
            else:
                message = f"wire type {wire} at byte {at}"
                raise _BadWireError(message)
            if at > stop:
                message = f"a field that ends behind its message at byte {value}"
                raise _BadWireError(message)
            yield number, wire, begin, value, last


def _number(value: int) -> bytes:
    """Return a number in 7 bits a byte, lowest first."""
    groups = [value & 0x7F]
    while value := value >> 7:
        groups.append(value & 0x7F)
    return bytes([*(group | 0x80 for group in groups[:-1]), groups[-1]])


def _varint(data: bytes, at: int, stop: int) -> tuple[int, int]:
    """A number of 7 bits a byte, lowest first, and where it ends."""
    value = 0
    for shift in range(0, 70, 7):
        if at >= stop:
            message = f"cut short at byte {at}"
            raise _BadWireError(message)
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    message = f"a number of more than ten bytes at byte {at}"
    raise _BadWireError(message)


def _text(data: bytes, start: int, stop: int) -> str:
    return data[start:stop].decode("utf-8", "replace")


def _plain(domain: str) -> str:
    return "" if domain == "ai.onnx" else domain
