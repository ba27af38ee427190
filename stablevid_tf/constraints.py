"""What a model's convolutions are held to, and how a cell asks for them."""

from collections.abc import Callable, Iterable
from typing import Any

import keras
import numpy as np
from keras import ops

from stablevid_tf import numerics
from stablevid_tf.layers.gain_conv2d import GainConv2D
from stablevid_tf.layers.loop import (
    Beside,
    ConvSlice,
    Loop,
    Residual,
    path_gain,
    term_gain,
    terms_of,
)
from stablevid_tf.layers.reparametrised_conv2d import ReparametrisedConv2D
from stablevid_tf.layers.srnc_conv2d import SRNCConv2D
from stablevid_tf.layers.srnc_conv2d_transpose import SRNCConv2DTranspose
from stablevid_tf.layers.weight_norm import WeightNorm
from stablevid_tf.numerics.geometry import check_kernel, check_size
from stablevid_tf.numerics.normalisation import check_decomposition, check_norms

_WHERE = ("all", "body", "loop")


@keras.saving.register_keras_serializable(package="stablevid_tf")
class SRNC(keras.constraints.Constraint):
    """Stable rank normalisation of convolutions, as a model's ``constraint=``.

    - ``where="all"`` (the paper): every convolution is a
      :class:`~stablevid_tf.layers.SRNCConv2D` of norm ``alpha`` and stable rank
      ``beta``.
    - ``where="body"``: all but the first and the last convolution.
    - ``where="loop"``: only the slices of kernels that a feedback loop passes
      through, so that each loop's gain bound stays at most ``alpha`` (< 1); nothing
      is ever scaled up. Where a loop has one convolution beside its entry
      (VResNet-feat) only the state slice is scaled. On longer loops plain
      convolutions are capped at norm 1, residual branches at 1/(their number), and
      the state slice takes the rest. Train at 0.95: folding certifies the bound
      with an estimate 0.24 % larger.

    Passed as ``kernel_constraint=`` to a plain Keras convolution this is ANOTHER
    algorithm: Keras calls it only after an update and gives it no memory, so it
    projects the kernel itself, each time with 30 iterations from the same random
    vectors. Use the layer where you can.

    Args:
        alpha: spectral norm, > 0; with ``where="loop"`` the loop gain, < 1.
        beta: stable rank as a fraction of full rank, in (0, 1]; 1 leaves it free.
        where: ``"all"``, ``"body"`` or ``"loop"``.
        decomposition: ``"projected"`` or ``"gradient"`` (as printed in the paper).
        power_iterations: per training step.
        frame_size: side of the maps that norms are taken on, in pixels.

    Raises:
        ValueError: an argument outside these ranges.

    Example:
        >>> from stablevid_tf import models
        >>> from stablevid_tf.constraints import SRNC
        >>> model = models.build("vresnet_feat", features=8, blocks=2,
        ...                      constraint=SRNC(2.0, 0.2, frame_size=16))
    """

    def __init__(
        self,
        alpha: float,
        beta: float = 1.0,
        where: str = "all",
        decomposition: str = "projected",
        power_iterations: int = 1,
        frame_size: int = 64,
    ) -> None:
        check_norms(alpha, beta)
        if where not in _WHERE:
            raise ValueError(f"where must be one of {_WHERE}. Received: {where!r}")
        if where == "loop" and alpha >= 1:
            raise ValueError(
                "With where='loop' alpha is the gain of each feedback loop and must be "
                f"below 1, e.g. 0.95. Received: alpha={alpha}"
            )
        if where == "loop" and beta != 1:
            raise ValueError(
                "With where='loop' only gains are held: leave beta at 1. "
                f"Received: beta={beta}"
            )
        check_decomposition(decomposition)
        check_size("power_iterations", power_iterations)
        check_size("frame_size", frame_size)
        self.alpha = float(alpha)
        self.beta = float(beta)
        self.where = where
        self.decomposition = decomposition
        self.power_iterations = power_iterations
        self.frame_size = frame_size

    def __call__(self, w: Any) -> Any:
        kernel = ops.cast(w, "float32")
        check_kernel(kernel)
        u, v = numerics.start_vectors(tuple(kernel.shape), self.frame_size)
        u, v = numerics.power_iteration(
            kernel, ops.convert_to_tensor(u), ops.convert_to_tensor(v), iterations=30
        )
        kernel = numerics.srnc_kernel(
            kernel, u, v, self.alpha, self.beta, decomposition=self.decomposition
        )
        return ops.cast(kernel, w.dtype)

    def conv2d(
        self,
        filters: int,
        kernel_size: int | tuple[int, int],
        role: str,
        loop: tuple[int | None, int | None] | None,
        **kwargs: Any,
    ) -> keras.layers.Layer:
        """The convolution layer that this constraint asks for (see :func:`conv2d`)."""
        if self.where == "loop":
            if loop is None:
                return keras.layers.Conv2D(filters, kernel_size, **kwargs)
            start, stop = loop
            return GainConv2D(
                filters,
                kernel_size,
                start=start,
                stop=stop,
                frame_size=self.frame_size,
                **kwargs,
            )
        if self.where == "body" and role != "body":
            return keras.layers.Conv2D(filters, kernel_size, **kwargs)
        return SRNCConv2D(filters, kernel_size, **self._held(), **kwargs)

    def conv2d_transpose(
        self,
        filters: int,
        kernel_size: int | tuple[int, int],
        role: str,
        loop: tuple[int | None, int | None] | None,
        **kwargs: Any,
    ) -> keras.layers.Layer:
        """The transposed one (see :func:`conv2d_transpose`)."""
        if self.where == "loop" and loop is not None:
            raise ValueError(
                "A transposed convolution on a feedback loop cannot be held by "
                "SRNC(where='loop'). Constrain where='all' or 'body' instead"
            )
        if self.where == "loop" or (self.where == "body" and role != "body"):
            return keras.layers.Conv2DTranspose(filters, kernel_size, **kwargs)
        return SRNCConv2DTranspose(filters, kernel_size, **self._held(), **kwargs)

    def _held(self):
        """What the layers that hold norms are told."""
        return {k: v for k, v in self.get_config().items() if k != "where"}

    def get_config(self) -> dict[str, Any]:
        return {
            "alpha": self.alpha,
            "beta": self.beta,
            "where": self.where,
            "decomposition": self.decomposition,
            "power_iterations": self.power_iterations,
            "frame_size": self.frame_size,
        }


