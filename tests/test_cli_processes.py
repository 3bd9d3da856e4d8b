"""The command line as a process of its own: signals, pipes that close, disks that are full."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path
from typing import IO, Any

import pytest

pytest.importorskip("cv2", reason="pictures need OpenCV: the extra `cpu`")
pytest.importorskip("onnxruntime", reason="networks need ONNX Runtime: the extra `cpu`")
tiny = pytest.importorskip("tiny_pipelines", reason="networks are made with onnx")

TIMEOUT_S = 120  # a guard against hanging, no measure
MANY = 3000  # pictures: more than can be done before a signal arrives


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(tiny.top_down(tmp_path_factory.mktemp("network")))


@pytest.fixture(scope="module")
def crowd(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Make a folder with many names of one picture."""
    folder = tmp_path_factory.mktemp("crowd")
    (picture,) = tiny.pictures(folder, 1, size=(240, 320))
    for number in range(2, MANY):
        (folder / f"{number}.jpg").symlink_to(picture)
    return str(folder)


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "pyposefast", *arguments]


def start(*arguments: str) -> subprocess.Popen[str]:
    pipe = subprocess.PIPE
    return subprocess.Popen(command(*arguments), stdout=pipe, stderr=pipe, text=True)


def run(*arguments: str, **more: Any) -> subprocess.CompletedProcess[str]:
    streams: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | more
    return subprocess.run(command(*arguments), text=True, timeout=TIMEOUT_S, check=False, **streams)


def first_line(stream: IO[str] | None) -> str:
    assert stream is not None
    return stream.readline()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_the_run_in_order(
    tmp_path: Path, network: str, crowd: str, number: signal.Signals
) -> None:
    process = start("predict", network, crowd)
    assert "person" in first_line(process.stdout)
    process.send_signal(number)
    _, error = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 130
    assert error == "error: interrupted\n"
    assert list(tmp_path.iterdir()) == []


def test_what_was_interrupted_goes_on_later(tmp_path: Path, network: str, crowd: str) -> None:
    log, coco = tmp_path / "log.jsonl", tmp_path / "people.json"
    options = ["--jsonl", str(log), "--json", str(coco)]
    process = start("predict", network, crowd, *options)
    while process.poll() is None and not (log.exists() and log.stat().st_size > 10_000):
        os.sched_yield()
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 130
    assert "Traceback" not in error
    assert f"{coco} was not written" in error
    lines = log.read_bytes().splitlines(keepends=True)
    assert all(line.endswith(b"\n") and json.loads(line) for line in lines)
    assert 1 < len(lines) < MANY
    assert [path.name for path in tmp_path.iterdir()] == ["log.jsonl"]
    done = run("predict", network, crowd, "--jsonl", str(log), "--limit", str(len(lines) + 5))
    assert done.returncode == 0
    assert f"{len(lines) - 1} done before" in done.stderr
    sources = [json.loads(line)["source"] for line in log.read_bytes().splitlines()[1:]]
    assert len(sources) == len(set(sources)) == len(lines) + 5


def test_a_second_signal_ends_it_at_once(network: str, crowd: str) -> None:
    process = start("predict", network, crowd)
    first_line(process.stdout)
    for _ in range(3):
        process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=TIMEOUT_S)
    # Whichever came first: the orderly end, or the one that a signal makes.
    assert process.returncode in (130, -signal.SIGINT)
    assert "Traceback" not in error


def test_a_reader_that_has_had_enough_is_no_error(network: str, crowd: str) -> None:
    process = start("predict", network, crowd)
    assert process.stdout is not None
    assert process.stderr is not None
    first_line(process.stdout)
    process.stdout.close()
    error = process.stderr.read()
    assert process.wait(TIMEOUT_S) == 0
    assert error == ""
    process.stderr.close()


def test_a_full_disk_behind_the_output_is_the_environments_fault() -> None:
    with Path("/dev/full").open("w") as full:
        done = run("models", stdout=full)
    assert done.returncode == 3
    assert done.stderr.startswith("error: [Errno 28] No space left on device")
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr


def test_a_full_disk_leaves_whole_records(tmp_path: Path, network: str, crowd: str) -> None:
    log = tmp_path / "log.jsonl"

    def little_room() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))

    options = ["--limit", "200", "--jsonl", str(log)]
    done = run("predict", network, crowd, *options, preexec_fn=little_room)
    assert done.returncode == 3
    assert f"{log}: cannot be written" in done.stderr
    assert "Traceback" not in done.stderr
    content = log.read_bytes()
    assert content.endswith(b"\n")
    assert 1 < len([json.loads(line) for line in content.splitlines()]) < 200
    done = run("predict", network, crowd, *options)
    assert done.returncode == 0
    assert len(log.read_bytes().splitlines()) == 201
