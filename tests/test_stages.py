"""Stages: named stretches of a call, which cost nothing while nobody listens."""

from __future__ import annotations

import contextlib
import sys
import threading
from types import ModuleType
from typing import TYPE_CHECKING

import pytest

from pyposefast.stages import Recorder, stage

if TYPE_CHECKING:
    from collections.abc import Iterator


def work() -> None:
    with stage("detect"), stage("network"):
        pass
    with stage("network"):
        pass


def test_stages_within_others_have_both_names() -> None:
    recorder = Recorder()
    with recorder.listening():
        work()
        work()
    assert set(recorder.seconds) == {"detect", "detect/network", "network"}
    assert recorder.seconds["detect"] >= recorder.seconds["detect/network"] > 0
    assert set(recorder.take()) == {"detect", "detect/network", "network"}
    assert recorder.take() == {}


def test_nobody_listens_before_and_after_and_in_other_threads() -> None:
    recorder = Recorder()
    work()
    with recorder.listening():
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
    work()
    assert recorder.seconds == {}


def test_an_error_ends_a_stage_and_goes_on() -> None:
    recorder = Recorder()
    with recorder.listening():
        with pytest.raises(KeyError), stage("network"):
            raise KeyError
        with stage("decode"):
            pass
    assert set(recorder.seconds) == {"network", "decode"}


def test_on_a_device_every_stage_waits_for_its_work() -> None:
    waits: list[int] = []
    recorder = Recorder(wait=lambda: waits.append(1))
    with recorder.listening():
        work()
    assert len(waits) == 3


def test_profilers_see_the_names(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []

    @contextlib.contextmanager
    def annotate(name: str) -> Iterator[None]:
        seen.append(name)
        yield

    library = ModuleType("nvtx")
    library.annotate = annotate  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "nvtx", library)
    recorder = Recorder(nvtx=True)
    with recorder.listening():
        work()
    assert seen == ["detect", "detect/network", "network"]
    monkeypatch.setitem(sys.modules, "nvtx", None)
    with pytest.raises(ImportError, match="pip install nvtx"):
        Recorder(nvtx=True)
