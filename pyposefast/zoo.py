"""The networks that people use, by name; and ``load``, which makes a pipeline of one.

Every row is data, in ``data/zoo``: a manifest, where the weights are, what was published about
them. This is the one file that knows engines, decoders and pipelines all.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pyposefast import manifest as manifests
from pyposefast.detectors import Detector
from pyposefast.engines import open_engine
from pyposefast.errors import InputError, InputTypeError, ModelError
from pyposefast.network import Network
from pyposefast.pipelines import BottomUp, Cascade, Closer, TopDown
from pyposefast.pipelines.reading import people_reader, points_reader

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pyposefast.engines import EngineName, Mode, Precision
    from pyposefast.manifest import Manifest, Refinement

_FOLDER = Path(__file__).parent / "data" / "zoo"
_OUTPUTS_HINT = "the manifest's [decoder] names them"
_MANIFEST_KEYS = ("input", "decoder", "refinement")  # tables that a row may change key by key


@dataclass(frozen=True, slots=True)
class Row:
    """One network of the zoo."""

    name: str
    family: str
    paper: str
    manifest: Manifest
    weights: Mapping[str, Any]  # where they are, under which licence; see ``weights.Source``
    measured: Mapping[str, Any]  # published figures and where they are published


@cache
def rows() -> Mapping[str, Row]:
    """Return every row, by its name."""
    found: dict[str, Row] = {}
    for path in sorted(_FOLDER.glob("*.toml")):
        family = manifests.read_toml(path)
        for name, row in family["rows"].items():
            if name in found:
                raise ModelError(f"{path.name}: {name} is a row of {found[name].family} already")
            found[name] = _row(name, family, row)
    return found


def names() -> tuple[str, ...]:
    """Return the names that ``load`` takes."""
    return tuple(sorted(rows()))


def _row(name: str, family: Mapping[str, Any], row: Mapping[str, Any]) -> Row:
    table: dict[str, Any] = dict(family["network"])
    own = {key: value for key, value in row.items() if key not in ("weights", "measured")}
    for key in _MANIFEST_KEYS:
        shared, changed = family.get(key, {}), own.pop(key, {})
        if shared or changed:
            table[key] = {**shared, **changed}
    return Row(
        name=name,
        family=family["family"],
        paper=family["paper"],
        manifest=manifests.parse({**table, **own}, name=name),
        weights=row.get("weights", {}),
        measured=row.get("measured", {}),
    )


@dataclass(frozen=True, slots=True)
class _Opening:
    """How engines are opened, and where their files are."""

    settings: Mapping[str, Any]  # of ``open_engine``
    threads: int

    def network(self, path: Path, manifest: Manifest, outputs: set[str]) -> Network:
        try:
            engine = open_engine(path, outputs=sorted(outputs), **self.settings)
        except InputError as error:
            if error.argument != "outputs":
                raise
            message = f"{manifest.name}: the network has no such outputs: expected {error.expected}"
            raise ModelError(f"{message}, got {error.got}", _OUTPUTS_HINT) from error
        try:
            return Network(engine, manifest.input)
        except BaseException:
            engine.close()
            raise


def load(
    name_or_path: str | Path,
    *,
    weights: str | Path | None = None,
    device: str = "auto",
    engine: EngineName | None = None,
    precision: Precision = "fp32",
    mode: Mode = "latency",
    threads: int | None = None,
    detector: str | Path | Detector | None = "auto",
    flip_test: bool = False,
    **options: Any,
) -> Any:
    """Make a pipeline, or a detector, of a network.

    Args:
        name_or_path: a name of the zoo (``zoo.names()``), or a file: a manifest ``.toml``, or an
            ``.onnx`` with its manifest beside it, of the same name. docs/own_model.md.
        weights: the network's file, instead of the one that is found beside the manifest or
            fetched. Local files never need a network connection.
        device: "cpu", "cuda", "cuda:1", or "auto", which is a GPU where the engine has one.
        engine: "onnx_runtime" by default, "openvino" or "tensor_rt".
        precision: "fp32", or "fp16", which is never taken for less than it is asked to be.
        mode: "latency": one picture as soon as possible. "throughput": as many as possible.
        threads: CPU threads of the engine and of what is around it; by default one around it,
            and in it all cores for "latency", one for each picture at once for "throughput".
        detector: finds the people for a top-down network: a name or path as above, or a
            ``Detector``. "auto" is the manifest's, opened when boxes are first needed.
        flip_test: look at mirror images too and average: more accurate, at twice the cost.
        options: for ``engines.open_engine``.

    Returns:
        A ``TopDown``, ``BottomUp`` or ``Cascade`` pipeline; a ``Detector`` for a detector's name.

    Raises:
        InputError: there is no such name or file, or a setting has a value that cannot be.
        ModelError: the network is not what its manifest says, or is damaged.
        DownloadError: the weights could not be fetched.
        DeviceError: there is no such device.
    """
    manifest, path = find(name_or_path, weights)
    # One thread around the network: those of the engine spin while they wait for the next run.
    threads_around = threads or 1
    settings = {
        "device": device,
        "engine": engine,
        "precision": precision,
        "mode": mode,
        "threads": threads,
        **options,
    }
    opening = _Opening(settings, threads_around)
    if manifest.pipeline not in ("top_down", "cascade") and flip_test:
        raise InputError("flip_test", "False for what is not top-down", "True")
    if manifest.pipeline == "detector":
        return _detector(manifest, path, opening)
    if manifest.skeleton is None:
        raise ModelError(f"{manifest.name}: the manifest names no skeleton")
    used = set(manifest.decoder.outputs.values())
    network = opening.network(path, manifest, used)
    try:
        if manifest.pipeline == "bottom_up":
            people = people_reader(manifest.decoder, manifest.input, manifest.skeleton)
            return BottomUp(network, people, manifest.skeleton, threads=threads_around)
        points = points_reader(manifest.decoder, manifest.input, manifest.skeleton)
        top_down = TopDown(
            network,
            points,
            manifest.skeleton,
            detector=_detector_of(manifest, detector, opening),
            boxes=manifest.boxes,
            flip_test=flip_test,
            threads=threads_around,
        )
        if manifest.refinement is None:
            return top_down
        return _cascade(top_down, manifest, manifest.refinement, path.parent, opening)
    except BaseException:
        network.close()
        raise


def find(name_or_path: Any, weights: str | Path | None = None) -> tuple[Manifest, Path]:
    """Return the manifest of a name or a path, and the network's file.

    Args:
        name_or_path: as for ``load``.
        weights: the file, where the caller knows it; else it is looked for, or fetched.
    """
    if not isinstance(name_or_path, (str, Path)):
        got = type(name_or_path).__name__
        raise InputTypeError("name_or_path", "a name of the zoo, or a file", got)
    row = rows().get(str(name_or_path))
    if row is not None:
        return row.manifest, _file(weights) if weights is not None else _fetched(row)
    path = Path(name_or_path)
    if path.suffix not in (".toml", ".onnx"):
        close = difflib.get_close_matches(str(name_or_path), names(), n=3, cutoff=0.5)
        hint = f"did you mean {' or '.join(close)}" if close else "`pyposefast models` lists them"
        expected = "a file (.toml, .onnx) or a name of the zoo"
        raise InputError("name_or_path", expected, repr(str(name_or_path)), hint)
    if path.suffix == ".onnx":
        beside = path.with_suffix(".toml")
        if not beside.exists():
            hint = f"write {beside.name} beside it: docs/own_model.md says what belongs into it"
            raise ModelError(f"{path}: a network without a manifest", hint)
        return manifests.read(beside), _file(weights if weights is not None else path)
    manifest = manifests.read(path)
    if weights is None:
        weights = path.with_name(manifest.file or f"{path.stem}.onnx")
    return manifest, _file(weights)


def _file(path: str | Path) -> Path:
    path = Path(path)
    if not path.is_file():
        raise ModelError(f"{path}: no such file", "the network's file, usually an .onnx")
    return path


def _fetched(row: Row) -> Path:
    """Return the weights of a row, which are fetched when they are first needed."""
    from pyposefast import weights  # noqa: PLC0415  local files never need it

    if row.weights.get("published") != "onnx":
        origin = row.weights.get("origin", "its authors' page")
        raise ModelError(
            f"{row.name}: published in another format than ONNX: {origin}",
            "convert it, then pass the file: load(..., weights=...)",
        )
    return weights.fetch(weights.source_of(row.name, row.weights))


def _detector(manifest: Manifest, path: Path, opening: _Opening) -> Detector:
    reading = manifest.decoder
    network = opening.network(path, manifest, set(reading.outputs.values()))
    try:
        return Detector(network, outputs=reading.outputs, **reading.settings)
    except BaseException:
        network.close()
        raise


def _detector_of(
    manifest: Manifest, detector: str | Path | Detector | None, opening: _Opening
) -> Detector | Callable[[], Detector] | None:
    """Return the detector, or what opens it when boxes are first needed."""
    if detector is None or isinstance(detector, Detector):
        return detector
    if detector == "auto":
        if manifest.detector is None or manifest.boxes == "image":
            return None
        detector = manifest.detector
    which, is_named_by_caller = detector, detector != manifest.detector

    def open_it() -> Detector:
        its_manifest, path = find(which)
        if its_manifest.pipeline != "detector":
            raise InputError("detector", "a detector", f"{which}, a {its_manifest.pipeline}")
        return _detector(its_manifest, path, opening)

    return open_it() if is_named_by_caller else open_it


def _cascade(
    first: TopDown, manifest: Manifest, refinement: Refinement, folder: Path, opening: _Opening
) -> Cascade:
    skeleton, used = first.skeleton, set(manifest.decoder.outputs.values())
    settings = replace(manifest.input, size=refinement.size, fit="expand", padding=1.0)
    closer = replace(manifest, input=settings)
    read = points_reader(manifest.decoder, settings, skeleton)
    joints = tuple(skeleton.index(joint) for joint in refinement.reference)
    stages: list[Closer] = []
    try:
        for file in refinement.files:
            network = opening.network(_file(folder / file), closer, used)
            stages.append(Closer(network, read, refinement.sigma, (joints[0], joints[1])))
    except BaseException:
        for stage in stages:
            stage.network.close()
        raise
    return Cascade(first, stages, threads=opening.threads)
