"""The command line: what it prints, where, and with which exit code."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any, NoReturn

import pytest

from pyposefast import cli, demo, doctor
from pyposefast.errors import (
    DeviceError,
    DownloadError,
    EngineError,
    InputError,
    InputTypeError,
    MediaError,
    ModelError,
    PyposefastError,
    StorageError,
)

if TYPE_CHECKING:
    from pathlib import Path

COMMANDS = ("demo", "predict", "bench", "evaluate", "export", "models", "doctor")


def run(*arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pyposefast", *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=120, cwd=cwd, check=False
    )


def test_help_teaches_with_examples(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main(["--help"])
    assert caught.value.code == 0
    text = capsys.readouterr().out
    assert "examples:\n  pyposefast demo" in text
    assert all(f"\n    {command} " in text for command in COMMANDS)
    assert "exit status:" in text


@pytest.mark.parametrize("command", COMMANDS)
def test_the_help_of_every_command_teaches(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main([command, "--help"])
    assert caught.value.code == 0
    text = capsys.readouterr().out
    assert "--json" in text
    examples = text.partition("\nexamples:\n")[2].partition("\n\n")[0].splitlines()
    # The doctor has no more to it than these.
    assert len(examples) >= (2 if command == "doctor" else 3)
    assert all(line.startswith((f"  pyposefast {command}", "      --")) for line in examples)
    assert "\nexit status:\n  0 " in text


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_says_what_it_does(command: str) -> None:
    commands: Any = cli._parser([command])._subparsers
    options = commands._group_actions[0].choices[command]._actions
    assert all(option.help for option in options)


def test_help_and_doctor_do_not_need_the_extension() -> None:
    code = """
import sys
sys.modules["pyposefast._C"] = None
from pyposefast import cli
try:
    cli.main(["--help"])
except SystemExit:
    pass
sys.exit(cli.main(["demo"]))
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 3
    assert "usage: pyposefast" in done.stdout
    assert done.stderr.splitlines()[-1] == "hint: `pyposefast doctor` says what is missing"
    assert "Traceback" not in done.stderr


def test_no_command_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([]) == 2
    assert "usage: pyposefast" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["dance"], ["demo", "--people", "many"], ["--fast"]])
def test_what_is_not_understood_is_wrong_usage(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main(arguments)
    assert caught.value.code == 2
    assert "error:" in capsys.readouterr().err


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main(["--version"])
    assert caught.value.code == 0
    assert capsys.readouterr().out.startswith("pyposefast ")


def test_a_wrong_value_is_one_line_and_no_traceback(tmp_path: Path) -> None:
    pytest.importorskip("cv2", reason="the demo needs OpenCV: the extra `cpu`")
    done = run("demo", "--people", "-3", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr == "error: people: expected 0 to 1000, got -3\n"
    assert not any(tmp_path.iterdir())


def test_the_demo_writes_into_the_current_folder(tmp_path: Path) -> None:
    pytest.importorskip("cv2", reason="the demo needs OpenCV: the extra `cpu`")
    done = run("demo", "--people", "2", "--repeat", "1", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["pyposefast_demo.png"]
    assert str(tmp_path / "pyposefast_demo.png") in done.stdout
    assert done.stderr == ""


def test_the_demo_prints_json_and_nothing_else(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("cv2", reason="the demo needs OpenCV: the extra `cpu`")
    output = tmp_path / "a.png"
    arguments = ["demo", "--people", "1", "--repeat", "1", "--output", str(output), "--json"]
    assert cli.main(arguments) == 0
    assert json.loads(capsys.readouterr().out)["output"] == str(output)


def test_doctor_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["doctor", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["is_usable"] is True


def test_doctor_tells_a_broken_extension_by_its_exit_code(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(doctor, "find_spec", lambda _: None)
    assert cli.main(["doctor"]) == 3
    assert "has not been built" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("error", "code", "stderr"),
    [
        (InputError("boxes", "finite", "nan", "drop it"), 2, "boxes: expected finite, got nan"),
        (InputTypeError("maps", "float32", "int8"), 2, "maps: expected float32, got int8"),
        (DeviceError("no CUDA device"), 3, "no CUDA device"),
        (ModelError("a.onnx: damaged"), 2, "a.onnx: damaged"),
        (DownloadError("host: not found"), 3, "host: not found"),
        (EngineError("out of memory"), 3, "out of memory"),
        (StorageError("a.png: no space left"), 3, "a.png: no space left"),
        (MediaError("a.jpg: cut off"), 1, "a.jpg: cut off"),
        (PyposefastError("one of three failed"), 1, "one of three failed"),
        (ImportError("cv2 is missing\nhint: get it"), 3, "cv2 is missing"),
        (OSError(28, "No space left on device"), 3, "No space left on device"),
        (KeyboardInterrupt(), 130, "interrupted"),
    ],
)
def test_errors_become_exit_codes(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: BaseException,
    code: int,
    stderr: str,
) -> None:
    def fail(**_: Any) -> NoReturn:
        raise error

    monkeypatch.setattr(demo, "run", fail)
    assert cli.main(["demo"]) == code
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("error: ")
    assert stderr in captured.err
    assert captured.err.count("hint: ") <= 1
    assert "Traceback" not in captured.err


def test_a_hint_comes_on_its_own_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(**_: Any) -> NoReturn:
        raise InputError("boxes", "finite", "nan", "drop it")

    monkeypatch.setattr(demo, "run", fail)
    cli.main(["demo"])
    assert capsys.readouterr().err == "error: boxes: expected finite, got nan\nhint: drop it\n"


def test_a_reader_that_leaves_early_is_no_error() -> None:
    command = f"{sys.executable} -m pyposefast doctor --json | head -c 1"
    done = subprocess.run(  # noqa: S602  a pipe is what is tested
        command, shell=True, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.stdout == "{"
    assert "Traceback" not in done.stderr
    assert "BrokenPipe" not in done.stderr
