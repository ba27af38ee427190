from typing import NamedTuple

import numpy as np


class VideoFrame(NamedTuple):
    """One decoded frame, upright, with its place in time.

    Attributes:
        image: [H, W, 3] uint8, RGB in full range 0..255.
        time: int, when it is shown, in units of `VideoInfo.time_base`.
        duration: int, how long, in the same units; 0 if the file does not say.
        name: str or None, the stem of the image file it came from.
    """

    image: np.ndarray
    time: int
    duration: int = 0
    name: str | None = None
