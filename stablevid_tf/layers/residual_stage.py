import keras
from keras import ops

from stablevid_tf.layers.loop import ConvSlice, Residual


@keras.saving.register_keras_serializable(package="stablevid_tf")
class ResidualStage(keras.layers.Layer):
    """One stage of VResNet's body: ``y = x + K2 * relu(K1 * [x, extra])``.

    Args:
        conv1, conv2: convolution layers (plain or constrained) with as many filters
            as ``x`` has channels.

    Call arguments:
        x: [B, H, W, F].
        extra: [B, H, W, E] beside it (a state), or None.

    Output shape:
        [B, H, W, F].
    """

    def __init__(self, conv1, conv2, **kwargs):
        super().__init__(**kwargs)
        self.conv1 = conv1
        self.conv2 = conv2

    def build(self, x_shape, extra_shape=None):
        *space, channels = x_shape
        # A convolution read from a file comes built.
        if not self.conv1.built:
            extra = extra_shape[-1] if extra_shape else 0
            self.conv1.build((*space, channels + extra))
        if not self.conv2.built:
            self.conv2.build((*space, self.conv1.filters))

    def call(self, x, extra=None):
        inputs = x if extra is None else ops.concatenate([x, extra], axis=-1)
        return x + self.conv2(ops.relu(self.conv1(inputs)))

    def term(self, start=None, stop=None):
        """The block on a loop that enters its input channels [start, stop)."""
        return Residual((ConvSlice(self.conv1, start, stop), ConvSlice(self.conv2)))

    @property
    def convs(self):
        """The convolutions, in the order that the signal meets them."""
        return [self.conv1, self.conv2]

    def get_config(self):
        serialize = keras.saving.serialize_keras_object
        return super().get_config() | {
            "conv1": serialize(self.conv1),
            "conv2": serialize(self.conv2),
        }

    @classmethod
    def from_config(cls, config):
        config = dict(config)
        deserialize = keras.saving.deserialize_keras_object
        conv1, conv2 = (
            deserialize(config.pop("conv1")),
            deserialize(config.pop("conv2")),
        )
        return cls(conv1, conv2, **config)
