"""PSNR and SSIM as functions of arrays [..., H, W, C]."""

from typing import Any

import numpy as np
from keras import ops
from numpy.typing import ArrayLike

# Luma of BT.601 in studio range, for RGB in [0, 1], divided by 255: MATLAB's
# rgb2ycbcr, as the super-resolution literature measures.
_LUMA = (65.481 / 255, 128.553 / 255, 24.966 / 255)
_LUMA_OFFSET = 16.0 / 255


def prepare(a, b, y, crop):
    """The two clips as tensors, cropped and in luma where asked; checked."""
    a = ops.convert_to_tensor(a)
    b = ops.convert_to_tensor(b)
    known = zip(a.shape, b.shape, strict=False)
    differ = any(m != n for m, n in known if None not in (m, n))
    if differ or len(a.shape) != len(b.shape) or len(a.shape) < 3:
        raise ValueError(
            "Both must have the same shape [..., height, width, channels]. "
            f"Received: {tuple(a.shape)} and {tuple(b.shape)}"
        )
    for x in (a, b):
        if "float" not in str(x.dtype):
            raise ValueError(
                "Frames must be floating point in [0, 1]: divide integers by 255. "
                f"Received dtype: {x.dtype}"
            )
    sides = [n for n in a.shape[-3:-1] if n is not None]
    if crop < 0 or 2 * crop >= min(sides, default=2 * crop + 1):
        raise ValueError(
            f"crop must leave something of frames of {tuple(a.shape[-3:-1])} pixels. "
            f"Received: crop={crop}"
        )
    if crop:
        a, b = (x[..., crop:-crop, crop:-crop, :] for x in (a, b))
    return (_luma(a) + _LUMA_OFFSET, _luma(b) + _LUMA_OFFSET) if y else (a, b)


def _luma(x):
    """The weighted sum of RGB, without the offset."""
    if x.shape[-1] != 3:
        raise ValueError(
            f"Luma needs RGB frames. Received {x.shape[-1]} channels: use y=False."
        )
    return ops.matmul(x, ops.cast(np.array(_LUMA)[:, None], x.dtype))


def psnr(a: ArrayLike, b: ArrayLike, y: bool = False, crop: int = 0) -> Any:
    """Peak signal-to-noise ratio, ``-10 log10 mean (a - b)^2``, in dB.

    Args:
        a, b: [..., H, W, C] in [0, 1]. Nothing is clipped here.
        y: measure the luma of BT.601 (studio range) instead of RGB.
        crop: pixels to leave out at each border.

    Returns:
        One value per frame, shape [...]; infinite for equal frames.

    Example:
        >>> import numpy as np
        >>> from stablevid_tf import metrics
        >>> a = np.zeros((2, 8, 8, 3)); b = a + 0.1
        >>> [round(float(p), 3) for p in metrics.psnr(a, b)]
        [20.0, 20.0]
    """
    a, b = prepare(a, b, False, crop)
    # The luma of the difference: small ones keep their digits in float32.
    difference = _luma(a - b) if y else a - b
    return -10.0 * ops.log10(ops.mean(difference**2, axis=(-3, -2, -1)))


def ssim(a: ArrayLike, b: ArrayLike, y: bool = False, crop: int = 0) -> Any:
    """Structural similarity (Wang et al., 2004): Gaussian window, sigma 1.5, 11 pixels.

    With population covariance (``use_sample_covariance=False``), as scikit-image has
    it, averaged over the positions where the whole window fits and over channels.

    Args:
        a, b: [..., H, W, C] in [0, 1], at least 11 pixels a side.
        y, crop: see :func:`psnr`.

    Returns:
        One value per frame, shape [...], at most 1.

    Example:
        >>> import numpy as np
        >>> from stablevid_tf import metrics
        >>> a = np.random.default_rng(0).random((2, 16, 16, 3))
        >>> [round(float(s), 3) for s in metrics.ssim(a, a)]
        [1.0, 1.0]
    """
    a, b = prepare(a, b, y, crop)
    *lead, height, width, _ = ops.shape(a)
    sides = [n for n in a.shape[-3:-1] if n is not None]
    if min(sides, default=11) < 11:
        raise ValueError(
            "SSIM needs frames of at least 11 pixels a side. "
            f"Received: {a.shape[-3]}x{a.shape[-2]} (after the crop)"
        )
    x = np.arange(-5, 6)
    weights = np.exp(-0.5 * (x / 1.5) ** 2)
    weights = ops.cast(weights / weights.sum(), a.dtype)[:, None, None]

    def blur(image):
        """The window's weighted mean, [planes, H - 10, W - 10, 1]."""
        image = ops.reshape(ops.moveaxis(image, -1, -3), (-1, height, width, 1))
        for kernel in (weights[:, None], weights[None, :]):
            image = ops.conv(image, kernel, data_format="channels_last")
        return image

    ma, mb = blur(a), blur(b)
    va, vb = blur(a * a) - ma * ma, blur(b * b) - mb * mb
    cov = blur(a * b) - ma * mb
    c1, c2 = 0.01**2, 0.03**2
    value = ((2 * ma * mb + c1) * (2 * cov + c2)) / (
        (ma * ma + mb * mb + c1) * (va + vb + c2)
    )
    planes = ops.reshape(ops.mean(value, axis=(1, 2, 3)), (*lead, a.shape[-1]))
    return ops.mean(planes, axis=-1)
