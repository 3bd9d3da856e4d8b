"""Manifests: what a network's file does not say about itself, as a small TOML file beside it.

How a picture becomes the input, which outputs mean what, whose joints they are. A manifest is data:
nothing here opens a network. Unknown keys are errors, since a misspelt key is a setting that was
silently not made.
"""

from __future__ import annotations

import difflib
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast, get_args

from pyposefast import arguments, skeletons
from pyposefast.errors import InputError, InputTypeError, ModelError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyposefast.skeletons import Skeleton

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

PipelineKind = Literal["top_down", "bottom_up", "cascade", "detector"]
Fit = Literal["expand", "stretch", "axis", "letterbox", "letterbox_top_left"]
_LARGEST_FILE = 1 << 20  # bytes

_KEYS = [
    "pipeline",
    "skeleton",
    "file",
    "detector",
    "boxes",
    "input",
    "decoder",
    "refinement",
    "about",
]
# What each kind of decoder may be told, besides its kind: names of outputs first, then settings.
# The decoders themselves check the values.
_DECODERS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "heatmap": (
        ("maps",),
        ("layout", "refine", "kernel", "logits", "threshold", "flip_shift"),
    ),
    "simcc": (("x", "y"), ("split", "refine", "kernel", "score", "threshold")),
    "points": (
        ("points", "person_score", "world"),
        ("order", "units", "per_joint", "score", "score_at", "threshold"),
    ),
    "part_affinity": (
        ("heatmaps", "fields"),
        (
            "layout",
            "heatmap_channels",
            "field_channels",
            "mode",
            "threshold",
            "field_threshold",
            "longest",
            "least_joints",
            "least_score",
        ),
    ),
    "people": (("boxes", "joints"), ("threshold", "overlap")),
    "boxes": (
        ("boxes", "scores", "labels"),
        ("form", "label", "threshold", "overlap"),
    ),
}
_NEEDED = {
    "heatmap": ("maps",),
    "simcc": ("x", "y"),
    "points": ("points",),
    "part_affinity": ("heatmaps",),
    "people": ("boxes", "joints"),
    "boxes": ("boxes", "form"),
}
_DECODERS_OF: dict[str, tuple[str, ...]] = {
    "top_down": ("heatmap", "simcc", "points"),
    "cascade": ("points",),
    "bottom_up": ("part_affinity", "people"),
    "detector": ("boxes",),
}


@dataclass(frozen=True, slots=True)
class Input:
    """How a region of a picture becomes the input of a network."""

    size: tuple[int, int]  # height, width
    layout: Literal["nchw", "nhwc"] = "nchw"
    dtype: Literal["float32", "float16", "uint8"] = "float32"
    colour: Literal["rgb", "bgr"] = "rgb"
    mean: tuple[float, ...] = (0.0, 0.0, 0.0)  # in the order of `colour`, of samples 0..255
    std: tuple[float, ...] = (1.0, 1.0, 1.0)
    fit: Fit = "expand"  # how the region meets the size
    padding: float = 1.0  # factor on the sides of boxes, half the side over the length of axes
    alignment: Literal["half_pixel", "corner", "udp"] = "half_pixel"
    border: float = 0.0  # the colour outside of the picture, 0..255
    name: str | None = None  # of the input, where a network has more than one
    batch: int = 64  # most regions in one run; exports that claim to take many may take only one


@dataclass(frozen=True, slots=True)
class Reading:
    """How the outputs of a network become joints, people or boxes."""

    kind: str
    outputs: Mapping[str, str]  # what an output is -> its name in the file
    settings: Mapping[str, Any]  # of the decoder


@dataclass(frozen=True, slots=True)
class Refinement:
    """The later stages of a cascade: a window around every joint, one network per stage."""

    files: tuple[str, ...]  # of the networks, beside the manifest
    size: tuple[int, int]  # height, width of the windows, in pixels of the networks' input
    sigma: float  # side of a window over the size of the pose
    reference: tuple[str, str]  # two joints whose distance is the size of the pose


