"""Engines run networks: arrays in, arrays out, nothing about poses."""

from __future__ import annotations

import inspect
import os
from typing import TYPE_CHECKING, Any, Literal, Protocol, get_args

from pyposefast import arguments
from pyposefast.engines import machine
from pyposefast.engines.ports import Port
from pyposefast.errors import InputError, InputTypeError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from types import TracebackType

    from typing_extensions import Self

    from pyposefast.arrays import Array

EngineName = Literal["onnx_runtime", "openvino", "pytorch", "tensor_rt"]
Precision = Literal["fp32", "fp16", "int8"]
Mode = Literal["latency", "throughput"]

__all__ = ["Engine", "EngineName", "Mode", "Port", "Precision", "open_engine"]


class Engine(Protocol):
    """A network, ready to run.

    One engine may be shared by threads: calls of ``run`` at once give what they give one by one.
    """

    @property
    def name(self) -> str:
        """The engine's name, as ``open_engine`` takes it."""

    @property
    def device(self) -> str:
        """Where the network really runs: "cpu" or "cuda:0"."""

    @property
    def inputs(self) -> tuple[Port, ...]:
        """What the network takes, in its order."""

    @property
    def outputs(self) -> tuple[Port, ...]:
        """What the network gives, in its order."""

    def run(
        self,
        feeds: Mapping[str, Array],
        *,
        out: Mapping[str, Array] | None = None,
        stream: int | None = None,
    ) -> dict[str, Array]:
        """Run the network once.

        Args:
            feeds: one C-ordered array for each input, by name.
            out: buffers for some outputs or all, by name, of the exact shape and dtype.
            stream: a cudaStream_t to work on; None is the one that the feeds' framework uses. On
                the CPU there is none.

        Returns:
            Every output by name; those of ``out`` are the caller's buffers.
        """

    def warmup(self, batches: Sequence[int] = (1,)) -> None:
        """Run on zeros, so that the first real call costs what the others do.

        Args:
            batches: sizes for a free first axis; a fixed one stays as it is.
        """

    def close(self) -> None:
        """Free what the engine holds; it cannot run afterwards. May be called twice."""

    def __enter__(self) -> Self:
        """Return the engine itself."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the engine."""


def open_engine(
    path: str | os.PathLike[str] | Any,
    *,
    engine: EngineName | None = None,
    device: str = "auto",
    precision: Precision = "fp32",
    mode: Mode = "latency",
    threads: int | None = None,
    spinning: bool | None = None,
    strict: bool = True,
    outputs: Sequence[str] | Sequence[Port] | None = None,
    batched: bool = True,
    **options: Any,
) -> Engine:
    """Open a network.

    A network whose inputs and outputs all have a first axis of 1 is taken to work on one item at
    a time: what is returned takes any number of them. In throughput mode on the CPU, as many items
    run at once as there are cores, each on one core, which for most networks is faster than
    sharing each of them among the cores; with "onnx_runtime" that is also done where the first
    axis is free.

    Args:
        path: of an ONNX file; for the engine "pytorch" a `torch.nn.Module`.
        engine: what runs it; None is "onnx_runtime".
        device: "cpu", "cuda", "cuda:1", or "auto": CUDA where the engine has it, else the CPU.
        precision: "fp32" runs the file as it is, in the types that it has. "fp16" converts it.
            "int8" is for "tensor_rt", of files with QuantizeLinear; the other engines run these
            as "fp32". What an engine cannot do is an error, never done less precisely.
        mode: "latency": one run as soon as possible. "throughput": as many as possible.
        threads: CPU threads of one run, instead of what the mode says.
        spinning: whether idle threads of "onnx_runtime" wait busily; None is what the mode says.
        strict: that "onnx_runtime" falls back to the CPU is an error, else a warning.
        outputs: names of the wanted ones; "tensor_rt" gives the others too. For "pytorch", what
            the module gives, as Ports.
        batched: False leaves the first axis as it is.
        options: of one engine alone. "onnx_runtime": ``tensor_rt``. "pytorch": ``inputs``
            (as Ports, and needed), ``graph``. "tensor_rt": see ``tensor_rt.open_tensor_rt``.

    Raises:
        InputError: a setting has a value that cannot be, or that the engine cannot do.
        ModelError: the file is no network, damaged, or needs operators that come from elsewhere.
        UntrustedModelError: loading the file would run code or read files that are not its own.
        DeviceError: there is no such device, or the engine cannot use it.
        EngineError: the runtime failed.
        ImportError: the runtime is not installed; the hint names the extra.
    """
    name = arguments.word(engine or "onnx_runtime", "engine", get_args(EngineName))
    arguments.word(precision, "precision", get_args(Precision))
    arguments.word(mode, "mode", get_args(Mode))
    arguments.flag(strict, "strict")
    arguments.flag(batched, "batched")
    if precision == "int8" and name != "tensor_rt":
        hint = "a file that is quantised already is fp32 here: it runs in the types that it has"
        raise InputError("precision", f"fp32 or fp16 with {name}", precision, hint)
    if name != "onnx_runtime" and spinning is not None:
        raise InputError("spinning", f"None with {name}", repr(spinning))
    if name == "pytorch":
        if threads is not None:
            hint = "Torch has one pool for everything in the process: `torch.set_num_threads`"
            raise InputError("threads", "None with pytorch", repr(threads), hint)
        if precision != "fp32":
            hint = "convert the module, as in `module.half()`, and say so in the ports"
            raise InputError("precision", "fp32 with pytorch", precision, hint)
        return _open_pytorch(path, {"device": device, "outputs": outputs, **options})
    settings: dict[str, Any] = {"device": device, "precision": precision, "mode": mode, **options}
    if name == "tensor_rt":
        if threads is not None:
            raise InputError("threads", "None with tensor_rt", repr(threads))
        opened = _open_tensor_rt(path, settings)
    else:
        settings |= {"threads": threads, "outputs": outputs}
        if name == "onnx_runtime":
            settings |= {"spinning": spinning, "strict": strict}
        opened = _open_on_host(name, path, settings)
    if not batched:
        return opened

    def several() -> Engine:
        return _open_on_host(name, path, {**settings, "mode": "throughput"})

    return _in_batches(opened, mode, threads, several)


