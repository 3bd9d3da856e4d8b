"""From an ONNX network to a plan, with TensorRT 10 and 11.

Networks are strongly typed: the precision is what the graph says, and there is no flag that could
be ignored. TensorRT 11 knows nothing else; 10 is asked for it. Nothing of TensorRT is imported
here, its module is handed in, and every object of it is annotated with its class: a test reads
these annotations and checks each attribute and keyword against the real bindings.
"""

from __future__ import annotations

import hashlib
import json
import math
import platform
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from pyposefast import __version__
from pyposefast.engines.plan_cache import PlanKey
from pyposefast.engines.tensor_rt_plan import (
    Range,
    Shape,
    deserialised,
    last_words,
    parser_errors,
)
from pyposefast.errors import EngineError, InputError, InputTypeError

if TYPE_CHECKING:
    import tensorrt

    from pyposefast.engines import Mode, Precision
    from pyposefast.engines.tensor_rt_gpu import Gpu, GpuInfo

__all__ = [
    "Plan",
    "Profiles",
    "Progress",
    "Recipe",
    "build_plan",
    "checked_profiles",
    "plan_key",
    "with_precision",
]

Profiles = Sequence[Mapping[str, Range]]
Progress = Callable[[str, int, int], None]  # phase, steps done, steps in all

_BATCHES = {"latency": (1, 1, 1), "throughput": (1, 8, 32)}
_GLANCE_S = 0.1
_STRONGLY_TYPED_BY_NATURE = 11  # the first version that has no other networks


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a plan is built; together with the network and the machine, all that decides about it."""

    precision: Precision
    mode: Mode
    profiles: tuple[tuple[tuple[str, Range], ...], ...] | None  # None: what the mode says
    version_compatible: bool
    strip_weights: bool
    tf32: bool
    level: int  # how hard the builder tries, 0 to 5

    @property
    def profile_words(self) -> str:
        """Return the part of a plan's key that says which shapes it takes."""
        return json.dumps(self.profiles) if self.profiles is not None else self.mode

    @property
    def flag_words(self) -> str:
        """Return the part of a plan's key that says how it was built."""
        rest = {key: value for key, value in asdict(self).items() if key not in _IN_THE_KEY}
        return json.dumps(rest, sort_keys=True)


_IN_THE_KEY = ("precision", "mode", "profiles")


@dataclass(frozen=True, slots=True)
class Plan:
    """What a build gives."""

    content: bytes
    timing: bytes  # what the builder measured, for the next build


# ---- what a plan is of ---


def plan_key(trt: Any, onnx: bytes, recipe: Recipe, info: GpuInfo) -> PlanKey:
    """Return everything that the plan of a network depends on."""
    version = str(trt.__version__)
    if recipe.version_compatible:
        version = version.partition(".")[0]  # what an older one wrote is tried, and else rebuilt
    precision: str = recipe.precision
    if precision == "fp16":
        precision += f" by {__version__}"  # whose pass over the graph it is
    return PlanKey(
        onnx=hashlib.sha256(onnx).hexdigest(),
        tensor_rt=version,
        gpu=info.name,
        compute_capability=info.compute_capability,
        driver=info.driver,
        precision=precision,
        profiles=recipe.profile_words,
        flags=recipe.flag_words,
        platform=f"{platform.system()} {platform.machine()}",
    )


def with_precision(onnx: bytes, precision: Precision) -> bytes:
    """Put the precision into the graph, which is where TensorRT reads it."""
    if precision != "fp16":
        return onnx
    from pyposefast.precision import to_fp16  # noqa: PLC0415  needs the package onnx

    return to_fp16(onnx)


# ---- profiles ------------------------------------------------------------------------------------


