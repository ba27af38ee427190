"""What SRN-C, SRN and the loop constraint share: a kernel seen through a function."""

import keras
from keras import ops

from stablevid_tf.layers.kernel_cache import cached_kernel
from stablevid_tf.numerics.geometry import (
    check_padding,
    check_size,
    output_size,
    per_axis,
)


class ReparametrisedConv2D(keras.layers.Layer):
    """A 2D convolution whose kernel is a function of the trained one.

    Subclasses give :meth:`effective_kernel` (a pure read) and
    :meth:`training_kernel` (the same, for one training step: it may also move
    vectors that the layer keeps from step to step).

    Args:
        filters: output channels.
        kernel_size: integer or pair.
        strides: integer or pair.
        padding: ``"same"`` or ``"valid"``.
        activation: as in Keras.
        use_bias: whether to add a bias.
        kernel_initializer, bias_initializer: as in Keras.
        kernel_regularizer: acts on the trained kernel.

    Call arguments:
        inputs: [B, H, W, cin].
        training: in training the kernel of :meth:`training_kernel` is used.
    """

    # The Keras layer that convolves in the same way.
    PLAIN = keras.layers.Conv2D

    def __init__(
        self,
        filters,
        kernel_size,
        strides=1,
        padding="same",
        activation=None,
        use_bias=True,
        kernel_initializer="glorot_uniform",
        bias_initializer="zeros",
        kernel_regularizer=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        check_size("filters", filters)
        check_padding(padding)
        self.filters = filters
        self.kernel_size = per_axis(kernel_size, 2)
        self.strides = per_axis(strides, 2)
        self.padding = padding
        self.activation = keras.activations.get(activation)
        self.use_bias = use_bias
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.bias_initializer = keras.initializers.get(bias_initializer)
        self.kernel_regularizer = keras.regularizers.get(kernel_regularizer)
        self.input_spec = keras.layers.InputSpec(ndim=4)

    def build(self, input_shape):
        channels = input_shape[-1]
        if channels is None:
            raise ValueError(
                "The number of input channels must be known when the layer is built. "
                f"Received: input_shape={tuple(input_shape)}"
            )
        # float32 whatever the policy: the numerics need the kernel itself, not a
        # copy rounded to bfloat16.
        self.kernel = self.add_weight(
            name="kernel",
            shape=self.kernel_shape(channels),
            initializer=self.kernel_initializer,
            regularizer=self.kernel_regularizer,
            autocast=False,
        )
        self.bias = (
            self.add_weight(
                name="bias", shape=(self.filters,), initializer=self.bias_initializer
            )
            if self.use_bias
            else None
        )
        self.input_spec = keras.layers.InputSpec(ndim=4, axes={-1: channels})

    def call(self, inputs, training=False):
        kernel = cached_kernel(self)
        if kernel is None:
            kernel = self.training_kernel() if training else self.effective_kernel()
        outputs = self.convolve(inputs, ops.cast(kernel, self.compute_dtype))
        if self.bias is not None:
            outputs = ops.add(outputs, self.bias)
        return self.activation(outputs)

    def kernel_shape(self, channels):
        """Of the trained kernel, for so many input channels."""
        return (*self.kernel_size, channels, self.filters)

    def convolve(self, inputs, kernel):
        """The convolution itself, without bias."""
        return ops.conv(
            inputs,
            kernel,
            strides=self.strides,
            padding=self.padding,
            data_format="channels_last",
        )

    def add_vector(self, name, value):
        """A float32 weight of the layer's own, the same on every replica."""
        return self.add_weight(
            name=name,
            shape=value.shape,
            initializer=lambda *_, **__: ops.convert_to_tensor(value),
            trainable=False,
            autocast=False,
            dtype="float32",
            aggregation="only_first_replica",
        )

    def effective_kernel(self):
        """The kernel the layer convolves with, float32. Changes nothing."""
        raise NotImplementedError

    def training_kernel(self):
        """The effective kernel of one training step; the layer's vectors move on."""
        raise NotImplementedError

    def plain(self, kernel):
        """A plain Keras layer (:attr:`PLAIN`) like this one with ``kernel``."""
        conv = self.PLAIN(
            self.filters,
            self.kernel_size,
            strides=self.strides,
            padding=self.padding,
            activation=self.activation,
            use_bias=self.use_bias,
            data_format="channels_last",
            dtype=self.dtype_policy,
            name=self.name,
        )
        conv.build((None, None, None, self.input_spec.axes[-1]))
        conv.kernel.assign(ops.copy(kernel))
        if self.use_bias:
            conv.bias.assign(ops.copy(self.bias))
        return conv

    def compute_output_shape(self, input_shape):
        batch, *space, _ = input_shape
        space = [
            n if n is None else output_size(n, k, s, self.padding)
            for n, k, s in zip(space, self.kernel_size, self.strides, strict=True)
        ]
        return (batch, *space, self.filters)

    def get_config(self):
        serialize = keras.saving.serialize_keras_object
        return super().get_config() | {
            "filters": self.filters,
            "kernel_size": self.kernel_size,
            "strides": self.strides,
            "padding": self.padding,
            "activation": keras.activations.serialize(self.activation),
            "use_bias": self.use_bias,
            "kernel_initializer": serialize(self.kernel_initializer),
            "bias_initializer": serialize(self.bias_initializer),
            "kernel_regularizer": keras.regularizers.serialize(self.kernel_regularizer),
        }
