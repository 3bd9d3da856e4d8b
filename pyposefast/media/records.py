"""Records on disk: JSON that appears only when it is whole, and logs that survive being cut."""

from __future__ import annotations

import fcntl
import json
import os
import stat
from typing import TYPE_CHECKING, Any

import numpy as np

from pyposefast import arguments
from pyposefast.errors import InputError, InputTypeError, StorageError
from pyposefast.files import as_path, open_regular, shown, storage_error, write_bytes

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import BinaryIO

_LONGEST_RECORD = 64 << 20  # bytes of a line


def write_json(path: str | os.PathLike[str], value: Any) -> None:
    """Write a JSON file; it appears under its name only when it is complete and on the disk.

    ``write_json(path, poses.to_coco(image_id))`` writes results for COCO's tools.

    Args:
        path: missing folders are made, and a file of that name is replaced.
        value: dicts, lists, text, finite numbers; NumPy's too.

    Raises:
        InputError: NaN or an infinite number, which JSON does not have.
        StorageError: the disk is full, read-only or gone.
    """
    write_bytes(as_path(path), _json(value, "value").encode("ascii") + b"\n")


class JsonLines:
    """A log of records, one JSON object a line: whatever happens, all but the last line are whole.

    Every record reaches the file before ``write`` returns, and the disk every so often. The log is
    locked: a second writer is refused. It is for one thread at a time.
    """

    def __init__(
        self, path: str | os.PathLike[str], *, resume: bool = False, sync_every: int = 100
    ) -> None:
        """Open a log.

        Args:
            path: missing folders are made.
            resume: go on behind the last whole record, cutting off what a crash left of the next
                one. Otherwise start anew.
            sync_every: after so many records they are forced to the disk.

        Raises:
            StorageError: the file cannot be written, another run is writing to it, or, to resume,
                it is damaged before its end or is no such log.
        """
        self._path = as_path(path)
        arguments.flag(resume, "resume")
        self._sync_every = arguments.integer(sync_every, "sync_every", 1, 1 << 30)
        self.count = 0  # whole records in the file
        self.last: dict[str, Any] | None = None  # the last of them
        self._end = 0
        self._file: BinaryIO | None = self._opened()
        try:
            if resume:
                self._find_end(self._file)
            self._file.truncate(self._end)
            self._file.seek(self._end)
        except OSError as error:
            self._file.close()
            if isinstance(error, StorageError):
                raise
            raise storage_error(self._path, error) from error
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> JsonLines:  # noqa: PYI034  Self came with Python 3.11
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def write(self, record: Mapping[str, Any]) -> None:
        """Append a record.

        Raises:
            InputError: NaN or an infinite number, which JSON does not have.
            StorageError: the disk is full; the file ends with the record before.
        """
        file = self._file
        if file is None:
            raise InputError("record", "a log that is not closed", f"{shown(self._path)}, closed")
        plain = dict(record)
        line = _json(plain, "record").encode("ascii") + b"\n"
        try:
            rest = memoryview(line)
            while rest:  # unbuffered: a nearly full disk takes a part
                rest = rest[file.write(rest) :]
            if (self.count + 1) % self._sync_every == 0:
                os.fsync(file.fileno())
        except OSError as error:
            self._cut(file)
            hint = f"{self.count} records are whole; free some space and resume"
            raise storage_error(self._path, error, hint) from error
        self._end += len(line)
        self.count += 1
        self.last = plain

    def close(self) -> None:
        """Force the records to the disk and let go of the file."""
        file, self._file = self._file, None
        if file is None:
            return
        try:
            os.fsync(file.fileno())
        except OSError as error:
            raise storage_error(self._path, error) from error
        finally:
            file.close()

    def _opened(self) -> BinaryIO:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY
            file = os.fdopen(os.open(self._path, flags, 0o644), "r+b", buffering=0)
        except OSError as error:
            raise storage_error(self._path, error) from error
        try:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                message = f"{shown(self._path)}: expected a regular file"
                raise StorageError(message)  # noqa: TRY301  closes like the failures beside it
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            file.close()
            message = f"{shown(self._path)}: another run is writing to it"
            raise StorageError(message, "wait for it, or choose another name") from error
        except BaseException:
            file.close()
            raise
        return file

    def _find_end(self, file: BinaryIO) -> None:
        """Read up to the end of the last whole record; refuse to cut off more than one."""
        with os.fdopen(os.dup(file.fileno()), "rb") as lines:
            lines.seek(0)
            broken: bytes | None = None
            while line := lines.readline(_LONGEST_RECORD):
                record = _record(line)
                if record is not None and broken is None:
                    self._end += len(line)
                    self.count += 1
                    self.last = record
                elif record is not None or (self.count == 0 and line[:1] != b"{"):
                    what = f"damaged at byte {self._end}" if self.count else "no log of records"
                    message = f"{shown(self._path)}: cannot be resumed: {what}"
                    raise StorageError(message, "look at the file, or choose another name")
                else:
                    broken = line

    def _cut(self, file: BinaryIO) -> None:
        """Remove what a failed write left; a disk that refuses this too is cut when resumed."""
        try:
            file.truncate(self._end)
            file.seek(self._end)
        except OSError:
            file.close()
            self._file = None


def read_json_lines(path: str | os.PathLike[str]) -> list[dict[str, Any]]:
    """Return the whole records of a log, leaving out what a crash left of the last one."""
    records = []
    with open_regular(as_path(path)) as lines:
        while (record := _record(lines.readline(_LONGEST_RECORD))) is not None:
            records.append(record)
    return records


def _record(line: bytes) -> dict[str, Any] | None:
    """Return what a whole line says, None if it is not whole."""
    if not line.endswith(b"\n"):
        return None
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return record if isinstance(record, dict) else None


def _json(value: Any, argument: str) -> str:
    try:
        # ASCII, so that neither a locale nor a name with bytes that are no text is in the way.
        return json.dumps(value, allow_nan=False, default=_plain, separators=(",", ":"))
    except (ValueError, RecursionError) as error:
        raise InputError(argument, "what JSON can hold", shown(error)) from error
    except TypeError as error:
        raise InputTypeError(argument, "what JSON can hold", shown(error)) from error


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    message = f"{type(value).__name__}"
    raise TypeError(message)
