"""Independent NumPy float64 witnesses of optical flow and the networks built on it.

Written from the equations. Imports nothing of the library and no framework.
"""

import math

import numpy as np
import witness

# ------------------------------------------------------------------------- warping


def grid_sample(x, grid, padding, align_corners):
    """``x`` [H, W, C] at normalised positions ``grid`` [H, W, 2] (x, y), bilinear.

    As PyTorch documents it: -1 and 1 are the centres of the corner pixels
    (``align_corners``), or their outer edges.
    """
    height, width, channels = x.shape
    y = np.zeros((*grid.shape[:2], channels))
    for at in np.ndindex(*grid.shape[:2]):
        position = []
        for value, size in zip(grid[at][::-1], (height, width), strict=True):
            if align_corners:
                p = (value + 1) / 2 * (size - 1)
            else:
                p = ((value + 1) * size - 1) / 2
            position.append(min(max(p, 0), size - 1) if padding == "border" else p)
        row, column = (math.floor(p) for p in position)
        for i, j in np.ndindex(2, 2):
            i, j = row + i, column + j
            weight = (1 - abs(position[0] - i)) * (1 - abs(position[1] - j))
            if 0 <= i < height and 0 <= j < width:
                y[at] += weight * x[i, j]
    return y


def warp(x, flow, padding="zeros", align_corners=True):
    """``x`` [B, H, W, C] fetched from where ``flow`` [B, H, W, 2] points, in pixels.

    Positions are divided by size - 1, as published code does for either convention.
    """
    x, flow = np.asarray(x, np.float64), np.asarray(flow, np.float64)
    height, width = x.shape[1:3]
    rows, columns = np.mgrid[:height, :width]
    at = np.stack([columns, rows], -1) + flow
    grid = 2 * at / np.array([max(width - 1, 1), max(height - 1, 1)]) - 1
    both = zip(x, grid, strict=True)
    return np.stack([grid_sample(a, g, padding, align_corners) for a, g in both])


# ------------------------------------------------------------------------ resizing


def resize(x, height, width, corners=False):
    """Bilinear, not antialiased; [B, H, W, C] -> [B, height, width, C]."""
    x = np.asarray(x, np.float64)
    for axis, new in ((1, height), (2, width)):
        size = x.shape[axis]
        lines = []
        for i in range(new):
            if corners:
                p = i * (size - 1) / max(new - 1, 1)
            else:
                p = min(max((i + 0.5) * size / new - 0.5, 0), size - 1)
            first = min(math.floor(p), size - 1)
            second = min(first + 1, size - 1)
            a, b = x.take(first, axis), x.take(second, axis)
            lines.append((1 - (p - first)) * a + (p - first) * b)
        x = np.stack(lines, axis)
    return x


def reflected(x, multiple):
    """Reflected at the bottom and right up to the next multiple."""
    pads = [(0, -n % multiple) for n in x.shape[1:3]]
    return np.pad(x, [(0, 0), *pads, (0, 0)], mode="reflect")


def pooled(x, how):
    """2x2 blocks' ``how`` (np.mean, np.max)."""
    blocks = [x[:, i::2, j::2] for i, j in np.ndindex(2, 2)]
    return how(blocks, axis=0)


def leaky(x, slope):
    return np.where(x > 0, x, slope * x)


def conv_transpose(x, kernel, bias, stride=2):
    """The adjoint of a same-padded strided convolution, plus a bias.

    ``kernel`` [k, k, cout, cin]; [B, H, W, cin] -> [B, s H, s W, cout].
    """
    batch, height, width, _ = x.shape
    taps, (rows, columns) = kernel.shape[:2], (stride * height, stride * width)
    before = max(taps[0] - stride, 0) // 2
    y = np.zeros((batch, rows + taps[0], columns + taps[1], kernel.shape[2]))
    for a, b in np.ndindex(*taps):
        ends = a + rows - stride + 1, b + columns - stride + 1
        y[:, a : ends[0] : stride, b : ends[1] : stride] += x @ kernel[a, b].T
    return y[:, before : before + rows, before : before + columns] + bias


def space_to_depth(x, s):
    """The inverse of ``witness.depth_to_space``."""
    return np.concatenate([x[:, i::s, j::s] for i, j in np.ndindex(s, s)], -1)


# --------------------------------------------------------------------------- FRVSR


