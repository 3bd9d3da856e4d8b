"""The benchmark on photographs: how people get from a network's maps back into the picture."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("cv2", reason="the benchmark reads photographs with OpenCV")

from photographs import in_image


def test_the_edges_of_the_maps_are_those_of_the_image() -> None:
    people = np.ones((1, 18, 3), np.float32)
    people[0, :2, :2] = [[-0.5, -0.5], [53.5, 45.5]]
    moved = in_image(people, (46, 54), (425, 640))
    np.testing.assert_allclose(moved[0, :2, :2], [[-0.5, -0.5], [639.5, 424.5]])
    np.testing.assert_array_equal(moved[..., 2], 1)


def test_joints_that_were_not_found_are_nowhere() -> None:
    people = np.ones((2, 18, 3), np.float32)
    people[1, 3, 2] = 0
    moved = in_image(people, (46, 54), (368, 432))
    assert np.argwhere(np.isnan(moved)).tolist() == [[1, 3, 0], [1, 3, 1]]


def test_nobody_stays_nobody() -> None:
    assert in_image(np.zeros((0, 18, 3)), (46, 54), (425, 640)).shape == (0, 18, 3)
