import keras
from keras import ops

from stablevid_tf.cells.codec_cell import CodecCell, chain
from stablevid_tf.layers.loop import Beside, ConvSlice
from stablevid_tf.layers.residual_dense_stage import ResidualDenseStage
from stablevid_tf.numerics.geometry import check_size


@keras.saving.register_keras_serializable(package="stablevid_tf")
class RDBN(CodecCell):
    """RDBN, the recurrent network of ESTRNN without its attention, for deblurring.

    ::

        x_0 = [encoder(frame(t) - 0.5), h(t-1)]
        x_i = block_i(x_(i-1))                          residual dense blocks
        f(t) = K3 * K1 * [x_1, ..., x_n]
        h(t) = K * block(K * f(t))
        restored(t) = decoder(f(t)) + 0.5

    With u = ``features``: the encoder is 5x5 convolution -> u, dense block (growth u),
    5x5 with stride 2 -> 2u, dense block (growth 3u/2), 5x5 with stride 2 -> 4u; h has
    u channels, f 5u; fifteen dense blocks of growth 2u, each of three convolutions and
    GELU; the decoder as :class:`stablevid_tf.cells.IFIRNN`. 1,996,731 parameters.
    Source: Zhong et al., "Efficient Spatio-Temporal Recurrent Neural Network for Video
    Deblurring", 2020, B15C80, as Park et al. (RIRN) use it. That 0.5 is added again at
    the end is our guess.

    Its loop: the dense blocks, K1, K3, then the three layers of the hidden state.

    Args:
        features: u, the unit of the widths (16), even.
        blocks: dense blocks of the body (15).
        skip: add the frame to the output (False, as published).
        channels, constraint, **kwargs: see
            :class:`stablevid_tf.cells.RecurrentVideoCell`.

    Call arguments:
        frames: [B, H, W, channels] in [0, 1], of any size.
        state: ``(h, ())``, h [B, ceil(H / 4), ceil(W / 4), u].

    Raises:
        ValueError: ``features`` is odd.

    Example:
        >>> from stablevid_tf import models
        >>> models.build("rdbn").count_params()
        1996731
    """

    paper = (
        "Zhong et al., Efficient Spatio-Temporal Recurrent Neural Network for Video "
        "Deblurring, 2020"
    )

    def __init__(self, features=16, blocks=15, **kwargs):
        super().__init__(features, **kwargs)
        check_size("blocks", blocks)
        if features % 2:
            raise ValueError(
                "features must be even: one dense block grows by 3/2 of it. "
                f"Received: {features}"
            )
        self.blocks = blocks
        self.hidden_channels = u = features
        self.features_channels = 5 * u
        self.encoder = [
            self.conv(u, 5, role="head"),
            self._dense(u, u),
            self.conv(2 * u, 5, strides=2),
            self._dense(2 * u, 3 * u // 2),
            self.conv(4 * u, 5, strides=2),
        ]
        whole = (None, None)
        self.body = [
            self._dense(5 * u, 2 * u, loop=whole if i else (4 * u, None))
            for i in range(blocks)
        ]
        self.gather = [self.conv(5 * u, 1, loop=whole), self.conv(5 * u, loop=whole)]
        self.to_hidden = [
            self.conv(u, loop=whole),
            self._dense(u, u, loop=whole),
            self.conv(u, loop=whole),
        ]
        self.to_frame = self.decoder()

    def _dense(self, filters, growth, loop=None):
        return ResidualDenseStage(
            [self.conv(growth, loop=loop) for _ in range(3)],
            self.conv(filters, 1, loop=loop),
            dtype=self.dtype_policy,
        )

    def propagate(self, frames, state):
        hidden, _ = state
        x = chain(self.encoder, self.padded(frames) - 0.5)
        x = ops.concatenate([x, hidden], axis=-1)
        levels = []
        for block in self.body:
            x = block(x)
            levels.append(x)
        features = chain(self.gather, ops.concatenate(levels, axis=-1))
        return features, (chain(self.to_hidden, features), ())

    def decode(self, features, frames):
        return super().decode(features, frames) + (0.0 if self.skip else 0.5)

    def hidden_path(self):
        first, *rest = self.body
        # [x_1, ..., x_n] is [x_1, ([x_2, ([x_3, ...] of x_2)] of x_1)].
        levels = ()
        for block in reversed(rest):
            levels = (Beside((block.term(), *levels)),)
        return (
            first.term(start=4 * self.features),
            *levels,
            *(ConvSlice(conv) for conv in self.gather),
            *self.hidden_terms(),
        )

    def get_config(self):
        return super().get_config() | {"blocks": self.blocks}