def conv2d(
    constraint: SRNC | None,
    filters: int,
    kernel_size: int | tuple[int, int] = 3,
    role: str = "body",
    loop: tuple[int | None, int | None] | None = None,
    **kwargs: Any,
) -> keras.layers.Layer:
    """A same-padded convolution as ``constraint`` wants it.

    Args:
        constraint: an :class:`SRNC`, or None for a plain ``keras.layers.Conv2D``.
        filters, kernel_size: of the convolution.
        role: ``"head"`` (sees frames), ``"body"`` or ``"tail"`` (writes frames).
        loop: ``(start, stop)`` of the input channels on a feedback loop, None where
            the convolution lies on none.
        **kwargs: passed to the layer.
    """
    kwargs = {"padding": "same", **kwargs}
    _check(constraint)
    if constraint is None:
        return keras.layers.Conv2D(filters, kernel_size, **kwargs)
    return constraint.conv2d(filters, kernel_size, role, loop, **kwargs)


def conv2d_transpose(
    constraint: SRNC | None,
    filters: int,
    kernel_size: int | tuple[int, int] = 3,
    role: str = "body",
    loop: tuple[int | None, int | None] | None = None,
    **kwargs: Any,
) -> keras.layers.Layer:
    """A same-padded transposed convolution, its arguments those of :func:`conv2d`."""
    kwargs = {"padding": "same", **kwargs}
    _check(constraint)
    if constraint is None:
        return keras.layers.Conv2DTranspose(filters, kernel_size, **kwargs)
    return constraint.conv2d_transpose(filters, kernel_size, role, loop, **kwargs)


def _check(constraint):
    if not isinstance(constraint, SRNC | None):
        raise ValueError(
            "constraint must be a stablevid_tf.constraints.SRNC, or None. "
            f"Received: {constraint!r}"
        )


def effective_kernels(
    layer: keras.layers.Layer, training: bool = False
) -> dict[keras.layers.Layer, Any]:
    """Every constrained or normalised kernel below ``layer``, computed once.

    Args:
        layer: a cell or model; its ``constraint`` and ``loops()`` are used where it
            has them.
        training: True moves the layers' vectors on.

    Returns:
        ``{convolution layer: kernel tensor}`` for
        :func:`stablevid_tf.layers.cached_kernels`.
    """
    kernels = {
        conv: conv.training_kernel() if training else conv.effective_kernel()
        for conv in reparametrised(layer)
        if not isinstance(conv, GainConv2D)
    }
    if _where(layer) == "loop":
        gains = {c: c.gain(training) for c in _gain_convs(layer)}
        kernels |= loop_kernels(
            layer.loops(), layer.constraint.alpha, lambda part: gains[part.conv]
        )
    return kernels


