"""Compiled plans on disk: found by everything they depend on, and trusted only when we wrote them.

A plan is native code, so a file is used only if its folder and it belong to this user, and a keyed
digest says that this cache wrote it. One file holds both, which is what makes replacing it atomic:
a line of JSON (the manifest) and then the plan. A cache that cannot be used costs a warning and the
time to build, never an answer.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import hmac
import json
import logging
import os
import secrets
import stat
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pyposefast.caches import cache_folder
from pyposefast.errors import EngineCacheError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["PlanCache", "PlanKey"]

FORMAT = 1
WAIT_S = 3600.0  # for another builder: the longest builds take most of an hour

_MOST_MANIFEST_BYTES = 1 << 16
_MAC_KEY_BYTES = 32
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.002, 0.5
_PATIENCE_S = 2.0  # a wait that is longer is worth a line in the log
_BUSY = (errno.EACCES, errno.EAGAIN)

_log = logging.getLogger("pyposefast")


@dataclass(frozen=True, slots=True)
class PlanKey:
    """Everything that a plan depends on; another value anywhere is another plan."""

    onnx: str  # SHA-256 of the network, in hexadecimal
    tensor_rt: str  # version
    gpu: str  # name
    compute_capability: str
    driver: str  # version
    precision: str
    profiles: str  # input shapes, or the rule that they come from
    flags: str  # of the build
    platform: str  # operating system and processor
    kind: Literal["plan", "timing"] = "plan"  # "timing": what the builder measured

    @property
    def stem(self) -> str:
        """Return the name of its file, without a suffix; a newer format has other names."""
        text = json.dumps(asdict(self), sort_keys=True)
        return f"v{FORMAT}-{hashlib.sha256(text.encode()).hexdigest()[:40]}"


class PlanCache:
    """Plans in one folder, which any number of threads and processes may share."""

    def __init__(self, folder: str | os.PathLike[str] | None = None) -> None:
        """Take a folder, which is made when it is needed.

        Args:
            folder: where the plans are; by default ``plans`` in ``cache_folder()``.
        """
        self.folder = cache_folder() / "plans" if folder is None else Path(folder)
        self._has_warned = False

    def get_or_build(
        self, key: PlanKey, build: Callable[[], bytes], *, wait_s: float = WAIT_S
    ) -> bytes:
        """Return the plan of a key, and build it if there is none that can be trusted.

        Of all that ask for one key at once, one builds and the others wait for it. What cannot be
        trusted is moved aside to ``*.bad`` with a warning. Where the folder cannot be used, the
        plan is built and not kept, with one warning for each cache.

        Args:
            key: what the plan depends on.
            build: makes the plan; what it raises goes through to the caller.
            wait_s: how long to wait for another builder, in seconds.

        Raises:
            EngineCacheError: another process has been building for longer than ``wait_s``.
        """
        mac_key = self._open()
        if mac_key is None:
            return build()
        path = self._path(key)
        try:
            return _read(path, key, mac_key)
        except (_Absent, _Newer, _Untrusted, OSError):
            pass  # looked at again below, where nobody else writes
        with contextlib.ExitStack() as held:
            flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW
            try:
                lock = held.enter_context(_opened(path.with_suffix(".lock"), flags))
                _acquire(lock, path, wait_s)  # closing it frees it, as the end of the process does
            except OSError as error:
                self._warn(error)
                return build()
            return self._build_alone(path, key, mac_key, build)

    def read(self, key: PlanKey) -> bytes | None:
        """Return what is kept under a key, or None if there is nothing that can be trusted."""
        mac_key = self._open()
        if mac_key is None:
            return None
        path = self._path(key)
        try:
            return _read(path, key, mac_key)
        except (_Absent, _Newer):
            return None
        except _Untrusted as reason:
            _move_aside(path, str(reason))
        except OSError as error:
            self._warn(error)
        return None

    def write(self, key: PlanKey, content: bytes) -> None:
        """Keep something under a key, in place of what was there; a failure is a warning."""
        mac_key = self._open()
        if mac_key is not None:
            self._write(self._path(key), key, mac_key, content)

    def reject(self, key: PlanKey, reason: str) -> None:
        """Move aside what TensorRT does not want although it is what was written."""
        path = self._path(key)
        if path.exists():
            _move_aside(path, reason)

    def _build_alone(
        self, path: Path, key: PlanKey, mac_key: bytes, build: Callable[[], bytes]
    ) -> bytes:
        """Look once more, now that nobody else builds, and build."""
        keep = True
        try:
            return _read(path, key, mac_key)
        except _Absent:
            pass
        except _Newer as reason:
            _log.warning("plan cache: %s %s: it is left alone, and not used", path, reason)
            keep = False
        except _Untrusted as reason:
            _move_aside(path, str(reason))
        except OSError as error:
            self._warn(error)
            keep = False
        # Whoever else wrote this plan is dead: the lock was theirs.
        for leftover in self.folder.glob(f".{path.name}.*.tmp"):
            with contextlib.suppress(OSError):
                leftover.unlink()
        plan = build()
        if keep:
            self._write(path, key, mac_key, plan)
        return plan

    def _write(self, path: Path, key: PlanKey, mac_key: bytes, content: bytes) -> None:
        try:
            _replace(path, [_manifest(key, mac_key, content), b"\n", content])
        except OSError as error:
            self._warn(error)

    def _path(self, key: PlanKey) -> Path:
        return self.folder / f"{key.stem}.{key.kind}"

    def _open(self) -> bytes | None:
        """Make sure that the folder is ours; return the key of its digests, None if it is not."""
        try:
            _own_folder(self.folder)
            return _mac_key(self.folder / "mac.key")
        except OSError as error:
            self._warn(error)
            return None

    def _warn(self, error: OSError) -> None:
        if not self._has_warned:
            self._has_warned = True
            _log.warning("plan cache: %s cannot be used, going on without: %s", self.folder, error)


# ---- reading -------------------------------------------------------------------------------------


class _Absent(Exception):  # noqa: N818  these three say what was found, to this file alone
    """There is no such file."""


class _Newer(Exception):  # noqa: N818
    """A later version of this package wrote it."""


class _Untrusted(Exception):  # noqa: N818
    """The text says why."""


def _read(path: Path, key: PlanKey, mac_key: bytes) -> bytes:
    """Return the plan in a file, after everything that can be said against it was looked at."""
    try:
        # Without waiting: opening a named pipe would otherwise last until somebody writes to it.
        with _opened(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK) as descriptor:
            _check_owner(os.fstat(descriptor))
            with os.fdopen(descriptor, "rb", closefd=False) as file:
                manifest = _checked(file.readline(_MOST_MANIFEST_BYTES), key, mac_key)
                content = file.read()
    except FileNotFoundError:
        raise _Absent from None
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise _Untrusted("is a link") from None
        raise
    if len(content) != manifest["size_bytes"]:
        raise _Untrusted(f"holds {len(content)} bytes instead of {manifest['size_bytes']}")
    if hashlib.sha256(content).hexdigest() != manifest["sha256"]:
        raise _Untrusted("is not what was written")
    return content


def _checked(line: bytes, key: PlanKey, mac_key: bytes) -> dict[str, Any]:
    """Return the manifest, if this cache wrote it, and for this key."""
    try:
        manifest = json.loads(line)
    except (ValueError, RecursionError):
        raise _Untrusted("has a damaged manifest") from None
    if not isinstance(manifest, dict) or type(manifest.get("format")) is not int:
        raise _Untrusted("has a damaged manifest")
    if manifest["format"] > FORMAT:
        raise _Newer(f"has format {manifest['format']}, which this version does not know")
    mac = manifest.pop("mac", None)
    is_ascii = isinstance(mac, str) and mac.isascii()  # else it cannot even be compared
    if not is_ascii or not hmac.compare_digest(mac, _mac(manifest, mac_key)):
        raise _Untrusted("has a manifest that this cache did not write")
    if manifest["format"] != FORMAT or manifest["key"] != asdict(key):
        raise _Untrusted("is the plan of something else")
    return manifest


def _check_owner(status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise _Untrusted("is not a file")
    if status.st_uid != os.geteuid():
        raise _Untrusted(f"belongs to user {status.st_uid}")
    if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise _Untrusted("can be written by others")


def _move_aside(path: Path, reason: str) -> None:
    _log.warning("plan cache: %s %s: it is moved to *.bad, and made again", path, reason)
    with contextlib.suppress(OSError):  # the next plan takes its place in any case
        path.replace(path.with_name(path.name + ".bad"))


# ---- writing -------------------------------------------------------------------------------------


def _manifest(key: PlanKey, mac_key: bytes, content: bytes) -> bytes:
    manifest: dict[str, Any] = {
        "format": FORMAT,
        "key": asdict(key),
        "size_bytes": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
    }
    return json.dumps({**manifest, "mac": _mac(manifest, mac_key)}).encode()


def _mac(manifest: dict[str, Any], mac_key: bytes) -> str:
    text = json.dumps(manifest, sort_keys=True)
    return hmac.new(mac_key, text.encode(), hashlib.sha256).hexdigest()


def _replace(path: Path, parts: list[bytes]) -> None:
    """Write a file under another name, and give it its own once it is whole and on the disk."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}.tmp")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.writelines(parts)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
    with _opened(path.parent, os.O_RDONLY | os.O_DIRECTORY) as folder:
        os.fsync(folder)


