import keras
from keras import ops

from stablevid_tf.layers.loop import Beside, ConvSlice, Lipschitz, Residual

# The largest slope of x Phi(x), Phi(sqrt 2) + sqrt(2) phi(sqrt 2) = 1.1289.
GELU_SLOPE = 1.129


@keras.saving.register_keras_serializable(package="stablevid_tf")
class ResidualDenseStage(keras.layers.Layer):
    """Residual dense block: ``y = x + F * [x, g_1, ..., g_n]``.

    ``g_i = gelu(K_i * [x, g_1, ..., g_(i-1)])`` with the exact GELU, ``z Phi(z)``.
    Source: Zhang et al., "Residual Dense Network for Image Super-Resolution", 2018,
    with the activation of ESTRNN (Zhong et al., 2020).

    Args:
        dense: list of convolution layers ``K_i``.
        fuse: convolution layer ``F``, with as many filters as ``x`` has channels.

    Call arguments:
        x: [B, H, W, F].

    Output shape:
        [B, H, W, F].

    Example:
        >>> import keras, numpy as np
        >>> from stablevid_tf.layers import ResidualDenseStage
        >>> dense = [keras.layers.Conv2D(2, 3, padding="same") for _ in range(3)]
        >>> block = ResidualDenseStage(dense, keras.layers.Conv2D(4, 1))
        >>> block(np.zeros((1, 8, 8, 4), "float32")).shape
        TensorShape([1, 8, 8, 4])
    """

    def __init__(self, dense, fuse, **kwargs):
        super().__init__(**kwargs)
        self.dense = list(dense)
        self.fuse = fuse

    def build(self, x_shape):
        *space, channels = x_shape
        # A convolution read from a file comes built.
        for conv in (*self.dense, self.fuse):
            if not conv.built:
                conv.build((*space, channels))
            channels += conv.filters

    def call(self, x):
        seen = x
        for conv in self.dense:
            grown = ops.gelu(conv(seen), approximate=False)
            seen = ops.concatenate([seen, grown], axis=-1)
        return x + self.fuse(seen)

    def term(self, start=None):
        """The block on a loop that enters its input channels from ``start``.

        A difference ``d`` becomes at most ``(1 + ||F|| prod_i sqrt(1 + (L ||K_i||)^2))
        ||d||``, L the slope of GELU.
        """
        dense = [
            Beside((ConvSlice(conv, start), Lipschitz(GELU_SLOPE)))
            for conv in self.dense
        ]
        return Residual((*dense, ConvSlice(self.fuse, start)))

    def get_config(self):
        serialize = keras.saving.serialize_keras_object
        return super().get_config() | {
            "dense": [serialize(conv) for conv in self.dense],
            "fuse": serialize(self.fuse),
        }

    @classmethod
    def from_config(cls, config):
        config = dict(config)
        deserialize = keras.saving.deserialize_keras_object
        dense = [deserialize(conv) for conv in config.pop("dense")]
        fuse = deserialize(config.pop("fuse"))
        return cls(dense, fuse, **config)
