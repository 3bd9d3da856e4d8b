"""Plans on disk: one builder, no wrong file, no failure that a plan's absence would not cause."""

from __future__ import annotations

import dataclasses
import json
import logging
import multiprocessing
import os
import signal
import stat
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pyposefast.caches import cache_folder
from pyposefast.engines.plan_cache import FORMAT, PlanCache, PlanKey
from pyposefast.errors import EngineCacheError

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.synchronize import Barrier

KEY = PlanKey(
    onnx="ab" * 32,
    tensor_rt="11.4.0",
    gpu="Fake 9000",
    compute_capability="9.0",
    driver="580.65 CUDA 13000",
    precision="fp32",
    profiles="latency",
    flags="{}",
    platform="Linux x86_64",
)
PLAN = bytes(range(256)) * 40
ROUNDS, PROCESSES = 50, 8  # rounds of each of the two tests with so many processes


def never() -> bytes:
    pytest.fail("it was built although there was a plan")


class Builder:
    """Builds the same plan every time, and counts."""

    def __init__(self, plan: bytes = PLAN) -> None:
        self.plan = plan
        self.builds = 0

    def __call__(self) -> bytes:
        self.builds += 1
        return self.plan


@pytest.fixture
def cache(tmp_path: Path) -> PlanCache:
    return PlanCache(tmp_path / "plans")


def path_of(cache: PlanCache, key: PlanKey = KEY) -> Path:
    return cache.folder / f"{key.stem}.plan"


