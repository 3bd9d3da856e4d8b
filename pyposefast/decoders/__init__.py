"""From a network's output to people, one kind of output per file."""

from pyposefast.decoders.part_affinity import PartAffinity
from pyposefast.ops.grouping import People

__all__ = ["PartAffinity", "People"]
