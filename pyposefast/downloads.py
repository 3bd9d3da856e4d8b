"""Downloads: one file over https into a private one, whatever the server does meanwhile.

A transfer that breaks off goes on where it stopped, in this process or, if this one is killed, in
the next one: beside each private file, a note says what it is the beginning of.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
import time
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any

from pyposefast import https
from pyposefast.errors import DownloadError

if TYPE_CHECKING:
    import http.client
    import ssl
    from collections.abc import Callable
    from pathlib import Path

__all__ = ["Limits", "Part", "RemoteFile", "digest_of", "download", "private_path"]

_CHUNK = 1 << 16  # bytes
_HTTP_OK, _HTTP_PARTIAL = 200, 206


@dataclass(frozen=True, slots=True)
class Limits:
    """How long and how much: what a server may cost at most."""

    timeout_s: float = 30.0  # for a connection, for all headers, and for the next bytes
    floor_bytes_per_s: float = 1024.0  # slower transfers are given up ...
    patience_s: float = 30.0  # ... when they are so for this long
    most_bytes: int = 4 << 30  # of a file whose size is not known beforehand
    attempts: int = 4  # each goes on where the last one broke off
    pause_s: float = 1.0  # before the second attempt; twice as long before each further one


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A file on a server, and what is known of it beforehand."""

    url: str  # https
    by_hand: str  # a hint: how to do without this download
    hosts: tuple[str, ...] = ()  # to which the address may redirect, besides its own
    sha256: str | None = None  # 64 hexadecimal digits
    sha256_prefix: str | None = None  # the first digits, where no more are known
    size_bytes: int | None = None

    def fits(self, digest: str) -> bool:
        """Whether a file of this digest is the right one, as far as that is known."""
        if self.sha256 is not None:
            return digest == self.sha256
        return digest.startswith(self.sha256_prefix or "")


@dataclass(slots=True)
class Part:
    """A download under way or complete: a file of this process alone."""

    path: Path
    url: str
    validator: str | None = None  # the server's word for this version of the file
    total: int | None = None  # bytes, if the server said
    is_resumed: bool = False  # it came in more than one transfer

    @property
    def note(self) -> Path:
        """The file beside it, which says what it is the beginning of."""
        return self.path.with_name(self.path.name + ".json")

    @property
    def size(self) -> int:
        """Bytes so far."""
        return self.path.stat().st_size if self.path.exists() else 0

    def keep_note(self) -> None:
        """Write down what a later process needs to go on."""
        record = {"url": self.url, "validator": self.validator, "total": self.total}
        self.note.write_text(json.dumps(record), encoding="utf-8")

    def start_over(self) -> None:
        """Forget what has come so far."""
        self.discard()
        self.validator, self.total, self.is_resumed = None, None, False

    def discard(self) -> None:
        """Delete it, if it is still there, and its note."""
        self.path.unlink(missing_ok=True)
        self.note.unlink(missing_ok=True)


def download(
    remote: RemoteFile,
    target: Path,
    *,
    show: Callable[[int, int | None], None],
    cafile: str | Path | None,
    limits: Limits,
) -> tuple[Part, str]:
    """Bring in all of a file, and return it with its SHA-256.

    The caller holds a lock on ``target``, and gives the file its name, or deletes it, afterwards.

    Args:
        remote: what is wanted.
        target: what it will be called. The private file is beside it, and goes on from what a
            killed process left there.
        show: called with the bytes so far and the bytes in all, or None where nobody knows.
        cafile: certificates of further authorities, in PEM.
        limits: on time and size.

    Raises:
        DownloadError: it could not be fetched, or is not what it should be.
        InputError: there are no certificates in ``cafile``.
        OSError: the file cannot be written.
    """
    context = https.trusted(cafile)
    part = _adopt_leftover(remote, target)
    digest = _complete(remote, part, show, context, limits)
    if not remote.fits(digest) and part.is_resumed:
        # Its parts came at different times: perhaps from different files.
        part.start_over()
        digest = _complete(remote, part, show, context, limits)
    if not remote.fits(digest):
        part.discard()
        expected = remote.sha256 or f"{remote.sha256_prefix}..."
        raise DownloadError(
            f"{remote.url}: the file has SHA-256 {digest}, expected {expected}",
            "it was changed, by its publisher or on the way here: do not use it",
        )
    return part, digest


