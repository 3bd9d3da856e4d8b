"""``pyposefast bench``: where the time of a network's pipeline goes, on this machine."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pyposefast import _C, __version__, arguments
from pyposefast.commands import EXIT_STATUS, OK, loading, sources
from pyposefast.commands.bench_plot import plot_stages
from pyposefast.commands.printing import note, say, say_json, table
from pyposefast.commands.timing import Load, Timing, time_it
from pyposefast.errors import InputError, MediaError
from pyposefast.files import shown
from pyposefast.progress import Progress
from pyposefast.synthetic import render_scene

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

_MORE = """\
examples:
  pyposefast bench rtmpose_s
  pyposefast bench rtmpose_s --people 20 --batches 1,8 --threads 1
  pyposefast bench rtmo_s --source street.jpg --streams 1,2,4 --mode throughput
  pyposefast bench my_network.toml --source video.mp4 --repeat 200 --plot stages.png
  pyposefast bench rtmpose_s --device cuda --nvtx

stages:
  upload      pictures to the device; none for a network on the CPU
  preprocess  regions cut out, scaled, normalised
  network     the engine alone
  decode      outputs to joints; bottom-up networks are decoded and grouped in one call
  download    joints to the host, and to the picture
  rest        what is between them: boxes to regions, results to Poses, Python
  detect/...  the same of the detector; `detect` alone is what is between those
Ours is everything but networks, as a part of the whole.

