import functools

import keras
import numpy as np
from keras import ops

from stablevid_tf import backend, numerics
from stablevid_tf.layers.reparametrised_conv2d import ReparametrisedConv2D
from stablevid_tf.numerics.geometry import check_size
from stablevid_tf.numerics.normalisation import (
    check_decomposition,
    check_norms,
    check_reachable,
)

# From random vectors: rounds of so many iterations. In 24 draws with close leading
# singular values the norm came within 0.2 % of alpha.
_COLD_ITERATIONS = 10
_COLD_ROUNDS = 20


@keras.saving.register_keras_serializable(package="stablevid_tf")
class SRNCConv2D(ReparametrisedConv2D):
    """2D convolution with stable rank normalisation of the convolution (SRN-C).

    The layer convolves with ``alpha * K~``, where ``K~`` has spectral norm 1 and, as
    an operator on maps of ``frame_size``, stable rank at most ``beta`` (see
    :func:`stablevid_tf.numerics.srnc_kernel` for the equation). Source: Tanay et al.,
    "Diagnosing and Preventing Instabilities in Recurrent Video Processing",
    Algorithm 2.

    The leading singular maps ``u`` and ``v`` belong to the layer: they are saved and
    restored with it and move by ``power_iterations`` on the effective kernel at each
    training step. Inference and measuring change nothing. To train on from another
    kernel use :meth:`assign_kernel`: the vectors of the old one say nothing of it.

    Args:
        filters, kernel_size: as in ``keras.layers.Conv2D``.
        alpha: spectral norm to hold, > 0.
        beta: stable rank to hold, as a fraction of full rank, in (0, 1]; 1 leaves it
            free.
        power_iterations: per training step, at least 1.
        decomposition: ``"projected"``, or ``"gradient"`` for the algorithm as printed
            (whose norm is not ``alpha`` for ``beta < 1``: folding scales its kernels
            down to that, so a folded model is not the one that was trained).
        frame_size: side of the map that the norms are taken on, in pixels.
        **kwargs: as in ``keras.layers.Conv2D`` (strides, padding, activation, ...).

    Call arguments:
        inputs: [B, H, W, cin], any H and W.
        training: True uses the warm vectors and moves them on.

    Output shape:
        [B, H', W', filters], as ``keras.layers.Conv2D``.

    Raises:
        ValueError: alpha <= 0; beta outside (0, 1]; beta out of reach for the shape
            (``beta min(cin, cout) < 1 / k^2``).

    Example:
        >>> import numpy as np
        >>> from stablevid_tf.layers import SRNCConv2D
        >>> layer = SRNCConv2D(8, 3, alpha=2.0, beta=0.4, frame_size=16)
        >>> layer(np.zeros((1, 24, 20, 8), "float32")).shape
        TensorShape([1, 24, 20, 8])
        >>> plain = layer.fold()           # a keras.layers.Conv2D, norm at most 2
    """

    def __init__(
        self,
        filters,
        kernel_size,
        alpha=1.0,
        beta=1.0,
        power_iterations=1,
        decomposition="projected",
        frame_size=64,
        **kwargs,
    ):
        super().__init__(filters, kernel_size, **kwargs)
        check_norms(alpha, beta)
        check_decomposition(decomposition)
        check_size("power_iterations", power_iterations)
        check_size("frame_size", frame_size)
        self.alpha = float(alpha)
        self.beta = float(beta)
        self.power_iterations = power_iterations
        self.decomposition = decomposition
        self.frame_size = frame_size

    def build(self, input_shape):
        shape = self.kernel_shape(input_shape[-1])
        if self.beta < 1:
            check_reachable(self.beta, shape)
        super().build(input_shape)
        u, v = numerics.start_vectors(
            shape, self.frame_size, self.strides, self.padding
        )
        self.u = self.add_vector("u", u)
        self.v = self.add_vector("v", v)
        # warm: u and v belong to this kernel. folded: the kernel itself satisfies
        # the constraint, and inference uses it as it is.
        self.warm = self.add_vector("warm", np.float32(0))
        self.folded = self.add_vector("folded", np.float32(0))

    def _functions(self):
        return _functions(
            self.alpha,
            self.beta,
            self.strides,
            self.padding,
            self.decomposition,
            self.power_iterations,
        )

    def _own(self):
        # Copies: a compiled function would hold on to the variables themselves.
        return [ops.copy(x) for x in (self.kernel, self.u, self.v, self.warm)]

    def effective_kernel(self):
        """The constrained kernel [k, k, cin, filters], float32. Changes nothing."""
        read, _ = self._functions()
        return ops.cond(
            self.folded > 0,
            lambda: ops.convert_to_tensor(self.kernel),
            lambda: read(*self._own()),
        )

    def training_kernel(self):
        """The constrained kernel of this step; ``u`` and ``v`` move on."""
        _, step = self._functions()
        kernel, u, v = step(*self._own())
        self.u.assign(u)
        self.v.assign(v)
        self.warm.assign(1.0)
        self.folded.assign(0.0)
        return kernel

    def folded_kernel(self):
        """The effective kernel, scaled down where its certified norm exceeds alpha.

        Returns:
            float32 NumPy array. ``numerics.conv_norm_bound`` of it is at most
            ``alpha``, so its norm is at most ``alpha`` at every frame size.
        """
        kernel = ops.convert_to_numpy(self.effective_kernel())
        bound = numerics.conv_norm_bound(kernel, self.strides)
        if bound <= self.alpha:
            return kernel
        # One part in a million lower: the product is rounded to float32.
        return kernel * np.float32(self.alpha / bound * (1 - 1e-6))

    def fold(self):
        """A plain ``keras.layers.Conv2D`` with a certified norm of at most alpha."""
        return self.plain(self.folded_kernel())

    def assign_kernel(self, kernel):
        """Replace the trained kernel; its vectors are found anew at the next use."""
        self.kernel.assign(kernel)
        self.warm.assign(0.0)
        self.folded.assign(0.0)

    def adopt(self, kernel):
        """Take a folded kernel: inference uses it as it is until training goes on."""
        self.assign_kernel(kernel)
        self.folded.assign(1.0)

    def get_config(self):
        return super().get_config() | {
            "alpha": self.alpha,
            "beta": self.beta,
            "power_iterations": self.power_iterations,
            "decomposition": self.decomposition,
            "frame_size": self.frame_size,
        }