def private_path(target: Path) -> Path:
    """Return a name beside another one that nobody else uses; a download that follows deletes it.

    It deletes what processes that died left under such names: all that are there.
    """
    return target.with_name(f"{target.name}.{os.getpid()}-{secrets.token_hex(4)}.part")


def digest_of(file: IO[bytes]) -> str:
    """SHA-256 of a file. ``hashlib.file_digest`` is newer than the oldest Python in use."""
    digest = hashlib.sha256()
    while data := file.read(1 << 20):
        digest.update(data)
    return digest.hexdigest()


# ---- what killed processes left ----------------------------------------------------------------


def _adopt_leftover(remote: RemoteFile, target: Path) -> Part:
    """Take over the longest beginning that a killed process left, and delete the others.

    Whoever holds the lock is alone, so that nobody is still writing to any of them.
    """
    own = Part(private_path(target), remote.url)
    leftovers = [
        path
        for path in target.parent.iterdir()
        if re.fullmatch(re.escape(target.name) + r"\.\d+-[0-9a-f]{8}\.part", path.name)
    ]
    leftovers.sort(key=lambda path: path.stat().st_size)
    for path in leftovers:
        old = Part(path, remote.url)
        record = _record(old.note)
        can_go_on = record.get("url") == remote.url and (record.get("validator") or remote.sha256)
        if path is not leftovers[-1] or not can_go_on or old.size == 0:
            old.discard()
            continue
        path.replace(own.path)
        old.note.unlink(missing_ok=True)
        own.validator, own.total, own.is_resumed = record["validator"], record["total"], True
        own.keep_note()
    return own


