"""A download is complete or goes on later, and costs no more than it may.

Most is seen through `weights.fetch`: what counts is which file is there in the end.
"""

from __future__ import annotations

import time
from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest
import weights_server
from https_server import Certificates, Served, Server
from weights_server import BODY, LIMITS, OTHER, PATH, digest_of, fetch, files, source

from pyposefast import downloads
from pyposefast.errors import DownloadError

if TYPE_CHECKING:
    from pathlib import Path

# pytest looks for fixtures among the names of a module.
certificates = weights_server.certificates
server = weights_server.server
cache = weights_server.cache


# ---- transfers that break off -----------------------------------------------------------------


@pytest.mark.parametrize("takes_ranges", [True, False])
@pytest.mark.parametrize("tenth", range(10))
def test_a_transfer_that_breaks_off_goes_on(
    server: Server, certificates: Certificates, cache: Path, tenth: int, *, takes_ranges: bool
) -> None:
    cut = len(BODY) * tenth // 10
    server.files[PATH] = Served(BODY, cuts=[cut], takes_ranges=takes_ranges)
    assert fetch(source(server), certificates).read_bytes() == BODY
    assert [asked for _, asked in server.asked] == [None, f"bytes={cut}-" if cut else None]
    assert files(cache) == {"net.onnx", "net.onnx.sha256"}


@pytest.mark.parametrize("tenth", range(10))
def test_a_transfer_that_always_breaks_off_leaves_nothing_under_the_final_name(
    server: Server, certificates: Certificates, cache: Path, tenth: int
) -> None:
    cut = len(BODY) * tenth // 10
    server.files[PATH] = Served(BODY, cuts=[cut] * 3, takes_ranges=False)
    with pytest.raises(DownloadError, match="3 times in a row"):
        fetch(source(server), certificates, limits=replace(LIMITS, attempts=3))
    assert "net.onnx" not in files(cache)
    assert len(server.asked) == 3


def test_the_next_call_goes_on_where_the_last_one_stopped(
    server: Server, certificates: Certificates, cache: Path
) -> None:
    server.files[PATH].cuts = [40_000]
    with pytest.raises(DownloadError, match="broke off after 40000 of 100000 bytes"):
        fetch(source(server), certificates, limits=replace(LIMITS, attempts=1))
    assert fetch(source(server), certificates).read_bytes() == BODY
    assert server.asked[-1] == (PATH, "bytes=40000-")
    assert files(cache) == {"net.onnx", "net.onnx.sha256"}


@pytest.mark.parametrize("is_published", [True, False])
def test_a_file_that_changed_in_between_is_fetched_from_its_beginning(
    server: Server, certificates: Certificates, *, is_published: bool
) -> None:
    server.files[PATH] = Served(OTHER, cuts=[40_000])
    wanted = source(server) if is_published else source(server, sha256=None)
    with pytest.raises(DownloadError, match="broke off"):
        fetch(wanted, certificates, limits=replace(LIMITS, attempts=1))
    server.files[PATH] = Served(BODY, etag='"2"')
    assert fetch(wanted, certificates).read_bytes() == BODY


def test_a_server_that_hides_the_change_is_found_out_by_the_digest(
    server: Server, certificates: Certificates
) -> None:
    server.files[PATH] = Served(OTHER, cuts=[40_000])
    with pytest.raises(DownloadError, match="broke off"):
        fetch(source(server), certificates, limits=replace(LIMITS, attempts=1))
    server.files[PATH] = Served(BODY)
    assert fetch(source(server), certificates).read_bytes() == BODY
    assert [asked for _, asked in server.asked] == [None, "bytes=40000-", None]


@pytest.mark.parametrize("attempts", [1, 2])
def test_without_a_validator_and_a_digest_nothing_is_continued(
    server: Server, certificates: Certificates, attempts: int
) -> None:
    server.files[PATH] = Served(BODY, cuts=[40_000] * attempts, etag=None)
    wanted = source(server, sha256=None)
    with pytest.raises(DownloadError, match="broke off"):
        fetch(wanted, certificates, limits=replace(LIMITS, attempts=attempts))
    assert fetch(wanted, certificates).read_bytes() == BODY
    assert server.asked == [(PATH, None)] * (attempts + 1)


