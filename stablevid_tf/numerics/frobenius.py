"""The Frobenius norm of a convolution's operator, counted tap by tap."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from keras import ops

from stablevid_tf.numerics.geometry import (
    check_kernel,
    map_shapes,
    output_size,
    per_axis,
)


def tap_counts(
    kernel_shape: Sequence[int],
    size: int | Sequence[int],
    strides: int | Sequence[int] = 1,
    padding: str = "same",
) -> np.ndarray:
    """How many times each tap of a kernel acts on a map.

    With zero padding a tap that reaches over the border acts on fewer positions:
    for stride 1 the tap at offset ``(dy, dx)`` acts ``(n-|dy|)(n-|dx|)`` times.

    Args:
        kernel_shape: ``(*taps, cin, cout)``.
        size: side of the input map, or one side per axis.
        strides, padding: as in Keras.

    Returns:
        Float NumPy array of shape ``taps``.
    """
    taps = tuple(kernel_shape[:-2])
    counts = np.ones(())
    for n, k, s in zip(
        per_axis(size, len(taps)), taps, per_axis(strides, len(taps)), strict=True
    ):
        out = output_size(n, k, s, padding)
        before = max((out - 1) * s + k - n, 0) // 2 if padding == "same" else 0
        position = np.arange(out)[:, None] * s - before + np.arange(k)[None, :]
        inside = ((position >= 0) & (position < n)).sum(axis=0)
        counts = counts[..., None] * inside
    return counts


def conv_frobenius_squared(
    kernel: Any,
    size: int | Sequence[int],
    strides: int | Sequence[int] = 1,
    padding: str = "same",
) -> Any:
    """``||W||_F^2`` of the convolution with ``kernel`` on maps of side ``size``.

    The paper writes ``n^2 ||K||_F^2``, which holds for circular padding; this is
    the exact count of the padding given.

    Returns:
        A scalar tensor of the kernel's type.
    """
    check_kernel(kernel)
    counts = tap_counts(kernel.shape, size, strides, padding)
    counts = ops.cast(ops.convert_to_tensor(counts[..., None, None]), kernel.dtype)
    return ops.sum(counts * kernel * kernel)


def operator_rank(kernel, size, strides=1, padding="same"):
    """``min(rows, columns)`` of ``W``; ``n^2 min(cin, cout)`` for stride 1, same."""
    return min(math.prod(s) for s in map_shapes(kernel, size, strides, padding))
