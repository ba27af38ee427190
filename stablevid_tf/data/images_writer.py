import os
from pathlib import Path
from types import TracebackType
from typing import Self

import av
from numpy.typing import ArrayLike

from stablevid_tf.data.images_convert import to_uint8
from stablevid_tf.data.video_error import VideoError
from stablevid_tf.data.video_target import complete_or_absent


class ImageWriter:
    """Writes frames as PNG files to a folder that appears only when complete.

    The same interface as `VideoWriter`. Files are named after the images they
    were made from, or 00000001.png, 00000002.png, and so on.

    Args:
        path: the folder. Its parent must exist.
        overwrite: bool, replace a folder that holds nothing but PNG files.

    Raises:
        FileExistsError: a folder with files, or a file, stands at `path`.
        VideoError: it cannot be written, or holds more than PNG files.
        ValueError: a frame that is not finite; no frames at all.

    Example:
        >>> import os, tempfile
        >>> import numpy as np
        >>> folder = tempfile.mkdtemp() + "/restored"
        >>> with ImageWriter(folder) as out:
        ...     out.write(np.zeros([32, 32, 3]), time=0)
        >>> os.listdir(folder)
        ['00000001.png']
    """

    def __init__(self, path: str | os.PathLike[str], overwrite: bool = False) -> None:
        self._path = Path(path)
        self._target = complete_or_absent(path, overwrite, folder=True)
        self._count = 0

    def __enter__(self) -> Self:
        self._folder = self._target.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool | None:
        if error is None and not self._count:
            error = ValueError(f"{self._path}: no frames were written")
            self._target.__exit__(ValueError, error, None)
            raise error
        return self._target.__exit__(kind, error, trace)

    def write(
        self, image: ArrayLike, time: int, duration: int = 0, name: str | None = None
    ) -> None:
        """Adds a frame.

        Args:
            image: [H, W, 3] or [H, W, 1], uint8, or floating in [0, 1]; what lies
                outside is clipped.
            time, duration: ignored: a folder has no times.
            name: str, the file's stem, if it should not be a number.
        """
        pixels = to_uint8(image, self._count)
        self._count += 1
        path = self._folder / f"{name or f'{self._count:08d}'}.png"
        height, width = pixels.shape[:2]
        encoder = av.CodecContext.create("png", "w")
        encoder.width, encoder.height, encoder.pix_fmt = width, height, "rgb24"
        encoder.time_base = 1
        frame = av.VideoFrame.from_ndarray(pixels, "rgb24")
        packets = [*encoder.encode(frame), *encoder.encode(None)]
        try:
            # Two sources of one name, such as a.jpg and a.png, must not merge.
            with path.open("xb") as file:
                file.writelines(map(bytes, packets))
        except FileExistsError as error:
            raise VideoError(
                f"two images are named {name!r}; give images of different names"
            ) from error
        except OSError as error:
            raise VideoError(
                f"{self._path}: cannot be written ({error.strerror})"
            ) from error