def checked_profiles(profiles: Any) -> tuple[tuple[tuple[str, Range], ...], ...] | None:
    """Check profiles for what can be checked without the network."""
    expected = "a list of {input: (smallest, usual, largest shape)}"
    if profiles is None:
        return None
    if isinstance(profiles, (str, bytes, Mapping)) or not isinstance(profiles, Sequence):
        raise InputTypeError("profiles", expected, type(profiles).__name__)
    if not profiles:
        raise InputError("profiles", expected, "an empty list", "leave it out for the default")
    return tuple(_checked_profile(profile, expected) for profile in profiles)


def _checked_profile(profile: Any, expected: str) -> tuple[tuple[str, Range], ...]:
    if not isinstance(profile, Mapping):
        raise InputTypeError("profiles", expected, f"a list of {type(profile).__name__}")
    checked = []
    for name, shapes in sorted(profile.items()):
        try:
            low, usual, high = (tuple(int(size) for size in shape) for shape in shapes)
        except (TypeError, ValueError):
            raise InputTypeError("profiles", expected, f"{name}: {shapes!r}") from None
        if not len(low) == len(usual) == len(high) or not all(
            0 < a <= b <= c for a, b, c in zip(low, usual, high, strict=True)
        ):
            got = f"{name}: {low}, {usual}, {high}"
            raise InputError("profiles", "shapes of one rank that never shrink", got)
        checked.append((name, (low, usual, high)))
    return tuple(checked)


def _ranges_of(inputs: Mapping[str, Shape], recipe: Recipe) -> list[dict[str, Range]]:
    """Return the profiles of a network; -1 is a free axis of its inputs."""
    free = {name: shape for name, shape in inputs.items() if -1 in shape}
    if recipe.profiles is None:
        return [{name: _batch_range(name, shape, recipe.mode) for name, shape in free.items()}]
    ranges = [dict(profile) for profile in recipe.profiles]
    for profile in ranges:
        for name in free.keys() - profile.keys():
            raise InputError("profiles", f"shapes of input {name} {_words(free[name])}", "none")
        for name, shapes in profile.items():
            if name not in inputs:
                raise InputError("profiles", "inputs " + ", ".join(inputs), name)
            for shape in shapes:
                if not _fits(shape, inputs[name]):
                    expected = f"shapes of input {name} that fit {_words(inputs[name])}"
                    raise InputError("profiles", expected, _words(shape))
    return ranges


def _batch_range(name: str, shape: Shape, mode: Mode) -> Range:
    if -1 in shape[1:]:
        raise InputError(
            "profiles",
            f"shapes of input {name}, which has more free axes than the first",
            f"none for {_words(shape)}",
            f'give them, as in profiles=[{{"{name}": (smallest, usual, largest)}}]',
        )
    low, usual, high = ((batch, *shape[1:]) for batch in _BATCHES[mode])
    return low, usual, high


def _fits(shape: Shape, pattern: Shape) -> bool:
    if len(shape) != len(pattern):
        return False
    return all(wanted in (-1, size) for size, wanted in zip(shape, pattern, strict=True))


def _words(shape: Shape) -> str:
    return "[" + ", ".join("?" if size < 0 else str(size) for size in shape) + "]"


# ---- building ------------------------------------------------------------------------------------


