"""Sizes of a convolution's maps: shared by every function of this room."""

import math
import operator

import numpy as np


def per_axis(value, rank):
    """``value`` as a tuple with one integer for each of ``rank`` axes."""
    values = value if np.iterable(value) else (value,) * rank
    try:
        values = tuple(operator.index(v) for v in values)
    except TypeError:
        values = ()
    if len(values) != rank or min(values) < 1:
        raise ValueError(
            f"Expected one positive integer or {rank} of them, one per spatial axis. "
            f"Received: {value!r}"
        )
    return values


def check_size(name, value):
    """Raise unless ``value`` is a positive integer."""
    if not isinstance(value, (int, np.integer)) or value < 1:
        raise ValueError(f"{name} must be a positive integer. Received: {value!r}")


def check_kernel(kernel):
    """Raise unless ``kernel`` has the shape [*taps, cin, cout], 1 to 3 axes."""
    if not 3 <= len(kernel.shape) <= 5:
        raise ValueError(
            "A kernel has the shape [*taps, cin, cout] with one to three spatial "
            f"axes, e.g. (3, 3, 64, 64). Received shape: {tuple(kernel.shape)}"
        )


def check_padding(padding):
    """Raise unless ``padding`` is one that the house knows."""
    if padding not in ("same", "valid"):
        raise ValueError(f"padding must be 'same' or 'valid'. Received: {padding!r}")


def output_size(size, taps, stride, padding):
    """Outputs along one axis of a convolution of ``size`` inputs."""
    check_padding(padding)
    if padding == "same":
        return math.ceil(size / stride)
    if size < taps:
        raise ValueError(
            f"A valid convolution with {taps} taps needs at least {taps} inputs "
            f"along each axis. Received size: {size}"
        )
    return (size - taps) // stride + 1


def map_shapes(kernel, size, strides=1, padding="same"):
    """Shapes [1, *space, channels] of the input and of the output map."""
    *taps, cin, cout = kernel.shape
    size = per_axis(size, len(taps))
    strides = per_axis(strides, len(taps))
    out = tuple(
        output_size(n, k, s, padding)
        for n, k, s in zip(size, taps, strides, strict=True)
    )
    return (1, *size, cin), (1, *out, cout)
