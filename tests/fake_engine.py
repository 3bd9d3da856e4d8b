"""An engine whose network is a Python function: what pipelines do around one can then be seen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from pyposefast.engines import Port

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


class FakeEngine:
    """Runs a function of one batch that returns outputs by name; counts what happens to it.

    With ``put`` and ``get`` it is on a device, from and to which they copy.
    """

    name = "fake"
    device = "cpu"

    def __init__(
        self,
        network: Callable[[Any], dict[str, Any]],
        *,
        shape: tuple[int | None, ...],
        dtype: str = "float32",
        outputs: tuple[str, ...] = ("output",),
        put: Callable[[Any], Any] = np.asarray,
        get: Callable[[Any], Any] = np.from_dlpack,
    ) -> None:
        self._network, self._put, self._get = network, put, get
        self.inputs = (Port("image", shape, dtype),)
        self.outputs = tuple(Port(name, (None,), "float32") for name in outputs)
        self.batches: list[int] = []
        self.warmups = self.closes = 0

    def run(self, feeds: Mapping[str, Any], **_: Any) -> dict[str, Any]:
        (batch,) = feeds.values()
        self.batches.append(batch.shape[0])
        # A copy: pipelines write over their buffers.
        outputs = self._network(self._get(batch).copy())
        return {name: self._put(output) for name, output in outputs.items()}

    def warmup(self, batches: tuple[int, ...] = (1,)) -> None:
        self.warmups += len(batches)

    def close(self) -> None:
        self.closes += 1

    def __enter__(self) -> FakeEngine:  # noqa: PYI034  Self came with Python 3.11
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
