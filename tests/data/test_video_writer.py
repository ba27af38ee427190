"""Tested: times, sizes, sound, and that a target appears whole or not at all.
Not tested: how well a codec compresses."""

import os
import resource
from dataclasses import replace
from fractions import Fraction

import av
import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from stablevid_tf.data.video import create_video, open_video
from stablevid_tf.data.video_error import VideoError
from stablevid_tf.data.video_reader import VideoReader
from stablevid_tf.data.video_writer import VideoWriter


def read(path):
    with VideoReader(path) as video:
        return video.info, list(video)


def copy(source, target, **options):
    with (
        VideoReader(source) as video,
        VideoWriter(target, video.info, **options) as out,
    ):
        for frame in video:
            out.write(*frame)
    return target


def seconds(path):
    info, frames = read(path)
    return [frame.time * info.time_base for frame in frames]


def packets(path):
    with av.open(str(path)) as container:
        return [
            (bytes(p), p.pts * p.time_base)
            for p in container.demux(audio=0)
            if p.dts is not None
        ]


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".m4v"])
def test_times_are_kept_exactly(tmp_path, clips, suffix):
    times = [7, 8, 20, 21, 400, 1001]
    source = clips.make(
        tmp_path / "in.mp4", clips.moving(6), times=times, time_base=Fraction(1, 12800)
    )
    target = copy(source, tmp_path / f"out{suffix}")
    assert seconds(target) == [Fraction(t, 12800) for t in times]


@pytest.mark.parametrize("suffix", [".mkv", ".webm"])
def test_times_are_kept_to_the_millisecond(tmp_path, clips, suffix):
    source = clips.make(
        tmp_path / "in.mp4",
        clips.moving(6),
        rate=Fraction(30000, 1001),
        time_base=Fraction(1001, 30000),
    )
    target = copy(source, tmp_path / f"out{suffix}")
    difference = np.subtract(seconds(target), seconds(source)).astype(float)
    assert np.abs(difference).max() <= 0.0005
    assert read(target)[0].rate == pytest.approx(Fraction(30000, 1001), rel=1e-6)


def test_rate_and_length_are_kept(tmp_path, clips):
    source = clips.make(
        tmp_path / "in.mp4",
        clips.moving(11),
        rate=Fraction(24000, 1001),
        time_base=Fraction(1001, 24000),
    )
    target = copy(source, tmp_path / "out.mp4")
    assert read(target)[0].rate == Fraction(24000, 1001)
    with av.open(str(target)) as out, av.open(str(source)) as container:
        assert out.duration == container.duration
        assert out.streams.video[0].frames == 11


def test_times_that_do_not_rise_lose_no_frame(tmp_path, clips):
    info, frames = read(clips.make(tmp_path / "in.mp4", clips.moving(4)))
    with (
        pytest.warns(UserWarning, match="do not rise"),
        VideoWriter(tmp_path / "out.mp4", info) as out,
    ):
        for frame, time in zip(frames, [0, 5, 5, 3], strict=True):
            out.write(frame.image, time)
    assert len(read(tmp_path / "out.mp4")[1]) == 4


@pytest.mark.parametrize("size", [(64, 64), (63, 64), (64, 63), (31, 33), (1, 1)])
@pytest.mark.parametrize("suffix", [".mp4", ".webm"])
@pytest.mark.parametrize("chroma", ["420", "422", "444"])
def test_any_frame_size(tmp_path, clips, size, suffix, chroma):
    info, _ = read(clips.make(tmp_path / "in.mp4", clips.moving(1)))
    image = clips.patches(*size)
    path = tmp_path / f"out{suffix}"
    with VideoWriter(path, replace(info, chroma=chroma), crf=4) as out:
        out.write(image, 0)
    info, frames = read(path)
    assert frames[0].image.shape == (*size, 3)
    assert info.chroma == (chroma if size == (64, 64) else info.chroma)
    inside = np.s_[6::16, 6::16]
    error = np.abs(frames[0].image[inside].astype(int) - image[inside])
    assert error.mean() < 4 if error.size else True


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".webm"])
def test_halved_colour_stays_in_its_place(tmp_path, clips, suffix, random):
    info, _ = read(clips.make(tmp_path / "in.mp4", clips.moving(1)))
    smooth = gaussian_filter(random.random((64, 64, 3)), (4, 4, 0))
    smooth = (smooth - smooth.min()) / np.ptp(smooth)

    def written(image, name):
        path = tmp_path / f"{name}{suffix}"
        with VideoWriter(path, replace(info, chroma="420"), crf=2) as out:
            out.write(image, 0)
        return read(path)[1][0].image / 255

    red_less_green = np.array([1.0, -1.0, 0.0])
    mirrored = written(smooth[:, ::-1], "mirrored")
    apart = np.abs((mirrored - written(smooth, "upright")[:, ::-1]) @ red_less_green)
    # Half a pixel's shift, either way.
    half = np.abs(np.diff(smooth @ red_less_green, axis=1)).mean()
    assert apart.mean() < half / 4


