"""ONNX Runtime: the default engine, on the CPU and, with its CUDA provider, on a GPU.

Results go straight into the buffers of the caller, and arrays on a device stay there: both through
ONNX Runtime's IO binding. The plain call is faster where the caller gives no buffers, and is used
there.
"""

from __future__ import annotations

import re
import sys
import warnings
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from pyposefast import arguments
from pyposefast.arrays import home_of
from pyposefast.engines import machine, onnx_file
from pyposefast.engines.opened import Opened
from pyposefast.engines.ports import Port, chosen
from pyposefast.errors import (
    DeviceError,
    DeviceMismatchError,
    EngineError,
    InputError,
    InputTypeError,
    ModelError,
)

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping, Sequence
    from types import ModuleType

    from pyposefast.arrays import Array, DType, Home
    from pyposefast.engines import Mode, Precision
    from pyposefast.engines.onnx_file import OnnxFile

_CPU, _CUDA, _TENSOR_RT = (
    "CPUExecutionProvider",
    "CUDAExecutionProvider",
    "TensorrtExecutionProvider",
)
_DTYPES = {
    "tensor(bool)": "bool",
    "tensor(double)": "float64",
    "tensor(float)": "float32",
    "tensor(float16)": "float16",
    "tensor(int16)": "int16",
    "tensor(int32)": "int32",
    "tensor(int64)": "int64",
    "tensor(int8)": "int8",
    "tensor(uint16)": "uint16",
    "tensor(uint32)": "uint32",
    "tensor(uint64)": "uint64",
    "tensor(uint8)": "uint8",
}
_NOISE = re.compile(r"\[ONNXRuntimeError\] : \d+ : \w+ : |/\S+\.(?:cc|h):\d+ |^Exception: ")
_LONGEST_MESSAGE = 600  # characters


