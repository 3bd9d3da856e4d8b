"""The ``pyposefast`` command: parses, hands over to the command that was named, ends with its code.

Exit codes: 0 all went well, 1 some inputs failed, 2 wrong usage, 3 the machine lacks something,
130 interrupted.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import os
import signal
import sys
import textwrap
import threading
from typing import TYPE_CHECKING

from pyposefast.commands import ENVIRONMENT, EXIT_STATUS, INTERRUPTED, OK, SOME_FAILED, USAGE
from pyposefast.commands.printing import note, say
from pyposefast.errors import (
    DeviceError,
    DownloadError,
    EngineError,
    InputError,
    InputTypeError,
    ModelError,
    PyposefastError,
    StorageError,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from types import FrameType

_WIDTH = 100  # characters of a line of help that argparse does not break itself
_ABOUT = "Human pose estimation, fast: from pictures, videos and cameras to people's joints."
_COMMANDS = {
    "demo": "estimate the poses of a synthetic scene, or of your picture, and time every step",
    "predict": "find the people in pictures, videos or camera streams",
    "bench": "time every stage of a network's pipeline on this machine",
    "evaluate": "measure how good a network is on annotated pictures",
    "export": "convert a network, and compare what it gives before and after",
    "models": "which networks there are, with licences and published quality",
    "doctor": "what this machine has, what is missing, and what to do about it",
}
_EXAMPLES = """\
examples:
  pyposefast demo                                  poses of a synthetic scene, with timings
  pyposefast models                                the networks that have a name
  pyposefast predict rtmpose_s photo.jpg           who is in the picture, one line
  pyposefast predict rtmo_s video.mp4 --output out an annotated video
  pyposefast bench my_network.toml --batches 1,8   where the time goes
  pyposefast doctor                                what is missing here, and what to do about it

Each command has its own help: pyposefast predict --help

"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    for stream in (sys.stdout, sys.stderr):
        # A file's name that the terminal has no letters for is no reason to stop.
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    try:
        with _interruptible():
            return _run(arguments)
    except KeyboardInterrupt:
        return _fail("interrupted", "", INTERRUPTED)
    except (InputError, InputTypeError, ModelError) as error:
        return _fail(error.message, error.hint, USAGE)
    except (DeviceError, DownloadError, EngineError) as error:
        return _fail(error.message, error.hint, ENVIRONMENT)
    except StorageError as error:
        hint = error.hint or "check that the folder exists and has room"
        return _fail(error.message, hint, ENVIRONMENT)
    except PyposefastError as error:
        return _fail(error.message, error.hint, SOME_FAILED)
    except ImportError as error:
        message, _, hint = str(error).partition("\nhint: ")
        return _fail(message, hint or "`pyposefast doctor` says what is missing", ENVIRONMENT)
    except BrokenPipeError:  # the reader of our output, `head` for one, has had enough
        _forget_output()
        return OK
    except OSError as error:
        _forget_output()
        return _fail(str(error), "check that the folder exists and has room", ENVIRONMENT)


def _run(arguments: Sequence[str]) -> int:
    parser = _parser(arguments)
    options = parser.parse_args(arguments)
    if options.command is None:
        parser.print_help(sys.stderr)
        return USAGE
    code: int = options.run(options)
    return code


def _parser(arguments: Sequence[str]) -> argparse.ArgumentParser:
    """Return a parser that knows all commands by name, and the one that is named in detail."""
    parser = argparse.ArgumentParser(
        prog="pyposefast",
        description=_ABOUT,
        epilog=_EXAMPLES + EXIT_STATUS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action=_Version)
    commands = parser.add_subparsers(dest="command", metavar="command", title="commands")
    named = next((argument for argument in arguments if not argument.startswith("-")), None)
    for name, about in _COMMANDS.items():
        command = commands.add_parser(
            name,
            help=about,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        if name == named:  # the others stay unimported: `doctor` must not need the extension
            module = importlib.import_module(f"pyposefast.commands.{name}")
            module.add(command)
            command.description = textwrap.fill(command.description or "", _WIDTH)
            command.set_defaults(run=module.run)
    return parser


@contextlib.contextmanager
def _interruptible() -> Iterator[None]:
    """Have the first signal stop the work in order, and the second one end the process at once."""

    def interrupt(number: int, _: FrameType | None) -> None:
        signal.signal(number, signal.SIG_DFL)
        raise KeyboardInterrupt

    before = {}
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) is not signal.SIG_IGN:  # nohup and the like
                before[number] = signal.signal(number, interrupt)
    try:
        yield
    finally:
        for number, handler in before.items():
            # What was interrupted once goes on cleaning up; a second signal may end that.
            if signal.getsignal(number) is interrupt:
                signal.signal(number, handler)


def _fail(message: str, hint: str, code: int) -> int:
    note(f"error: {message}")
    if hint:
        note(f"hint: {hint}")
    return code


def _forget_output() -> None:
    """Keep the interpreter from complaining, at its exit, of output that nobody takes."""
    try:
        sys.stdout.flush()
    except OSError:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


class _Version(argparse.Action):
    """Print the version; it is looked up only when asked for."""

    def __init__(self, option_strings: Sequence[str], dest: str) -> None:
        super().__init__(option_strings, dest, nargs=0, help="print the version and exit")

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from pyposefast import __version__  # noqa: PLC0415

        say(f"pyposefast {__version__}")
        parser.exit(OK)