def test_pixel_aspect_is_kept_and_turned(tmp_path, clips):
    info, _ = read(clips.make(tmp_path / "in.mp4", clips.moving(1)))
    path = tmp_path / "out.mp4"
    with VideoWriter(path, replace(info, aspect=Fraction(16, 11))) as out:
        out.write(clips.patches(), 0)
    assert read(path)[0].aspect == Fraction(16, 11)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".mov"])
def test_sound_is_copied_packet_by_packet(tmp_path, clips, suffix):
    source = clips.make(tmp_path / "in.mp4", clips.moving(30), sound="aac")
    target = copy(source, tmp_path / f"out{suffix}")
    before, after = packets(source), packets(target)
    assert len(before) > 50
    assert [p for p, _ in after] == [p for p, _ in before]
    shift = np.subtract([t for _, t in after], [t for _, t in before]).astype(float)
    # Matroska has no times below 0, where AAC begins: all moves together.
    video = np.subtract(seconds(target), seconds(source)).astype(float)
    assert np.abs(shift - video[0]).max() <= 0.001
    assert np.abs(video - video[0]).max() <= 0.001
    assert video[0] == 0 if suffix != ".mkv" else video[0] < 0.03


def test_sound_that_does_not_fit_is_encoded_anew(tmp_path, clips):
    source = clips.make(tmp_path / "in.mp4", clips.moving(30), sound="aac")
    with pytest.warns(UserWarning, match="aac sound .* encoded anew as libopus"):
        target = copy(source, tmp_path / "out.webm")
    with av.open(str(target)) as container:
        stream = container.streams.audio[0]
        assert stream.codec_context.name == "opus"
        frames = list(container.decode(audio=0))
    length = sum(f.samples / f.sample_rate for f in frames)
    assert length == pytest.approx(30 / 25, abs=0.05)
    with av.open(str(source)) as container:
        original = np.concatenate(
            [f.to_ndarray()[0] for f in container.decode(audio=0)]
        )
    wave = np.concatenate([f.to_ndarray()[0] for f in frames])
    loudness = original[4000:40000].std()
    assert loudness > 0.1
    assert wave[4000:40000].std() == pytest.approx(loudness, rel=0.1)


def test_a_video_without_sound_stays_so(tmp_path, clips):
    target = copy(
        clips.make(tmp_path / "in.mp4", clips.moving(2)), tmp_path / "out.mp4"
    )
    with av.open(str(target)) as container:
        assert len(container.streams) == 1


def test_crf_is_heard(tmp_path, clips):
    rng = np.random.default_rng(0)
    source = clips.make(
        tmp_path / "in.mp4", [rng.integers(0, 256, (64, 64, 3)).astype(np.uint8)]
    )
    sizes = [
        copy(source, tmp_path / f"{crf}.mp4", crf=crf).stat().st_size
        for crf in (10, 30, 51)
    ]
    assert sizes[0] > 1.5 * sizes[1] > 2 * sizes[2]


@pytest.mark.parametrize(
    "name, options, error, message",
    [
        ("out.avi", {}, VideoError, r"\.mp4, \.m4v"),
        ("out.mp4", {"crf": 52}, ValueError, "0 .best. to 51"),
        ("out.mp4", {"crf": 20, "lossless": True}, ValueError, "one of the two"),
        ("out.webm", {"lossless": True}, ValueError, "mkv, .mp4 or .mov"),
        ("none/out.mp4", {}, VideoError, "there is no folder"),
        ("out", {"crf": 20}, ValueError, "PNG files are lossless"),
    ],
)
def test_what_cannot_be_written_is_refused(
    tmp_path, clips, name, options, error, message
):
    info, _ = read(clips.make(tmp_path / "in.mp4", clips.moving(1)))
    with pytest.raises(error, match=message):
        create_video(tmp_path / name, info, **options).__enter__()
    assert os.listdir(tmp_path) == ["in.mp4"]