def build_plan(
    trt: Any,
    onnx: bytes,
    recipe: Recipe,
    logger: tensorrt.ILogger,
    *,
    gpu: Gpu,
    file: str,
    timing: bytes,
    progress: Progress | None,
    timeout_s: float | None = None,
) -> Plan:
    """Build a plan, and check that it takes and gives what the network does.

    Args:
        trt: the module ``tensorrt``.
        onnx: the network.
        recipe: how to build.
        logger: from ``make_logger``.
        gpu: what to build for.
        file: the network's name, for messages.
        timing: what an earlier build measured, or nothing.
        progress: told about every step. It is called on the builder's threads; what it raises
            cancels the build and is raised here.
        timeout_s: how long it may take, in seconds.

    Raises:
        EngineError: TensorRT cannot build it, or would build something else.
        InputError: the profiles do not fit the network.
    """
    major = int(trt.__version__.partition(".")[0])
    flags = 0
    if major < _STRONGLY_TYPED_BY_NATURE:
        flags = 1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED)
    builder: tensorrt.Builder = trt.Builder(logger)
    network: tensorrt.INetworkDefinition = builder.create_network(flags)
    parser: tensorrt.OnnxParser = trt.OnnxParser(network, logger)
    if not parser.parse(onnx):
        raise EngineError(f"{file}: TensorRT cannot read it: {parser_errors(parser)}")
    _check_precision(trt, network, recipe.precision, file)
    config: tensorrt.IBuilderConfig = builder.create_builder_config()
    _set_flags(trt, config, recipe)
    for shapes in _ranges_of(_shapes_of(network), recipe):
        if shapes:
            profile: tensorrt.IOptimizationProfile = builder.create_optimization_profile()
            for name, (low, usual, high) in shapes.items():
                profile.set_shape(name, min=low, opt=usual, max=high)
            if config.add_optimization_profile(profile) < 0:
                raise EngineError(
                    f"{file}: TensorRT refuses the profile {shapes}: {last_words(logger)}"
                )
    cache: tensorrt.ITimingCache = config.create_timing_cache(timing)
    if not config.set_timing_cache(cache, ignore_mismatch=False):
        cache = config.create_timing_cache(b"")  # of another device or version: start anew
        config.set_timing_cache(cache, ignore_mismatch=False)
    watch = _Watch(progress)
    monitor = _make_monitor(trt, watch)
    config.progress_monitor = monitor
    plan = _build_interruptibly(builder, network, config, watch, gpu, file, timeout_s)
    if plan is None:
        raise EngineError(f"{file}: TensorRT could not build it: {last_words(logger)}")
    content = memoryview(plan).tobytes()
    _check_ports(trt, network, content, recipe, logger, file)
    measured: tensorrt.ITimingCache = config.get_timing_cache()
    return Plan(content, memoryview(measured.serialize()).tobytes())


def _set_flags(trt: Any, config: tensorrt.IBuilderConfig, recipe: Recipe) -> None:
    config.builder_optimization_level = recipe.level
    # On by default, and ten bits of mantissa are not what fp32 means.
    if recipe.tf32:
        config.set_flag(trt.BuilderFlag.TF32)
    else:
        config.clear_flag(trt.BuilderFlag.TF32)
    if recipe.version_compatible:
        config.set_flag(trt.BuilderFlag.VERSION_COMPATIBLE)
    if recipe.strip_weights:
        config.set_flag(trt.BuilderFlag.STRIP_PLAN)
        config.set_flag(trt.BuilderFlag.REFIT_IDENTICAL)


def _shapes_of(network: tensorrt.INetworkDefinition) -> dict[str, Shape]:
    shapes = {}
    for index in range(network.num_inputs):
        tensor: tensorrt.ITensor = network.get_input(index)
        shapes[str(tensor.name)] = tuple(int(size) for size in tensor.shape)
    return shapes


def _check_precision(
    trt: Any, network: tensorrt.INetworkDefinition, precision: Precision, file: str
) -> None:
    """Refuse a graph that does not hold the precision that was asked for."""
    kinds, has_half = set(), False
    for index in range(network.num_layers):
        layer: tensorrt.ILayer = network.get_layer(index)
        kinds.add(layer.type)
        for position in range(layer.num_outputs):
            tensor: tensorrt.ITensor = layer.get_output(position)
            has_half = has_half or tensor.dtype == trt.DataType.HALF
    if precision == "fp16" and not has_half:
        raise EngineError(f"{file}: expected layers in fp16, got none: it would run in fp32")
    if precision == "int8" and not {trt.LayerType.QUANTIZE, trt.LayerType.DEQUANTIZE} <= kinds:
        raise EngineError(
            f"{file}: precision int8 needs layers that quantise and dequantise, TensorRT read none"
        )


