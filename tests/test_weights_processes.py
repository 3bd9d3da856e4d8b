"""Weights are fetched once by many processes, and go on from what a killed one left."""

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap
import threading
import time
from typing import TYPE_CHECKING

import pytest
import weights_server
from https_server import LONGEST_WAIT_S, Certificates, Served, Server
from weights_server import BODY, OTHER, PATH, digest_of, fetch, files, source

from pyposefast.errors import DownloadError

if TYPE_CHECKING:
    from pathlib import Path

    from pyposefast.weights import Source

# pytest looks for fixtures among the names of a module.
certificates = weights_server.certificates
server = weights_server.server
cache = weights_server.cache


CHILD = textwrap.dedent(
    """
    import hashlib, sys
    from pyposefast import weights
    url, digest, file, cafile = sys.argv[1:]
    source = weights.Source("net", url=url, sha256=digest or None, file=file)
    path = weights.fetch(source, cafile=cafile)
    print(hashlib.sha256(path.read_bytes()).hexdigest())
    """
)


def start(wanted: Source, certificates: Certificates) -> subprocess.Popen[str]:
    arguments = [str(wanted.url), wanted.sha256 or "", wanted.file_name, certificates.authority]
    return subprocess.Popen(
        [sys.executable, "-c", CHILD, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def output_of(process: subprocess.Popen[str]) -> str:
    out, errors = process.communicate(timeout=4 * LONGEST_WAIT_S)
    assert process.returncode == 0, errors
    return out.strip()


def test_eight_processes_fetch_once(
    server: Server, certificates: Certificates, cache: Path
) -> None:
    wanted = source(server, sha256=None)
    server.files[PATH].stall_at = 50_000
    processes = [start(wanted, certificates) for _ in range(8)]
    assert server.files[PATH].stalled.wait(LONGEST_WAIT_S)
    server.files[PATH].release.set()
    assert {output_of(process) for process in processes} == {digest_of(BODY)}
    assert server.asked == [(PATH, None)]
    assert files(cache) == {"net.onnx", "net.onnx.sha256"}


def test_two_files_at_once_are_not_mixed_up(
    server: Server, certificates: Certificates, cache: Path
) -> None:
    server.files["/other"] = Served(OTHER)
    first = source(server, sha256=None, file="net")
    second = source(server, sha256=None, url=server.url("/other"), file="net.onnx")
    bodies = {first: BODY, second: OTHER}
    found: dict[Source, bytes] = {}

    def run(wanted: Source) -> None:
        found[wanted] = fetch(wanted, certificates).read_bytes()

    for served in server.files.values():
        served.stall_at = 50_000
    threads = [threading.Thread(target=run, args=(wanted,)) for wanted in bodies]
    for thread in threads:
        thread.start()
    for served in server.files.values():  # both are under way
        assert served.stalled.wait(LONGEST_WAIT_S)
    for served in server.files.values():
        served.release.set()
    for thread in threads:
        thread.join(LONGEST_WAIT_S)
    assert found == bodies
    assert files(cache) == {"net", "net.sha256", "net.onnx", "net.onnx.sha256"}


def test_a_killed_process_leaves_no_lock_and_a_beginning_to_go_on_from(
    server: Server, certificates: Certificates, cache: Path
) -> None:
    wanted = source(server)
    server.files[PATH].stall_at = 70_000
    process = start(wanted, certificates)
    try:
        assert server.files[PATH].stalled.wait(LONGEST_WAIT_S)
        until = time.monotonic() + LONGEST_WAIT_S
        while not any(part.stat().st_size for part in cache.glob("*.part")):
            assert time.monotonic() < until
            time.sleep(0.01)
    finally:
        process.send_signal(signal.SIGKILL)
        process.communicate()
    assert "net.onnx" not in files(cache)
    server.files[PATH].release.set()
    assert fetch(wanted, certificates).read_bytes() == BODY
    assert (server.asked[-1][1] or "").startswith("bytes=")
    assert files(cache) == {"net.onnx", "net.onnx.sha256"}


def test_waiting_for_another_process_has_an_end(server: Server, certificates: Certificates) -> None:
    wanted = source(server)
    server.files[PATH].stall_at = 10
    process = start(wanted, certificates)
    try:
        assert server.files[PATH].stalled.wait(LONGEST_WAIT_S)
        with pytest.raises(DownloadError, match="another process has been fetching it"):
            fetch(wanted, certificates, lock_s=0.1)
    finally:
        process.kill()
        process.communicate()
