"""``pyposefast demo``: one picture through one pipeline, an overlay, and where the time goes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from pyposefast import demo
from pyposefast.commands import EXIT_STATUS, OK, loading
from pyposefast.commands.printing import say, say_json
from pyposefast.errors import InputError
from pyposefast.files import shown
from pyposefast.media import read_image

if TYPE_CHECKING:
    import argparse

_MORE = """\
examples:
  pyposefast demo
  pyposefast demo --people 20 --seed 7 --output crowd.png
  pyposefast demo --repeat 200           steadier timings
  pyposefast demo --network rtmpose_s --image photo.jpg
  pyposefast demo --json | python -m json.tool

Without --network, heatmaps drawn from the exact joints of the scene stand in for one. Everything
else is the real thing. Needs OpenCV: pip install "pyposefast[cpu]"

"""


def add(parser: argparse.ArgumentParser) -> None:
    """Describe the command."""
    parser.description = (
        "Find the joints of the people in a synthetic scene, or in a picture of yours, save it "
        "with skeletons over it, and print how long every step of the pipeline took. In a "
        "synthetic scene the exact joints are known, so that errors are printed too."
    )
    parser.epilog = _MORE + EXIT_STATUS
    parser.add_argument(
        "--people", type=int, default=5, metavar="N", help="how many people (default: 5)"
    )
    parser.add_argument(
        "--seed", type=int, default=4, metavar="N", help="which scene, 0 or more (default: 4)"
    )
    parser.add_argument(
        "--repeat", type=int, default=20, metavar="N", help="how often it is timed (default: 20)"
    )
    parser.add_argument(
        "--output",
        type=Path,
        default=Path("pyposefast_demo.png"),
        metavar="PNG",
        help="where the picture goes (default: pyposefast_demo.png here)",
    )
    parser.add_argument("--json", action="store_true", help="print JSON, joints included")
    parser.add_argument(
        "--network", dest="model", metavar="MODEL", help=f"{loading.MODEL_HELP} (default: none)"
    )
    parser.add_argument(
        "--image",
        type=Path,
        metavar="PICTURE",
        help="look at this picture, with --network (default: a synthetic scene)",
    )
    loading.add_options(parser)


def run(options: argparse.Namespace) -> int:
    """Find the people, and print what was found."""
    settings: dict[str, Any] = {
        "people": options.people,
        "seed": options.seed,
        "repeat": options.repeat,
        "output": options.output,
    }
    if options.model is None:
        for name in ("image", "weights"):
            if getattr(options, name) is not None:
                raise InputError("--network", f"a network with --{name}", "none")
        return _print(options, demo.run(**settings))
    if options.image is not None:
        image = read_image(options.image)
        height, width = image.shape[:2]
        name = f"{shown(options.image)}, {width} x {height}"
        settings |= {"image": image, "name": name}
    pipeline = loading.load_pipeline(options)
    try:
        engine = pipeline.network.engine
        network = f"{shown(options.model)} ({engine.name}, {engine.device})"
        return _print(options, demo.run(**settings, pipeline=pipeline, network=network))
    finally:
        pipeline.close()


def _print(options: argparse.Namespace, done: demo.Demo) -> int:
    say_json(demo.to_dict(done)) if options.json else say(demo.text(done))
    return OK
