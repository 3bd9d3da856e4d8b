"""``pyposefast evaluate``: a network's AP, PCK and PDJ on annotated pictures."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from pyposefast import __version__, arguments, metrics
from pyposefast.commands import EXIT_STATUS, OK, SOME_FAILED, loading
from pyposefast.commands.measuring import LIMBS, Judged, Measured, measure
from pyposefast.commands.printing import note, say, table
from pyposefast.errors import InputError
from pyposefast.files import shown
from pyposefast.media.records import write_json

if TYPE_CHECKING:
    import argparse

_MORE = """\
examples:
  pyposefast evaluate rtmpose_s --images val2017 --annotations person_keypoints_val2017.json
  pyposefast evaluate rtmpose_s --images val2017 --annotations truth.json --boxes detector
  pyposefast evaluate my_network.toml --images photos --annotations truth.json --verbose
  pyposefast evaluate rtmdet_nano --images val2017 --annotations truth.json --limit 100
  pyposefast evaluate my_network.toml --images photos --annotations truth.json --joints limbs \\
      --min-area 4096 --min-joints 6 --plot curves.png

AP and AR follow COCO's rules for joints (OKS), or of a detector for boxes. PCK: the share of joints
that are nearer to their place than 0.1 of the longer side of the person's box. PDJ: nearer than 0.2
of the torso, from the left shoulder to the right hip; with that size it is PCK at 0.2 as well.
Joints are told apart by name, so the network's skeleton may be another than the annotations'.

