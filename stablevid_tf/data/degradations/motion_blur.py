from typing import Any

import keras
import numpy as np

from stablevid_tf.data.degradations.degradation import Degradation, check_clip


def motion_blur(
    clip: np.ndarray, window: int = 7, every: int = 1, gamma: float = 1.0
) -> tuple[np.ndarray, np.ndarray]:
    """The mean of ``window`` sharp frames in a row, and the sharp one in its middle.

        y(t) = (mean_k x(every t + k)^gamma)^(1 / gamma),    k = 0 ... window - 1
        target(t) = x(every t + (window - 1) / 2)

    Source: Nah et al., "Deep Multi-scale Convolutional Neural Network for Dynamic Scene
    Deblurring", 2017 (the GoPro set: 7 to 13 frames of 240 a second; its gamma is 1 or
    2.2). What moves fast must be filmed fast: between frames nothing is invented.

    Args:
        clip: [T, H, W, C] in [0, 1].
        window: frames to average, odd.
        every: frames from one mean to the next.
        gamma: the camera's; 1 averages the values as they are, 2.2 light.

    Returns:
        ``(blurred, target)``, float32 [1 + (T - window) // every, H, W, C] each.

    Raises:
        ValueError: an even window, or a clip shorter than it; another argument
            outside its range.

    Example:
        >>> import numpy as np
        >>> from stablevid_tf.data import degradations
        >>> clip = np.arange(5.0).reshape(5, 1, 1, 1) / 4
        >>> blurred, target = degradations.motion_blur(clip, window=3)
        >>> np.ravel(blurred), np.ravel(target)
        (array([0.25, 0.5 , 0.75], dtype=float32),
         array([0.25, 0.5 , 0.75], dtype=float32))
    """
    check_clip(clip)
    _check(window, every, gamma)
    if len(clip) < window:
        raise ValueError(
            f"A mean of {window} frames needs a clip of at least as many. "
            f"Received: {len(clip)} frames"
        )
    clip = clip.astype("float32", copy=False)
    light = clip if gamma == 1 else np.maximum(clip, 0) ** np.float32(gamma)
    starts = range(0, len(clip) - window + 1, every)
    blurred = np.stack([light[t : t + window].mean(0) for t in starts])
    if gamma != 1:
        blurred **= np.float32(1 / gamma)
    middle = (window - 1) // 2
    return blurred, clip[middle : len(clip) - middle : every]


@keras.saving.register_keras_serializable(package="stablevid_tf")
class MotionBlur(Degradation):
    """:func:`motion_blur` as a preprocessing layer; the target is the centre frame.

    ``T`` blurred frames are made of ``every (T - 1) + window`` sharp ones.

    Args:
        window, every, gamma: as for :func:`motion_blur`.
        **kwargs: as for :class:`Degradation`.

    Example:
        >>> import numpy as np
        >>> from stablevid_tf.data.degradations import MotionBlur
        >>> blur = MotionBlur(window=7)
        >>> blurred, sharp = blur(np.zeros((blur.frames_needed(5), 8, 8, 3)))
        >>> blurred.shape, sharp.shape
        ((5, 8, 8, 3), (5, 8, 8, 3))
    """

    def __init__(
        self, window: int = 7, every: int = 1, gamma: float = 1.0, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        _check(window, every, gamma)
        self.window = window
        self.every = every
        self.gamma = float(gamma)

    def frames_needed(self, frames: int) -> int:
        return self.every * (frames - 1) + self.window

    def degrade(
        self, clip: np.ndarray, random: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        return motion_blur(clip, self.window, self.every, self.gamma)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {
            "window": self.window,
            "every": self.every,
            "gamma": self.gamma,
        }


def _check(window, every, gamma):
    for name, value in (("window", window), ("every", every)):
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise ValueError(f"{name} is a positive integer. Received: {value!r}")
    if window % 2 == 0:
        raise ValueError(
            "window is odd: an even number of frames has none in its middle. "
            f"Received: {window}"
        )
    if not 0 < gamma <= 10:
        raise ValueError(f"gamma is above 0 and up to 10. Received: {gamma!r}")
