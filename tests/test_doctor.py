"""The doctor: survives every patient, and says what to do about each."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from pyposefast import doctor

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def found() -> doctor.Report:
    return doctor.report()


def test_this_machine_is_usable(found: doctor.Report) -> None:
    assert found.is_usable
    assert found.extension.status == "ok"
    assert found.extension.instruction_set in found.extension.instruction_sets
    assert found.extension.build["compiler"]
    assert found.versions["numpy"] == metadata.version("numpy")


def test_everything_that_is_missing_has_a_remedy(found: doctor.Report) -> None:
    for part in found.components:
        assert (part.status == "ok") != bool(part.remedy)
    assert found.cuda.devices or found.cuda.remedy


def test_json_is_complete(found: doctor.Report) -> None:
    record = json.loads(json.dumps(doctor.to_dict(found)))
    assert record["is_usable"] is True
    assert set(record) == {
        "is_usable", "versions", "extension", "cuda", "components", "caches", "warnings",
    }  # fmt: skip


def test_text_names_every_part(found: doctor.Report) -> None:
    text = doctor.text(found)
    assert found.extension.instruction_set in text
    assert all(part.name in text for part in found.components)
    assert all(part.remedy in text for part in found.components)
    assert text.endswith("pyposefast is usable")
    assert not any(line != line.rstrip() for line in text.splitlines())


def test_remedies_name_extras_that_exist() -> None:
    declared = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    for wanted in doctor._COMPONENTS:
        assert re.search(rf"^{wanted.extra} = \[", declared, re.MULTILINE), wanted.extra


# ---- patients that bite --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "match"),
    [
        ("import os; os.kill(os.getpid(), 11)", r"crashes the process \(signal 11\)"),
        ("import os; os.abort()", r"crashes the process \(signal 6\)"),
        ("raise ImportError('libmissing.so.1: cannot open')", "libmissing.so.1: cannot open"),
        ("import os; os._exit(0)", "before it could answer"),
        ("import os; os._exit(7)", "exit status 7"),
        ("raise OSError('red \\x1b[31m text')", r"red \?\[31m text"),
    ],
)
def test_a_library_that_fails_is_a_finding(code: str, match: str) -> None:
    answer, problem = doctor._probe(code)
    assert answer == {}
    assert re.search(match, problem)
    assert "\n" not in problem


def test_a_library_that_hangs_is_a_finding() -> None:
    answer, problem = doctor._probe("import time; time.sleep(60)", timeout_s=0.5)
    assert answer == {}
    assert "did not end within" in problem


def test_a_library_that_prints_does_not_spoil_the_answer() -> None:
    code = "import os; print('hello'); os.system('echo hello'); answer.write('{\"a\": 1}')"
    assert doctor._probe(code) == ({"a": 1}, "")


def test_components_missing_broken_and_fine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "fake_fine.py").write_text("__version__ = '1.2'\nprint('noise')\n")
    (tmp_path / "fake_broken.py").write_text("import os\nos.abort()\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    fine, broken, missing = (
        doctor._component(doctor._Wanted(name, "a test", "cpu", "'a' + 'b'"))
        for name in ("fake_fine", "fake_broken", "fake_missing")
    )
    assert (fine.status, fine.version, fine.detail, fine.remedy) == ("ok", "1.2", "ab", "")
    assert broken.status == "broken"
    assert "signal 6" in broken.problem
    assert broken.remedy
    assert (missing.status, missing.remedy) == ("missing", 'pip install "pyposefast[cpu]"')


@pytest.mark.parametrize(
    ("finds", "answer", "status"),
    [
        (None, ({}, ""), "missing"),
        (object(), ({}, "importing it crashes the process (signal 4)"), "broken"),
    ],
)
def test_without_the_extension_the_report_still_comes(
    monkeypatch: pytest.MonkeyPatch, finds: object, answer: tuple[dict[str, Any], str], status: str
) -> None:
    monkeypatch.setattr(doctor, "find_spec", lambda _: finds)
    monkeypatch.setattr(doctor, "_probe", lambda *_: answer)
    found = doctor.report()
    assert not found.is_usable
    assert found.extension.status == status
    assert found.extension.remedy
    text = doctor.text(found)
    assert text.endswith("not usable: the extension does not load")
    assert found.extension.problem in text


# ---- CUDA ----------------------------------------------------------------------------------------

DEVICE = {
    "index": 0,
    "name": "NVIDIA H100",
    "compute_capability": "9.0",
    "memory_bytes": 80 * 2**30,
    "multiprocessors": 132,
}


@pytest.mark.parametrize(
    ("has_cuda", "driver", "runtime", "devices", "says"),
    [
        (False, None, None, [], "nvcc"),
        (True, None, 13000, [], "install the NVIDIA driver"),
        (True, 12040, 13000, [], "update the NVIDIA driver to one for CUDA 13.0"),
        (True, 13010, 13000, [], "CUDA_VISIBLE_DEVICES"),
        (True, 13010, 13000, [DEVICE], ""),
    ],
)
def test_cuda_says_what_to_do(
    found: doctor.Report,
    monkeypatch: pytest.MonkeyPatch,
    *,
    has_cuda: bool,
    driver: int | None,
    runtime: int | None,
    devices: list[dict[str, Any]],
    says: str,
) -> None:
    status = "ok" if devices else "why not"
    answer = {"status": status, "driver_version": driver, "runtime_version": runtime}
    monkeypatch.setattr(doctor, "_probe", lambda *_: ({**answer, "devices": devices}, ""))
    build = {"cuda": has_cuda, "cuda_compiler": "13.0", "cuda_architectures": "75-real;90-real"}
    extension = replace(found.extension, build=build)
    cuda = doctor._cuda(extension)
    assert says in cuda.remedy
    assert bool(cuda.remedy) == (not devices)
    text = doctor.text(replace(found, extension=extension, cuda=cuda))
    assert cuda.remedy in text
    if devices:
        assert "cuda:0             NVIDIA H100, compute capability 9.0, 80.0 GiB" in text
        assert "architectures 75-real 90-real" in text
    else:
        assert "why not" in text


def test_a_driver_that_crashes_is_a_finding(
    found: doctor.Report, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "_probe", lambda *_: ({}, "importing it crashes the process"))
    cuda = doctor._cuda(found.extension)
    assert "failed" in cuda.status
    assert "nvidia-smi" in cuda.remedy


# ---- warnings and caches -------------------------------------------------------------------------


def test_rivals_are_warned_of(monkeypatch: pytest.MonkeyPatch) -> None:
    present = {"onnxruntime", "onnxruntime-gpu", "opencv-python-headless"}
    monkeypatch.setattr(doctor, "_version_of", lambda name: "1.0" if name in present else "")
    (warning,) = doctor._warnings()
    assert "onnxruntime and onnxruntime-gpu" in warning
    present |= {"opencv-python"}
    assert len(doctor._warnings()) == 2


def test_caches_are_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own, shared = tmp_path / "own", tmp_path / "xdg"
    (own / "plans").mkdir(parents=True)
    (own / "plans" / "a.plan").write_bytes(bytes(1000))
    (own / "b.onnx").write_bytes(bytes(500))
    (own / "loop").symlink_to(own)  # would never end if it were followed
    monkeypatch.setenv("PYPOSEFAST_CACHE", str(own))
    monkeypatch.setenv("XDG_CACHE_HOME", str(shared))
    first, second = doctor._caches()
    assert (first.path, first.source, first.is_used) == (str(own), "PYPOSEFAST_CACHE", True)
    assert first.files == 2
    assert first.size_bytes == 1500
    assert (second.path, second.is_used) == (str(shared / "pyposefast"), False)
    assert (second.files, second.size_bytes) == (0, 0)


def test_the_default_cache_is_in_the_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("PYPOSEFAST_CACHE", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    (cache,) = doctor._caches()
    assert cache.path == str(tmp_path / ".cache" / "pyposefast")
