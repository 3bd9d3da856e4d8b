"""Plots: a picture comes out, complete or not at all, and what cannot be plotted is said."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from pyposefast import skeletons
from pyposefast.errors import InputError, InputTypeError, StorageError
from pyposefast.metrics import (
    PCK,
    FoundBoxes,
    Truth,
    Truths,
    box_ap,
    keypoint_ap,
    pck,
    plot_precision,
    plot_shares,
)
from pyposefast.poses import Poses

if TYPE_CHECKING:
    from pathlib import Path

COCO = skeletons.load("coco17")
PEOPLE = np.random.default_rng(0).uniform(0, 90, (12, 17, 2)) + 100 * np.arange(12)[:, None, None]
BOXES = np.concatenate([PEOPLE.min(1), PEOPLE.max(1)], axis=-1)


@pytest.fixture(autouse=True)
def _matplotlib() -> None:
    pytest.importorskip("matplotlib", reason="plots need Matplotlib")


def truths(people: int = 12) -> Truths:
    seen, is_crowd = np.full((people, 17), 2, np.uint8), np.zeros(people, bool)
    rows = PEOPLE[:people], BOXES[:people]
    area = np.full(people, 2500.0)
    one = Truth(1, "1.jpg", (2000, 2000), rows[1], area, rows[0], seen, is_crowd, COCO)
    return Truths((one,), COCO)


def found(spread: float = 1.5) -> dict[int, Poses]:
    random = np.random.default_rng(1)
    xy = PEOPLE + random.normal(0, 1, PEOPLE.shape) * spread * np.arange(12)[:, None, None] / 6
    score = random.uniform(0, 1, 12).astype(np.float32)
    return {
        1: Poses(
            xy.astype(np.float32),
            np.ones((12, 17), np.float32),
            BOXES.astype(np.float32),
            COCO,
            score,
        )
    }


def shares(spread: float = 1.5) -> PCK:
    labelled = np.ones((12, 17), bool)
    xy = found(spread)[1].xy
    return pck(xy, truth=PEOPLE, labelled=labelled, scale=[25.0] * 12, skeleton=COCO)


def pixels(path: Path) -> Any:
    cv2 = pytest.importorskip("cv2", reason="the picture is read with OpenCV")
    image = cv2.imread(str(path))
    assert image is not None
    return image


def test_precision_is_plotted(tmp_path: Path) -> None:
    plot_precision(keypoint_ap(truths(), found()), tmp_path / "oks.png")
    boxes = FoundBoxes(BOXES + 1, np.linspace(0, 1, 12))
    plot_precision(box_ap(truths(), {1: boxes}), tmp_path / "iou.PNG", title="people & $boxes")
    for name in ("oks.png", "iou.PNG"):
        assert pixels(tmp_path / name).std() > 10  # not empty
    assert {file.name for file in tmp_path.iterdir()} == {"iou.PNG", "oks.png"}


def test_shares_are_plotted(tmp_path: Path) -> None:
    plot_shares(shares(), tmp_path / "one.png")
    plot_shares({"good": shares(), "bad": shares(6.0)}, tmp_path / "two.png")
    for name in ("one.png", "two.png"):
        assert pixels(tmp_path / name).std() > 10


def test_plots_do_not_depend_on_what_was_plotted_before(tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        plot_shares(shares(), tmp_path / name)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    # Others may use pyplot, whose figures stay until they are closed.
    assert "matplotlib.pyplot" not in imports("plot_shares")


def imports(function: str) -> str:
    code = f"import sys; from pyposefast.metrics import {function}; print(*sys.modules)"
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout


def test_measuring_loads_no_matplotlib() -> None:
    assert "matplotlib" not in imports("keypoint_ap")


def test_without_matplotlib_the_extra_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ImportError, match=r'hint: pip install "pyposefast\[plot\]"'):
        plot_shares(shares(), tmp_path / "one.png")


def test_an_existing_file_stays_until_the_new_one_is_complete(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "one.png"
    path.write_bytes(b"before")

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(StorageError, match=r"one\.png: cannot be written: no space") as caught:
            plot_shares(shares(), path)
    assert caught.value.errno == errno.ENOSPC
    assert path.read_bytes() == b"before"
    assert [file.name for file in tmp_path.iterdir()] == ["one.png"]


def test_a_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StorageError, match="cannot be written: file exists"):
        plot_shares(shares(), tmp_path / "file" / "one.png")


def test_what_cannot_be_plotted_is_said(tmp_path: Path) -> None:
    path = tmp_path / "one.png"
    with pytest.raises(InputError, match="path: expected a name that ends with"):
        plot_shares(shares(), tmp_path / "one.pdf")
    with pytest.raises(InputError, match="measured: expected people to be found"):
        plot_precision(keypoint_ap(truths(0), {}), path)
    with pytest.raises(InputTypeError, match="measured: expected a KeypointAP or a BoxAP"):
        plot_precision(shares(), path)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="curves: expected 1 to 10, got 0"):
        plot_shares({}, path)
    with pytest.raises(InputTypeError, match="curves: expected what `pck` returned"):
        plot_shares(keypoint_ap(truths(), found()), path)  # type: ignore[arg-type]
    empty = np.zeros((0, 17, 2))
    labelled = np.zeros((0, 17), bool)
    nothing = pck(empty, truth=empty, labelled=labelled, scale=[], skeleton=COCO)
    with pytest.raises(InputError, match="curves: expected joints that were judged, got none in m"):
        plot_shares(nothing, path)
    assert not path.exists()
