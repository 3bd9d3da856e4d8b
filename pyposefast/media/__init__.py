"""Media: pictures, folders, videos and cameras in; pictures, videos and records out."""

from pyposefast.media.frames import Frame, Source
from pyposefast.media.pictures import decode_image, read_image, write_image
from pyposefast.media.records import JsonLines, read_json_lines, write_json
from pyposefast.media.sources import open_source
from pyposefast.media.writers import VideoWriter

__all__ = [
    "Frame",
    "JsonLines",
    "Source",
    "VideoWriter",
    "decode_image",
    "open_source",
    "read_image",
    "read_json_lines",
    "write_image",
    "write_json",
]
