"""A web server on this machine alone, over TLS, with every bad habit that a test asks for."""

from __future__ import annotations

import contextlib
import ssl
import subprocess
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LONGEST_WAIT_S = 30.0  # for whatever a test is waiting for: it fails instead of hanging
TRICKLE_S = 0.02  # between bytes
LONGEST_BODY = 64 << 20  # bytes that pass for endless: a test that fails does not fill the disk


@dataclass
class Served:
    """One address and how it answers."""

    body: bytes = b""
    etag: str | None = '"1"'
    takes_ranges: bool = True
    shifts: list[int] = field(default_factory=list)  # partial answers begin so much too late
    cuts: list[int] = field(default_factory=list)  # bytes after which each answer breaks off
    status: int = 200
    location: str | None = None  # of a redirect
    length: int | None = None  # that it claims, instead of the true one
    is_chunked: bool = False
    says_length: bool = True
    endless: bool = False  # zeros after the body, more than anybody wants
    coding: str | None = None
    stall_at: int | None = None  # bytes after which it waits for `release`
    stalled: threading.Event = field(default_factory=threading.Event)
    release: threading.Event = field(default_factory=threading.Event)
    # What it sends at once instead of any answer, and what then again and again, byte by byte.
    trickle: tuple[bytes, bytes] | None = None


class Server(ThreadingHTTPServer):
    """Serves `files` by path, and remembers what was asked for."""

    daemon_threads = True

    def __init__(self, certificate: Path, key: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files: dict[str, Served] = {}
        self.asked: list[tuple[str, str | None]] = []  # path, Range
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        # The handshake is made by the thread that answers: one bad client holds up nobody else.
        self.socket = context.wrap_socket(
            self.socket, server_side=True, do_handshake_on_connect=False
        )

    def url(self, path: str, host: str = "127.0.0.1") -> str:
        return f"https://{host}:{self.server_port}{path}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: clients that hang up are what the tests are about."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = LONGEST_WAIT_S

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Say nothing."""

    def do_GET(self) -> None:
        server = cast("Server", self.server)
        self.close_connection = True
        server.asked.append((self.path, self.headers.get("Range")))
        served = server.files.get(self.path)
        if served is None:
            self.send_error(404)
            return
        if served.trickle is not None:
            self._trickle(served, *served.trickle)
            return
        if served.location is not None:
            self.send_response(302)
            self.send_header("Location", served.location)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        if served.status != 200:
            self.send_error(served.status)
            return
        first = self._first(served)
        if first is not None and first >= len(served.body):
            self.send_error(416)
            return
        self._head(served, first)
        self._body(served, served.body[first or 0 :])

    def _trickle(self, served: Served, first: bytes, ever_after: bytes) -> None:
        self.wfile.write(first)
        for at in range(int(LONGEST_WAIT_S / TRICKLE_S)):
            if served.release.wait(TRICKLE_S):
                return
            self.wfile.write(ever_after[at % len(ever_after) :][:1])

    def _first(self, served: Served) -> int | None:
        """The first byte that is asked for, if a part is, and the part is still valid."""
        asked = self.headers.get("Range")
        condition = self.headers.get("If-Range")
        if asked is None or not served.takes_ranges or condition not in (None, served.etag):
            return None
        shift = served.shifts.pop(0) if served.shifts else 0
        return int(asked.removeprefix("bytes=").removesuffix("-")) + shift

    def _head(self, served: Served, first: int | None) -> None:
        size = len(served.body)
        self.send_response(200 if first is None else 206)
        if first is not None:
            self.send_header("Content-Range", f"bytes {first}-{size - 1}/{size}")
        if served.etag is not None:
            self.send_header("ETag", served.etag)
        if served.coding is not None:
            self.send_header("Content-Encoding", served.coding)
        if served.is_chunked:
            self.send_header("Transfer-Encoding", "chunked")
        elif served.says_length:
            length = size - (first or 0) if served.length is None else served.length
            self.send_header("Content-Length", str(length))
        self.send_header("Connection", "close")
        self.end_headers()

    def _body(self, served: Served, body: bytes) -> None:
        cut = served.cuts.pop(0) if served.cuts else None
        if served.stall_at is not None and not served.release.is_set():
            self.wfile.write(body[: served.stall_at])
            served.stalled.set()
            served.release.wait(LONGEST_WAIT_S)
            body = body[served.stall_at :]
        body = body[:cut]
        if served.is_chunked:
            for start in range(0, len(body), 5000):
                piece = body[start : start + 5000]
                self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
            self.wfile.write(b"" if cut is not None else b"0\r\n\r\n")
        else:
            self.wfile.write(body)
        for _ in range(LONGEST_BODY >> 16 if served.endless else 0):
            self.wfile.write(bytes(1 << 16))


@contextlib.contextmanager
def running(certificate: Path, key: Path) -> Iterator[Server]:
    """Run a server for as long as a test needs it."""
    with Server(certificate, key) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield server
        finally:
            for served in server.files.values():
                served.release.set()
            server.shutdown()
            thread.join(LONGEST_WAIT_S)


@dataclass(frozen=True)
class Certificates:
    """An authority, and certificates that should and should not be trusted, each with the key."""

    authority: Path
    good: Path
    self_signed: Path
    expired: Path
    other_host: Path
    key: Path


_CONFIGURATION = """
[ca]
default_ca = own
[own]
database = {folder}/index.txt
new_certs_dir = {folder}
serial = {folder}/serial
certificate = {folder}/authority.pem
private_key = {folder}/key.pem
default_md = sha256
policy = any
copy_extensions = copy
x509_extensions = leaf
unique_subject = no
[any]
commonName = supplied
[req]
distinguished_name = any_name
[any_name]
[authority]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
[leaf]
authorityKeyIdentifier = keyid
"""


def make_certificates(folder: Path) -> Certificates:
    """Make them with the openssl command; one key serves all, since none of it is a secret."""
    configuration = folder / "openssl.cnf"
    configuration.write_text(_CONFIGURATION.format(folder=folder))
    (folder / "index.txt").touch()
    (folder / "serial").write_text("01\n")

    def openssl(*arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)

    def request(name: str, subject: str, *more: str) -> None:
        openssl(
            "req", "-new", "-config", "openssl.cnf", "-key", "key.pem", "-subj", "/CN=" + subject,
            "-out", name, *more,
        )  # fmt: skip

    def signed(name: str, subject: str, address: str, last: str) -> Path:
        request("request.pem", subject, "-addext", "subjectAltName=" + address)
        openssl(
            "ca", "-batch", "-notext", "-config", "openssl.cnf", "-in", "request.pem",
            "-startdate", "20200101000000Z", "-enddate", last, "-out", name,
        )  # fmt: skip
        return folder / name

    openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", "key.pem")
    request("authority.pem", "Tests", "-x509", "-days", "3650", "-extensions", "authority")
    here = "IP:127.0.0.1,DNS:localhost"
    request(
        "self_signed.pem", "here", "-x509", "-days", "3650", "-addext", "subjectAltName=" + here
    )
    return Certificates(
        authority=folder / "authority.pem",
        good=signed("good.pem", "here", here, "20491231235959Z"),
        self_signed=folder / "self_signed.pem",
        expired=signed("expired.pem", "here", here, "20200201000000Z"),
        other_host=signed("other.pem", "there", "DNS:example.org", "20491231235959Z"),
        key=folder / "key.pem",
    )
