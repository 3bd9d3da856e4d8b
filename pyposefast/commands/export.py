"""``pyposefast export``: a network for another engine or precision, and how far it has moved."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pyposefast import metrics, preprocess, zoo
from pyposefast.caches import cache_folder
from pyposefast.commands import EXIT_STATUS, OK, evaluate, loading
from pyposefast.commands.measuring import measure
from pyposefast.commands.printing import note, say, say_json
from pyposefast.errors import InputError, MediaError
from pyposefast.export import export
from pyposefast.files import shown
from pyposefast.media import read_image

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from pyposefast.manifest import Input, Manifest
    from pyposefast.metrics import Truths

_MORE = """\
examples:
  pyposefast export rtmpose_s --to onnx --precision fp16
  pyposefast export my_network.toml --to onnx --precision fp16 --output small.onnx
  pyposefast export rtmpose_s --to onnx --precision fp16 --images photos --annotations truth.json
  pyposefast export rtmpose_s --to tensorrt --precision fp16

Both networks are run on the same inputs, by ONNX Runtime on the CPU, and the largest differences
are printed: on the annotated people with --images, else on noise. With --images, PCK (of a
detector: box AP) is measured before and after, too. The manifest stays what it is:
`pyposefast predict rtmpose_s photo.jpg --weights rtmpose_s_fp16.onnx`.

"""
_MOST_SAMPLES = 8  # regions that outputs are compared on


def add(parser: argparse.ArgumentParser) -> None:
    """Describe the command."""
    parser.description = (
        "Write a network for another engine or in another precision, and report how much its "
        "outputs differ from before."
    )
    parser.epilog = _MORE + EXIT_STATUS
    loading.add_model(parser)
    loading.add_weights(parser)
    parser.add_argument("--to", choices=("onnx", "tensorrt"), required=True, help="what to write")
    parser.add_argument(
        "--precision",
        choices=("fp32", "fp16", "int8"),
        default="fp32",
        help="fp16 keeps inputs, outputs and delicate layers in fp32; int8 needs a network that "
        "is quantised already (default: fp32)",
    )
    parser.add_argument(
        "--output",
        type=Path,
        metavar="FILE",
        help="an .onnx file (default: NAME_PRECISION.onnx here); for TensorRT the folder of the "
        "plans (default: the cache, where they are looked for)",
    )
    parser.add_argument(
        "--keep", default="", metavar="NAMES", help="nodes that stay fp32 in fp16, with commas"
    )
    parser.add_argument(
        "--device", default="cuda:0", metavar="NAME", help="for TensorRT (default: cuda:0)"
    )
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    evaluate.add_data(parser, is_needed=False)


def run(options: argparse.Namespace) -> int:
    """Write the network, and print the report."""
    judged = evaluate.judged_of(options)
    if (options.images is None) != (options.annotations is None):
        given = "--images" if options.images is not None else "--annotations"
        raise InputError("--images", "--images and --annotations, or none", f"only {given}")
    manifest, file = loading.manifest_and_file(options.model, options.weights)
    target = options.output
    if target is None:
        here = Path(f"{manifest.name}_{options.precision}.onnx")
        target = here if options.to == "onnx" else cache_folder() / "plans"
    settings: dict[str, Any] = {"noise": _range(manifest.input)}
    if options.images is not None:
        truths = metrics.read_coco(options.annotations)
        settings["images"] = _samples(manifest, truths, options)
        if options.to == "onnx":
            settings["score"] = _score(options, truths, judged)
    report = export(
        file,
        target,
        to=options.to,
        precision=options.precision,
        keep=[name for name in options.keep.split(",") if name],
        device=options.device,
        **settings,
    )
    say_json(report.to_dict()) if options.json else say(report.text())
    note(f"wrote {shown(target)}")
    return OK


def _range(settings: Input) -> tuple[float, float]:
    """Return between which numbers a network's input lies."""
    mean, std = np.asarray(settings.mean), np.asarray(settings.std)
    return float(((0.0 - mean) / std).min()), float(((255.0 - mean) / std).max())


def _samples(manifest: Manifest, truths: Truths, options: argparse.Namespace) -> list[Any]:
    """Return inputs [1, ...] of the network for the first people, or pictures."""
    settings = manifest.input
    looks_at_people = manifest.pipeline in ("top_down", "cascade")
    samples: list[Any] = []
    for truth in truths.images[: options.limit]:
        if looks_at_people and not len(truth):
            continue
        try:
            pictures = preprocess.pictures(read_image(options.images / truth.file_name))
        except MediaError as error:
            note(f"left out: {error.message}")
            continue
        regions = preprocess.whole(pictures, settings)
        if looks_at_people:
            boxes = truth.box.astype(np.float32)
            boxes[:, 2:] = np.maximum(boxes[:, 2:], boxes[:, :2] + 1)
            regions = preprocess.around([boxes], settings, pictures.sizes)
        affine = regions.affines(settings.size).affine
        batch = preprocess.cut(pictures, affine, regions.image_index, settings=settings)
        samples += [np.array(batch[index : index + 1]) for index in range(len(batch))]
        if len(samples) >= _MOST_SAMPLES:
            return samples[:_MOST_SAMPLES]
    if not samples:
        raise InputError("--images", "pictures of annotated people", shown(options.images))
    return samples


def _score(options: argparse.Namespace, truths: Truths, judged: Any) -> Callable[[Path], float]:
    def score(network: Path) -> float:
        model = zoo.load(options.model, weights=network, device="cpu", detector=None)
        try:
            measured = measure(model, truths, options.images, limit=options.limit, judged=judged)
        finally:
            model.close()
        figures: Any = measured.box_ap or measured.pck
        return float(figures.mean)

    return score
