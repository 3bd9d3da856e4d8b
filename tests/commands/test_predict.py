"""`predict`: what it prints, which inputs fail alone, and what it refuses before any work."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

import pytest

from pyposefast import cli

if TYPE_CHECKING:
    from pathlib import Path

pytest.importorskip("cv2", reason="pictures need OpenCV: the extra `cpu`")
pytest.importorskip("onnxruntime", reason="networks need ONNX Runtime: the extra `cpu`")
tiny = pytest.importorskip("tiny_pipelines", reason="networks are made with onnx")

LINE = re.compile(r"(\S+)  (nobody|1 person|\d+ people)(  best \d\.\d{3})?  \d+\.\d ms")


@pytest.fixture
def network(tmp_path: Path) -> str:
    return str(tiny.top_down(tmp_path))


def predict(*arguments: object) -> int:
    return cli.main(["predict", *map(str, arguments)])


def test_without_outputs_there_is_a_line_for_each_picture(
    tmp_path: Path, network: str, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = tiny.pictures(tmp_path / "in", 12)
    assert predict(network, tmp_path / "in") == 0
    captured = capsys.readouterr()
    lines = captured.out.splitlines()
    # 2 comes before 10, and nothing else is printed where no terminal is.
    assert [line.split()[0] for line in lines] == [str(path) for path in paths]
    assert all(LINE.fullmatch(line) for line in lines)
    assert captured.err == ""


def test_one_unreadable_picture_of_a_hundred_costs_only_itself(
    tmp_path: Path, network: str, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = tiny.pictures(tmp_path / "in", 100)
    paths[41].write_bytes(paths[41].read_bytes()[:200])
    assert predict(network, tmp_path / "in") == 1
    captured = capsys.readouterr()
    seen = [line.split()[0] for line in captured.out.splitlines()]
    assert seen == [str(path) for path in paths if path != paths[41]]
    assert captured.err.startswith(f"1 failed:\n  {paths[41]}: ")
    assert captured.err.endswith("completed: 100 inputs, 99 people, 1 failed\n")


def test_files_that_are_not_there_are_on_the_list(
    tmp_path: Path, network: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (good,) = tiny.pictures(tmp_path / "in", 1)
    missing, text = tmp_path / "missing.jpg", tmp_path / "notes.txt"
    text.write_text("no picture")
    assert predict(network, missing, good, text) == 1
    captured = capsys.readouterr()
    assert captured.out.startswith(f"{good}  1 person")
    assert f"{missing}: cannot be read: no such file" in captured.err
    assert f"{text}: " in captured.err
    assert "completed: 3 inputs, 1 people, 2 failed" in captured.err


def test_a_name_cannot_forge_lines(
    tmp_path: Path, network: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (good,) = tiny.pictures(tmp_path / "in", 1)
    odd = good.with_name("a\nall is well\x1b[31m.jpg")
    good.rename(odd)
    bytes_name = os.fsencode(tmp_path / "in") + b"/\xff\xfe.jpg"
    with open(bytes_name, "wb") as file:  # noqa: PTH123  a name that is no text
        file.write(odd.read_bytes())
    assert predict(network, tmp_path / "in") == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert "a\\nall is well\\x1b[31m.jpg" in "".join(lines)
    assert all(line.isascii() for line in lines)


def test_batches_and_workers_change_nothing_but_the_speed(
    tmp_path: Path, network: str, capsys: pytest.CaptureFixture[str]
) -> None:
    tiny.pictures(tmp_path / "in", 9)
    said = []
    for more in ([], ["--batch", "4"], ["--workers", "3"], ["--batch", "2", "--workers", "2"]):
        assert predict(network, tmp_path / "in", *more) == 0
        said.append(re.sub(r"\d+\.\d ms", "", capsys.readouterr().out))
    assert len(set(said)) == 1


def test_people_come_from_the_detector_that_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    network = tiny.top_down(tmp_path, boxes="detector")
    detector = tiny.detector(tmp_path, [(1, 1, 8, 15, 0.9), (8, 1, 15, 15, 0.8)])
    (picture,) = tiny.pictures(tmp_path / "in", 1)
    assert predict(network, picture, "--detector", detector) == 0
    assert "2 people" in capsys.readouterr().out
    assert predict(network, picture, "--detector", detector, "--detect-every", 2) == 0
    capsys.readouterr()
    assert predict(network, picture) == 2
    assert capsys.readouterr().err.startswith("error: --detector: expected a network that finds")


def test_the_limit_ends_a_source(
    tmp_path: Path, network: str, capsys: pytest.CaptureFixture[str]
) -> None:
    tiny.pictures(tmp_path / "in", 5)
    assert predict(network, tmp_path / "in", "--limit", 2) == 0
    assert len(capsys.readouterr().out.splitlines()) == 2


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--threshold", "2"], "--threshold: expected a number from 0 to 1, got 2"),
        (["--batch", "0"], "--batch: expected a whole number"),
        (["--threads", "0"], "--threads: expected a whole number"),
        (["--detect-every", "3", "--workers", "2"], "--workers: expected 1 with --detect-every"),
        (["--latest"], "--latest: expected cameras alone"),
        (["--overwrite"], "--overwrite: expected a --jsonl file"),
        (["--detector", "rtmdet_nan"], "did you mean rtmdet_nano"),
        (["--detector-weights", "x.onnx"], "--detector: expected the detector's name"),
        (["--device", "gpu"], "device: expected"),
        (["--weights", "missing.onnx"], "missing.onnx: no such file"),
    ],
)
def test_wrong_options_are_refused_in_one_line(
    tmp_path: Path,
    network: str,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    says: str,
) -> None:
    (picture,) = tiny.pictures(tmp_path / "in", 1)
    assert predict(network, picture, *arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert says in captured.err
    assert captured.err.startswith("error: ")
    assert len(captured.err.splitlines()) <= 2


def test_a_name_that_nothing_has_lists_those_like_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert predict("rtmpose_sm", "picture.jpg") == 2
    error = capsys.readouterr().err
    assert error.startswith("error: MODEL: expected a name of the zoo, or a file (.toml, .onnx)")
    assert "hint: did you mean rtmpose_s, " in error
    assert predict("nothing_like_it", "picture.jpg") == 2
    assert "pyposefast models" in capsys.readouterr().err


def test_a_detector_finds_no_joints(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (picture,) = tiny.pictures(tmp_path / "in", 1)
    assert predict(tiny.detector(tmp_path), picture) == 2
    assert "hint: a detector serves another network: --detector" in capsys.readouterr().err


def test_addresses_of_other_kinds_are_refused(
    network: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert predict(network, "http://user:secret@host/list.m3u8") == 2
    error = capsys.readouterr().err
    assert "rtsp://" in error
    assert "secret" not in error


def test_a_window_needs_a_screen(
    tmp_path: Path,
    network: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (picture,) = tiny.pictures(tmp_path / "in", 1)
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    assert predict(network, picture, "--show") == 3
    assert "--output FOLDER" in capsys.readouterr().err


def test_a_headless_opencv_says_which_one_has_windows(
    tmp_path: Path,
    network: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import cv2

    def fail(*_: object) -> None:
        message = "The function is not implemented"
        raise cv2.error(message)

    (picture,) = tiny.pictures(tmp_path / "in", 1)
    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setattr(cv2, "namedWindow", fail)
    assert predict(network, picture, "--show") == 3
    assert "pip install opencv-python" in capsys.readouterr().err


def test_a_window_shows_every_picture_until_q(
    tmp_path: Path, network: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import cv2

    shown: list[tuple[int, ...]] = []
    keys = iter([ord("x"), ord("q")])
    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setattr(cv2, "namedWindow", lambda *_: None)
    monkeypatch.setattr(cv2, "destroyAllWindows", lambda: None)
    monkeypatch.setattr(cv2, "imshow", lambda _, image: shown.append(image.shape))
    monkeypatch.setattr(cv2, "waitKey", lambda _: next(keys))
    tiny.pictures(tmp_path / "in", 5)
    assert predict(network, tmp_path / "in", "--show") == 0
    assert shown == [(32, 24, 3)] * 2
