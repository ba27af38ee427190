import keras
from keras import ops

from stablevid_tf import backend
from stablevid_tf.cells.pyramid_flow import PyramidFlow
from stablevid_tf.cells.recurrent_video_cell import RecurrentVideoCell, counted
from stablevid_tf.constraints import conv2d
from stablevid_tf.layers import bilinear
from stablevid_tf.layers.flow_warp import FlowWarp
from stablevid_tf.layers.loop import ConvSlice, Loop, Warp
from stablevid_tf.layers.pixel_shuffle import depth_to_space
from stablevid_tf.layers.residual_stage import ResidualStage
from stablevid_tf.numerics.geometry import check_size

_SLOPE = 0.1  # of LeakyReLU


@keras.saving.register_keras_serializable(package="stablevid_tf")
class BasicVSR(RecurrentVideoCell):
    """BasicVSR, super-resolution by 4: features aligned by flow, run both ways.

    ::

        b(t) = trunk_b([x(t), warp(b(t+1), flow(x(t), x(t+1)))])    backwards in time
        f(t) = trunk_f([x(t), warp(f(t-1), flow(x(t), x(t-1)))])    forwards
        z    = lrelu(K_1x1 * [b(t), f(t)])
        z    = lrelu(shuffle(K_up * z)), twice
        y(t) = K_out * lrelu(K_hr * z) + bilinear(x(t))

    Each trunk is ``lrelu(K *)`` and ``blocks`` residual blocks, whose kernels start at
    a tenth of the usual size. The warp is bilinear, zeros lie outside; what enters
    the first frame of each direction is zero. Flows are :class:`PyramidFlow`'s, of all
    pairs of frames at once. Source: Chan et al., "BasicVSR: The Search for Essential
    Components in Video Super-Resolution and Beyond", 2021.

    A clip network, not a cell: there is no ``step``.

    Two loops, one each way, through the warp: with a bound in the infinity norm alone.

    Call arguments:
        frames: [B, T, H, W, 3] RGB in [0, 1].

    Output shape:
        [B, T, 4 H, 4 W, 3].

    Args:
        features: channels inside.
        blocks: residual blocks of each trunk.
        levels: of the flow's pyramid.
        constraint: not ``where="loop"``, which holds spectral norms.
        **kwargs: see :class:`RecurrentVideoCell`.
    """

    causal = False
    paper = (
        "Chan et al., BasicVSR: The Search for Essential Components in Video "
        "Super-Resolution and Beyond, 2021"
    )
    task = "super-resolution"
    settled = ("channels", "scale", "window")

    def __init__(self, features=64, blocks=30, levels=6, **kwargs):
        super().__init__(**{"scale": 4, **kwargs})
        if (self.channels, self.scale, self.window) != (3, 4, 1):
            raise ValueError(
                "BasicVSR enlarges RGB by 4 and sees single frames. Received: "
                f"channels={self.channels}, scale={self.scale}, window={self.window}"
            )
        check_size("features", features)
        check_size("blocks", blocks)
        self.features = features
        self.blocks = blocks
        self.levels = levels
        self.flow = PyramidFlow(levels, self.constraint, dtype=self.dtype_policy)
        self.warp = FlowWarp("zeros", dtype=self.dtype_policy)
        self.backward_body = self._trunk()
        self.forward_body = self._trunk()
        self.fusion = self._conv(features, kernel_size=1)
        self.up = [self._conv(4 * features) for _ in range(2)]
        self.last = self._conv(features)
        self.tail = self._conv(self.channels, role="tail")

    def _conv(self, filters, kernel_size=3, role="body", **kwargs):
        return conv2d(
            self.constraint,
            filters,
            kernel_size,
            role=role,
            dtype=self.dtype_policy,
            **kwargs,
        )

    def _trunk(self):
        """The convolution that sees the frame, then the residual blocks."""
        whole = (None, None)
        head = self._conv(self.features, role="head", loop=(self.inputs, None))
        return [head, *(self._block(loop=whole) for _ in range(self.blocks))]

    def _block(self, loop):
        # He's normal distribution times 0.1: variance 2 / fan_in / 100.
        convs = (
            self._conv(
                self.features,
                loop=loop,
                kernel_initializer=keras.initializers.VarianceScaling(
                    0.02, "fan_in", "untruncated_normal"
                ),
            )
            for _ in range(2)
        )
        return ResidualStage(*convs, dtype=self.dtype_policy)

    def build_by_call(self):
        self.compute_output_spec(keras.KerasTensor((1, 2, 8, 8, self.channels)))
        self.built = True

    def call(self, frames):
        return self._restore(self.numbered_clip(ops.cast(frames, "float32")))

    def restore_from(self, frames, states, training=False):
        forward, backward = states
        seen = self.numbered_clip(ops.cast(frames, "float32"), forward["number"])
        return self._restore(seen, forward, backward)

    def _restore(self, seen, before=None, behind=None):
        seen = ops.moveaxis(seen, 1, 0)
        forward = self._along(self.forward_body, seen, before)
        backward = self._along(self.backward_body, ops.flip(seen, axis=0), behind)
        joined = ops.concatenate([ops.flip(backward, axis=0), forward], axis=-1)
        _, restored = backend.scan(self._write, (), (joined, seen))
        return ops.moveaxis(restored, 0, 1)

    def _along(self, body, seen, state=None):
        """A trunk's features at every frame, [T, B, H, W, features]."""

        def step(previous, at):
            frame, flow = at
            x = self._next(body, frame, flow, previous)
            return x, x

        images = seen[..., : self.channels]
        if state is None:
            # The first flow moves zeros, whatever it is; and no batch is empty.
            state = self.start(images[0])
        flows = self._flows(images, state["frame"])
        return backend.scan(step, state["features"], (seen, flows))[1]

    def _next(self, body, frame, flow, previous):
        """A trunk's features at a frame, from those at the one it comes from."""
        head, *blocks = body
        x = ops.concatenate([frame, self.warp(previous, flow)], axis=-1)
        x = ops.leaky_relu(head(x), _SLOPE)
        for block in blocks:
            x = block(x)
        return x

    def start(self, frame, number=0):
        """What either trunk begins with; ``number``: that of the frame before."""
        return {
            "features": self.zeros(frame, self.features),
            "frame": ops.cast(frame, "float32"),
            "number": counted(frame, number),
        }

    def ways(self):
        def step_of(body, move):
            def step(frames, state):
                frames = ops.cast(frames, "float32")
                flow = self.flow(frames, state["frame"])
                number = state["number"] + move
                seen = self.numbered(frames, number)
                features = self._next(body, seen, flow, state["features"])
                return {"features": features, "frame": frames, "number": number}

            return step

        return [
            (self.start, step_of(self.forward_body, 1), False),
            (self.start, step_of(self.backward_body, -1), True),
        ]

    def _flows(self, seen, first):
        """From each frame to the one before it; ``first``: before the first."""
        before = ops.concatenate([first[None], seen[:-1]], axis=0)
        time, batch, *image = ops.shape(seen)
        pairs = (ops.reshape(x, (time * batch, *image)) for x in (seen, before))
        return ops.reshape(self.flow(*pairs), (time, batch, *image[:-1], 2))

    def _write(self, state, at):
        features, frame = at
        x = ops.leaky_relu(self.fusion(features), _SLOPE)
        for conv in self.up:
            x = ops.leaky_relu(depth_to_space(conv(x), 2), _SLOPE)
        x = self.tail(ops.leaky_relu(self.last(x), _SLOPE))
        frame = bilinear.enlarge(self.centre(frame), self.scale)
        return state, ops.cast(x, "float32") + frame

    def loops(self):
        found = []
        ways = (("forward", self.forward_body), ("backward", self.backward_body))
        for name, (head, *blocks) in ways:
            path = [block.term() for block in blocks]
            entry = ConvSlice(head, start=self.inputs)
            found.append(Loop(name, entry, (*path, Warp())))
        return found

    def get_config(self):
        return super().get_config() | {
            "features": self.features,
            "blocks": self.blocks,
            "levels": self.levels,
        }
