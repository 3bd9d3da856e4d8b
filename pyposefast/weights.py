"""Weights: taken from the cache if they are right, else fetched, checked, and kept there.

A file gets its final name only when it is complete and checked, and is checked again the first
time that a process uses it: against the published digest or, where none is, against the one that
was seen first, which is pinned in a file beside the weights. One process fetches while the others
wait. What a killed process leaves behind is continued by the next one.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import logging
import os
import re
import sys
import time
import urllib.parse
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Literal, get_args

from pyposefast import archives, arguments, downloads, https
from pyposefast.caches import cache_folder
from pyposefast.downloads import Limits, Part, RemoteFile
from pyposefast.errors import DownloadError, InputError, InputTypeError, StorageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

__all__ = ["Limits", "Source", "fetch", "path_of", "source_of"]

Published = Literal["onnx", "checkpoint"]

_LOG = logging.getLogger(__name__)
_REFRESH_S = 0.1  # of the progress bar
_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\.|$)", re.IGNORECASE)
_FILE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._+-]{0,127}")
_OWN_ENDINGS = (".sha256", ".lock", ".part", ".json")

# What was checked in this process: path -> (size, mtime_ns, inode) and digest.
_checked: dict[Path, tuple[tuple[int, int, int], str]] = {}


@dataclass(frozen=True, slots=True)
class Source:
    """Where weights are published, and how to tell that they are the right ones.

    Digest and size are those of what is fetched: of the archive, if the weights are a ``member``.
    """

    name: str  # of the network, [a-z0-9_-]: its folder in the cache
    url: str | None = None  # https; None: they have to be fetched by hand
    file: str | None = None  # name in the cache; None: the member's, or that in the address
    sha256: str | None = None  # 64 hexadecimal digits
    sha256_prefix: str | None = None  # the first digits, where no more are published
    size_bytes: int | None = None
    member: str | None = None  # the one file that is taken out of a zip archive
    licence: str | None = None
    hosts: tuple[str, ...] = ()  # to which the address may redirect, besides its own
    published: Published = "onnx"
    origin: str | None = None  # the page that lists them

    def __post_init__(self) -> None:
        """Refuse what would leave the folder, the network's address, or mean nothing."""
        if not re.fullmatch(r"[a-z0-9_-]{1,64}", str(self.name)):
            raise InputError("name", "1 to 64 of a-z, 0-9, _ and -", repr(self.name))
        for key, pattern, expected in (
            ("sha256", r"[0-9a-f]{64}", "64 hexadecimal digits, in small letters"),
            ("sha256_prefix", r"[0-9a-f]{8,63}", "8 to 63 hexadecimal digits, in small letters"),
            ("url", r"https://[^\s@#]+", "an https address, without a user or a fragment"),
        ):
            value = getattr(self, key)
            if value is not None and not (isinstance(value, str) and re.fullmatch(pattern, value)):
                raise InputError(key, expected, repr(value))
        for url in (self.url, *(f"https://{host}" for host in self.hosts)):
            if url is not None and https.place_of(url) is None:
                raise InputError("url", "an address with a host", https.plain(repr(url)))
        arguments.word(self.published, "published", get_args(Published))
        if self.size_bytes is not None:
            arguments.integer(self.size_bytes, "size_bytes", 1, 1 << 40)
        if self.member is not None:
            archives.check_member(self.member)
        if self.file is not None or self.member is not None or self.url is not None:
            _check_file(self.file_name)

    @property
    def file_name(self) -> str:
        """The name in the cache."""
        if self.file is not None:
            return self.file
        if self.member is not None:
            return self.member.rpartition("/")[2]
        path = urllib.parse.urlsplit(self.url or "").path
        return urllib.parse.unquote(path).rpartition("/")[2]


def source_of(name: str, table: Mapping[str, Any]) -> Source:
    """Read the ``weights`` of a network's row in the zoo."""
    known = [each.name for each in fields(Source) if each.name != "name"]
    for key in table:
        if key not in known:
            expected = "one of " + ", ".join(f"weights.{each}" for each in known)
            raise InputError(f"weights.{key}", expected, "an unknown key")
    hosts = table.get("hosts", [])
    if not isinstance(hosts, (list, tuple)):
        raise InputTypeError("weights.hosts", "a list of names", repr(hosts))
    return Source(name, **{**table, "hosts": tuple(hosts)})


