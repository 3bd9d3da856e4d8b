"""What all engines have in common, whatever runs below them: ports, a device, and an end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

from pyposefast import arguments
from pyposefast.engines import Engine
from pyposefast.engines.lifetime import Held
from pyposefast.engines.ports import Port, Ports, zeros

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

    from typing_extensions import Self

_T = TypeVar("_T")

MOST_BATCH = 1 << 16  # items that an engine is warmed up with


class Opened(Engine, Generic[_T]):
    """All of an engine but ``run``.

    Whoever uses engines knows the protocol ``Engine`` alone, and nothing has to be one of these to
    keep it. This is a base class all the same, because what engines share is not a promise but
    code, and no runtime has a part in it: their properties, ``with``, a warm-up on zeros. Each
    hands over what it opened and replaces ``warmup`` or ``close`` where its runtime asks for more;
    mypy refuses one without ``run``.
    """

    def __init__(
        self,
        value: _T,
        *,
        name: str,
        network: str,
        device: str,
        inputs: tuple[Port, ...],
        outputs: tuple[Port, ...],
    ) -> None:
        """Take over what a runtime gave.

        Args:
            value: a session, a compiled network, a pool of threads: what ``close`` lets go of.
            name: the engine's name, as ``open_engine`` takes it.
            network: what it runs, for messages.
            device: where the network really runs: "cpu" or "cuda:0".
            inputs: what it takes, in its order.
            outputs: what it gives, in its order.
        """
        self._name, self._device = name, device
        self._inputs, self._outputs = inputs, outputs
        self._feeds, self._results = Ports(inputs, "feeds"), Ports(outputs, "out")
        self._held = Held(value, f"{name}, {network}")

    @property
    def name(self) -> str:
        """The engine's name, as ``open_engine`` takes it."""
        return self._name

    @property
    def device(self) -> str:
        """Where the network really runs: "cpu" or "cuda:0"."""
        return self._device

    @property
    def inputs(self) -> tuple[Port, ...]:
        """What the network takes, in its order."""
        return self._inputs

    @property
    def outputs(self) -> tuple[Port, ...]:
        """What the network gives, in its order: all of it, or what was chosen."""
        return self._outputs

    def warmup(self, batches: Sequence[int] = (1,)) -> None:
        """Run on zeros, so that the first real call costs what the others do.

        Args:
            batches: sizes for a free first axis; a fixed one stays as it is.
        """
        for batch in batches:
            size = arguments.integer(batch, "batches", 1, MOST_BATCH)
            self.run(zeros(self._inputs, size))

    def close(self) -> None:
        """Free what the engine holds; runs that other threads have begun end as they would."""
        self._held.close()

    def __enter__(self) -> Self:
        """Return the engine itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the engine."""
        self.close()
