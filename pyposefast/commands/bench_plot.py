"""Where the time of a frame goes, as a picture: stacked bars. Needs Matplotlib."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

from pyposefast.commands.timing import NETWORK
from pyposefast.files import write_bytes

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from pyposefast.commands.timing import Timing

_INCHES_A_BAR, _INCHES_AROUND = 0.55, 1.5
_WIDTH_INCHES = 9.0
_DOTS_PER_INCH = 144


def plot_stages(timings: Sequence[Timing], path: Path, *, title: str) -> None:
    """Write a bar for each timing, made of the mean milliseconds a frame of every stage, as a PNG.

    Networks are grey, what is around them is in colours.

    Args:
        timings: of one network.
        path: the file; it appears complete or not at all.
        title: over the plot.

    Raises:
        ImportError: there is no Matplotlib.
        StorageError: the file cannot be written.
    """
    figures = _matplotlib()
    figure = figures.Figure(
        figsize=(_WIDTH_INCHES, _INCHES_AROUND + _INCHES_A_BAR * len(timings)),
        dpi=_DOTS_PER_INCH,
        layout="constrained",
    )
    axes = figure.add_subplot()
    names = list(dict.fromkeys(name for timing in timings for name in timing.stages))
    colours = _colours(names)
    labels = [f"batch {each.batch}, {_streams(each.streams)}" for each in timings]
    starts = [0.0] * len(timings)
    for name in names:
        lengths = [
            each.stages[name].mean / each.batch if name in each.stages else 0.0 for each in timings
        ]
        axes.barh(labels, lengths, left=starts, color=colours[name], label=name, height=0.62)
        starts = [start + length for start, length in zip(starts, lengths, strict=True)]
    for row, (timing, end) in enumerate(zip(timings, starts, strict=True)):
        text = f" {timing.fps:.1f} frames/s, ours {100 * timing.our_share:.1f} %"
        axes.text(end, row, text, va="center", fontsize="small")
    axes.set_xlim(0, 1.3 * max(starts))  # room for the text
    axes.invert_yaxis()
    axes.set_xlabel("mean milliseconds a frame, of one stream")
    axes.set_title(title)
    axes.grid(visible=True, axis="x", color="0.9", linewidth=0.8)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1.0), frameon=False, fontsize="small")
    picture = io.BytesIO()
    figure.savefig(picture, format="png")
    write_bytes(path, picture.getvalue())


def _streams(count: int) -> str:
    return "1 stream" if count == 1 else f"{count} streams"


def _colours(names: Sequence[str]) -> dict[str, Any]:
    """Return a colour for each stage: greys for the networks."""
    from matplotlib import colormaps  # noqa: PLC0415  an extra

    ours = [name for name in names if name.split("/")[-1] != NETWORK]
    places = {name: index / max(len(ours) - 1, 1) for index, name in enumerate(ours)}
    return {
        name: colormaps["viridis"](0.92 * places[name]) if name in places else _grey(name)
        for name in names
    }


def _grey(name: str) -> str:
    return "0.75" if name == NETWORK else "0.6"


def _matplotlib() -> Any:
    try:
        from matplotlib import figure  # noqa: PLC0415  an extra: imported when needed
    except ImportError as error:
        message = 'plots need Matplotlib\nhint: pip install "pyposefast[plot]"'
        raise ImportError(message) from error
    return figure
