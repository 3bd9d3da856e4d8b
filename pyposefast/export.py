"""Networks for other engines, with a report of what changed: the numbers, not only the file."""

from __future__ import annotations

import contextlib
import math
import os
import shutil
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from pyposefast import arguments
from pyposefast.engines import Precision
from pyposefast.errors import InputError, InputTypeError, ModelError
from pyposefast.files import storage_error, sync_folder
from pyposefast.parity import Difference, Samples, compare
from pyposefast.precision import Plan, graph, plan, to_fp16, with_rounding
from pyposefast.torch_export import Exporter, trace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    import numpy.typing as npt

    from pyposefast.engines import Engine
    from pyposefast.parity import Outputs, Run

__all__ = ["Exporter", "Report", "Target", "export"]

Target = Literal["onnx", "tensorrt"]
_OVERFLOW_HINT = "name what overflows in `keep`, or stay in fp32"


@dataclass(frozen=True, slots=True)
class Report:
    """What was written, and how far its outputs are from those of the source."""

    source: str
    target: str
    to: Target
    precision: Precision
    inputs: str  # what both were run on
    bytes_before: int | None  # None: the source is no file
    bytes_after: int | None  # None: a plan in a cache
    plan: Plan | None  # of fp16
    differences: tuple[Difference, ...]  # as the engine here computes
    # With every float16 result rounded to float16; for fp16 on a CPU, whose runtime computes in
    # float32 and so hides most of what a GPU will do.
    rounded: tuple[Difference, ...]
    score_before: float | None
    score_after: float | None

    def to_dict(self) -> dict[str, Any]:
        """Return plain lists, numbers and texts for JSON; None stands for what is no number."""
        fields: dict[str, Any] = _plain(asdict(self))
        fields["plan"] = None if self.plan is None else self.plan.to_dict()
        return fields

    def text(self) -> str:
        """Return the report for people."""
        lines = [f"{self.source} -> {self.target} ({self.to}, {self.precision})"]
        if self.bytes_before is not None and self.bytes_after is not None:
            lines.append(f"{self.bytes_before} -> {self.bytes_after} bytes")
        if self.plan is not None:
            lines.append(self.plan.text())
        lines += _table(f"differences on {self.inputs}:", self.differences)
        if self.rounded:
            lines += _table("with every float16 result rounded to float16:", self.rounded)
        if self.score_after is not None:
            before = "" if self.score_before is None else f"{self.score_before:.4f} -> "
            lines.append(f"score {before}{self.score_after:.4f}")
        return "\n".join(lines)


def export(
    source: Any,
    target: str | Path,
    *,
    to: Target = "onnx",
    precision: Precision = "fp32",
    images: Sequence[Outputs | npt.NDArray[Any]] | None = None,
    noise: tuple[float, float] = (0.0, 1.0),
    seed: int = 0,
    keep: Sequence[str] = (),
    score: Callable[[Path], float] | None = None,
    example: Mapping[str, Any] | None = None,
    output_names: Sequence[str] = (),
    free_batch: bool = False,
    opset: int = 17,
    exporter: Exporter = "torchscript",
    device: str = "cuda:0",
) -> Report:
    """Write a network for another engine or in another precision, and compare the two.

    The target appears only complete, and only if its outputs are finite wherever the source's are.

    Args:
        source: the path of an ONNX file with the weights inside, or a torch.nn.Module.
        target: the file to write, ``*.onnx``, which is replaced if there is one. For TensorRT the
            folder of the plans, which belong to one kind of GPU and one version.
        to: what to write.
        precision: "fp16" as ``pyposefast.precision.to_fp16`` does it; "int8" needs a source that
            is quantised already, with QuantizeLinear and DequantizeLinear nodes.
        images: what to compare on: for each run the network's inputs by name, or the one input.
            None: four times seeded noise, where a free first axis is 1.
        noise: range of the noise for floating-point inputs, in the network's unit; uint8 inputs
            get all of 0 to 255.
        seed: of the noise.
        keep: what has to stay float32 in fp16, see ``pyposefast.precision.plan``.
        score: how good a network is, given its file: PCK or OKS, say. Called for the source, unless
            that is a module, and for the result before it gets its name. Not for TensorRT.
        example: for a module: its arguments in order, Torch tensors, by the names they will have.
        output_names: for a module: what its outputs will be called.
        free_batch: for a module: leave the first axis of every input free.
        opset: for a module: the version of ONNX's operators.
        exporter: for a module: Torch's tracing exporter, or the one that needs onnxscript.
        device: where TensorRT builds and runs.

    Raises:
        InputError, InputTypeError: an argument or an input to compare on does not fit.
        ModelError: the source is damaged, cannot be in that precision, or overflows in it.
        StorageError: the target cannot be written.
        DeviceError: there is no device for TensorRT.
        ImportError: a package is absent: onnx, onnxruntime, torch, onnxscript or tensorrt.
    """
    arguments.word(to, "to", get_args(Target))
    arguments.word(precision, "precision", get_args(Precision))
    samples = Samples(images, noise, seed)
    is_file = isinstance(source, (str, Path))
    if keep and precision != "fp16":
        raise InputError("keep", f"nothing for {precision}", repr(keep))
    if to == "tensorrt":
        if not is_file:
            expected, hint = "the path of an ONNX file", "export it to ONNX first"
            raise InputTypeError("source", expected, type(source).__name__, hint)
        if keep or score is not None:
            hint = "export to ONNX with it first, then that file to TensorRT in fp32"
            raise InputError(
                "keep" if keep else "score", "nothing for TensorRT", repr(keep or score), hint
            )
        return _to_tensor_rt(Path(source), Path(target), precision, samples, device)
    path = _checked_target(target, Path(source) if is_file else None)
    with _workshop(path) as folder:
        if is_file:
            network, run_module = Path(source), None
        else:
            network = folder / "module.onnx"
            run_module = trace(
                source,
                network,
                example=example,
                output_names=output_names,
                free_batch=free_batch,
                opset=opset,
                exporter=exporter,
            )
        data, made = _converted(network, precision, keep)
        result = folder / "result.onnx"
        _write(result, data)
        differences, rounded = _differences(network, run_module, result, made, samples)
        before = float(score(network)) if score is not None and is_file else None
        after = float(score(result)) if score is not None else None
        _publish(result, path)
    return Report(
        source=str(source) if is_file else type(source).__name__,
        target=str(path),
        to=to,
        precision=precision,
        inputs=samples.text,
        bytes_before=network.stat().st_size if is_file else None,
        bytes_after=len(data),
        plan=made,
        differences=differences,
        rounded=rounded,
        score_before=before,
        score_after=after,
    )


