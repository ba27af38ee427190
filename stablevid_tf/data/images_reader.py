import os
import re
import warnings
from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Self

import av
from av.video.reformatter import VideoReformatter

from stablevid_tf.data.video_colour import colour_of, to_rgb
from stablevid_tf.data.video_error import VideoError
from stablevid_tf.data.video_frame import VideoFrame
from stablevid_tf.data.video_info import VideoInfo
from stablevid_tf.data.video_rotation import display_matrix, upright

# fmt: off
IMAGE_SUFFIXES = (
    ".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp", ".ppm", ".pgm"
)
# fmt: on


class ImageReader:
    """The frames of image files, in natural order: `f2.png` before `f10.png`.

    The same interface as `VideoReader`. Files of other suffixes in a folder are
    passed over.

    Args:
        paths: the files.
        rate: frames per second to play them at, a number or a string such as
            "30000/1001"; 24 if None.

    Attributes:
        info: `VideoInfo`; its `time_base` is `1 / rate`.

    Raises:
        VideoError: a file is no image, while reading. Sizes may differ: whoever
            needs one size checks it.
        ValueError: no files, or a rate that is not positive.

    Example:
        >>> import tempfile
        >>> import numpy as np
        >>> from pathlib import Path
        >>> from stablevid_tf.data.images_writer import ImageWriter
        >>> folder = Path(tempfile.mkdtemp(), "frames")
        >>> with ImageWriter(folder) as out:
        ...     out.write(np.zeros([32, 48, 3]), time=0, name="shot1")
        >>> for frame in ImageReader(folder.glob("*.png"), rate=25):
        ...     print(frame.name, frame.image.shape)
        shot1 (32, 48, 3)
    """

    def __init__(
        self,
        paths: Iterable[str | os.PathLike[str]],
        rate: float | Fraction | str | None = None,
    ) -> None:
        self._paths = sorted(map(Path, paths), key=natural)
        if not self._paths:
            raise ValueError("no image files were given")
        rate = _rate(24 if rate is None else rate)
        self._reformatter, self._warned = VideoReformatter(), False
        image, colour = self._read(self._paths[0])
        self.info = VideoInfo(
            width=image.shape[1],
            height=image.shape[0],
            frames=len(self._paths),
            rate=rate,
            time_base=1 / rate,
            aspect=None,
            colour=colour,
        )

    def __iter__(self) -> Iterator[VideoFrame]:
        for time, path in enumerate(self._paths):
            yield VideoFrame(self._read(path)[0], time, 1, path.stem)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Nothing is held open; for the same interface as `VideoReader`."""

    def _read(self, path):
        # An open file, since FFmpeg reads patterns into names such as a%02d.
        with path.open("rb") as file:
            image, colour, lost = decode_image(file, path, self._reformatter)
        if lost and not self._warned:
            warnings.warn(f"{path}: {lost}", stacklevel=3)
            self._warned = True
        return image, colour


def decode_image(file, name, reformatter):
    """A picture as it is seen: upright, in RGB.

    Args:
        file: a binary file of any format of ``IMAGE_SUFFIXES``.
        name: what it is called, for messages.
        reformatter: PyAV's ``VideoReformatter``, kept from picture to picture.

    Returns:
        [H, W, 3] uint8; its colour; what it lost, in words, or None.

    Raises:
        VideoError: it is no image.
    """
    try:
        with av.open(file) as container:
            frame = next(container.decode(video=0))
    except (av.FFmpegError, StopIteration, IndexError) as error:
        raise VideoError(f"{name}: not an image that can be read") from error
    bits = max(c.bits for c in frame.format.components)
    lost = f"{bits} bits become 8" if bits > 8 else None
    if any(c.is_alpha for c in frame.format.components):
        lost = "transparency is dropped"
    colour = colour_of(frame, still=True)
    image = to_rgb(frame, colour, reformatter)
    return upright(image, display_matrix(frame)), colour, lost


def _rate(value):
    try:
        rate = Fraction(value).limit_denominator(1001)
    except (ValueError, ZeroDivisionError, OverflowError):
        rate = 0
    if rate <= 0:
        raise ValueError(
            "rate is frames per second, such as 25 or 30000/1001. "
            f"Received: rate={value!r}"
        )
    return rate


def natural(path):
    """Sorts names as people count: `f2.png` before `f10.png`."""
    parts = re.split(r"(\d+)", str(path))
    return [int(p) if p.isdigit() else p for p in parts]
