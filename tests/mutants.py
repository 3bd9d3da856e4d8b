"""Damaged files, made of good ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np


def mutant(random: np.random.Generator, original: bytes) -> bytes:
    """A few bytes changed, or some cut out, doubled or missing at the end."""
    data = bytearray(original)
    for _ in range(random.integers(1, 6)):
        at = int(random.integers(len(data)))
        kind = random.integers(4)
        if kind < 2:
            data[at] = random.integers(256)
        elif kind == 2:
            del data[at : at + int(random.integers(1, 9))]
        else:
            data[at:at] = data[at : at + int(random.integers(1, 9))]
        if not data:
            break
    if random.random() < 0.2:
        del data[int(random.integers(len(data) + 1)) :]
    return bytes(data)
