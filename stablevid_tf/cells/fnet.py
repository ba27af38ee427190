import keras
from keras import ops

from stablevid_tf.constraints import conv2d
from stablevid_tf.layers import bilinear
from stablevid_tf.layers.reflect import reflect_to_multiple
from stablevid_tf.numerics.geometry import check_size

_SLOPE = 0.2  # of LeakyReLU
_REACH = 24.0  # pixels along each axis that a flow spans at most
# Pairs of convolutions, in multiples of `features`; each is halved, each is doubled.
_DOWN, _UP = (1, 2, 4), (8, 4, 2)


@keras.saving.register_keras_serializable(package="stablevid_tf")
class FNet(keras.layers.Layer):
    """The optical flow network of FRVSR.

    ``flow = 24 tanh(net([previous, current]))``: an encoder of three pairs of
    convolutions, each followed by 2x2 max-pooling, and a decoder of three pairs, each
    followed by bilinear doubling (half-pixel centres, our guess). LeakyReLU 0.2.
    Source: Sajjadi et al., "Frame-Recurrent Video Super-Resolution", 2018, figure 3.

    Sides that 8 does not divide grow by reflection, at the bottom and on the right
    (our guess); the flow is cropped back.

    Args:
        features: of the first pair (32 in the paper); the widest has 8 times as many.
        constraint: see :class:`RecurrentVideoCell`; nothing here lies on a feedback
            loop.

    Call arguments:
        previous, current: [B, H, W, C] in [0, 1], any H and W.

    Output shape:
        [B, H, W, 2], float32: for each pixel of ``current`` where it lay in
        ``previous``, in pixels to the right and downwards, as
        :class:`stablevid_tf.layers.FlowWarp` takes it.

    Example:
        >>> import numpy as np
        >>> from stablevid_tf.cells import FNet
        >>> frames = np.zeros((2, 1, 13, 18, 3), "float32")
        >>> FNet(features=4)(*frames).shape
        TensorShape([1, 13, 18, 2])
    """

    def __init__(self, features=32, constraint=None, **kwargs):
        super().__init__(autocast=False, **kwargs)
        check_size("flow features", features)
        if isinstance(constraint, dict):
            constraint = keras.saving.deserialize_keras_object(constraint)
        self.features = features
        self.constraint = constraint
        widths = [features * n for n in (*_DOWN, *_UP) for _ in range(2)]
        roles = ["head", *["body"] * (len(widths) - 1)]
        self.body = [
            conv2d(constraint, width, role=role, dtype=self.dtype_policy)
            for width, role in zip(widths, roles, strict=True)
        ]
        self.gather = conv2d(constraint, features, dtype=self.dtype_policy)
        self.tail = conv2d(constraint, 2, role="tail", dtype=self.dtype_policy)

    def build(self, previous_shape, current_shape):
        channels = previous_shape[-1] + current_shape[-1]
        for conv in (*self.body, self.gather, self.tail):
            conv.build((None, None, None, channels))
            channels = conv.filters

    def call(self, previous, current):
        _, height, width, _ = ops.shape(current)
        x = reflect_to_multiple(ops.concatenate([previous, current], axis=-1), 8)
        for level in range(len(_DOWN) + len(_UP)):
            for conv in self.body[2 * level : 2 * level + 2]:
                x = ops.leaky_relu(conv(x), _SLOPE)
            if level < len(_DOWN):
                x = ops.max_pool(x, 2, strides=2)
            else:
                x = bilinear.enlarge(x, 2)
        x = self.tail(ops.leaky_relu(self.gather(x), _SLOPE))
        flow = _REACH * ops.tanh(ops.cast(x, "float32"))
        return flow[:, :height, :width]

    def compute_output_shape(self, previous_shape, current_shape):
        return (*current_shape[:-1], 2)

    def compute_output_spec(self, previous, current):
        # float32 whatever the policy: a flow is never rounded.
        shape = self.compute_output_shape(previous.shape, current.shape)
        return keras.KerasTensor(shape, "float32")

    def get_config(self):
        return super().get_config() | {
            "features": self.features,
            "constraint": keras.saving.serialize_keras_object(self.constraint),
        }
