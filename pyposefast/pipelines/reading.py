"""From the outputs of a network, which have names, to what a decoder takes."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from pyposefast import arguments
from pyposefast.arrays import shape_of, to_host
from pyposefast.decoders import Heatmap, Instances, PartAffinity, People, Points, Regression, SimCC
from pyposefast.errors import InputError
from pyposefast.network import output
from pyposefast.stages import stage

if TYPE_CHECKING:
    from pyposefast.arrays import Array
    from pyposefast.manifest import Input, Reading
    from pyposefast.network import Outputs
    from pyposefast.poses import Poses
    from pyposefast.preprocess import Regions
    from pyposefast.skeletons import Skeleton

# Outputs, those of the mirrored regions in a flip test, and CPU threads -> points.
ReadPoints = Callable[["Outputs", "Outputs | None", int], Points]
# Outputs, the regions that were looked at, and CPU threads -> the people of each region.
ReadPeople = Callable[["Outputs", "Regions", int], "list[Poses]"]


def points_reader(reading: Reading, settings: Input, skeleton: Skeleton) -> ReadPoints:
    """Return a function that reads joints off the outputs of one run.

    Args:
        reading: what the manifest says of the outputs.
        settings: what it says of the input.
        skeleton: whose joints they are.

    Raises:
        InputError: a setting of the decoder has a value that cannot be.
        InputTypeError: a setting is of the wrong kind.
    """
    names, given = reading.outputs, reading.settings
    joints = len(skeleton.joints)
    if reading.kind == "heatmap":
        heatmap = Heatmap(**given)

        def read_maps(outputs: Outputs, flipped: Outputs | None, threads: int) -> Points:
            maps = output(outputs, names["maps"])
            mirrored = None if flipped is None else output(flipped, names["maps"])
            points = heatmap(maps, flipped=mirrored, pairs=skeleton.pairs, threads=threads)
            return _first(points, joints)

        return read_maps
    if reading.kind == "simcc":
        simcc = SimCC(**given)

        def read_vectors(outputs: Outputs, flipped: Outputs | None, threads: int) -> Points:
            _refuse_flip(flipped, "simcc")
            x, y = output(outputs, names["x"]), output(outputs, names["y"])
            return _first(simcc(x, y, threads=threads), joints)

        return read_vectors
    regression = Regression(joints, **given)

    def read_coordinates(outputs: Outputs, flipped: Outputs | None, threads: int) -> Points:  # noqa: ARG001
        _refuse_flip(flipped, "points")
        optional: dict[str, Any] = {
            key: output(outputs, names[key]) for key in ("person_score", "world") if key in names
        }
        return regression(output(outputs, names["points"]), size=settings.size, **optional)

    return read_coordinates


def people_reader(reading: Reading, settings: Input, skeleton: Skeleton) -> ReadPeople:
    """Return a function that finds the people in the outputs of one run.

    Args:
        reading: what the manifest says of the outputs.
        settings: what it says of the input.
        skeleton: whose joints they are.

    Raises:
        InputError: a setting of the decoder has a value that cannot be.
        InputTypeError: a setting is of the wrong kind.
    """
    names, given = reading.outputs, dict(reading.settings)
    if reading.kind == "people":
        instances = Instances(skeleton, **given)

        def read_instances(outputs: Outputs, regions: Regions, threads: int) -> list[Poses]:  # noqa: ARG001
            inverse = regions.affines(settings.size).inverse
            boxes, joints = output(outputs, names["boxes"]), output(outputs, names["joints"])
            with stage("decode"):
                return instances(boxes, joints, inverse)

        return read_instances
    layout = given.pop("layout", "nchw")
    heatmap_channels = _channels(given.pop("heatmap_channels", None), "heatmap_channels")
    field_channels = _channels(given.pop("field_channels", None), "field_channels")
    decoder = PartAffinity(skeleton, **given)

    def read_fields(outputs: Outputs, regions: Regions, threads: int) -> list[Poses]:
        heatmaps = output(outputs, names["heatmaps"])
        fields = output(outputs, names.get("fields", names["heatmaps"]))
        heatmaps = _some(heatmaps, heatmap_channels, layout)
        fields = _some(fields, field_channels, layout)
        with stage("decode"):  # which groups, too: it is one call
            found = decoder(heatmaps, fields, layout=layout, threads=threads)
        shape = shape_of(heatmaps, "heatmaps")
        grid = (shape[1], shape[2]) if layout == "nhwc" else (shape[2], shape[3])
        with stage("download"):
            inverse = regions.affines(grid).inverse
            on_host = _on_host(found)
            return [decoder.poses(on_host, affine, image=i) for i, affine in enumerate(inverse)]

    return read_fields


def _channels(value: Any, name: str) -> slice:
    """Check [first, behind the last]."""
    if value is None:
        return slice(None)
    expected = "[first, behind the last]"
    if not isinstance(value, list) or len(value) != 2:  # noqa: PLR2004
        raise InputError(f"decoder.{name}", expected, repr(value))
    first, last = (arguments.integer(each, f"decoder.{name}", 0, 1 << 16) for each in value)
    if first >= last:
        raise InputError(f"decoder.{name}", expected, repr(value))
    return slice(first, last)


def _some(maps: Array, channels: slice, layout: str) -> Array:
    return maps[..., channels] if layout == "nhwc" else maps[:, channels]


def _on_host(people: People) -> People:
    if type(people.xy).__module__ == "numpy":
        return people
    return People(*(to_host(getattr(people, name), name) for name in People.__slots__))


def _first(points: Points, joints: int) -> Points:
    """Check that there are as many joints as the skeleton has; a background may follow them."""
    found = points.xy.shape[1]
    if found not in (joints, joints + 1):
        expected = f"{joints}, as many as the skeleton has joints"
        raise InputError("skeleton", expected, f"{found} maps", "see skeleton in the manifest")
    if found == joints:
        return points
    first = slice(0, joints)
    return Points(points.xy[:, first], points.score[:, first], points.found[:, first], points.grid)


def _refuse_flip(flipped: Outputs | None, kind: str) -> None:
    if flipped is not None:
        expected = f"False for a network that is read as {kind}"
        raise InputError("flip_test", expected, "True", "only heatmaps can be averaged")