def warnings_of(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [each.getMessage() for each in caplog.records if each.levelno == logging.WARNING]


# ---- one process ---------------------------------------------------------------------------------


def test_a_plan_is_built_once_and_then_read(cache: PlanCache) -> None:
    build = Builder()
    for _ in range(3):
        assert cache.get_or_build(KEY, build) == PLAN
    assert PlanCache(cache.folder).get_or_build(KEY, never) == PLAN
    assert build.builds == 1


@pytest.mark.parametrize("name", [field.name for field in dataclasses.fields(PlanKey)])
def test_every_part_of_the_key_counts(cache: PlanCache, name: str) -> None:
    cache.get_or_build(KEY, Builder())
    other = dataclasses.replace(KEY, **{name: "other"})
    assert cache.get_or_build(other, Builder(b"other plan")) == b"other plan"
    assert cache.get_or_build(KEY, never) == PLAN


def test_an_empty_plan_is_a_plan(cache: PlanCache) -> None:
    assert cache.get_or_build(KEY, Builder(b"")) == b""
    assert cache.get_or_build(KEY, never) == b""


def test_nobody_else_may_look_into_the_folder(cache: PlanCache) -> None:
    cache.get_or_build(KEY, Builder())
    assert stat.S_IMODE(cache.folder.stat().st_mode) == 0o700
    for path in cache.folder.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
    cache.folder.chmod(0o755)
    cache.get_or_build(KEY, never)
    assert stat.S_IMODE(cache.folder.stat().st_mode) == 0o700


def test_what_the_builder_raises_goes_through_and_leaves_nothing(cache: PlanCache) -> None:
    def fail() -> bytes:
        message = "no"
        raise ZeroDivisionError(message)

    with pytest.raises(ZeroDivisionError):
        cache.get_or_build(KEY, fail)
    assert not path_of(cache).exists()
    assert cache.get_or_build(KEY, Builder()) == PLAN


def test_read_write_and_reject(cache: PlanCache, caplog: pytest.LogCaptureFixture) -> None:
    assert cache.read(KEY) is None
    cache.write(KEY, PLAN)
    assert cache.read(KEY) == PLAN
    cache.write(KEY, b"newer")
    assert cache.read(KEY) == b"newer"
    assert warnings_of(caplog) == []
    cache.reject(KEY, "is not wanted")
    cache.reject(KEY, "is not there any more")
    assert cache.read(KEY) is None
    assert ["is not wanted" in warning for warning in warnings_of(caplog)] == [True]


def test_the_folder_comes_from_the_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PYPOSEFAST_CACHE", str(tmp_path / "own"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "desktop"))
    assert cache_folder() == tmp_path / "own"
    assert PlanCache().folder == tmp_path / "own" / "plans"
    monkeypatch.setenv("PYPOSEFAST_CACHE", "")
    assert cache_folder() == tmp_path / "desktop" / "pyposefast"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_folder() == tmp_path / ".cache" / "pyposefast"
    monkeypatch.setenv("PYPOSEFAST_CACHE", "here")
    assert cache_folder() == Path.cwd() / "here"


# ---- what must not be trusted --------------------------------------------------------------------


def damaged(cache: PlanCache, change: Callable[[bytes], bytes]) -> None:
    path = path_of(cache)
    path.write_bytes(change(path.read_bytes()))


def assert_made_again(
    cache: PlanCache, caplog: pytest.LogCaptureFixture, reason: str, bad: bytes | None
) -> None:
    """It is built once more, with one warning, and what was there is moved aside."""
    caplog.clear()
    build = Builder()
    assert cache.get_or_build(KEY, build) == PLAN
    assert cache.get_or_build(KEY, never) == PLAN
    assert build.builds == 1
    (warning,) = warnings_of(caplog)
    assert reason in warning
    aside = path_of(cache).with_name(path_of(cache).name + ".bad")
    if bad is not None:
        assert aside.read_bytes() == bad


def test_a_plan_that_was_cut_anywhere_is_made_again(
    cache: PlanCache, caplog: pytest.LogCaptureFixture
) -> None:
    cache.get_or_build(KEY, Builder())
    whole = path_of(cache).read_bytes()
    header = whole.index(b"\n")
    places = {0, 1, header - 1, header, header + 1, len(whole) - 1}
    places |= set(range(0, len(whole), len(whole) // 194))
    assert len(places) >= 200
    for place in sorted(places):
        path_of(cache).write_bytes(whole[:place])
        assert_made_again(cache, caplog, "plan cache: ", whole[:place])


def test_a_flipped_bit_anywhere_is_seen(cache: PlanCache, caplog: pytest.LogCaptureFixture) -> None:
    cache.get_or_build(KEY, Builder())
    whole = path_of(cache).read_bytes()
    for place in range(0, len(whole), len(whole) // 150):
        flipped = bytearray(whole)
        flipped[place] ^= 1 << place % 8
        path_of(cache).write_bytes(flipped)
        assert_made_again(cache, caplog, "plan cache: ", bytes(flipped))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda whole: whole + b"x", "bytes instead of"),
        (lambda _: b"", "damaged manifest"),
        (lambda _: b"[" * 100_000, "damaged manifest"),
        (lambda _: b"[]\n" + PLAN, "damaged manifest"),
        (lambda _: b'{"format": true}\n' + PLAN, "damaged manifest"),
        (lambda _: b'{"format": 1}\n' + PLAN, "did not write"),
        (lambda _: b'{"format": 1, "mac": 7}\n' + PLAN, "did not write"),
        (lambda _: b'{"format": 1, "mac": "\\u00e9"}\n' + PLAN, "did not write"),
        (lambda _: b'{"format": 1, "mac": "\\ud800"}\n' + PLAN, "did not write"),
        (lambda whole: whole.replace(b"Fake 9000", b"Fake 9001"), "did not write"),
    ],
)
def test_damaged_manifests(
    cache: PlanCache,
    caplog: pytest.LogCaptureFixture,
    change: Callable[[bytes], bytes],
    reason: str,
) -> None:
    cache.get_or_build(KEY, Builder())
    damaged(cache, change)
    assert_made_again(cache, caplog, reason, path_of(cache).read_bytes())


def test_a_plan_of_another_key_under_our_name_is_foreign(
    cache: PlanCache, caplog: pytest.LogCaptureFixture
) -> None:
    other = dataclasses.replace(KEY, gpu="Fake 9001")
    cache.get_or_build(KEY, Builder())
    cache.get_or_build(other, Builder(b"foreign"))
    path_of(cache).write_bytes(path_of(cache, other).read_bytes())
    assert_made_again(cache, caplog, "is the plan of something else", None)
    assert cache.get_or_build(other, never) == b"foreign"


def test_a_plan_that_another_user_signed_is_foreign(
    cache: PlanCache, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    theirs = PlanCache(tmp_path / "theirs")
    theirs.get_or_build(KEY, Builder(b"runs their code"))
    cache.get_or_build(KEY, Builder())
    path_of(cache).write_bytes(path_of(theirs).read_bytes())
    assert_made_again(cache, caplog, "a manifest that this cache did not write", None)


def test_links_and_other_things_are_not_read(
    cache: PlanCache, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    path = path_of(cache)
    cache.get_or_build(KEY, Builder())
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    assert_made_again(cache, caplog, "is a link", None)
    path.unlink()
    os.mkfifo(path)  # reading it would wait for ever
    assert_made_again(cache, caplog, "is not a file", None)
    path.unlink()
    path.with_name(path.name + ".bad").unlink()
    path.mkdir()
    assert_made_again(cache, caplog, "is not a file", None)


def test_a_plan_that_others_may_write_is_not_trusted(
    cache: PlanCache, caplog: pytest.LogCaptureFixture
) -> None:
    cache.get_or_build(KEY, Builder())
    path_of(cache).chmod(0o620)
    assert_made_again(cache, caplog, "can be written by others", None)


def test_a_key_that_others_could_read_is_replaced(
    cache: PlanCache, caplog: pytest.LogCaptureFixture
) -> None:
    cache.get_or_build(KEY, Builder())
    key = cache.folder / "mac.key"
    before = key.read_bytes()
    for spoil in (lambda: key.chmod(0o640), lambda: key.write_bytes(before[:7])):
        spoil()
        assert_made_again(cache, caplog, "did not write", None)
        assert stat.S_IMODE(key.stat().st_mode) == 0o600
        assert len(key.read_bytes()) == len(before)
        assert key.read_bytes() != before


def test_a_file_of_a_later_format_is_left_alone(
    cache: PlanCache, caplog: pytest.LogCaptureFixture
) -> None:
    cache.get_or_build(KEY, Builder())
    newer = json.dumps({"format": FORMAT + 1, "what": "nobody knows yet"}).encode() + b"\nplan"
    path_of(cache).write_bytes(newer)
    build = Builder()
    assert cache.get_or_build(KEY, build) == PLAN
    assert build.builds == 1
    assert path_of(cache).read_bytes() == newer
    assert cache.read(KEY) is None
    assert len(warnings_of(caplog)) == 1
    assert "is left alone" in warnings_of(caplog)[0]


# ---- folders that cannot be used -----------------------------------------------------------------


def assert_works_without(cache: PlanCache, caplog: pytest.LogCaptureFixture, reason: str) -> None:
    """Plans are built every time; there is one warning for this cache."""
    build = Builder()
    for _ in range(3):
        assert cache.get_or_build(KEY, build) == PLAN
    cache.write(KEY, PLAN)
    assert cache.read(KEY) is None
    assert build.builds == 3
    (warning,) = warnings_of(caplog)
    assert "cannot be used, going on without" in warning
    assert reason in warning


def test_a_folder_that_cannot_be_made(caplog: pytest.LogCaptureFixture) -> None:
    assert_works_without(PlanCache("/proc/self/plans"), caplog, "/proc/self/plans")


def test_a_folder_that_is_a_file(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "plans").write_bytes(b"")
    assert_works_without(PlanCache(tmp_path / "plans"), caplog, "File exists")


def test_a_folder_of_somebody_else(
    cache: PlanCache, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache.get_or_build(KEY, Builder())
    monkeypatch.setattr("os.geteuid", lambda: 123_456)
    assert_works_without(cache, caplog, "it belongs to user")


def child(code: str, *arguments: Any) -> subprocess.CompletedProcess[str]:
    """Run code in a process of its own, with KEY, PLAN and a cache for the first argument."""
    head = """
        import dataclasses, os, resource, sys
        from pathlib import Path
        from pyposefast.engines.plan_cache import PlanCache, PlanKey
        KEY = PlanKey(*"abcdefghi")
        cache = PlanCache(sys.argv[1])
        builds = []
        def build():
            builds.append(1)
            return b"plan" * 50_000
    """
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(head) + textwrap.dedent(code), *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_read_only_folder_is_read_but_not_written(tmp_path: Path) -> None:
    folder = tmp_path / "plans"
    for parent in (tmp_path, *tmp_path.parents):  # so that another user gets there
        if parent.stat().st_uid == os.geteuid() and len(parent.parts) > 2:
            parent.chmod(parent.stat().st_mode | 0o011)
    code = """
        if os.geteuid() == 0:  # for whom no folder is read-only
            os.chown(sys.argv[2], 65534, 65534)
            os.setgid(65534)
            os.setuid(65534)
        cache.get_or_build(KEY, build)
        cache.folder.chmod(0o500)
        other = dataclasses.replace(KEY, gpu="other")
        for _ in range(2):
            assert cache.get_or_build(KEY, build) == build.__call__()
            assert cache.get_or_build(other, build) == build.__call__()
        print(len(builds))
    """
    done = child(code, folder, tmp_path)
    assert done.returncode == 0, done.stderr
    # One for each key, one more as the second is not kept, and the four of the comparisons.
    assert done.stdout.split() == ["7"]
    assert done.stderr.count("going on without") == 1
    assert "Permission denied" in done.stderr


def test_a_full_disk_costs_a_warning(tmp_path: Path) -> None:
    code = """
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))  # the plan is larger
        for _ in range(2):
            assert cache.get_or_build(KEY, build) == b"plan" * 50_000
        print(len(builds), *sorted(path.suffix for path in cache.folder.iterdir()))
    """
    done = child(code, tmp_path / "plans")
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["2", ".key", ".lock"]  # and no temporary file
    assert done.stderr.count("going on without") == 1
    assert "File too large" in done.stderr


def test_no_room_even_for_the_key(tmp_path: Path) -> None:
    code = """
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
        assert cache.get_or_build(KEY, build) == b"plan" * 50_000
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
    """
    done = child(code, tmp_path / "plans")
    # The limit cannot be raised again by everybody; what counts came before.
    assert "going on without" in done.stderr
    assert "AssertionError" not in done.stderr
    cache = PlanCache(tmp_path / "plans")
    build = Builder()
    assert cache.get_or_build(KEY, build) == PLAN
    assert cache.get_or_build(KEY, never) == PLAN


# ---- many at once --------------------------------------------------------------------------------


def racer(folder: Path, records: Path, barrier: Barrier, keys: int, rank: int, faults: Any) -> None:
    """Take part in all rounds: a cold cache each, with everybody at the same time."""
    for number in range(ROUNDS):
        gpu = f"gpu {rank % keys}"
        key = dataclasses.replace(KEY, gpu=gpu)
        plan = f"plan of {number} {gpu}".encode() * 100

        def build(number: int = number, gpu: str = gpu, plan: bytes = plan) -> bytes:
            with (records / f"{number} {gpu}").open("ab") as file:
                file.write(b"x")
            time.sleep(0.002)
            return plan

        try:
            barrier.wait(60)
            found = PlanCache(folder / str(number)).get_or_build(key, build)
        except Exception as error:  # noqa: BLE001  every failure counts
            faults.put(repr(error))
        else:
            if found != plan:
                faults.put(f"round {number}: {found[:40]!r}")


@pytest.mark.parametrize("keys", [1, 2])
def test_of_8_processes_one_builds_each_plan(tmp_path: Path, keys: int) -> None:
    records = tmp_path / "records"
    records.mkdir()
    context = multiprocessing.get_context("spawn")
    barrier, faults = context.Barrier(PROCESSES), context.Queue()
    processes = [
        context.Process(target=racer, args=(tmp_path, records, barrier, keys, rank, faults))
        for rank in range(PROCESSES)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
    assert [process.exitcode for process in processes] == [0] * PROCESSES
    assert faults.empty()
    builds = [path.stat().st_size for path in records.iterdir()]
    assert builds == [1] * ROUNDS * keys
    faults.close()
    faults.join_thread()


def test_threads_of_one_process_wait_for_each_other(cache: PlanCache) -> None:
    def slow() -> bytes:
        time.sleep(0.05)
        return build()

    build = Builder()
    results: list[bytes] = []
    threads = [
        threading.Thread(target=lambda: results.append(cache.get_or_build(KEY, slow)))
        for _ in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [PLAN] * 6
    assert build.builds == 1


def builder_to_kill(folder: Path, place: str) -> subprocess.Popen[str]:
    """Start a process that stops for ever in the middle of building, or of writing."""
    code = f"""
        import os, sys, time
        from pyposefast.engines import plan_cache
        def stop(*_):
            print("here", flush=True)
            time.sleep(600)
        def build():
            if {place!r} == "build":
                stop()
            return b"half" * 100_000
        if {place!r} == "fsync":
            os.fsync = stop
        if {place!r} == "rename":
            from pathlib import Path
            Path.replace = stop
        key = plan_cache.PlanKey({", ".join(repr(value) for value in dataclasses.astuple(KEY))})
        cache = plan_cache.PlanCache(sys.argv[1])
        cache.get_or_build(key, build)
    """
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code), str(folder)],
        stdout=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("place", ["build", "fsync", "rename"])
def test_a_builder_that_is_killed_frees_the_others(
    cache: PlanCache, caplog: pytest.LogCaptureFixture, place: str
) -> None:
    cache.write(dataclasses.replace(KEY, gpu="other"), PLAN)  # so that there is a key
    with builder_to_kill(cache.folder, place) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "here\n"
        with pytest.raises(EngineCacheError, match=rf"process {process.pid} has been building"):
            cache.get_or_build(KEY, never, wait_s=0.1)
        leftovers = list(cache.folder.glob(".*.tmp"))
        assert len(leftovers) == (place != "build")
        build = Builder()
        waiting = threading.Thread(target=cache.get_or_build, args=(KEY, build))
        waiting.start()
        process.send_signal(signal.SIGKILL)
        waiting.join(60)
        assert not waiting.is_alive()
    assert build.builds == 1
    assert cache.get_or_build(KEY, never) == PLAN
    assert list(cache.folder.glob(".*.tmp")) == []
    assert warnings_of(caplog) == []  # nobody ever saw a half-written plan
