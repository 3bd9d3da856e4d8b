"""Person boxes from any exported detector, with or without suppression inside."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from pyposefast import arguments, preprocess
from pyposefast.arrays import shape_of, to_host
from pyposefast.boxes import suppress
from pyposefast.errors import ModelError
from pyposefast.network import output
from pyposefast.poses import Boxes
from pyposefast.stages import stage

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyposefast.network import Network, Outputs
    from pyposefast.ops.crop import Source
    from pyposefast.preprocess import Pictures

Floats = npt.NDArray[np.float32]
Form = Literal["end2end", "yolox", "yolov8", "fastestdet", "blazepose"]

# Of each form, the usual threshold on scores and on the overlap (IoU) of two boxes of one person.
# Networks of form "end2end" have suppressed by themselves.
_USUAL: dict[str, tuple[float, float]] = {
    "end2end": (0.3, 1.0),
    "yolox": (0.3, 0.45),
    "yolov8": (0.3, 0.45),
    "fastestdet": (0.5, 0.45),
    "blazepose": (0.5, 0.3),
}
_MOST_CANDIDATES = 1000  # for suppression, best first
_MOST_PEOPLE = 300  # of one picture, best first
_YOLOX_STRIDES = (8, 16, 32)
_BLAZEPOSE_GRIDS = ((8, 2), (16, 2), (32, 6))  # stride, anchors a cell


class Detector:
    """Finds people's boxes in pictures. Threads may share one."""

    def __init__(
        self,
        network: Network,
        *,
        form: Form,
        outputs: Mapping[str, str],
        label: int = 0,
        threshold: float | None = None,
        overlap: float | None = None,
    ) -> None:
        """Check and keep the settings.

        Args:
            network: what is run; closed with the detector.
            form: how its outputs are to be read. "end2end": boxes [B, n, 5] with scores and
                labels, suppressed already. "yolox": boxes [B, A, 5 + classes] of grids of stride
                8, 16 and 32. "yolov8": boxes [B, 4 + classes, A]. "fastestdet": one grid
                [B, 5 + classes, H, W]. "blazepose": boxes [B, A, 12] and scores [B, A, 1].
            outputs: what an output is ("boxes", "scores", "labels") -> its name in the network.
            label: the class that is people.
            threshold: surer boxes are kept; by default what is usual for the form.
            overlap: of two boxes that overlap more (intersection over union), the less sure one is
                dropped; by default what is usual for the form.
        """
        self._network, self._form = network, arguments.word(form, "form", get_args(Form))
        self._outputs = dict(outputs)
        self._label = arguments.integer(label, "label", 0, 1 << 16)
        usual = _USUAL[self._form]
        chosen = [
            mine if mine is not None else its
            for mine, its in zip((threshold, overlap), usual, strict=True)
        ]
        self._threshold = arguments.number(chosen[0], "threshold", 0.0, 1.0)
        self._overlap = arguments.number(chosen[1], "overlap", 0.0, 1.0)

    @property
    def network(self) -> Network:
        """What is run."""
        return self._network

    def __call__(
        self, images: Any, *, source: Source = "rgb", threads: int = 1
    ) -> Boxes | list[Boxes]:
        """Find the people of one picture, or of each of several.

        Args:
            images: as a pipeline takes them; ``preprocess.pictures`` has the whole list.
            source: the order of the samples in memory: "rgb", "bgr" or "nv12".
            threads: how many CPU threads share what is done around the network.
        """
        pictures = preprocess.pictures(images, source=source)
        found = self.find(pictures, threads=threads)
        return found[0] if pictures.is_single else found

    def find(self, pictures: Pictures, *, threads: int = 1) -> list[Boxes]:
        """Find the people of each picture."""
        regions = preprocess.whole(pictures, self._network.settings)
        found: list[Boxes] = []
        for which, outputs in self._network.look(pictures, regions, threads=threads):
            with stage("decode"):
                inverse = regions[which].affines(self._network.settings.size).inverse
                each = self._read(outputs, len(inverse))
                for (boxes, score, axes), affine in zip(each, inverse, strict=True):
                    size = pictures.sizes[len(found)]
                    found.append(self._in_picture(boxes, score, axes, affine, size))
        return found

    def warmup(self) -> None:
        """Run the network on zeros."""
        self._network.warmup()

    def close(self) -> None:
        """Close the network."""
        self._network.close()

    def _read(self, outputs: Outputs, count: int) -> list[tuple[Floats, Floats, Floats | None]]:
        """Boxes, scores and axes of each picture, in pixels of the network's input."""
        arrays = {key: to_host(output(outputs, name), key) for key, name in self._outputs.items()}
        height, width = self._network.settings.size
        try:
            if self._form == "end2end":
                return [
                    _end2end(
                        arrays["boxes"][i], arrays.get("labels", [None] * count)[i], self._label
                    )
                    for i in range(count)
                ]
            if self._form == "yolox":
                return [_yolox(each, self._label, (height, width)) for each in arrays["boxes"]]
            if self._form == "yolov8":
                return [_yolov8(each, self._label) for each in arrays["boxes"]]
            if self._form == "fastestdet":
                size = (height, width)
                return [_fastestdet(each, self._label, size) for each in arrays["boxes"]]
            pairs = zip(arrays["boxes"], arrays["scores"], strict=True)
            return [_blazepose(boxes, scores, height) for boxes, scores in pairs]
        except (IndexError, KeyError, ValueError) as error:
            shapes = ", ".join(f"{key} {list(shape_of(a, key))}" for key, a in arrays.items())
            raise ModelError(
                f"the network's outputs are not of the form {self._form}: {shapes} ({error})",
                "see decoder.form in the manifest",
            ) from error

    def _in_picture(
        self,
        boxes: Floats,
        score: Floats,
        axes: Floats | None,
        inverse: npt.NDArray[np.float64],
        size: tuple[int, int],
    ) -> Boxes:
        """Keep the sure ones, one for each person, and take them to the picture."""
        sure = np.flatnonzero(np.isfinite(boxes).all(-1) & (score > self._threshold))
        order = sure[np.argsort(-score[sure], kind="stable")][:_MOST_CANDIDATES]
        kept = order[suppress(boxes[order], self._overlap)][:_MOST_PEOPLE]
        axis = None
        if axes is None:
            xyxy = _transform(boxes[kept].reshape(-1, 2, 2), inverse).reshape(-1, 4)
        else:
            # Such boxes are of heads; the axis is the radius of a circle around the whole person.
            ends = _transform(axes[kept], inverse)
            radius = np.hypot(*np.moveaxis(ends[:, 1] - ends[:, 0], -1, 0))[:, None]
            xyxy = np.concatenate([ends[:, 0] - radius, ends[:, 0] + radius], axis=-1)
            # Joints, and so axes, are of pixels whose centres are whole numbers.
            axis = (ends - 0.5).astype(np.float32)
        height, width = size
        xyxy = np.clip(xyxy, 0.0, [width, height, width, height])
        is_seen = (xyxy[:, 2] > xyxy[:, 0]) & (xyxy[:, 3] > xyxy[:, 1])
        return Boxes(
            xyxy[is_seen].astype(np.float32),
            score[kept][is_seen].astype(np.float32),
            None if axis is None else axis[is_seen],
        )


