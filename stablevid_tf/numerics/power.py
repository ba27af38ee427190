"""Power iteration on the operator of a convolution."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from keras import ops

from stablevid_tf import backend
from stablevid_tf.numerics.geometry import map_shapes

_TINY = 1e-12


def unit(x):
    """``x`` divided by its Euclidean norm."""
    return x / (ops.sqrt(ops.sum(x * x)) + _TINY)


def start_vectors(
    kernel_shape: Sequence[int],
    size: int | Sequence[int],
    strides: int | Sequence[int] = 1,
    padding: str = "same",
    seed: int = 0,
) -> tuple[np.ndarray, np.ndarray]:
    """Random unit maps ``u`` (output) and ``v`` (input) to start from.

    Returns:
        Two float32 NumPy arrays [1, *space, cout] and [1, *space, cin].
    """
    random = np.random.default_rng(seed)
    shape = np.broadcast_to(np.float32(0), kernel_shape)
    v_shape, u_shape = map_shapes(shape, size, strides, padding)
    u = random.standard_normal(u_shape)
    v = random.standard_normal(v_shape)
    return (
        (u / np.linalg.norm(u)).astype("float32"),
        (v / np.linalg.norm(v)).astype("float32"),
    )


def power_iteration(
    kernel: Any,
    u: Any,
    v: Any,
    strides: int | Sequence[int] = 1,
    padding: str = "same",
    iterations: int = 1,
) -> tuple[Any, Any]:
    """Leading singular maps of a convolution (paper 000, Algorithm 2, steps 2-3).

    ``v = K^T * u / ||K^T * u||``, ``u = K * v / ||K * v||``, repeated.

    Args:
        kernel: [*taps, cin, cout], float32.
        u: output map [1, *space, cout] to start from.
        v: input map [1, *space, cin]; only its shape is used.
        strides, padding: as in Keras.
        iterations: at least 1.

    Returns:
        ``u, v``: unit maps. No gradient flows through them.

    Example:
        >>> import numpy as np
        >>> from stablevid_tf import numerics
        >>> kernel = np.random.default_rng(0).normal(size=(3, 3, 4, 4))
        >>> kernel = kernel.astype("float32")
        >>> u, v = numerics.start_vectors(kernel.shape, 16)
        >>> u, v = numerics.power_iteration(kernel, u, v, iterations=50)
    """
    kernel = ops.stop_gradient(kernel)
    shape = tuple(v.shape)

    def once(_, vectors):
        u, _ = vectors
        v = unit(backend.conv_adjoint(u, kernel, shape, strides, padding))
        return unit(backend.conv(v, kernel, strides, padding)), v

    vectors = (ops.stop_gradient(u), ops.stop_gradient(v))
    if iterations == 1:
        return once(0, vectors)
    return ops.fori_loop(0, iterations, once, vectors)