class OnnxRuntime(Opened[Any]):
    """A network in ONNX Runtime.

    Threads may share one: ONNX Runtime's sessions are made for that, and nothing else is kept
    between calls.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        device: str = "auto",
        precision: Precision = "fp32",
        mode: Mode = "latency",
        threads: int | None = None,
        spinning: bool | None = None,
        strict: bool = True,
        outputs: Sequence[str] | None = None,
        tensor_rt: bool = False,
    ) -> None:
        """Open a network.

        Args:
            path: of an ONNX file.
            device: "cpu", "cuda", "cuda:1", or "auto": CUDA if ONNX Runtime has it, else the CPU.
            precision: "fp32" runs the file as it is; "fp16" converts it (``precision.to_fp16``).
            mode: "latency" shares one run among all cores; "throughput" gives it one, for callers
                that run several at once.
            threads: of one run, instead of what the mode says.
            spinning: whether idle threads wait busily, which saves a few microseconds for each
                operator and takes cores from everybody else. None: in "latency" only.
            strict: that ONNX Runtime falls back to the CPU is an error, else a warning.
            outputs: the wanted ones, in this order; None is all of them.
            tensor_rt: let ONNX Runtime's own TensorRT provider take what it can. The engine
                "tensor_rt" does without ONNX Runtime.
        """
        onnxruntime = _runtime()
        count = _thread_count(threads, mode)
        if spinning is not None:
            arguments.flag(spinning, "spinning")
        kind, index = _device(onnxruntime, device, tensor_rt=arguments.flag(tensor_rt, "tensor_rt"))
        file = onnx_file.read(path)
        names = set(outputs or ())
        if outputs is not None and len(names) == len(outputs) and names <= set(file.outputs):
            file = file.only(names)  # what cannot be meant is refused below, with all that can
        settings = onnxruntime.SessionOptions()
        settings.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
        settings.log_severity_level = 3  # errors
        settings.intra_op_num_threads = count
        settings.inter_op_num_threads = 1
        busy = mode == "latency" if spinning is None else spinning
        settings.add_session_config_entry("session.intra_op.allow_spinning", str(int(busy)))
        settings.add_session_config_entry("session.load_model_format", "ONNX")
        if file.external:  # the network itself is opened as the bytes that were looked through
            folder = str(file.path.parent)
            key = "session.model_external_initializers_file_folder_path"
            settings.add_session_config_entry(key, folder)
        providers = _providers(kind, index, tensor_rt=tensor_rt)
        session = _open(onnxruntime, file, precision, settings, providers)
        wanted, found = _TENSOR_RT if tensor_rt else _CUDA, session.get_providers()
        if kind == "cuda" and wanted not in found:
            _fell_back(wanted, found, strict=strict and device != "auto")
            kind = "cuda" if _CUDA in found else "cpu"
        super().__init__(
            session,
            name="onnx_runtime",
            network=file.path.name,
            device="cpu" if kind == "cpu" else f"cuda:{index}",
            inputs=tuple(_port(node, file) for node in session.get_inputs()),
            outputs=chosen(tuple(_port(node, file) for node in session.get_outputs()), outputs),
        )
        self._index = None if kind == "cpu" else index
        self._names = [port.name for port in self._outputs]
        self._is_batch_free = file.is_batch_free

    @property
    def is_batch_free(self) -> bool:
        """Whether the first axis of all inputs and outputs is free, and says to be the same."""
        return self._is_batch_free

    def run(
        self,
        feeds: Mapping[str, Array],
        *,
        out: Mapping[str, Array] | None = None,
        stream: int | None = None,
    ) -> dict[str, Array]:
        """Run the network once.

        Args:
            feeds: one C-ordered array for each input, by name. On the CPU: NumPy, Torch or
                anything that NumPy can look at without a copy. On CUDA: all on the host, or all
                CuPy or Torch arrays on the device.
            out: buffers for some outputs or all, where the feeds are.
            stream: a cudaStream_t whose work the network waits for; None is the one that the
                feeds' framework uses. ONNX Runtime works on a stream of its own, and what is
                returned is complete.

        Returns:
            Every output by name: Torch tensors if the first feed is one, arrays of the feeds'
            framework on a device, else NumPy. Those of ``out`` are the caller's buffers.

        Raises:
            InputError, InputTypeError, DeviceMismatchError: an array does not fit.
            EngineError: ONNX Runtime failed, the engine was closed, or this process is a fork.
        """
        session = self._held.get()
        if self._index is not None:
            return self._run_on_cuda(session, feeds, out or {}, stream)
        if stream:
            raise InputError("stream", "None for a network on the CPU", str(stream))
        arrays = self._feeds.host_feeds(feeds)
        if not out:
            by_name = dict(zip([port.name for port in self._inputs], arrays, strict=True))
            try:
                values = session.run(self._names, by_name)
            except Exception as error:
                raise EngineError(f"onnx_runtime: {_sentence(error)}") from error
            results = dict(zip(self._names, values, strict=True))
            return self._results.host_results(results, {}, next(iter(feeds.values()), None))
        return self._run_into(session, feeds, arrays, out)

    def _run_into(
        self,
        session: Any,
        feeds: Mapping[str, Array],
        arrays: list[Any],
        out: Mapping[str, Array],
    ) -> dict[str, Array]:
        """Run on arrays of the host, with results in the caller's buffers on the host."""
        buffers = self._results.host_buffers(out, arrays)
        binding = session.io_binding()
        for port, array in zip(self._inputs, arrays, strict=True):
            binding.bind_cpu_input(port.name, array)
        for name in self._names:
            if name in buffers:
                buffer = buffers[name]
                pointer = buffer.ctypes.data
                binding.bind_output(name, "cpu", 0, buffer.dtype.type, buffer.shape, pointer)
            else:
                binding.bind_output(name)
        _run_bound(session, binding, buffers)
        results = {}
        if len(buffers) < len(self._names):
            values = zip(self._names, binding.get_outputs(), strict=True)
            results = {name: value.numpy() for name, value in values if name not in buffers}
        return self._results.host_results(results, out, next(iter(feeds.values()), None))

    def _run_on_cuda(
        self, session: Any, feeds: Mapping[str, Array], out: Mapping[str, Array], stream: int | None
    ) -> dict[str, Array]:
        self._feeds.check_names(feeds, all_of_them=True)
        home = home_of(next(iter(feeds.values())), "feeds") if feeds else None
        if home is None or home.device_kind == "cpu":
            # ONNX Runtime copies to the device and back itself, and waits for both.
            return self._run_into(session, feeds, self._feeds.host_feeds(feeds), out)
        if home.device_index != self._index:
            expected = f"the network is on {self._device}"
            raise DeviceMismatchError("feeds", expected, home.place)
        given = self._feeds.device_buffers(feeds, home)
        results: dict[str, Array] = dict(out)
        for port in self._outputs:
            shape = _fixed(port.shape)
            if shape is not None and port.name not in results:
                results[port.name] = home.empty(shape, cast("DType", port.dtype))
        buffers = self._results.device_buffers(results, home)
        binding = session.io_binding()
        for name, feed in given.items():
            kind, place = feed.dtype.type, ("cuda", home.device_index)
            binding.bind_input(name, *place, kind, feed.shape, feed.pointer)
        for name in self._names:
            if name in buffers:
                to, place = buffers[name], ("cuda", home.device_index)
                binding.bind_output(name, *place, to.dtype.type, to.shape, to.pointer)
            else:
                binding.bind_output(name, "cuda", home.device_index)
        _wait_for(home, home.stream if stream is None else stream)
        _run_bound(session, binding, buffers)
        for name, value in zip(self._names, binding.get_outputs(), strict=True):
            if name not in results:
                results[name] = _copied(_OnDevice(value), home)
        return {name: results[name] for name in self._names}