def _open_pytorch(module: Any, settings: dict[str, Any]) -> Engine:
    from pyposefast.engines import pytorch  # noqa: PLC0415  engines are imported when opened

    pytorch.refuse_files(module)
    for ports in ("inputs", "outputs"):
        if settings.get(ports) is None:
            raise InputError(ports, "a list of Port, since a module does not say", "nothing")
    _check_options(settings, pytorch.PyTorch, "pytorch")
    return pytorch.PyTorch(module, **settings)


def _open_tensor_rt(path: Any, settings: dict[str, Any]) -> Engine:
    from pyposefast.engines.tensor_rt import open_tensor_rt  # noqa: PLC0415  as above

    _check_options(settings, open_tensor_rt, "tensor_rt")
    if settings["device"] == "auto":
        settings["device"] = "cuda:0"
    return open_tensor_rt(path, **settings)


def _open_on_host(name: str, path: Any, settings: dict[str, Any]) -> Engine:
    opener: Any
    if name == "openvino":
        from pyposefast.engines.openvino import OpenVino as opener  # noqa: N813, PLC0415
    else:
        from pyposefast.engines.onnx_runtime import OnnxRuntime as opener  # noqa: N813, PLC0415
    if not isinstance(path, (str, os.PathLike)):
        hint = 'a module of Torch is opened with engine="pytorch"'
        raise InputTypeError("path", "the path of an ONNX file", type(path).__name__, hint)
    _check_options(settings, opener, name)
    opened: Engine = opener(path, **settings)
    return opened


def _check_options(settings: dict[str, Any], opener: Callable[..., Any], name: str) -> None:
    known = [option for option in inspect.signature(opener).parameters if option != "path"]
    for option in settings:
        if option not in known:
            raise InputError("options", f"of {name}: " + ", ".join(known), option)


def _in_batches(
    opened: Engine, mode: Mode, threads: int | None, several: Callable[[], Engine]
) -> Engine:
    """Let an engine for one item take any number, and run several items at once where it pays."""
    from pyposefast.engines.batches import Batched, can_batch  # noqa: PLC0415  as above

    if not can_batch(opened):
        return opened
    is_single = opened.inputs[0].shape[0] == 1
    if opened.device != "cpu":
        return Batched(opened, size=1) if is_single else opened
    # One by one is also faster than all in one run, which leaves the cache: 1.9 to 3.2 times for
    # two heat map networks on 192 x 192 pixels, 8 items, 2 cores.
    if not (is_single or getattr(opened, "is_batch_free", False)):
        return opened
    parallel = max(machine.usable_cores() // (threads or 1), 1)
    is_good_at_several = mode == "throughput" or parallel == 1
    return Batched(
        opened, parallel=parallel, size=1, several=None if is_good_at_several else several
    )