@dataclass(frozen=True, slots=True)
class Manifest:
    """All that has to be known of a network's file to use it."""

    name: str
    pipeline: PipelineKind
    input: Input
    decoder: Reading
    skeleton: Skeleton | None = None  # None: a detector
    file: str | None = None  # of the network, beside the manifest; None: the same name, .onnx
    detector: str | None = None  # whose boxes a top-down network is used with, unless others come
    boxes: Literal["detector", "image"] = "detector"  # "image": one person, who fills the picture
    refinement: Refinement | None = None  # a cascade's
    about: Mapping[str, Any] = field(default_factory=dict)  # what people like to know; never used


def read(path: str | Path) -> Manifest:
    """Read a manifest.

    Args:
        path: of a TOML file.

    Raises:
        ModelError: it cannot be read, or is no TOML.
        InputError: a key is unknown, missing, or has a value that cannot be.
        InputTypeError: a key has a value of the wrong type.
    """
    path = Path(path)
    return parse(read_toml(path), name=path.stem)


def read_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file, of a size that can be meant."""
    try:
        if path.stat().st_size > _LARGEST_FILE:
            raise ModelError(f"{path}: expected a TOML file of at most 1 MiB")
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ModelError(f"{path}: {error.strerror or error}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ModelError(f"{path}: not a TOML file: {error}") from error


def parse(table: Mapping[str, Any], *, name: str) -> Manifest:
    """Check what a TOML file says and fill in what it does not.

    Args:
        table: the file's contents.
        name: of the network.
    """
    _refuse_unknown(table, _KEYS, "")
    pipeline = cast("PipelineKind", _word(table, "pipeline", get_args(PipelineKind)))
    detector = table.get("detector")
    return Manifest(
        name=name,
        pipeline=pipeline,
        input=_input(_table(table, "input"), pipeline),
        decoder=_reading(_table(table, "decoder"), pipeline),
        skeleton=_skeleton(table, pipeline),
        file=_file_name(table["file"], "file") if "file" in table else None,
        detector=None if detector is None else _text(detector, "detector"),
        boxes=cast("Any", _word(table, "boxes", ("detector", "image"), "detector")),
        refinement=_refinement(table, pipeline),
        about=dict(_table(table, "about", {})),
    )


def _skeleton(table: Mapping[str, Any], pipeline: str) -> Skeleton | None:
    if pipeline == "detector":
        if "skeleton" in table:
            raise InputError("skeleton", "none for a detector", repr(table["skeleton"]))
        return None
    if "skeleton" not in table:
        raise InputError("skeleton", f"one of {', '.join(skeletons.names())}", "nothing")
    skeleton = table["skeleton"]
    if isinstance(skeleton, str):
        return skeletons.load(skeleton)
    if not isinstance(skeleton, dict):
        raise InputTypeError("skeleton", "a name or a table", type(skeleton).__name__)
    return skeletons.from_record(skeleton)


def _input(table: Mapping[str, Any], pipeline: str) -> Input:
    _refuse_unknown(table, list(Input.__dataclass_fields__), "input.")
    if "size" not in table:
        raise InputError("input.size", "[height, width]", "nothing")
    dtype = _word(table, "dtype", ("float32", "float16", "uint8"), "float32", "input.")
    whole: tuple[Fit, ...] = ("letterbox", "letterbox_top_left", "stretch")
    parts: tuple[Fit, ...] = ("expand", "stretch", "axis")
    fits, usual = (parts, "expand") if pipeline in ("top_down", "cascade") else (whole, "stretch")
    mean, std = table.get("mean", 0.0), table.get("std", 1.0)
    if dtype == "uint8" and ("mean" in table or "std" in table):
        raise InputError("input.mean", "none for an input of uint8", f"mean {mean}, std {std}")
    tiny = arguments.FLOAT32_TINY
    return Input(
        size=arguments.crop_size(table["size"]),
        layout=cast("Any", _word(table, "layout", ("nchw", "nhwc"), "nchw", "input.")),
        dtype=cast("Any", dtype),
        colour=cast("Any", _word(table, "colour", ("rgb", "bgr"), "rgb", "input.")),
        mean=arguments.per_channel(mean, "input.mean", 3),
        std=arguments.per_channel(std, "input.std", 3, tiny),
        fit=cast("Fit", _word(table, "fit", fits, usual, "input.")),
        padding=arguments.number(table.get("padding", 1.0), "input.padding", tiny, 1e6),
        alignment=cast(
            "Any",
            _word(table, "alignment", ("half_pixel", "corner", "udp"), "half_pixel", "input."),
        ),
        border=arguments.number(table.get("border", 0.0), "input.border", 0.0, 255.0),
        name=_text(table["name"], "input.name") if "name" in table else None,
        batch=arguments.integer(table.get("batch", 64), "input.batch", 1, 1 << 16),
    )


def _reading(table: Mapping[str, Any], pipeline: str) -> Reading:
    kind = _word(table, "kind", _DECODERS_OF[pipeline], None, "decoder.")
    outputs, settings = _DECODERS[kind]
    _refuse_unknown(table, ["kind", *outputs, *settings], "decoder.")
    for needed in _NEEDED[kind]:
        if needed not in table:
            expected = "the name of an output" if needed in outputs else "a word"
            raise InputError(f"decoder.{needed}", expected, "nothing")
    return Reading(
        kind=kind,
        outputs={key: _text(table[key], f"decoder.{key}") for key in outputs if key in table},
        settings={key: table[key] for key in settings if key in table},
    )


def _refinement(table: Mapping[str, Any], pipeline: str) -> Refinement | None:
    if "refinement" not in table:
        if pipeline == "cascade":
            raise InputError("refinement", "a table: the stages of the cascade", "nothing")
        return None
    if pipeline != "cascade":
        raise InputError("refinement", 'none unless pipeline is "cascade"', pipeline)
    stages = _table(table, "refinement")
    known = ["files", "size", "sigma", "reference"]
    _refuse_unknown(stages, known, "refinement.")
    for key in known:
        if key not in stages:
            raise InputError(f"refinement.{key}", "a value", "nothing")
    files, reference = stages["files"], stages["reference"]
    if not isinstance(files, list) or not files:
        raise InputError("refinement.files", "names of files, one a stage", repr(files))
    if not isinstance(reference, list) or len(reference) != 2:  # noqa: PLR2004
        raise InputError("refinement.reference", "two joints", repr(reference))
    first, second = (_text(joint, "refinement.reference") for joint in reference)
    return Refinement(
        files=tuple(_file_name(file, "refinement.files") for file in files),
        size=arguments.crop_size(stages["size"]),
        sigma=arguments.number(stages["sigma"], "refinement.sigma", 1e-3, 1e3),
        reference=(first, second),
    )


def _file_name(value: Any, argument: str) -> str:
    """Check the name of a file beside the manifest: a manifest never reaches out of its folder."""
    name = _text(value, argument)
    if Path(name).name != name or name in (".", "..") or "\\" in name or "\0" in name:
        raise InputError(argument, "the name of a file beside the manifest", repr(name))
    return name


def _text(value: Any, argument: str) -> str:
    if not isinstance(value, str) or not value:
        raise InputTypeError(argument, "a text", repr(value))
    return value


def _table(table: Mapping[str, Any], key: str, default: Any = None) -> Mapping[str, Any]:
    value = table.get(key, default)
    if value is None:
        raise InputError(key, f"a table [{key}]", "nothing")
    if not isinstance(value, dict):
        raise InputTypeError(key, f"a table [{key}]", type(value).__name__)
    return value


def _word(
    table: Mapping[str, Any],
    key: str,
    choices: tuple[str, ...],
    default: str | None = None,
    prefix: str = "",
) -> str:
    if key not in table and default is None:
        raise InputError(prefix + key, "one of " + ", ".join(choices), "nothing")
    return arguments.word(table.get(key, default), prefix + key, choices)


def _refuse_unknown(table: Mapping[str, Any], known: list[str], prefix: str) -> None:
    for key in table:
        if key not in known:
            close = difflib.get_close_matches(str(key), known, n=1)
            hint = f"did you mean {prefix}{close[0]}" if close else ""
            expected = "one of " + ", ".join(prefix + each for each in known)
            raise InputError(prefix + str(key), expected, "an unknown key", hint)