class _OnDevice:
    """Memory that ONNX Runtime owns, in the form in which CuPy and Torch can look at it."""

    def __init__(self, value: Any) -> None:
        self._value = value
        dtype = np.dtype(_DTYPES[value.data_type()])
        self.__cuda_array_interface__ = {
            "shape": tuple(value.shape()),
            "typestr": dtype.str,
            "data": (value.data_ptr(), False),
            "version": 2,
        }


def _runtime() -> ModuleType:
    try:
        import onnxruntime  # noqa: PLC0415  one of the extras
    except ImportError as error:
        message = 'ONNX Runtime is not installed\nhint: pip install "pyposefast[cpu]"'
        raise ImportError(message) from error
    module: ModuleType = onnxruntime
    return module


def _thread_count(threads: int | None, mode: Mode) -> int:
    if threads is not None:
        return arguments.threads(threads)
    # Said in numbers even where it is all cores: for 0, ONNX Runtime pins its threads to cores,
    # and those of a container are often not the ones that it counts.
    return machine.usable_cores() if mode == "latency" else 1


def _device(onnxruntime: ModuleType, device: str, *, tensor_rt: bool) -> tuple[str, int]:
    """Return where to run ("cpu" or "cuda") and the index of the CUDA device."""
    kind, index = machine.place(device)
    available = onnxruntime.get_available_providers()
    wanted = _TENSOR_RT if tensor_rt else _CUDA
    if kind == "auto" and not tensor_rt:
        return ("cuda" if _CUDA in available and machine.cuda_device_count() else "cpu"), 0
    if kind == "cpu" and not tensor_rt:
        return kind, 0
    if kind == "cpu":
        raise InputError("device", "a CUDA device, since tensor_rt is True", repr(device))
    if wanted not in available:
        message = f"device: expected an ONNX Runtime with {wanted}, got one with {available}"
        hint = 'pip uninstall onnxruntime, then pip install "pyposefast[cuda]"'
        raise DeviceError(message, hint)
    machine.need_cuda_device(index)
    return "cuda", index


def _providers(kind: str, index: int, *, tensor_rt: bool) -> list[Any]:
    if kind == "cpu":
        return [_CPU]
    with_index = {"device_id": index}
    first = [(_TENSOR_RT, with_index)] if tensor_rt else []
    return [*first, (_CUDA, with_index), _CPU]


