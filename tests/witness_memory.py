"""Independent NumPy float64 witnesses of convex memories and the networks around them.

Written from the equations. Imports nothing of the library and no framework.
"""

import numpy as np
import witness
import witness_flow


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


# ---------------------------------------------------------------------------- flow


def shifted(x, down, right):
    """`y(i, j) = x(i + down, j + right)`; beyond the edge the last pixel."""
    rows, columns = (np.arange(n) for n in x.shape[1:3])
    rows = np.clip(rows + down, 0, len(rows) - 1)
    columns = np.clip(columns + right, 0, len(columns) - 1)
    return x[:, rows][:, :, columns]


def box(x):
    """The mean over the 3x3 pixels around each, of those that lie in the picture."""
    total, count = np.zeros_like(x), np.zeros_like(x)
    _, height, width, _ = x.shape
    for i, j in np.ndindex(height, width):
        near = x[:, max(i - 1, 0) : i + 2, max(j - 1, 0) : j + 2]
        total[:, i, j] = near.sum(axis=(1, 2))
        count[:, i, j] = near.shape[1] * near.shape[2]
    return total / count


def cost(first, second, reach):
    """[B, H, W, (2 reach + 1)^2]."""
    shifts = range(-reach, reach + 1)
    maps = [
        np.abs(first - shifted(second, down, right)).mean(-1, keepdims=True)
        for down in shifts
        for right in shifts
    ]
    return box(np.concatenate(maps, -1))


def flow_pyramid(nets, previous, current):
    """Flows of every level; `nets` of (kernel, bias); coarsest first."""
    pyramids = []
    for x in (previous, current):
        x = witness_flow.reflected(np.asarray(x, np.float64), 2 ** len(nets))
        means = []
        for _ in nets:
            x = witness_flow.pooled(x, np.mean)
            means.insert(0, x)
        pyramids.append(means)
    flows = []
    for level, (convs, before, after) in enumerate(zip(nets, *pyramids, strict=True)):
        up = np.zeros((*after.shape[:3], 2))
        if flows:
            up = 2 * witness_flow.resize(flows[-1], *after.shape[1:3])
        moved = witness_flow.warp(before, up, "border")
        reach = 0 if level == len(nets) - 1 else 2
        x = np.concatenate([after, moved, up, cost(after, moved, reach)], -1)
        for conv in convs[:-1]:
            x = witness.relu(witness.conv(x, *conv))
        flows.append(up + witness.conv(x, *convs[-1]))
    return flows


