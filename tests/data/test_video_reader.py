"""Tested: every frame, its time, its way up; what is converted with a word; what is
refused. Not tested: codecs beyond those PyAV can encode."""

import itertools
import warnings
from fractions import Fraction

import av
import numpy as np
import pytest

from stablevid_tf.data.video import open_video
from stablevid_tf.data.video_error import VideoError
from stablevid_tf.data.video_reader import VideoReader


def read(path, **options):
    with VideoReader(path, **options) as video:
        return video.info, list(video)


def near(image, other, tolerance=3):
    return np.abs(image.astype(int) - other).max() <= tolerance


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".mov", ".avi", ".ts"])
def test_every_frame_first_and_last(tmp_path, clips, suffix):
    images = clips.moving(13)
    path = clips.make(tmp_path / f"in{suffix}", images)
    info, frames = read(path)
    assert len(frames) == 13
    for frame, image in zip(frames, images, strict=True):
        assert near(frame.image, image)
    seconds = np.array([float(f.time * info.time_base) for f in frames])
    np.testing.assert_allclose(seconds - seconds[0], np.arange(13) / 25, atol=1e-3)
    assert seconds[0] < 0.2  # a broadcast clock is set back to its start
    assert info.rate == 25
    assert (info.width, info.height) == (64, 64)


def test_variable_frame_times(tmp_path, clips):
    times = [7, 8, 20, 21, 400, 1001]
    path = clips.make(
        tmp_path / "in.mp4", clips.moving(6), times=times, time_base=Fraction(1, 12800)
    )
    info, frames = read(path)
    assert [f.time * info.time_base * 12800 for f in frames] == times


def test_raw_stream_without_times_is_shown_at_its_rate(tmp_path, clips):
    path = clips.make(tmp_path / "in.h264", clips.moving(5), options={"bf": "0"})
    info, frames = read(path)
    seconds = [f.time * info.time_base for f in frames]
    steps = {b - a for a, b in itertools.pairwise(seconds)}
    assert steps == {Fraction(1, 25)}


@pytest.mark.parametrize("mirror", [False, True])
@pytest.mark.parametrize("degrees", [0, 90, 180, 270])
def test_rotation_is_applied_to_the_pixels(tmp_path, clips, degrees, mirror):
    image = clips.patches(48, 80)
    path = clips.make(tmp_path / "in.mp4", [image], rotation=(degrees, mirror))
    info, frames = read(path)
    # `set_display_rotation` turns counter-clockwise, then mirrors.
    wanted = np.rot90(image, degrees // 90)
    wanted = wanted[:, ::-1] if mirror else wanted
    assert (info.height, info.width) == wanted.shape[:2]
    assert near(frames[0].image, wanted)


def test_skew_rotation_is_refused(tmp_path, clips):
    path = clips.make(tmp_path / "in.mp4", [clips.patches()], rotation=(30,))
    with pytest.raises(VideoError, match="quarter turns"):
        VideoReader(path)


def test_more_than_8_bits_is_said(tmp_path, clips):
    image = clips.patches()
    path = clips.make(tmp_path / "in.mkv", [image], pixel_format="yuv444p10le")
    with pytest.warns(UserWarning, match="10-bit"):
        _, frames = read(path)
    assert near(frames[0].image, image)


def test_interlaced_is_deinterlaced_with_a_word(tmp_path, clips):
    rising = [np.full((64, 64, 3), 20 * t, np.uint8) for t in range(9)]
    # Each stored frame weaves two moments.
    woven = [np.where(np.arange(64)[:, None, None] % 2, b, a)
             for a, b in itertools.pairwise(rising)]  # fmt: skip
    path = clips.make(
        tmp_path / "in.mkv", woven, options={"x264-params": "tff=1:interlaced=1"}
    )
    with pytest.warns(UserWarning, match="interlaced"):
        info, frames = read(path)
    assert len(frames) == len(woven)
    assert [f.time * info.time_base * 25 for f in frames] == list(range(8))
    # A moment's value everywhere: no comb is left.
    middle = frames[4].image[8:-8].astype(int)
    assert np.abs(np.diff(middle, axis=0)).max() <= 4


def test_a_second_pass_is_refused(tmp_path, clips):
    path = clips.make(tmp_path / "in.mp4", clips.moving(2))
    with VideoReader(path) as video:
        assert len(list(video)) == 2
        with pytest.raises(VideoError, match="open it again"):
            list(video)


def test_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError, match="no such file"):
        open_video(tmp_path / "none.mp4")


@pytest.mark.parametrize("content", [b"", b"hello", bytes(range(256)) * 99])
def test_not_a_video(tmp_path, content):
    path = tmp_path / "in.mp4"
    path.write_bytes(content)
    with pytest.raises(VideoError, match="not a video that can be read"):
        open_video(path)


def test_sound_alone(tmp_path):
    path = tmp_path / "in.wav"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), layout="mono")
        frame.sample_rate = 8000
        container.mux(stream.encode(frame))
    with pytest.raises(VideoError, match="no video stream"):
        open_video(path)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".avi"])
def test_truncated_is_refused_at_once_or_read_as_far_as_it_goes(
    tmp_path, clips, suffix
):
    # Moving the table to the front lets a cut MP4 be opened at all.
    images = clips.moving(30)
    path = clips.make(tmp_path / f"in{suffix}", images)
    if suffix == ".mp4":
        path = faststart(path)
    assert len(read(path)[1]) == 30
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) * 3 // 4])
    with pytest.raises(VideoError, match=r"truncated, at least .* bytes are missing"):
        VideoReader(path)
    with warnings.catch_warnings(action="ignore"):
        _, frames = read(path, allow_damaged=True)
    assert 0 < len(frames) < 30
    assert near(frames[0].image, images[0])


def test_a_cut_mp4_without_its_table_is_no_video(tmp_path, clips):
    path = clips.make(tmp_path / "in.mp4", clips.moving(30))
    path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(VideoError, match="not a video that can be read"):
        open_video(path)


def test_damage_says_after_how_many_frames(tmp_path, clips):
    path = clips.make(tmp_path / "in.mov", clips.moving(20), codec="png", options={},
                      pixel_format="rgb24")  # fmt: skip
    with av.open(str(path)) as container:
        spots = [p.pos for p in container.demux(video=0) if p.size]
    content = bytearray(path.read_bytes())
    content[spots[12] + 30 : spots[12] + 90] = bytes(60)
    path.write_bytes(content)
    with pytest.raises(VideoError, match=r"damaged after 1[0-2] frames"):
        read(path)
    assert 17 <= len(read(path, allow_damaged=True)[1]) < 20


def test_what_a_decoder_conceals_is_said(tmp_path, clips):
    path = clips.make(tmp_path / "in.mkv", clips.moving(30, 96, 96))
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 140 : 7] = bytes(20)
    path.write_bytes(content)
    with pytest.warns(UserWarning, match="frame .* is damaged"):
        assert len(read(path)[1]) == 30


def faststart(path):
    target = path.with_name(f"fast{path.suffix}")
    with (
        av.open(str(path)) as source,
        av.open(str(target), "w", options={"movflags": "faststart"}) as out,
    ):
        stream = out.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                out.mux(packet)
    return target