@functools.cache
def _functions(alpha, beta, strides, padding, decomposition, iterations):
    """``(read, step)``: the layer's two functions of kernel, u, v and warm.

    Kept, so that all layers of one setting and shape share one compiled graph.
    """

    def iterate(kernel, vectors, count):
        return numerics.power_iteration(kernel, *vectors, strides, padding, count)

    def constrain(kernel, vectors):
        return numerics.srnc_kernel(
            kernel, *vectors, alpha, beta, strides, padding, decomposition
        )

    def find(kernel, vectors):
        """Vectors from random ones, such that the norm of the result is alpha."""
        if beta == 1:
            return iterate(kernel, vectors, 10 * _COLD_ITERATIONS)
        # The residual is damped, so the leading maps of the effective kernel are not
        # those of the kernel: find these, then alternate as training does.
        return ops.fori_loop(
            0,
            _COLD_ROUNDS,
            lambda _, uv: iterate(constrain(kernel, uv), uv, _COLD_ITERATIONS),
            iterate(kernel, vectors, 2 * _COLD_ITERATIONS),
        )

    def read(kernel, u, v, warm):
        constrained = constrain(kernel, (u, v))
        stale = warm == 0
        if decomposition == "projected":
            # Vectors of another kernel (somebody assigned this one) betray
            # themselves: v is carried to more than alpha.
            moved = backend.conv(v, constrained, strides, padding)
            stale = stale | (ops.sum(moved * moved) > (1.02 * alpha) ** 2)
        return ops.cond(
            stale,
            lambda: constrain(kernel, find(kernel, (u, v))),
            lambda: constrained,
        )

    def step(kernel, u, v, warm):
        vectors = ops.cond(warm > 0, lambda: (u, v), lambda: find(kernel, (u, v)))
        constrained = constrain(kernel, vectors)
        return constrained, *iterate(constrained, vectors, iterations)

    return backend.compile(read), backend.compile(step)
