"""What the tests of arrays share: how an array is described, and how one is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from pyposefast import _C
from pyposefast.errors import InputError, InputTypeError

if TYPE_CHECKING:
    from collections.abc import Callable

MAPS = np.arange(24, dtype=np.float32).reshape(2, 3, 4)


def describe(thing: object, **options: int) -> dict[str, Any]:
    description: dict[str, Any] = _C.describe_array(thing, "maps", **options)
    return description


def assert_describes(description: dict[str, Any], host: np.ndarray[Any, Any]) -> None:
    assert description["pointer"] == host.__array_interface__["data"][0]
    assert description["dtype"] == host.dtype.name
    assert description["shape"] == host.shape
    # The stride of an axis of one element says nothing, and exporters tidy it up.
    for size, stride, expected in zip(
        host.shape, description["strides"], host.strides, strict=True
    ):
        assert size == 1 or stride * host.itemsize == expected
    assert description["read_only"] is not host.flags.writeable
    assert description["contiguous"] is host.flags.c_contiguous


def refusal(thing: object, error: type[Exception] = InputTypeError) -> str:
    with pytest.raises(error) as caught:
        describe(thing)
    assert type(caught.value) is error
    assert isinstance(caught.value, (InputError, InputTypeError))
    assert caught.value.argument == "maps"
    assert str(caught.value).startswith("maps: ")
    return str(caught.value)


class Hook:
    """An argument that looks around while the call that it is part of holds the others."""

    def __init__(self, look: Callable[[], None]) -> None:
        self._look = look

    def __dlpack_device__(self) -> tuple[int, int]:
        self._look()
        return (1, 0)

    def __dlpack__(self, **_: object) -> object:
        message = "seen enough"
        raise BufferError(message)
