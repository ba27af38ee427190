"""Singular values of a convolution: exact, bounded at every size, and measured."""

import math
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import ArrayLike
from scipy.sparse.linalg import LinearOperator, svds
from threadpoolctl import threadpool_limits

from stablevid_tf import backend
from stablevid_tf.numerics.frobenius import conv_frobenius_squared, operator_rank
from stablevid_tf.numerics.geometry import check_kernel, map_shapes, per_axis


def _numpy(kernel):
    kernel = np.asarray(kernel, dtype="float64")
    check_kernel(kernel)
    if not np.isfinite(kernel).all():
        raise ValueError(
            "The kernel holds values that are not finite; its spectrum is undefined."
        )
    return kernel


def _polyphase(kernel, strides):
    """A strided kernel as a stride-1 kernel on the phases of its input.

    ``y[i] = sum_a K[a] x[s i + a]``: with ``a = s q + r`` each phase ``r`` of the
    input is one more set of channels, convolved with the taps ``q``.
    """
    *taps, cin, cout = kernel.shape
    rank = len(taps)
    strides = per_axis(strides, rank)
    if all(s == 1 for s in strides):
        return kernel
    pad = [(0, -k % s) for k, s in zip(taps, strides, strict=True)]
    kernel = np.pad(kernel, [*pad, (0, 0), (0, 0)])
    split = []
    for n, s in zip(kernel.shape, strides, strict=False):
        split += [n // s, s]
    kernel = kernel.reshape(*split, cin, cout)
    order = [*range(0, 2 * rank, 2), *range(1, 2 * rank, 2), 2 * rank, 2 * rank + 1]
    kernel = kernel.transpose(order)
    return kernel.reshape(*kernel.shape[:rank], math.prod(strides) * cin, cout)


def _half_symbol(kernel, size):
    """``K^(w)`` [frequencies, cin, cout] on half of a grid, and how often each counts.

    The kernel is real, so ``K^(-w)`` is the conjugate of ``K^(w)``.
    """
    rank = kernel.ndim - 2
    # Taps wrap around where the grid is smaller than the kernel.
    wrapped = np.zeros((*size, *kernel.shape[rank:]))
    index = np.ix_(*(np.arange(kernel.shape[i]) % size[i] for i in range(rank)))
    np.add.at(wrapped, index, kernel)
    symbol = np.fft.rfftn(wrapped, axes=range(rank))
    last = size[-1]
    weight = np.full(symbol.shape[rank - 1], 2)
    weight[0] = 1
    if last % 2 == 0:
        weight[-1] = 1
    weight = np.broadcast_to(weight, symbol.shape[:rank])
    return symbol.reshape(-1, *symbol.shape[-2:]), weight.reshape(-1)


def conv_singular_values(
    kernel: ArrayLike, size: int | Sequence[int], strides: int | Sequence[int] = 1
) -> np.ndarray:
    """All singular values of a convolution on a periodic map.

    A transposed convolution is the adjoint of the plain one with the same array
    (Keras keeps its kernel as [*taps, cout, cin]): pass its kernel as it is, with the
    size of its OUTPUT.

    The operator is block-diagonal in the Fourier basis (Sedghi et al., "The Singular
    Values of Convolutional Layers"): one small SVD a frequency. Zero padding has no
    such form; for it take :func:`conv_norm_bound`, or :func:`conv_norm` at one size.

    Args:
        kernel: [*taps, cin, cout], 1 to 3 spatial axes.
        size: side of the input map, or one side per axis; a multiple of the strides.
        strides: integer or one per axis.

    Returns:
        float64 NumPy array, descending.

    Raises:
        ValueError: the kernel has no such shape, or ``size`` is no multiple of the
            strides.

    Example:
        >>> import numpy as np
        >>> from stablevid_tf import numerics
        >>> kernel = np.zeros((3, 3, 2, 2)); kernel[1, 1] = np.diag([2.0, 0.5])
        >>> numerics.conv_singular_values(kernel, 4)[[0, -1]]
        array([2. , 0.5])
    """
    kernel = _numpy(kernel)
    rank = kernel.ndim - 2
    size, strides = per_axis(size, rank), per_axis(strides, rank)
    if any(n < 1 or n % s for n, s in zip(size, strides, strict=True)):
        raise ValueError(
            "size must be a positive multiple of the strides along each axis. "
            f"Received: size={size}, strides={strides}"
        )
    grid = tuple(n // s for n, s in zip(size, strides, strict=True))
    symbol, weight = _half_symbol(_polyphase(kernel, strides), grid)
    values = np.concatenate(
        _share(
            lambda part: np.linalg.svd(part, compute_uv=False),
            np.array_split(symbol, math.ceil(len(symbol) / 64)),
        )
    )
    return np.sort(np.repeat(values, weight, axis=0).reshape(-1))[::-1]


def conv_norm_bound(
    kernel: ArrayLike,
    strides: int | Sequence[int] = 1,
    grid: int | Sequence[int] | None = None,
) -> float:
    """An upper bound on the norm of a zero-padded convolution at EVERY map size.

    The zero-padded operator is a part of the infinite one, whose norm is
    ``sup_w ||K^(w)||``. Entries of ``K^`` are trigonometric polynomials of degree
    ``d = ceil((k-1)/2)`` (up to a phase), so from a grid of N frequencies an axis::

        sup_w ||K^(w)|| <= max_grid ||K^(w)|| / cos(pi d / N)^axes,   N > 2 d

    For k = 3, N = 64 that lies at most 0.24 % above the supremum.

    Args:
        kernel: [*taps, cin, cout], 1 to 3 spatial axes; any padding.
        strides: integer or one per axis; a transposed convolution's too.
        grid: frequencies per axis; default 64 for each unit of degree in 2D, 16 in
            3D (a bound within 6 %; say 64 for a tighter one).

    Returns:
        A float: no smaller than ``||W||`` at any size.

    Example:
        >>> import numpy as np
        >>> from stablevid_tf import numerics
        >>> bool(numerics.conv_norm_bound(np.ones((3, 3, 1, 1))) >= 9)
        True
    """
    kernel = _polyphase(_numpy(kernel), strides)
    rank = kernel.ndim - 2
    degree = [math.ceil((k - 1) / 2) for k in kernel.shape[:rank]]
    if grid is None:
        grid = tuple((64 if rank < 3 else 16) * max(d, 1) for d in degree)
    grid = per_axis(grid, rank)
    if any(n <= 2 * d for n, d in zip(grid, degree, strict=True)):
        raise ValueError(
            f"grid must exceed {[2 * d for d in degree]} along the axes for a bound to "
            f"exist. Received: {grid}"
        )
    slack = math.prod(
        math.cos(math.pi * d / n) for d, n in zip(degree, grid, strict=True)
    )
    return float(_largest(kernel, grid) / slack)


def _largest(kernel, grid):
    """``max_w ||K^(w)||`` over a grid, from the Gram matrix of each frequency.

    ``c^2 I - K^(w)^H K^(w)`` has a Cholesky factor where ``||K^(w)|| < c``, found in a
    fraction of the time that eigenvalues take: these are computed on a sixteenth of the
    grid, and then only where the largest so far may be exceeded.
    """
    if kernel.shape[-2] < kernel.shape[-1]:
        kernel = np.swapaxes(kernel, -1, -2)
    cout = kernel.shape[-1]
    flat = _autocorrelation(kernel).reshape(-1, cout * cout)
    identity = np.eye(cout)
    best = 0.0

    def largest(phases):
        nonlocal best
        gram = (phases @ flat).reshape(-1, cout, cout)
        try:
            np.linalg.cholesky(best * identity - gram)
        except np.linalg.LinAlgError:
            found = np.linalg.eigvalsh(gram)[:, -1].max()
            # Another thread may overwrite it: every value it takes is returned once.
            best = max(best, found)
            return found
        return 0.0

    rank = kernel.ndim - 2
    phases = _half_phases(kernel.shape[:rank], grid)
    parts = [phases[::16], *np.array_split(phases, math.ceil(len(phases) / 64))]
    return math.sqrt(max(0.0, *_share(largest, parts)))


def _autocorrelation(kernel):
    """``R[d] = sum_a K[a]^T K[a + d]``: ``K^(w)^H K^(w) = sum_d R[d] e^(-i w d)``.

    Taps ``d`` from ``-(k-1)`` to ``k-1``: [*(2 k - 1), cout, cout].
    """
    *taps, _, cout = kernel.shape
    found = np.zeros((*(2 * k - 1 for k in taps), cout, cout))
    for a in np.ndindex(*taps):
        for b in np.ndindex(*taps):
            at = tuple(n - m + k - 1 for m, n, k in zip(a, b, taps, strict=True))
            found[at] += kernel[a].T @ kernel[b]
    return found


def _half_phases(taps, grid):
    """``e^(-i w d)`` [frequencies, offsets] on half of a grid: the rest conjugates."""
    phases = np.ones((1, 1))
    for i, (k, n) in enumerate(zip(taps, grid, strict=True)):
        count = n // 2 + 1 if i == len(taps) - 1 else n
        angles = np.outer(np.arange(count), np.arange(1 - k, k))
        phases = np.kron(phases, np.exp(-2j * np.pi / n * angles))
    return phases


def _share(function, parts):
    """``function`` of each part, shared out over the cores.

    One BLAS thread a matrix: more only stand in the way of many small ones.
    """
    with threadpool_limits(1, "blas"), ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(function, parts))


def conv_norm(
    kernel: ArrayLike,
    size: int | Sequence[int],
    strides: int | Sequence[int] = 1,
    padding: str = "same",
) -> float:
    """Spectral norm of a convolution on maps of one size, zero padding as given.

    Lanczos iterations (SciPy) on the backend's convolution and its adjoint, in
    float32: relative error about 1e-6.

    Returns:
        A float.
    """
    kernel = _numpy(kernel).astype("float32")
    if not kernel.any():
        return 0.0
    v_shape, u_shape = map_shapes(kernel, size, strides, padding)
    forward = backend.compile(lambda v: backend.conv(v, kernel, strides, padding))
    adjoint = backend.compile(
        lambda u: backend.conv_adjoint(u, kernel, v_shape, strides, padding)
    )

    def apply(function, shape):
        return lambda x: np.asarray(
            function(np.reshape(x, shape).astype("float32"))
        ).reshape(-1)

    operator = LinearOperator(
        (math.prod(u_shape), math.prod(v_shape)),
        matvec=apply(forward, v_shape),
        rmatvec=apply(adjoint, u_shape),
        dtype="float32",
    )
    if min(operator.shape) == 1:
        whole = operator.matmat(np.eye(operator.shape[1], dtype="float32"))
        return float(np.linalg.norm(whole, 2))
    with backend.full_float32():
        start = np.random.default_rng(0).standard_normal(min(operator.shape))
        value = svds(
            operator, k=1, return_singular_vectors=False, v0=start.astype("float32")
        )
    return float(value[0])


def stable_rank(
    kernel: ArrayLike,
    size: int | Sequence[int],
    strides: int | Sequence[int] = 1,
    padding: str = "same",
) -> float:
    """Stable rank of a convolution as a fraction of full rank.

    ``||W||_F^2 / (||W||^2 r)`` with ``r`` the smaller side of ``W``
    (``n^2 min(cin, cout)`` for stride 1 and same padding); in (0, 1].

    Args:
        kernel: [*taps, cin, cout].
        size: side of the input map, or one side per axis.
        strides, padding: as in Keras.

    Returns:
        A float.

    Example:
        >>> import numpy as np
        >>> from stablevid_tf import numerics
        >>> identity = np.zeros((1, 1, 4, 4)); identity[0, 0] = np.eye(4)
        >>> round(numerics.stable_rank(identity, 8), 6)
        1.0
    """
    kernel = np.asarray(kernel, dtype="float64")
    norm = conv_norm(kernel, size, strides, padding)
    if norm == 0:
        raise ValueError("A kernel of zeros has no stable rank.")
    frobenius = float(conv_frobenius_squared(kernel, size, strides, padding))
    return frobenius / (norm**2 * operator_rank(kernel, size, strides, padding))
