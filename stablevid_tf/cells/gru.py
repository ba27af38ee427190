import keras
from keras import ops

from stablevid_tf.cells.codec_cell import CodecCell, chain
from stablevid_tf.layers.loop import ConvSlice, Unbounded


@keras.saving.register_keras_serializable(package="stablevid_tf")
class GRU(CodecCell):
    """Convolutional GRU for deblurring, the control of RIRN.

    ::

        x = encoder(frame(t))
        z, r = sigmoid(K * [x, h(t-1)])
        g = tanh(K_g * [x, r h(t-1)])
        f(t) = (1 - z) x + z g
        h(t) = K * block(K * f(t))
        restored(t) = decoder(f(t))

    Encoder, decoder and the way to h as :class:`stablevid_tf.cells.IFIRNN`, without
    its residual blocks; ``K`` and ``K_g`` are 5x5; z has 3u channels, r has u. Source:
    Park et al., "Recurrence-in-Recurrence Networks for Video Deblurring", table S2.
    The table does not say what f is made of (here the encoder's features, updated by
    the candidate), what h is made from (here f), nor the decoder's input (here f, 60
    channels): our guess. 413,803 parameters so; the paper gives no number.

    Its loop has no gain bound: gates that depend on the state multiply it.

    Args:
        features: u, the unit of the widths (20).
        skip: add the frame to the output (False, as published).
        channels, constraint, **kwargs: see
            :class:`stablevid_tf.cells.RecurrentVideoCell`.

    Call arguments:
        frames: [B, H, W, channels] in [0, 1], of any size.
        state: ``(h, ())``, h [B, ceil(H / 4), ceil(W / 4), u].

    Example:
        >>> from stablevid_tf import models
        >>> models.build("gru").count_params()
        413803
    """

    paper = "Park et al., Recurrence-in-Recurrence Networks for Video Deblurring, 2021"

    def __init__(self, features=20, **kwargs):
        super().__init__(features, **kwargs)
        self.hidden_channels = features
        self.features_channels = 3 * features
        self.encoder = self.encoder_of_frames()
        self.gates = self.conv(4 * features, 5)
        self.candidate = self.conv(3 * features, 5)
        self.to_hidden = self.hidden_net()
        self.to_frame = self.decoder()

    def propagate(self, frames, state):
        hidden, _ = state
        x = chain(self.encoder, self.padded(frames))
        gates = ops.sigmoid(self.gates(ops.concatenate([x, hidden], axis=-1)))
        update, reset = ops.split(gates, [3 * self.features], axis=-1)
        kept = reset * ops.cast(hidden, reset.dtype)
        candidate = ops.tanh(self.candidate(ops.concatenate([x, kept], axis=-1)))
        features = (1 - update) * x + update * candidate
        return features, (chain(self.to_hidden, features), ())

    def hidden_path(self):
        return (
            ConvSlice(self.gates, 3 * self.features),
            Unbounded(
                "the reset gate multiplies the state by a function of the state, and "
                "such a product enlarges differences the more the larger the state is"
            ),
            *self.hidden_terms(),
        )