def folded_kernels(layer: keras.layers.Layer) -> dict[keras.layers.Layer, np.ndarray]:
    """The same with certified norms: float32 NumPy arrays, for inference for good."""
    kernels = {
        conv: conv.folded_kernel()
        if isinstance(conv, SRNCConv2D)
        else (ops.convert_to_numpy(conv.effective_kernel()))
        for conv in reparametrised(layer)
    }
    if _where(layer) == "loop":
        bounds = {
            conv: numerics.conv_norm_bound(
                ops.convert_to_numpy(conv.kernel)[..., conv.start : conv.stop, :],
                conv.strides,
            )
            for conv in _gain_convs(layer)
        }
        certified = loop_kernels(
            # One part in a million lower: kernels are rounded to float32.
            layer.loops(),
            layer.constraint.alpha * (1 - 1e-6),
            lambda part: bounds[part.conv],
        )
        kernels |= {c: ops.convert_to_numpy(k) for c, k in certified.items()}
    return kernels


def _where(layer):
    return getattr(getattr(layer, "constraint", None), "where", None)


def reparametrised(
    layer: keras.layers.Layer,
) -> list[ReparametrisedConv2D | WeightNorm]:
    """The reparametrised convolutions below ``layer``, in a fixed order."""
    return [
        found
        for found in layer._flatten_layers(include_self=False)
        if isinstance(found, ReparametrisedConv2D | WeightNorm)
    ]


def _gain_convs(layer):
    return [conv for conv in reparametrised(layer) if isinstance(conv, GainConv2D)]


def loop_kernels(
    loops: Iterable[Loop], alpha: float, norm: Callable[[ConvSlice], Any]
) -> dict[GainConv2D, Any]:
    """Kernels that hold each loop's gain at ``alpha`` or below; none is scaled up.

    Args:
        loops: a list of :class:`stablevid_tf.layers.loop.Loop`.
        alpha: the gain to hold.
        norm: ``norm(conv_slice)``: the norm of a slice's convolution.

    Returns:
        ``{GainConv2D: kernel tensor}``.

    Raises:
        ValueError: a loop holds a warp, batch normalisation, or what has no bound.
    """
    kernels = {}
    for loop in loops:
        check_holdable(loop)
        if not loop.slices():
            continue
        if len(loop.path) == 1:
            rest = path_gain(loop.path, norm)
        else:
            rest = _hold(loop.path, _share(loop.path), norm, kernels)
        scale = _cap(alpha, rest * norm(loop.entry))
        kernels[loop.entry.conv] = loop.entry.conv.scaled_kernel(scale)
    return kernels


def check_holdable(loop: Loop) -> None:
    """Raise where ``where="loop"`` cannot hold a loop's gain, saying why."""
    if not loop.slices() and not loop.unbounded:
        return  # Its gain is what it is.
    if loop.unbounded:
        raise ValueError(
            f"No gain can be held: {loop.unbounded}. Constrain where='all' or 'body'"
        )
    if loop.warped:
        raise ValueError(
            f"The loop {loop.name!r} holds a warp, whose gain is bounded in the "
            "infinity norm only; where='loop' holds spectral norms. Constrain "
            "where='all' or 'body' instead"
        )
    if any(part.batch_norm is not None for part in loop.slices()):
        raise ValueError(
            f"The loop {loop.name!r} holds batch normalisation, whose gain in training "
            "is each batch's own and cannot be held. Constrain where='all' or 'body' "
            "instead"
        )


def _share(path):
    """The gain that each residual branch of a loop may have."""
    return 1.0 / max(sum(isinstance(term, Residual) for term in terms_of(path)), 1)


def _hold(path, share, norm, kernels):
    """Cap what lies on a path, into ``kernels``; returns the gain that is left."""
    gain = 1.0
    for term in path:
        if isinstance(term, Residual):
            product = path_gain(term.branch, norm)
            scale = _cap(share, product)
            first = next(t for t in term.branch if isinstance(t, ConvSlice))
            kernels[first.conv] = first.conv.scaled_kernel(scale)
            gain = gain * (1.0 + scale * product)
        elif isinstance(term, Beside):
            gain = gain * (1.0 + _hold(term.path, share, norm, kernels) ** 2) ** 0.5
        elif isinstance(term, ConvSlice):
            scale = _cap(1.0, norm(term))
            kernels[term.conv] = term.conv.scaled_kernel(scale)
            gain = gain * scale * norm(term)
        else:
            gain = gain * term_gain(term, norm)
    return gain


def _cap(limit, gain):
    """The factor, at most 1, that brings ``gain`` down to ``limit``."""
    return ops.minimum(1.0, limit / ops.maximum(gain, 1e-12))