# ---- folder, key, lock ---------------------------------------------------------------------------


@contextlib.contextmanager
def _opened(path: Path, flags: int, mode: int = 0o600) -> Iterator[int]:
    descriptor = os.open(path, flags | os.O_CLOEXEC, mode)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _own_folder(folder: Path) -> None:
    """Make the folder, or check that it is this user's; nobody else may look into it."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    folder.mkdir(mode=0o700, exist_ok=True)
    with _opened(folder, os.O_RDONLY | os.O_DIRECTORY) as descriptor:
        status = os.fstat(descriptor)
        if status.st_uid != os.geteuid():
            raise PermissionError(errno.EPERM, f"it belongs to user {status.st_uid}")
        if stat.S_IMODE(status.st_mode) & 0o077:
            os.fchmod(descriptor, 0o700)


def _mac_key(path: Path) -> bytes:
    """Return the secret that this user's manifests are signed with; made on first use."""
    try:
        with _opened(path, os.O_RDONLY | os.O_NOFOLLOW) as descriptor:
            key = _usable_key(descriptor)
            if key is not None:
                return key
    except FileNotFoundError:
        pass
    with _opened(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW) as descriptor:
        fcntl.flock(descriptor, fcntl.LOCK_EX)  # held for as long as it takes to write 32 bytes
        key = _usable_key(descriptor)
        if key is None:  # new, cut short, or one that others could read
            key = secrets.token_bytes(_MAC_KEY_BYTES)
            os.fchmod(descriptor, 0o600)
            os.ftruncate(descriptor, 0)
            written = os.pwrite(descriptor, key, 0)
            if written != _MAC_KEY_BYTES:
                raise OSError(errno.ENOSPC, "no room for its key")
            os.fsync(descriptor)
        return key


