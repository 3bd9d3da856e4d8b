"""What this machine offers engines, and which of it was asked for."""

from __future__ import annotations

import os
import re
from typing import Any, Literal

from pyposefast import _C
from pyposefast.errors import DeviceError, InputError, InputTypeError

_DEVICE = re.compile(r"auto|cpu|cuda(?::(\d{1,3}))?")
_EXPECTED = '"auto", "cpu", "cuda" or "cuda:1"'


def place(device: Any) -> tuple[Literal["auto", "cpu", "cuda"], int]:
    """Take a device's name apart, as in "cuda:1" -> ("cuda", 1).

    Raises:
        InputError, InputTypeError: it is no name of a device.
    """
    if not isinstance(device, str):
        raise InputTypeError("device", _EXPECTED, type(device).__name__)
    match = _DEVICE.fullmatch(device)
    if match is None:
        raise InputError("device", _EXPECTED, repr(device))
    if device in ("auto", "cpu"):
        return "auto" if device == "auto" else "cpu", 0
    return "cuda", int(match[1] or 0)


def cuda_device_count() -> int:
    """How many CUDA devices can be used; asking needs no driver."""
    return len(_C.cuda_devices()["devices"])


def need_cuda_device(index: int) -> None:
    """Check that a CUDA device is there.

    Raises:
        DeviceError: it is not.
    """
    found = cuda_device_count()
    if index >= found:
        message = f"device: expected cuda:{index}, got a machine with {found} CUDA devices"
        raise DeviceError(message, "`pyposefast doctor` says what the driver sees")


def usable_cores() -> int:
    """How many cores this process may use, which in a container is less than there are."""
    return len(os.sched_getaffinity(0))
