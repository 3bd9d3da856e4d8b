"""TensorRT, versions 10 and 11: ONNX networks compiled for the GPU at hand, and kept as plans.

Of the things in here, only names and signatures could be checked against TensorRT itself (against
the bindings of 11.4); behaviour is tested on a stand-in, and on a GPU where there is one.
"""

from __future__ import annotations

import dataclasses
import functools
from typing import TYPE_CHECKING, Any, cast, get_args

from pyposefast import arguments
from pyposefast.engines import Mode, Precision, onnx_file
from pyposefast.engines.plan_cache import PlanCache
from pyposefast.engines.tensor_rt_build import (
    Recipe,
    build_plan,
    checked_profiles,
    plan_key,
    with_precision,
)
from pyposefast.engines.tensor_rt_engine import TensorRt
from pyposefast.engines.tensor_rt_gpu import Gpu, find_gpu
from pyposefast.engines.tensor_rt_plan import (
    load_plan,
    make_logger,
)
from pyposefast.errors import (
    EngineCacheError,
    EngineError,
    ModelError,
)

if TYPE_CHECKING:
    import os

    from pyposefast.engines.tensor_rt_build import Profiles, Progress

__all__ = ["TensorRt", "open_tensor_rt"]

_MOST_CONTEXTS = 256
_MOST_LEVEL = 5


def open_tensor_rt(
    path: str | os.PathLike[str],
    *,
    device: str = "cuda:0",
    precision: Precision = "fp32",
    mode: Mode = "latency",
    profiles: Profiles | None = None,
    cache: PlanCache | str | os.PathLike[str] | None = None,
    timing_cache: bool = True,
    cuda_graph: bool = True,
    version_compatible: bool = False,
    strip_weights: bool = False,
    tf32: bool = False,
    level: int = 3,
    contexts: int = 16,
    progress: Progress | None = None,
    build_timeout_s: float | None = None,
) -> TensorRt:
    """Open an ONNX network with TensorRT; the first time on a machine this takes minutes.

    Args:
        path: an ONNX file that holds its weights.
        device: "cuda" or "cuda:N".
        precision: "fp32" opens the file as it is; "fp16" converts all but what needs fp32 and keeps
            the inputs and outputs as they are; "int8" needs a file with QuantizeLinear and
            DequantizeLinear nodes.
        mode: which batches a network with a free first axis takes: 1 for "latency", 1 to 32 and
            best at 8 for "throughput".
        profiles: instead of the mode's, for each input the smallest, usual and largest shape.
        cache: the plans' cache or its folder; by default in ``cache_folder()``.
        timing_cache: keep what the builder measured too, which makes other builds quicker.
        cuda_graph: run as one CUDA graph for each input shape. Arrays on the device are then copied
            into and out of the graph's own.
        version_compatible: the plan also runs on later TensorRTs of the same major version.
        strip_weights: the plan has no weights, they are put in from the file whenever it is opened.
        tf32: let fp32 layers round their factors to ten bits, which is faster.
        level: how hard the builder tries, from 0 to 5.
        contexts: how many runs may be under way at once, over all input shapes. Each shape that is
            in use needs one, with memory of its own.
        progress: called with a phase, its steps done and its steps in all, on other threads. What
            it raises ends the build.
        build_timeout_s: how long a build may take, in seconds.

    Raises:
        DeviceError: there is no such device.
        ImportError: TensorRT or CuPy is not installed.
        EngineError: TensorRT cannot build the network.
        InputError: an argument has a wrong value, or the network needs ``profiles``.
        ModelError: the file cannot be read, or has weights in other files.
        UntrustedModelError: loading the file would run code or read files that are not its own.
    """
    recipe = Recipe(
        cast("Precision", arguments.word(precision, "precision", get_args(Precision))),
        cast("Mode", arguments.word(mode, "mode", get_args(Mode))),
        checked_profiles(profiles),
        arguments.flag(version_compatible, "version_compatible"),
        arguments.flag(strip_weights, "strip_weights"),
        arguments.flag(tf32, "tf32"),
        arguments.integer(level, "level", 0, _MOST_LEVEL),
    )
    if build_timeout_s is not None:
        arguments.number(build_timeout_s, "build_timeout_s", 0.0)
    most = arguments.integer(contexts, "contexts", 1, _MOST_CONTEXTS)
    wants_graph = arguments.flag(cuda_graph, "cuda_graph")
    keeps_timing = arguments.flag(timing_cache, "timing_cache")
    file = onnx_file.read(path)
    name = str(file.path)
    _check_file(file, recipe.precision)
    info = find_gpu(device)  # before TensorRT is imported: see there
    trt = _tensorrt()
    gpu = Gpu(info.index)
    plans = cache if isinstance(cache, PlanCache) else PlanCache(cache)
    logger = make_logger(trt)
    key = plan_key(trt, file.data, recipe, info)
    timing_key = dataclasses.replace(key, onnx="", precision="", profiles="", kind="timing")

    @functools.cache
    def network() -> bytes:
        return with_precision(file.data, recipe.precision)

    def build() -> bytes:
        timing = (plans.read(timing_key) or b"") if keeps_timing else b""
        onnx = network()
        with gpu.at_work(f"building {name}"):
            plan = build_plan(
                trt,
                onnx,
                recipe,
                logger,
                gpu=gpu,
                file=name,
                timing=timing,
                progress=progress,
                timeout_s=build_timeout_s,
            )
        if keeps_timing and plan.timing != timing:
            plans.write(timing_key, plan.timing)
        return plan.content

    def load() -> tuple[Any, Any] | None:
        plan = plans.get_or_build(key, build)
        with gpu.at_work(f"loading the plan of {name}"):
            return load_plan(
                trt,
                plan,
                logger,
                version_compatible=recipe.version_compatible,
                weights=network if recipe.strip_weights else None,
            )

    loaded = load()
    if loaded is None:
        plans.reject(key, "is not accepted by TensorRT")
        loaded = load()
    if loaded is None:
        raise EngineCacheError(f"{name}: TensorRT loads neither its plan nor a new one")
    return TensorRt(
        trt, gpu, loaded[0], loaded[1], logger, name=name, graph=wants_graph, contexts=most
    )


def _tensorrt() -> Any:
    """Import TensorRT, or say how to get it."""
    try:
        import tensorrt as module  # noqa: PLC0415  an extra: imported when needed
    except ImportError as error:
        message = (
            "this engine needs TensorRT, which does not import here\n"
            'hint: pip install "pyposefast[cuda]"'
        )
        raise ImportError(message) from error
    return module


def _check_file(file: onnx_file.OnnxFile, precision: Precision) -> None:
    """Refuse what no plan can be kept of, or what would not have the precision it is asked for."""
    if file.external:
        raise ModelError(
            f"{file.path}: expected a file that holds its weights, got {len(file.external)} others",
            "join them: `onnx.save(onnx.load(path), path)`",
        )
    needed = {"QuantizeLinear", "DequantizeLinear"}
    if precision == "int8" and not needed <= {operator for _, operator in file.operators}:
        raise EngineError(
            f"{file.path}: precision int8 needs QuantizeLinear and DequantizeLinear nodes, "
            "and it has none",
            "quantise it first, for example with onnxruntime.quantization, format QDQ",
        )