def light_flow(nets, previous, current):
    """Flow [B, ceil(H / 2), ceil(W / 2), 2] in half-size pixels."""
    rows, columns = (-(-n // 2) for n in current.shape[1:3])
    return flow_pyramid(nets, previous, current)[-1][:, :rows, :columns]


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
            lists, one of each memory.
        flow: of the frame, or None.
    """

    def __init__(self, weights, seen, state, flow):
        self.look = witness.relu(witness.conv(seen, *weights["look"]))
        warp = lambda x: x if flow is None else witness_flow.warp(x, flow, "border")  # noqa: E731
        _, looked, counts, memories = state
        looked = warp(looked)
        self.counts = [warp(x) for x in counts]
        self.memories = [warp(x) for x in memories]
        x = np.concatenate([self.look, looked, np.abs(self.look - looked)], -1)
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


def empty(weights, shape, size, width):
    """The state before the first frame [B, H, W, C], with memories of `size`."""
    maps = lambda n: np.zeros((shape[0], *size, n))  # noqa: E731
    count = len(weights["values"])
    groups = weights["gate"][1][0].shape[-1] // count
    look = maps(weights["look"][0].shape[-1])
    many = lambda n: [maps(n) for _ in range(count)]  # noqa: E731
    return np.zeros(shape), look, many(groups), many(width)


def memory_unet(weights, frame, state=None, scale=1):
    """One frame of a U-Net between two memories: `(restored, state, flow)`."""
    _, height, width, channels = frame.shape
    padded = witness_flow.reflected(frame, 16)
    small = witness_flow.space_to_depth(padded, 2)
    if state is None:
        held = 4 * channels + weights["values"][0][0].shape[-1]
        state = empty(weights, frame.shape, small.shape[1:3], held)
    flow = None
    if weights["flow"] is not None:
        before = witness_flow.reflected(state[0], 16)
        flow = light_flow(weights["flow"], before, padded)
    held = Memories(weights, small, state, flow)
    x = small
    for i, (value, fuse) in enumerate(
        zip(weights["values"], weights["fuse"], strict=True)
    ):
        seen = witness.conv(x, *value)
        if i == 0:
            seen = np.concatenate([small, seen], -1)
        memory, weight = held.update(i, seen)
        x = witness.conv(np.concatenate([x, memory, weight], -1), *fuse)
        if i == 0:
            x = u_stage(weights["body"], x)
        else:
            for block in weights["refiners"]:
                x = witness.stage(block, x)
    mean = witness.depth_to_space(held.memories[0][..., : 4 * channels], 2)
    written = witness.conv(x, *weights["tail"])
    mix = witness.depth_to_space(1 / (1 + np.exp(2 - written[..., :4])), 2)
    base = mix * padded + (1 - mix) * mean
    base = witness_flow.resize(base, *(scale * n for n in base.shape[1:3]))
    added = witness.depth_to_space(written[..., 4:], 2 * scale)
    restored = (base + added)[:, : scale * height, : scale * width]
    return restored, held.state(frame), flow


def memory_cell(weights, frames, state=None, channels=3, scale=1):
    """One frame of VDnCNN or VResNet with a memory a stage, as `memory_unet`.

    `frames` [B, H, W, window * channels], the restored one in the middle.
    """
    _, height, width, depth = frames.shape
    start = depth // channels // 2 * channels
    frame = frames[..., start : start + channels]
    if state is None:
        features = weights["values"][0][0].shape[-1]
        state = empty(weights, frame.shape, (height, width), features)
    flow = None
    if weights["flow"] is not None:
        half = light_flow(weights["flow"], state[0], frame)
        size = [2 * n for n in half.shape[1:3]]
        flow = 2 * witness_flow.resize(half, *size)[:, :height, :width]
    held = Memories(weights, frames, state, flow)
    x = witness.relu(witness.conv(frames, *weights["head"]))
    for i, (value, stage) in enumerate(
        zip(weights["values"], weights["body"], strict=True)
    ):
        memory, _ = held.update(i, witness.conv(x, *value))
        x = witness.stage(stage, x, memory)
    out = witness.conv(x, *weights["tail"])
    out = out + np.concatenate([frame] * scale**2, -1)
    return witness.depth_to_space(out, scale), held.state(frame), flow


# --------------------------------------------------------------------- flow's loss


def warp_error(clean, flow, smoothness, epsilon):
    """The loss of a flow [B, T - 1, h, w, 2] on clean clips [B, T, H, W, C]."""
    clean, flow = np.asarray(clean, np.float64), np.asarray(flow, np.float64)
    rows, columns = flow.shape[2:4]
    block = clean.shape[2] // rows
    blocks = [clean[:, :, i::block, j::block] for i, j in np.ndindex(block, block)]
    small = np.mean(blocks, axis=0)
    assert small.shape[2:4] == (rows, columns)
    matches, rough = [], {2: [], 3: []}
    for t in range(1, small.shape[1]):
        moved = witness_flow.warp(small[:, t - 1], flow[:, t - 1], "border")
        matches.append(np.sqrt((moved - small[:, t]) ** 2 + epsilon**2))
        for axis, found in rough.items():
            edges = np.abs(np.diff(small[:, t], axis=axis - 1)).mean(-1, keepdims=True)
            bends = np.sqrt(np.diff(flow[:, t - 1], axis=axis - 1) ** 2 + 1e-6)
            found.append(np.exp(-10 * edges) * bends)
    return np.mean(matches) + smoothness * sum(np.mean(x) for x in rough.values())
