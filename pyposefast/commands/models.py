"""``pyposefast models``: the networks that have a name, and what is known about each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pyposefast import weights, zoo
from pyposefast.commands import EXIT_STATUS, OK
from pyposefast.commands.loading import check_name
from pyposefast.commands.printing import say, say_json, table
from pyposefast.errors import InputError

if TYPE_CHECKING:
    import argparse

    from pyposefast.zoo import Row

_EXAMPLES = """\
examples:
  pyposefast models                 the table
  pyposefast models rtmpose_s       all that is known about one
  pyposefast models --json          the same for programs
  pyposefast models | grep cached   those that need no download

The column `weights`: `cached` are here already; `onnx` are fetched when they are first needed;
`checkpoint` were published in another format: convert them, then pass the file with --weights.

"""


def add(parser: argparse.ArgumentParser) -> None:
    """Describe the command."""
    parser.description = (
        "List the networks that can be named: what they find, in which input, under which licence, "
        "and how good they are said to be. Any other network needs a manifest: docs/own_model.md."
    )
    parser.epilog = _EXAMPLES + EXIT_STATUS
    parser.add_argument("name", nargs="?", metavar="NAME", help="one network, in all detail")
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(options: argparse.Namespace) -> int:
    """Print the table, or one network."""
    if options.name is not None:
        if options.name not in zoo.names():
            check_name(options.name, "NAME")
            raise InputError("NAME", "a name of the zoo", repr(options.name))
        record = _record(zoo.rows()[options.name])
        say_json(record) if options.json else say("\n".join(_details(record)))
        return OK
    records = [_record(zoo.rows()[name]) for name in zoo.names()]
    if options.json:
        say_json(records)
        return OK
    header = ("name", "finds", "skeleton", "input", "licence", "weights", "published quality")
    rows = [_cells(record) for record in records]
    say("\n".join(table(header, rows, left=len(header))))
    return OK


def _record(row: Row) -> dict[str, Any]:
    """Return everything about one network as plain values."""
    manifest, where = row.manifest, row.weights
    skeleton = manifest.skeleton
    source = weights.source_of(row.name, where)
    is_onnx = where.get("published") == "onnx"
    path = weights.path_of(source) if is_onnx else None
    size = manifest.input.size
    return {
        "name": row.name,
        "family": row.family,
        "paper": row.paper,
        "task": manifest.pipeline,
        "skeleton": None if skeleton is None else skeleton.name,
        "joints": None if skeleton is None else len(skeleton.joints),
        "input": {
            "height": size[0],
            "width": size[1],
            "layout": manifest.input.layout,
            "dtype": manifest.input.dtype,
            "colour": manifest.input.colour,
        },
        "decoder": manifest.decoder.kind,
        "detector": manifest.detector,
        "licence": where.get("licence"),
        "published_as": where.get("published"),
        "origin": where.get("origin"),
        "url": where.get("url"),
        "sha256": where.get("sha256"),
        "size_bytes": where.get("size_bytes"),
        "cached": None if path is None or not path.is_file() else str(path),
        "measured": dict(row.measured),
    }


def _cells(record: dict[str, Any]) -> list[str]:
    size = record["input"]
    state = "cached" if record["cached"] else record["published_as"] or "-"
    return [
        record["name"],
        record["task"].replace("_", "-"),
        record["skeleton"] or "boxes",
        f"{size['width']}x{size['height']}",
        _first_part(record["licence"] or "unknown"),
        state,
        _quality(record["measured"]) or "-",
    ]


def _first_part(licence: str) -> str:
    """Shorten a licence that comes with a sentence; NAME shows all of it."""
    first, comma, _ = licence.partition(",")
    return f"{first} (...)" if comma else licence


def _quality(measured: dict[str, Any]) -> str:
    figures = [(key, value) for key, value in measured.items() if isinstance(value, (int, float))]
    return ", ".join(f"{key.replace('_', ' ')} {value:g}" for key, value in figures)


def _details(record: dict[str, Any]) -> list[str]:
    size = record["input"]
    joints = "boxes of people"
    if record["skeleton"]:
        joints = f"{record['joints']} joints ({record['skeleton']})"
    digest = record["sha256"] or "none published; the first one seen is pinned"
    rows = [
        ("name", record["name"]),
        ("family", f"{record['family']}: {record['paper']}"),
        ("finds", f"{joints}, {record['task'].replace('_', '-')}"),
        ("input", f"{size['width']} x {size['height']}, {size['colour']}, {size['dtype']}"),
        ("decoder", record["decoder"]),
        ("detector", record["detector"]),
        ("licence", record["licence"] or "unknown"),
        ("published as", record["published_as"]),
        ("origin", record["origin"]),
        ("address", record["url"]),
        ("sha-256", digest if record["url"] else None),
        ("cached", record["cached"] or "no"),
        *((key.replace("_", " "), value) for key, value in record["measured"].items()),
    ]
    return [f"{key:<18} {value}" for key, value in rows if value is not None]