def _converted(
    network: Path, precision: Precision, keep: Sequence[str]
) -> tuple[bytes, Plan | None]:
    """Return the file's bytes in the wanted precision, and for fp16 what was decided."""
    if precision == "fp16":
        return to_fp16(network, keep=keep), plan(network, keep=keep)
    proto, label = graph.read(network)
    if precision == "int8" and all(x.op_type != "QuantizeLinear" for x in proto.graph.node):
        raise ModelError(
            f"{label}: expected a quantised network for int8, got no QuantizeLinear node",
            "onnxruntime.quantization.quantize_static makes one, in the format QDQ",
        )
    return network.read_bytes(), None


def _differences(
    network: Path, run_module: Run | None, result: Path, made: Plan | None, samples: Samples
) -> tuple[tuple[Difference, ...], tuple[Difference, ...]]:
    """Compare the result with the source, and for fp16 also what a GPU will make of the result."""
    with contextlib.ExitStack() as stack:
        paths = [network, result]
        if made is not None:
            rounded = result.with_name("rounded.onnx")
            _write(rounded, with_rounding(result))
            paths.append(rounded)
        engines = [stack.enter_context(_open(path)) for path in paths]
        first, *others = [_runner(engine) for engine in engines]
        feeds = samples.feeds(engines[0].inputs)
        found = compare(run_module or first, others, feeds, _OVERFLOW_HINT if made else "")
    return found[0], found[1] if made is not None else ()


def _to_tensor_rt(
    network: Path, folder: Path, precision: Precision, samples: Samples, device: str
) -> Report:
    from pyposefast.engines.tensor_rt import open_tensor_rt  # noqa: PLC0415  only where it is used

    with contextlib.ExitStack() as stack:
        built = open_tensor_rt(network, device=device, precision=precision, cache=folder)
        stack.enter_context(built)
        first = stack.enter_context(_open(network))
        feeds = samples.feeds(first.inputs)
        (differences,) = compare(_runner(first), [_runner(built)], feeds, _OVERFLOW_HINT)
    return Report(
        source=str(network),
        target=str(folder),
        to="tensorrt",
        precision=precision,
        inputs=samples.text,
        bytes_before=network.stat().st_size,
        bytes_after=None,
        plan=plan(network) if precision == "fp16" else None,
        differences=differences,
        rounded=(),
        score_before=None,
        score_after=None,
    )


def _open(path: Path) -> Engine:
    from pyposefast.engines.onnx_runtime import OnnxRuntime  # noqa: PLC0415  an extra

    return OnnxRuntime(path, device="cpu", spinning=False)


def _runner(engine: Engine) -> Run:
    return engine.run


# ---- files ---------------------------------------------------------------------------------------


def _checked_target(target: Any, source: Path | None) -> Path:
    if not isinstance(target, (str, Path)):
        raise InputTypeError("target", "a path", type(target).__name__)
    path = Path(target)
    if path.suffix != ".onnx":
        raise InputError("target", "a name that ends in .onnx", repr(path.name))
    if source is not None and path.exists() and source.exists() and path.samefile(source):
        raise InputError("target", "another file than the source", repr(str(path)))
    if path.exists() and not path.is_file():
        raise InputError("target", "a file's name", f"{path}, which is something else")
    return path


@contextlib.contextmanager
def _workshop(path: Path) -> Iterator[Path]:
    """Give a private folder beside the target, from where renaming is atomic."""
    try:
        folder = Path(tempfile.mkdtemp(prefix=".export-", dir=path.parent))
    except OSError as error:
        raise storage_error(path, error) from error
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _write(path: Path, data: bytes) -> None:
    try:
        with path.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise storage_error(path, error) from error


def _publish(result: Path, path: Path) -> None:
    """Give a complete file its name, so that it is there after a crash as well."""
    try:
        result.replace(path)
        sync_folder(path.parent)
    except OSError as error:
        raise storage_error(path, error) from error


def _plain(value: Any) -> Any:
    """Return what JSON can hold: NaN and infinities, which it cannot, are None."""
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(each) for each in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _table(title: str, differences: Sequence[Difference]) -> list[str]:
    """Return a line for each output, below the title."""
    width = max((len(each.output) for each in differences), default=0)
    lines = [title]
    for each in differences:
        line = (
            f"  {each.output:<{width}}  largest {each.largest:.3g}, {each.relative:.2g} of the "
            f"range, correlation {each.correlation:.6f}"
        )
        if each.reshaped:
            line += f", {each.reshaped} inputs of another shape"
        lines.append(line)
    return lines
