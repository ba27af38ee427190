import keras
from keras import ops

from stablevid_tf.cells.codec_cell import CodecCell, chain
from stablevid_tf.layers.loop import ConvSlice, Unbounded


@keras.saving.register_keras_serializable(package="stablevid_tf")
class LSTM(CodecCell):
    """Convolutional LSTM for deblurring, the control of RIRN.

    ::

        F, I, O = sigmoid(K * [encoder(frame(t)), h(t-1)]), G = tanh(the same)
        c(t) = F c(t-1) + I G
        h(t) = O tanh(c(t))
        f(t) = [F c(t-1), I G, h(t)]
        restored(t) = decoder(f(t))

    Encoder and decoder as :class:`stablevid_tf.cells.IFIRNN`, without its residual
    blocks; ``K`` is 5x5 and gives F, G, O, I of u channels each, in this order. Source:
    Park et al., "Recurrence-in-Recurrence Networks for Video Deblurring", table S1,
    whose activations of "input" and "reset" look swapped: sigmoid for the gates and
    tanh for the candidate are meant. The table does not say how four times 20 channels
    give f of 60 (here what is kept, what is new and what is shown), nor where c lives
    (here in the state's memory), nor the decoder's input (here f): our guess. 272,063
    parameters so; the paper gives no number.

    Its loop has no gain bound: gates that depend on the state multiply it.

    Args:
        features: u, the unit of the widths (20).
        skip: add the frame to the output (False, as published).
        channels, constraint, **kwargs: see
            :class:`stablevid_tf.cells.RecurrentVideoCell`.

    Call arguments:
        frames: [B, H, W, channels] in [0, 1], of any size.
        state: ``(h, c)``, both [B, ceil(H / 4), ceil(W / 4), u].

    Example:
        >>> from stablevid_tf import models
        >>> models.build("lstm").count_params()
        272063
    """

    paper = "Park et al., Recurrence-in-Recurrence Networks for Video Deblurring, 2021"

    def __init__(self, features=20, **kwargs):
        super().__init__(features, **kwargs)
        self.hidden_channels = features
        self.features_channels = 3 * features
        self.encoder = self.encoder_of_frames()
        self.gates = self.conv(4 * features, 5)
        self.to_frame = self.decoder()

    def initial_state(self, frame):
        return tuple(self.maps(frame, self.features) for _ in ("h", "c"))

    def propagate(self, frames, state):
        hidden, memory = state
        x = chain(self.encoder, self.padded(frames))
        gates = self.gates(ops.concatenate([x, hidden], axis=-1))
        forget, new, show, take = ops.split(gates, 4, axis=-1)
        kept = ops.sigmoid(forget) * ops.cast(memory, gates.dtype)
        new = ops.sigmoid(take) * ops.tanh(new)
        memory = kept + new
        hidden = ops.sigmoid(show) * ops.tanh(memory)
        features = ops.concatenate([kept, new, hidden], axis=-1)
        return features, (hidden, memory)

    def hidden_path(self):
        return (
            ConvSlice(self.gates, 3 * self.features),
            Unbounded(
                "the forget gate multiplies the cell state by a function of the hidden "
                "one, and such a product enlarges differences the more the larger the "
                "cell state is"
            ),
        )
