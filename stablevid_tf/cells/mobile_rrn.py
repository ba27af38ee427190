import keras
from keras import ops

from stablevid_tf.cells.recurrent_video_cell import RecurrentVideoCell
from stablevid_tf.constraints import conv2d
from stablevid_tf.layers.bilinear import enlarge
from stablevid_tf.layers.loop import ConvSlice, Loop
from stablevid_tf.layers.pixel_shuffle import depth_to_space
from stablevid_tf.layers.residual_stage import ResidualStage
from stablevid_tf.numerics.geometry import check_size


@keras.saving.register_keras_serializable(package="stablevid_tf")
class MobileRRN(RecurrentVideoCell):
    """Mobile RRN: a recurrent residual network for phones, super-resolution by 4.

    ::

        x     = relu(K_in * [frame(t-1), frame(t), h(t-1)])
        x     = x + K2_i relu(K1_i * x)                          residual blocks
        h(t)  = relu(K_h * x)
        y(t)  = depth_to_space(K_y * x) + bilinear(frame(t))

    Values are 0...255 inside. The state is ``(h, frame(t-1))``, zero at first. Source:
    MediaTek, baseline of the Mobile AI 2022 video super-resolution challenge, after
    Isobe et al., "Revisiting Temporal Modeling for Video Super-resolution". A zero
    frame before the first is our guess.

    Its one loop: the slice of ``K_in`` that sees h, the blocks, ``K_h``. The frame
    before is input: it is remembered for one frame and not fed back.

    Args:
        features: channels inside, of the hidden state too.
        blocks: residual blocks.
        constraint, **kwargs: see :class:`RecurrentVideoCell`.
    """

    paper = "MediaTek, Mobile RRN, 2022"
    task = "super-resolution"

    settled = ("scale", "window")

    def __init__(self, features=16, blocks=5, constraint=None, **kwargs):
        kwargs = {"scale": 4, "window": 1, **kwargs}
        super().__init__(constraint=constraint, **kwargs)
        if (self.scale, self.window) != (4, 1):
            raise ValueError(
                "Mobile RRN enlarges by 4 and sees the frame and the one before. "
                f"Received: scale={self.scale}, window={self.window}"
            )
        check_size("features", features)
        check_size("blocks", blocks)
        self.features = features
        self.blocks = blocks
        whole = (None, None)
        self.head = self._conv(features, "head", (self._entry(), None))
        self.body = [
            ResidualStage(
                self._conv(features, "body", whole),
                self._conv(features, "body", whole),
                dtype=self.dtype_policy,
            )
            for _ in range(blocks)
        ]
        self.hidden = self._conv(features, "body", whole)
        self.tail = self._conv(self.channels * self.scale**2, "tail", None)

    def _conv(self, filters, role, loop):
        return conv2d(
            self.constraint, filters, role=role, loop=loop, dtype=self.dtype_policy
        )

    def _entry(self):
        """Channels that the first convolution sees before the hidden state."""
        return self.channels + self.inputs

    def initial_state(self, frame):
        previous = ops.cast(self.zeros(frame, self.channels), "float32")
        return self.zeros(frame, self.features), previous

    def call(self, frames, state):
        hidden, previous = state
        frame = ops.cast(self.centre(frames), "float32")
        seen = [255.0 * previous, self.levels(frames), hidden]
        seen = [ops.cast(x, self.compute_dtype) for x in seen]
        x = ops.relu(self.head(ops.concatenate(seen, axis=-1)))
        for stage in self.body:
            x = stage(x)
        detail = depth_to_space(ops.cast(self.tail(x), "float32"), self.scale)
        restored = detail / 255.0 + enlarge(frame, self.scale)
        return restored, (ops.relu(self.hidden(x)), frame)

    def loops(self):
        blocks = [stage.term() for stage in self.body]
        entry = ConvSlice(self.head, self._entry())
        return [Loop("hidden", entry, (*blocks, ConvSlice(self.hidden)))]

    def get_config(self):
        return super().get_config() | {"features": self.features, "blocks": self.blocks}