def path_of(source: Source) -> Path:
    """Return where the weights are, or will be, without looking for them."""
    return cache_folder() / "weights" / source.name / source.file_name


def fetch(
    source: Source,
    *,
    progress: Callable[[int, int | None], None] | None = None,
    cafile: str | Path | None = None,
    limits: Limits | None = None,
    lock_s: float = 3600.0,
) -> Path:
    """Return the weights' file, which is complete and checked; without any network if it is there.

    Args:
        source: what is wanted.
        progress: called with the bytes so far and the bytes in all, or None where the server does
            not say; by default a bar on the standard error stream, if that is a terminal.
        cafile: certificates of further authorities, in PEM: a company's own, say.
        limits: on time and size.
        lock_s: how long to wait for another process that fetches the same.

    Raises:
        DownloadError: it is not there and could not be fetched, or is not what it should be.
        StorageError: the cache cannot be written.
    """
    target = path_of(source)
    if _is_right(target, source):
        return target
    if source.url is None:
        listed = f"see {source.origin}, and " if source.origin else ""
        raise DownloadError(
            f"{source.name}: its weights are not in {target.parent}, and have no address",
            f"{listed}hand a file over with `weights=`",
        )
    remote = RemoteFile(
        source.url,
        _by_hand(source),
        hosts=source.hosts,
        sha256=source.sha256,
        sha256_prefix=source.sha256_prefix,
        size_bytes=source.size_bytes,
    )
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with _lock(target, lock_s):
            if not _is_right(target, source):  # another process may have been faster
                _fetch_locked(source, remote, target, progress, cafile, limits or Limits())
    except StorageError:
        raise
    except OSError as error:
        raise _storage_error(error, target) from error
    return target


def _fetch_locked(
    source: Source,
    remote: RemoteFile,
    target: Path,
    progress: Callable[[int, int | None], None] | None,
    cafile: str | Path | None,
    limits: Limits,
) -> None:
    _tell(source)
    with _bar(source.name) if progress is None else contextlib.nullcontext(progress) as show:
        part, digest = downloads.download(remote, target, show=show, cafile=cafile, limits=limits)
    if source.member is not None:
        part, digest = _unpacked(part, source.member, target, remote, limits)
    pinned = _pin(target)
    is_published = source.sha256 is not None and source.member is None
    if pinned is not None and pinned != digest and not is_published:
        part.discard()
        raise DownloadError(
            f"{source.url}: the file has SHA-256 {digest}, but {pinned} when it was first used",
            f"if the change is known and wanted, delete {_pin_path(target)}",
        )
    _publish(part, target, digest)


def _unpacked(
    archive: Part, member: str, target: Path, remote: RemoteFile, limits: Limits
) -> tuple[Part, str]:
    """Take the one member out of an archive, and drop the archive."""
    taken = Part(downloads.private_path(target), archive.url)
    try:
        digest = archives.take_member(
            archive.path, member, taken.path, most_bytes=limits.most_bytes
        )
    except ValueError as error:
        archive.discard()
        raise DownloadError(
            f"{remote.url}: expected a zip archive with {member} in it: {https.plain(error)}",
            remote.by_hand,
        ) from error
    archive.discard()
    return taken, digest


def _is_right(target: Path, source: Source) -> bool:
    """Whether the file is there, and is the one that was published or first used."""
    try:
        with target.open("rb") as file:
            status = os.fstat(file.fileno())
            signature = (status.st_size, status.st_mtime_ns, status.st_ino)
            known = _checked.get(target)
            digest = known[1] if known and known[0] == signature else None
            digest = digest or downloads.digest_of(file)
    except FileNotFoundError:
        return False
    except OSError as error:
        raise _storage_error(error, target) from error
    wanted = source.sha256 if source.member is None else None
    wanted = wanted or _pin(target)
    if wanted is None and source.sha256_prefix is not None and source.member is None:
        wanted = digest if digest.startswith(source.sha256_prefix) else None
        if wanted is not None:  # put there by hand: this is the first use
            try:
                _write_pin(target, digest)
            except OSError as error:
                raise _storage_error(error, _pin_path(target)) from error
    if digest == wanted:
        _checked[target] = (signature, digest)
        return True
    _checked.pop(target, None)
    _LOG.warning("%s: SHA-256 %s, expected %s: not used", target, digest, wanted or "a known one")
    return False


def _pin_path(target: Path) -> Path:
    return target.with_name(target.name + ".sha256")


