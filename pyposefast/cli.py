"""The ``pyposefast`` command.

Exit codes: 0 all went well, 1 some inputs failed, 2 wrong usage, 3 the machine lacks something,
130 interrupted.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from pyposefast.errors import DeviceError, InputError, InputTypeError, PyposefastError

if TYPE_CHECKING:
    from collections.abc import Sequence

OK, SOME_FAILED, USAGE, ENVIRONMENT, INTERRUPTED = 0, 1, 2, 3, 130

_ABOUT = "Fast building blocks for human pose estimation: crops, peaks and what goes around them."
_EXAMPLES = """\
examples:
  pyposefast demo                        poses of a synthetic scene, saved as a PNG, with timings
  pyposefast demo --people 20 --seed 7   another scene
  pyposefast doctor                      what this machine has, what is missing, what to do about it
  pyposefast doctor --json               the same for programs

Each command has its own help: pyposefast demo --help
"""
_DEMO_EXAMPLES = """\
examples:
  pyposefast demo
  pyposefast demo --people 20 --seed 7 --output crowd.png
  pyposefast demo --repeat 200           steadier timings
  pyposefast demo --json | python -m json.tool

No network is bundled yet: heatmaps drawn from the exact joints stand in for one. Everything else is
the real thing. Needs OpenCV: pip install "pyposefast[cpu]"
"""
_DOCTOR_EXAMPLES = """\
exit status:
  0  pyposefast is usable (optional parts may be missing)
  3  the compiled extension does not load
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.command is None:
        parser.print_help(sys.stderr)
        return USAGE
    try:
        return _demo(options) if options.command == "demo" else _doctor(options)
    except KeyboardInterrupt:
        return _fail("interrupted", "", INTERRUPTED)
    except (InputError, InputTypeError) as error:
        return _fail(error.message, error.hint, USAGE)
    except DeviceError as error:
        return _fail(error.message, error.hint, ENVIRONMENT)
    except PyposefastError as error:
        return _fail(error.message, error.hint, SOME_FAILED)
    except ImportError as error:
        message, _, hint = str(error).partition("\nhint: ")
        return _fail(message, hint or "`pyposefast doctor` says what is missing", ENVIRONMENT)
    except BrokenPipeError:  # the reader of our output, `head` for one, has had enough
        sys.stderr.close()
        return OK
    except OSError as error:
        return _fail(str(error), "check that the folder exists and has room", ENVIRONMENT)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="pyposefast",
        description=_ABOUT,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action=_Version)
    commands = parser.add_subparsers(dest="command", metavar="command", title="commands")
    demo = commands.add_parser(
        "demo",
        help="estimate the poses of a synthetic scene and time every step",
        description="Draw people, find their joints, save the picture with skeletons over it, and "
        "print how long every step took and how far the joints are off.",
        epilog=_DEMO_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    demo.add_argument(
        "--people", type=int, default=5, metavar="N", help="how many people (default: 5)"
    )
    demo.add_argument(
        "--seed", type=int, default=4, metavar="N", help="which scene, 0 or more (default: 4)"
    )
    demo.add_argument(
        "--repeat", type=int, default=20, metavar="N", help="timings per step (default: 20)"
    )
    demo.add_argument(
        "--output",
        type=Path,
        default=Path("pyposefast_demo.png"),
        metavar="PNG",
        help="where the picture goes (default: pyposefast_demo.png here)",
    )
    demo.add_argument("--json", action="store_true", help="print JSON, joints included")
    doctor = commands.add_parser(
        "doctor",
        help="what this machine has, what is missing, and what to do about it",
        description="Report versions, the compiled extension, CUDA devices, engines and caches.",
        epilog=_DOCTOR_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    doctor.add_argument("--json", action="store_true", help="print JSON")
    return parser


def _demo(options: argparse.Namespace) -> int:
    from pyposefast import demo  # noqa: PLC0415  loads the extension, which doctor must not need

    done = demo.run(
        people=options.people, seed=options.seed, repeat=options.repeat, output=options.output
    )
    _print(json.dumps(demo.to_dict(done), indent=2) if options.json else demo.text(done))
    return OK


def _doctor(options: argparse.Namespace) -> int:
    from pyposefast import doctor  # noqa: PLC0415  slow to import, and only wanted here

    found = doctor.report()
    _print(json.dumps(doctor.to_dict(found), indent=2) if options.json else doctor.text(found))
    return OK if found.is_usable else ENVIRONMENT


def _print(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()  # here, where a broken pipe is still ours to handle


def _fail(message: str, hint: str, code: int) -> int:
    sys.stderr.write(f"error: {message}\n")
    if hint:
        sys.stderr.write(f"hint: {hint}\n")
    return code


class _Version(argparse.Action):
    """Print the version; it is looked up only when asked for."""

    def __init__(self, option_strings: Sequence[str], dest: str) -> None:
        super().__init__(option_strings, dest, nargs=0, help="print the version and exit")

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from pyposefast import __version__  # noqa: PLC0415

        _print(f"pyposefast {__version__}")
        parser.exit(OK)
