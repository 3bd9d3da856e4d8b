"""The commands of ``pyposefast``, a file each.

Each file has ``add``, which describes the command to argparse, and ``run``, which returns its exit
code. ``cli`` imports only the one that was asked for.
"""

from __future__ import annotations

OK, SOME_FAILED, USAGE, ENVIRONMENT, INTERRUPTED = 0, 1, 2, 3, 130

EXIT_STATUS = """\
exit status:
  0    all went well
  1    some inputs failed; the list is printed
  2    wrong usage, or a network that does not fit what is asked of it
  3    the machine lacks something: a device, an extra, room on the disk
  130  interrupted
"""
