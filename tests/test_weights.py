"""Weights are complete, checked and fetched once, whatever other processes do."""

from __future__ import annotations

import errno
import io
import os
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import weights_server
from https_server import Certificates, Served, Server
from weights_server import (
    BODY,
    LIMITS,
    OTHER,
    PATH,
    digest_of,
    fetch,
    files,
    forget,
    source,
    zipped,
)

from pyposefast import downloads, https, weights
from pyposefast.errors import (
    DownloadError,
    InputError,
    InputTypeError,
    PyposefastError,
    StorageError,
)
from pyposefast.weights import Source

if TYPE_CHECKING:
    from pathlib import Path

# pytest looks for fixtures among the names of a module.
certificates = weights_server.certificates
server = weights_server.server
cache = weights_server.cache


# ---- what is right is used, what is not never is ----------------------------------------------


def test_a_file_is_fetched_once_and_then_found(
    server: Server, certificates: Certificates, cache: Path
) -> None:
    wanted = source(server, size_bytes=len(BODY))
    path = fetch(wanted, certificates)
    assert path == cache / "net.onnx" == weights.path_of(wanted)
    assert path.read_bytes() == BODY
    assert files(cache) == {"net.onnx", "net.onnx.sha256"}
    forget()
    assert weights.fetch(wanted) == path
    assert server.asked == [(PATH, None)]


def test_sha256sum_can_check_what_was_pinned(server: Server, certificates: Certificates) -> None:
    path = fetch(source(server), certificates)
    pin = path.with_name("net.onnx.sha256")
    assert pin.read_text() == f"{digest_of(BODY)}  net.onnx\n"


def test_a_wrong_digest_is_refused_with_both(
    server: Server, certificates: Certificates, cache: Path
) -> None:
    server.files[PATH].body = OTHER
    with pytest.raises(DownloadError) as caught:
        fetch(source(server), certificates)
    assert digest_of(OTHER) in str(caught.value)
    assert digest_of(BODY) in str(caught.value)
    assert server.url(PATH) in str(caught.value)
    assert files(cache) == set()


@pytest.mark.parametrize("damaged", [b"", BODY[:1], BODY[:-1], OTHER, BODY + b"\0"])
def test_a_damaged_file_under_the_final_name_is_fetched_again(
    server: Server, certificates: Certificates, cache: Path, damaged: bytes
) -> None:
    cache.mkdir(parents=True)
    (cache / "net.onnx").write_bytes(damaged)
    assert fetch(source(server), certificates).read_bytes() == BODY


def test_a_file_that_changes_while_the_process_runs_is_checked_again(
    server: Server, certificates: Certificates
) -> None:
    path = fetch(source(server), certificates)
    path.write_bytes(OTHER)
    assert fetch(source(server), certificates).read_bytes() == BODY
    assert len(server.asked) == 2


