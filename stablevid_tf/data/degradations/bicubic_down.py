from typing import Any

import keras
import numpy as np

from stablevid_tf.data.degradations.degradation import Degradation, check_clip
from stablevid_tf.data.degradations.resample import shrink


def bicubic_down(clip: np.ndarray, scale: int = 4) -> np.ndarray:
    """Smaller by a whole factor, as MATLAB's ``imresize(x, 1/s, "bicubic")``.

    The cubic kernel ``k`` of Keys (1981, a = -1/2), stretched against aliasing:

        y(i) = sum_j w(i - j) x(j),    w ~ k(distance / s) / s,

    at half-pixel centres: pixel ``i`` of the result lies at ``s i + (s - 1) / 2``.
    Past the edges the picture is mirrored with its edge pixels twice. For ``s = 2``
    the weights are (-3, -9, 29, 111, 111, 29, -9, -3) / 256. Nothing is rounded or
    clipped; the result may leave [0, 1] a little.

    Args:
        clip: [T, H, W, C] in [0, 1], sides divisible by ``scale``.
        scale: integer, 1 or more.

    Returns:
        float32 [T, H / s, W / s, C].

    Raises:
        ValueError: a scale that is not such, or sides that do not divide.

    Example:
        >>> import numpy as np
        >>> from stablevid_tf.data import degradations
        >>> edge = np.repeat([0.0, 1.0], 8).reshape(1, 1, 16, 1).repeat(2, axis=1)
        >>> small = degradations.bicubic_down(edge, scale=2)
        >>> [int(256 * v) for v in small[0, 0, 2:6, 0]]
        [-3, 17, 239, 259]
    """
    check_clip(clip)
    check_scale(scale)
    return shrink(
        clip.astype("float32", copy=False),
        scale,
        # Every pixel within twice the scale of the centre.
        taps=range(-2 * scale + scale // 2, 2 * scale + (scale + 1) // 2),
        kernel=lambda away: _keys(away / scale),
        centre=(scale - 1) / 2,
        edges="symmetric",
    )


@keras.saving.register_keras_serializable(package="stablevid_tf")
class BicubicDown(Degradation):
    """:func:`bicubic_down` as a preprocessing layer; the target is the large clip.

    Args:
        scale: integer, 1 or more.
        **kwargs: as for :class:`Degradation`.

    Example:
        >>> import numpy as np
        >>> from stablevid_tf.data.degradations import BicubicDown
        >>> small, large = BicubicDown(scale=4)(np.zeros((5, 32, 48, 3)))
        >>> small.shape, large.shape
        ((5, 8, 12, 3), (5, 32, 48, 3))
    """

    def __init__(self, scale: int = 4, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.scale = check_scale(scale)

    def degrade(
        self, clip: np.ndarray, random: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        return bicubic_down(clip, self.scale), clip

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"scale": self.scale}


def check_scale(scale):
    """The scale; checked."""
    if isinstance(scale, bool) or not isinstance(scale, int) or scale < 1:
        raise ValueError(f"scale is an integer, 1 or more. Received: {scale!r}")
    return scale


def _keys(x):
    x = np.abs(x)
    near = 1.5 * x**3 - 2.5 * x**2 + 1
    far = -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2
    return np.where(x <= 1, near, np.where(x <= 2, far, 0))
