"""LPIPS: the distance of two pictures as a network sees them."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from keras import ops
from numpy.typing import ArrayLike

from stablevid_tf.metrics.functions import prepare

# The mean and deviation of ImageNet's pictures, for values in [-1, 1].
_SHIFT = (-0.030, -0.088, -0.188)
_SCALE = (0.458, 0.448, 0.450)
# AlexNet's five convolutions: stride, zero padding, pooled before.
_LAYERS = ((4, 2, False), (1, 2, True), (1, 1, True), (1, 1, False), (1, 1, False))
# The smallest frames that leave a pixel after the last pooling.
SMALLEST = 31


def lpips(a: ArrayLike, b: ArrayLike, weights: Mapping[str, Any], crop: int = 0) -> Any:
    """Learned perceptual image patch similarity, version 0.1, on AlexNet.

        d = sum_l mean_ij w_l . (f_l(a) - f_l(b))^2

    ``f_l`` are the features after the ``l``-th of AlexNet's five convolutions and its
    ReLU, each pixel's divided by their Euclidean norm (plus 1e-10), ``w_l`` the learned
    weights of channels. Source: Zhang et al., "The Unreasonable Effectiveness of Deep
    Features as a Perceptual Metric", 2018.

    Args:
        a, b: [..., H, W, 3] in [0, 1], at least 31 pixels a side. Nothing is clipped.
        weights: from :func:`stablevid_tf.metrics.lpips_weights`.
        crop: pixels to leave out at each border.

    Returns:
        One value per frame, float32, shape [...]; 0 for equal frames, less is better.

    Raises:
        ValueError: shapes that differ, not RGB, or too small.

    Example:
        >>> import numpy as np
        >>> from stablevid_tf import metrics
        >>> weights = metrics.lpips_weights("lpips_alex.npz")    # doctest: +SKIP
        >>> metrics.lpips(a, b, weights)                         # doctest: +SKIP
    """
    a, b = prepare(a, b, False, crop)
    if a.shape[-1] != 3:
        raise ValueError(f"LPIPS needs RGB frames. Received {a.shape[-1]} channels")
    sides = [n for n in a.shape[-3:-1] if n is not None]
    if min(sides, default=SMALLEST) < SMALLEST:
        raise ValueError(
            f"LPIPS needs frames of at least {SMALLEST} pixels a side. "
            f"Received: {a.shape[-3]}x{a.shape[-2]} (after the crop)"
        )
    lead, frame = ops.shape(a)[:-3], ops.shape(a)[-3:]
    total = 0.0
    pairs = zip(_features(a, frame, weights), _features(b, frame, weights), strict=True)
    for (fa, fb), head in zip(pairs, weights["heads"], strict=True):
        distance = ops.matmul((fa - fb) ** 2, ops.convert_to_tensor(head)[:, None])
        total += ops.mean(distance, axis=(1, 2, 3))
    return ops.reshape(total, lead)


def _features(x, frame, weights):
    """Yields the unit features of every convolution, [frames, h, w, channels]."""
    x = ops.reshape(ops.cast(x, "float32"), (-1, *frame))
    x = (2 * x - 1 - np.array(_SHIFT, "float32")) / np.array(_SCALE, "float32")
    for (stride, pad, pooled), (kernel, bias) in zip(
        _LAYERS, weights["convs"], strict=True
    ):
        if pooled:
            x = ops.max_pool(x, 3, 2, "valid", data_format="channels_last")
        x = ops.pad(x, [[0, 0], [pad, pad], [pad, pad], [0, 0]])
        x = ops.conv(x, kernel, stride, "valid", data_format="channels_last")
        x = ops.relu(x + bias)
        norm = ops.sqrt(ops.sum(x**2, axis=-1, keepdims=True))
        yield x / (norm + 1e-10)
