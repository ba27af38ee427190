"""Tested: the colours of patches through reading, writing and both, against the
equations of H.273 in NumPy. Not tested: chroma at edges, transfer curves."""

import itertools

import av
import numpy as np
import pytest

from stablevid_tf.data.video_error import VideoError
from stablevid_tf.data.video_reader import VideoReader
from stablevid_tf.data.video_writer import VideoWriter

COLOURS = list(itertools.product([1, 5, 6, 9], [1, 2]))
INSIDE = np.s_[6::16, 6::16]  # away from patch edges, where chroma is shared


def read(path):
    with VideoReader(path) as video:
        return video.info, [frame.image for frame in video]


@pytest.mark.parametrize("matrix, levels", COLOURS)
@pytest.mark.parametrize("pixel_format", ["yuv444p", "yuv420p", "yuv422p"])
def test_reads_by_the_files_own_matrix(tmp_path, clips, matrix, levels, pixel_format):
    image = clips.patches()
    path = clips.make(
        tmp_path / "in.mp4", [image] * 2, matrix, levels, pixel_format=pixel_format
    )
    info, frames = read(path)
    assert info.colour[:2] == (matrix, levels)
    assert info.chroma == pixel_format[3:6]
    error = np.abs(frames[0][INSIDE].astype(int) - image[INSIDE])
    assert error.max() <= 3
    assert len(frames) == 2


def test_the_wrong_matrix_would_be_seen(tmp_path, clips):
    image = clips.patches()
    path = clips.make(tmp_path / "in.mkv", [image], 1, 1, tagged=False)
    info, frames = read(path)
    assert info.colour.matrix == 6
    assert np.abs(frames[0][INSIDE].astype(int) - image[INSIDE]).max() > 20


def test_untagged_is_bt709_from_720_lines(tmp_path, clips):
    image = clips.patches(720, 32)
    path = clips.make(tmp_path / "in.mkv", [image], 1, 1, tagged=False)
    info, frames = read(path)
    assert info.colour[:2] == (1, 1)
    assert np.abs(frames[0][INSIDE].astype(int) - image[INSIDE]).max() <= 3


@pytest.mark.parametrize("matrix, levels", COLOURS)
@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".webm"])
def test_writes_and_tags_the_same_matrix(tmp_path, clips, matrix, levels, suffix):
    image = clips.patches()
    info, frames = read(clips.make(tmp_path / "in.mp4", [image], matrix, levels))
    out = tmp_path / f"out{suffix}"
    with VideoWriter(out, info, crf=0) as writer:
        writer.write(image, 0)
    with av.open(str(out)) as container:
        context = container.streams.video[0].codec_context
        # BT.601 has two numbers and one matrix; VP9 knows the one.
        same = {matrix, 6} if suffix == ".webm" and matrix == 5 else {matrix}
        assert context.colorspace in same
        assert context.color_range == levels
        stored = clips.planes(next(container.decode(video=0)))
    wanted = clips.to_yuv(image, matrix, levels)
    for plane, value in zip(stored, wanted, strict=True):
        assert np.abs(plane - value.clip(0, 255))[INSIDE].max() <= 3
    # And there and back.
    again = read(out)[1][0]
    assert np.abs(again[INSIDE].astype(int) - frames[0][INSIDE]).max() <= 4


@pytest.mark.parametrize("suffix", [".mkv", ".mp4", ".mov"])
def test_lossless_is_exact(tmp_path, clips, suffix):
    noise = np.random.default_rng(0).integers(0, 256, (3, 33, 31, 3)).astype(np.uint8)
    info, _ = read(clips.make(tmp_path / "in.mp4", [clips.patches()], 1, 1))
    with VideoWriter(tmp_path / f"out{suffix}", info, lossless=True) as writer:
        for index, image in enumerate(noise):
            writer.write(image, index)
    np.testing.assert_array_equal(read(tmp_path / f"out{suffix}")[1], noise)


def test_a_matrix_that_cannot_be_converted_is_refused(tmp_path, clips):
    path = clips.make(tmp_path / "in.mkv", [clips.patches()], tagged=False)
    ycgco = tmp_path / "ycgco.mkv"
    with av.open(str(path)) as source, av.open(str(ycgco), "w") as target:
        stream = target.add_stream("ffv1", rate=25)
        stream.width = stream.height = 64
        stream.pix_fmt = "yuv444p"
        stream.codec_context.colorspace = 8
        for frame in source.decode(video=0):
            frame.colorspace = 8
            target.mux(stream.encode(frame))
        target.mux(stream.encode(None))
    with pytest.raises(VideoError, match="colour matrix 8"):
        VideoReader(ycgco)
