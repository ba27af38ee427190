"""Tested: folders, patterns, order, names, what is dropped with a word. Not tested:
every image format FFmpeg knows."""

import os
from fractions import Fraction

import numpy as np
import pytest
from PIL import Image, ImageOps

from stablevid_tf.data.images_reader import ImageReader
from stablevid_tf.data.images_writer import ImageWriter
from stablevid_tf.data.video import open_video
from stablevid_tf.data.video_error import VideoError


@pytest.fixture
def folder(tmp_path, clips):
    """frame2.png ... frame12.png, and a file that is no image."""
    folder = tmp_path / "in"
    folder.mkdir()
    for number, image in enumerate(clips.moving(11), 2):
        Image.fromarray(image).save(folder / f"frame{number}.png")
    (folder / "notes.txt").write_text("not a frame")
    return folder


@pytest.mark.parametrize("pattern", ["in", "in/*.png", "i?/frame*"])
def test_folder_and_pattern_in_natural_order(tmp_path, folder, clips, pattern):
    with open_video(tmp_path / pattern, rate="30000/1001") as video:
        frames = list(video)
        assert video.info.frames == 11
        assert video.info.rate == Fraction(30000, 1001)
        assert video.info.time_base == Fraction(1001, 30000)
    assert [f.name for f in frames] == [f"frame{n}" for n in range(2, 13)]
    assert [f.time for f in frames] == list(range(11))
    np.testing.assert_array_equal([f.image for f in frames], clips.moving(11))


def test_folder_round_trip_is_exact_and_keeps_names(tmp_path, folder, clips):
    with open_video(folder) as video, ImageWriter(tmp_path / "out") as out:
        for frame in video:
            out.write(*frame)
    assert sorted(os.listdir(tmp_path / "out")) == sorted(
        f"frame{n}.png" for n in range(2, 13)
    )
    image = np.asarray(Image.open(tmp_path / "out" / "frame12.png"))
    np.testing.assert_array_equal(image, clips.moving(11)[-1])


def test_numbers_where_there_are_no_names(tmp_path, clips):
    with ImageWriter(tmp_path / "out") as out:
        for time in range(3):
            out.write(clips.patches(), time)
    assert sorted(os.listdir(tmp_path / "out")) == [
        f"0000000{n}.png" for n in (1, 2, 3)
    ]


def test_two_images_of_one_name_are_not_merged(tmp_path, clips):
    with (
        pytest.raises(VideoError, match="two images are named 'a'"),
        ImageWriter(tmp_path / "out") as out,
    ):
        out.write(clips.patches(), 0, name="a")
        out.write(clips.patches(), 1, name="a")
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("mode", ["RGB", "L", "P", "RGBA", "I;16", "1", "LA"])
def test_kinds_of_png(tmp_path, clips, mode):
    colour = Image.fromarray(clips.patches())
    image = (
        colour.convert("L").convert(mode) if mode == "I;16" else colour.convert(mode)
    )
    if mode == "I;16":
        image = Image.fromarray(np.asarray(colour.convert("L")).astype(np.uint16) * 257)
    image.save(tmp_path / "a%02d:b.png")
    wanted = colour.convert("L") if mode in ("I;16", "LA") else image
    wanted = np.asarray(wanted.convert("RGB")).astype(int)
    if mode in ("RGBA", "I;16", "LA"):
        with pytest.warns(UserWarning, match="16 bits|transparency"):
            read = next(iter(ImageReader([tmp_path / "a%02d:b.png"]))).image
    else:
        read = next(iter(ImageReader([tmp_path / "a%02d:b.png"]))).image
    assert np.abs(read - wanted).max() <= 1


@pytest.mark.parametrize("orientation", range(1, 9))
def test_jpeg_colours_and_orientation(tmp_path, clips, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / "a.jpg"
    image = Image.fromarray(clips.patches(48, 80))
    image.save(path, quality=100, subsampling=0, exif=exif)
    read = next(iter(ImageReader([path]))).image
    wanted = np.asarray(ImageOps.exif_transpose(Image.open(path)))
    assert read.shape == wanted.shape
    assert np.abs(read.astype(int) - wanted).max() <= 3


def test_bad_input(tmp_path, folder):
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(VideoError, match="a folder without images"):
        open_video(empty)
    with pytest.raises(FileNotFoundError, match="no file fits"):
        open_video(tmp_path / "*.png")
    with pytest.raises(VideoError, match=r"notes\.txt, which is no image"):
        open_video(folder / "*")
    for rate in (0, -1, "fast", "1/0"):
        with pytest.raises(ValueError, match="frames per second"):
            open_video(folder, rate=rate)
    (folder / "frame5.png").write_bytes(b"broken")
    with open_video(folder) as video, pytest.raises(VideoError, match=r"frame5\.png"):
        list(video)
