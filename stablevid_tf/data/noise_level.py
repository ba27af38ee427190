"""How noisy a picture is."""

import numpy as np
from numpy.typing import ArrayLike


def noise_level(frame: ArrayLike) -> float:
    """The standard deviation of a frame's white noise, in units of 255.

    The median absolute deviation of the finest diagonal Haar coefficients,

        d = (a - b - c + e) / 2 of every 2x2 block [[a, b], [c, e]],
        sigma = median |d| / 0.6745,

    mean over the channels. Pictures are smooth and noise is not, so d is noise alone
    but for edges, which the median leaves out. Source: Donoho and Johnstone, "Ideal
    spatial adaptation by wavelet shrinkage", 1994. Fine texture counts as noise;
    compression and resizing, which take noise away at the finest scale, hide it.

    Args:
        frame: [H, W, C], floating in [0, 1], give or take noise; or [T, H, W, C], for
            one level of all frames together. At least 2 pixels a side.

    Raises:
        ValueError: another rank or dtype, or too small.

    Example:
        >>> import numpy as np
        >>> from stablevid_tf import data
        >>> noise = np.random.default_rng(0).normal(size=(256, 256, 3))
        >>> round(data.noise_level(0.5 + 30 / 255 * noise))
        30
    """
    frame = np.asarray(frame)
    if frame.ndim not in (3, 4) or min(frame.shape[-3:-1]) < 2:
        raise ValueError(
            "noise_level takes a frame [H, W, C] or frames [T, H, W, C] of at least 2 "
            f"pixels a side. Received: shape {frame.shape}"
        )
    if not np.issubdtype(frame.dtype, np.floating):
        raise ValueError(
            f"frames must be floating in [0, 1]: divide by 255. Received: {frame.dtype}"
        )
    height, width = (n // 2 * 2 for n in frame.shape[-3:-1])
    x = frame[..., :height, :width, :]
    rows = x[..., ::2, :, :] - x[..., 1::2, :, :]
    diagonal = (rows[..., ::2, :] - rows[..., 1::2, :]) / 2
    channels = diagonal.reshape(-1, diagonal.shape[-1])
    return float(255 / 0.6745 * np.median(np.abs(channels), axis=0).mean())
