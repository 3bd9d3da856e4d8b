"""A stand-in for the module `tensorrt`, version 10 or 11, on a machine of machine.py.

It offers what our code uses, under the real names: `offered` lists them, and a test compares them
with the real bindings. Plans hold the ONNX network, which the onnx package's own interpreter runs.
Objects take no attributes that they do not have, as those of the bindings do not.
"""

from __future__ import annotations

import ctypes
import enum
import inspect
import json
import time
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from tensor_rt.machine import Machine

MAGIC = b"FAKE PLAN "
TIMING = b"FAKE TIMING "


class Orders:
    """What a test wants to go wrong, and what it wants to see."""

    def __init__(self) -> None:
        self.builds = 0
        self.flags: list[int] = []  # of every network
        self.config: dict[str, Any] = {}  # of the last build
        self.profiles: list[dict[str, Any]] = []  # of the last build
        self.fail_build = ""
        self.fail_execute = ""
        self.refuse_plans = 0  # how many of the next ones
        self.output_dtype: str | None = None  # the plan gives this instead of what it should
        self.step_s = 0.0
        self.steps = 3
        self.steps_done = 0
        self.can_capture = True
        self.data_dependent = False


def fake_tensorrt(version: str, machine: Machine, orders: Orders) -> ModuleType:
    """Return the module."""
    major = int(version.partition(".")[0])

    class ILogger:
        class Severity(enum.Enum):
            INTERNAL_ERROR = 0
            ERROR = 1
            WARNING = 2
            INFO = 3
            VERBOSE = 4

        def __init__(self) -> None:
            pass

        def log(self, severity: Any, msg: str) -> None:
            raise NotImplementedError

    class IProgressMonitor:
        def __init__(self) -> None:
            pass

        def phase_start(self, phase_name: str, parent_phase: str, num_steps: int) -> None:
            raise NotImplementedError

        def step_complete(self, phase_name: str, step: int) -> bool:
            raise NotImplementedError

        def phase_finish(self, phase_name: str) -> None:
            raise NotImplementedError

    class DataType(enum.Enum):
        FLOAT = "float32"
        HALF = "float16"
        INT8 = "int8"
        INT32 = "int32"
        INT64 = "int64"
        BOOL = "bool"
        UINT8 = "uint8"
        BF16 = "bfloat16"

    class TensorIOMode(enum.Enum):
        NONE = 0
        INPUT = 1
        OUTPUT = 2

    class TensorLocation(enum.Enum):
        DEVICE = 0
        HOST = 1

    class LayerType(enum.Enum):
        CONVOLUTION = 0
        ELEMENTWISE = 11
        CAST = 22
        QUANTIZE = 40
        DEQUANTIZE = 41

    class BuilderFlag(enum.Enum):
        TF32 = 5
        VERSION_COMPATIBLE = 9
        STRIP_PLAN = 13
        REFIT_IDENTICAL = 14

    class NetworkDefinitionCreationFlag(enum.IntEnum):
        STRONGLY_TYPED = 1 if major < 11 else 0

    class IHostMemory(bytes):
        __slots__ = ()

    class ITensor:
        __slots__ = ("dtype", "name", "shape")

        def __init__(self, name: str, shape: tuple[int, ...], dtype: str) -> None:
            self.name, self.shape, self.dtype = name, shape, DataType(dtype)

    class ILayer:
        __slots__ = ("_outputs", "num_outputs", "type")

        def __init__(self, kind: LayerType, outputs: list[ITensor]) -> None:
            self.type, self._outputs, self.num_outputs = kind, outputs, len(outputs)

        def get_output(self, index: int) -> ITensor:
            return self._outputs[index]

    class INetworkDefinition:
        __slots__ = ("_inputs", "_layers", "_onnx", "_outputs", "_strong")

        def __init__(self, flags: int) -> None:
            strong = NetworkDefinitionCreationFlag.STRONGLY_TYPED
            self._strong = major >= 11 or bool(flags >> strong & 1)
            self._inputs: list[ITensor] = []
            self._outputs: list[ITensor] = []
            self._layers: list[ILayer] = []
            self._onnx = b""

        @property
        def num_inputs(self) -> int:
            return len(self._inputs)

        @property
        def num_outputs(self) -> int:
            return len(self._outputs)

        @property
        def num_layers(self) -> int:
            return len(self._layers)

        def get_input(self, index: int) -> ITensor:
            return self._inputs[index]

        def get_output(self, index: int) -> ITensor:
            return self._outputs[index]

        def get_layer(self, index: int) -> ILayer:
            return self._layers[index]

    class IOptimizationProfile:
        __slots__ = ("_shapes",)

        def __init__(self) -> None:
            self._shapes: dict[str, Any] = {}

        def set_shape(self, input: str, min: Any, opt: Any, max: Any) -> None:  # noqa: A002
            self._shapes[input] = [tuple(min), tuple(opt), tuple(max)]

    class ITimingCache:
        __slots__ = ("_content",)

        def __init__(self, content: bytes) -> None:
            self._content = content

        def serialize(self) -> IHostMemory:
            return IHostMemory(self._content)

    class IBuilderConfig:
        __slots__ = (
            "_cache",
            "_flags",
            "_profiles",
            "builder_optimization_level",
            "progress_monitor",
        )

        def __init__(self) -> None:
            self._flags = {BuilderFlag.TF32}
            self._profiles: list[IOptimizationProfile] = []
            self._cache = ITimingCache(b"")
            self.builder_optimization_level = 3
            self.progress_monitor: Any = None

        def set_flag(self, flag: Any) -> None:
            self._flags.add(flag)

        def clear_flag(self, flag: Any) -> None:
            self._flags.discard(flag)

        def add_optimization_profile(self, profile: Any) -> int:
            self._profiles.append(profile)
            return len(self._profiles) - 1

        def create_timing_cache(self, serialized_timing_cache: bytes) -> ITimingCache:
            return ITimingCache(serialized_timing_cache)

        def set_timing_cache(self, cache: Any, ignore_mismatch: bool) -> bool:  # noqa: FBT001
            assert ignore_mismatch is False
            if cache._content and not cache._content.startswith(TIMING):
                return False
            self._cache = cache
            return True

        def get_timing_cache(self) -> ITimingCache:
            return self._cache

    class Builder:
        __slots__ = ("_logger",)

        def __init__(self, logger: Any) -> None:
            assert isinstance(logger, ILogger)
            self._logger = logger

        def create_network(self, flags: int = 0) -> INetworkDefinition:
            orders.flags.append(flags)
            return INetworkDefinition(flags)

        def create_builder_config(self) -> IBuilderConfig:
            return IBuilderConfig()

        def create_optimization_profile(self) -> IOptimizationProfile:
            return IOptimizationProfile()

        def build_serialized_network(self, network: Any, config: Any) -> IHostMemory | None:
            assert getattr(machine.current, "index", None) is not None, "no current device"
            orders.builds += 1
            orders.config = {
                "flags": {flag.name for flag in config._flags},
                "level": config.builder_optimization_level,
                "timing": config._cache._content,
            }
            orders.profiles = [profile._shapes for profile in config._profiles]
            monitor = config.progress_monitor
            monitor.phase_start("Build", None, orders.steps)
            for step in range(orders.steps):
                time.sleep(orders.step_s)
                orders.steps_done += 1
                if not monitor.step_complete("Build", step):
                    return None
            monitor.phase_finish("Build")
            if orders.fail_build:
                self._logger.log(ILogger.Severity.ERROR, orders.fail_build)
                return None
            config._cache = ITimingCache(TIMING + str(orders.builds).encode())
            onnx = network._onnx if network._strong else b"weakly typed"
            facts = {
                "version": version,
                "profiles": orders.profiles,
                "stripped": BuilderFlag.STRIP_PLAN in config._flags,
                "carries_code": BuilderFlag.VERSION_COMPATIBLE in config._flags,
                "inputs": [[t.name, t.shape, t.dtype.value] for t in network._inputs],
                "outputs": [
                    [t.name, t.shape, orders.output_dtype or t.dtype.value]
                    for t in network._outputs
                ],
            }
            return IHostMemory(MAGIC + json.dumps(facts).encode() + b"\n" + onnx)

    class ParserError:
        __slots__ = ("_text",)

        def __init__(self, text: str) -> None:
            self._text = text

        def node(self) -> int:
            return 3

        def node_name(self) -> str:
            return "odd"

        def node_operator(self) -> str:
            return "Foo"

        def desc(self) -> str:
            return self._text

    class OnnxParser:
        __slots__ = ("_errors", "_network")

        def __init__(self, network: Any, logger: Any) -> None:
            assert isinstance(logger, ILogger)
            self._network = network
            self._errors: list[ParserError] = []

        @property
        def num_errors(self) -> int:
            return len(self._errors)

        def get_error(self, index: int) -> ParserError:
            return self._errors[index]

        def parse(self, model: bytes) -> bool:
            import onnx

            parsed = onnx.load_from_string(model)
            graph = onnx.shape_inference.infer_shapes(parsed).graph
            unknown = [node for node in graph.node if not onnx.defs.has(node.op_type)]
            if unknown:
                self._errors = [ParserError("no importer\nfor \x1b this")]
                return False
            dtypes = {
                info.name: _dtype(info) for info in (*graph.input, *graph.value_info, *graph.output)
            }
            network = self._network
            network._onnx = model
            network._inputs = [ITensor(i.name, _shape(i), _dtype(i)) for i in graph.input]
            network._outputs = [ITensor(i.name, _shape(i), _dtype(i)) for i in graph.output]
            kinds = {
                "QuantizeLinear": LayerType.QUANTIZE,
                "DequantizeLinear": LayerType.DEQUANTIZE,
                "Cast": LayerType.CAST,
            }
            network._layers = [
                ILayer(
                    kinds.get(node.op_type, LayerType.ELEMENTWISE),
                    [ITensor(name, (), dtypes[name]) for name in node.output],
                )
                for node in graph.node
            ]
            return True

    class Runtime:
        __slots__ = ("_logger", "engine_host_code_allowed")

        def __init__(self, logger: Any) -> None:
            assert isinstance(logger, ILogger)
            self._logger = logger
            self.engine_host_code_allowed = False

        def deserialize_cuda_engine(self, serialized_engine: bytes) -> ICudaEngine | None:
            assert getattr(machine.current, "index", None) is not None, "no current device"
            facts, separator, onnx = serialized_engine.removeprefix(MAGIC).partition(b"\n")
            if orders.refuse_plans or not serialized_engine.startswith(MAGIC) or not separator:
                orders.refuse_plans = max(orders.refuse_plans - 1, 0)
                self._logger.log(ILogger.Severity.ERROR, "magic tag does not match")
                return None
            engine = ICudaEngine(json.loads(facts), onnx)
            if engine._facts["carries_code"] and not self.engine_host_code_allowed:
                self._logger.log(ILogger.Severity.ERROR, "host code is not allowed")
                return None
            return engine

    class ICudaEngine:
        __slots__ = ("_facts", "_is_fitted", "_onnx", "_profiles", "_rows")

        def __init__(self, facts: dict[str, Any], onnx: bytes) -> None:
            self._facts, self._onnx = facts, onnx
            self._is_fitted = not facts["stripped"]
            self._rows = [*facts["inputs"], *facts["outputs"]]
            fixed = {name: [shape] * 3 for name, shape, _ in facts["inputs"]}
            self._profiles = [{**fixed, **profile} for profile in facts["profiles"] or [{}]]

        @property
        def num_io_tensors(self) -> int:
            return len(self._rows)

        @property
        def num_optimization_profiles(self) -> int:
            return len(self._profiles)

        def get_tensor_name(self, index: int) -> str:
            return str(self._rows[index][0])

        def get_tensor_mode(self, name: str) -> TensorIOMode:
            is_input = name in [row[0] for row in self._facts["inputs"]]
            return TensorIOMode.INPUT if is_input else TensorIOMode.OUTPUT

        def get_tensor_location(self, name: str) -> TensorLocation:
            return TensorLocation.HOST if name == "shape" else TensorLocation.DEVICE

        def get_tensor_shape(self, name: str) -> Any:
            return tuple(self._row(name)[1])

        def get_tensor_dtype(self, name: str) -> DataType:
            return DataType(self._row(name)[2])

        def get_tensor_profile_shape(self, name: str, profile_index: int) -> list[Any]:
            return list(self._profiles[profile_index][name])

        def create_execution_context(self) -> IExecutionContext:
            return IExecutionContext(self)

        def _row(self, name: str) -> Any:
            return next(row for row in self._rows if row[0] == name)

    class IExecutionContext:
        __slots__ = ("_addresses", "_engine", "_is_warm", "_pending", "_profile", "_shapes")

        def __init__(self, engine: Any) -> None:
            self._engine = engine
            self._addresses: dict[str, int] = {}
            self._shapes: dict[str, tuple[int, ...]] = {}
            self._profile = 0
            self._is_warm = False
            self._pending = 0  # runs that the device has not done yet

        def set_optimization_profile_async(self, profile_index: int, stream_handle: int) -> bool:
            assert stream_handle in machine.streams
            self._profile = profile_index
            return True

        def set_input_shape(self, name: str, shape: Any) -> bool:
            low, _, high = self._engine._profiles[self._profile][name]
            fits = all(a <= b <= c for a, b, c in zip(low, shape, high, strict=True))
            self._shapes[name] = tuple(shape)
            self._is_warm = False
            return fits

        def get_tensor_shape(self, name: str) -> Any:
            if name in self._shapes:
                return self._shapes[name]
            if orders.data_dependent:
                return (-1,)
            # In these networks only the first axis is ever free, and the same for all.
            declared = self._engine.get_tensor_shape(name)
            first = next(iter(self._shapes.values()))
            return tuple(first[axis] if size < 0 else size for axis, size in enumerate(declared))

        def set_tensor_address(self, name: str, memory: int) -> bool:
            assert memory % 256 == 0, "not aligned"
            self._addresses[name] = memory
            return True

        def execute_async_v3(self, stream_handle: int) -> bool:
            assert self._engine._is_fitted, "a plan without weights was run"
            assert getattr(machine.current, "index", None) is not None, "no current device"
            is_capturing = stream_handle in machine.captures
            if orders.fail_execute:
                return False
            is_ready = self._is_warm and not self._pending and orders.can_capture
            if is_capturing and not is_ready:
                return False  # as for a first run, which allocates
            self._is_warm = True
            shapes = {name: self.get_tensor_shape(name) for name in self._addresses}
            addresses = dict(self._addresses)

            def work() -> None:
                _infer(self._engine, addresses, shapes)
                if not is_capturing:
                    self._pending -= 1

            self._pending += not is_capturing
            machine.put(stream_handle, work)
            return True

    class Refitter:
        __slots__ = ("_engine", "_onnx")

        def __init__(self, engine: Any, logger: Any) -> None:
            assert isinstance(logger, ILogger)
            self._engine = engine
            self._onnx = b""

        def refit_cuda_engine(self) -> bool:
            self._engine._is_fitted = self._onnx == self._engine._onnx
            return bool(self._engine._is_fitted)

    class OnnxParserRefitter:
        __slots__ = ("_refitter", "num_errors")

        def __init__(self, refitter: Any, logger: Any) -> None:
            assert isinstance(logger, ILogger)
            self._refitter = refitter
            self.num_errors = 0

        def get_error(self, index: int) -> ParserError:
            raise NotImplementedError

        def refit_from_bytes(self, model: bytes) -> bool:
            self._refitter._onnx = model
            return True

    def nptype(trt_type: Any) -> Any:
        if trt_type is DataType.BF16:
            message = "Could not resolve TensorRT datatype to an equivalent numpy datatype."
            raise TypeError(message)
        return np.dtype(trt_type.value)

    module: Any = ModuleType("tensorrt")
    module.__version__ = version
    for thing in list(locals().values()):
        if isinstance(thing, type) or thing is nptype:
            setattr(module, thing.__name__, thing)
    return module


