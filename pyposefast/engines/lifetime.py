"""What a runtime gave: usable until it is closed, and only in the process that it was made in."""

from __future__ import annotations

import os
import weakref
from typing import Any, Generic, TypeVar

from pyposefast.errors import EngineError

_T = TypeVar("_T")

# Freeing a runtime's objects in a forked child may wait forever for threads that only the parent
# has (OpenVINO does). What the child inherits is kept here until it ends.
_inherited: list[Any] = []
_all: weakref.WeakSet[Held[Any]] = weakref.WeakSet()


class Held(Generic[_T]):
    """One object of a runtime.

    Args:
        value: a session, a compiled network, a pool of threads.
        engine: name of the engine it belongs to, for messages.
    """

    def __init__(self, value: _T, engine: str) -> None:
        self._value: _T | None = value
        self._engine = engine
        self._process = os.getpid()
        _all.add(self)

    def get(self) -> _T:
        """Return the object. Callers keep it for one call: closing meanwhile does not free it.

        Raises:
            EngineError: it was closed, or this process is a fork of the one that made it.
        """
        if os.getpid() != self._process:
            message = f"{self._engine}: opened in process {self._process}, used in a fork of it"
            hint = "open it in the child, or start processes with `spawn`"
            raise EngineError(message, hint)
        value = self._value
        if value is None:
            message = f"{self._engine}: the engine is closed"
            raise EngineError(message)
        return value

    def close(self) -> _T | None:
        """Let go of the object; return it the first time, so that its owner can shut it down."""
        value, self._value = self._value, None
        return value if os.getpid() == self._process else None


def _keep_what_was_inherited() -> None:
    _inherited.extend(held._value for held in _all)  # noqa: SLF001  this file's own class


os.register_at_fork(after_in_child=_keep_what_was_inherited)
