"""``pyposefast doctor``: what this machine has, what is missing, and what to do about it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyposefast import doctor
from pyposefast.commands import ENVIRONMENT, OK
from pyposefast.commands.printing import say, say_json

if TYPE_CHECKING:
    import argparse

_MORE = """\
examples:
  pyposefast doctor
  pyposefast doctor --json | python -m json.tool

exit status:
  0  pyposefast is usable (optional parts may be missing)
  3  the compiled extension does not load
"""


def add(parser: argparse.ArgumentParser) -> None:
    """Describe the command."""
    parser.description = (
        "Report versions, the compiled extension, CUDA devices, engines, weights and compiled "
        "engines in the cache. Each library is loaded in a process of its own, so that one that "
        "crashes is a finding and not the end."
    )
    parser.epilog = _MORE
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(options: argparse.Namespace) -> int:
    """Look, and print."""
    found = doctor.report()
    say_json(doctor.to_dict(found)) if options.json else say(doctor.text(found))
    return OK if found.is_usable else ENVIRONMENT
