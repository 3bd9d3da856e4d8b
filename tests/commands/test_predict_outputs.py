"""What `predict` writes: overlays, videos, COCO results and logs; also when it stops early."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from pyposefast import cli
from pyposefast.commands import outputs
from pyposefast.commands.sources import unique_names
from pyposefast.errors import StorageError
from pyposefast.media import VideoWriter, open_source, read_image
from pyposefast.media import sources as media_sources
from pyposefast.media.records import JsonLines

if TYPE_CHECKING:
    from pathlib import Path

pytest.importorskip("cv2", reason="pictures need OpenCV: the extra `cpu`")
pytest.importorskip("onnxruntime", reason="networks need ONNX Runtime: the extra `cpu`")
tiny = pytest.importorskip("tiny_pipelines", reason="networks are made with onnx")


@pytest.fixture
def network(tmp_path: Path) -> str:
    return str(tiny.top_down(tmp_path))


@pytest.fixture
def video(tmp_path: Path) -> Path:
    path = tmp_path / "walk.mp4"
    random = np.random.default_rng(5)
    with VideoWriter(path, fps=25.0, size=(32, 48)) as writer:
        for _ in range(7):
            writer.write(random.integers(0, 255, (32, 48, 3), np.uint8))
    return path


def predict(*arguments: object) -> int:
    return cli.main(["predict", *map(str, arguments)])


def records(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_overlays_have_the_pictures_names_and_sizes(
    tmp_path: Path, network: str, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = tiny.pictures(tmp_path / "in", 3)
    out = tmp_path / "out" / "here"
    assert predict(network, tmp_path / "in", "--output", out, "--threshold", 0) == 0
    assert sorted(each.name for each in out.iterdir()) == ["1.jpg", "2.jpg", "3.jpg"]
    for path in paths:
        assert read_image(out / path.name).shape == read_image(path).shape
        assert (read_image(out / path.name) != read_image(path)).any()
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == f"3 overlays in {out}\ncompleted: 3 inputs, 3 people\n"


def test_pictures_of_one_name_from_two_folders_stay_apart(tmp_path: Path, network: str) -> None:
    (first,), (second,) = tiny.pictures(tmp_path / "a", 1), tiny.pictures(tmp_path / "b", 1)
    out = tmp_path / "out"
    assert predict(network, first, second, first, "--output", out) == 0
    found = sorted(str(path.relative_to(out)) for path in out.rglob("*.jpg"))
    assert found == ["a/1.jpg", "b/1.jpg"]  # what is named twice is done once


def test_names_are_unique_and_as_short_as_may_be(tmp_path: Path) -> None:
    paths = [tmp_path / name for name in ("x/1.jpg", "y/1.jpg", "y/2.jpg", "z/y/2.jpg")]
    names = [str(name) for name in unique_names(paths)]
    assert names[0] == "x/1.jpg"
    assert names[1] == "y/1.jpg"
    assert names[2].endswith("y/2.jpg")
    assert names[3] == "z/y/2.jpg"
    assert len(set(names)) == 4
    around = unique_names([tmp_path / "a" / ".." / "b" / "1.jpg", tmp_path / "c" / "1.jpg"])
    assert [str(name) for name in around] == ["b/1.jpg", "c/1.jpg"]  # nothing leads out


def test_overlays_never_replace_their_pictures(
    tmp_path: Path, network: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (path,) = tiny.pictures(tmp_path / "in", 1)
    before = path.read_bytes()
    assert predict(network, path, "--output", tmp_path / "in") == 2
    assert "would be written over" in capsys.readouterr().err
    assert path.read_bytes() == before


def test_coco_results_have_the_numbers_in_the_names(tmp_path: Path, network: str) -> None:
    paths = tiny.pictures(tmp_path / "in", 3)
    out = tmp_path / "people.json"
    assert predict(network, *reversed(paths), "--json", out) == 0
    found = json.loads(out.read_text(encoding="utf-8"))
    assert [each["image_id"] for each in found] == [3, 2, 1]
    assert {len(each["keypoints"]) for each in found} == {51}
    assert found[0]["file_name"] == str(paths[2])
    paths[0].rename(paths[0].with_name("one.jpg"))
    assert predict(network, tmp_path / "in", "--json", out) == 0
    assert [each["image_id"] for each in json.loads(out.read_text())] == [1, 2, 3]


def test_a_video_becomes_a_video_and_a_record_for_each_frame(
    tmp_path: Path, network: str, video: Path
) -> None:
    out, log = tmp_path / "out", tmp_path / "log.jsonl"
    assert predict(network, video, "--output", out, "--jsonl", log) == 0
    with open_source(out / "walk.mp4") as frames:
        assert frames.fps == pytest.approx(25.0)
        assert [frame.image.shape for frame in frames if frame.image is not None] == [
            (32, 48, 3)
        ] * 7
    found = records(log)[1:]
    assert [each["frame"] for each in found] == list(range(7))
    assert [each["status"] for each in found] == ["ok"] * 7
    assert found[1]["time_s"] == pytest.approx(0.04, abs=1e-3)
    assert set(found[0]["people"][0]["joints"]) >= {"nose", "left_ankle"}


class Camera:
    """Gives nine frames and is then unplugged for good."""

    fps = 10.0

    def __init__(self, *_: object) -> None:
        self._frames = iter(np.random.default_rng(1).integers(0, 255, (9, 32, 48, 3), np.uint8))

    def read(self) -> Any:
        return next(self._frames, None)

    def close(self) -> None:
        """Nothing to close."""


def test_a_camera_is_gone_through_up_to_the_limit(
    tmp_path: Path,
    network: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(media_sources, "OpenCVCapture", Camera)
    out, log = tmp_path / "out", tmp_path / "log.jsonl"
    assert predict(network, "0", "--limit", 6, "--output", out, "--jsonl", log) == 0
    assert "completed: 6 inputs, 6 people" in capsys.readouterr().err
    with open_source(out / "camera_0.mp4") as frames:
        assert sum(frame.image is not None for frame in frames) == 6
    assert {each["source"] for each in records(log)[1:]} == {"camera 0"}
    # A camera never shows the same twice: the log grows.
    assert predict(network, "0", "--limit", 2, "--jsonl", log) == 0
    assert len(records(log)) == 9


def test_the_newest_frame_of_a_camera_and_how_many_were_dropped(
    tmp_path: Path, network: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(media_sources, "OpenCVCapture", Camera)
    log = tmp_path / "log.jsonl"
    assert predict(network, "0", "--latest", "--limit", 1, "--jsonl", log) == 0
    (found,) = records(log)[1:]
    assert found["frame"] + 1 == 1 + found.get("dropped", 0)


# ---- logs that go on -----------------------------------------------------------------------------


@pytest.mark.parametrize("cut", [0, 1, 40, 3000, 6000])
def test_a_log_that_was_cut_anywhere_goes_on_to_the_same_bytes(
    tmp_path: Path, network: str, capsys: pytest.CaptureFixture[str], cut: int
) -> None:
    paths = tiny.pictures(tmp_path / "in", 8)
    paths[2].write_bytes(b"no picture")
    log = tmp_path / "log.jsonl"
    assert predict(network, tmp_path / "in", "--jsonl", log) == 1
    whole = log.read_bytes()
    assert len(whole) > 6000
    log.write_bytes(whole[:cut])
    capsys.readouterr()
    assert predict(network, tmp_path / "in", "--jsonl", log) == 1  # the bad one is not forgotten
    assert log.read_bytes() == whole
    assert str(paths[2]) in capsys.readouterr().err


def test_a_finished_log_does_nothing_again(
    tmp_path: Path, network: str, video: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tiny.pictures(tmp_path / "in", 3)
    log = tmp_path / "log.jsonl"
    for before in ("", ", 10 done before"):
        assert predict(network, tmp_path / "in", video, "--jsonl", log) == 0
        assert (
            f"completed: 10 inputs, {0 if before else 10} people{before}" in capsys.readouterr().err
        )
    assert len(records(log)) == 11


def test_a_video_goes_on_behind_its_last_frame(tmp_path: Path, network: str, video: Path) -> None:
    log = tmp_path / "log.jsonl"
    assert predict(network, video, "--jsonl", log, "--limit", 3) == 0
    assert predict(network, video, "--jsonl", log) == 0
    assert [each["frame"] for each in records(log)[1:]] == list(range(7))


def test_a_log_of_another_network_or_setting_is_refused(
    tmp_path: Path, network: str, capsys: pytest.CaptureFixture[str]
) -> None:
    tiny.pictures(tmp_path / "in", 2)
    log = tmp_path / "log.jsonl"
    assert predict(network, tmp_path / "in", "--jsonl", log) == 0
    before = log.read_bytes()
    assert predict(network, tmp_path / "in", "--jsonl", log, "--flip-test") == 2
    error = capsys.readouterr().err
    assert "another settings_sha256" in error
    assert "--overwrite" in error
    assert log.read_bytes() == before
    more = ["--flip-test", "--overwrite"]
    assert predict(network, tmp_path / "in", "--jsonl", log, *more) == 0
    assert len(records(log)) == 3


def test_a_picture_that_changed_since_is_refused(
    tmp_path: Path, network: str, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = tiny.pictures(tmp_path / "in", 2)
    log = tmp_path / "log.jsonl"
    assert predict(network, tmp_path / "in", "--jsonl", log) == 0
    paths[0].write_bytes(paths[1].read_bytes())
    assert predict(network, tmp_path / "in", "--jsonl", log) == 2
    assert f"{paths[0]} as it was" in capsys.readouterr().err


def test_a_file_that_is_no_log_is_left_alone(tmp_path: Path, network: str) -> None:
    tiny.pictures(tmp_path / "in", 1)
    letter = tmp_path / "letter.txt"
    letter.write_text("dear all\n")
    assert predict(network, tmp_path / "in", "--jsonl", letter) == 3
    assert letter.read_text() == "dear all\n"


def test_two_runs_do_not_share_a_log(
    tmp_path: Path, network: str, capsys: pytest.CaptureFixture[str]
) -> None:
    tiny.pictures(tmp_path / "in", 1)
    log = tmp_path / "log.jsonl"
    with JsonLines(log):
        assert predict(network, tmp_path / "in", "--jsonl", log) == 3
    assert "another run is writing to it" in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--output", "--json"])
def test_a_place_that_cannot_be_written_is_refused_before_any_work(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], option: str
) -> None:
    (picture,) = tiny.pictures(tmp_path / "in", 1)
    taken = tmp_path / "taken"
    taken.write_text("a file")
    # Before the network, too, which is not there.
    network = tiny.top_down(tmp_path)
    (tmp_path / "tiny.onnx").unlink()
    assert predict(network, picture, option, taken / "results") == 3
    assert f"{taken} is no folder" in capsys.readouterr().err
    assert taken.read_text() == "a file"


# ---- what is there when it stops -----------------------------------------------------------------


def test_a_full_disk_leaves_no_video_and_no_results(
    tmp_path: Path,
    network: str,
    video: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Full(VideoWriter):
        def write(self, image: Any) -> None:
            if self._count == 3:
                message = "walk.mp4: cannot be written: no space left on device"
                raise StorageError(message)
            super().write(image)

    monkeypatch.setattr(outputs, "VideoWriter", Full)
    out, coco = tmp_path / "out", tmp_path / "people.json"
    assert predict(network, video, "--output", out, "--json", coco) == 3
    assert list(out.iterdir()) == []
    assert not coco.exists()
    error = capsys.readouterr().err
    assert "no space left on device" in error
    assert f"{coco} was not written" in error
    assert "completed" not in error
