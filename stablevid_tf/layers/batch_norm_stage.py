import keras
from keras import ops

from stablevid_tf.layers.loop import ConvSlice, Residual
from stablevid_tf.layers.residual_stage import ResidualStage


@keras.saving.register_keras_serializable(package="stablevid_tf")
class BatchNormStage(ResidualStage):
    """A residual block with batch normalisation.

    ``y = relu(x + N2(K2 * relu(N1(K1 * x))))``, ``N(z) = gamma (z - mean) /
    sqrt(variance + 1e-3) + beta``. In training mean and variance are those of the
    batch, of one frame at a time in a clip, and move the stored ones, which inference
    uses. Source: the blocks of STRCNN (Kim et al., 2017); the momentum 0.99 and the
    1e-3 are Keras' (our guess).

    Args:
        conv1, conv2: convolution layers (plain or constrained) with as many filters
            as ``x`` has channels.

    Call arguments:
        x: [B, H, W, F].

    Output shape:
        [B, H, W, F].

    Example:
        >>> import keras, numpy as np
        >>> from stablevid_tf.layers import BatchNormStage
        >>> conv = lambda: keras.layers.Conv2D(4, 3, padding="same")
        >>> BatchNormStage(conv(), conv())(np.zeros((1, 8, 8, 4), "float32")).shape
        TensorShape([1, 8, 8, 4])
    """

    def __init__(self, conv1, conv2, **kwargs):
        super().__init__(conv1, conv2, **kwargs)
        self.norm1 = keras.layers.BatchNormalization(dtype=self.dtype_policy)
        self.norm2 = keras.layers.BatchNormalization(dtype=self.dtype_policy)

    def build(self, x_shape):
        super().build(x_shape)
        for conv, norm in ((self.conv1, self.norm1), (self.conv2, self.norm2)):
            norm.build((*x_shape[:-1], conv.filters))

    def call(self, x):
        inside = ops.relu(self.norm1(self.conv1(x)))
        return ops.relu(x + self.norm2(self.conv2(inside)))

    def term(self, start=None):
        return Residual(
            (
                ConvSlice(self.conv1, start, batch_norm=self.norm1),
                ConvSlice(self.conv2, batch_norm=self.norm2),
            )
        )
