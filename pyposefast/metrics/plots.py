"""Curves as PNG files. Needs Matplotlib, which is in the extra `plot`."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pyposefast.errors import InputError, InputTypeError
from pyposefast.files import write_bytes
from pyposefast.metrics.box_ap import BoxAP
from pyposefast.metrics.keypoint_ap import KeypointAP
from pyposefast.metrics.pck import PCK

if TYPE_CHECKING:
    import os

    from pyposefast.metrics.tables import Floats

_INCHES = (7.0, 4.6)
_DOTS_PER_INCH = 144
_MOST_CURVES = 10  # of one plot: more cannot be told apart
_STYLES = ("-", "--", "-.")  # in turn, since neighbouring colours are alike


def plot_precision(
    measured: KeypointAP | BoxAP, path: str | os.PathLike[str], *, title: str = ""
) -> None:
    """Write precision over recall, a curve for each threshold of similarity, as a PNG.

    Args:
        measured: what ``keypoint_ap`` or ``box_ap`` returned.
        path: the file, whose name ends with ".png"; it appears complete or not at all.
        title: over the plot; by default what was measured.

    Raises:
        ImportError: there is no Matplotlib.
        InputError: nobody was to be found, so that there is no curve; another ending.
        StorageError: the file cannot be written.
    """
    if not isinstance(measured, (KeypointAP, BoxAP)):
        raise InputTypeError("measured", "a KeypointAP or a BoxAP", type(measured).__name__)
    if measured.people == 0:
        raise InputError("measured", "people to be found", "none: there is no curve")
    target = _png(path)
    word = "OKS" if isinstance(measured, KeypointAP) else "IoU"
    figure, axes = _empty_plot(
        title or f"{word} precision over recall", ("recall", "precision"), measured.recalls
    )
    colours = _colours(len(measured.thresholds))
    curves = zip(measured.thresholds.tolist(), measured.precision[0], colours, strict=True)
    for threshold, precision, colour in curves:
        label = f"{threshold:.2f}   AP {precision.mean():.3f}"
        axes.plot(measured.recalls, precision, color=colour, linewidth=1.6, label=label)
    mean = measured.precision[0].mean(axis=0)
    label = f"mean   AP {measured.ap:.3f}"
    axes.plot(measured.recalls, mean, color="black", linewidth=2.2, linestyle="--", label=label)
    _legend(axes, f"{word} from")
    _publish(figure, target)


def plot_shares(
    curves: Mapping[str, PCK] | PCK, path: str | os.PathLike[str], *, title: str = ""
) -> None:
    """Write the share of right joints over the factor as a PNG: PCK, PCKh and PDJ.

    Args:
        curves: what ``pck``, ``pckh`` or ``pdj`` returned, up to ten, by the names in the legend.
            Of a single one, joints are drawn too, left and right as one curve, unless there are
            more than ten kinds of them.
        path: the file, whose name ends with ".png"; it appears complete or not at all.
        title: over the plot; by default the name of the measure.

    Raises:
        ImportError: there is no Matplotlib.
        InputError: nothing was judged, so that there is no curve; too many curves; another ending.
        StorageError: the file cannot be written.
    """
    named: Any = {"mean": curves} if isinstance(curves, PCK) else curves
    if not isinstance(named, Mapping) or not all(isinstance(one, PCK) for one in named.values()):
        raise InputTypeError("curves", "what `pck` returned, by name", type(curves).__name__)
    if not 1 <= len(named) <= _MOST_CURVES:
        raise InputError("curves", f"1 to {_MOST_CURVES}", f"{len(named)}")
    for name, one in named.items():
        if np.isnan(one.mean):
            raise InputError("curves", "joints that were judged", f"none in {name}")
    target = _png(path)
    first = next(iter(named.values()))
    figure, axes = _empty_plot(
        title or first.name, ("factor of the person's size", "share of right joints"), first.factors
    )
    lines = _by_kind(first) if isinstance(curves, PCK) else []
    colours = _colours(max(len(lines), len(named)))
    looks = [
        {"color": colour, "linestyle": _STYLES[place % len(_STYLES)]}
        for place, colour in enumerate(colours)
    ]
    for (name, share, shares), look in zip(lines, looks, strict=False):
        axes.plot(first.factors, shares, linewidth=1.4, label=f"{name}   {share:.3f}", **look)
    if isinstance(curves, PCK):
        looks = [{"color": "black"}]
    for (name, one), look in zip(named.items(), looks, strict=False):
        label = f"{name}   {one.at(first.factor):.3f}"
        axes.plot(one.factors, one.curve, linewidth=2.2, label=label, **look)
    axes.axvline(first.factor, color="0.6", linewidth=1.0, linestyle=":")
    _legend(axes, f"at {first.factor:g}")
    _publish(figure, target)


def _by_kind(measured: PCK) -> list[tuple[str, float, Floats]]:
    """Name, share and curve [F] of shoulders, elbows ...: both sides, weighed by their counts."""
    kinds: dict[str, list[int]] = {}
    for joint, name in enumerate(measured.joints):
        kinds.setdefault(name.removeprefix("left_").removeprefix("right_"), []).append(joint)
    lines = []
    for kind, joints in kinds.items():
        count = measured.count[joints]
        if count.any():
            weight = count / count.sum()
            share = float(np.nan_to_num(measured.per_joint[joints], nan=0.0) @ weight)
            curve = np.nan_to_num(measured.curve_per_joint[:, joints], nan=0.0) @ weight
            lines.append((kind.replace("_", " "), share, curve))
    return lines if len(lines) <= _MOST_CURVES else []


def _empty_plot(title: str, labels: tuple[str, str], x: Floats) -> tuple[Any, Any]:
    """Return a figure and its axes. No pyplot: that would hold every figure of the process."""
    try:
        from matplotlib.figure import Figure  # noqa: PLC0415  an extra: imported when needed
    except ImportError as error:
        message = (
            "plots need Matplotlib, which does not import here\n"
            'hint: pip install "pyposefast[plot]"'
        )
        raise ImportError(message) from error
    figure = Figure(figsize=_INCHES, dpi=_DOTS_PER_INCH, layout="constrained")
    axes = figure.add_subplot()
    axes.set_title(title, parse_math=False)
    axes.set_xlabel(labels[0])
    axes.set_ylabel(labels[1])
    axes.set_xlim(float(x[0]), float(x[-1]) if len(x) > 1 else float(x[0]) + 1.0)
    axes.set_ylim(0.0, 1.02)
    axes.grid(visible=True, color="0.9", linewidth=0.8)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    return figure, axes


def _legend(axes: Any, title: str) -> None:
    axes.legend(
        title=title, loc="upper left", bbox_to_anchor=(1.01, 1.0), frameon=False, fontsize="small"
    )


def _colours(count: int) -> list[Any]:
    """Return so many colours in order, which stay apart in grey and for the colour-blind."""
    from matplotlib import colormaps  # noqa: PLC0415

    return [colormaps["viridis"](place) for place in np.linspace(0.0, 0.88, count)]


def _png(path: str | os.PathLike[str]) -> Path:
    target = Path(path)
    if target.suffix.lower() != ".png":
        raise InputError("path", 'a name that ends with ".png"', str(path))
    return target


def _publish(figure: Any, path: Path) -> None:
    picture = io.BytesIO()
    figure.savefig(picture, format="png")
    write_bytes(path, picture.getvalue())
