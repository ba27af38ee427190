from typing import Any

import keras
import numpy as np

from stablevid_tf.data.degradations.bicubic_down import check_scale
from stablevid_tf.data.degradations.degradation import Degradation, check_clip
from stablevid_tf.data.degradations.resample import shrink


def gaussian_down(
    clip: np.ndarray, scale: int = 4, sigma: float = 1.5, centred: bool = False
) -> np.ndarray:
    """Blurred by a Gaussian, then every ``scale``-th pixel: ``y(i) = (g * x)(s i)``.

    Source: Mori and Ukita, "Time-series Initialization and Conditioning for
    Video-agnostic Stabilization of Video Super-Resolution using Recurrent Networks",
    section VI. The paper does not name the edges; here they are mirrored without
    repeating the edge pixel, and ``g`` reaches 4 sigma: for ``sigma = 1.5`` the 13
    taps of scipy's ``gaussian_filter(mode="mirror")``.

    Pixel ``i`` of the result lies at pixel ``s i`` of the clip, so the grids' corners
    coincide and their centres do not. With ``centred`` it lies at
    ``s i + (s - 1) / 2``, where bilinear and bicubic enlargement put it, and mirrored
    clips give mirrored results.

    Args:
        clip: [T, H, W, C] in [0, 1], sides divisible by ``scale``.
        scale: integer, 1 or more.
        sigma: deviation of the Gaussian in pixels of the clip.
        centred: see above.

    Returns:
        float32 [T, H / s, W / s, C].

    Raises:
        ValueError: a scale or sigma outside its range, or sides that do not divide.

    Example:
        >>> import numpy as np
        >>> from stablevid_tf.data import degradations
        >>> degradations.gaussian_down(np.ones((2, 32, 48, 3))).shape
        (2, 8, 12, 3)
    """
    check_clip(clip)
    check_scale(scale)
    _check_sigma(sigma)
    centre = (scale - 1) / 2 if centred else 0.0
    reach = int(4 * sigma + 0.5)
    return shrink(
        clip.astype("float32", copy=False),
        scale,
        taps=range(int(np.floor(centre)) - reach, int(np.ceil(centre)) + reach + 1),
        kernel=lambda away: np.exp(-0.5 * (away / sigma) ** 2),
        centre=centre,
        edges="reflect",
    )


@keras.saving.register_keras_serializable(package="stablevid_tf")
class GaussianDown(Degradation):
    """:func:`gaussian_down` as a preprocessing layer; the target is the large clip.

    Args:
        scale, sigma, centred: as for :func:`gaussian_down`.
        **kwargs: as for :class:`Degradation`.

    Example:
        >>> import numpy as np
        >>> from stablevid_tf.data.degradations import GaussianDown
        >>> small, large = GaussianDown()(np.zeros((5, 32, 48, 3)))
        >>> small.shape, large.shape
        ((5, 8, 12, 3), (5, 32, 48, 3))
    """

    def __init__(
        self,
        scale: int = 4,
        sigma: float = 1.5,
        centred: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.scale = check_scale(scale)
        self.sigma = _check_sigma(sigma)
        self.centred = bool(centred)

    def degrade(
        self, clip: np.ndarray, random: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        return gaussian_down(clip, self.scale, self.sigma, self.centred), clip

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {
            "scale": self.scale,
            "sigma": self.sigma,
            "centred": self.centred,
        }


def _check_sigma(sigma):
    if not 0 < sigma <= 100:
        raise ValueError(
            "sigma is the deviation of the Gaussian in pixels, above 0 and up to 100. "
            f"Received: {sigma!r}"
        )
    return float(sigma)