"""
_MOST_FRAMES = 64  # of a video, kept in memory
_MOST = 1 << 20
_ENGINES = {
    "onnx_runtime": ("onnxruntime", "onnxruntime-gpu"),
    "openvino": ("openvino",),
    "tensor_rt": ("tensorrt",),
}


@dataclass(frozen=True, slots=True)
class _Frames:
    images: list[Any]  # [H, W, 3] uint8 RGB
    boxes: Any  # [P, 4] that are known, or None
    text: str


def add(parser: argparse.ArgumentParser) -> None:
    """Describe the command."""
    parser.description = (
        "Run a network's pipeline again and again, and print how long each stage takes: p50, p95 "
        "and p99 of a call, frames a second, for several sizes of batches and numbers of streams."
    )
    parser.epilog = _MORE + EXIT_STATUS
    loading.add_model(parser)
    parser.add_argument(
        "--source",
        metavar="FILE",
        help="a picture, a folder or a video, up to 64 frames (default: a synthetic scene)",
    )
    parser.add_argument(
        "--people",
        type=int,
        default=5,
        metavar="N",
        help="in the synthetic scene, whose boxes are given unless --detector is (default: 5)",
    )
    parser.add_argument(
        "--batches",
        default="1",
        metavar="N,N",
        help="frames in a call, by one stream (default: 1)",
    )
    parser.add_argument(
        "--streams",
        default="1",
        metavar="N,N",
        help="threads that call at once, one frame a call (default: 1)",
    )
    parser.add_argument(
        "--repeat", type=int, default=50, metavar="N", help="calls a stream (default: 50)"
    )
    parser.add_argument(
        "--warmup", type=int, default=5, metavar="N", help="calls before (default: 5)"
    )
    parser.add_argument(
        "--nvtx", action="store_true", help="show the stages in NVIDIA's profilers; needs nvtx"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--plot", type=Path, metavar="PNG", help="draw a bar of stages for each")
    loading.add_options(parser)


def run(options: argparse.Namespace) -> int:
    """Time everything that is asked for, and print."""
    loading.check(options)
    sweep = _sweep(options)
    arguments.integer(options.repeat, "--repeat", 1, _MOST)
    arguments.integer(options.warmup, "--warmup", 0, _MOST)
    if options.plot is not None and options.plot.suffix.lower() != ".png":
        raise InputError("--plot", "a name that ends in .png", shown(options.plot.name))
    frames = _frames(options)
    knows_boxes = frames.boxes is not None and options.detector == "auto"
    more: dict[str, Any] = {"detector": None} if knows_boxes else {}
    model = loading.load(options, **more)
    try:
        boxes = frames.boxes if knows_boxes and hasattr(model, "boxes_of") else None
        load = Load(model, frames.images, boxes, options.nvtx)
        timings = []
        with Progress(len(sweep), "settings") as progress:
            for batch, streams in sweep:
                repeat, warmup = options.repeat, options.warmup
                timing = time_it(load, batch=batch, streams=streams, repeat=repeat, warmup=warmup)
                timings.append(timing)
                progress.add()
        facts = _facts(options, model, frames, boxes_are_given=boxes is not None)
    finally:
        model.close()
    if options.json:
        say_json({**facts, "timings": [timing.to_dict() for timing in timings]})
    else:
        say("\n".join(_text(facts, timings)))
    if options.plot is not None:
        plot_stages(timings, options.plot, title=f"{facts['network']}, {facts['picture']}")
        note(f"wrote {shown(options.plot)}")
    return OK


def _sweep(options: argparse.Namespace) -> list[tuple[int, int]]:
    """Return (batch, streams) of every timing: batches of one stream, then streams of one frame."""
    batches = _numbers(options.batches, "--batches")
    streams = _numbers(options.streams, "--streams")
    pairs = [(batch, 1) for batch in batches] + [(1, count) for count in streams]
    return list(dict.fromkeys(pairs))


def _numbers(text: str, argument: str) -> list[int]:
    parts = text.split(",")
    if not all(part.strip().isdecimal() for part in parts):
        raise InputError(argument, "whole numbers with commas, as in 1,8", shown(repr(text)))
    return [arguments.integer(int(part), argument, 1, 1 << 10) for part in parts]


def _frames(options: argparse.Namespace) -> _Frames:
    if options.source is None:
        scene = render_scene(people=options.people)
        height, width = scene.image.shape[:2]
        text = f"synthetic scene, {options.people} people, {width} x {height}"
        return _Frames([scene.image], scene.box, text)
    (job,) = sources.find([options.source])
    images: list[Any] = []
    if job.kind == "camera":
        raise InputError("--source", "a picture, a folder or a video", shown(options.source))
    source, _ = job.opened(limit=_MOST_FRAMES)
    with source:
        for frame in source:
            if frame.image is None:
                raise frame.error or MediaError(f"{shown(options.source)}: cannot be read")
            images.append(frame.image)
    height, width = images[0].shape[:2]
    count = "" if len(images) == 1 else f", {len(images)} frames"
    return _Frames(images, None, f"{shown(options.source)}, {width} x {height}{count}")


def _facts(
    options: argparse.Namespace, model: Any, frames: _Frames, *, boxes_are_given: bool
) -> dict[str, Any]:
    """Return what the figures depend on."""
    engine = model.network.engine
    boxes = "given" if boxes_are_given else "none needed"
    if not boxes_are_given and hasattr(model, "boxes_of"):
        boxes = "the detector's"
    return {
        "network": shown(options.model),
        "engine": f"{engine.name} {_version(engine.name)}".strip(),
        "device": engine.device,
        "precision": options.precision,
        "mode": options.mode,
        "threads": options.threads,
        "picture": frames.text,
        "boxes": boxes,
        "machine": {
            "cpu": _cpu(),
            "cores": len(os.sched_getaffinity(0)),
            "instruction_set": _C.instruction_set(),
            "system": platform.platform(),
        },
        "versions": {
            "Python": platform.python_version(),
            "NumPy": metadata.version("numpy"),
            "pyposefast": __version__,
        },
    }


def _version(engine: str) -> str:
    versions = (_version_of(name) for name in _ENGINES.get(engine, ()))
    return next((version for version in versions if version), "")


def _version_of(distribution: str) -> str:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return ""


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _text(facts: dict[str, Any], timings: Sequence[Timing]) -> list[str]:
    machine = facts["machine"]
    cores = f"{machine['cores']} core{'' if machine['cores'] == 1 else 's'}"
    threads = "default" if facts["threads"] is None else f"{facts['threads']}"
    versions = ", ".join(f"{name} {text}" for name, text in facts["versions"].items())
    where = f"{facts['device']}, {facts['precision']}, {facts['mode']}, threads: {threads}"
    lines = [
        f"network  {facts['network']}: {facts['engine']}, {where}",
        f"picture  {facts['picture']}; boxes: {facts['boxes']}",
        f"machine  {machine['cpu']}, {cores} usable, {machine['instruction_set']}; {versions}",
    ]
    for timing in timings:
        frames = "1 frame" if timing.batch == 1 else f"{timing.batch} frames"
        streams = "1 stream" if timing.streams == 1 else f"{timing.streams} streams"
        share, people = f"{100 * timing.our_share:.1f} %", f"{timing.people:.1f} people a frame"
        rate = f"{timing.fps:.1f} frames/s, ours {share}, {people}, {timing.calls} calls"
        lines += ["", f"{frames} a call, {streams}: {rate}"]
        spreads = {**timing.stages, "call": timing.call}
        rows = [
            [
                name,
                *(f"{each:.3f}" for each in (spread.mean, spread.p50, spread.p95, spread.p99)),
                f"{100 * spread.mean / timing.call.mean:.1f}",
            ]
            for name, spread in spreads.items()
        ]
        lines += table(("stage, ms a call", "mean", "p50", "p95", "p99", "%"), rows)
    return lines
