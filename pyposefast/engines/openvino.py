"""OpenVINO: an optional engine, for Intel CPUs."""

from __future__ import annotations

import re
from collections import deque
from typing import TYPE_CHECKING, Any

import numpy as np

from pyposefast import arguments
from pyposefast.engines import machine, onnx_file
from pyposefast.engines.opened import Opened
from pyposefast.engines.ports import HostArray, Port, chosen, writable
from pyposefast.errors import DeviceError, EngineError, InputError, ModelError

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping, Sequence
    from types import ModuleType

    from pyposefast.arrays import Array
    from pyposefast.engines import Mode, Precision
    from pyposefast.engines.onnx_file import OnnxFile

_NOISE = re.compile(r"Exception from \S+:\d+:|Check '.*?' failed at \S+:\d+:|\n")
_LONGEST_MESSAGE = 600  # characters


class OpenVino(Opened[tuple[Any, deque[Any]]]):
    """A network in OpenVINO, on the CPU.

    Threads may share one: every run takes a request of its own, of which there are soon as many as
    there are runs at once.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        device: str = "auto",
        precision: Precision = "fp32",
        mode: Mode = "latency",
        threads: int | None = None,
        outputs: Sequence[str] | None = None,
    ) -> None:
        """Open a network.

        Args:
            path: of an ONNX file.
            device: "cpu", which is also what "auto" means.
            precision: "fp32", which OpenVINO is told to keep to: by itself it computes in bfloat16
                where the CPU can.
            mode: "latency" shares one run among all threads; "throughput" gives it one, for
                callers that run several at once.
            threads: of one run, instead of what the mode says.
            outputs: the wanted ones, in this order, which saves what only others need; None is
                all of them.
        """
        openvino = _runtime()
        if machine.place(device)[0] == "cuda":
            message = f"device: expected cpu or auto with OpenVINO, got {device}"
            raise DeviceError(message, 'engine="onnx_runtime" or "tensor_rt" runs on CUDA devices')
        if precision != "fp32":
            hint = 'its CPU plugin computes in float32 then too; use engine="onnx_runtime"'
            raise InputError("precision", "fp32 with OpenVINO", precision, hint)
        cores, is_latency = machine.usable_cores(), mode == "latency"
        of_one_run = cores if is_latency else 1
        if threads is not None:
            of_one_run = arguments.threads(threads)
        at_once = 1 if is_latency else max(cores // of_one_run, 1)
        file = onnx_file.read(path)
        network = _read(openvino, file)
        inputs = tuple(_port(node, name, file) for node, name in _inputs(network, file))
        nodes = dict(zip(file.outputs, network.outputs, strict=True))
        ports = chosen(tuple(_port(node, name, file) for name, node in nodes.items()), outputs)
        if outputs is not None:
            wanted = [nodes[port.name].get_node() for port in ports]
            network = openvino.Model(wanted, network.get_parameters(), file.path.name)
        settings = {
            "PERFORMANCE_HINT": mode.upper(),
            # bfloat16 costs 10 % of the range of a published network's heat maps. Where weights
            # are 8-bit, activations would become so too, whatever the hint says: 0.2 %.
            "INFERENCE_PRECISION_HINT": "f32",
            "DYNAMIC_QUANTIZATION_GROUP_SIZE": 0,
            "INFERENCE_NUM_THREADS": of_one_run * at_once,
            "NUM_STREAMS": at_once,
        }
        try:
            compiled = openvino.Core().compile_model(network, "CPU", settings)
        except Exception as error:
            message = f"{file.path.name}: OpenVINO cannot compile it: {_sentence(error)}"
            raise EngineError(message) from error
        super().__init__(
            # Requests wait in the deque between runs; taking and putting is atomic.
            (compiled, deque()),
            name="openvino",
            network=file.path.name,
            device="cpu",
            inputs=inputs,
            outputs=ports,
        )
        self._fixed = [None not in port.shape for port in self._outputs]
        self._tensor = openvino.Tensor
        self._is_batch_free = file.only({port.name for port in ports}).is_batch_free

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
            feeds: one C-ordered array on the host for each input, by name.
            out: buffers for some outputs or all, by name. Where the network fixes the shape, it
                writes there itself; a result of free shape is copied.
            stream: None, since nothing runs on a GPU.

        Returns:
            Every output by name: Torch tensors if the first feed is one, else NumPy arrays.

        Raises:
            InputError, InputTypeError, DeviceMismatchError: an array does not fit.
            EngineError: OpenVINO failed, the engine was closed, or this process is a fork.
        """
        compiled, idle = self._held.get()
        if stream:
            raise InputError("stream", "None for a network on the CPU", str(stream))
        arrays = self._feeds.host_feeds(feeds)
        buffers = self._results.host_buffers(out or {}, arrays)
        try:
            request = idle.pop()
        except IndexError:
            request = compiled.create_infer_request()
        results: dict[str, HostArray] = {}
        try:
            for index, array in enumerate(arrays):
                request.set_input_tensor(index, self._tensor(writable(array), shared_memory=True))
            for index, port in enumerate(self._outputs):
                if self._fixed[index]:
                    buffer = buffers.get(port.name)
                    if buffer is None:
                        buffer = np.empty(port.shape, port.dtype)  # type: ignore[arg-type]
                    request.set_output_tensor(index, self._tensor(buffer, shared_memory=True))
                    results[port.name] = buffer
            request.infer()
            for index, port in enumerate(self._outputs):
                if not self._fixed[index]:
                    found = request.get_output_tensor(index).data
                    results[port.name] = _kept(found, buffers.get(port.name), port.name)
        except EngineError:
            raise
        except Exception as error:
            raise EngineError(f"openvino: {_sentence(error)}") from error
        idle.append(request)
        return self._results.host_results(results, out or {}, next(iter(feeds.values()), None))


