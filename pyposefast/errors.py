"""What can go wrong, as types: each names what to change, and is one of the usual built-ins too.

The compiled module raises these same classes (csrc/bindings/errors.cpp finds them here by name).
"""

from __future__ import annotations

import functools
from typing import ClassVar

__all__ = [
    "CapacityError",
    "DeviceError",
    "DeviceMismatchError",
    "DownloadError",
    "EngineCacheError",
    "EngineError",
    "InputError",
    "InputTypeError",
    "MediaError",
    "ModelError",
    "PyposefastError",
    "StorageError",
    "StreamEnded",
    "StreamStalled",
    "UntrustedModelError",
]


class PyposefastError(Exception):
    """Base of every error of this package that is not plainly a built-in one.

    Attributes:
        code: stable name of the kind of error, for logs and for programs that react to it.
        hint: what to do about it, or an empty string.
    """

    code: ClassVar[str] = "PF-000"
    hint: str

    def __init__(self, message: str, hint: str = "") -> None:
        """Append the hint, if any, to the text as a line of its own."""
        super().__init__(f"{message}\nhint: {hint}" if hint else message)
        self.message = message
        self.hint = hint

    def __reduce__(self) -> tuple[object, ...]:
        """Keep all arguments on the way home from a pool's worker, not the text alone."""
        return (type(self), self._arguments(), self.__dict__)

    def _arguments(self) -> tuple[object, ...]:
        return (self.message, self.hint)


class _ArgumentError(PyposefastError):
    """Says which argument, what was expected of it and what came."""

    def __init__(self, argument: str, expected: str, got: str, hint: str = "") -> None:
        """Make the sentence out of its parts, which stay readable as attributes."""
        super().__init__(self._sentence(argument, expected, got), hint)
        self.argument = argument
        self.expected = expected
        self.got = got

    @staticmethod
    def _sentence(argument: str, expected: str, got: str) -> str:
        return f"{argument}: expected {expected}, got {got}"

    def _arguments(self) -> tuple[object, ...]:
        return (self.argument, self.expected, self.got, self.hint)


class InputError(_ArgumentError, ValueError):
    """A value, shape or layout that cannot be worked with."""

    code = "PF-IN-001"


class InputTypeError(_ArgumentError, TypeError):
    """A wrong kind of object, dtype or byte order."""

    code = "PF-IN-002"


class DeviceMismatchError(InputError):
    """Arrays of one call live on different devices.

    ``got`` says where the argument is and ``expected`` where another one is, as in
    "boxes: on cuda:0 but images is on the CPU".
    """

    code = "PF-IN-003"

    @staticmethod
    def _sentence(argument: str, expected: str, got: str) -> str:
        return f"{argument}: {got} but {expected}"


class CapacityError(InputError):
    """More than a call may take: so many bytes of results, say, that they cannot be meant.

    Attributes:
        limit: the most that is taken.
        seen: what would have been needed, in the same unit.
    """

    code = "PF-CP-001"

    def __init__(
        self, argument: str, expected: str, got: str, hint: str = "", *, limit: int, seen: int
    ) -> None:
        """Take the sentence as any other InputError does, and both numbers."""
        super().__init__(argument, expected, got, hint)
        self.limit = limit
        self.seen = seen

    def __reduce__(self) -> tuple[object, ...]:
        """Numbers go by name, which a plain tuple of arguments cannot."""
        restore = functools.partial(type(self), limit=self.limit, seen=self.seen)
        return (restore, self._arguments(), self.__dict__)


class DeviceError(PyposefastError):
    """The machine's fault: no such device, a driver that is too old, a launch that failed."""

    code = "PF-DV-001"


class EngineError(PyposefastError):
    """An engine could not open or run a network: the runtime said no, or gave what was not due."""

    code = "PF-EN-001"


class EngineCacheError(EngineError):
    """A compiled engine could neither be read from the cache nor be built for it."""

    code = "PF-EN-002"


class ModelError(PyposefastError):
    """A network's file, or what describes it, is damaged, incomplete or of another kind."""

    code = "PF-MD-001"


class UntrustedModelError(ModelError):
    """A file that would run code, or read other files, if it were loaded."""

    code = "PF-MD-002"


class DownloadError(PyposefastError):
    """A file could not be fetched, or what came is not what was asked for."""

    code = "PF-DL-001"


class MediaError(PyposefastError):
    """A picture or a video that cannot be read or written."""

    code = "PF-ME-001"


class StorageError(PyposefastError, OSError):
    """A disk that is full, read-only or gone."""

    code = "PF-ST-001"

    def __init__(self, message: str, hint: str = "", *, errno: int | None = None) -> None:
        """Take what the system said, where it said something; ``OSError`` keeps it by that name."""
        super().__init__(message, hint)
        self.errno = errno

    def __reduce__(self) -> tuple[object, ...]:
        """Keep the number on the way home from a pool's worker."""
        restore = functools.partial(type(self), errno=self.errno)
        return (restore, self._arguments(), self.__dict__)


class StreamStalled(PyposefastError):  # noqa: N818  the name says what happened
    """A live source has not given a frame for too long."""

    code = "PF-SR-001"


class StreamEnded(PyposefastError):  # noqa: N818
    """A live source is gone, and reconnecting did not help."""

    code = "PF-SR-002"
