import keras
from keras import ops

from stablevid_tf.cells.fnet import FNet
from stablevid_tf.cells.recurrent_video_cell import RecurrentVideoCell
from stablevid_tf.constraints import conv2d, conv2d_transpose
from stablevid_tf.layers import bicubic, bilinear
from stablevid_tf.layers.flow_warp import FlowWarp
from stablevid_tf.layers.loop import ConvSlice, Loop, Warp
from stablevid_tf.layers.pixel_shuffle import space_to_depth
from stablevid_tf.layers.residual_stage import ResidualStage
from stablevid_tf.numerics.geometry import check_size


@keras.saving.register_keras_serializable(package="stablevid_tf")
class FRVSR(RecurrentVideoCell):
    """FRVSR: the previous output, warped to the current frame, is seen again.

    ::

        flow(t) = FNet(x(t-1), x(t))
        w(t)    = warp(y(t-1), s * enlarge(flow(t)))         at the output's size
        z       = relu(K_in * [x(t), space_to_depth(w(t))])
        z       = z + K2 * relu(K1 * z)                      in every block
        z       = relu(K_up *^T z), twice                    at scale 4 only
        y(t)    = K_out * z + bicubic(x(t))

    Source: Sajjadi et al., "Frame-Recurrent Video Super-Resolution", 2018. At scale 1
    it is the denoiser of Tanay et al. (2,489,317 parameters): no transposed
    convolutions, and the frame itself is added (our guess). The warp is bilinear and
    takes the nearest pixel outside.

    The state is ``(x(t-1), y(t-1))``, zero at first; the first flow moves zeros.

    Training: besides the loss on its output the network needs one on its flow, the mean
    squared error between ``x(t)`` and ``warp(x(t-1), flow(t))``. In training, flows of
    all pairs of frames are computed at once, before the time loop, and this error,
    times ``warp_loss``, is added to the model's losses (``add_loss``), so that
    ``model.fit`` minimises both; ``evaluate`` and inference compute flows frame by
    frame, in bounded memory, and add nothing.

    One loop, through the warp; with a bound in the infinity norm alone. The flow
    depends on frames, so on no state but the frame before, which every state has seen.

    Args:
        features: channels inside.
        blocks: residual blocks.
        flow_features: of :class:`FNet`.
        warp_loss: weight of the flow's own loss; 0 for none.
        scale: 4 or 1.
        constraint: not ``where="loop"``, which holds spectral norms.
        **kwargs: see :class:`RecurrentVideoCell`.
    """

    paper = "Sajjadi et al., Frame-Recurrent Video Super-Resolution, 2018"
    task = "super-resolution"
    settled = ("window",)

    def __init__(
        self,
        features=64,
        blocks=10,
        flow_features=32,
        warp_loss=1.0,
        scale=4,
        **kwargs,
    ):
        super().__init__(scale=scale, **kwargs)
        if scale not in (1, 4) or self.window != 1:
            raise ValueError(
                "FRVSR restores at scale 4 or 1 and sees one frame. Received: "
                f"scale={scale}, window={self.window}"
            )
        check_size("features", features)
        check_size("blocks", blocks)
        if not warp_loss >= 0:
            raise ValueError(
                "warp_loss is a weight, 0 or more, 1 in the paper. "
                f"Received: {warp_loss!r}"
            )
        self.features = features
        self.blocks = blocks
        self.flow_features = flow_features
        self.warp_loss = float(warp_loss)
        self.flow = FNet(flow_features, self.constraint, dtype=self.dtype_policy)
        self.warp = FlowWarp("border", dtype=self.dtype_policy)
        self.head = self._conv(features, "head", (self.inputs, None))
        self.body = [
            ResidualStage(
                self._conv(features), self._conv(features), dtype=self.dtype_policy
            )
            for _ in range(blocks)
        ]
        self.up = [
            self._conv(features, make=conv2d_transpose, strides=2, activation="relu")
            for _ in range(2 if scale == 4 else 0)
        ]
        self.tail = self._conv(self.channels, "tail")

    def _conv(self, filters, role="body", loop=(None, None), make=conv2d, **kwargs):
        return make(
            self.constraint,
            filters,
            role=role,
            loop=loop,
            dtype=self.dtype_policy,
            **kwargs,
        )

    def initial_state(self, frame):
        batch, height, width, _ = ops.shape(frame)
        shape = (batch, self.scale * height, self.scale * width, self.channels)
        # Both are images: float32 whatever the policy.
        before = ops.zeros((batch, height, width, self.channels), "float32")
        return before, ops.zeros(shape, "float32")

    def ahead(self, frames, state):
        """The flow of every frame, [B, T, H, W, 2]; adds the flow's loss."""
        before = ops.concatenate([state[0][:, None], frames[:, :-1]], axis=1)
        batch, time, *image = ops.shape(frames)
        before, after = (
            ops.reshape(x, (batch * time, *image)) for x in (before, frames)
        )
        flow = self.flow(before, after)
        if self.warp_loss:
            error = (self.warp(before, flow) - after) ** 2
            # Before a clip's first frame lies none of the clip.
            error = ops.reshape(error, (batch, time, *image))[:, 1:]
            count = ops.cast(ops.maximum(ops.size(error), 1), "float32")
            self.add_loss(self.warp_loss * ops.sum(error) / count)
        return (ops.reshape(flow, (batch, time, *image[:2], 2)),)

    def call(self, frames, state, flow=None):
        before, output = state
        frame = ops.cast(self.centre(frames), "float32")
        if flow is None:
            flow = self.flow(before, frame)
        flow = self.scale * bilinear.enlarge(flow, self.scale)
        warped = space_to_depth(self.warp(output, flow), self.scale)
        x = ops.concatenate([ops.cast(frames, "float32"), warped], axis=-1)
        x = ops.relu(self.head(x))
        for block in self.body:
            x = block(x)
        for conv in self.up:
            x = conv(x)
        detail = ops.cast(self.tail(x), "float32")
        restored = detail + bicubic.enlarge(frame, self.scale)
        return restored, (frame, restored)

    def loops(self):
        path = [block.term() for block in self.body]
        path += [ConvSlice(conv) for conv in (*self.up, self.tail)]
        # Space-to-depth moves numbers about: gain 1.
        entry = ConvSlice(self.head, start=self.inputs)
        return [Loop("frvsr", entry, (*path, Warp()))]

    def get_config(self):
        return super().get_config() | {
            "features": self.features,
            "blocks": self.blocks,
            "flow_features": self.flow_features,
            "warp_loss": self.warp_loss,
        }
