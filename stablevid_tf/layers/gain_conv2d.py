import functools

import keras
import numpy as np
from keras import ops

from stablevid_tf import backend, numerics
from stablevid_tf.layers.reparametrised_conv2d import ReparametrisedConv2D
from stablevid_tf.numerics.geometry import check_size

_COLD_ITERATIONS = 50


@keras.saving.register_keras_serializable(package="stablevid_tf")
class GainConv2D(ReparametrisedConv2D):
    """2D convolution that knows the norm of a slice of its input channels.

    A feedback loop runs through slices of convolutions: of a kernel that sees
    ``[input, state]`` only the part that sees the state. This layer measures that
    part, ``g = u^T (K_s * v)`` with warm vectors of its own, and convolves with its
    trained kernel; whoever knows the whole loop scales the slice
    (see :func:`stablevid_tf.constraints.loop_kernels`).

    Args:
        filters, kernel_size: as in ``keras.layers.Conv2D``.
        start, stop: the input channels ``[start, stop)`` that lie on the loop; None
            for the first and the last.
        frame_size: side of the map that the norm is taken on, in pixels.
        **kwargs: as in ``keras.layers.Conv2D``.

    Call arguments:
        inputs: [B, H, W, cin], any H and W.

    Output shape:
        [B, H', W', filters], as ``keras.layers.Conv2D``.

    Example:
        >>> import numpy as np
        >>> from stablevid_tf.layers import GainConv2D
        >>> layer = GainConv2D(8, 3, start=8, frame_size=16)
        >>> layer(np.zeros((1, 24, 20, 16), "float32")).shape
        TensorShape([1, 24, 20, 8])
    """

    def __init__(
        self, filters, kernel_size, start=None, stop=None, frame_size=64, **kwargs
    ):
        super().__init__(filters, kernel_size, **kwargs)
        check_size("frame_size", frame_size)
        self.start = start
        self.stop = stop
        self.frame_size = frame_size

    def build(self, input_shape):
        super().build(input_shape)
        if not self._slice().shape[-2]:
            raise ValueError(
                f"The slice [{self.start}, {self.stop}) is empty: the layer has "
                f"{input_shape[-1]} input channels."
            )
        u, v = numerics.start_vectors(
            tuple(self._slice().shape), self.frame_size, self.strides, self.padding
        )
        self.u = self.add_vector("u", u)
        self.v = self.add_vector("v", v)
        self.warm = self.add_vector("warm", np.float32(0))

    def _slice(self):
        return ops.convert_to_tensor(self.kernel)[..., self.start : self.stop, :]

    def gain(self, training=False):
        """Norm of the slice's convolution, a scalar; in training the vectors move on.

        An estimate from below, as every power iteration: certify with
        ``numerics.conv_norm_bound``.
        """
        read, step = _functions(self.strides, self.padding)
        # Copies: a compiled function would hold on to the variables themselves.
        own = self._slice(), *map(ops.copy, (self.u, self.v, self.warm))
        if not training:
            return read(*own)
        gain, u, v = step(*own)
        self.u.assign(u)
        self.v.assign(v)
        self.warm.assign(1.0)
        return gain

    def scaled_kernel(self, scale):
        """The kernel [k, k, cin, filters] with its slice multiplied by ``scale``."""
        kernel = ops.convert_to_tensor(self.kernel)
        before = kernel[..., : self.start or 0, :]
        parts = [before, scale * self._slice()]
        if self.stop is not None:
            parts.append(kernel[..., self.stop :, :])
        return ops.concatenate(parts, axis=-2)

    def effective_kernel(self):
        """The trained kernel: alone, the layer constrains nothing."""
        return ops.convert_to_tensor(self.kernel)

    training_kernel = effective_kernel

    def get_config(self):
        return super().get_config() | {
            "start": self.start,
            "stop": self.stop,
            "frame_size": self.frame_size,
        }


@functools.cache
def _functions(strides, padding):
    """``(read, step)`` of kernel, u, v and warm: the gain, and vectors moved on.

    Kept, so that all layers of one setting and shape share one compiled graph.
    """

    def iterate(kernel, u, v, count):
        return numerics.power_iteration(kernel, u, v, strides, padding, count)

    def gain(kernel, u, v):
        return ops.sum(u * backend.conv(v, kernel, strides, padding))

    def read(kernel, u, v, warm):
        u, v = ops.cond(
            warm > 0,
            lambda: (u, v),
            lambda: iterate(kernel, u, v, _COLD_ITERATIONS),
        )
        return gain(kernel, u, v)

    def step(kernel, u, v, warm):
        u, v = ops.cond(
            warm > 0,
            lambda: iterate(kernel, u, v, 1),
            lambda: iterate(kernel, u, v, _COLD_ITERATIONS),
        )
        return gain(kernel, u, v), u, v

    return backend.compile(read), backend.compile(step)