@pytest.mark.parametrize("is_published", [True, False])
@pytest.mark.parametrize("shift", [-40_000, -1, 1])
def test_a_partial_answer_that_begins_elsewhere_is_not_appended(
    server: Server, certificates: Certificates, shift: int, *, is_published: bool
) -> None:
    server.files[PATH] = Served(BODY, cuts=[40_000], shifts=[shift])
    wanted = source(server) if is_published else source(server, sha256=None)
    assert fetch(wanted, certificates).read_bytes() == BODY
    assert [asked for _, asked in server.asked] == [None, "bytes=40000-", None]


def test_a_file_that_became_shorter_is_fetched_from_its_beginning(
    server: Server, certificates: Certificates
) -> None:
    server.files[PATH] = Served(OTHER, cuts=[40_000], etag=None)
    wanted = source(server, sha256=digest_of(BODY[:30_000]))
    with pytest.raises(DownloadError, match="broke off"):
        fetch(wanted, certificates, limits=replace(LIMITS, attempts=1))
    server.files[PATH] = Served(BODY[:30_000], etag=None)
    assert fetch(wanted, certificates).read_bytes() == BODY[:30_000]


def test_chunks_are_put_together_and_a_missing_last_one_is_noticed(
    server: Server, certificates: Certificates
) -> None:
    server.files[PATH] = Served(BODY, is_chunked=True, cuts=[40_000])
    assert fetch(source(server, sha256=None), certificates).read_bytes() == BODY
    assert len(server.asked) == 2


@pytest.mark.parametrize("note", ["", "[]", "{}", '{"url": 5}', '{"url": "x", "validator": []}'])
def test_leftovers_that_say_nothing_useful_are_deleted(
    server: Server, certificates: Certificates, cache: Path, note: str
) -> None:
    cache.mkdir(parents=True)
    (cache / "net.onnx.1-0123abcd.part").write_bytes(OTHER)
    (cache / "net.onnx.1-0123abcd.part.json").write_text(note)
    (cache / "net.onnx.2-0123abcd.part").write_bytes(OTHER)
    fetch(source(server), certificates)
    assert server.asked == [(PATH, None)]
    assert files(cache) == {"net.onnx", "net.onnx.sha256"}


# ---- limits -----------------------------------------------------------------------------------


@pytest.mark.parametrize("is_chunked", [True, False])
def test_an_endless_body_ends_at_the_limit(
    server: Server, certificates: Certificates, cache: Path, *, is_chunked: bool
) -> None:
    # A chunked answer cannot be longer than its chunks: there, the body itself is over the limit.
    body = BODY * 12 if is_chunked else BODY
    server.files[PATH] = Served(
        body, endless=not is_chunked, is_chunked=is_chunked, says_length=False
    )
    most = 0

    def watch(have: int, _total: int | None) -> None:
        nonlocal most
        most = have

    with pytest.raises(DownloadError, match="too many"):
        fetch(source(server), certificates, progress=watch)
    assert most <= LIMITS.most_bytes
    assert files(cache) == set()


def test_more_than_was_announced_is_not_read(server: Server, certificates: Certificates) -> None:
    server.files[PATH] = Served(BODY, endless=True)
    assert fetch(source(server), certificates).read_bytes() == BODY


@pytest.mark.parametrize(
    ("size_bytes", "message"),
    [(99_999, "expected 99999 bytes, the server has 100000"), (None, "at most 50000 are taken")],
)
def test_an_announced_size_that_cannot_be_is_refused_before_the_body(
    server: Server, certificates: Certificates, cache: Path, size_bytes: int | None, message: str
) -> None:
    with pytest.raises(DownloadError, match=message):
        fetch(
            source(server, size_bytes=size_bytes),
            certificates,
            limits=replace(LIMITS, most_bytes=50_000),
        )
    assert files(cache) == set()


def test_a_server_that_falls_silent_is_given_up(server: Server, certificates: Certificates) -> None:
    server.files[PATH].stall_at = 10
    with pytest.raises(DownloadError, match="broke off after 10 bytes"):
        fetch(source(server), certificates, limits=replace(LIMITS, timeout_s=0.2, attempts=1))


def test_a_server_that_is_too_slow_is_given_up(
    server: Server, certificates: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter(range(0, 10_000, 40))  # every look at the clock is 40 s after the last one
    slow = SimpleNamespace(monotonic=lambda: float(next(clock)), sleep=time.sleep)
    monkeypatch.setattr(downloads, "time", slow)
    with pytest.raises(DownloadError, match="slower than 1e"):
        fetch(source(server), certificates, limits=replace(LIMITS, floor_bytes_per_s=1e6))