def _open(
    onnxruntime: ModuleType,
    file: OnnxFile,
    precision: Precision,
    settings: Any,
    providers: list[Any],
) -> Any:
    data = file.data
    if precision == "fp16":
        from pyposefast.precision import to_fp16  # noqa: PLC0415  needs the package onnx

        data = to_fp16(file.path if file.external else data)
    if len(providers) > 1 and hasattr(onnxruntime, "preload_dlls"):
        onnxruntime.preload_dlls()  # CUDA's libraries from NVIDIA's wheels, where they are
    try:
        # Without ONNX Runtime's own second try on the CPU, which prints and goes on.
        return onnxruntime.InferenceSession(data, settings, providers=providers, enable_fallback=0)
    except Exception as error:
        message = f"{file.path.name}: ONNX Runtime refuses it: {_sentence(error)}"
        if type(error).__name__ in ("NotImplemented", "EPFail"):
            raise EngineError(message) from error
        raise ModelError(message) from error


def _fell_back(wanted: str, found: list[str], *, strict: bool) -> None:
    """Say that the network runs elsewhere than was asked for, or than it could have been."""
    text = f"onnx_runtime: expected the network on {wanted}, got {', '.join(found)}"
    hint = "ONNX Runtime lacks a CUDA, cuDNN or TensorRT of the version that it was built for"
    if strict:
        raise EngineError(text, hint)
    warnings.warn(f"{text}\nhint: {hint}", RuntimeWarning, stacklevel=4)


def _port(node: Any, file: OnnxFile) -> Port:
    dtype = _DTYPES.get(node.type)
    if dtype is None:
        message = f"{file.path.name}: {node.name} is a {node.type}, which is no array of numbers"
        raise ModelError(message)
    # An output of unknown rank has no shape at all; sizes that are only named are words.
    shape = tuple(size if isinstance(size, int) else None for size in node.shape or ())
    return Port(node.name, shape, dtype)


def _run_bound(session: Any, binding: Any, buffers: Mapping[str, Any]) -> None:
    try:
        session.run_with_iobinding(binding)
    except Exception as error:
        # Not all versions say which buffer it was that a result of free size did not fit.
        hint = f"the outputs {', '.join(buffers)} have to fit their buffers" if buffers else ""
        raise EngineError(f"onnx_runtime: {_sentence(error)}", hint) from error


def _fixed(shape: tuple[int | None, ...]) -> tuple[int, ...] | None:
    """Return the shape if all of its sizes are known."""
    known = tuple(size for size in shape if size is not None)
    return known if len(known) == len(shape) else None


def _wait_for(home: Home, stream: int) -> None:
    """Wait for the work that makes the feeds: ONNX Runtime's own stream knows nothing of it."""
    cuda = _module(home).cuda
    if home.framework.name == "cupy":
        cuda.ExternalStream(stream, home.device_index).synchronize()
    elif stream:
        cuda.ExternalStream(stream, home.device).synchronize()
    else:  # of 0, Torch would make a new stream
        cuda.default_stream(home.device_index).synchronize()


def _copied(found: _OnDevice, home: Home) -> Array:
    """Copy a result of unknown shape out of ONNX Runtime's memory.

    ONNX Runtime takes its memory back as soon as Python lets go of it, when the caller's stream
    may still have to read it; so the copy is waited for.
    """
    module = _module(home)
    if home.framework.name == "cupy":
        with module.cuda.Device(home.device_index):
            copy = module.array(found)
    else:
        copy = module.as_tensor(found, device=home.device).clone()
    _wait_for(home, home.stream)
    return copy


def _module(home: Home) -> Any:
    name = home.framework.name
    if name not in ("cupy", "torch"):
        raise InputTypeError("feeds", "arrays of CuPy or Torch on the device", name)
    return sys.modules[name]


def _sentence(error: Exception) -> str:
    """Return what ONNX Runtime says on one line, without where in its sources it says so."""
    text = " ".join(_NOISE.sub("", str(error)).split())
    return text[:_LONGEST_MESSAGE] or type(error).__name__
