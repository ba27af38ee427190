import keras
from keras import ops

from stablevid_tf.layers.loop import ConvSlice


@keras.saving.register_keras_serializable(package="stablevid_tf")
class ConvStage(keras.layers.Layer):
    """One stage of VDnCNN's body: ``y = relu(K * [x, extra])``.

    Args:
        conv: a convolution layer (plain or constrained) with as many filters as
            ``x`` has channels.

    Call arguments:
        x: [B, H, W, F].
        extra: [B, H, W, E] beside it (a state), or None.

    Output shape:
        [B, H, W, F].
    """

    def __init__(self, conv, **kwargs):
        super().__init__(**kwargs)
        self.conv = conv

    def build(self, x_shape, extra_shape=None):
        *space, channels = x_shape
        # A convolution read from a file comes built.
        if not self.conv.built:
            extra = extra_shape[-1] if extra_shape else 0
            self.conv.build((*space, channels + extra))

    def call(self, x, extra=None):
        inputs = x if extra is None else ops.concatenate([x, extra], axis=-1)
        return ops.relu(self.conv(inputs))

    def term(self, start=None, stop=None):
        """The stage on a loop that enters its input channels [start, stop)."""
        return ConvSlice(self.conv, start, stop)

    @property
    def convs(self):
        """The convolutions, in the order that the signal meets them."""
        return [self.conv]

    def get_config(self):
        serialize = keras.saving.serialize_keras_object
        return super().get_config() | {"conv": serialize(self.conv)}

    @classmethod
    def from_config(cls, config):
        config = dict(config)
        conv = keras.saving.deserialize_keras_object(config.pop("conv"))
        return cls(conv, **config)