"""


def add(parser: argparse.ArgumentParser) -> None:
    """Describe the command."""
    parser.description = (
        "Run a network on pictures whose people are annotated, and measure how good it is."
    )
    parser.epilog = _MORE + EXIT_STATUS
    loading.add_model(parser)
    data = add_data(parser, is_needed=True)
    data.add_argument(
        "--boxes",
        choices=("truth", "detector"),
        help="where a network that looks at one person at a time is to look (default: truth)",
    )
    parser.add_argument(
        "--flip-test", action="store_true", help="look at mirror images too and average"
    )
    parser.add_argument("--verbose", action="store_true", help="print every joint, too")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write figures and curves")
    parser.add_argument(
        "--plot",
        type=Path,
        metavar="PNG",
        help="draw the curves of PCK and PDJ, and precision over recall in a second file beside "
        "it, NAME_precision.png; needs the extra `plot`",
    )
    loading.add_options(parser)


def add_data(parser: argparse.ArgumentParser, *, is_needed: bool) -> argparse._ArgumentGroup:
    """Add the options that say what a network is measured on."""
    data = parser.add_argument_group("what it is measured on")
    data.add_argument(
        "--images", type=Path, required=is_needed, metavar="FOLDER", help="where the pictures are"
    )
    data.add_argument(
        "--annotations",
        type=Path,
        required=is_needed,
        metavar="JSON",
        help="who is in them, in COCO's format",
    )
    data.add_argument(
        "--limit", type=int, metavar="N", help="take the first N pictures (default: all)"
    )
    data.add_argument(
        "--joints",
        default="all",
        metavar="NAMES",
        help="judged by PCK and PDJ: all, limbs (shoulders to ankles), or names with commas "
        "(default: all)",
    )
    data.add_argument(
        "--min-area",
        type=float,
        default=0.0,
        metavar="PX2",
        help="PCK and PDJ judge people who cover as many square pixels (default: 0)",
    )
    data.add_argument(
        "--min-joints",
        type=int,
        default=1,
        metavar="N",
        help="... and who have as many labelled joints (default: 1)",
    )
    return data


def run(options: argparse.Namespace) -> int:
    """Measure, print, write."""
    loading.check(options)
    judged = judged_of(options)
    if options.plot is not None and options.plot.suffix.lower() != ".png":
        raise InputError("--plot", "a name that ends in .png", shown(options.plot.name))
    truths = metrics.read_coco(options.annotations)
    # A detector is no use to whoever looks into the true boxes, and need not be there.
    is_blind = options.boxes != "detector" and options.detector == "auto"
    more: dict[str, Any] = {"detector": None} if is_blind else {}
    model = loading.load(options, flip_test=options.flip_test, **more)
    try:
        measured = measure(
            model,
            truths,
            options.images,
            boxes=options.boxes,
            limit=options.limit,
            judged=judged,
        )
    finally:
        model.close()
    for failure in measured.failures:
        note(f"left out: {failure}")
    say("\n".join(_text(options.model, measured, is_verbose=options.verbose)))
    if options.json is not None:
        record = {"pyposefast": __version__, "network": options.model, **measured.to_dict()}
        write_json(options.json, record)
    if options.plot is not None:
        for path in _plot(options.plot, shown(options.model), measured):
            note(f"wrote {shown(path)}")
    return SOME_FAILED if measured.failures else OK


def judged_of(options: argparse.Namespace) -> Judged:
    """Return whose joints are judged, after checking what is asked."""
    if options.limit is not None:
        arguments.integer(options.limit, "--limit", 1, 1 << 40)
    arguments.integer(options.min_joints, "--min-joints", 1, 1 << 10)
    arguments.number(options.min_area, "--min-area", 0.0, 1e12)
    named = tuple(name for name in options.joints.split(",") if name)
    known: dict[tuple[str, ...], tuple[str, ...]] = {("all",): (), ("limbs",): LIMBS}
    return Judged(known.get(named, named), options.min_area, options.min_joints)


def _text(name: str, measured: Measured, *, is_verbose: bool) -> list[str]:
    lines = [f"network  {shown(name)}", f"images   {measured.images}"]
    if measured.boxes is not None:
        lines.append(f"boxes    {'true ones' if measured.boxes == 'truth' else 'the detector'}")
    header = ("measure", "value", "over")
    if measured.box_ap is not None:
        figures: Any = measured.box_ap
        over = f"{figures.people} people"
        names = {"ap": "box AP", "ap50": "box AP50", "ap75": "box AP75", "ar": "box AR"}
        rows = [[text, _figure(getattr(figures, key)), over] for key, text in names.items()]
        return [*lines, "", *table(header, rows)]
    figures = measured.ap
    over = f"{figures.people} people"
    names = {
        "ap": "AP",
        "ap50": "AP50",
        "ap75": "AP75",
        "ap_medium": "AP medium",
        "ap_large": "AP large",
        "ar": "AR",
    }
    rows = [[text, _figure(getattr(figures, key)), over] for key, text in names.items()]
    shares = [("PCK at 0.1 of the box", measured.pck), ("PDJ at 0.2 of the torso", measured.pdj)]
    for text, share in shares:
        if share is not None:
            rows.append([text, _figure(share.mean), f"{int(share.count.sum())} joints"])
    lines += ["", *table(header, rows)]
    if is_verbose and measured.pck is not None and measured.pdj is not None:
        lines += ["", *_per_joint(measured)]
    return lines


def _per_joint(measured: Measured) -> list[str]:
    pck: Any = measured.pck
    pdj: Any = measured.pdj
    rows = [
        [joint, str(count), _figure(first), _figure(second)]
        for joint, count, first, second in zip(
            pck.joints, pck.count.tolist(), pck.per_joint, pdj.per_joint, strict=True
        )
        if count
    ]
    return table(("joint", "labels", "PCK", "PDJ"), rows)


def _figure(value: float) -> str:
    return f"{value:.3f}" if value >= 0 else "-"  # -1 and NaN: nobody was to be found


def _plot(path: Path, name: str, measured: Measured) -> list[Path]:
    """Draw what there is; return the files."""
    if measured.box_ap is not None:
        metrics.plot_precision(measured.box_ap, path, title=f"{name}: boxes")
        return [path]
    curves = {
        text: share
        for text, share in (("PCK (box)", measured.pck), ("PDJ (torso)", measured.pdj))
        if share is not None
    }
    metrics.plot_shares(curves, path, title=name)
    beside = path.with_name(f"{path.stem}_precision.png")
    if measured.ap is not None:
        metrics.plot_precision(measured.ap, beside, title=f"{name}: joints")
    return [path, beside]
