import keras
import numpy as np
from keras import ops

from stablevid_tf import numerics
from stablevid_tf.layers.reparametrised_conv2d import ReparametrisedConv2D
from stablevid_tf.numerics.geometry import check_size
from stablevid_tf.numerics.normalisation import check_norms
from stablevid_tf.numerics.power import unit

_COLD_ITERATIONS = 50


@keras.saving.register_keras_serializable(package="stablevid_tf")
class SRNConv2D(ReparametrisedConv2D):
    """2D convolution with stable rank normalisation of the reshaped kernel (SRN).

    Source: Sanyal et al., as Algorithm 1 of Tanay et al. (see
    :func:`stablevid_tf.numerics.srn_kernel` for the equation). It holds norm and
    stable rank of the matrix [k k cin, filters], not of the convolution, and so
    guarantees nothing about the recurrence: for comparison. For stable models take
    :class:`SRNCConv2D`.

    Args:
        filters, kernel_size: as in ``keras.layers.Conv2D``.
        alpha: spectral norm of the matrix, > 0.
        beta: stable rank of the matrix as a fraction of ``min(k k cin, filters)``,
            in (0, 1].
        power_iterations: per training step, at least 1.
        **kwargs: as in ``keras.layers.Conv2D``.

    Call arguments:
        inputs: [B, H, W, cin].

    Raises:
        ValueError: alpha <= 0; beta outside (0, 1]; ``beta m < 1``, out of reach.

    Example:
        >>> import numpy as np
        >>> from stablevid_tf.layers import SRNConv2D
        >>> layer = SRNConv2D(8, 3, alpha=1.0, beta=0.5)
        >>> layer(np.zeros((1, 24, 20, 8), "float32")).shape
        TensorShape([1, 24, 20, 8])
    """

    def __init__(
        self, filters, kernel_size, alpha=1.0, beta=1.0, power_iterations=1, **kwargs
    ):
        super().__init__(filters, kernel_size, **kwargs)
        check_norms(alpha, beta)
        check_size("power_iterations", power_iterations)
        self.alpha = float(alpha)
        self.beta = float(beta)
        self.power_iterations = power_iterations

    def build(self, input_shape):
        super().build(input_shape)
        rows = self.kernel_size[0] * self.kernel_size[1] * input_shape[-1]
        if self.beta * min(rows, self.filters) < 1:
            raise ValueError(
                f"A matrix of {rows} x {self.filters} cannot have so small a stable "
                f"rank: beta must be at least 1/{min(rows, self.filters)}. "
                f"Received: beta={self.beta}"
            )
        random = np.random.default_rng(0)
        start = random.standard_normal(self.filters)
        self.u = self.add_vector("u", (start / np.linalg.norm(start)).astype("float32"))
        self.warm = self.add_vector("warm", np.float32(0))

    def _vectors(self, kernel, iterations):
        matrix = ops.stop_gradient(ops.reshape(kernel, (-1, self.filters)))

        def once(_, vectors):
            v = unit(ops.matmul(matrix, vectors[0][:, None])[:, 0])
            return unit(ops.matmul(v[None, :], matrix)[0]), v

        u = ops.convert_to_tensor(self.u)
        return ops.fori_loop(0, iterations, once, (u, ops.zeros(matrix.shape[:1])))

    def effective_kernel(self):
        """The constrained kernel [k, k, cin, filters], float32. Changes nothing."""
        kernel = ops.convert_to_tensor(self.kernel)
        count = ops.cast(
            ops.where(self.warm > 0, self.power_iterations, _COLD_ITERATIONS), "int32"
        )
        u, v = self._vectors(kernel, count)
        return numerics.srn_kernel(kernel, u, v, self.alpha, self.beta)

    def training_kernel(self):
        """The constrained kernel of this step; ``u`` moves on."""
        kernel = self.effective_kernel()
        u, _ = self._vectors(kernel, self.power_iterations)
        self.u.assign(u)
        self.warm.assign(1.0)
        return kernel

    def fold(self):
        """A plain ``keras.layers.Conv2D`` with the constrained kernel."""
        return self.plain(self.effective_kernel())

    def get_config(self):
        return super().get_config() | {
            "alpha": self.alpha,
            "beta": self.beta,
            "power_iterations": self.power_iterations,
        }
