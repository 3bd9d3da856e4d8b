"""Videos: every frame that can be read is, and what cannot be is said, in its place."""

from __future__ import annotations

import os
import struct
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from pyposefast.errors import InputError, MediaError
from pyposefast.media import VideoWriter, open_source

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

cv2 = pytest.importorskip("cv2", reason="videos need OpenCV: the extra `cpu`")
pytest.importorskip("av", reason="some videos are made by PyAV: the extra `video`")

DECODERS = ("pyav", "opencv")
COUNT = 40


def shade(index: int) -> Any:
    """Return a picture [48, 64, 3] that is one grey, 6 levels from that of its neighbours."""
    return np.full((48, 64, 3), 6 * index % 250, np.uint8)


def make_video(
    path: Path, *, codec: str = "libx264", count: int = COUNT, noise: bool = False
) -> Path:
    """Write a video as PyAV makes it of that suffix."""
    import av

    random = np.random.default_rng(2)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25)
        stream.height, stream.width = 48, 64
        if codec == "libx264":  # with its threads, no two files are the same
            stream.codec_context.options = {
                "x264-params": "threads=1:lookahead-threads=1:sync-lookahead=0:rc-lookahead=0"
            }
        if codec == "mpeg4":  # whose own choice would lose dark greys
            stream.bit_rate = 4_000_000
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        for index in range(count):
            image = shade(index)
            if noise:
                image = image // 2 + random.integers(0, 64, image.shape, dtype=np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode(None))
    return path


