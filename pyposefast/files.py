"""Files of strangers in, files of ours out: only regular files are read, only whole ones appear."""

from __future__ import annotations

import os
import stat
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from pyposefast.errors import InputError, InputTypeError, MediaError, StorageError

if TYPE_CHECKING:
    from typing import BinaryIO

_LONGEST_NAME = 200  # characters of a path in a message
_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFSOCK: "a socket",
}


def shown(text: object) -> str:
    """Return a path or other text from outside as one short line that any terminal can take.

    Control characters, marks that turn the direction of writing and bytes that are no text are
    escaped, so that a file's name can neither forge a line of a log nor move a cursor.
    """
    raw = str(text)
    if len(raw) > _LONGEST_NAME:
        raw = f"{raw[: _LONGEST_NAME // 2]}...{raw[-_LONGEST_NAME // 2 :]}"
    return "".join(
        each if each.isprintable() else each.encode("unicode_escape").decode() for each in raw
    )


def as_path(path: object, argument: str = "path") -> Path:
    """Check that an argument can be the name of a file."""
    if not isinstance(path, (str, os.PathLike)):
        raise InputTypeError(argument, "the path of a file", type(path).__name__)
    name = os.fspath(path)
    if not isinstance(name, str) or not name or "\0" in name:
        raise InputError(argument, "the path of a file", shown(repr(name)))
    return Path(name)


def open_regular(path: Path) -> BinaryIO:
    """Open a regular file, and nothing that could block, act when opened or never end.

    Raises:
        MediaError: there is no such file, it may not be read, or it is a folder, pipe, device ...
    """
    try:
        # Looked at before it is opened, since opening some devices does something; and after it,
        # since the name may mean another file by then, which O_NONBLOCK keeps from blocking.
        _refuse_irregular(path, os.stat(path).st_mode)  # noqa: PTH116  also what Path.stat does
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    except OSError as error:
        message = f"{shown(path)}: cannot be read: {os.strerror(error.errno or 0).lower()}"
        raise MediaError(message) from error
    file = os.fdopen(handle, "rb")
    try:
        _refuse_irregular(path, os.fstat(handle).st_mode)
    except MediaError:
        file.close()
        raise
    return file


def _refuse_irregular(path: Path, mode: int) -> None:
    if not stat.S_ISREG(mode):
        kind = _KINDS.get(stat.S_IFMT(mode), "no regular file")
        message = f"{shown(path)}: expected a regular file, got {kind}"
        raise MediaError(message)


def read_regular(path: Path, *, most_bytes: int) -> bytes:
    """Return what is in a regular file that is no larger than it may be."""
    with open_regular(path) as file:
        try:
            size = os.fstat(file.fileno()).st_size
            # The size is refused before the memory is taken; the one byte more notices a file
            # that grows or lies about its size, as those of /proc do.
            data = file.read(most_bytes + 1) if size <= most_bytes else None
        except OSError as error:
            message = f"{shown(path)}: cannot be read: {os.strerror(error.errno or 0).lower()}"
            raise MediaError(message) from error
    if data is None or len(data) > most_bytes:
        message = f"{shown(path)}: expected at most {most_bytes} bytes, got {max(size, most_bytes)}"
        raise MediaError(f"{message} or more", "raise the limit if the file is meant")
    return data


def storage_error(path: Path, error: OSError, hint: str = "") -> StorageError:
    """Say what the disk refused, with the path; ``errno`` stays readable."""
    reason = os.strerror(error.errno).lower() if error.errno else shown(error)
    return StorageError(f"{shown(path)}: cannot be written: {reason}", hint, errno=error.errno)


class PartialFile:
    """A file in the making, which appears under its name only when it is whole and on the disk.

    It is made beside its final place, since a rename is atomic within one file system only.
    """

    def __init__(self, path: Path) -> None:
        """Make the folder if it is missing, and an empty file with a name of its own in it.

        Raises:
            StorageError: the folder cannot be made or written to.
        """
        self.target = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            # Encoders look at the suffix, and some of them stumble over all but plain letters.
            handle, name = tempfile.mkstemp(dir=path.parent, prefix=".part-", suffix=path.suffix)
        except OSError as error:
            raise storage_error(path, error) from error
        os.close(handle)
        self.path = Path(name)

    def publish(self) -> None:
        """Give the file its name, replacing what had it; on failure nothing is left behind."""
        try:
            with self.path.open("rb") as file:
                os.fsync(file.fileno())
            # mkstemp makes files that only their owner can read; results are as open as any other.
            self.path.chmod(0o644)
            self.path.replace(self.target)
            sync_folder(self.target.parent)
        except OSError as error:
            self.discard()
            raise storage_error(self.target, error) from error
        except BaseException:
            self.discard()
            raise

    def discard(self) -> None:
        """Remove the unfinished file."""
        self.path.unlink(missing_ok=True)


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file that appears under its name only when it is complete and on the disk."""
    partial = PartialFile(path)
    try:
        partial.path.write_bytes(data)
    except OSError as error:
        partial.discard()
        raise storage_error(path, error) from error
    except BaseException:
        partial.discard()
        raise
    partial.publish()


def sync_folder(folder: Path) -> None:
    """Bring a folder's list of names to the disk; without it a rename can be undone by a crash."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
