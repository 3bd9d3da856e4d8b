"""``python -m pyposefast`` is the ``pyposefast`` command."""

from __future__ import annotations

from pyposefast.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
