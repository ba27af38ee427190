import keras
from keras import ops

from stablevid_tf.cells.convex_memory import ConvexMemory, folded, unfolded
from stablevid_tf.cells.recurrent_video_cell import RecurrentVideoCell
from stablevid_tf.constraints import conv2d
from stablevid_tf.layers import bilinear
from stablevid_tf.layers.near_zero import near_zero
from stablevid_tf.layers.pixel_shuffle import depth_to_space, space_to_depth
from stablevid_tf.layers.reflect import reflect_to_multiple
from stablevid_tf.layers.u_stage import UStage
from stablevid_tf.numerics.geometry import check_size

# Sides of frames are padded to multiples of this.
_MULTIPLE = 16
# Pixels of the frame in one of half resolution.
_PIXELS = 4


@keras.saving.register_keras_serializable(package="stablevid_tf")
class MemoryUNet(ConvexMemory, RecurrentVideoCell):
    """A U-Net behind a convex memory: fast, aligned, stable for every weight.

    ```
    s    = space_to_depth(x(t), 2)
    q(t) = relu(K_q * s)                                        what the gate looks at
    f(t) = LucasKanade(x(t-1), x(t));    W: warp by f(t)
    r(t) = R sigmoid(gate([q(t), W q(t-1), |q(t) - W q(t-1)|]) + 2)
    m(t) = remember([s, K_1 * s], W m(t-1), r(t))               means of noisy frames
    z    = U-Net(K_a * [s, m, a, W q(t-1)])
    b    = sigmoid(K_mix * z - 2)                               one for each pixel
    y(t) = depth_to_space(M m + b (s - M m) + K_out * z, 2)     M m: its frames
    ```

    `remember` is `stablevid_tf.layers.remember.remember`: a mean over time, whose
    weights `a` are at most `R` (`retention`). The memory is the only state that
    feeds back. What enters it, and the gates, depends on frames alone: so the gain of
    the loop is `R`, known without measuring, at every frame size, in the maximum norm,
    through the warp; and the memory never exceeds what enters it.
    `diagnostics.certify` reports this.

    The first `4 channels` channels of `m` are means of the frames themselves, warped at
    the frames' full size, and the network corrects this mean: a memory helps from the
    first step of training on, and the gate learns at once where to trust it. Where the
    network, which sees more than the gate, finds the mean wrong, it takes the frame
    instead (`b`). On the first frame the mean is the frame.

    The whole network but its first and last layer works at half resolution; with
    `scale` s its last convolution writes s times larger frames (2 s sub-pixels along
    each axis), added to the mean enlarged bilinearly. `K_mix` is part of it.

    In training a clip's frames go through the network all at once: only the means
    are taken frame by frame (`restore`).

    Args:
        features: channels at half resolution, at a quarter and at an eighth (as many
            as are given).
        blocks: residual blocks at each resolution; see `UStage`.
        memory_features: channels of the memory.
        groups: channels of the gate: as many parts of the memory are kept or forgotten
            on their own.
        gate_features: channels that the gate looks at.
        align: the size at which motion is measured, `"full"` or `"half"` that of the
            frames, which is faster; None does not align the memory.
        retention: `R`, below 1; 0.98 remembers some 50 frames, 0 nothing.
        channels, scale, constraint, **kwargs: see `RecurrentVideoCell`.

    Example:
        >>> from stablevid_tf import diagnostics, models
        >>> model = models.build("memory_unet", features=(8, 8), blocks=(1, 1))
        >>> diagnostics.certify(model).certified
        True
    """

    paper = "this project, A U-Net behind a convex memory, 2026"
    task = "denoising"
    settled = ("window", "frame_number")
    can_number = False

    def __init__(
        self,
        features=(64, 96, 128),
        blocks=(2, 2, 2),
        memory_features=64,
        groups=8,
        gate_features=16,
        align="full",
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
        self.make_memories(1, memory_features, retention, groups, gate_features, align)
        self.of_frames = _PIXELS * self.channels
        own = memory_features - self.of_frames
        if own < 1:
            raise ValueError(
                "memory_features must be above 4 * channels, whose means of frames are "
                f"part of it. Received: memory_features={memory_features}, "
                f"channels={self.channels}"
            )
        self.value = self._conv(own, role="head")
        self.fuse = self._conv(self.features[0], role="head")
        self.body = UStage(
            self.features, self.blocks, self._conv, dtype=self.dtype_policy
        )
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
        return self.flow(*(reflect_to_multiple(x, _MULTIPLE) for x in (before, frame)))

    def flow_of_maps(self, flow):
        return 0.5 * ops.average_pool(flow, 2, strides=2, data_format="channels_last")

    def carried(self, flow, memory, *maps):
        """Means of frames move at the frames' size, the rest at half of it."""
        if flow is None:
            return (memory, *maps)
        means, own = memory[..., : self.of_frames], memory[..., self.of_frames :]
        means = space_to_depth(self.warp(depth_to_space(means, 2), flow), 2)
        own, *maps = self.moved(self.flow_of_maps(flow), own, *maps)
        return (ops.concatenate([means, own], axis=-1), *maps)

    def call(self, frames, state, flow=None):
        frame = ops.cast(self.centre(frames), "float32")
        small = self._small(frame)
        recalled = self.recall(small, frame, state, flow)
        update = self.updated(0, self._value(small), recalled)
        memory, _, weight = update
        restored = self._restored(small, memory, weight, recalled[0], frame)
        return restored, self.state_after(frame, recalled, [update])

    def restore(self, frames, training=False):
        """A whole clip: frame by frame in bounded memory; in training all at once.

        What the memory is given does not depend on it, so the convolutions of all
        frames are computed together. The result is the same, a training step twice as
        fast.
        """
        if not training or frames.shape[1] is None:
            return super().restore(frames, training)
        frames = ops.cast(frames, "float32")
        frame = folded(frames)
        small = self._small(frame)
        gates = self.gates_of_clip(small, frames)
        memory, weight = self.memory_of_clip(0, self._value(small), gates)
        restored = self._restored(small, memory, weight, gates[-1], frame)
        return unfolded(restored, frames)

    def _small(self, frame):
        return space_to_depth(reflect_to_multiple(frame, _MULTIPLE), 2)

    def _value(self, small):
        """What the memory is given: the frame and features of it."""
        own = ops.cast(self.value(small), "float32")
        return ops.concatenate([small, own], axis=-1)

    def _restored(self, small, memory, weight, looked, frame):
        """The restored frame, float32: never rounded."""
        _, height, width, _ = ops.shape(frame)
        seen = ops.concatenate([small, memory, weight, looked], axis=-1)
        z = self.body(self.fuse(ops.cast(seen, self.compute_dtype)))
        z = ops.cast(self.tail(z), "float32")
        # Untrained, little of the frame.
        mix = ops.repeat(ops.sigmoid(z[..., :_PIXELS] - 2.0), self.channels, axis=-1)
        mean = memory[..., : self.of_frames]
        base = depth_to_space(mean + mix * (small - mean), 2)
        added = depth_to_space(z[..., _PIXELS:], 2 * self.scale)
        restored = added + bilinear.enlarge(base, self.scale)
        return restored[:, : height * self.scale, : width * self.scale]

    def get_config(self):
        return super().get_config() | {
            "features": self.features,
            "blocks": self.blocks,
            "memory_features": self.memory_features,
        }
