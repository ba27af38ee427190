import keras
from keras import ops

from stablevid_tf.cells.backbone_cell import BackboneCell
from stablevid_tf.cells.convex_memory import ConvexMemory
from stablevid_tf.constraints import conv2d


@keras.saving.register_keras_serializable(package="stablevid_tf")
class MemoryCell(ConvexMemory, BackboneCell):
    """Convex memories in place of the feature recurrence: stable for every weight.

    ```
    q(t)   = relu(K_q * x(t))                                   what the gate looks at
    f(t)   = LucasKanade(x(t-1), x(t));    W: warp by f(t)
    r(t)   = R sigmoid(gate([q(t), W q(t-1), |q(t) - W q(t-1)|]) + 2)
    m_i(t) = remember(V_i * x_(i-1)(t), W m_i(t-1), r_i(t))     V_i: a 1x1 convolution
    x_i(t) = stage_i([x_(i-1)(t), m_i(t)])
    ```

    `x(t)` is the frame, or the frames of the window, and `x_0(t) = relu(K_in * x(t))`.
    `remember` is `stablevid_tf.layers.remember.remember`: a mean over time, whose
    weights are at most `R` (`retention`).

    Each stage reads the memory of its own input. So what enters memory `i` depends on
    the frames and on the memories before it, never on memory `i` itself, and the gates
    depend on frames alone. The gain of each loop is then `R`, without measuring, at
    every frame size, in the maximum norm, through the warp. In the feature recurrence
    of Tanay et al. (`FeatCell`) a stage reads its own previous output. A memory of that
    output would not be convex: what enters the memory would pass through the stage,
    which has read the memory, and the gain of the loop would again contain the norms
    of the stage's convolutions.

    Args:
        retention: `R`, below 1; 0.98 remembers some 50 frames, 0 nothing.
        groups: channels of the gate for each memory: as many parts of a memory are
            kept or forgotten on their own. A divisor of `features`; with fewer
            features than groups every channel is its own group.
        gate_features: channels that the gate looks at.
        align: the size at which motion is measured, `"full"` or `"half"` that of the
            frames; None does not align the memories.
        **kwargs: see `BackboneCell`.

    Example:
        >>> from stablevid_tf import diagnostics, models
        >>> model = models.build("vresnet_memory", features=8, blocks=2)
        >>> found = diagnostics.certify(model)
        >>> found.certified, found.contraction
        (True, 0.98)
    """

    paper = "this project, Convex memories in VDnCNN and VResNet, 2026"

    def __init__(
        self,
        backbone="vresnet",
        features=64,
        stages=None,
        retention=0.98,
        groups=8,
        gate_features=16,
        align=None,
        **kwargs,
    ):
        super().__init__(backbone, features, stages, **kwargs)
        self.make_memories(
            self.stages,
            features,
            retention,
            groups=min(groups, features),
            gate_features=gate_features,
            align=align,
        )
        self.values = [
            conv2d(self.constraint, features, 1, dtype=self.dtype_policy)
            for _ in self.body
        ]

    def initial_state(self, frame):
        _, height, width, _ = ops.shape(frame)
        return self.empty_state(frame, (height, width))

    def call(self, frames, state, flow=None):
        frame = ops.cast(self.centre(frames), "float32")
        recalled = self.recall(frames, frame, state, flow)
        x, updates = self.features_of(frames), []
        for i, (value, stage) in enumerate(zip(self.values, self.body, strict=True)):
            updates.append(self.updated(i, value(x), recalled))
            memory, _, _ = updates[-1]
            x = stage(x, ops.cast(memory, self.compute_dtype))
        restored = self.image(self.write(x, frames))
        return restored, self.state_after(frame, recalled, updates)
