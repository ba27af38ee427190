"""Video in and out: a file, a folder of images, or a pattern of image names."""

import glob
import os
import warnings
from fractions import Fraction
from pathlib import Path

from stablevid_tf.data.images_reader import IMAGE_SUFFIXES, ImageReader
from stablevid_tf.data.images_writer import ImageWriter
from stablevid_tf.data.video_error import VideoError
from stablevid_tf.data.video_info import VideoInfo
from stablevid_tf.data.video_reader import VideoReader
from stablevid_tf.data.video_writer import VideoWriter


def open_video(
    source: str | os.PathLike[str],
    rate: float | Fraction | str | None = None,
    allow_damaged: bool = False,
) -> VideoReader | ImageReader:
    """Opens a video for reading, whatever form it has.

    Args:
        source: a video file, an image file, a folder of images, or a pattern such
            as `"shot/*.png"`.
        rate: frames per second of images, 24 if None; a video file has its own.
        allow_damaged: bool, read what can be decoded of a truncated or damaged
            file instead of refusing it.

    Returns:
        `VideoReader` or `ImageReader`: a context manager with `info`, and an
        iterable of `VideoFrame`.

    Raises:
        FileNotFoundError: nothing stands there, or nothing fits the pattern.
        VideoError: it is not a video.
        ValueError: a rate for a video file.

    Example:
        >>> import tempfile
        >>> import numpy as np
        >>> folder = tempfile.mkdtemp() + "/frames"
        >>> with ImageWriter(folder) as out:
        ...     for time in range(3):
        ...         out.write(np.zeros([32, 48, 3]), time)
        >>> with open_video(folder, rate=25) as video:
        ...     [(float(f.time * video.info.time_base), f.image.shape) for f in video]
        [(0.0, (32, 48, 3)), (0.04, (32, 48, 3)), (0.08, (32, 48, 3))]
    """
    path = Path(source)
    if path.is_dir():
        images = [p for p in path.iterdir() if _is_image(p)]
        if not images:
            raise VideoError(
                f"{source}: a folder without images ({', '.join(IMAGE_SUFFIXES)})"
            )
        return ImageReader(images, rate)
    if not path.exists() and glob.has_magic(str(source)):
        found = [Path(p) for p in glob.glob(str(source))]
        if not found:
            raise FileNotFoundError(f"{source}: no file fits this pattern")
        other = [p for p in found if not _is_image(p)]
        if other:
            raise VideoError(
                f"{source}: fits {other[0]}, which is no image "
                f"({', '.join(IMAGE_SUFFIXES)}); give a narrower pattern"
            )
        return ImageReader(found, rate)
    if _is_image(path):
        return ImageReader([path], rate)
    if rate is not None:
        raise ValueError(
            f"{source}: a video file has its own frame times; rate is for images"
        )
    return VideoReader(path, allow_damaged)


def create_video(
    target: str | os.PathLike[str],
    info: VideoInfo,
    crf: int | None = None,
    lossless: bool = False,
    overwrite: bool = False,
) -> VideoWriter | ImageWriter:
    """Opens a video for writing: a file by its suffix, or a folder of PNG files.

    Args:
        target: a name with a video suffix, or without any for a folder.
        info: `VideoInfo` of the video it is made from.
        crf, lossless: as for `VideoWriter`; a folder of PNG files is lossless.
        overwrite: bool, replace what stands there.

    Returns:
        `VideoWriter` or `ImageWriter`: a context manager with `write`.

    Raises:
        FileExistsError, VideoError, ValueError: as those two.
    """
    path = Path(target)
    if path.is_dir() or not path.suffix:
        if crf is not None:
            raise ValueError(f"{target}: PNG files are lossless; crf is for a video")
        if info.sound is not None:
            warnings.warn(f"{target}: a folder of images holds no sound", stacklevel=2)
        return ImageWriter(path, overwrite)
    return VideoWriter(path, info, crf, lossless, overwrite)


def _is_image(path):
    return path.is_file() and path.suffix.lower() in IMAGE_SUFFIXES
