"""From a network's output to people, one kind of output per file."""

from pyposefast.decoders.heatmap import Heatmap, SimCC
from pyposefast.decoders.instances import Instances
from pyposefast.decoders.part_affinity import PartAffinity
from pyposefast.decoders.points import Points
from pyposefast.decoders.regression import Regression
from pyposefast.ops.grouping import People

__all__ = ["Heatmap", "Instances", "PartAffinity", "People", "Points", "Regression", "SimCC"]
