"""Person boxes from the outputs of detectors, in every form that they come in."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from fake_engine import FakeEngine

from pyposefast.boxes import suppress
from pyposefast.detectors import Detector
from pyposefast.errors import InputError, ModelError
from pyposefast.manifest import Input
from pyposefast.network import Network
from pyposefast.poses import Boxes

PICTURE = np.zeros((100, 200, 3), np.uint8)  # 200 wide


def detector(
    outputs: dict[str, Any], *, size: tuple[int, int], fit: Any = "stretch", **settings: Any
) -> Detector:
    engine = FakeEngine(
        lambda batch: {
            name: np.repeat(np.asarray(rows)[None], len(batch), 0) for name, rows in outputs.items()
        },
        shape=(None, 3, *size),
        outputs=tuple(outputs),
    )
    names = {name: name for name in outputs}
    return Detector(Network(engine, Input(size=size, fit=fit)), outputs=names, **settings)


def only(found: Boxes | list[Boxes]) -> Boxes:
    assert isinstance(found, Boxes)
    return found


def test_boxes_go_back_to_the_picture_surest_first() -> None:
    rows = np.array([[10, 10, 20, 30, 0.6], [0, 0, 50, 50, 0.9], [0, 0, 9, 9, 0.2]], np.float32)
    labels = np.array([0, 0, 0])
    found = only(
        detector({"boxes": rows, "labels": labels}, size=(50, 50), form="end2end")(PICTURE)
    )
    # 50 x 50 pixels of the input are 200 x 100 of the picture.
    np.testing.assert_allclose(found.box, [[0, 0, 200, 100], [40, 20, 80, 60]], atol=1e-4)
    np.testing.assert_allclose(found.score, [0.9, 0.6], rtol=1e-6)


def test_a_letterbox_is_undone_and_boxes_end_with_the_picture() -> None:
    # 200 x 100 in 50 x 50, top left: four picture pixels in one, the lower half is empty.
    rows = np.array([[-5, 10, 20, 60, 0.9]], np.float32)
    find = detector({"boxes": rows}, size=(50, 50), fit="letterbox_top_left", form="end2end")
    np.testing.assert_allclose(only(find(PICTURE)).box, [[0, 40, 80, 100]], atol=1e-4)


def test_other_classes_are_left_out() -> None:
    rows = np.array([[0, 0, 9, 9, 0.9], [0, 0, 5, 5, 0.8]], np.float32)
    find = detector(
        {"boxes": rows, "labels": np.array([2, 0])}, size=(50, 50), form="end2end", label=0
    )
    np.testing.assert_allclose(only(find(PICTURE)).score, [0.8])


def test_yolox_counts_in_cells_of_three_grids() -> None:
    rows = np.zeros((64 + 16 + 4, 5 + 2), np.float32)  # 64 x 64: 8 x 8, 4 x 4 and 2 x 2 cells
    rows[64 + 4 + 2] = [0.5, 0.25, np.log(2), 0.0, 0.8, 0.5, 1.0]  # cell (2, 1) of stride 16
    find = detector({"boxes": rows}, size=(64, 64), form="yolox", label=0, threshold=0.3)
    found = only(find(np.zeros((64, 64, 3), np.uint8)))
    np.testing.assert_allclose(found.box, [[40 - 16, 20 - 8, 40 + 16, 20 + 8]], atol=1e-4)
    np.testing.assert_allclose(found.score, [0.4], rtol=1e-6)


def test_yolov8_has_rows_for_columns() -> None:
    columns = np.zeros((4 + 2, 3), np.float32)
    columns[:, 1] = [30, 20, 10, 8, 0.1, 0.7]
    find = detector({"boxes": columns}, size=(64, 64), form="yolov8", label=1)
    found = only(find(np.zeros((64, 64, 3), np.uint8)))
    np.testing.assert_allclose(found.box, [[25, 16, 35, 24]], atol=1e-4)


def test_fastestdet_has_one_grid() -> None:
    grid = np.full((5 + 80, 2, 2), -50.0, np.float32)
    grid[0], grid[5:] = 0.0, 0.0
    grid[:6, 1, 0] = [1.0, np.arctanh(0.5), np.arctanh(0.25), 0.0, 0.0, 1.0]
    find = detector({"boxes": grid}, size=(64, 64), form="fastestdet")
    found = only(find(np.zeros((64, 64, 3), np.uint8)))
    # Cell (0, 1) and 0.5, 0.25 of 32 px; sides of sigmoid(0) = 1/2 of 64 px.
    np.testing.assert_allclose(found.box, [[0, 24, 32, 56]], atol=1e-4)
    np.testing.assert_allclose(found.score, [1.0], rtol=1e-6)


def test_blazepose_tells_how_a_person_lies() -> None:
    # 64 x 64: 8 x 8 cells of two anchors, 4 x 4 of two, 2 x 2 of six.
    rows = np.zeros((128 + 32 + 24, 12), np.float32)
    logits = np.full((len(rows), 1), -9.0, np.float32)
    anchor = 128 + 2 * (1 * 4 + 2)  # stride 16, cell (2, 1): centre 40, 24
    rows[anchor] = [0, 0, 8, 8, -8, 4, -8, -16, 0, 0, 0, 0]
    logits[anchor] = 3.0
    find = detector({"boxes": rows, "scores": logits}, size=(64, 64), form="blazepose")
    found = only(find(np.zeros((64, 64, 3), np.uint8)))
    assert found.axis is not None
    np.testing.assert_allclose(found.axis, [[[31.5, 27.5], [31.5, 7.5]]], atol=1e-4)
    np.testing.assert_allclose(found.box, [[12, 8, 52, 48]], atol=1e-4)  # the circle around it
    np.testing.assert_allclose(found.score, [1 / (1 + np.exp(-3.0))], rtol=1e-6)


def test_of_two_boxes_of_one_person_the_surer_one_stays() -> None:
    rows = np.zeros((84, 6), np.float32)
    for place, (x, score) in enumerate([(0.0, 0.9), (0.1, 0.8), (4.0, 0.7)]):
        rows[place] = [x - place, 0.0, np.log(2), np.log(2), score, 1.0]
    find = detector({"boxes": rows}, size=(64, 64), form="yolox", overlap=0.5)
    np.testing.assert_allclose(only(find(np.zeros((64, 64, 3), np.uint8))).score, [0.9, 0.7])


def test_suppression_follows_the_definition() -> None:
    rng = np.random.default_rng(1)
    corner = rng.uniform(0, 50, (60, 2))
    boxes = np.concatenate([corner, corner + rng.uniform(1, 30, (60, 2))], axis=-1)
    kept: list[int] = []
    for index, (x1, y1, x2, y2) in enumerate(boxes):
        for other in kept:
            a1, b1, a2, b2 = boxes[other]
            common = max(0.0, min(x2, a2) - max(x1, a1)) * max(0.0, min(y2, b2) - max(y1, b1))
            if common / ((x2 - x1) * (y2 - y1) + (a2 - a1) * (b2 - b1) - common) > 0.3:
                break
        else:
            kept.append(index)
    assert 5 < len(kept) < 55
    assert suppress(boxes, 0.3).tolist() == kept
    assert suppress(np.zeros((3, 4)), 0.3).tolist() == [0, 1, 2]  # boxes without an area
    assert suppress(np.zeros((0, 4)), 0.3).tolist() == []


def test_a_batch_gives_a_list_and_boxes_without_a_place_are_left_out() -> None:
    rows = np.array([[0, 0, 9, 9, 0.9], [np.nan, 0, 9, 9, 0.9], [9, 9, 9, 9, 0.9]], np.float32)
    find = detector({"boxes": rows}, size=(50, 50), form="end2end")
    found = find([PICTURE, PICTURE[:50]])
    assert isinstance(found, list)
    assert [len(boxes) for boxes in found] == [1, 1]
    assert find([]) == []
    nobody = detector({"boxes": np.zeros((0, 5), np.float32)}, size=(50, 50), form="end2end")
    assert only(nobody(PICTURE)).box.shape == (0, 4)


@pytest.mark.parametrize("form", ["end2end", "yolox", "yolov8", "fastestdet", "blazepose"])
def test_outputs_of_another_form_say_which_shapes_came(form: Any) -> None:
    find = detector({"boxes": np.zeros((3, 3), np.float32)}, size=(64, 64), form=form)
    with pytest.raises(ModelError, match=r"not of the form .*boxes \[1, 3, 3\]"):
        find(PICTURE)


def test_settings_are_checked_by_name() -> None:
    with pytest.raises(InputError, match="form: expected one of"):
        detector({"boxes": np.zeros((1, 5))}, size=(64, 64), form="yolo9000")
    with pytest.raises(InputError, match="overlap"):
        detector({"boxes": np.zeros((1, 5))}, size=(64, 64), form="yolox", overlap=2)
