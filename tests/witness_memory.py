"""Independent NumPy float64 witnesses of convex memories and the networks around them.

Written from the equations. Imports nothing of the library and no framework.
"""

import numpy as np
import witness
import witness_flow
import witness_lucas_kanade


def remember(value, memory, count, retention):
    """One frame of a memory: `(memory, count, weight)`.

    `value`, `memory` [..., C]; `count`, `retention` [..., G]: G divides C.
    """
    new = 1 + retention * count
    weight = retention * count / new
    each = memory.shape[-1] // count.shape[-1]
    after = np.empty(np.broadcast_shapes(value.shape, memory.shape))
    for channel in range(after.shape[-1]):
        a = weight[..., channel // each]
        old, seen = memory[..., channel], value[..., channel]
        after[..., channel] = a * old + (1 - a) * seen
    return after, new, weight


# ----------------------------------------------------------------------------- body


def u_stage(weights, x):
    """`{"encoders", "decoders": [[block, ...], ...], "downs", "ups": [pair, ...]}`."""
    skips = []
    for level, blocks in enumerate(weights["encoders"]):
        if level:
            x = witness.conv(x, *weights["downs"][level - 1], strides=2)
        for block in blocks:
            x = witness.stage(block, x)
        skips.append(x)
    for level in reversed(range(len(weights["ups"]))):
        finer = witness.depth_to_space(witness.conv(x, *weights["ups"][level]), 2)
        x = skips[level] + finer
        for block in weights["decoders"][level]:
            x = witness.stage(block, x)
    return x


# ------------------------------------------------------------------------- memories


class Memories:
    """What a frame finds in the memories, and what it leaves there.

    Args:
        weights: `"look"`, `"gate"` (two), and `"retention"`.
        seen: what the gate looks at.
        state: `(frame, look, counts, memories)` before the frame; counts and memories
            lists, one of each memory. None before the first frame.
        empty: `(look, counts, memories)` before the first frame.
        warp: of maps of the memories' size.
        warp_memory: of a memory. Default: `warp`.
    """

    def __init__(self, weights, seen, state, empty, warp, warp_memory=None):
        self.look = witness.relu(witness.conv(seen, *weights["look"]))
        looked, counts, memories = empty if state is None else state[1:]
        # On the first frame there is no earlier one: it is compared with itself.
        self.looked = self.look if state is None else warp(looked)
        self.counts = [warp(x) for x in counts]
        self.memories = [(warp_memory or warp)(x) for x in memories]
        apart = np.abs(self.look - self.looked)
        x = np.concatenate([self.look, self.looked, apart], -1)
        first, last = weights["gate"]
        x = witness.conv(witness.relu(witness.conv(x, *first)), *last)
        gates = weights["retention"] / (1 + np.exp(-(x + 2)))
        self.gates = np.split(gates, len(counts), axis=-1)

    def update(self, index, value):
        """`(memory, weight)`; what was found is replaced."""
        self.memories[index], self.counts[index], weight = remember(
            value, self.memories[index], self.counts[index], self.gates[index]
        )
        return self.memories[index], weight

    def state(self, frame):
        return frame, self.look, self.counts, self.memories


def empty(weights, batch, size, width, count):
    """`(look, counts, memories)` before the first frame: memories of `size`."""
    maps = lambda n: np.zeros((batch, *size, n))  # noqa: E731
    groups = weights["gate"][1][0].shape[-1] // count
    look = maps(weights["look"][0].shape[-1])
    return look, [maps(groups)] * count, [maps(width)] * count


def memory_unet(weights, frame, state=None, scale=1):
    """One frame of a U-Net behind a memory: `(restored, state, flow)`.

    `weights["flow"]` are the options of `witness_lucas_kanade`, or None.
    """
    batch, height, width, channels = frame.shape
    padded = witness_flow.reflected(frame, 16)
    small = witness_flow.space_to_depth(padded, 2)
    means = 4 * channels
    flow = half = None
    if weights["flow"] is not None:
        previous = np.zeros(frame.shape) if state is None else state[0]
        before = witness_flow.reflected(previous, 16)
        flow = witness_lucas_kanade.lucas_kanade(before, padded, **weights["flow"])
        # Two pixels are one of half the size.
        half = witness_flow.pooled(flow, np.mean) / 2

    def warp(x):
        return x if flow is None else witness_flow.warp(x, half, "border")

    def warp_memory(x):
        if flow is None:
            return x
        frames = witness.depth_to_space(x[..., :means], 2)
        frames = witness_flow.warp(frames, flow, "border")
        frames = witness_flow.space_to_depth(frames, 2)
        return np.concatenate([frames, warp(x[..., means:])], -1)

    held = means + weights["value"][0].shape[-1]
    nothing = empty(weights, batch, small.shape[1:3], held, 1)
    found = Memories(weights, small, state, nothing, warp, warp_memory)
    value = np.concatenate([small, witness.conv(small, *weights["value"])], -1)
    memory, weight = found.update(0, value)
    seen = np.concatenate([small, memory, weight, found.looked], -1)
    z = u_stage(weights["body"], witness.conv(seen, *weights["fuse"]))
    written = witness.conv(z, *weights["tail"])
    mean = witness.depth_to_space(memory[..., :means], 2)
    mix = witness.depth_to_space(1 / (1 + np.exp(2 - written[..., :4])), 2)
    base = mix * padded + (1 - mix) * mean
    base = witness_flow.resize(base, *(scale * n for n in base.shape[1:3]))
    added = witness.depth_to_space(written[..., 4:], 2 * scale)
    restored = (base + added)[:, : scale * height, : scale * width]
    return restored, found.state(frame), flow


def memory_cell(weights, frames, state=None, channels=3, scale=1):
    """One frame of VDnCNN or VResNet with a memory a stage, as `memory_unet`.

    `frames` [B, H, W, window * channels], the restored one in the middle.
    """
    batch, height, width, depth = frames.shape
    start = depth // channels // 2 * channels
    frame = frames[..., start : start + channels]
    flow = None
    if weights["flow"] is not None:
        before = np.zeros(frame.shape) if state is None else state[0]
        flow = witness_lucas_kanade.lucas_kanade(before, frame, **weights["flow"])
    warp = lambda x: x if flow is None else witness_flow.warp(x, flow, "border")  # noqa: E731
    features, count = weights["values"][0][0].shape[-1], len(weights["values"])
    nothing = empty(weights, batch, (height, width), features, count)
    held = Memories(weights, frames, state, nothing, warp)
    x = witness.relu(witness.conv(frames, *weights["head"]))
    for i, (value, stage) in enumerate(
        zip(weights["values"], weights["body"], strict=True)
    ):
        memory, _ = held.update(i, witness.conv(x, *value))
        x = witness.stage(stage, x, memory)
    out = witness.conv(x, *weights["tail"])
    out = out + np.concatenate([frame] * scale**2, -1)
    return witness.depth_to_space(out, scale), held.state(frame), flow
