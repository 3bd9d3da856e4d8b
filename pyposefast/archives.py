"""Archives: one member is taken out of a zip file that nobody has to trust."""

from __future__ import annotations

import errno
import hashlib
import re
import stat
import struct
import zipfile
import zlib
from typing import TYPE_CHECKING, Any

from pyposefast.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["check_member", "take_member"]

_CHUNK = 1 << 16  # bytes
_MOST_MEMBERS = 10_000
_ENCRYPTED = 1  # the flag of a member
# What zipfile says of damaged archives.
_DAMAGES = (zipfile.BadZipFile, zlib.error, struct.error, RuntimeError, EOFError, OverflowError)


def check_member(name: Any) -> None:
    """Refuse a member's name that leads out of the archive, on this system or another.

    Raises:
        InputError: so does this name.
    """
    parts = name.split("/") if isinstance(name, str) else [""]
    if any(part in ("", ".", "..") for part in parts) or re.search(r"[\0-\x1f\\:]", name):
        raise InputError("member", "a path inside of the archive", repr(name))


def take_member(archive: Path, member: str, into: Path, *, most_bytes: int) -> str:
    """Write one member to a file, and return its SHA-256; the archive stays as it is.

    Args:
        archive: a zip file.
        member: the path of the member, or its name in whatever folder, if there is one alone.
        into: the file to write.
        most_bytes: that the member may have.

    Raises:
        ValueError: the archive is damaged, or has no such member that could be taken; ``into`` is
            not there.
        OSError: the file cannot be written.
    """
    try:
        with zipfile.ZipFile(archive) as opened:
            return _write(opened, _find(opened, member, most_bytes), into)
    except _DAMAGES as error:
        into.unlink(missing_ok=True)
        raise ValueError(str(error)) from error
    except ValueError:
        into.unlink(missing_ok=True)
        raise
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        into.unlink(missing_ok=True)
        raise ValueError("something begins before the archive does") from error


def _write(archive: zipfile.ZipFile, info: zipfile.ZipInfo, into: Path) -> str:
    digest = hashlib.sha256()
    left = info.file_size
    with archive.open(info) as stream, into.open("wb") as file:
        while data := stream.read(_CHUNK):
            left -= len(data)
            if left < 0:
                raise ValueError("it is longer than it says")
            digest.update(data)
            file.write(data)
    if left:
        raise ValueError("it is shorter than it says")
    return digest.hexdigest()


def _find(archive: zipfile.ZipFile, member: str, most_bytes: int) -> zipfile.ZipInfo:
    infos = archive.infolist()
    if len(infos) > _MOST_MEMBERS:
        raise ValueError(f"{len(infos)} members, at most {_MOST_MEMBERS} are looked at")
    found = [i for i in infos if i.filename == member or i.filename.endswith("/" + member)]
    if len(found) != 1:
        raise ValueError(f"it is there {len(found)} times")
    info = found[0]
    check_member(info.filename)
    kind = stat.S_IFMT(info.external_attr >> 16)
    if kind not in (0, stat.S_IFREG) or info.flag_bits & _ENCRYPTED:
        raise ValueError("it is encrypted, or no plain file")
    # The other ways fail in ways of their own when they are damaged, as a full disk does.
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ValueError(f"it is compressed by way {info.compress_type}, expected 0 or 8")
    if info.file_size > most_bytes:
        raise ValueError(f"{info.file_size} bytes, at most {most_bytes} are taken")
    return info
