"""Https: one question to a server that is not trusted to answer in time, or honestly.

Certificates are checked, redirects stay with hosts that are listed, and nothing takes for ever.
"""

from __future__ import annotations

import contextlib
import http.client
import io
import ssl
import time
import urllib.error
import urllib.parse
import urllib.request
from typing import TYPE_CHECKING, Any, cast

from pyposefast.errors import DownloadError, InputError

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

__all__ = ["RANGE_REFUSED", "Broken", "ask", "place_of", "plain", "trusted"]

RANGE_REFUSED = 416  # the status, where part of a file was asked for

_MOST_REDIRECTS = 5
_MAY_PASS = (408, 429)  # besides all that are the server's fault
_SERVERS_FAULT = 500  # and all above


class Broken(Exception):  # noqa: N818  nothing that a user ever sees
    """The connection broke off, or there was none; asking again may help."""


def trusted(cafile: str | Path | None) -> ssl.SSLContext:
    """Return the authorities that this machine trusts, and those in a file in PEM.

    Raises:
        InputError: there are none in ``cafile``.
    """
    context = ssl.create_default_context()
    if cafile is not None:
        try:
            context.load_verify_locations(cafile=cafile)
        except (OSError, ssl.SSLError) as error:
            expected = "a file of certificates in PEM"
            raise InputError("cafile", expected, repr(str(cafile))) from error
    return context


def place_of(url: str) -> tuple[str, int] | None:
    """Host and port of an https address; None of any other."""
    try:
        parts = urllib.parse.urlsplit(url)
        place = parts.hostname, parts.port or 443
    except ValueError:
        return None
    if parts.scheme != "https" or parts.username is not None or not place[0]:
        return None
    return cast("tuple[str, int]", place)


def plain(text: object) -> str:
    """Text from outside, without control characters and not too long."""
    return "".join(c if c.isprintable() else "?" for c in str(text)[:300])


@contextlib.contextmanager
def ask(
    url: str,
    headers: Mapping[str, str],
    *,
    hosts: Sequence[str],
    context: ssl.SSLContext,
    timeout_s: float,
    hint: str,
) -> Iterator[http.client.HTTPResponse]:
    """Ask a server for a file, and give its answer, whose body is read with ``read1``.

    Args:
        url: https and nothing else.
        headers: what to ask with.
        hosts: to which the address may redirect, besides its own, each with a port if not 443.
        context: whom to trust.
        timeout_s: for a connection, for all headers, and for each piece of the body.
        hint: what a user can do if the server refuses.

    Raises:
        Broken: there was no answer, or one that says to come back.
        DownloadError: the server refused, or is not to be trusted.
    """
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),  # what the environment says
        _Https(context),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
        _Redirects(url, hosts, hint),
    ):
        opener.add_handler(handler)
    request = urllib.request.Request(url, headers=dict(headers))  # noqa: S310  see place_of
    try:
        answer = opener.open(request, timeout=timeout_s)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == RANGE_REFUSED and "Range" in headers:
            answer = cast("Any", error)
        elif error.code >= _SERVERS_FAULT or error.code in _MAY_PASS:
            raise Broken(f"the server answered {error.code}") from error
        else:
            message = f"{url}: the server answered {error.code} {plain(error.reason)}"
            raise DownloadError(message, hint) from error
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", error)
        if isinstance(reason, ssl.SSLCertVerificationError):
            raise DownloadError(
                f"{url}: the certificate is not to be trusted: {plain(reason.verify_message)}",
                "a company's own authority is named with `cafile=` or SSL_CERT_FILE",
            ) from error
        raise Broken(f"no answer ({plain(str(reason))})") from error
    with contextlib.closing(answer):
        coding = answer.headers.get("Content-Encoding", "identity")
        if coding != "identity":
            raise DownloadError(f"{url}: the server sent it as {coding!r}, which was not asked for")
        yield answer


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows to hosts that are listed, over https."""

    max_redirections = _MOST_REDIRECTS

    def __init__(self, url: str, hosts: Sequence[str], hint: str) -> None:
        self._url, self._hint = url, hint
        allowed = [url, *(f"https://{host}" for host in hosts)]
        self._places = [place for place in map(place_of, allowed) if place is not None]

    def redirect_request(
        self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        """Refuse to leave the listed hosts."""
        fp.close()  # urllib would read whatever comes with the redirect, however long it is
        if place_of(newurl) not in self._places:
            raise DownloadError(
                f"{self._url}: redirects to {plain(newurl)}, expected https and one of "
                + ", ".join(host for host, _ in self._places),
                self._hint,
            )
        return super().redirect_request(req, fp, code, msg, headers, newurl)


class _Https(urllib.request.HTTPSHandler):
    """Makes connections on which nothing takes for ever."""

    def __init__(self, context: ssl.SSLContext) -> None:
        super().__init__(context=context)
        self._trusted = context

    def https_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        """Do as the base does, with connections of our own."""
        return self.do_open(_Connection, req, context=self._trusted)


class _Response(http.client.HTTPResponse):
    """Reads all headers within the timeout of the socket, and so each piece of the body.

    The socket alone would wait as long for each byte of a header, of the length of a chunk or of
    what follows the last one, none of which a server has to end.
    """

    def __init__(self, sock: socket.socket, *args: Any, **settings: Any) -> None:
        super().__init__(sock, *args, **settings)
        self._bytes = _Deadline(self.fp.detach(), sock.gettimeout())
        self.fp = io.BufferedReader(self._bytes)

    def read1(self, n: int = -1) -> bytes:
        """Return what comes next."""
        self._bytes.renew()
        try:
            return super().read1(n)
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise Broken(repr(error)) from error


class _Connection(http.client.HTTPSConnection):
    response_class = _Response


class _Deadline(io.RawIOBase):
    """A stream that ends in an error some time after it was last renewed.

    A read that begins in time may itself wait as long as the socket lets it.
    """

    def __init__(self, stream: io.RawIOBase, timeout_s: float | None) -> None:
        self._stream, self._timeout_s = stream, timeout_s
        self.renew()

    def renew(self) -> None:
        self._start_s = time.monotonic()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        if self._timeout_s is not None and time.monotonic() - self._start_s > self._timeout_s:
            raise TimeoutError(f"it trickled in for longer than {self._timeout_s:g} s")
        return self._stream.readinto(buffer)

    def close(self) -> None:
        self._stream.close()
        super().close()
