"""What the published deblurring networks have in common."""

import keras
from keras import ops

from stablevid_tf.cells.deblurring_cell import DeblurringCell
from stablevid_tf.constraints import conv2d, conv2d_transpose
from stablevid_tf.layers.loop import ConvSlice
from stablevid_tf.layers.residual_stage import ResidualStage
from stablevid_tf.numerics.geometry import check_size


class CodecCell(DeblurringCell):
    """An encoder that makes frames smaller, recurrence there, and a decoder.

    Frames whose sides ``stride`` does not divide are padded at the bottom and at the
    right by repeating the last row and column, and the result is cropped back; states
    are maps of the padded size over ``stride``.

    Args:
        features: the unit of the network's widths.
        skip: add the frame to the output, so that the network predicts what the blur
            took (False, as published: it writes the whole picture). For short
            trainings, which do not learn to write a picture through so small maps;
            without a constraint the network then begins by giving its frame back.
        channels, constraint, **kwargs: see
            :class:`stablevid_tf.cells.RecurrentVideoCell`; scale is 1 and the window
            the network's own.
    """

    # Frames that a step sees, and by how much the encoder makes them smaller.
    window = 1
    stride = 4

    settled = ("scale", "window")

    def __init__(self, features, skip=False, channels=3, constraint=None, **kwargs):
        super().__init__(
            channels=channels,
            scale=1,
            window=type(self).window,
            constraint=constraint,
            **kwargs,
        )
        check_size("features", features)
        self.features = features
        self.skip = skip

    def initial_state(self, frame):
        return self.maps(frame, self.hidden_channels), ()

    def maps(self, frame, channels):
        """Zero maps of a frame's padded size over ``stride``."""
        batch, height, width, _ = ops.shape(frame)
        height, width = -(-height // self.stride), -(-width // self.stride)
        return ops.zeros((batch, height, width, channels), self.compute_dtype)

    def padded(self, frames):
        """Sides made divisible by ``stride``; the last row and column repeated."""
        for axis in (1, 2):
            side = ops.shape(frames)[axis]
            over = -side % self.stride
            if isinstance(over, int) and over == 0:
                continue
            at = ops.minimum(ops.arange(side + over), side - 1)
            frames = ops.take(frames, at, axis=axis)
        return frames

    def cropped(self, restored, frames):
        """Cut to the frames' size, float32; with ``skip`` added to the frame."""
        _, height, width, _ = ops.shape(frames)
        restored = ops.cast(restored[:, :height, :width], "float32")
        if self.skip:
            return restored + ops.cast(self.centre(frames), "float32")
        return restored

    def conv(
        self, filters, kernel_size=3, role="body", loop=None, make=conv2d, **kwargs
    ):
        return make(
            self.constraint,
            filters,
            kernel_size,
            role=role,
            loop=loop,
            dtype=self.dtype_policy,
            **kwargs,
        )

    def doubled(self, filters, kernel_size=3):
        """A transposed convolution that doubles the size."""
        return self.conv(filters, kernel_size, make=conv2d_transpose, strides=2)

    def residual(self, filters, loop=None):
        """``x + K2 * relu(K1 * x)``; ``loop``: as of :meth:`conv`, for K1."""
        return ResidualStage(
            self.conv(filters, loop=loop),
            self.conv(filters, loop=loop and (None, None)),
            dtype=self.dtype_policy,
        )

    def encoder_of_frames(self):
        """Three 5x5 convolutions; the last two halve the size."""
        return [
            self.conv(self.features, 5, role="head"),
            self.conv(2 * self.features, 5, strides=2),
            self.conv(3 * self.features, 5, strides=2),
        ]

    def hidden_net(self):
        """Convolution, residual block, convolution: features to hidden state."""
        loop, width = (None, None), self.hidden_channels
        return [
            self.conv(width, loop=loop),
            self.residual(width, loop=loop),
            self.conv(width, loop=loop),
        ]

    def hidden_terms(self):
        """The terms on the loop of ``to_hidden``: convolution, block, convolution."""
        first, block, last = self.to_hidden
        return ConvSlice(first), block.term(), ConvSlice(last)

    def decode(self, features, frames):
        return self.cropped(chain(self.to_frame, features), frames)

    def decoder(self):
        """Two transposed convolutions that double the size, and one that writes."""
        return [
            self.doubled(2 * self.features),
            self.doubled(self.features),
            self.writer(5),
        ]

    def writer(self, kernel_size):
        """The last convolution, which writes the picture, or what is added to it."""
        # Added, it begins near 0: untrained, the network gives its frame back. Else
        # Adam silences the features first, to be rid of what they add, and learns
        # nothing for long.
        small = keras.initializers.VarianceScaling(1e-6)
        start = small if self.skip else "glorot_uniform"
        return self.conv(
            self.channels, kernel_size, role="tail", kernel_initializer=start
        )

    def get_config(self):
        return super().get_config() | {"features": self.features, "skip": self.skip}


def chain(layers, x):
    """``x`` through one layer after the other."""
    for layer in layers:
        x = layer(x)
    return x
