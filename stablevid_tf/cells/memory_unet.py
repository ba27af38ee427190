import keras
from keras import ops

from stablevid_tf.cells.convex_memory import ConvexMemory, folded, unfolded
from stablevid_tf.cells.recurrent_video_cell import RecurrentVideoCell
from stablevid_tf.constraints import conv2d
from stablevid_tf.layers import bilinear
from stablevid_tf.layers.near_zero import near_zero
from stablevid_tf.layers.pixel_shuffle import depth_to_space, space_to_depth
from stablevid_tf.layers.reflect import reflect_to_multiple
from stablevid_tf.layers.residual_stage import ResidualStage
from stablevid_tf.layers.u_stage import UStage
from stablevid_tf.numerics.geometry import check_size

# Sides of frames are padded to multiples of this.
_MULTIPLE = 16
# Pixels of the frame in one of half resolution.
_PIXELS = 4


@keras.saving.register_keras_serializable(package="stablevid_tf")
class MemoryUNet(ConvexMemory, RecurrentVideoCell):
    """A U-Net between two convex memories: fast, aligned, stable for every weight.

    ```
    s    = space_to_depth(x(t), 2)
    q(t) = relu(K_q * s)                                        what the gate looks at
    f(t) = LightFlow(x(t-1), x(t));    W: warp by f(t)
    r(t) = R sigmoid(gate([q(t), W q(t-1), |q(t) - W q(t-1)|])) of frames alone
    m_1  = remember([s, K_1 * s], W m_1(t-1), r(t))             means of noisy frames
    u    = U-Net(K_a * [s, m_1, a_1])
    m_2  = remember(K_2 * u, W m_2(t-1), r(t))                  means of restored ones
    z    = blocks(K_b * [u, m_2, a_2])
    b    = sigmoid(K_mix * z - 2)                               one for each pixel
    y(t) = depth_to_space(M m_1 + b (s - M m_1) + K_out * z, 2)     M m_1: its frames
    ```

    `remember` is `stablevid_tf.layers.remember.remember`: a mean over time, whose
    weights `a` are at most `R` (`retention`). The memories are the only states that
    feed back. What enters them, and the gates, depends on frames alone, or on the
    memory before: so the gain of each loop is `R`, known without measuring, at every
    frame size, in the maximum norm, through the warp; and no memory exceeds what
    enters it. `diagnostics.certify` reports this.

    The first `4 channels` channels of `m_1` are means of the frames themselves, and the
    network corrects this mean: a memory helps from the first step of training on, and
    the gate learns at once where to trust it. Where the network, which sees more than
    the gate, finds the mean wrong, it takes the frame instead (`b`). On the first frame
    the mean is the frame.

    The whole network but its first and last layer works at half resolution; with
    `scale` s its last convolution writes s times larger frames (2 s sub-pixels along
    each axis), added to the mean enlarged bilinearly. `K_mix` is part of it.

    In training a clip's frames go through the network all at once: only the means
    are taken frame by frame (`restore`).

    Args:
        features: channels at half resolution, at a quarter and at an eighth (as many
            as are given).
        blocks: residual blocks at each resolution; see `UStage`.
        refine: residual blocks after the second memory; 0 leaves the second memory
            out.
        memory_features: channels of each memory.
        groups: channels of the gate for each memory: as many parts of a memory are
            kept or forgotten on their own.
        gate_features: channels that the gate looks at.
        flow_features: of `LightFlow`; 0 does not align the memories.
        retention: `R`, below 1; 0.98 remembers some 50 frames, 0 nothing.
        channels, scale, constraint, **kwargs: see `RecurrentVideoCell`.

    Example:
        >>> from stablevid_tf import diagnostics, models
        >>> model = models.build("memory_unet", features=(8, 8), blocks=(1, 1))
        >>> diagnostics.certify(model).certified
        True
    """

    paper = "this project, A U-Net between two convex memories, 2026"
    task = "denoising"
    settled = ("window", "frame_number")
    can_number = False

    def __init__(
        self,
        features=(64, 96, 128),
        blocks=(1, 2, 2),
        refine=2,
        memory_features=48,
        groups=8,
        gate_features=16,
        flow_features=24,
        retention=0.98,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.features = tuple(features)
        self.blocks = tuple(blocks)
        if len(self.features) != len(self.blocks) or not 1 <= len(self.features) <= 4:
            raise ValueError(
                "features and blocks need one number for each resolution, 1 to 4 of "
                f"them. Received: features={features!r}, blocks={blocks!r}"
            )
        for name, value in (
            *(("features", n) for n in self.features),
            *(("blocks", n) for n in self.blocks),
            ("memory_features", memory_features),
        ):
            check_size(name, value)
        if refine:
            check_size("refine, where not 0,", refine)
        self.refine = refine
        self.make_memories(
            2 if refine else 1,
            memory_features,
            retention,
            groups,
            gate_features,
            flow_features,
        )
        own = memory_features - _PIXELS * self.channels
        if own < 1:
            raise ValueError(
                "memory_features must be above 4 * channels, whose means of frames are "
                f"part of it. Received: memory_features={memory_features}, "
                f"channels={self.channels}"
            )
        self.values = [
            self._conv(memory_features if i else own, role="body" if i else "head")
            for i in range(self.memories)
        ]
        self.fuse = [
            self._conv(self.features[0], role="body" if i else "head")
            for i in range(self.memories)
        ]
        self.body = UStage(
            self.features, self.blocks, self._conv, dtype=self.dtype_policy
        )
        self.refiners = [
            ResidualStage(
                self._conv(self.features[0]),
                self._conv(self.features[0], kernel_initializer=near_zero()),
                dtype=self.dtype_policy,
            )
            for _ in range(refine)
        ]
        # Untrained, the network gives the mean of its frames back. The first outputs
        # say how much of the frame each pixel takes.
        self.tail = self._conv(
            _PIXELS + self.channels * (2 * self.scale) ** 2,
            role="tail",
            kernel_initializer=near_zero(1e-4),
        )

    def _conv(self, filters, kernel_size=3, role="body", **kwargs):
        return conv2d(
            self.constraint,
            filters,
            kernel_size,
            role=role,
            dtype=self.dtype_policy,
            **kwargs,
        )

    def initial_state(self, frame):
        _, height, width, _ = ops.shape(frame)
        size = [-(-n // _MULTIPLE) * _MULTIPLE // 2 for n in (height, width)]
        return self.empty_state(frame, size)

    def flow_between(self, before, frame):
        padded = (reflect_to_multiple(x, _MULTIPLE) for x in (before, frame))
        return self.flow(*padded)

    def call(self, frames, state, flow=None):
        frame = ops.cast(self.centre(frames), "float32")
        small = self._small(frame)
        recalled = self.recall(small, frame, state, flow)
        x, updates = small, []
        for i in range(self.memories):
            updates.append(self.updated(i, self._value(i, x), recalled))
            kept, _, weight = updates[-1]
            x = self._stage(i, x, kept, weight)
        restored = self._written(x, small, updates[0][0], frame)
        return restored, self.state_after(frame, recalled, updates)

    def restore(self, frames, training=False):
        """A whole clip: frame by frame in bounded memory; in training all at once.

        What a memory is given does not depend on it, so the convolutions of all frames
        are computed together. The result is the same, a training step twice as fast.
        """
        if not training or frames.shape[1] is None:
            return super().restore(frames, training)
        frames = ops.cast(frames, "float32")
        frame = folded(frames)
        small = x = self._small(frame)
        gates, means = self.gates_of_clip(small, frames), []
        for i in range(self.memories):
            kept, weight = self.memory_of_clip(i, self._value(i, x), gates)
            x = self._stage(i, x, kept, weight)
            means.append(kept)
        return unfolded(self._written(x, small, means[0], frame), frames)

    def _small(self, frame):
        return space_to_depth(reflect_to_multiple(frame, _MULTIPLE), 2)

    def _value(self, index, x):
        """What memory `index` is given."""
        value = ops.cast(self.values[index](x), "float32")
        return value if index else ops.concatenate([x, value], axis=-1)

    def _stage(self, index, x, kept, weight):
        """What follows memory `index`."""
        inputs = [ops.cast(n, self.compute_dtype) for n in (x, kept, weight)]
        x = self.fuse[index](ops.concatenate(inputs, axis=-1))
        for block in self.refiners if index else [self.body]:
            x = block(x)
        return x

    def _written(self, x, small, kept, frame):
        """The restored frame, float32: never rounded."""
        _, height, width, _ = ops.shape(frame)
        x = ops.cast(self.tail(x), "float32")
        # Untrained, little of the frame.
        mix = ops.repeat(ops.sigmoid(x[..., :_PIXELS] - 2.0), self.channels, axis=-1)
        mean = kept[..., : _PIXELS * self.channels]
        base = depth_to_space(mean + mix * (small - mean), 2)
        added = depth_to_space(x[..., _PIXELS:], 2 * self.scale)
        restored = added + bilinear.enlarge(base, self.scale)
        return restored[:, : height * self.scale, : width * self.scale]

    def get_config(self):
        return super().get_config() | {
            "features": self.features,
            "blocks": self.blocks,
            "refine": self.refine,
            "memory_features": self.memory_features,
        }
