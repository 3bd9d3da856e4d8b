"""How far the outputs of two networks that should agree are apart, measured on given inputs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from pyposefast import arguments
from pyposefast.errors import InputError, InputTypeError, ModelError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import numpy.typing as npt

    from pyposefast.engines import Port

    Outputs = Mapping[str, npt.NDArray[Any]]
    Run = Callable[[Outputs], Outputs]

__all__ = ["Difference", "Samples", "compare"]

_NOISE_SAMPLES = 4


@dataclass(frozen=True, slots=True)
class Difference:
    """How far one output is from another network's, over all inputs that were tried."""

    output: str
    largest: float  # absolute, in the output's unit; NaN where nothing could be compared
    relative: float  # the same, as a part of the range of the first network's values
    correlation: float  # Pearson's; NaN where one of the two does not vary
    reshaped: int  # inputs for which the shapes differ, as when other detections are kept


class Samples:
    """Inputs to try networks on: the caller's, or seeded noise."""

    def __init__(
        self,
        images: Any,
        noise: Any,
        seed: int,
    ) -> None:
        """Check what can be checked before a network is there.

        Args:
            images: for each run the inputs by name, or the one input; None is noise.
            noise: (low, high) of the noise for floating-point inputs; uint8 inputs get 0 to 255.
            seed: of the noise.
        """
        is_list = isinstance(images, (list, tuple)) or images is None
        if not is_list:
            raise InputTypeError("images", "a list of arrays or dicts", type(images).__name__)
        if images is not None and not images:
            raise InputError("images", "at least one", "none", "leave it out to try noise")
        if not isinstance(noise, (tuple, list)) or len(noise) != 2:  # noqa: PLR2004
            raise InputTypeError("noise", "a pair (low, high)", repr(noise))
        low = arguments.number(noise[0], "noise")
        self._range = (low, arguments.number(noise[1], "noise", low))
        self._images = images
        self._seed = arguments.integer(seed, "seed", 0, 2**63 - 1)

    @property
    def text(self) -> str:
        """What they are, for a report."""
        if self._images is not None:
            return f"{len(self._images)} given inputs"
        return f"{_NOISE_SAMPLES} inputs of noise (seed {self._seed})"

    def feeds(self, ports: Sequence[Port]) -> Iterator[Outputs]:
        """Yield the inputs of one run after the other.

        Args:
            ports: the network's inputs.
        """
        if self._images is None:
            generator = np.random.default_rng(self._seed)
            for _ in range(_NOISE_SAMPLES):
                yield {port.name: self._noise(port, generator) for port in ports}
            return
        for index, image in enumerate(self._images):
            if isinstance(image, np.ndarray):
                if len(ports) != 1:
                    names = ", ".join(port.name for port in ports)
                    expected = f"a dict of the inputs {names}"
                    raise InputTypeError(f"images[{index}]", expected, "one array")
                yield {ports[0].name: image}
            elif isinstance(image, Mapping):
                yield image
            else:
                expected = "an array or a dict of arrays"
                raise InputTypeError(f"images[{index}]", expected, type(image).__name__)

    def _noise(self, port: Port, generator: np.random.Generator) -> npt.NDArray[Any]:
        shape = tuple(
            1 if size is None and axis == 0 else size for axis, size in enumerate(port.shape)
        )
        kind = np.dtype(port.dtype)
        if None in shape or (kind.kind != "f" and kind != np.uint8):
            what = f"input `{port.name}` {port.dtype} {list(port.shape)}"
            raise InputError("images", f"inputs to try, for {what}", "None: noise will not do")
        sizes = [size for size in shape if size is not None]
        if kind == np.uint8:
            return generator.integers(0, 256, sizes, np.uint8)
        return generator.uniform(*self._range, sizes).astype(kind)


def compare(
    first: Run, others: Sequence[Run], feeds: Iterator[Outputs], hint: str = ""
) -> list[tuple[Difference, ...]]:
    """Run networks on the same inputs, and return how far each of the others is from the first.

    Args:
        first: gives outputs by name for inputs by name.
        others: the same; the outputs of the same names.
        feeds: the inputs of each run.
        hint: what to do about outputs that are not finite.

    Raises:
        ModelError: an output is NaN or infinite where the first network's is finite, or missing.
    """
    gauges: list[dict[str, _Gauge]] = [{} for _ in others]
    for index, each in enumerate(feeds):
        expected = first(each)
        for run, by_name in zip(others, gauges, strict=True):
            got = run(each)
            for name, before in expected.items():
                if name not in got:
                    raise ModelError(f"result: expected an output `{name}`, got none", hint)
                wrong = np.isfinite(before).all() and not np.isfinite(got[name]).all()
                if wrong:
                    raise ModelError(
                        f"result: output `{name}` is not finite on input {index}, "
                        "although the source's is",
                        hint,
                    )
                by_name.setdefault(name, _Gauge()).add(before, got[name])
    return [tuple(gauge.difference(name) for name, gauge in by_name.items()) for by_name in gauges]


class _Gauge:
    """Sums over pairs of arrays: what is needed of them, in the memory of one pair."""

    def __init__(self) -> None:
        self.count = self.reshaped = 0
        self.largest = 0.0
        self.low, self.high = math.inf, -math.inf
        self.shift = 0.0  # correlation is of numbers near zero, else their squares cancel
        self.sums = np.zeros(5)  # of x, y, xx, yy, xy

    def add(self, before: npt.NDArray[Any], after: npt.NDArray[Any]) -> None:
        if before.shape != after.shape:
            self.reshaped += 1
            return
        if before.size == 0:
            return
        x = before.astype(np.float64).ravel()
        y = after.astype(np.float64).ravel()
        both = np.isfinite(x) & np.isfinite(y)
        x, y = x[both], y[both]
        if x.size == 0:
            return
        if self.count == 0:
            self.shift = float(x.mean())
        self.count += x.size
        self.largest = max(self.largest, float(np.abs(x - y).max()))
        self.low, self.high = min(self.low, float(x.min())), max(self.high, float(x.max()))
        x, y = x - self.shift, y - self.shift
        self.sums += [x.sum(), y.sum(), x @ x, y @ y, x @ y]

    def difference(self, name: str) -> Difference:
        if self.count == 0:
            return Difference(name, math.nan, math.nan, math.nan, self.reshaped)
        span = self.high - self.low
        relative = self.largest / span if span > 0 else math.nan
        if self.largest == 0:
            relative = 0.0
        x, y, xx, yy, xy = self.sums / self.count
        spread = (xx - x * x) * (yy - y * y)
        correlation = math.nan
        if span > 0 and spread > 0:
            correlation = float(np.clip((xy - x * y) / math.sqrt(spread), -1.0, 1.0))
        return Difference(name, self.largest, relative, correlation, self.reshaped)