def _check_ports(
    trt: Any,
    network: tensorrt.INetworkDefinition,
    content: bytes,
    recipe: Recipe,
    logger: tensorrt.ILogger,
    file: str,
) -> None:
    """Check that the plan's inputs and outputs have the names and dtypes of the network's."""
    promised = {}
    for index in range(network.num_inputs):
        fed: tensorrt.ITensor = network.get_input(index)
        promised[fed.name] = fed.dtype
    for index in range(network.num_outputs):
        given: tensorrt.ITensor = network.get_output(index)
        promised[given.name] = given.dtype
    loaded = deserialised(trt, content, logger, version_compatible=recipe.version_compatible)
    if loaded is None:
        raise EngineError(f"{file}: TensorRT cannot load what it built: {last_words(logger)}")
    engine: tensorrt.ICudaEngine = loaded[1]
    built = {}
    for index in range(engine.num_io_tensors):
        name = engine.get_tensor_name(index)
        built[name] = engine.get_tensor_dtype(name)
    if built != promised:
        said = {name: str(dtype) for name, dtype in promised.items()}
        got = {name: str(dtype) for name, dtype in built.items()}
        raise EngineError(f"{file}: expected a plan with {said}, got {got}")


def _build_interruptibly(
    builder: tensorrt.Builder,
    network: tensorrt.INetworkDefinition,
    config: tensorrt.IBuilderConfig,
    watch: _Watch,
    gpu: Gpu,
    file: str,
    timeout_s: float | None,
) -> tensorrt.IHostMemory | None:
    """Build on a second thread, so that this one can be interrupted and then cancel the build."""
    results: list[Any] = []
    done = threading.Event()

    def build() -> None:
        try:
            with gpu.at_work(f"building {file}"):  # each thread has a current device of its own
                results.append(builder.build_serialized_network(network, config))
        except BaseException as error:  # noqa: BLE001  raised again by the thread that waits
            watch.cancel(error)
        finally:
            done.set()

    threading.Thread(target=build, name="pyposefast-build", daemon=True).start()
    deadline = math.inf if timeout_s is None else time.monotonic() + timeout_s
    try:
        # In short waits: a signal that another thread has received does not end a long one.
        while not done.wait(_GLANCE_S):
            if time.monotonic() > deadline:
                watch.cancel(EngineError(f"{file}: the build took longer than {timeout_s:g} s"))
    except BaseException as error:
        watch.cancel(error)
        done.wait()  # the builder writes into objects that are about to go
        raise
    if watch.error is not None:
        raise watch.error
    return results[0]


class _Watch:
    """How far a build is, and whether it should go on."""

    def __init__(self, progress: Progress | None) -> None:
        self.error: BaseException | None = None  # why it should not
        self._progress = progress
        self._steps: dict[str, int] = {}

    def start(self, phase: str, steps: int) -> None:
        self._steps[phase] = steps
        self.tell(phase, 0)

    def tell(self, phase: str, step: int | None = None) -> bool:
        """Pass on how far a phase is, or that it is over; return whether to go on."""
        steps = self._steps.get(phase, 0)
        if self._progress is not None and self.error is None:
            try:
                self._progress(phase, steps if step is None else step, steps)
            except BaseException as error:  # noqa: BLE001  may not pass through TensorRT's frames
                self.cancel(error)
        return self.error is None

    def cancel(self, error: BaseException) -> None:
        self.error = self.error or error


def _make_monitor(trt: Any, watch: _Watch) -> Any:
    """Return what TensorRT reports its progress to."""

    class Monitor(trt.IProgressMonitor):  # type: ignore[misc]  # a class of a module without types
        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)

        def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
            del parent_phase
            watch.start(phase_name, num_steps)

        def step_complete(self, phase_name: str, step: int) -> bool:
            return watch.tell(phase_name, step + 1)

        def phase_finish(self, phase_name: str) -> None:
            watch.tell(phase_name)

    return Monitor()
