"""PyTorch: runs an `nn.Module` as it is, for networks that are not exported."""

from __future__ import annotations

import contextlib
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pyposefast import arguments
from pyposefast.arrays import home_of
from pyposefast.engines import machine
from pyposefast.engines.opened import Opened
from pyposefast.engines.ports import Port, writable
from pyposefast.errors import (
    DeviceError,
    DeviceMismatchError,
    EngineError,
    InputError,
    InputTypeError,
    UntrustedModelError,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import ModuleType

    from pyposefast.arrays import Array

_LONGEST_MESSAGE = 600  # characters


class PyTorch(Opened[Any]):
    """A module in eval mode, without gradients.

    Threads may share one if the module changes nothing of its own in `forward`. Runs that replay a
    CUDA graph wait for each other, since a graph has one set of buffers.

    On the CPU Torch shares one pool of threads among everything in the process:
    `torch.set_num_threads` is the caller's business.
    """

    def __init__(
        self,
        module: Any,
        *,
        inputs: Sequence[Port],
        outputs: Sequence[Port],
        device: str = "auto",
        graph: bool = True,
    ) -> None:
        """Take over a module: it is put into eval mode and moved to the device.

        Args:
            module: takes the inputs by position; returns a tensor, a tuple or list of them in the
                order of the outputs, or a dict by their names.
            inputs: what it takes; None in a shape is any size.
            outputs: what it gives.
            device: "cpu", "cuda", "cuda:1", or "auto": CUDA where Torch has it, else the CPU.
            graph: on CUDA, record a CUDA graph for every shape of the inputs and replay it;
                ``warmup`` records those of its sizes.
        """
        torch = _runtime()
        refuse_files(module)
        if not isinstance(module, torch.nn.Module):
            raise InputTypeError("module", "a torch.nn.Module", type(module).__name__)
        taken, given = _ports(inputs, "inputs"), _ports(outputs, "outputs")
        kind, index = machine.place(device)
        if kind == "auto":
            kind = "cuda" if torch.cuda.is_available() else "cpu"
        seen = torch.cuda.device_count() if kind == "cuda" and torch.cuda.is_available() else 0
        if kind == "cuda" and index >= seen:
            message = f"device: expected {device}, got a Torch that sees {seen} CUDA devices"
            raise DeviceError(message, "`pyposefast doctor` says what the driver sees")
        self._torch = torch
        self._place = torch.device("cpu" if kind == "cpu" else f"cuda:{index}")
        super().__init__(
            module.eval().to(self._place),
            name="pytorch",
            network=type(module).__name__,
            device=str(self._place),
            inputs=taken,
            outputs=given,
        )
        use_graphs = arguments.flag(graph, "graph") and kind == "cuda"
        self._graphs: dict[tuple[tuple[int, ...], ...], _Graph] | None = {} if use_graphs else None
        self._one_at_a_time = threading.Lock()  # among replays

    def run(
        self,
        feeds: Mapping[str, Array],
        *,
        out: Mapping[str, Array] | None = None,
        stream: int | None = None,
    ) -> dict[str, Array]:
        """Run the network once.

        Args:
            feeds: one C-ordered array for each input, by name, all on the host or all Torch
                tensors on the engine's device. Arrays on the host are copied to a device.
            out: buffers for some outputs or all, where the feeds are; results are copied there.
            stream: a cudaStream_t to work on; None is Torch's current one.

        Returns:
            Every output by name: Torch tensors if the first feed is one, else NumPy arrays. Those
            of ``out`` are the caller's buffers.

        Raises:
            InputError, InputTypeError, DeviceMismatchError: an array does not fit.
            EngineError: the module failed or gave what its outputs do not say, the engine was
                closed, or this process is a fork.
        """
        module = self._held.get()
        torch = self._torch
        self._feeds.check_names(feeds, all_of_them=True)
        is_tensor = any(isinstance(feed, torch.Tensor) for feed in feeds.values())
        on_host = not feeds or home_of(next(iter(feeds.values())), "feeds").device_kind == "cpu"
        if stream and self._device == "cpu":
            raise InputError("stream", "None for a network on the CPU", str(stream))
        tensors = self._tensors(feeds, on_host=on_host)
        buffers = self._buffers(out or {}, tensors, on_host=on_host)
        try:
            with torch.inference_mode(), self._on_stream(stream):
                made = self._made(module, [tensor.to(self._place) for tensor in tensors])
                for name, buffer in buffers.items():
                    _fill(buffer, made[name], name)
                if on_host:  # which waits for the device, as the copies above do
                    made = {name: made[name].cpu() for name in made}
        except EngineError:
            raise
        except Exception as error:
            text = " ".join(str(error).split())[:_LONGEST_MESSAGE]
            raise EngineError(f"pytorch: {text or type(error).__name__}") from error
        given = out or {}
        return {
            name: given[name] if name in given else (value if is_tensor else value.numpy())
            for name, value in made.items()
        }

    def close(self) -> None:
        """Let go of the module; runs that other threads have begun end as they would."""
        super().close()
        self._graphs = None

    def _tensors(self, feeds: Mapping[str, Array], *, on_host: bool) -> list[Any]:
        """Return the feeds as tensors over the same memory, in the network's order."""
        if on_host:
            over = self._torch.from_numpy
            return [over(writable(array)) for array in self._feeds.host_feeds(feeds)]
        first = next(iter(feeds.values()))
        home = home_of(first, "feeds")
        if f"cuda:{home.device_index}" != self._device:
            raise DeviceMismatchError("feeds", f"the network is on {self._device}", home.place)
        if home.framework.name != "torch":
            raise InputTypeError("feeds", "Torch tensors on the device", home.framework.name)
        found = self._feeds.device_buffers(feeds, home)
        return [found[port.name].array for port in self._inputs]

    def _buffers(
        self, out: Mapping[str, Array], tensors: list[Any], *, on_host: bool
    ) -> dict[str, Any]:
        """Return tensors over the caller's buffers."""
        if not out:
            return {}
        if on_host:
            views = self._results.host_buffers(out, [tensor.numpy() for tensor in tensors])
            return {name: self._torch.from_numpy(view) for name, view in views.items()}
        home = home_of(next(iter(out.values())), "out")
        if f"cuda:{home.device_index}" != self._device or home.framework.name != "torch":
            expected = f"the network is on {self._device}, as Torch has it"
            raise DeviceMismatchError("out", expected, home.place)
        found = self._results.device_buffers(out, home)
        return {name: buffer.array for name, buffer in found.items()}

    def _on_stream(self, stream: int | None) -> Any:
        torch = self._torch
        if stream is None or self._device == "cpu":
            return contextlib.nullcontext()
        if stream:
            return torch.cuda.stream(torch.cuda.ExternalStream(stream, self._place))
        return torch.cuda.stream(torch.cuda.default_stream(self._place))

    def _made(self, module: Any, tensors: list[Any]) -> dict[str, Any]:
        """Run or replay the module; return its results by name, in memory of their own."""
        graphs = self._graphs
        if graphs is None:
            results = self._by_name(module(*tensors))
            taken = {tensor.untyped_storage().data_ptr() for tensor in tensors}
            return {
                name: value.clone() if value.untyped_storage().data_ptr() in taken else value
                for name, value in results.items()
            }
        key = tuple(tuple(tensor.shape) for tensor in tensors)
        with self._one_at_a_time:
            graph = graphs.get(key)
            if graph is None:
                graph = graphs[key] = self._record(module, tensors)
            for mine, tensor in zip(graph.feeds, tensors, strict=True):
                mine.copy_(tensor)
            graph.graph.replay()
            results = {name: value.clone() for name, value in graph.results.items()}
            # The next replay writes over the buffers, perhaps on another stream.
            self._torch.cuda.current_stream(self._place).synchronize()
        return results

    def _record(self, module: Any, tensors: list[Any]) -> _Graph:
        torch = self._torch
        mine = [tensor.clone() for tensor in tensors]
        aside = torch.cuda.Stream(self._place)
        aside.wait_stream(torch.cuda.current_stream(self._place))
        with torch.cuda.stream(aside):  # what a first run allocates must not become a part of it
            for _ in range(3):
                module(*mine)
        torch.cuda.current_stream(self._place).wait_stream(aside)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            results = self._by_name(module(*mine))
        return _Graph(graph, mine, results)

    def _by_name(self, made: Any) -> dict[str, Any]:
        """Check what a module returned against the outputs."""
        names = [port.name for port in self._outputs]
        if isinstance(made, self._torch.Tensor):
            made = (made,)
        if isinstance(made, dict):
            if set(made) != set(names):
                raise EngineError(f"pytorch: expected {names} from the module, got {list(made)}")
            made = [made[name] for name in names]
        if not isinstance(made, (tuple, list)) or len(made) != len(names):
            count = len(made) if isinstance(made, (tuple, list)) else type(made).__name__
            raise EngineError(f"pytorch: expected {len(names)} tensors, got {count}")
        results = {}
        for port, value in zip(self._outputs, made, strict=True):
            if not isinstance(value, self._torch.Tensor):
                kind = type(value).__name__
                raise EngineError(f"pytorch: expected a tensor as {port.name}, got {kind}")
            dtype = str(value.dtype).rpartition(".")[2]
            if dtype != port.dtype or not port.takes(tuple(value.shape)):
                got = f"{dtype} {list(value.shape)}"
                raise EngineError(f"pytorch: expected {port.name} to be {port}, got {got}")
            results[port.name] = value.contiguous()
        return results


@dataclass(frozen=True, slots=True)
class _Graph:
    """A recorded run and the memory that it works on."""

    graph: Any
    feeds: list[Any]
    results: dict[str, Any]


def _fill(buffer: Any, made: Any, name: str) -> None:
    if buffer.shape != made.shape:
        message = f'out["{name}"]: the network gave {list(made.shape)}, got {list(buffer.shape)}'
        raise EngineError(message)
    buffer.copy_(made)


def refuse_files(module: Any) -> None:
    """Refuse a path: Torch's files are pickles, which run code when they are loaded.

    Raises:
        UntrustedModelError: it is one.
    """
    if isinstance(module, str) or hasattr(module, "__fspath__"):
        message = f"{module}: expected a torch.nn.Module, got a file: Torch's are pickles"
        hint = "load it yourself if you trust it, or export the network to ONNX"
        raise UntrustedModelError(message, hint)


def _runtime() -> ModuleType:
    try:
        import torch  # noqa: PLC0415  one of the extras
    except ImportError as error:
        message = 'Torch is not installed\nhint: pip install "pyposefast[torch]"'
        raise ImportError(message) from error
    module: ModuleType = torch
    return module


def _ports(ports: Sequence[Port], argument: str) -> tuple[Port, ...]:
    found = tuple(ports)
    if not found or not all(isinstance(port, Port) for port in found):
        raise InputTypeError(argument, "a list of Port", repr(ports))
    return found
