import keras
from keras import ops

from stablevid_tf.cells.codec_cell import CodecCell, chain
from stablevid_tf.numerics.geometry import check_size


@keras.saving.register_keras_serializable(package="stablevid_tf")
class IFIRNN(CodecCell):
    """IFI-RNN, C1H1 (one cell, one hidden update), for deblurring.

    ::

        f(t) = blocks([encoder(frame(t)), h(t-1)])
        h(t) = K * block(K * f(t))
        restored(t) = decoder(f(t))

    With u = ``features``: the encoder is three 5x5 convolutions 3 -> u -> 2u -> 3u,
    the last two with stride 2; h has u channels, f 4u; six residual blocks; the
    decoder two transposed 3x3 convolutions with stride 2, 4u -> 2u -> u, and a 5x5
    convolution. No activation but in the blocks, no skip from the frame. 836,623
    parameters. Source: Nah et al., "Recurrent Neural Networks with Intra-Frame
    Iterations for Video Deblurring", 2019, as Park et al. (RIRN) use it.

    Its loop: the blocks, then the three layers of the hidden state.

    Args:
        features: u, the unit of the widths (20).
        blocks: residual blocks (6).
        skip: add the frame to the output (False, as published).
        channels, constraint, **kwargs: see
            :class:`stablevid_tf.cells.RecurrentVideoCell`.

    Call arguments:
        frames: [B, H, W, channels] in [0, 1], of any size (see
            :class:`stablevid_tf.cells.codec_cell.CodecCell`).
        state: ``(h, ())``, h [B, ceil(H / 4), ceil(W / 4), u].

    Example:
        >>> from stablevid_tf import models
        >>> models.build("ifi_rnn").count_params()
        836623
    """

    paper = (
        "Nah et al., Recurrent Neural Networks with Intra-Frame Iterations for Video "
        "Deblurring, 2019"
    )

    def __init__(self, features=20, blocks=6, **kwargs):
        super().__init__(features, **kwargs)
        check_size("blocks", blocks)
        self.blocks = blocks
        self.hidden_channels = features
        self.features_channels = 4 * features
        self.encoder = self.encoder_of_frames()
        self.body = [
            self.residual(4 * features, loop=(None if i else 3 * features, None))
            for i in range(blocks)
        ]
        self.to_hidden = self.hidden_net()
        self.to_frame = self.decoder()

    def propagate(self, frames, state):
        hidden, _ = state
        x = chain(self.encoder, self.padded(frames))
        features = chain(self.body, ops.concatenate([x, hidden], axis=-1))
        return features, (chain(self.to_hidden, features), ())

    def hidden_path(self):
        first, *rest = self.body
        return (
            first.term(start=3 * self.features),
            *(block.term() for block in rest),
            *self.hidden_terms(),
        )

    def get_config(self):
        return super().get_config() | {"blocks": self.blocks}
