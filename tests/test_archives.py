"""One member of a zip archive is taken out, and nothing that an archive says is believed."""

from __future__ import annotations

import zipfile
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from weights_server import BODY, OTHER, digest_of, zipped

from pyposefast import archives
from pyposefast.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

MOST = 1 << 20  # bytes


def take(body: bytes, folder: Path, *, member: str = "end2end.onnx") -> tuple[str, bytes]:
    """Digest and bytes of a member; whatever fails leaves the archive alone in the folder."""
    archive, into = folder / "net.zip", folder / "net.onnx"
    archive.write_bytes(body)
    try:
        digest = archives.take_member(archive, member, into, most_bytes=MOST)
    except ValueError:
        assert list(folder.iterdir()) == [archive]
        raise
    assert sorted(folder.iterdir()) == [into, archive]
    return digest, into.read_bytes()


@pytest.mark.parametrize("member", ["end2end.onnx", "net/end2end.onnx", "2023/net/end2end.onnx"])
def test_a_member_is_found_by_its_path_or_the_end_of_it(tmp_path: Path, member: str) -> None:
    body = zipped(
        ("2023/net/end2end.onnx", BODY), ("2023/not_end2end.onnx", OTHER), ("../../evil", b"evil")
    )
    assert take(body, tmp_path, member=member) == (digest_of(BODY), BODY)


@pytest.mark.parametrize(
    "name", ["", ".", "..", "/a", "a/", "a//b", "../a", "a\\b", "c:a", "a\n", 5]
)
def test_names_that_lead_elsewhere_are_refused(name: Any) -> None:
    with pytest.raises(InputError, match=r"^member: expected a path inside of the archive"):
        archives.check_member(name)


def link(name: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.external_attr = 0o120777 << 16
    return info


def lying(size: int) -> bytes:
    """An archive whose member is longer than it says."""
    body = bytearray(zipped(("end2end.onnx", BODY)))
    at = body.rindex(b"PK\x01\x02") + 24  # the uncompressed size in the central directory
    body[at : at + 4] = size.to_bytes(4, "little")
    return bytes(body)


def packed(way: int) -> bytes:
    info = zipfile.ZipInfo("end2end.onnx")
    info.compress_type = way
    return zipped((info, BODY))


def encrypted() -> bytes:
    body = bytearray(zipped(("end2end.onnx", BODY)))
    body[body.rindex(b"PK\x01\x02") + 8] |= 1
    return bytes(body)


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: BODY, "not a zip file"),
        (lambda: b"", "not a zip file"),
        (lambda: zipped(("other.onnx", BODY)), "it is there 0 times"),
        (lambda: zipped(("end2end.onnx", BODY), ("end2end.onnx", OTHER)), "it is there 2 times"),
        (lambda: zipped(("a/end2end.onnx", BODY), ("b/end2end.onnx", OTHER)), "there 2 times"),
        (lambda: zipped(("../end2end.onnx", BODY)), "a path inside of the archive"),
        (lambda: zipped(("/end2end.onnx", BODY)), "a path inside of the archive"),
        (lambda: zipped((link("end2end.onnx"), b"/etc/passwd")), "no plain file"),
        (lambda: zipped(("end2end.onnx", bytes(2 << 20))), "at most 1048576 are taken"),
        (lambda: lying(1000), "CRC"),
        (lambda: zipped(("end2end.onnx", BODY))[:50_000], "not a zip file"),
        (lambda: packed(zipfile.ZIP_BZIP2), "compressed by way 12"),
        (lambda: packed(zipfile.ZIP_LZMA), "compressed by way 14"),
        (encrypted, "it is encrypted"),
        (lambda: zipped(*((f"{i}", b"") for i in range(10_001))), "10001 members"),
    ],
)
def test_archives_that_are_not_what_they_should_be_are_refused(
    tmp_path: Path, make: Any, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        take(make(), tmp_path)


def test_a_damaged_member_is_refused(tmp_path: Path) -> None:
    body = bytearray(zipped(("end2end.onnx", BODY)))
    body[50_000] ^= 1
    with pytest.raises(ValueError, match="CRC"):
        take(bytes(body), tmp_path)


def test_whatever_is_damaged_the_member_is_right_or_refused(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    good = zipped(("a/end2end.onnx", BODY[:50]), ("b", b"b"))
    refused = 0
    for _ in range(500):
        body = bytearray(good)
        for at in rng.integers(0, len(body), rng.integers(1, 4)):
            body[at] = rng.integers(0, 256)
        for path in tmp_path.iterdir():
            path.unlink()
        try:
            assert take(bytes(body), tmp_path)[1] == BODY[:50]
        except ValueError:
            refused += 1
    assert refused > 150
