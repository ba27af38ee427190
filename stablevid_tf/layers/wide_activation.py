import keras
from keras import ops


@keras.saving.register_keras_serializable(package="stablevid_tf")
class WideActivation(keras.layers.Layer):
    """A residual block, wider inside: ``y = x + scale K * relu(K_n * ... K_1 * x)``.

    Where the ReLU acts there are more channels than in ``x``. 2D or 3D, as the
    convolutions are. Source: Fan et al., "An Empirical Investigation of Efficient
    Spatio-Temporal Modeling in Video Restoration", 2019 (WDVR), figures 3 and 4.

    Args:
        before: list of convolution layers before the ReLU; nothing is between them.
        after: the convolution after it, with as many filters as ``x`` has channels.
        scale: of the branch; WDVR with n blocks takes ``1 / sqrt(n)``.

    Call arguments:
        x: [B, ..., F].

    Output shape:
        As ``x``.

    Example:
        >>> import keras, numpy as np
        >>> from stablevid_tf.layers import WideActivation
        >>> conv = lambda n: keras.layers.Conv2D(n, 3, padding="same")
        >>> block = WideActivation([conv(16)], conv(4), scale=0.25)
        >>> block(np.zeros((1, 8, 8, 4), "float32")).shape
        TensorShape([1, 8, 8, 4])
    """

    def __init__(self, before, after, scale=1.0, **kwargs):
        super().__init__(**kwargs)
        self.before = list(before)
        self.after = after
        self.scale = float(scale)

    def build(self, x_shape):
        for conv in self.convs:
            # A convolution read from a file comes built.
            if not conv.built:
                conv.build(x_shape)
            x_shape = conv.compute_output_shape(x_shape)

    def call(self, x):
        inside = x
        for conv in self.before:
            inside = conv(inside)
        return x + self.scale * self.after(ops.relu(inside))

    @property
    def convs(self):
        """The convolutions, in the order that the signal meets them."""
        return [*self.before, self.after]

    def get_config(self):
        serialize = keras.saving.serialize_keras_object
        return super().get_config() | {
            "before": [serialize(conv) for conv in self.before],
            "after": serialize(self.after),
            "scale": self.scale,
        }

    @classmethod
    def from_config(cls, config):
        config = dict(config)
        deserialize = keras.saving.deserialize_keras_object
        before = [deserialize(conv) for conv in config.pop("before")]
        return cls(before, deserialize(config.pop("after")), **config)
