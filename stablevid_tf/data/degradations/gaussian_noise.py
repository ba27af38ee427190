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


def gaussian_noise(
    clip: np.ndarray,
    sigma: Range,
    random: np.random.Generator,
    noise_map: bool = False,
) -> np.ndarray:
    """``y = x + n``, ``n`` Gaussian of deviation ``sigma / 255``; nothing is clipped.

    Args:
        clip: [T, H, W, C] in [0, 1].
        sigma: in units of 255: a number, or ``(low, high)`` to draw one for the clip.
        random: a NumPy generator.
        noise_map: append a channel that holds ``sigma / 255`` everywhere, for models
            that are told the level. Without it the noise is blind.

    Returns:
        float32 [T, H, W, C], or C + 1 channels with the map.

    Example:
        >>> import numpy as np
        >>> from stablevid_tf.data import degradations
        >>> clip, random = np.full((2, 64, 64, 3), 0.5), np.random.default_rng(0)
        >>> noisy = degradations.gaussian_noise(clip, 30, random, noise_map=True)
        >>> noisy.shape, round(255 * float(noisy[..., :3].std()))
        ((2, 64, 64, 4), 30)
    """
    check_clip(clip)
    sigma = draw(check_range("sigma", sigma, 0, 255, "in units of 255"), random)
    level = np.float32(sigma / 255)
    noise = random.standard_normal(clip.shape, dtype="float32")
    noisy = clip.astype("float32", copy=False) + noise * level
    if not noise_map:
        return noisy
    return np.concatenate([noisy, np.full_like(noisy[..., :1], level)], -1)


@keras.saving.register_keras_serializable(package="stablevid_tf")
class GaussianNoise(Degradation):
    """:func:`gaussian_noise` as a preprocessing layer; the target is the clean clip.

    Args:
        sigma: in units of 255: a number, or ``(low, high)``, drawn for each clip.
        noise_map: append the level, over 255, as a channel.
        seed, **kwargs: as for :class:`Degradation`.

    Example:
        >>> import numpy as np
        >>> from stablevid_tf.data.degradations import GaussianNoise
        >>> noisy, clean = GaussianNoise(sigma=(0, 55))(np.zeros((2, 5, 16, 16, 3)))
        >>> noisy.shape
        (2, 5, 16, 16, 3)
    """

    def __init__(
        self,
        sigma: Range = 30.0,
        noise_map: bool = False,
        seed: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(seed, **kwargs)
        self.sigma = check_range("sigma", sigma, 0, 255, "in units of 255")
        self.noise_map = bool(noise_map)

    def degrade(
        self, clip: np.ndarray, random: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        return gaussian_noise(clip, self.sigma, random, self.noise_map), clip

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {
            "sigma": list(self.sigma),
            "noise_map": self.noise_map,
        }
