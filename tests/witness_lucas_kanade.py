"""Independent NumPy float64 witness of the optical flow without weights.

Written from the equations of its docstring. Imports nothing of the library and no
framework.
"""

import numpy as np
import witness_flow


def shifted(x, axis, by):
    """`y(i) = x(i + by)` along an axis; beyond the edge the last pixel."""
    at = np.arange(x.shape[axis]) + by
    return x.take(np.clip(at, 0, x.shape[axis] - 1), axis)


def smoothed(x, axis):
    """[1 2 1] / 4 along an axis."""
    return (shifted(x, axis, -1) + 2 * x + shifted(x, axis, 1)) / 4


def gradient(x):
    """Sobel's: [..., 2], to the right and downwards, of [H, W]."""
    right = (shifted(x, 1, 1) - shifted(x, 1, -1)) / 2
    down = (shifted(x, 0, 1) - shifted(x, 0, -1)) / 2
    return np.stack([smoothed(right, 0), smoothed(down, 1)], -1)


def mean(x, size):
    """Over the size x size pixels around each that lie in the picture."""
    reach, y = size // 2, np.empty_like(x)
    for i, j in np.ndindex(x.shape[:2]):
        near = x[max(i - reach, 0) : i + reach + 1, max(j - reach, 0) : j + reach + 1]
        y[i, j] = near.mean(axis=(0, 1))
    return y


def grey(frame, levels):
    """The pyramid of a frame [H, W, C]: `{level: [H', W']}`."""
    x = witness_flow.reflected(np.asarray(frame, np.float64)[None], 2**levels).mean(-1)
    found = {}
    for level in range(levels + 1):
        if level:
            x = witness_flow.pooled(x, np.mean)
        found[level] = smoothed(smoothed(x[0], 0), 1)
    return found


def warp(x, flow):
    return witness_flow.warp(x[None, ..., None], flow[None], "border")[0, ..., 0]


def corrected(u, b, a, iterations):
    """The flow of a level, from `u`, that of the level before."""
    f = u
    for _ in range(iterations):
        w = warp(b, f)
        e, g = w - a, gradient((a + w) / 2)
        matrices = mean(g[..., :, None] * g[..., None, :], 7)
        k = mean(g * e[..., None], 7)
        held = 0.05 * mean(e**2, 7) + 1e-4
        right = np.einsum("ijab,ijb->ija", matrices, f - u) - k
        left = matrices + held[..., None, None] * np.eye(2)
        wanted = np.linalg.solve(left, right[..., None])[..., 0]
        f = mean(f + np.clip(u - f + wanted, -1, 1), 7)
    before, after = (mean((warp(b, x) - a) ** 2, 21) for x in (u, f))
    taken = np.clip((before / (after + 1e-7) - 1.15) / 0.25, 0, 1)
    return u + taken[..., None] * (f - u)


def lucas_kanade(previous, current, levels=5, finest=0, iterations=1):
    """Flow [B, H, W, 2] of frames [B, H, W, C]."""
    _, height, width, _ = current.shape
    flows = []
    for before, after in zip(previous, current, strict=True):
        b, a = grey(before, levels), grey(after, levels)
        f = np.zeros((*a[levels].shape, 2))
        for level in range(levels, finest - 1, -1):
            if level < levels:
                f = 2 * witness_flow.resize(f[None], *a[level].shape)[0]
            f = corrected(f, b[level], a[level], iterations)
        size = [n * 2**finest for n in f.shape[:2]]
        f = 2**finest * witness_flow.resize(f[None], *size)[0]
        flows.append(f[:height, :width])
    return np.stack(flows)
