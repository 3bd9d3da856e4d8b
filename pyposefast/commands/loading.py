"""Which network, and how it is run: the options that all commands share which run one."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pyposefast import arguments, zoo
from pyposefast.errors import InputError, InputTypeError
from pyposefast.files import shown

if TYPE_CHECKING:
    import argparse

    from pyposefast.manifest import Manifest

_MOST_CLOSE = 4
MODEL_HELP = (
    "a name that `pyposefast models` lists, a manifest (.toml), or a network (.onnx) with its "
    "manifest beside it"
)


def add_model(parser: argparse.ArgumentParser) -> None:
    """Add MODEL."""
    parser.add_argument("model", metavar="MODEL", help=MODEL_HELP)


def add_weights(parser: argparse._ActionsContainer) -> None:
    """Add --weights."""
    parser.add_argument(
        "--weights",
        type=Path,
        metavar="FILE",
        help="the network's file (default: the one beside the manifest, or fetched and kept)",
    )


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of the engine."""
    group = parser.add_argument_group("how the network is run")
    add_weights(group)
    group.add_argument(
        "--detector",
        default="auto",
        metavar="MODEL",
        help="what finds the people for a network that looks at one at a time; `none` is none "
        "(default: the one that the manifest names)",
    )
    group.add_argument(
        "--detector-weights",
        type=Path,
        metavar="FILE",
        help="the file of the network that --detector names",
    )
    group.add_argument(
        "--device",
        default="auto",
        metavar="NAME",
        help="cpu, cuda, cuda:1 ... (default: auto, a GPU where the engine has one)",
    )
    group.add_argument(
        "--engine",
        choices=("onnx_runtime", "openvino", "tensor_rt"),
        help="what runs the network (default: onnx_runtime)",
    )
    group.add_argument(
        "--precision",
        choices=("fp32", "fp16", "int8"),
        default="fp32",
        help="of the network's arithmetic (default: fp32)",
    )
    group.add_argument(
        "--mode",
        choices=("latency", "throughput"),
        default="latency",
        help="each picture as soon as possible, or as many as possible (default: latency)",
    )
    group.add_argument(
        "--threads",
        type=int,
        metavar="N",
        help="CPU threads (default: all cores, in throughput mode one for each picture at once)",
    )


def check(options: argparse.Namespace) -> None:
    """Refuse what cannot be, before any file is opened."""
    check_name(options.model, "MODEL")
    if options.detector not in ("auto", "none"):
        check_name(options.detector, "--detector")
    elif options.detector_weights is not None:
        expected = "the detector's name when --detector-weights is there"
        raise InputError("--detector", expected, options.detector)
    if options.threads is not None:
        arguments.integer(options.threads, "--threads", 1, arguments.MOST_THREADS)


def check_name(name: str, argument: str) -> None:
    """Refuse a name that nothing has, and say which are like it."""
    if name in zoo.names() or Path(name).suffix in (".toml", ".onnx"):
        return
    close = difflib.get_close_matches(name.lower(), zoo.names(), n=_MOST_CLOSE, cutoff=0.5)
    close = close or [each for each in zoo.names() if name.lower() in each][:_MOST_CLOSE]
    expected = "a name of the zoo, or a file (.toml, .onnx)"
    hint = f"did you mean {', '.join(close)}?" if close else "`pyposefast models` lists the names"
    raise InputError(argument, expected, shown(repr(name)), hint)


def load(options: argparse.Namespace, **more: Any) -> Any:
    """Open the network; ``more`` goes to ``zoo.load``."""
    check(options)
    names = ("device", "engine", "precision", "mode", "threads")
    settings = {name: getattr(options, name) for name in names}
    detector: Any = None if options.detector == "none" else options.detector
    try:
        if options.detector_weights is not None:
            detector = zoo.load(detector, weights=options.detector_weights, **settings)
        settings |= {"detector": detector, **more}
        return zoo.load(options.model, weights=options.weights, **settings)
    except (InputError, InputTypeError) as error:
        if error.argument == "name_or_path":
            raise InputError("MODEL", error.expected, error.got, error.hint) from error
        raise


def load_pipeline(options: argparse.Namespace, **more: Any) -> Any:
    """Open a network that finds joints; one that finds boxes alone is refused."""
    loaded = load(options, **more)
    try:
        _check_pipeline(loaded, options.model, is_flip_test=more.get("flip_test", False))
    except BaseException:
        loaded.close()
        raise
    return loaded


def _check_pipeline(loaded: Any, name: str, *, is_flip_test: bool) -> None:
    if not hasattr(loaded, "skeleton"):
        hint = f"a detector serves another network: --detector {shown(name)}"
        raise InputError("MODEL", "a network that finds joints", "a detector", hint)
    if is_flip_test and not hasattr(loaded, "boxes_of"):
        expected, got = "a network that looks at one person at a time", "one that looks at all"
        raise InputError("--flip-test", expected, got)


def manifest_and_file(model: str, weights: Path | None) -> tuple[Manifest, Path]:
    """Return what is known about a network, and its file, fetched if it has to be."""
    check_name(model, "MODEL")
    return zoo.find(model, weights)