def _kept(found: HostArray, buffer: HostArray | None, name: str) -> HostArray:
    """Copy a result out of a request, whose next run writes over it."""
    if buffer is None:
        return found.copy()
    if buffer.shape != found.shape:
        message = f'out["{name}"]: the network gave {list(found.shape)}, got {list(buffer.shape)}'
        raise EngineError(message)
    np.copyto(buffer, found)
    return buffer


def _runtime() -> ModuleType:
    try:
        import openvino  # noqa: PLC0415  one of the extras
    except ImportError as error:
        message = 'OpenVINO is not installed\nhint: pip install "pyposefast[openvino]"'
        raise ImportError(message) from error
    module: ModuleType = openvino
    return module


def _read(openvino: ModuleType, file: OnnxFile) -> Any:
    try:
        # The bytes are what was looked through; by path only where weights lie beside the file.
        return openvino.Core().read_model(str(file.path) if file.external else file.data)
    except Exception as error:
        message = f"{file.path.name}: OpenVINO refuses it: {_sentence(error)}"
        raise ModelError(message) from error


def _inputs(network: Any, file: OnnxFile) -> list[tuple[Any, str]]:
    """Inputs by their ONNX names: OpenVINO's own may be several, or none."""
    if len(network.inputs) != len(file.inputs) or len(network.outputs) != len(file.outputs):
        message = f"{file.path.name}: OpenVINO sees other inputs and outputs than the file has"
        raise EngineError(message)
    return list(zip(network.inputs, file.inputs, strict=True))


def _port(node: Any, name: str, file: OnnxFile) -> Port:
    try:
        dtype = np.dtype(node.element_type.to_dtype()).name
    except (TypeError, ValueError, RuntimeError) as error:
        message = f"{file.path.name}: {name} is no array of numbers that NumPy knows"
        raise ModelError(message) from error
    if node.partial_shape.rank.is_dynamic:
        raise ModelError(f"{file.path.name}: expected {name} to have a number of axes, got none")
    return Port(
        name,
        tuple(size.get_length() if size.is_static else None for size in node.partial_shape),
        dtype,
    )


def _sentence(error: Exception) -> str:
    """Return what OpenVINO says on one line, without where in its sources it says so."""
    text = " ".join(_NOISE.sub(" ", str(error)).split())
    return text[:_LONGEST_MESSAGE] or type(error).__name__
