import keras

from stablevid_tf.layers.near_zero import near_zero
from stablevid_tf.layers.pixel_shuffle import depth_to_space
from stablevid_tf.layers.residual_stage import ResidualStage


@keras.saving.register_keras_serializable(package="stablevid_tf")
class UStage(keras.layers.Layer):
    """Residual blocks at several resolutions: a small U-Net without head and tail.

    ```
    e_0 = blocks_0(x);    e_l = blocks_l(down_l * e_(l-1))
    d_l = blocks'_l(e_l + depth_to_space(up_l * d_(l+1)));    y = d_0
    ```

    `down` halves the size by a 2x2 convolution with stride 2, `up` is a 1x1
    convolution followed by sub-pixel shuffling; a block is `x + K2 * relu(K1 * x)`.
    Additive skips as in Tassano et al., "FastDVDnet", 2020; widths that grow where
    maps shrink as in Ronneberger et al., "U-Net", 2015.

    Every branch that is added (`K2`, `up`) starts near zero. Otherwise the coarse
    levels, which disturb the output of an untrained network, are switched off in the
    first steps of training, and stay so.

    Args:
        widths: channels at each resolution, finest first.
        blocks: residual blocks at each resolution, on the way down and (but for the
            coarsest) again on the way up.
        conv: makes a convolution: a function of `(filters, kernel_size, **kwargs)`.

    Call arguments:
        x: [B, H, W, widths[0]]; `2^(len(widths) - 1)` divides H and W.

    Output shape:
        [B, H, W, widths[0]].
    """

    def __init__(self, widths, blocks, conv, **kwargs):
        super().__init__(**kwargs)
        self.widths = tuple(widths)
        self.blocks = tuple(blocks)

        def residual(width, count):
            return [
                ResidualStage(
                    conv(width, 3),
                    conv(width, 3, kernel_initializer=near_zero()),
                    dtype=self.dtype_policy,
                )
                for _ in range(count)
            ]

        sizes = list(zip(self.widths, self.blocks, strict=True))
        self.encoders = [residual(*size) for size in sizes]
        self.decoders = [residual(*size) for size in sizes[:-1]]
        self.downs = [conv(width, 2, strides=2) for width in self.widths[1:]]
        self.ups = [
            conv(4 * width, 1, kernel_initializer=near_zero())
            for width in self.widths[:-1]
        ]

    def build(self, x_shape):
        space = (None, None, None)
        for level, width in enumerate(self.widths):
            for block in [
                *self.encoders[level],
                *(self.decoders[level] if level < len(self.decoders) else []),
            ]:
                block.build((*space, width))
        for conv, width in (
            *zip(self.downs, self.widths, strict=False),
            *zip(self.ups, self.widths[1:], strict=True),
        ):
            # A convolution read from a file comes built.
            if not conv.built:
                conv.build((*space, width))

    def call(self, x):
        skips = []
        for level, encoder in enumerate(self.encoders):
            if level:
                x = self.downs[level - 1](x)
            for block in encoder:
                x = block(x)
            skips.append(x)
        for level in reversed(range(len(self.ups))):
            x = skips[level] + depth_to_space(self.ups[level](x), 2)
            for block in self.decoders[level]:
                x = block(x)
        return x

    @property
    def convs(self):
        """The convolutions, in the order in which `conv` made them."""
        stages = [*self.encoders, *self.decoders]
        blocks = [conv for stage in stages for block in stage for conv in block.convs]
        return [*blocks, *self.downs, *self.ups]

    def get_config(self):
        serialize = keras.saving.serialize_keras_object
        return super().get_config() | {
            "widths": self.widths,
            "blocks": self.blocks,
            "convs": [serialize(conv) for conv in self.convs],
        }

    @classmethod
    def from_config(cls, config):
        config = dict(config)
        convs = map(keras.saving.deserialize_keras_object, config.pop("convs"))
        return cls(conv=lambda *_, **__: next(convs), **config)
