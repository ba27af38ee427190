from typing import Any

import keras
import numpy as np

from stablevid_tf.data.degradations.degradation import (
    Degradation,
    Range,
    check_clip,
    check_range,
    draw,
)


def poisson_gaussian(
    clip: np.ndarray, photons: Range, sigma: Range, random: np.random.Generator
) -> np.ndarray:
    """Shot noise and read noise: ``y = Poisson(N x) / N + n``.

    Its variance is ``x / N + (sigma / 255)^2``: the ``a x + b`` of Foi et al.,
    "Practical Poissonian-Gaussian Noise Modeling and Fitting for Single-Image
    Raw-Data", 2008, which holds for linear intensities. Nothing is clipped.

    Args:
        clip: [T, H, W, C] in [0, 1]; what lies below 0 gives no photons.
        photons: ``N``, how many a white pixel catches: a number, or ``(low, high)``
            to draw one for the clip. Fewer are noisier.
        sigma: deviation of the Gaussian part in units of 255, alike.
        random: a NumPy generator.

    Returns:
        float32 [T, H, W, C].

    Example:
        >>> import numpy as np
        >>> from stablevid_tf.data import degradations
        >>> grey, random = np.full((1, 200, 200, 1), 0.5), np.random.default_rng(0)
        >>> noisy = degradations.poisson_gaussian(grey, 100, 0, random)
        >>> round(float(noisy.var() * 100), 1)
        0.5
    """
    check_clip(clip)
    photons = draw(_photons(photons), random)
    sigma = draw(check_range("sigma", sigma, 0, 255, "in units of 255"), random)
    shot = random.poisson(np.maximum(clip, 0) * photons) / photons
    noise = random.standard_normal(clip.shape, dtype="float32")
    return shot.astype("float32") + noise * np.float32(sigma / 255)


@keras.saving.register_keras_serializable(package="stablevid_tf")
class PoissonGaussian(Degradation):
    """:func:`poisson_gaussian` as a preprocessing layer; the target is the clean clip.

    Args:
        photons: that a white pixel catches: a number, or ``(low, high)``, drawn for
            each clip.
        sigma: in units of 255, alike.
        seed, **kwargs: as for :class:`Degradation`.

    Example:
        >>> import numpy as np
        >>> from stablevid_tf.data.degradations import PoissonGaussian
        >>> noisy, clean = PoissonGaussian(photons=500)(np.zeros((5, 16, 16, 3)))
        >>> noisy.shape
        (5, 16, 16, 3)
    """

    def __init__(
        self,
        photons: Range = 1000.0,
        sigma: Range = 5.0,
        seed: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(seed, **kwargs)
        self.photons = _photons(photons)
        self.sigma = check_range("sigma", sigma, 0, 255, "in units of 255")

    def degrade(
        self, clip: np.ndarray, random: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        return poisson_gaussian(clip, self.photons, self.sigma, random), clip

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {
            "photons": list(self.photons),
            "sigma": list(self.sigma),
        }


def _photons(value):
    # A Poisson generator's largest mean is about 9e18; a pixel's well holds 1e5.
    return check_range("photons", value, 1, 1e9, "the photons of a white pixel")
