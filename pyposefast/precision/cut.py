"""Which nodes join float16 and which float32, so that as few casts as possible lie between them."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

Side = Literal["fp16", "fp32", "free"]
_SOURCE, _SINK = 0, 1  # of the flow: float32 and float16


@dataclass(slots=True)
class Value:
    """A value that is float32 in the source and no constant: who makes it, who takes it."""

    producer: int | None  # index of the node; None: an input of the network
    consumers: list[int] = field(default_factory=list)  # indices of nodes, all of them
    turning: list[int] = field(default_factory=list)  # those that take float16 once they are it
    stays: bool = False  # somebody needs it in float32 for good: an output, a subgraph, a slot


def halves(sides: Sequence[Side], values: Iterable[Value]) -> list[bool]:
    """Return for each node whether it computes in float16.

    A value costs one cast if any consumer wants it in the other type, however many do. That is a
    minimum cut: each value adds up to two vertices, one that pays when it has to go down to
    float16 and one that pays when it has to go up. Of all minimum cuts this is the one with the
    fewest nodes in float32, which is unique, so that the answer does not depend on any order.

    Args:
        sides: for each node where it has to be, or that it is free.
        values: the edges between the nodes.
    """
    vertices = [_SOURCE if side == "fp32" else _SINK for side in sides]
    count = 2
    for index, side in enumerate(sides):
        if side == "free":
            vertices[index] = count
            count += 1
    room: list[dict[int, float]] = [{} for _ in range(count)]  # residual capacity of each edge

    def connect(start: int, end: int, capacity: float) -> None:
        room[start][end] = room[start].get(end, 0) + capacity
        room[end].setdefault(start, 0)

    for value in values:
        start = _SOURCE if value.producer is None else vertices[value.producer]
        ends = dict.fromkeys(vertices[consumer] for consumer in value.turning)
        if value.stays:
            ends[_SOURCE] = None
        if start != _SINK and any(end != _SOURCE for end in ends):
            room.append({})
            connect(start, len(room) - 1, 1)
            for end in ends:
                connect(len(room) - 1, end, math.inf)
        if start != _SOURCE and any(end != _SINK for end in ends):
            room.append({})
            connect(len(room) - 1, start, 1)
            for end in ends:
                connect(end, len(room) - 1, math.inf)
    in_single = _source_side(room)
    return [vertex not in in_single for vertex in vertices]


def _source_side(room: list[dict[int, float]]) -> set[int]:
    """Fill the network with flow, and return what the source still reaches: the smallest side."""
    while True:
        came_from = {_SOURCE: _SOURCE}
        queue = deque([_SOURCE])
        while queue and _SINK not in came_from:
            here = queue.popleft()
            for there, capacity in room[here].items():
                if capacity > 0 and there not in came_from:
                    came_from[there] = here
                    queue.append(there)
        if _SINK not in came_from:
            return set(came_from)
        # Unlimited edges start or end at a value's own vertex, whose other edge has room for one:
        # no path carries more.
        here = _SINK
        while here != _SOURCE:
            before = came_from[here]
            room[before][here] -= 1
            room[here][before] += 1
            here = before
