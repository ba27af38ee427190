"""The denoiser that FastDVDnet is made of."""

import keras
from keras import ops

from stablevid_tf.layers.pixel_shuffle import depth_to_space


class ThreeFrameUNet(keras.layers.Layer):
    """A U-net that denoises the middle one of three frames.

    With ``N(K * x)`` a convolution without bias, batch normalisation and ReLU::

        x0 = N * [N * (frame, map) of each of the three]            features
        x1 = N * N * N_2 * x0                     half the size,  2 features
        x2 = N * N * N_2 * x1                     a quarter,      4 features
        x1 = x1 + shuffle(K * N * N * x2)
        x0 = x0 + shuffle(K * N * N * x1)
        restored = frame - K * N * x0

    ``N_2`` has stride 2 and sees one pixel before the first (padding 1, as the source
    has it). Source: Tassano et al., "FastDVDnet", figure 2 and the authors' repository;
    normalisation's momentum 0.9 and epsilon 1e-5 are those of the framework it uses.

    Args:
        conv: ``conv(filters, role, **kwargs)`` makes a convolution layer.
        features: channels at full size.
        frame_features: channels that each frame gets by itself.
        channels: of a frame.

    Call arguments:
        frames: three times [B, H, W, channels], float32; 4 divides H and W.
        noise: [B, H, W, 1], the noise level.

    Output shape:
        [B, H, W, channels], float32.
    """

    def __init__(self, conv, features, frame_features, channels, **kwargs):
        super().__init__(autocast=False, **kwargs)

        def unit(filters, role="body", **kwargs):
            norm = keras.layers.BatchNormalization(
                momentum=0.9, epsilon=1e-5, dtype=self.dtype_policy
            )
            return [conv(filters, role, **kwargs), norm]

        def down(filters):
            first = unit(filters, strides=2, padding="valid")
            return [first, unit(filters), unit(filters)]

        def up(filters):
            return [unit(2 * filters), unit(2 * filters)], conv(4 * filters, "body")

        self.frames = [unit(frame_features, "head") for _ in range(3)]
        self.joined = unit(features)
        self.down1, self.down2 = down(2 * features), down(4 * features)
        self.up2, self.shuffled2 = up(2 * features)
        self.up1, self.shuffled1 = up(features)
        self.last = unit(features)
        self.tail = conv(channels, "tail")

    def call(self, frames, noise):
        each = [
            _through(ops.concatenate([frame, noise], axis=-1), [unit])
            for frame, unit in zip(frames, self.frames, strict=True)
        ]
        x0 = _through(ops.concatenate(each, axis=-1), [self.joined])
        x1 = _through(_before(x0), self.down1)
        x2 = _through(_before(x1), self.down2)
        x1 = x1 + depth_to_space(self.shuffled2(_through(x2, self.up2)), 2)
        x0 = x0 + depth_to_space(self.shuffled1(_through(x1, self.up1)), 2)
        found = self.tail(_through(x0, [self.last]))
        return ops.cast(frames[1], "float32") - ops.cast(found, "float32")


def _through(x, units):
    for conv, norm in units:
        x = ops.relu(norm(conv(x)))
    return x


def _before(x):
    """One row and one column of zeros before the first."""
    return ops.pad(x, ((0, 0), (1, 0), (1, 0), (0, 0)))