def test_an_unchanged_file_is_read_once_in_a_process(
    server: Server, certificates: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetch(source(server), certificates)
    monkeypatch.setattr(downloads, "digest_of", lambda _file: pytest.fail("read again"))
    fetch(source(server), certificates)


def test_offline_a_checked_file_is_enough(
    server: Server, certificates: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = fetch(source(server), certificates)
    forget()
    monkeypatch.setattr(https, "ask", lambda *_, **__: pytest.fail("asked the network"))
    assert weights.fetch(source(server)) == path


def test_offline_without_the_file_the_message_says_what_to_put_where(
    server: Server, certificates: Certificates, cache: Path
) -> None:
    wanted = source(server)
    server.shutdown()
    server.server_close()
    with pytest.raises(DownloadError) as caught:
        fetch(wanted, certificates, limits=replace(LIMITS, attempts=2))
    assert f"fetch {wanted.url} elsewhere and put it at {cache / 'net.onnx'}" in str(caught.value)
    cache.mkdir(parents=True, exist_ok=True)
    (cache / "net.onnx").write_bytes(BODY)
    assert weights.fetch(wanted).read_bytes() == BODY


def test_a_file_put_there_by_hand_with_its_digest_is_used(
    server: Server, cache: Path, certificates: Certificates
) -> None:
    wanted = source(server, sha256=None)
    cache.mkdir(parents=True)
    (cache / "net.onnx").write_bytes(OTHER)
    (cache / "net.onnx.sha256").write_text(f"{digest_of(OTHER)}  net.onnx\n")
    assert fetch(wanted, certificates).read_bytes() == OTHER
    assert server.asked == []


def test_weights_without_an_address_say_where_to_look(cache: Path) -> None:
    wanted = Source("net", file="net.onnx", origin="https://example.org/nets")
    with pytest.raises(DownloadError, match="have no address") as caught:
        weights.fetch(wanted)
    assert "https://example.org/nets" in str(caught.value)
    assert str(cache) in str(caught.value)


def test_a_folder_that_cannot_be_written_is_named(
    server: Server, certificates: Certificates, cache: Path
) -> None:
    cache.parent.mkdir(parents=True)
    cache.write_text("a file where the folder should be")
    with pytest.raises(StorageError) as caught:
        fetch(source(server), certificates)
    assert caught.value.errno in (errno.ENOTDIR, errno.EEXIST)
    assert str(cache) in str(caught.value)
    assert "PYPOSEFAST_CACHE" in caught.value.hint


def test_a_full_disk_is_said_and_nothing_is_left_under_the_final_name(
    server: Server, certificates: Certificates, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_path: Path) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(weights, "_sync", full)
    with pytest.raises(StorageError, match="No space left") as caught:
        fetch(source(server), certificates)
    assert caught.value.errno == errno.ENOSPC
    assert isinstance(caught.value, PyposefastError)
    assert "net.onnx" not in files(cache)


# ---- digests that are not, or not wholly, published -------------------------------------------


def test_where_only_a_prefix_is_published_the_whole_is_pinned(
    server: Server, certificates: Certificates, capsys: pytest.CaptureFixture[str]
) -> None:
    wanted = source(server, sha256=None, sha256_prefix=digest_of(BODY)[:8])
    path = fetch(wanted, certificates)
    assert "no whole digest is published" in capsys.readouterr().err
    path.unlink()
    forget()
    server.files[PATH].body = OTHER
    with pytest.raises(DownloadError, match=digest_of(BODY)[:8]):
        fetch(wanted, certificates)
    server.files[PATH].body = BODY
    assert fetch(wanted, certificates).read_bytes() == BODY


def test_a_prefix_that_differs_is_refused(
    server: Server, certificates: Certificates, cache: Path
) -> None:
    with pytest.raises(DownloadError, match=r"expected 00000000\.\.\."):
        fetch(source(server, sha256=None, sha256_prefix="00000000"), certificates)
    assert files(cache) == set()


def test_without_any_digest_the_first_one_is_pinned(
    server: Server, certificates: Certificates, cache: Path
) -> None:
    wanted = source(server, sha256=None)
    fetch(wanted, certificates).unlink()
    forget()
    server.files[PATH].body = OTHER
    with pytest.raises(DownloadError) as caught:
        fetch(wanted, certificates)
    assert digest_of(BODY) in str(caught.value)
    assert digest_of(OTHER) in str(caught.value)
    assert "net.onnx.sha256" in caught.value.hint
    assert files(cache) == {"net.onnx.sha256"}


def test_without_any_digest_an_unpinned_file_is_not_trusted(
    server: Server, certificates: Certificates, cache: Path
) -> None:
    cache.mkdir(parents=True)
    (cache / "net.onnx").write_bytes(BODY[:50_000])
    assert fetch(source(server, sha256=None), certificates).read_bytes() == BODY


def test_a_damaged_pin_is_named(server: Server, certificates: Certificates) -> None:
    path = fetch(source(server, sha256=None), certificates)
    path.with_name("net.onnx.sha256").write_text("yes")
    forget()
    with pytest.raises(DownloadError, match=r"net\.onnx\.sha256: expected 64 hexadecimal digits"):
        fetch(source(server, sha256=None), certificates)


def test_without_a_digest_a_body_whose_end_nobody_tells_is_refused(
    server: Server, certificates: Certificates, cache: Path
) -> None:
    server.files[PATH].says_length = False
    with pytest.raises(DownloadError, match="does not say where the file ends"):
        fetch(source(server, sha256=None), certificates)
    assert "net.onnx" not in files(cache)
    assert fetch(source(server), certificates).read_bytes() == BODY


def test_the_licence_is_said_before_anything_is_fetched(
    server: Server, certificates: Certificates, capsys: pytest.CaptureFixture[str]
) -> None:
    wanted = source(server, licence="Apache-2.0")
    fetch(wanted, certificates)
    said = capsys.readouterr().err
    assert said == f"net: fetching {wanted.url} (licence: Apache-2.0)\n"


# ---- names ------------------------------------------------------------------------------------

BAD_NAMES = [
    "", ".", "..", "a/b", "/etc/passwd", "..\\a", "a\0b", "a\nb", "con", "NUL.onnx", "a:b", "-a",
    "a" * 200, "net.sha256", "net.lock", "net.part", "a..b", "\x1b[2J", "a ", "ä",
]  # fmt: skip


@pytest.mark.parametrize("name", BAD_NAMES)
def test_names_of_files_are_names_and_nothing_else(name: str) -> None:
    with pytest.raises(InputError, match=r"^file: expected a plain name"):
        Source("net", url="https://example.org/a.onnx", file=name)


@pytest.mark.parametrize("name", ["", "..", "a/b", "A", "a\0", "a" * 65, "a b"])
def test_names_of_networks_are_identifiers(name: str) -> None:
    with pytest.raises(InputError, match=r"^name: expected 1 to 64"):
        Source(name)


@pytest.mark.parametrize("path", ["", "/", "/%2e%2e", "/a%2fb", "/a%00b", "/a%5cb"])
def test_names_out_of_addresses_are_checked_too(path: str) -> None:
    if path == "/a%2fb":  # only the last part counts
        assert Source("net", url="https://example.org" + path).file_name == "b"
        return
    with pytest.raises(InputError, match=r"^file: "):
        Source("net", url="https://example.org" + path)


@pytest.mark.parametrize(
    ("changes", "argument"),
    [
        ({"url": "http://example.org/a"}, "url"),
        ({"url": "file:///etc/passwd"}, "url"),
        ({"url": "https://user@example.org/a"}, "url"),
        ({"url": "https://example.org/a b"}, "url"),
        ({"url": "https:///a"}, "url"),
        ({"url": "https://example.org:port/a"}, "url"),
        ({"hosts": ("",)}, "url"),
        ({"sha256": "12345678"}, "sha256"),
        ({"sha256": "G" * 64}, "sha256"),
        ({"sha256_prefix": "1234567"}, "sha256_prefix"),
        ({"size_bytes": 0}, "size_bytes"),
        ({"published": "paper"}, "published"),
        ({"member": "../end2end.onnx"}, "member"),
        ({"member": "/end2end.onnx"}, "member"),
        ({"member": "a\\b"}, "member"),
    ],
)
def test_a_source_that_cannot_be_is_refused_by_key(changes: dict[str, Any], argument: str) -> None:
    good: dict[str, Any] = {"url": "https://example.org/a.onnx"}
    with pytest.raises(InputError) as caught:
        Source("net", **{**good, **changes})
    assert caught.value.argument == argument


def test_a_row_of_the_zoo_becomes_a_source() -> None:
    table = {"url": "https://example.org/a.onnx", "hosts": ["example.com"], "licence": "MIT"}
    assert weights.source_of("net", table) == Source(
        "net", url="https://example.org/a.onnx", hosts=("example.com",), licence="MIT"
    )
    with pytest.raises(InputError, match=r"weights\.digest: expected one of weights\.url"):
        weights.source_of("net", {"digest": "0"})
    with pytest.raises(InputTypeError, match=r"weights\.hosts: expected a list"):
        weights.source_of("net", {"hosts": "example.com"})


# ---- archives ---------------------------------------------------------------------------------


def test_one_member_is_taken_out_and_nothing_else(
    server: Server, certificates: Certificates, cache: Path
) -> None:
    body = zipped(
        ("20230504/net/end2end.onnx", BODY),
        ("20230504/net/detail.json", b"{}"),
        ("../../evil", b"evil"),
        ("20230504/not_end2end.onnx", OTHER),
    )
    server.files["/net.zip"] = Served(body)
    url = server.url("/net.zip")
    wanted = source(server, url=url, sha256=digest_of(body), member="end2end.onnx")
    path = fetch(wanted, certificates)
    assert path.read_bytes() == BODY
    assert files(cache) == {"end2end.onnx", "end2end.onnx.sha256"}
    forget()
    assert weights.fetch(wanted) == path
    path.write_bytes(BODY[:-1])
    assert fetch(wanted, certificates).read_bytes() == BODY
    assert len(server.asked) == 2


def test_an_archive_without_the_member_is_refused_by_its_address(
    server: Server, certificates: Certificates, cache: Path
) -> None:
    body = zipped(("other.onnx", BODY))
    server.files["/net.zip"] = Served(body)
    url = server.url("/net.zip")
    wanted = source(server, url=url, sha256=digest_of(body), member="end2end.onnx")
    with pytest.raises(DownloadError) as caught:
        fetch(wanted, certificates)
    expected = f"{url}: expected a zip archive with end2end.onnx in it: it is there 0 times"
    assert caught.value.message == expected
    assert f"put `end2end.onnx` out of it at {cache / 'end2end.onnx'}" in caught.value.hint
    assert files(cache) == set()


# ---- progress ---------------------------------------------------------------------------------


def test_progress_counts_up_to_the_end(server: Server, certificates: Certificates) -> None:
    seen: list[tuple[int, int | None]] = []
    fetch(source(server), certificates, progress=lambda have, total: seen.append((have, total)))
    assert seen[0] == (0, len(BODY))
    assert seen[-1] == (len(BODY), len(BODY))
    assert seen == sorted(seen)


def test_a_caller_may_stop_and_go_on_later(
    server: Server, certificates: Certificates, cache: Path
) -> None:
    def stop(have: int, _total: int | None) -> None:
        if have > 0:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch(source(server), certificates, progress=stop)
    assert "net.onnx" not in files(cache)
    assert fetch(source(server), certificates).read_bytes() == BODY
    assert server.asked[-1][1] is not None


def test_there_is_a_bar_on_a_terminal_alone(
    server: Server, certificates: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal = io.StringIO()
    terminal.isatty = lambda: True  # type: ignore[method-assign]
    monkeypatch.setattr(sys, "stderr", terminal)
    fetch(source(server), certificates)
    assert terminal.getvalue().endswith(f"\rnet [{'=' * 30}] 0.1 MB of 0.1 MB\n")


def test_there_may_be_no_standard_error_stream(
    server: Server, certificates: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stderr", None)
    assert fetch(source(server), certificates).read_bytes() == BODY
