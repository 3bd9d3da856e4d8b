"""A plan as TensorRT sees it: loading one, what it takes and gives, and what TensorRT says.

As in tensor_rt_build.py, every object of TensorRT is annotated with its class, for the test that
compares with the real bindings.
"""

from __future__ import annotations

import collections
import logging
from typing import TYPE_CHECKING, Any

import numpy as np

from pyposefast.engines.ports import Port
from pyposefast.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Callable

    import tensorrt

__all__ = [
    "MOST_MESSAGES",
    "Range",
    "Shape",
    "deserialised",
    "last_words",
    "load_plan",
    "make_logger",
    "one_line",
    "parser_errors",
    "ports_of",
    "profiles_of",
]

MOST_MESSAGES = 20

Shape = tuple[int, ...]
Range = tuple[Shape, Shape, Shape]  # smallest, usual and largest shape of an input

_log = logging.getLogger("pyposefast")


# ---- loading -------------------------------------------------------------------------------------


def load_plan(
    trt: Any,
    content: bytes,
    logger: tensorrt.ILogger,
    *,
    version_compatible: bool,
    weights: Callable[[], bytes] | None,
) -> tuple[Any, Any] | None:
    """Make an engine of a plan.

    Args:
        trt: the module ``tensorrt``.
        content: the plan.
        logger: from ``make_logger``.
        version_compatible: the plan was built so.
        weights: gives the ONNX network of a plan that was stripped of its weights.

    Returns:
        The runtime and the engine, which must go in the other order; None if TensorRT does not
        accept the plan.

    Raises:
        EngineError: the plan has no weights, and those of the network do not fit.
    """
    loaded = deserialised(trt, content, logger, version_compatible=version_compatible)
    if loaded is None:
        return None
    runtime, engine = loaded
    if weights is not None:
        refitter: tensorrt.Refitter = trt.Refitter(engine, logger)
        parser: tensorrt.OnnxParserRefitter = trt.OnnxParserRefitter(refitter, logger)
        if not parser.refit_from_bytes(weights()):
            raise EngineError(f"the weights do not fit the plan: {parser_errors(parser)}")
        if not refitter.refit_cuda_engine():
            raise EngineError(f"the weights could not be put into the plan: {last_words(logger)}")
    return runtime, engine


def deserialised(
    trt: Any, content: bytes, logger: tensorrt.ILogger, *, version_compatible: bool
) -> tuple[Any, Any] | None:
    """Return the runtime and the engine of a plan, None if TensorRT does not accept it."""
    runtime: tensorrt.Runtime = trt.Runtime(logger)
    if version_compatible:
        # Such a plan carries the code that runs it. It is ours: the cache checked its digest.
        runtime.engine_host_code_allowed = True
    engine = runtime.deserialize_cuda_engine(content)
    return None if engine is None else (runtime, engine)


def _dtype_name(trt: Any, dtype: Any, port: str) -> str:
    """Return an element type as NumPy calls it."""
    try:
        return str(np.dtype(trt.nptype(dtype)))
    except TypeError:
        raise EngineError(f"{port}: NumPy has no dtype for {dtype}") from None


# ---- what it takes and gives ---


def profiles_of(trt: Any, engine: tensorrt.ICudaEngine) -> list[dict[str, Range]]:
    """Return what the plan takes: for each profile and input the smallest, usual, largest shape."""
    names = [engine.get_tensor_name(index) for index in range(engine.num_io_tensors)]
    fed = [name for name in names if engine.get_tensor_mode(name) == trt.TensorIOMode.INPUT]
    profiles = []
    for index in range(engine.num_optimization_profiles):
        profile = {}
        for name in fed:
            low, usual, high = (
                tuple(int(size) for size in shape)
                for shape in engine.get_tensor_profile_shape(name, index)
            )
            profile[name] = (low, usual, high)
        profiles.append(profile)
    return profiles


