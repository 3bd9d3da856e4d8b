"""Modules of Torch as ONNX files, by either of Torch's exporters."""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from pyposefast import arguments
from pyposefast.errors import InputError, InputTypeError, ModelError
from pyposefast.precision import graph

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from pyposefast.parity import Outputs, Run

__all__ = ["Exporter", "trace"]

Exporter = Literal["torchscript", "dynamo"]
_OLDEST_OPSET, _NEWEST_OPSET = 11, 23
_LONGEST_REASON = 300  # characters


def trace(
    module: Any,
    path: Path,
    *,
    example: Any,
    output_names: Sequence[str] = (),
    free_batch: bool = False,
    opset: int = 17,
    exporter: Exporter = "torchscript",
) -> Run:
    """Write a module as ONNX, and return a function that runs it as an engine would run the file.

    Args:
        module: a torch.nn.Module on the CPU, in eval mode.
        path: of the file to write.
        example: the module's arguments in order, Torch tensors, by the names they will have.
        output_names: what its outputs will be called; else Torch finds names.
        free_batch: leave the first axis of every input free.
        opset: version of ONNX's operators.
        exporter: "torchscript" traces, and is the one that Torch will drop; "dynamo" needs
            onnxscript.

    Raises:
        InputError, InputTypeError: an argument does not fit.
        ModelError: Torch cannot export the module.
        ImportError: Torch or onnxscript is absent.
    """
    torch = _torch()
    arguments.word(exporter, "exporter", get_args(Exporter))
    arguments.integer(opset, "opset", _OLDEST_OPSET, _NEWEST_OPSET)
    names = _input_names(torch, module, example)
    settings: dict[str, Any] = {"dynamo": exporter == "dynamo", "opset_version": opset}
    if exporter == "dynamo":
        _need_onnxscript()
        settings["external_data"] = False
    if arguments.flag(free_batch, "free_batch"):
        if exporter == "dynamo":
            batch = torch.export.Dim("batch")
            settings["dynamic_shapes"] = tuple({0: batch} for _ in names)
        else:
            settings["dynamic_axes"] = {name: {0: "batch"} for name in (*names, *output_names)}
    with warnings.catch_warnings():
        # Torch announces the end of its tracing exporter whenever that is used.
        warnings.simplefilter("ignore", DeprecationWarning)
        # Both from "dynamo": about Torch's own inside, and that two inputs share their free axis.
        warnings.simplefilter("ignore", FutureWarning)
        warnings.filterwarnings("ignore", "# The axis name")
        try:
            torch.onnx.export(
                module,
                tuple(example.values()),
                str(path),
                input_names=names,
                output_names=list(output_names) or None,
                verbose=False,
                **settings,
            )
        except Exception as error:  # whatever the module's own code raises, too
            reason = " ".join(str(error).split())[:_LONGEST_REASON]
            message = f"{type(module).__name__}: Torch cannot export it: {reason}"
            raise ModelError(message) from error
    outputs = [each.name for each in graph.read(path)[0].graph.output]

    def run(feeds: Outputs) -> Outputs:
        tensors = [torch.from_numpy(np.array(feeds[name])) for name in names]
        with torch.inference_mode():
            got = [each.numpy() for each in _flat(torch, module(*tensors))]
        if len(got) != len(outputs):
            raise ModelError(
                f"{type(module).__name__}: expected {len(got)} outputs in ONNX, got {len(outputs)}"
            )
        return dict(zip(outputs, got, strict=True))

    return run


def _input_names(torch: Any, module: Any, example: Any) -> list[str]:
    """Check what is needed to trace a module, and return the names of its inputs."""
    if not isinstance(module, torch.nn.Module):
        expected = "the path of an ONNX file or a torch.nn.Module"
        raise InputTypeError("source", expected, type(module).__name__)
    if module.training:
        raise InputError("source", "a module in eval mode", "training mode", "`module.eval()`")
    if not isinstance(example, Mapping) or not example:
        expected = "the module's inputs by name"
        raise InputTypeError("example", expected, type(example).__name__)
    for name, value in example.items():
        if not isinstance(value, torch.Tensor):
            raise InputTypeError(f"example[{name!r}]", "a Torch tensor", type(value).__name__)
        if value.device.type != "cpu":
            raise InputError(f"example[{name!r}]", "a tensor on the CPU", f"on {value.device}")
    return list(example)


def _flat(torch: Any, outputs: Any) -> Iterator[Any]:
    """Yield the tensors of nested outputs in the order in which Torch writes them."""
    if isinstance(outputs, torch.Tensor):
        yield outputs
    elif isinstance(outputs, (list, tuple, Mapping)):
        for each in outputs.values() if isinstance(outputs, Mapping) else outputs:
            yield from _flat(torch, each)


def _torch() -> Any:
    try:
        import torch  # noqa: PLC0415  an extra
        import torch.onnx  # noqa: PLC0415
    except ImportError as error:
        message = (
            "a source that is no path has to be a torch.nn.Module, and Torch does not import here\n"
            'hint: pip install "pyposefast[torch]"'
        )
        raise ImportError(message) from error
    return torch


def _need_onnxscript() -> None:
    if importlib.util.find_spec("onnxscript") is None:  # Torch imports it, not we
        message = (
            'the exporter "dynamo" needs onnxscript, which does not import here\n'
            'hint: pip install "pyposefast[export]", or take the exporter "torchscript"'
        )
        raise ImportError(message)