def _transform(xy: npt.NDArray[Any], affine: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Take edge coordinates through an affine of pixel centres."""
    moved: npt.NDArray[np.float64] = (xy - 0.5) @ affine[:, :2].T + affine[:, 2] + 0.5
    return moved


def _corners(centre: npt.NDArray[Any], side: npt.NDArray[Any]) -> Floats:
    return np.concatenate([centre - side / 2, centre + side / 2], axis=-1).astype(np.float32)


def _end2end(
    rows: npt.NDArray[Any], labels: npt.NDArray[Any] | None, label: int
) -> tuple[Floats, Floats, None]:
    if rows.ndim != 2 or rows.shape[1] < 5:  # noqa: PLR2004
        raise ValueError("expected boxes [B, n, 5]")
    if labels is not None:
        rows = rows[labels.reshape(-1) == label]
    return rows[:, :4].astype(np.float32), rows[:, 4].astype(np.float32), None


def _yolox(
    rows: npt.NDArray[Any], label: int, size: tuple[int, int]
) -> tuple[Floats, Floats, None]:
    cell, stride = _yolox_cells(size)
    if rows.shape[0] != len(cell):
        raise ValueError(f"expected {len(cell)} rows for an input of {size[0]} x {size[1]}")
    centre = (rows[:, :2] + cell) * stride
    side = np.exp(np.minimum(rows[:, 2:4], 20.0)) * stride  # e^20 px is out of any picture
    return _corners(centre, side), (rows[:, 4] * rows[:, 5 + label]).astype(np.float32), None


@functools.lru_cache(maxsize=8)
def _yolox_cells(size: tuple[int, int]) -> tuple[Floats, Floats]:
    cells, strides = [], []
    for stride in _YOLOX_STRIDES:
        y, x = np.mgrid[: size[0] // stride, : size[1] // stride]
        cells.append(np.stack([x, y], axis=-1).reshape(-1, 2))
        strides.append(np.full((x.size, 1), stride))
    return np.concatenate(cells).astype(np.float32), np.concatenate(strides).astype(np.float32)


def _yolov8(rows: npt.NDArray[Any], label: int) -> tuple[Floats, Floats, None]:
    boxes = rows[:4].T
    return _corners(boxes[:, :2], boxes[:, 2:]), rows[4 + label].astype(np.float32), None


def _fastestdet(
    grid: npt.NDArray[Any], label: int, size: tuple[int, int]
) -> tuple[Floats, Floats, None]:
    _, rows, columns = grid.shape
    y, x = np.mgrid[:rows, :columns]
    sides = np.array([size[1], size[0]], np.float32)
    cell = np.stack([x + np.tanh(grid[1]), y + np.tanh(grid[2])], axis=-1)
    centre = cell / [columns, rows] * sides
    side = (1 / (1 + np.exp(-np.clip(np.moveaxis(grid[3:5], 0, -1), -80, 80)))) * sides
    score = np.clip(grid[0], 0, 1) ** 0.6 * np.clip(grid[5 + label], 0, 1) ** 0.4
    return _corners(centre, side).reshape(-1, 4), score.reshape(-1).astype(np.float32), None


def _blazepose(
    rows: npt.NDArray[Any], logits: npt.NDArray[Any], side: int
) -> tuple[Floats, Floats, Floats]:
    anchors = _blazepose_anchors(side)
    if len(rows) != len(anchors):
        raise ValueError(f"expected {len(anchors)} rows for an input of {side} x {side}")
    points = rows.reshape(len(rows), -1, 2)  # centre, size, then four points
    at = points + anchors[:, None]
    score = 1 / (1 + np.exp(-np.clip(logits.reshape(-1), -80, 80)))
    # Mid hip, and the point on the circle around the whole body that is above it.
    axis = at[:, 2:4].astype(np.float32)
    return _corners(at[:, 0], points[:, 1]), score.astype(np.float32), axis


@functools.lru_cache(maxsize=4)
def _blazepose_anchors(side: int) -> Floats:
    """Return the centres of all anchors [A, 2], in pixels of an input of side x side."""
    anchors = []
    for stride, count in _BLAZEPOSE_GRIDS:
        y, x = np.mgrid[: side // stride, : side // stride]
        centre = (np.stack([x, y], axis=-1).reshape(-1, 2) + 0.5) * stride
        anchors.append(np.repeat(centre, count, axis=0))
    return np.concatenate(anchors).astype(np.float32)