def _pin(target: Path) -> str | None:
    """The digest that was written down when the weights were first used, as sha256sum writes it."""
    try:
        with _pin_path(target).open(encoding="ascii", errors="replace") as file:
            digest = file.read(64)
    except FileNotFoundError:
        return None
    if not re.fullmatch("[0-9a-f]{64}", digest):
        raise DownloadError(
            f"{_pin_path(target)}: expected 64 hexadecimal digits, got {digest!r}",
            f"delete it, and {target.name} too unless you know where it is from",
        )
    return digest


def _write_pin(target: Path, digest: str) -> None:
    temporary = downloads.private_path(target)
    with temporary.open("w", encoding="ascii") as file:
        file.write(f"{digest}  {target.name}\n")
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(_pin_path(target))


def _publish(part: Part, target: Path, digest: str) -> None:
    """Give a complete and checked file its name, so that a crash leaves all of it or nothing."""
    _sync(part.path)
    _write_pin(target, digest)
    part.path.replace(target)
    _sync(target.parent)
    part.discard()
    status = target.stat()
    _checked[target] = ((status.st_size, status.st_mtime_ns, status.st_ino), digest)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextlib.contextmanager
def _lock(target: Path, lock_s: float) -> Iterator[None]:
    """Keep other processes and threads away from a target; the kernel frees it if this one dies.

    The file of the lock stays: were it deleted, two processes could hold two locks of one name.
    """
    until = time.monotonic() + lock_s
    with target.with_name(target.name + ".lock").open("a") as file:
        pause_s = 0.01
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError as error:
                if error.errno not in (errno.EAGAIN, errno.EACCES):
                    raise
            if time.monotonic() > until:
                raise DownloadError(
                    f"{target}: another process has been fetching it for {lock_s:g} s",
                    "see what holds the file of that name with .lock at its end",
                )
            time.sleep(pause_s)
            pause_s = min(2 * pause_s, 0.5)
        yield


def _check_file(name: Any) -> None:
    """Refuse names that are more than a name, on this system or another."""
    is_plain = isinstance(name, str) and _FILE.fullmatch(name) and not name.endswith(".")
    if not is_plain or ".." in name or _RESERVED.match(name) or name.endswith(_OWN_ENDINGS):
        raise InputError("file", "a plain name of letters, digits, dots and dashes", repr(name))


def _by_hand(source: Source) -> str:
    target = path_of(source)
    what = f"`{source.member}` out of it" if source.member else "it"
    listed = f" (listed on {source.origin})" if source.origin else ""
    text = f"fetch {source.url}{listed} elsewhere and put {what} at {target}"
    if source.member is None and (source.sha256 or source.sha256_prefix):
        return text
    return f"{text}, and what sha256sum says of it at {_pin_path(target).name} beside it"


def _storage_error(error: OSError, path: Path) -> StorageError:
    hint = "PYPOSEFAST_CACHE names another folder"
    raised = StorageError(f"{error.filename or path}: {error.strerror or error}", hint)
    raised.errno = error.errno  # and no more: with a file name too, OSError drops the message
    return raised


def _tell(source: Source) -> None:
    """One line before anything is fetched: what, from where, on whose terms."""
    pin = "" if source.sha256 else "; no whole digest is published, the first one seen is pinned"
    licence = source.licence or "unknown, see its origin"
    _say(f"{source.name}: fetching {source.url} (licence: {https.plain(licence)}){pin}\n")


def _say(text: str) -> None:
    if sys.stderr is not None:
        sys.stderr.write(text)
        sys.stderr.flush()


@contextlib.contextmanager
def _bar(name: str) -> Iterator[Callable[[int, int | None], None]]:
    """Show a bar if somebody can see it."""
    if sys.stderr is None or not sys.stderr.isatty():
        yield lambda _have, _total: None
        return
    last_s = -_REFRESH_S

    def show(have: int, total: int | None) -> None:
        nonlocal last_s
        now_s = time.monotonic()
        if now_s - last_s < _REFRESH_S and have != total:
            return
        last_s = now_s
        text = f"{have / 1e6:.1f} MB"
        if total:
            filled = 30 * have // total
            text = f"[{'=' * filled}{' ' * (30 - filled)}] {text} of {total / 1e6:.1f} MB"
        _say(f"\r{name} {text}")

    try:
        yield show
    finally:
        _say("\n")