def fnet(convs, previous, current, reach=24):
    """Flow [B, H, W, 2] in pixels; ``convs`` are fourteen (kernel, bias)."""
    height, width = current.shape[1:3]
    x = reflected(np.concatenate([previous, current], -1), 8)
    step = iter(convs)
    for way in ("down",) * 3 + ("up",) * 3:
        for _ in range(2):
            x = leaky(witness.conv(x, *next(step)), 0.2)
        if way == "down":
            x = pooled(x, np.max)
        else:
            x = resize(x, 2 * x.shape[1], 2 * x.shape[2])
    x = leaky(witness.conv(x, *next(step)), 0.2)
    x = reach * np.tanh(witness.conv(x, *next(step)))
    return x[:, :height, :width]


def frvsr(weights, frame, previous, output, scale, enlarged):
    """One frame: ``(restored, flow in LR pixels)``.

    Args:
        weights: ``{"flow": [...], "head", "body": [[(K, b), (K, b)], ...], "up":
            [...], "tail"}``.
        enlarged: the frame's bicubic enlargement.
    """
    flow = fnet(weights["flow"], previous, frame)
    size = [scale * n for n in flow.shape[1:3]]
    seen = space_to_depth(warp(output, scale * resize(flow, *size), "border"), scale)
    x = witness.relu(witness.conv(np.concatenate([frame, seen], -1), *weights["head"]))
    for block in weights["body"]:
        x = witness.stage(block, x)
    for kernel, bias in weights["up"]:
        x = witness.relu(conv_transpose(x, kernel, bias))
    return witness.conv(x, *weights["tail"]) + enlarged, flow


# ------------------------------------------------------------------------ BasicVSR

MEAN = np.array([0.485, 0.456, 0.406])
DEVIATION = np.array([0.229, 0.224, 0.225])


def spynet(levels, reference, other):
    """Flow from ``reference`` to ``other`` [B, H, W, 2]; ``levels`` coarsest first."""
    multiple = 2 ** (len(levels) - 1)
    height, width = reference.shape[1:3]
    size = [-(-n // multiple) * multiple for n in (height, width)]
    pyramids = []
    for x in (reference, other):
        pyramid = [(resize(x, *size) - MEAN) / DEVIATION]
        for _ in levels[1:]:
            pyramid.insert(0, pooled(pyramid[0], np.mean))
        pyramids.append(pyramid)
    flow = np.zeros((*pyramids[0][0].shape[:3], 2))
    for i, (convs, first, second) in enumerate(zip(levels, *pyramids, strict=True)):
        if i:
            flow = 2 * resize(flow, *first.shape[1:3], corners=True)
        x = np.concatenate([first, warp(second, flow, "border"), flow], -1)
        for conv in convs[:-1]:
            x = witness.relu(witness.conv(x, *conv))
        flow = flow + witness.conv(x, *convs[-1])
    flow = resize(flow, height, width)
    return flow * [width / size[1], height / size[0]]


def trunk(weights, frame, features):
    """One direction's features from [frame, warped features]."""
    x = np.concatenate([frame, features], -1)
    x = leaky(witness.conv(x, *weights["head"]), 0.1)
    for block in weights["body"]:
        x = witness.stage(block, x)
    return x


def basicvsr(weights, clip):
    """[B, T, H, W, 3] -> [B, T, 4H, 4W, 3]."""
    times = range(clip.shape[1])
    found = {}
    for way, order in (("backward", times[::-1]), ("forward", times)):
        x, before = None, None
        for t in order:
            if x is None:
                x = np.zeros((*clip[:, 0].shape[:3], weights["features"]))
            else:
                x = warp(x, spynet(weights["flow"], clip[:, t], clip[:, before]))
            x = trunk(weights[way], clip[:, t], x)
            found[way, t], before = x, t
    restored = []
    for t in times:
        x = np.concatenate([found["backward", t], found["forward", t]], -1)
        x = leaky(witness.conv(x, *weights["fusion"]), 0.1)
        for conv in weights["up"]:
            # PyTorch's shuffle groups channels the other way round; no weights of it
            # are read here, so TensorFlow's order is the witness' too.
            x = leaky(witness.depth_to_space(witness.conv(x, *conv), 2), 0.1)
        x = leaky(witness.conv(x, *weights["last"]), 0.1)
        frame = resize(clip[:, t], *[4 * n for n in clip.shape[2:4]])
        restored.append(witness.conv(x, *weights["tail"]) + frame)
    return np.stack(restored, 1)