def _usable_key(descriptor: int) -> bytes | None:
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode) or status.st_uid != os.geteuid():
        raise PermissionError(errno.EPERM, f"its key belongs to user {status.st_uid}")
    if stat.S_IMODE(status.st_mode) & 0o077:
        return None
    key = os.pread(descriptor, _MAC_KEY_BYTES + 1, 0)
    return key if len(key) == _MAC_KEY_BYTES else None


def _acquire(lock: int, path: Path, wait_s: float) -> None:
    """Wait for the lock of one plan; who holds it is in the file."""
    start = time.monotonic()
    pause, has_spoken = _FIRST_PAUSE_S, False
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in _BUSY:
                raise
        else:
            with contextlib.suppress(OSError):  # a full disk; it is only for the message
                os.ftruncate(lock, 0)
                os.pwrite(lock, str(os.getpid()).encode(), 0)
            return
        waited = time.monotonic() - start
        holder = os.pread(lock, 32, 0).decode(errors="replace") or "unknown"
        if waited >= wait_s:
            raise EngineCacheError(
                f"{path}: process {holder} has been building it for more than {wait_s:.0f} s",
                "wait for it or end it, or open the engine with another cache folder",
            )
        if waited >= _PATIENCE_S and not has_spoken:
            has_spoken = True
            _log.info("plan cache: waiting for process %s, which is building %s", holder, path)
        time.sleep(min(pause, max(wait_s - waited, 0.0)))
        pause = min(2.0 * pause, _LONGEST_PAUSE_S)
