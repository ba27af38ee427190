import keras
from keras import ops

from stablevid_tf.cells.codec_cell import CodecCell, chain
from stablevid_tf.layers.batch_norm_stage import BatchNormStage
from stablevid_tf.layers.loop import ConvSlice
from stablevid_tf.numerics.geometry import check_size


@keras.saving.register_keras_serializable(package="stablevid_tf")
class STRCNN(CodecCell):
    """STRCNN without its dynamic temporal blending, for deblurring.

    ::

        x = relu(K2 * relu(K1 * [frame(t-2), ..., frame(t+2)]))
        f(t) = blocks([x, h(t-1)])
        h(t) = relu(K_h * f(t))
        restored(t) = K_y * relu(T * f(t))

    With u = ``features``: ``K1`` is 5x5 -> 2u, ``K2`` has stride 2 -> u; h has u
    channels, f 2u; eight residual blocks with batch normalisation
    (:class:`stablevid_tf.layers.BatchNormStage`); ``T`` is a transposed 4x4
    convolution with stride 2 -> 2u. 721,219 trained parameters, and 2,048 stored
    means and variances. Source: Kim et al., "Online Video Deblurring via Dynamic
    Temporal Blending Network", 2017, as Park et al. (RIRN) use it. There the blending
    stood in the middle of the blocks; that an :class:`stablevid_tf.cells.ATB` blends
    what the decoder sees, after them, is our guess.

    Batch normalisation counts each frame as a batch of its own, and its stored
    statistics move once a frame of training (our guess).

    Its loop: the blocks, as inference normalises them, then ``K_h``.

    Args:
        features: u, the unit of the widths (32).
        blocks: residual blocks (8).
        skip: add the frame to the output (False, as published).
        channels, constraint, **kwargs: see
            :class:`stablevid_tf.cells.RecurrentVideoCell`.

    Call arguments:
        frames: [B, H, W, 5 * channels] in [0, 1], of any size.
        state: ``(h, ())``, h [B, ceil(H / 2), ceil(W / 2), u].

    Example:
        >>> from stablevid_tf import models
        >>> model = models.build("strcnn")
        >>> sum(w.numpy().size for w in model.trainable_weights)
        721219
    """

    paper = (
        "Kim et al., Online Video Deblurring via Dynamic Temporal Blending Network, "
        "2017"
    )
    window = 5
    stride = 2

    def __init__(self, features=32, blocks=8, **kwargs):
        super().__init__(features, **kwargs)
        check_size("blocks", blocks)
        self.blocks = blocks
        self.hidden_channels = features
        self.features_channels = 2 * features
        self.conv1 = self.conv(2 * features, 5, role="head")
        self.conv2 = self.conv(features, strides=2)
        self.body = [self._block() for _ in range(blocks)]
        self.to_hidden = self.conv(features)
        self.up = self.doubled(2 * features, 4)
        self.tail = self.writer(3)

    def _block(self):
        width = 2 * self.features
        return BatchNormStage(
            self.conv(width), self.conv(width), dtype=self.dtype_policy
        )

    def propagate(self, frames, state):
        hidden, _ = state
        x = ops.relu(self.conv2(ops.relu(self.conv1(self.padded(frames)))))
        features = chain(self.body, ops.concatenate([x, hidden], axis=-1))
        return features, (ops.relu(self.to_hidden(features)), ())

    def decode(self, features, frames):
        return self.cropped(self.tail(ops.relu(self.up(features))), frames)

    def hidden_path(self):
        first, *rest = self.body
        return (
            first.term(start=self.features),
            *(block.term() for block in rest),
            ConvSlice(self.to_hidden),
        )

    def get_config(self):
        return super().get_config() | {"blocks": self.blocks}