def _record(note: Path) -> dict[str, Any]:
    """What a killed process wrote about its beginning; nothing, if it is damaged."""
    try:
        record = json.loads(note.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    if not isinstance(record, dict):
        return {}
    validator, total = record.get("validator"), record.get("total")
    is_sound = (validator is None or isinstance(validator, str)) and (
        total is None or type(total) is int
    )
    return record if is_sound and {"validator", "total"} <= set(record) else {}


# ---- transfers --------------------------------------------------------------------------------


def _complete(
    remote: RemoteFile,
    part: Part,
    show: Callable[[int, int | None], None],
    context: ssl.SSLContext,
    limits: Limits,
) -> str:
    """Bring in what is missing, going on where it breaks off, and return the digest of all."""
    for attempt in range(limits.attempts):
        if attempt:
            time.sleep(limits.pause_s * 2 ** (attempt - 1))
        try:
            _transfer(remote, part, show, context, limits)
            break
        except https.Broken as error:
            if attempt == limits.attempts - 1:
                raise DownloadError(
                    f"{remote.url}: {error}, {limits.attempts} times in a row",
                    f"it goes on where it stopped when called again; or {remote.by_hand}",
                ) from error
    with part.path.open("rb") as file:
        return digest_of(file)


def _transfer(
    remote: RemoteFile,
    part: Part,
    show: Callable[[int, int | None], None],
    context: ssl.SSLContext,
    limits: Limits,
) -> None:
    """Ask once for what is missing, and append what comes."""
    have = part.size
    if have and part.total == have:
        return
    if have and not (part.validator or remote.sha256):  # nobody could tell whether it changed
        part.start_over()
        have = 0
    headers = {"Accept-Encoding": "identity", "User-Agent": "pyposefast"}
    if have:
        headers["Range"] = f"bytes={have}-"
        if part.validator:
            headers["If-Range"] = part.validator
    with https.ask(
        remote.url,
        headers,
        hosts=remote.hosts,
        context=context,
        timeout_s=limits.timeout_s,
        hint=remote.by_hand,
    ) as answer:
        if answer.status == https.RANGE_REFUSED or (
            answer.status == _HTTP_PARTIAL and not _continues(answer, have, part)
        ):
            part.start_over()
            raise https.Broken("the server has another file than before")
        if answer.status not in (_HTTP_OK, _HTTP_PARTIAL):
            raise DownloadError(f"{remote.url}: the server answered {answer.status}")
        if answer.status == _HTTP_OK:  # all of it, because the file changed or ranges are unknown
            part.start_over()
            have = 0
            part.validator = _validator(answer)
            part.total = answer.length
        part.is_resumed = part.is_resumed or have > 0
        _check_size(remote, part.total, limits)
        ways_to_tell = (remote.size_bytes, remote.sha256, remote.sha256_prefix)
        if part.total is None and not answer.chunked and not any(ways_to_tell):
            raise DownloadError(
                f"{remote.url}: the server does not say where the file ends, so that nobody could "
                "tell whether it is complete"
            )
        part.keep_note()
        with part.path.open("ab") as file:
            have = _copy(answer, file, part.total or remote.size_bytes, have, show, limits)
    if have > (part.total or remote.size_bytes or limits.most_bytes):
        part.discard()
        raise DownloadError(f"{remote.url}: {have} bytes came and more, which is too many")
    expected = part.total if part.total is not None else remote.size_bytes
    if expected is not None and have < expected:
        raise https.Broken(f"the connection broke off after {have} of {expected} bytes")


def _copy(
    answer: http.client.HTTPResponse,
    file: IO[bytes],
    total: int | None,
    have: int,
    show: Callable[[int, int | None], None],
    limits: Limits,
) -> int:
    """Append the body to a file until it ends or is too long; return how long it is then."""
    show(have, total)
    since, before = time.monotonic(), have
    while True:
        try:
            # Not `read`, which would wait until the chunk is full: for ever, with a slow server.
            data = answer.read1(_CHUNK)
        except https.Broken as error:
            message = f"the connection broke off after {have} bytes ({error})"
            raise https.Broken(message) from error
        if not data:
            return have
        have += len(data)
        if have > (total or limits.most_bytes):
            return have
        file.write(data)
        show(have, total)
        elapsed_s = time.monotonic() - since
        if elapsed_s > limits.patience_s:
            if (have - before) / elapsed_s < limits.floor_bytes_per_s:
                raise https.Broken(
                    f"it came at {(have - before) / elapsed_s:.0f} bytes a second, slower than "
                    f"{limits.floor_bytes_per_s:g}"
                )
            since, before = time.monotonic(), have


def _continues(answer: http.client.HTTPResponse, have: int, part: Part) -> bool:
    """Whether a partial answer begins where it should, and is of the same file as before."""
    match = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+)", answer.headers.get("Content-Range", ""))
    if match is None:
        return False
    first, last, total = (int(digits) for digits in match.groups())
    if first != have or last != total - 1 or part.total not in (None, total):
        return False
    part.total = total
    return True


def _validator(answer: http.client.HTTPResponse) -> str | None:
    """What If-Range may be asked with: a strong entity tag, or a date."""
    tag = answer.headers.get("ETag", "")
    if tag.startswith('"'):
        return tag
    return answer.headers.get("Last-Modified")


def _check_size(remote: RemoteFile, total: int | None, limits: Limits) -> None:
    if total is None:
        return
    if remote.size_bytes is not None and total != remote.size_bytes:
        raise DownloadError(
            f"{remote.url}: expected {remote.size_bytes} bytes, the server has {total}"
        )
    if total > limits.most_bytes:
        raise DownloadError(f"{remote.url}: {total} bytes, at most {limits.most_bytes} are taken")
