"""Independent NumPy float64 witnesses: what the library must compute.

Written from the equations. Imports nothing of the library and no framework, so that
an error in the library cannot hide here.
"""

import math

import numpy as np
import scipy.sparse.linalg

# --------------------------------------------------------------- one convolution


def _axis(n, k, s, padding):
    """Outputs along an axis, and the offset of the first tap."""
    if padding == "circular":
        return n // s, (k - 1) // 2
    if padding == "valid":
        return (n - k) // s + 1, 0
    out = -(-n // s)
    return out, max((out - 1) * s + k - n, 0) // 2


def _tuple(value, rank):
    return (value,) * rank if isinstance(value, int) else tuple(value)


def conv_matrix(kernel, size, strides=1, padding="same"):
    """The matrix ``W`` of a convolution, entry by entry.

    Args:
        kernel: [*taps, cin, cout].
        size, strides: integer or one per axis.
        padding: "same" and "valid" as TensorFlow has them, or "circular".

    Returns:
        [outputs * cout, inputs * cin].
    """
    *taps, cin, cout = kernel.shape
    rank = len(taps)
    size, strides = _tuple(size, rank), _tuple(strides, rank)
    axes = [_axis(*a, padding) for a in zip(size, taps, strides, strict=True)]
    outs = [out for out, _ in axes]
    matrix = np.zeros((*outs, cout, *size, cin))
    for at in np.ndindex(*outs):
        for tap in np.ndindex(*taps):
            source = [
                i * s - before + a
                for i, s, (_, before), a in zip(at, strides, axes, tap, strict=True)
            ]
            if padding == "circular":
                source = [p % n for p, n in zip(source, size, strict=True)]
            if all(0 <= p < n for p, n in zip(source, size, strict=True)):
                matrix[(*at, slice(None), *source)] += kernel[tap].T
    return matrix.reshape(math.prod(outs) * cout, math.prod(size) * cin)


def norm(kernel, size, strides=1, padding="same"):
    """``||W||``: the largest singular value of the explicit matrix."""
    return _largest(conv_matrix(kernel, size, strides, padding))


def _largest(matrix):
    """The largest singular value, by Lanczos iterations to float64 precision."""
    if min(matrix.shape) < 3:
        return np.linalg.norm(matrix, 2)
    start = np.random.default_rng(0).normal(size=min(matrix.shape))
    return scipy.sparse.linalg.svds(
        matrix, k=1, v0=start, return_singular_vectors=False
    )[0]


def stable_rank(kernel, size, strides=1, padding="same"):
    """``||W||_F^2 / (||W||^2 min(rows, columns))`` of the explicit matrix."""
    matrix = conv_matrix(kernel, size, strides, padding)
    return (matrix**2).sum() / _largest(matrix) ** 2 / min(matrix.shape)


def symbol_norm(kernel, grid=512):
    """``max_w ||K^(w)||`` of a 2D kernel on a fine grid, by direct summation."""
    rows, columns = kernel.shape[:2]
    w = 2 * np.pi * np.arange(grid) / grid
    best = 0.0
    down = np.exp(1j * np.outer(w, np.arange(rows)))
    across = np.exp(1j * np.outer(w, np.arange(columns)))
    # K is real: K^(-w) is the conjugate of K^(w), so half of the rows suffice.
    for phase in down[: grid // 2 + 1]:
        line = np.einsum("a,abio,wb->wio", phase, kernel, across)
        best = max(best, np.linalg.norm(line, 2, axis=(1, 2)).max())
    return best


def conv(x, kernel, bias=None, strides=1, padding="same"):
    """``K * x + b`` for ``x`` [B, H, W, cin] and ``kernel`` [k, k, cin, cout]."""
    x, kernel = np.asarray(x, np.float64), np.asarray(kernel, np.float64)
    batch, *size, _ = x.shape
    taps, strides = kernel.shape[:2], _tuple(strides, 2)
    axes = [_axis(*a, padding) for a in zip(size, taps, strides, strict=True)]
    pads = [
        (before, max((out - 1) * s + k - n - before, 0))
        for (out, before), n, k, s in zip(axes, size, taps, strides, strict=True)
    ]
    x = np.pad(x, [(0, 0), *pads, (0, 0)])
    (rows, _), (columns, _) = axes
    y = np.zeros((batch, rows, columns, kernel.shape[-1]))
    for a, b in np.ndindex(*taps):
        seen = x[:, a :: strides[0], b :: strides[1]][:, :rows, :columns]
        y += seen @ kernel[a, b]
    return y if bias is None else y + np.asarray(bias, np.float64)


# ------------------------------------------------------- stable rank normalisation


def kernel_gradient(u, v, kernel_shape, strides=1, padding="same"):
    """``P = grad_K u^T (K * v)``: ``P[tap] = sum_o v[s o + tap] u[o]^T``."""
    taps, strides = kernel_shape[:2], _tuple(strides, 2)
    size, outs = v.shape[1:3], u.shape[1:3]
    before = [
        _axis(n, k, s, padding)[1] for n, k, s in zip(size, taps, strides, strict=True)
    ]
    p = np.zeros(kernel_shape)
    for at in np.ndindex(*outs):
        for tap in np.ndindex(*taps):
            y = at[0] * strides[0] - before[0] + tap[0]
            x = at[1] * strides[1] - before[1] + tap[1]
            if 0 <= y < size[0] and 0 <= x < size[1]:
                p[tap] += np.outer(v[0, y, x], u[0][at])
    return p


def srnc(kernel, u, v, alpha, beta, strides=1, padding="same", printed=False):
    """SRN-C for given singular maps: projected, or as the paper prints it."""
    size = v.shape[1]
    frobenius = lambda k: (conv_matrix(k, size, strides, padding) ** 2).sum()  # noqa: E731
    p = kernel_gradient(u, v, kernel.shape, strides, padding)
    unit = kernel / (kernel * p).sum()
    if beta == 1:
        return alpha * unit
    if printed:
        s1, m = p, min(kernel.shape[2:])
        gamma = np.sqrt(beta * m - 1 / size**2) / np.linalg.norm(unit - s1)
    else:
        s1 = p / (p * p).sum()
        rank = min(conv_matrix(kernel, size, strides, padding).shape)
        # ||W(S1 + gamma S2)||_F^2 - beta rank, a quadratic known by three values.
        at = [frobenius(s1 + g * (unit - s1)) for g in (0, 1, 2)]
        square = (at[2] - 2 * at[1] + at[0]) / 2
        roots = np.roots([square, at[1] - at[0] - square, at[0] - beta * rank])
        gamma = roots.real.max()
    return alpha * (s1 + np.clip(gamma, 0, 1) * (unit - s1))


def srn(kernel, alpha, beta):
    """SRN of the matrix [k k cin, cout], with its exact singular vectors."""
    matrix = kernel.reshape(-1, kernel.shape[-1])
    left, values, right = np.linalg.svd(matrix, full_matrices=False)
    s1 = np.outer(left[:, 0], right[0])
    s2 = matrix / values[0] - s1
    gamma = np.sqrt(beta * min(matrix.shape) - 1) / np.linalg.norm(s2)
    return alpha * (s1 + min(gamma, 1) * s2).reshape(kernel.shape)


# ------------------------------------------------------------------------- cells


def relu(x):
    return np.maximum(x, 0)


def stage(convs, x, extra=None):
    """One stage of a body: one (kernel, bias) is VDnCNN's, two are VResNet's."""
    seen = x if extra is None else np.concatenate([x, extra], -1)
    if len(convs) == 1:
        return relu(conv(seen, *convs[0]))
    return x + conv(relu(conv(seen, *convs[0])), *convs[1])


def depth_to_space(x, s):
    """[B, H, W, s s C] -> [B, s H, s W, C]; the C of one sub-pixel lie together."""
    batch, rows, columns, channels = x.shape
    out = np.zeros((batch, s * rows, s * columns, channels // s**2))
    for i, j in np.ndindex(s, s):
        start = (i * s + j) * out.shape[-1]
        out[:, i::s, j::s] = x[..., start : start + out.shape[-1]]
    return out


def step(recurrence, weights, frames, state, channels=3, scale=1, skip=True):
    """One frame through a cell.

    Args:
        recurrence: "single", "frame", "feat", "rlsp" or "shift".
        weights: ``{"head": (K, b), "body": [[(K, b), ...], ...], "tail": (K, b)}``.
        frames: [B, H, W, window * channels].
        state: a list of arrays, or None for zeros.

    Returns:
        ``(restored, state)``.
    """
    body = weights["body"]
    maps = (*frames.shape[:3], weights["head"][0].shape[-1])
    if state is None:
        shape = maps if recurrence != "frame" else (*maps[:3], channels * scale**2)
        count = {"single": 0, "frame": 1, "rlsp": 1}.get(recurrence, len(body))
        state = [np.zeros(shape)] * count
    seen = np.concatenate([frames, *state], -1) if recurrence == "frame" else frames
    x = relu(conv(seen, *weights["head"]))
    new = []
    for i, convs in enumerate(body):
        entered = x
        if recurrence in ("feat", "shift"):
            x = stage(convs, x, state[i])
            new.append(x if recurrence == "feat" else entered)
        else:
            x = stage(convs, x, state[0] if recurrence == "rlsp" and i == 0 else None)
    out = conv(x, *weights["tail"])
    if skip:
        out = out + np.concatenate([_centre(frames, channels)] * scale**2, -1)
    new = {"frame": [out], "rlsp": [x], "single": []}.get(recurrence, new)
    return depth_to_space(out, scale), new


def _centre(frames, channels):
    start = (frames.shape[-1] // channels) // 2 * channels
    return frames[..., start : start + channels]


def windows(clip, window):
    """Each frame with its neighbours: [B, T, H, W, window * C]."""
    length, half = clip.shape[1], window // 2
    t = np.arange(length)
    near = range(-half, half + 1)
    return np.concatenate([clip[:, np.clip(t + d, 0, length - 1)] for d in near], -1)


def restore(recurrence, weights, clip, window=1, **settings):
    """A whole clip [B, T, H, W, C] through a cell."""
    seen, state, restored = windows(clip, window), None, []
    for t in range(clip.shape[1]):
        out, state = step(recurrence, weights, seen[:, t], state, **settings)
        restored.append(out)
    return np.stack(restored, 1)


def restore_both_ways(weights, clip, window=1, channels=3, scale=1, skip=True):
    """BiRLSP: two trunks, and one output convolution that sees both."""
    seen = windows(clip, window)
    times = range(clip.shape[1])
    trunks = []
    for body, order in ((weights["body"], times), (weights["backward"], times[::-1])):
        last, found = np.zeros((*seen.shape[:1], *seen.shape[2:4], 0)), {}
        for t in order:
            x = relu(conv(seen[:, t], *weights["head"]))
            last = np.zeros_like(x) if not found else last
            x = stage(body[0], x, last)
            for convs in body[1:]:
                x = stage(convs, x)
            found[t] = last = x
        trunks.append(found)
    restored = []
    for t in times:
        out = conv(np.concatenate([f[t] for f in trunks], -1), *weights["tail"])
        if skip:
            centre = _centre(seen[:, t], channels)
            out = out + np.concatenate([centre] * scale**2, -1)
        restored.append(depth_to_space(out, scale))
    return np.stack(restored, 1)
