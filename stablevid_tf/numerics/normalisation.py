"""Stable rank normalisation: of a convolution (SRN-C) and of a matrix (SRN)."""

from collections.abc import Sequence
from typing import Any

from keras import ops

from stablevid_tf import backend
from stablevid_tf.numerics.frobenius import conv_frobenius_squared, operator_rank

_TINY = 1e-12


def check_norms(alpha, beta):
    """Raise unless ``alpha > 0`` and ``0 < beta <= 1``."""
    if not 0 < alpha < float("inf"):
        raise ValueError(
            "alpha is the spectral norm to hold and must be positive, e.g. 2.0. "
            f"Received: alpha={alpha}"
        )
    if not 0 < beta <= 1:
        raise ValueError(
            "beta is the stable rank to hold, as a fraction of full rank, in (0, 1]; "
            f"1 leaves it free. Received: beta={beta}"
        )


def check_decomposition(name):
    """Raise unless ``name`` is one of the two ways to split a kernel."""
    if name not in ("projected", "gradient"):
        raise ValueError(
            "decomposition must be 'projected' (norm alpha, stable rank beta) or "
            f"'gradient' (as printed). Received: {name!r}"
        )


def check_reachable(beta, kernel_shape):
    """Raise where no kernel of this shape has so small a stable rank."""
    *taps, cin, cout = kernel_shape
    count = 1
    for k in taps:
        count *= k
    if beta * min(cin, cout) < 1 / count:
        raise ValueError(
            f"A kernel of shape {tuple(kernel_shape)} cannot have so small a stable "
            f"rank: beta * min(cin, cout) must be at least 1/{count}, so beta at least "
            f"{1 / (count * min(cin, cout)):.4g}. Received: beta={beta}. Use a larger "
            "beta, or more channels."
        )


def srnc_kernel(
    kernel: Any,
    u: Any,
    v: Any,
    alpha: float,
    beta: float = 1.0,
    strides: int | Sequence[int] = 1,
    padding: str = "same",
    decomposition: str = "projected",
) -> Any:
    """SRN-C: the kernel with spectral norm ``alpha`` and stable rank ``beta``.

    Source: Tanay et al., "Diagnosing and Preventing Instabilities in Recurrent
    Video Processing", Algorithm 2, steps 4 to 8. With ``P = grad_K u^T (K * v)``
    and ``g = <K, P> = u^T (K * v)``::

        S1 = P / ||P||_F^2,   S2 = K / g - S1,
        ||W(S1 + gamma S2)||_F^2 = beta r,   0 <= gamma <= 1,
        result = alpha (S1 + gamma S2)

    where ``W(.)`` is the operator on the maps that ``u`` and ``v`` belong to and
    ``r`` the smaller of its sides. ``S1`` is the smallest kernel with gain 1 along
    ``(u, v)``, so the gain along it is 1 for every ``gamma``.
    ``decomposition="gradient"`` is the algorithm as printed: ``S1 = P`` and
    ``gamma = sqrt(beta m - 1/n^2) / ||S2||_F``. There ``P`` has gain ``||P||_F^2``
    (4 to 9 for a 3x3 kernel) and not 1, so for ``beta < 1`` the norm is NOT
    ``alpha``: kept for comparison only.

    Args:
        kernel: [*taps, cin, cout], float32. Gradients flow through it.
        u, v: leading singular maps (see :func:`power_iteration`); constants.
        alpha: spectral norm, > 0.
        beta: stable rank as a fraction of full rank, in (0, 1].
        strides, padding: of the convolution.
        decomposition: ``"projected"`` or ``"gradient"``.

    Returns:
        A tensor of the kernel's shape.
    """
    check_decomposition(decomposition)
    u, v = ops.stop_gradient(u), ops.stop_gradient(v)
    p = ops.stop_gradient(backend.conv_kernel_grad(v, u, kernel, strides, padding))
    unit = kernel / (ops.sum(kernel * p) + _TINY)
    if beta < 1:
        size = v.shape[1:-1]
        weigh = lambda k: conv_frobenius_squared(k, size, strides, padding)  # noqa: E731
        if decomposition == "projected":
            s1 = p / (ops.sum(p * p) + _TINY)
            s2 = unit - s1
            rank = operator_rank(kernel, size, strides, padding)
            gamma = _root(weigh(s1), weigh(s2), weigh(unit), beta * rank)
        else:
            s1, s2 = p, unit - p
            cells = 1
            for n in size:
                cells *= n
            m = min(kernel.shape[-2:])
            gamma = (max(beta * m - 1 / cells, 0.0) ** 0.5) / (
                ops.sqrt(ops.sum(s2 * s2)) + _TINY
            )
        gamma = ops.clip(gamma, 0.0, 1.0)
        unit = s1 + gamma * s2
    return alpha * unit


def _root(a, c, total, target):
    """The larger ``gamma`` with ``a + 2 b gamma + c gamma^2 = target``.

    ``a, c, total`` are the squared norms of S1, S2 and S1 + S2, so that
    ``2 b = total - a - c``.
    """
    b = (total - a - c) / 2
    inside = ops.maximum(b * b - c * (a - target), 0.0)
    return (ops.sqrt(inside + _TINY) - b) / (c + _TINY)


def srn_kernel(kernel: Any, u: Any, v: Any, alpha: float, beta: float = 1.0) -> Any:
    """SRN: the same for the kernel reshaped to a matrix [taps * cin, cout].

    Source: Sanyal et al., "Stable Rank Normalization for Improved Generalization in
    Neural Networks and GANs", as Algorithm 1 of Tanay et al. The norm it holds is
    the matrix's, NOT the convolution's::

        S1 = u v^T,  S2 = K / (u^T K v) - S1,  gamma = sqrt(beta m - 1) / ||S2||_F

    Args:
        kernel: [*taps, cin, cout], float32.
        u: leading left singular vector [cout]; v: right one [taps * cin].
        alpha, beta: as in :func:`srnc_kernel`, ``m = min(taps * cin, cout)``.

    Returns:
        A tensor of the kernel's shape.
    """
    u, v = ops.stop_gradient(u), ops.stop_gradient(v)
    matrix = ops.reshape(kernel, (-1, kernel.shape[-1]))
    unit = matrix / (ops.sum(v[:, None] * matrix * u[None, :]) + _TINY)
    if beta < 1:
        s1 = v[:, None] * u[None, :]
        s2 = unit - s1
        target = max(beta * min(matrix.shape) - 1, 0.0) ** 0.5
        gamma = target / (ops.sqrt(ops.sum(s2 * s2)) + _TINY)
        unit = s1 + ops.clip(gamma, 0.0, 1.0) * s2
    return alpha * ops.reshape(unit, kernel.shape)
