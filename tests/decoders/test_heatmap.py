"""One person a region, read off heatmaps or vectors: on every device."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from pyposefast import ops
from pyposefast.decoders import Heatmap, SimCC
from pyposefast.errors import InputError
from pyposefast.synthetic import heatmaps

if TYPE_CHECKING:
    from conftest import Device

JOINTS = np.random.default_rng(3).uniform(8, 40, (4, 17, 2)).astype(np.float32)
MAPS = heatmaps(JOINTS, size=(64, 48), sigma=2.0)


def test_joints_are_where_the_maps_were_drawn(device: Device) -> None:
    points = Heatmap(refine="dark")(device.put(MAPS))
    assert points.grid == (64, 48)
    np.testing.assert_allclose(device.get_array(points.xy), JOINTS, atol=0.02)
    assert device.get_array(points.found).all()


def test_it_is_the_op_with_the_settings_kept(device: Device) -> None:
    maps = np.moveaxis(MAPS, 1, -1)
    points = Heatmap(refine="quarter", layout="nhwc", threshold=0.5)(device.put(maps))
    peaks = ops.best_peaks(MAPS, refine="quarter", threshold=0.5)
    np.testing.assert_array_equal(device.get_array(points.xy), peaks.xy)
    np.testing.assert_array_equal(device.get_array(points.score), peaks.score)
    assert points.grid == (64, 48)


@pytest.mark.parametrize("shift", [False, True])
def test_a_flip_test_averages_before_it_looks(shift: bool) -> None:  # noqa: FBT001
    flipped = MAPS[..., ::-1] * np.float32(0.5)
    points = Heatmap(refine="dark", flip_shift=shift)(MAPS, flipped=flipped, pairs=[(1, 2)])
    mean = ops.average_flip(MAPS, np.ascontiguousarray(flipped), pairs=[(1, 2)], shift=shift)
    np.testing.assert_array_equal(points.xy, ops.best_peaks(mean, refine="dark").xy)


def test_vectors_are_read_in_pixels_of_the_input(device: Device) -> None:
    bins = np.arange(384) / 2
    x = np.exp(-0.5 * ((bins - JOINTS[..., :1]) / 3) ** 2).astype(np.float32)
    y = np.exp(-0.5 * ((np.arange(512) / 2 - JOINTS[..., 1:]) / 3) ** 2).astype(np.float32)
    points = SimCC()(device.put(x), device.put(y))
    assert points.grid == (256, 192)
    np.testing.assert_allclose(device.get_array(points.xy), JOINTS, atol=0.02)


@pytest.mark.parametrize(
    ("settings", "argument"), [({"refine": "best"}, "refine"), ({"layout": "hw"}, "layout")]
)
def test_a_wrong_word_names_its_setting(settings: dict[str, Any], argument: str) -> None:
    with pytest.raises(InputError, match=f"^{argument}: "):
        Heatmap(**settings)(MAPS)