def offered(module: ModuleType) -> list[dict[str, Any]]:
    """Return every public name of the module, its classes and enums; of functions the parameters.

    Bindings cannot be asked what a constructor of theirs takes that only they call, so those of
    classes whose names begin with I, as theirs do, are left out, unless they are to be subclassed.
    """
    found: list[dict[str, Any]] = []
    for name, thing in vars(module).items():
        if name.startswith("__"):
            continue
        found.append(_offer(name, thing if inspect.isfunction(thing) else None))
        if isinstance(thing, type):
            found.extend(_offers_of(name, thing))
    return found


def _offers_of(name: str, thing: type) -> list[dict[str, Any]]:
    if issubclass(thing, enum.Enum):
        return [_offer(f"{name}.{member}", None) for member in thing.__members__]
    found = []
    for key, value in vars(thing).items():
        if isinstance(value, type):
            found += [_offer(f"{name}.{key}", None), *_offers_of(f"{name}.{key}", value)]
        elif key == "__init__" and not name.startswith("I") and name != "ParserError":
            found.append(_offer(f"{name}.__init__", value))
        elif not key.startswith("_"):
            found.append(_offer(f"{name}.{key}", value if inspect.isfunction(value) else None))
    return found


def _offer(path: str, function: Any) -> dict[str, Any]:
    if function is None:
        return {"path": path, "parameters": None}
    parameters = [
        [each.name, each.default is each.empty]
        for each in inspect.signature(function).parameters.values()
        if each.name != "self"
    ]
    return {"path": path, "parameters": parameters}


def _infer(engine: Any, addresses: dict[str, int], shapes: dict[str, Any]) -> None:
    """Run the network, reading and writing memory now, which may be long after it was asked for."""
    import onnx.reference

    memory = {}
    for name, address in addresses.items():
        dtype = np.dtype(engine.get_tensor_dtype(name).value)
        size = int(np.prod(shapes[name])) * dtype.itemsize
        raw = (ctypes.c_uint8 * size).from_address(address)
        memory[name] = np.frombuffer(raw, dtype).reshape(shapes[name])
    evaluator = onnx.reference.ReferenceEvaluator(onnx.load_from_string(engine._onnx))
    feeds = {row[0]: memory[row[0]].copy() for row in engine._facts["inputs"]}
    names = [row[0] for row in engine._facts["outputs"]]
    for name, value in zip(names, evaluator.run(names, feeds), strict=True):
        memory[name][...] = value


def _shape(info: Any) -> tuple[int, ...]:
    return tuple(
        axis.dim_value if axis.HasField("dim_value") else -1
        for axis in info.type.tensor_type.shape.dim
    )


def _dtype(info: Any) -> str:
    import onnx

    return str(onnx.helper.tensor_dtype_to_np_dtype(info.type.tensor_type.elem_type))
