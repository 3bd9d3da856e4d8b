"""The demo from end to end: what it finds, what it writes, what it says."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest

from pyposefast import demo
from pyposefast.errors import InputError
from pyposefast.synthetic import render_scene

if TYPE_CHECKING:
    from pathlib import Path

cv2 = pytest.importorskip("cv2", reason="the demo needs OpenCV: the extra `cpu`")


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> demo.Demo:
    output = tmp_path_factory.mktemp("demo") / "overlay.png"
    return demo.run(people=4, seed=2, repeat=1, output=output)


def test_joints_are_found_to_a_fraction_of_a_pixel(done: demo.Demo) -> None:
    scene = render_scene(people=4, seed=2)
    assert done.poses.xy.shape == (4, 17, 2)
    error = np.hypot(*np.moveaxis(done.poses.xy - scene.joints, -1, 0))
    assert done.mean_error_px == pytest.approx(error.mean())
    assert done.largest_error_px == pytest.approx(error.max())
    # A map pixel is at most 8 image pixels here; DARK on a Gaussian of sigma 2 with 1 % of noise
    # errs by a few hundredths of a map pixel.
    assert error.mean() < 0.3
    assert error.max() < 1.5


def test_hidden_joints_score_lower(done: demo.Demo) -> None:
    scene = render_scene(people=12, seed=1)
    assert 0 < scene.visible.mean() < 1
    score = demo.run(people=12, seed=1, repeat=1, output=done.output).poses.score
    assert score[scene.visible].min() > score[~scene.visible].max()


def test_the_overlay_is_the_scene_with_lines(done: demo.Demo) -> None:
    scene = render_scene(people=4, seed=2)
    demo.run(people=4, seed=2, repeat=1, output=done.output)
    overlay = cv2.imread(str(done.output))[..., ::-1]
    assert overlay.shape == scene.image.shape
    different = (overlay != scene.image).any(-1)
    assert 0.005 < different.mean() < 0.2
    x, y = np.rint(scene.joints[scene.visible]).astype(int).T
    assert different[y, x].mean() > 0.95


def test_nothing_but_the_picture_is_left_behind(tmp_path: Path) -> None:
    output = tmp_path / "new folder" / "picture.png"
    demo.run(people=1, repeat=1, output=output)
    assert [path.name for path in output.parent.iterdir()] == ["picture.png"]
    assert output.stat().st_mode & 0o777 == 0o644


def test_a_failed_write_leaves_no_partial_file(tmp_path: Path) -> None:
    output = tmp_path / "taken"
    output.mkdir()
    with pytest.raises(OSError, match="taken"):
        demo.run(people=1, repeat=1, output=output)
    assert [path.name for path in tmp_path.iterdir()] == ["taken"]


def test_nobody_is_an_ordinary_scene(tmp_path: Path) -> None:
    done = demo.run(people=0, repeat=1, output=tmp_path / "nobody.png")
    assert len(done.poses) == 0
    assert done.mean_error_px is None
    assert "nobody in the picture" in demo.text(done)
    assert demo.to_dict(done)["people"] == []


def test_the_text_has_every_stage_in_clean_columns(done: demo.Demo) -> None:
    text = demo.text(done)
    assert str(done.output) in text
    assert done.instruction_set in text
    assert "stand in for a network" in text
    lines = text.splitlines()
    start = next(index for index, line in enumerate(lines) if line.split()[:1] == ["stage"])
    rows = [line for line in lines[start:] if line.startswith("  ")]
    assert len(rows) == 1 + 1 + len(done.stages) + 1 + 1  # header, rule, stages, rule, total
    assert {len(row) for row in rows} == {len(rows[0])}


def test_the_total_leaves_out_what_is_no_pose_estimation(done: demo.Demo) -> None:
    counted = [stage for stage in done.stages if stage.is_counted]
    assert {stage.name for stage in done.stages} - {stage.name for stage in counted} == {
        "(network)",
        "overlay",
    }
    total = demo.to_dict(done)["total_ms"]
    assert total == pytest.approx(sum(stage.median_ms for stage in counted))


def test_json_holds_plain_numbers(done: demo.Demo) -> None:
    record = json.loads(json.dumps(demo.to_dict(done), allow_nan=False))
    assert len(record["people"]) == 4
    assert set(record["people"][0]["joints"]) == set(done.poses.skeleton.joints)
    assert "stand in for a network" in record["network"]


@pytest.mark.parametrize("repeat", [0, -1, 10**6])
def test_repeat_is_checked_before_anything_is_written(tmp_path: Path, repeat: int) -> None:
    with pytest.raises(InputError, match="repeat: expected 1 to"):
        demo.run(repeat=repeat, output=tmp_path / "never.png")
    assert not any(tmp_path.iterdir())
