"""OpenCV, which is optional: imported where it is first needed, or a word on how to get it."""

from __future__ import annotations

from typing import Any


def opencv() -> Any:
    """Import OpenCV; either of its wheels will do.

    Raises:
        ImportError: it does not import here; the message has a line that says what to do.
    """
    try:
        import cv2  # noqa: PLC0415  an extra: imported when needed
    except ImportError as error:
        message = (
            "pictures, videos and drawing need OpenCV, which does not import here\n"
            'hint: pip install "pyposefast[cpu]"'
        )
        raise ImportError(message) from error
    return cv2
