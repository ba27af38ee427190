import math

import keras
from keras import ops

from stablevid_tf.cells.window_network import WindowNetwork
from stablevid_tf.constraints import conv2d
from stablevid_tf.layers.pixel_shuffle import depth_to_space
from stablevid_tf.layers.weight_norm import WeightNorm
from stablevid_tf.layers.wide_activation import WideActivation
from stablevid_tf.numerics.geometry import check_size


@keras.saving.register_keras_serializable(package="stablevid_tf")
class WDVR2D(WindowNetwork):
    """WDVR with 2D convolutions: wide activations on a window of stacked frames.

    ::

        x = frames - 0.5                                    window * channels
        y = blocks(K_head * x)
        restored = depth_to_space(K_tail * y + K_skip * x) + 0.5

    ``K_skip`` is 5x5, the others 3x3; a block is ``y + K_2 * relu(K_1 * y) /
    sqrt(blocks)`` (:class:`stablevid_tf.layers.WideActivation`). Every convolution is
    weight-normalised. Source: Fan et al., figures 2 and 3; the blocks' scale and the
    skip's size are those of the authors' repository. With 5 frames, scale 4: 1,218,480
    parameters and 2,688 gains. The challenge's models are deeper (64 layers), with 64
    features and 256 activations, and average over flips and rotations
    (``models.self_ensemble``).

    The order of channels before depth-to-space is TensorFlow's.

    Args:
        features: channels between blocks.
        blocks: residual blocks.
        activations: channels where a block's ReLU acts.
        window: frames seen, centred: 1, 3, 5 or 7.
        scale: 1, 2 or 4.
        weight_norm: False for plain convolutions, as a folded model has them.
        constraint: its convolutions take the place of weight-normalised ones.
        **kwargs: see :class:`WindowNetwork`.

    Raises:
        ValueError: an argument outside these ranges.
    """

    paper = (
        "Fan et al., An Empirical Investigation of Efficient "
        "Spatio-Temporal Modeling in Video Restoration, 2019"
    )
    task = "super-resolution"

    def __init__(
        self,
        features=32,
        blocks=16,
        activations=128,
        window=5,
        scale=4,
        weight_norm=True,
        **kwargs,
    ):
        super().__init__(window=window, scale=scale, **kwargs)
        check_scale(scale)
        if window not in (1, 3, 5, 7):
            raise ValueError(
                f"wdvr2d sees 1, 3, 5 or 7 frames. Received: window={window!r}"
            )
        sizes = {"features": features, "blocks": blocks, "activations": activations}
        for name, size in sizes.items():
            check_size(name, size)
        self.features = features
        self.blocks = blocks
        self.activations = activations
        self.weight_norm = weight_norm
        images = self.channels * scale**2
        self.head = self._conv(features, role="head")
        self.body = [
            WideActivation(
                [self._conv(activations)],
                self._conv(features),
                scale=1 / math.sqrt(blocks),
                dtype=self.dtype_policy,
            )
            for _ in range(blocks)
        ]
        self.tail = self._conv(images, role="tail")
        # float32 whatever the policy: what sees the frames alone rounds nothing.
        self.skip = self._conv(images, 5, role="tail", dtype="float32")

    def _conv(self, filters, kernel_size=3, role="body", dtype=None):
        dtype = dtype or self.dtype_policy
        conv = conv2d(self.constraint, filters, kernel_size, role=role, dtype=dtype)
        plain = type(conv) is keras.layers.Conv2D
        return WeightNorm(conv) if plain and self.weight_norm else conv

    def call(self, frames, state):
        x = ops.cast(frames, "float32") - 0.5
        y = self.head(x)
        for block in self.body:
            y = block(y)
        out = ops.cast(self.tail(y), "float32") + self.skip(x)
        return depth_to_space(out, self.scale) + 0.5, state

    def get_config(self):
        return super().get_config() | {
            "features": self.features,
            "blocks": self.blocks,
            "activations": self.activations,
            "weight_norm": self.weight_norm,
        }


def check_scale(scale):
    """Raise unless WDVR restores at ``scale``."""
    if scale not in (1, 2, 4):
        raise ValueError(f"WDVR restores at scale 1, 2 or 4. Received: {scale!r}")
