"""Servers are asked over https alone, are not trusted by default, and cannot hold anybody up."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import https_server
import pytest
import weights_server
from https_server import Certificates, Served, Server
from weights_server import BODY, LIMITS, PATH, fetch, files, source

from pyposefast import weights
from pyposefast.errors import DownloadError, InputError

if TYPE_CHECKING:
    from pathlib import Path

# pytest looks for fixtures among the names of a module.
certificates = weights_server.certificates
server = weights_server.server
cache = weights_server.cache


# ---- whom to trust ----------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["self_signed", "expired", "other_host"])
def test_bad_certificates_are_refused(certificates: Certificates, cache: Path, kind: str) -> None:
    with https_server.running(getattr(certificates, kind), certificates.key) as server:
        server.files[PATH] = Served(BODY)
        with pytest.raises(DownloadError, match="the certificate is not to be trusted") as caught:
            fetch(source(server), certificates)
        assert server.asked == []
    assert "cafile=" in caught.value.hint
    assert files(cache) == set()


def test_an_authority_has_to_be_named(server: Server) -> None:
    with pytest.raises(DownloadError, match="the certificate is not to be trusted"):
        weights.fetch(source(server), limits=LIMITS)


@pytest.mark.parametrize("kind", ["absent", "empty"])
def test_a_bad_file_of_authorities_is_named(server: Server, tmp_path: Path, kind: str) -> None:
    path = tmp_path / "authorities.pem"
    if kind == "empty":
        path.touch()
    with pytest.raises(InputError, match=r"cafile: expected a file of certificates.*authorities"):
        weights.fetch(source(server), cafile=path, limits=LIMITS)


def test_a_redirect_within_the_host_is_followed(server: Server, certificates: Certificates) -> None:
    server.files["/old"] = Served(location=PATH)
    wanted = source(server, url=server.url("/old"), file="net.onnx")
    assert fetch(wanted, certificates).read_bytes() == BODY


def test_a_redirect_to_a_listed_host_is_followed(
    server: Server, certificates: Certificates
) -> None:
    there = server.url(PATH, host="localhost")
    server.files["/old"] = Served(location=there)
    wanted = source(server, url=server.url("/old"), file="net.onnx")
    with pytest.raises(DownloadError, match="redirects to https://localhost"):
        fetch(wanted, certificates)
    listed = replace(wanted, hosts=(f"localhost:{server.server_port}",))
    assert fetch(listed, certificates).read_bytes() == BODY


@pytest.mark.parametrize(
    "location",
    [
        "http://127.0.0.1:{port}/v1/net.onnx",
        "https://example.org/v1/net.onnx",
        "https://127.0.0.1:1/v1/net.onnx",
        "https://127.0.0.1@example.org/v1/net.onnx",
        "https://user@127.0.0.1:{port}/v1/net.onnx",
        "https://127.0.0.1:port/v1/net.onnx",
        "ftp://127.0.0.1:{port}/v1/net.onnx",
        "file:///etc/passwd",
        "//example.org/v1/net.onnx",
    ],
)
def test_a_redirect_to_anywhere_else_is_refused(
    server: Server, certificates: Certificates, cache: Path, location: str
) -> None:
    server.files["/old"] = Served(location=location.format(port=server.server_port))
    with pytest.raises(DownloadError):
        fetch(source(server, url=server.url("/old"), file="net.onnx"), certificates)
    assert server.asked == [("/old", None)]
    assert files(cache) == set()


def test_redirects_in_a_circle_end(server: Server, certificates: Certificates) -> None:
    server.files["/old"] = Served(location="/old")
    with pytest.raises(DownloadError):
        fetch(source(server, url=server.url("/old"), file="net.onnx"), certificates)
    assert len(server.asked) < 20


# ---- refusals, and answers without an end -----------------------------------------------------


def test_a_body_in_another_coding_is_refused(server: Server, certificates: Certificates) -> None:
    server.files[PATH].coding = "gzip"
    with pytest.raises(DownloadError, match="'gzip', which was not asked for"):
        fetch(source(server), certificates)


@pytest.mark.parametrize(("status", "times"), [(403, 1), (404, 1), (500, 4), (503, 4)])
def test_refusals_are_final_and_failures_are_tried_again(
    server: Server, certificates: Certificates, status: int, times: int
) -> None:
    server.files[PATH].status = status
    with pytest.raises(DownloadError, match=f"the server answered {status}"):
        fetch(source(server), certificates)
    assert len(server.asked) == times


@pytest.mark.parametrize(
    ("first", "ever_after"),
    [
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
        (b"HTTP/1.1 200 ", b"O"),
        (b"HTTP/1.1 200 OK\r\nX: ", b"x"),
        (b"HTTP/1.1 302 Found\r\nLocation: /", b"x"),
    ],
)
def test_headers_that_trickle_in_are_given_up(
    server: Server, certificates: Certificates, cache: Path, first: bytes, ever_after: bytes
) -> None:
    server.files[PATH].trickle = first, ever_after
    with pytest.raises(DownloadError, match=r"no answer \(it trickled in for longer than 0\.3 s\)"):
        fetch(source(server), certificates, limits=replace(LIMITS, timeout_s=0.3, attempts=1))
    assert files(cache) == set()


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    ("first", "ever_after"), [(b"3\r\nabc\r\n", b"0"), (b"3\r\nabc\r\n0\r\n", b"X: x\r\n")]
)
def test_what_surrounds_chunks_may_not_trickle_in_either(
    server: Server, certificates: Certificates, first: bytes, ever_after: bytes
) -> None:
    server.files[PATH].trickle = CHUNKED + first, ever_after
    with pytest.raises(DownloadError, match=r"broke off after 3 bytes .*trickled in"):
        fetch(source(server), certificates, limits=replace(LIMITS, timeout_s=0.3, attempts=1))
