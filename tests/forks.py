"""Runs a function in a forked child, with a limit: what may hang has to fail instead."""

from __future__ import annotations

import os
import signal
import time
import traceback
import warnings
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

LIMIT_S = 20.0


def in_a_fork(function: Callable[[], object]) -> None:
    """Fail if the function raises in the child, or does not come back."""
    with warnings.catch_warnings():
        # Python 3.12 warns of forks with threads around, which is what is tested.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        status = 1
        try:
            function()
            status = 0
        except BaseException:  # noqa: BLE001  nothing may get out of the child
            traceback.print_exc()
        os._exit(status)
    end = time.monotonic() + LIMIT_S
    while time.monotonic() < end:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            assert status == 0, f"the child failed with status {status}"
            return
        time.sleep(0.01)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    message = f"the child did not end within {LIMIT_S} s"
    raise AssertionError(message)