def ports_of(
    trt: Any, engine: tensorrt.ICudaEngine, profiles: list[dict[str, Range]]
) -> tuple[tuple[Port, ...], tuple[Port, ...]]:
    """Return the inputs and the outputs; what all profiles fix to one size is not free."""
    inputs: list[Port] = []
    outputs: list[Port] = []
    for index in range(engine.num_io_tensors):
        name = engine.get_tensor_name(index)
        shape = [int(size) for size in engine.get_tensor_shape(name)]
        sizes: list[int | None] = [None if size < 0 else size for size in shape]
        is_input = engine.get_tensor_mode(name) == trt.TensorIOMode.INPUT
        if engine.get_tensor_location(name) == trt.TensorLocation.HOST:
            raise EngineError(f"{name}: it is read on the host, which is not supported here")
        if is_input:
            for axis, size in enumerate(sizes):
                limits = {limit[axis] for profile in profiles for limit in profile[name]}
                if size is None and len(limits) == 1:
                    sizes[axis] = limits.pop()
        dtype = _dtype_name(trt, engine.get_tensor_dtype(name), name)
        (inputs if is_input else outputs).append(Port(name, tuple(sizes), dtype))
    if all(None not in port.shape for port in inputs):
        outputs = _fixed_outputs(engine, inputs, outputs)
    return tuple(inputs), tuple(outputs)


def _fixed_outputs(
    engine: tensorrt.ICudaEngine, inputs: list[Port], outputs: list[Port]
) -> list[Port]:
    """Ask for the outputs' shapes where the inputs leave nothing open."""
    if all(None not in port.shape for port in outputs):
        return outputs
    context: tensorrt.IExecutionContext = engine.create_execution_context()
    for port in inputs:
        context.set_input_shape(port.name, port.shape)
    fixed = []
    for port in outputs:
        shape = (int(size) for size in context.get_tensor_shape(port.name))
        sizes = tuple(None if size < 0 else size for size in shape)
        fixed.append(Port(port.name, sizes, port.dtype))
    return fixed


# ---- what TensorRT says --------------------------------------------------------------------------


def make_logger(trt: Any) -> Any:
    """Return a logger for TensorRT, which passes on to ``logging`` and remembers errors."""
    severity = trt.ILogger.Severity
    levels = {
        severity.INTERNAL_ERROR: logging.ERROR,
        severity.ERROR: logging.ERROR,
        severity.WARNING: logging.WARNING,
        severity.INFO: logging.DEBUG,
    }

    class Logger(trt.ILogger):  # type: ignore[misc]  # a class of a module without types
        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self.errors: collections.deque[str] = collections.deque(maxlen=MOST_MESSAGES)

        def log(self, severity: Any, msg: str) -> None:
            level = levels.get(severity)
            if level is None:
                return  # verbose: thousands of lines
            text = one_line(str(msg))
            if level >= logging.ERROR:
                self.errors.append(text)
            _log.log(level, "TensorRT: %s", text)

    return Logger()


def parser_errors(parser: tensorrt.OnnxParser | tensorrt.OnnxParserRefitter) -> str:
    """Return what the parser found wrong, in one line."""
    found = []
    for index in range(min(parser.num_errors, MOST_MESSAGES)):
        error: tensorrt.ParserError = parser.get_error(index)
        place = f"node {error.node()} ({error.node_operator()} {error.node_name()})"
        found.append(f"{place}: {error.desc()}")
    return one_line("; ".join(found)) or "it does not say why"


def last_words(logger: Any) -> str:
    """Return TensorRT's latest errors, in one line."""
    return one_line("; ".join(logger.errors)) or "it does not say why"


def one_line(text: str, limit: int = 2000) -> str:
    """Make a foreign text safe for a message: no control characters, not endless."""
    clean = "".join(sign if sign.isprintable() else " " for sign in text).strip()
    return clean if len(clean) <= limit else clean[: limit - 1] + "…"