@pytest.fixture(scope="module")
def mp4(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_video(tmp_path_factory.mktemp("video") / "grey.mp4")


@pytest.mark.parametrize("decoder", DECODERS)
@pytest.mark.parametrize(
    ("name", "codec"),
    [("a.mp4", "libx264"), ("a.mkv", "libx264"), ("a.avi", "mjpeg"), ("a.ts", "libx264"),
     ("a.mov", "mpeg4"), ("a.flv", "libx264")],
)  # fmt: skip
def test_every_frame_of_a_video_is_read(
    decoder: Any, name: str, codec: str, tmp_path: Path
) -> None:
    path = make_video(tmp_path / name, codec=codec)
    with open_source(path, decoder=decoder) as source:
        assert source.fps == pytest.approx(25)
        assert source.size == (48, 64)
        assert not source.is_live
        frames = list(source)
    assert [frame.index for frame in frames] == list(range(COUNT))
    assert not any(frame.error for frame in frames)
    assert frames[3].name == f"{name}:3"
    for index, frame in enumerate(frames):
        assert frame.image is not None
        assert frame.image.shape == (48, 64, 3)
        assert abs(float(frame.image.mean()) - 6 * index % 250) < 3  # limited range, lossy
    times = np.array([frame.time_s for frame in frames])
    # Flash video counts milliseconds.
    np.testing.assert_allclose(times - times[0], np.arange(COUNT) / 25, atol=1.1e-3)


def test_both_decoders_say_how_many_there_should_be(mp4: Path) -> None:
    for decoder in DECODERS:
        assert open_source(mp4, decoder=decoder).len_hint == COUNT


@pytest.mark.parametrize("decoder", DECODERS)
@pytest.mark.parametrize("name", ["a.mkv", "faststart.mp4", "a.avi"])
def test_a_cut_video_gives_what_is_there_and_says_so(
    decoder: Any, name: str, tmp_path: Path
) -> None:
    path = make_video(tmp_path / name, codec="mjpeg" if "avi" in name else "libx264", noise=True)
    data = path.read_bytes()
    if "mp4" in name:
        data = index_first(data)
    path.write_bytes(data[: len(data) * 6 // 10])
    frames = list(open_source(path, decoder=decoder))
    good = [frame for frame in frames if frame.image is not None]
    assert 10 <= len(good) < COUNT
    assert [frame.index for frame in frames] == list(range(len(frames)))
    assert isinstance(frames[-1].error, MediaError)
    assert f"the file ends at byte {len(data) * 6 // 10} of {len(data)}" in str(frames[-1].error)


def index_first(data: bytes) -> bytes:
    """Move the index of an MP4 before its samples, as for the web, and correct the offsets."""
    boxes, position = {}, 0
    while position < len(data):
        length = int.from_bytes(data[position : position + 4], "big")
        boxes[data[position + 4 : position + 8]] = data[position : position + length]
        position += length
    moov = bytearray(boxes[b"moov"])
    at = moov.index(b"stco") + 8
    (count,) = struct.unpack_from(">I", moov, at)
    old = struct.unpack_from(f">{count}I", moov, at + 4)
    struct.pack_into(f">{count}I", moov, at + 4, *(offset + len(moov) for offset in old))
    return b"".join([boxes[b"ftyp"], bytes(moov), boxes.get(b"free", b""), boxes[b"mdat"]])


@pytest.mark.parametrize("decoder", DECODERS)
def test_a_video_without_its_index_cannot_be_opened(
    decoder: Any, mp4: Path, tmp_path: Path
) -> None:
    path = tmp_path / "cut.mp4"
    data = mp4.read_bytes()
    path.write_bytes(data[: data.index(b"moov") - 4])
    with pytest.raises(MediaError, match=r"cut\.mp4: damaged or cut off video"):
        open_source(path, decoder=decoder)


def test_damaged_frames_are_records_and_not_pictures(tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.avi", codec="mjpeg")
    data = bytearray(path.read_bytes())
    starts = [at for at in range(len(data)) if data[at : at + 4] == b"00dc"]
    for index in (11, 12, 25):  # the coded pictures, not the chunks around them
        at = starts[1 + index]  # the first is in the header
        length = int.from_bytes(data[at + 4 : at + 8], "little")
        data[at + 8 : at + 8 + length] = bytes(length)
    path.write_bytes(data)
    frames = list(open_source(path, decoder="pyav"))
    assert [frame.index for frame in frames] == list(range(COUNT))
    assert [frame.index for frame in frames if frame.error] == [11, 12, 25]
    assert all((frame.image is None) == (frame.error is not None) for frame in frames)
    assert abs(float(frames[13].image.mean()) - 6 * 13) < 3  # type: ignore[union-attr]
    frames = list(open_source(path, decoder="opencv"))
    # OpenCV skips them or stops there; either way the last record says how many are missing.
    good = [frame for frame in frames if frame.image is not None]
    assert 11 <= len(good) <= COUNT - 3
    assert f"{COUNT - len(good)} of {COUNT} frames are missing" in str(frames[-1].error)


def test_damage_within_coded_frames_is_not_painted_over(tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.mkv", noise=True)
    data = bytearray(path.read_bytes())
    for part in range(5, 15):
        at = len(data) * part // 16
        data[at : at + 40] = bytes(40)
    path.write_bytes(data)
    frames = list(open_source(path, decoder="pyav"))
    assert [frame.index for frame in frames] == list(range(COUNT))
    # H.264 has no checksums: not every damage shows, and not the same to every version of FFmpeg.
    assert 3 <= sum(frame.error is not None for frame in frames) < COUNT // 2
    assert all((frame.image is None) == (frame.error is not None) for frame in frames)


def test_mutated_videos_are_frames_and_errors(tmp_path: Path) -> None:
    random = np.random.default_rng(4)
    paths = [make_video(tmp_path / name, count=10) for name in ("a.mp4", "a.mkv", "a.ts")]
    for path in paths:
        whole = path.read_bytes()
        for _ in range(30):
            data = bytearray(whole)
            for _ in range(random.integers(1, 30)):
                data[random.integers(len(data))] = random.integers(256)
            path.write_bytes(data)
            try:
                frames = list(open_source(path, decoder="pyav", max_pixels=10_000))
            except MediaError:
                continue
            assert [frame.index for frame in frames] == list(range(len(frames)))
            assert all((frame.image is None) != (frame.error is None) for frame in frames)
            assert len(frames) < 100


@pytest.mark.parametrize("decoder", DECODERS)
@pytest.mark.parametrize(("degrees", "turns"), [(90, 3), (180, 2), (270, 1)])
def test_the_rotation_of_telephones_is_applied(
    decoder: Any, degrees: int, turns: int, tmp_path: Path
) -> None:
    path = tmp_path / "turned.mp4"
    image = np.zeros((48, 64, 3), np.uint8)
    image[:24, :32] = 255  # one bright corner
    with VideoWriter(path, fps=25, size=(48, 64)) as writer:
        for _ in range(3):
            writer.write(image)
    data = bytearray(path.read_bytes())
    at = data.index(b"tkhd") + 4 + 40  # the matrix of a track header of version 0
    cos, sin = {90: (0, 1), 180: (-1, 0), 270: (0, -1)}[degrees]
    rows = (cos << 16, sin << 16, 0, -sin << 16, cos << 16, 0, 0, 0, 1 << 30)
    struct.pack_into(">9i", data, at, *rows)
    path.write_bytes(data)
    # The matrix turns what is stored clockwise by so many degrees.
    frame = next(open_source(path, decoder=decoder))
    expected = np.rot90(image, turns)
    assert frame.image is not None
    assert frame.image.shape == expected.shape
    assert np.abs(frame.image.astype(int) - expected).mean() < 10


@pytest.mark.parametrize("decoder", DECODERS)
def test_videos_with_frames_that_are_too_large_are_refused(decoder: Any, mp4: Path) -> None:
    assert open_source(mp4, decoder=decoder, max_pixels=48 * 64).size == (48, 64)
    with pytest.raises(MediaError, match=r"grey\.mp4: expected at most 3071 pixels a frame"):
        open_source(mp4, decoder=decoder, max_pixels=48 * 64 - 1)


@pytest.mark.parametrize("decoder", DECODERS)
def test_a_playlist_by_the_name_of_a_video_opens_nothing(
    decoder: Any, mp4: Path, tmp_path: Path
) -> None:
    for text in (
        f"#EXTM3U\n#EXTINF:1,\n{mp4}\n#EXT-X-ENDLIST\n",
        f"ffconcat version 1.0\nfile {mp4}\n",
    ):
        path = tmp_path / "video.mp4"
        path.write_text(text)
        with pytest.raises(MediaError, match="expected a picture or a video"):
            open_source(path, decoder=decoder)


@pytest.mark.parametrize("decoder", DECODERS)
@pytest.mark.parametrize(
    "name", ["%03d.mp4", "concat:a|b.mp4", "ü 🏃\n.mp4", "\udcff.mp4", "-i.mp4"]
)
def test_odd_names_of_videos_are_names(decoder: Any, name: str, mp4: Path, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(mp4.read_bytes())
    old = os.getcwd()  # noqa: PTH109
    os.chdir(tmp_path)
    try:
        frames = list(open_source(name, decoder=decoder))
    finally:
        os.chdir(old)
    assert len(frames) == COUNT
    assert not any(frame.error for frame in frames)


def test_closing_early_gives_the_file_back(mp4: Path) -> None:
    for decoder in DECODERS:
        before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
        source = open_source(mp4, decoder=decoder)
        next(source)
        source.close()
        assert list(source) == []
        assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208


def test_without_pyav_opencv_reads_and_the_extra_is_named(
    mp4: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "av", None)
    assert len(list(open_source(mp4))) == COUNT
    with pytest.raises(ImportError, match=r'hint: pip install "pyposefast\[video\]"'):
        open_source(mp4, decoder="pyav")
    with pytest.raises(InputError, match="decoder: expected one of"):
        open_source(mp4, decoder="ffmpeg")  # type: ignore[arg-type]


# ---- writing ------------------------------------------------------------------------------------


@pytest.mark.parametrize("encoder", DECODERS)
@pytest.mark.parametrize("size", [(48, 64), (47, 63)])
def test_a_video_is_written_whole_and_reads_back(
    encoder: Any, size: tuple[int, int], tmp_path: Path
) -> None:
    path = tmp_path / "new" / "out.mp4"
    with VideoWriter(path, fps=30000 / 1001, size=size, encoder=encoder) as writer:
        for index in range(COUNT):
            assert not path.exists()
            writer.write(shade(index)[: size[0], : size[1]])
    assert [each.name for each in path.parent.iterdir()] == ["out.mp4"]
    assert path.stat().st_mode & 0o777 == 0o644
    with open_source(path) as source:
        assert source.fps == pytest.approx(30000 / 1001, rel=1e-4)
        frames = list(source)
    assert len(frames) == COUNT
    for index, frame in enumerate(frames):
        assert frame.image is not None
        assert frame.image.shape == (48, 64, 3)  # odd sides gain a row or a column
        assert abs(float(frame.image.mean()) - 6 * index % 250) < 6


@pytest.mark.parametrize("encoder", DECODERS)
def test_a_video_that_is_given_up_leaves_nothing(encoder: Any, tmp_path: Path) -> None:
    path = tmp_path / "out.mp4"

    def interrupted() -> None:
        with VideoWriter(path, fps=25, size=(48, 64), encoder=encoder) as writer:
            writer.write(shade(0))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    with pytest.raises(MediaError, match="no frame was written"):
        VideoWriter(path, fps=25, size=(48, 64), encoder=encoder).close()
    assert list(tmp_path.iterdir()) == []


def test_frames_of_another_size_and_other_mistakes_are_named(tmp_path: Path) -> None:
    path = tmp_path / "out.mp4"
    calls: list[tuple[Callable[[], object], str]] = [
        (lambda: VideoWriter(tmp_path / "a.txt", fps=1, size=(8, 8)), "path: .*ends in .mp4"),
        (lambda: VideoWriter(path, fps=0, size=(8, 8)), "fps: "),
        (lambda: VideoWriter(path, fps=float("nan"), size=(8, 8)), "fps: "),
        (lambda: VideoWriter(path, fps=1, size=(0, 8)), "size: "),
    ]
    for call, match in calls:
        with pytest.raises(InputError, match=match):
            call()
    writer = VideoWriter(path, fps=25, size=(48, 64))
    with pytest.raises(InputError, match=r"image: expected frames .*, got \[64, 48, 3\]"):
        writer.write(np.zeros((64, 48, 3), np.uint8))
    writer.discard()
    with pytest.raises(InputError, match="closed"):
        writer.write(shade(0))
    assert list(tmp_path.iterdir()) == []
