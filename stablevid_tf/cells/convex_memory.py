"""What the cells with convex memories have in common."""

import functools
import itertools

from keras import ops

from stablevid_tf.constraints import conv2d
from stablevid_tf.layers.flow_warp import FlowWarp
from stablevid_tf.layers.loop import Loop, Retention, Warp
from stablevid_tf.layers.lucas_kanade import LucasKanade
from stablevid_tf.layers.near_zero import near_zero
from stablevid_tf.layers.remember import remember
from stablevid_tf.numerics.geometry import check_size

# The finest size at which motion is measured: halvings of the frames.
_FINEST = {"full": 0, "half": 1}


class ConvexMemory:
    """The gate, the alignment and the state of convex memories, to mix into a cell.

    ```
    q(t)   = relu(K_q * x(t))                                   what the gate looks at
    f(t)   = LucasKanade(x(t-1), x(t));    W: warp by f(t)
    r(t)   = R sigmoid(gate([q(t), W q(t-1), |q(t) - W q(t-1)|]) + 2)
    m_i(t) = remember(v_i(t), W m_i(t-1), r_i(t))
    ```

    `remember` is `stablevid_tf.layers.remember.remember`; it also counts frames,
    `n_i(t)`. The state is `(x(t-1), q(t-1), n(t-1), m(t-1))`, the counters and the
    memories of all `i` concatenated: float32 whatever the policy, because means over
    many frames are not rounded.

    On the first frame `q(t-1)` is `q(t)`.

    The cell calls `make_memories` in its `__init__`, `recall`, `updated` and
    `state_after` in its `call`; a cell whose memories are smaller than its frames says
    in `flow_between`, `flow_of_maps` and `carried` how it aligns them. The attributes
    that hold weights are `look` and `gate`.
    """

    def make_memories(self, memories, width, retention, groups, gate_features, align):
        """Check the arguments and make the layers.

        Args:
            memories: how many.
            width: channels of each.
            retention: `R`, from 0 to below 1.
            groups: channels of the gate for each memory; a divisor of `width`.
            gate_features: channels of `q`.
            align: the size at which motion is measured, `"full"` or `"half"` that of
                the frames, which is faster; None does not align the memories.

        Raises:
            ValueError: an argument is out of its range.
        """
        check_size("groups", groups)
        check_size("gate_features", gate_features)
        if width % groups:
            raise ValueError(
                f"`groups={groups}` does not divide the {width} channels of a memory. "
                "Use a divisor of their number"
            )
        if not 0 <= retention < 1:
            raise ValueError(
                "retention must be at least 0 and below 1, such as 0.98. "
                f"Received: {retention!r}"
            )
        if align not in (None, *_FINEST):
            raise ValueError(
                "align is the size at which motion is measured: 'full', 'half', or "
                f"None for no alignment. Received: {align!r}"
            )
        self.memories = memories
        self.memory_features = width
        self.retention = float(retention)
        self.groups = groups
        self.gate_features = gate_features
        self.align = align
        self.flow = LucasKanade(finest=_FINEST[align]) if align else None
        self.warp = FlowWarp("border", dtype="float32") if align else None
        conv = functools.partial(conv2d, self.constraint, dtype=self.dtype_policy)
        self.look = conv(gate_features, role="head", activation="relu")
        self.gate = [
            conv(2 * gate_features, activation="relu"),
            conv(memories * groups, kernel_initializer=near_zero()),
        ]

    def flow_between(self, before, frame):
        """The flow by which memories are warped, of two frames [B, H, W, channels]."""
        return self.flow(before, frame)

    def flow_of_maps(self, flow):
        """The flow of maps of the memories' size."""
        return flow

    def carried(self, flow, memory, *maps):
        """A memory and other maps of its size, warped by a flow or, if None, not."""
        return self.moved(flow, memory, *maps)

    def moved(self, flow, *maps):
        """Maps of one size, warped together."""
        if flow is None:
            return maps
        whole = self.warp(ops.concatenate(maps, axis=-1), flow)
        ends = list(itertools.accumulate(x.shape[-1] for x in maps))
        return tuple(
            whole[..., end - x.shape[-1] : end]
            for x, end in zip(maps, ends, strict=True)
        )

    def empty_state(self, frame, size):
        """The state before the first frame, zeros.

        Args:
            frame: [B, H, W, C]; only its shape is used.
            size: height and width of the memories.
        """
        batch, height, width, _ = ops.shape(frame)
        zeros = lambda *shape: ops.zeros((batch, *shape), "float32")  # noqa: E731
        channels = (
            self.gate_features,
            self.memories * self.groups,
            self.memories * self.memory_features,
        )
        before = zeros(height, width, self.channels)
        return (before, *(zeros(*size, n) for n in channels))

    def ahead(self, frames, state):
        """The flow of every frame of a clip, [B, T, H', W', 2], all at once."""
        if self.flow is None:
            return ()
        frames = frames[..., : self.channels]
        before = ops.concatenate([state[0][:, None], frames[:, :-1]], axis=1)
        batch, time, *image = ops.shape(frames)
        flow = self.flow_between(
            *(ops.reshape(x, (batch * time, *image)) for x in (before, frames))
        )
        return (ops.reshape(flow, (batch, time, *ops.shape(flow)[1:])),)

    def recall(self, seen, frame, state, flow=None):
        """What a frame finds: `(W q(t-1), r(t), W n(t-1), W m(t-1), q(t))`.

        Args:
            seen: what `K_q` is applied to.
            frame: [B, H, W, channels], float32.
            state: before the frame.
            flow: of `ahead`, if it was computed.
        """
        before, looked, count, memory = state
        look = ops.cast(self.look(seen), "float32")
        if self.flow is not None and flow is None:
            flow = self.flow_between(before, frame)
        memory, count, looked = self.carried(flow, memory, count, looked)
        # Before the first frame nothing has been counted.
        looked = look + ops.minimum(count[..., :1], 1.0) * (looked - look)
        return looked, self._retention(look, looked), count, memory, look

    def _retention(self, look, looked):
        x = ops.concatenate([look, looked, ops.abs(look - looked)], axis=-1)
        for conv in self.gate:
            x = conv(x)
        # Untrained, a memory keeps most of what it holds.
        return self.retention * ops.sigmoid(ops.cast(x, "float32") + 2.0)

    def updated(self, index, value, recalled):
        """`(m_i(t), n_i(t), a_i(t))` of memory `index`, as `remember` gives them."""
        _, retention, count, memory, _ = recalled
        return remember(
            ops.cast(value, "float32"),
            _part(memory, index, self.memory_features),
            _part(count, index, self.groups),
            _part(retention, index, self.groups),
        )

    def gates_of_clip(self, seen, frames):
        """`(r, f, W q(t-1))` of a clip; the first frame has neither gate nor flow.

        Args:
            seen: what `K_q` is applied to, of all frames, [B T, ...].
            frames: [B, T, H, W, channels], float32.

        Returns:
            Two lists of T - 1, the second of None without alignment, and
            [B T, ...].
        """
        looks = unfolded(ops.cast(self.look(seen), "float32"), frames)
        if frames.shape[1] == 1:
            return [], [], looks[:, 0]
        look, looked = folded(looks[:, 1:]), folded(looks[:, :-1])
        before, after = frames[:, :-1], frames[:, 1:]
        flows = [None] * after.shape[1]
        if self.flow is not None:
            flow = self.flow_between(folded(before), folded(after))
            (looked,) = self.moved(self.flow_of_maps(flow), looked)
            flows = ops.unstack(unfolded(flow, after), axis=1)
        retention = self._retention(look, looked)
        found = ops.concatenate([looks[:, :1], unfolded(looked, after)], axis=1)
        return ops.unstack(unfolded(retention, after), axis=1), flows, folded(found)

    def memory_of_clip(self, index, values, gates):
        """`(m_i, a_i)` of every frame of a clip, [B T, ...], from the zero state.

        Args:
            index: `i`.
            values: `v_i` of all frames, [B T, ...], float32.
            gates: of `gates_of_clip`.
        """
        retentions, flows, _ = gates
        time = len(retentions) + 1
        batch, *shape = ops.shape(values)
        values = ops.reshape(values, (batch // time, time, *shape))
        memory, *values = ops.unstack(values, axis=1)
        # The first frame: its memory is what it was given, of weight 0.
        weight = ops.zeros_like(memory[..., : self.groups])
        count = ops.ones_like(weight)
        kept, weights = [memory], [weight]
        for value, retention, flow in zip(values, retentions, flows, strict=True):
            memory, count = self.carried(flow, memory, count)
            retention = _part(retention, index, self.groups)
            memory, count, weight = remember(value, memory, count, retention)
            kept.append(memory)
            weights.append(weight)
        return tuple(folded(ops.stack(each, axis=1)) for each in (kept, weights))

    def state_after(self, frame, recalled, updates):
        """The state after a frame.

        Args:
            frame: [B, H, W, channels], float32.
            recalled: of `recall`.
            updates: of `updated`, one for each memory.
        """
        memories, counts, _ = zip(*updates, strict=True)
        after = (ops.concatenate(each, axis=-1) for each in (counts, memories))
        return (frame, recalled[-1], *after)

    def loops(self):
        """The counters, then one loop a memory, each of gain `R`."""
        path = (Retention(self.retention),)
        if self.flow is not None:
            path = (Warp(), *path)
        names = ["count", *(f"memory {i}" for i in range(self.memories))]
        return [Loop(name, None, path, enters=False) for name in names]

    def get_config(self):
        return super().get_config() | {
            "retention": self.retention,
            "groups": self.groups,
            "gate_features": self.gate_features,
            "align": self.align,
        }


def _part(x, index, width):
    return x[..., index * width : (index + 1) * width]


def folded(x):
    """[B, T, ...] -> [B T, ...]."""
    batch, time, *rest = ops.shape(x)
    return ops.reshape(x, (batch * time, *rest))


def unfolded(x, like):
    """[B T, ...] -> [B, T, ...], the leading axes of `like`."""
    batch, time, *_ = ops.shape(like)
    return ops.reshape(x, (batch, time, *ops.shape(x)[1:]))