@pytest.mark.parametrize("name", ["out.mp4", "out.mkv", "out"])
def test_what_stands_there_is_left_alone(tmp_path, clips, name):
    info, _ = read(clips.make(tmp_path / "in.mp4", clips.moving(1)))
    target = tmp_path / name
    keep = target / "1.png" if name == "out" else target
    keep.parent.mkdir(exist_ok=True)
    keep.write_text("precious")
    with (
        pytest.raises(FileExistsError, match="already exists"),
        create_video(target, info),
    ):
        pass
    for error in (KeyboardInterrupt, ValueError, SystemExit):
        with pytest.raises(error), create_video(target, info, overwrite=True) as out:
            out.write(clips.patches(), 0)
            out.write(clips.patches(), 1)
            raise error
        assert keep.read_text() == "precious"
    with (
        pytest.raises(ValueError, match="no frames"),
        create_video(target, info, overwrite=True),
    ):
        pass
    assert keep.read_text() == "precious"
    assert sorted(os.listdir(tmp_path)) == ["in.mp4", name]
    with create_video(target, info, overwrite=True) as out:
        out.write(clips.patches(), 0)
        assert keep.read_text() == "precious"
    assert sorted(os.listdir(tmp_path)) == ["in.mp4", name]
    with open_video(target) as video:
        assert len(list(video)) == 1


def test_a_folder_with_other_things_is_never_replaced(tmp_path, clips):
    info, _ = read(clips.make(tmp_path / "in.mp4", clips.moving(1)))
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.tex").touch()
    with (
        pytest.raises(VideoError, match=r"thesis\.tex"),
        create_video(tmp_path / "out", info, overwrite=True),
    ):
        pass
    assert (tmp_path / "out" / "thesis.tex").exists()


def test_permissions_follow_the_users_mask(tmp_path, clips):
    info, _ = read(clips.make(tmp_path / "in.mp4", clips.moving(1)))
    with create_video(tmp_path / "out.mp4", info) as out:
        out.write(clips.patches(), 0)
    mask = os.umask(0)
    os.umask(mask)
    assert (tmp_path / "out.mp4").stat().st_mode & 0o777 == 0o666 & ~mask


@pytest.mark.parametrize("name", ["out.mp4", "out.mkv", "out.webm", "out"])
def test_a_full_disk_leaves_nothing(tmp_path, clips, name):
    """A limit on the size of files stands in for a disk without room."""
    info, _ = read(clips.make(tmp_path / "in.mp4", clips.moving(1)))
    noise = np.random.default_rng(0).integers(0, 256, (128, 128, 3)).astype(np.uint8)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
    try:
        with (
            pytest.raises(VideoError, match=r"cannot be written .*large"),
            create_video(tmp_path / name, info) as out,
        ):
            for time in range(4):
                out.write(noise, time)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert os.listdir(tmp_path) == ["in.mp4"]


@pytest.mark.parametrize(
    "frame, message",
    [
        (np.zeros((8, 8)), r"\[height, width"),
        (np.zeros((8, 8, 4)), r"\[height, width"),
        (np.full((8, 8, 3), np.nan), "NaN"),
        (np.zeros((8, 9, 3)), "one size"),
    ],
)
def test_bad_frames(tmp_path, clips, frame, message):
    info, _ = read(clips.make(tmp_path / "in.mp4", clips.moving(1)))
    with (
        pytest.raises(ValueError, match=message),
        VideoWriter(tmp_path / "out.mp4", info) as out,
    ):
        out.write(np.zeros((8, 8, 3)), 0)
        out.write(frame, 1)
    assert os.listdir(tmp_path) == ["in.mp4"]


def test_floats_are_clipped_and_rounded_and_grey_repeated(tmp_path, clips):
    info, _ = read(clips.make(tmp_path / "in.mp4", clips.moving(1)))
    values = np.array([-1, 0, 0.5 / 255 - 1e-4, 0.5 / 255 + 1e-4, 1, 7], np.float32)
    with VideoWriter(tmp_path / "out.mkv", info, lossless=True) as out:
        out.write(values[None, :, None], 0)
    image = read(tmp_path / "out.mkv")[1][0].image
    assert image[0].tolist() == [[v] * 3 for v in (0, 0, 0, 1, 255, 255)]
