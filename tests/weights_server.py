"""A network's weights on a server of this machine, and a cache to fetch them to."""

from __future__ import annotations

import hashlib
import io
import shutil
import zipfile
from typing import TYPE_CHECKING, Any

import https_server
import pytest
from https_server import Certificates, Served, Server

from pyposefast import weights
from pyposefast.weights import Limits, Source

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


BODY = hashlib.shake_128(b"weights").digest(100_000)
OTHER = hashlib.shake_128(b"other").digest(100_000)
LIMITS = Limits(timeout_s=20.0, pause_s=0.0, most_bytes=1 << 20)
PATH = "/v1/net.onnx"


def digest_of(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    if shutil.which("openssl") is None:
        pytest.skip("no openssl command to make certificates with")
    return https_server.make_certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
def server(certificates: Certificates) -> Iterator[Server]:
    with https_server.running(certificates.good, certificates.key) as server:
        server.files[PATH] = Served(BODY)
        yield server


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PYPOSEFAST_CACHE", str(tmp_path / "cache"))
    for name in ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    forget()
    return tmp_path / "cache" / "weights" / "net"


def forget() -> None:
    """Be a process that has checked nothing yet."""
    weights._checked.clear()


def source(server: Server, **changes: Any) -> Source:
    known: dict[str, Any] = {"url": server.url(PATH), "sha256": digest_of(BODY)}
    return Source("net", **{**known, **changes})


def fetch(wanted: Source, certificates: Certificates, **settings: Any) -> Path:
    known: dict[str, Any] = {"cafile": certificates.authority, "limits": LIMITS, "lock_s": 60.0}
    return weights.fetch(wanted, **{**known, **settings})


def files(folder: Path) -> set[str]:
    """What is there, but for the lock, which stays."""
    return {path.name for path in folder.iterdir() if path.suffix != ".lock"}


def zipped(*members: tuple[str | zipfile.ZipInfo, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members:
            archive.writestr(name, data)
    return stream.getvalue()
