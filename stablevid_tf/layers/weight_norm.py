import keras
from keras import ops

from stablevid_tf.layers.kernel_cache import cached_kernel


@keras.saving.register_keras_serializable(package="stablevid_tf")
class WeightNorm(keras.layers.Layer):
    """Weight normalisation of a convolution: ``K = g v / ||v||``, per output channel.

    The wrapped convolution's kernel is ``v``; ``||v||`` is taken over its taps and
    input channels, and the gain ``g`` starts at it, without data, so that training
    starts from the convolution as it was. Length and direction of a filter are
    learned apart. Parameters: kernel, one gain an output channel, bias. Source:
    Salimans and Kingma, "Weight Normalization: A Simple Reparameterization to
    Accelerate Training of Deep Neural Networks", 2016.

    Args:
        conv: a ``keras.layers.Conv1D``, ``Conv2D`` or ``Conv3D`` (channels last), new
            or trained.

    Call arguments:
        inputs: what ``conv`` takes.

    Output shape:
        As of ``conv``.

    Raises:
        ValueError: another layer, or channels first.

    Example:
        >>> import keras, numpy as np
        >>> from stablevid_tf.layers import WeightNorm
        >>> layer = WeightNorm(keras.layers.Conv3D(4, 3, padding="same"))
        >>> layer(np.zeros((1, 5, 8, 8, 2), "float32")).shape
        TensorShape([1, 5, 8, 8, 4])
        >>> layer.count_params() - layer.conv.count_params()
        4
    """

    def __init__(self, conv, **kwargs):
        if (
            not hasattr(conv, "convolution_op")
            or getattr(conv, "data_format", None) != "channels_last"
        ):
            raise ValueError(
                "WeightNorm takes a keras.layers.Conv1D, Conv2D or Conv3D, channels "
                f"last. Received: {conv!r}"
            )
        kwargs.setdefault("dtype", conv.dtype_policy)
        # No autocast: norms are taken in float32 of the kernel itself.
        super().__init__(autocast=False, **kwargs)
        self.conv = conv

    def build(self, input_shape):
        # A convolution read from a file, or trained before, comes built.
        if not self.conv.built:
            self.conv.build(input_shape)
        self.gain = self.add_weight(
            name="gain",
            shape=(self.conv.filters,),
            initializer=lambda *_, **__: _norm(self.conv.kernel),
            dtype="float32",
            autocast=False,
        )

    @property
    def kernel(self):
        """``v``: the direction, of any length."""
        return self.conv.kernel

    @property
    def bias(self):
        """The convolution's bias."""
        return self.conv.bias

    @property
    def use_bias(self):
        """Whether there is a bias."""
        return self.conv.use_bias

    def effective_kernel(self):
        """``g v / ||v||``, float32. Changes nothing."""
        direction = ops.cast(self.conv.kernel, "float32")
        return direction * (self.gain / _norm(direction))

    def training_kernel(self):
        """The same: nothing moves on from step to step."""
        return self.effective_kernel()

    def adopt(self, kernel):
        """Take a folded kernel: from now on ``K`` is this one."""
        self.conv.kernel.assign(kernel)
        self.gain.assign(_norm(self.conv.kernel))

    def call(self, inputs):
        kernel = cached_kernel(self)
        if kernel is None:
            kernel = self.effective_kernel()
        outputs = self.conv.convolution_op(
            ops.cast(inputs, self.compute_dtype), ops.cast(kernel, self.compute_dtype)
        )
        if self.use_bias:
            outputs = outputs + ops.cast(self.bias, self.compute_dtype)
        activation = self.conv.activation
        return outputs if activation is None else activation(outputs)

    def compute_output_shape(self, input_shape):
        return self.conv.compute_output_shape(input_shape)

    def get_config(self):
        return super().get_config() | {
            "conv": keras.saving.serialize_keras_object(self.conv)
        }

    @classmethod
    def from_config(cls, config):
        config = dict(config)
        conv = keras.saving.deserialize_keras_object(config.pop("conv"))
        return cls(conv, **config)


def _norm(kernel):
    """``||v||`` of every filter: [cout]; never 0, where its gradient has a pole."""
    kernel = ops.cast(kernel, "float32")
    axes = tuple(range(len(kernel.shape) - 1))
    return ops.sqrt(ops.maximum(ops.sum(kernel**2, axis=axes), 1e-24))
