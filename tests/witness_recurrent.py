"""NumPy float64 witnesses of DBDNet, MRVSR, Mobile RRN and the frame number.

Written from the equations. Imports nothing of the library and no framework.
"""

import numpy as np
from witness import conv, depth_to_space, relu, stage

# BT.601, 8-bit studio range: one row each for Y, Cb, Cr.
YCBCR = np.array(
    [
        [65.738, 129.057, 25.064],
        [-37.945, -74.494, 112.439],
        [112.439, -94.154, -18.285],
    ]
)


def numbered(frames, t, limit):
    """Frames [B, H, W, C] with a channel more that says they are the t-th, from 1."""
    plane = np.full((*frames.shape[:3], 1), min(t, limit) / limit)
    return np.concatenate([frames, plane], -1)


def dbdnet(weights, frames, state, feedback=True):
    """One frame through DBDNet.

    Args:
        weights: ``{"single": [(K, b)] * 8, "multi": [(K, b)] * 8}``.
        frames: [B, H, W, C], with a frame number or without.
        state: a list of arrays, or None for zeros.

    Returns:
        ``(restored, single-frame picture, state)``.
    """
    of_frame, x = [], frames
    for i, pair in enumerate(weights["single"]):
        x = conv(x, *pair)
        x = relu(x) if i < 7 else x
        of_frame.append(x)
    if state is None:
        widths = [k.shape[-1] for k, _ in weights["multi"]]
        state = [np.zeros((*frames.shape[:3], n)) for n in widths]
    new = []
    for i in range(7):
        seen = [of_frame[i], state[i]] if i == 0 else [of_frame[i], new[-1], state[i]]
        new.append(relu(conv(np.concatenate(seen, -1), *weights["multi"][i])))
    last = [of_frame[7], new[6], state[7]] if feedback else [new[6]]
    restored = conv(np.concatenate(last, -1), *weights["multi"][7])
    return restored, of_frame[7], [*new, restored]


def mrvsr(weights, frames, hidden, width=9):
    """One step of MRVSR.

    Args:
        weights: ``{"xi": [(K, b)] * 3, "state", "phi": (K, b), "psi": [...] * 3}``.
        frames: [B, H, W, 9], three RGB frames, the middle one restored; more channels
            behind them with a frame number.

    Returns:
        ``(restored RGB [B, 4H, 4W, 3], hidden)``.
    """
    x = frames
    for pair in weights["xi"]:
        x = relu(conv(x, *pair))
    kept = relu(conv(hidden, *weights["state"]))
    new = relu(conv(np.concatenate([x, kept], -1), *weights["phi"]))
    first, second, last = weights["psi"]
    x = relu(conv(np.concatenate([new, hidden], -1), *first))
    detail = conv(relu(conv(x, *second)), *last)
    ycc = 255 * frames[..., 3:6] @ (YCBCR.T / 256) + [16, 128, 128]
    luma = depth_to_space(255 * detail + ycc[..., :1], 4)
    colour = enlarge(ycc[..., 1:], 4, keys)
    both = np.concatenate([luma, colour], -1)
    return (both - [16, 128, 128]) @ np.linalg.inv(YCBCR.T / 256) / 255, new


def mobile_rrn(weights, frames, hidden, previous):
    """One step of Mobile RRN.

    Args:
        weights: ``{"head", "hidden", "tail": (K, b), "body": [[(K, b)] * 2] * n}``.
        frames: [B, H, W, 3] in [0, 1], or with a frame number behind.
        previous: the frame before, [B, H, W, 3].

    Returns:
        ``(restored [B, 4H, 4W, 3], hidden)``.
    """
    frame, number = frames[..., :3], frames[..., 3:]
    seen = np.concatenate([255 * previous, 255 * frame, number, hidden], -1)
    x = relu(conv(seen, *weights["head"]))
    for pairs in weights["body"]:
        x = stage(pairs, x)
    detail = depth_to_space(conv(x, *weights["tail"]), 4)
    restored = (detail + enlarge(255 * frame, 4, triangle)) / 255
    return restored, relu(conv(x, *weights["hidden"]))


def enlarge(x, scale, kernel):
    """[B, H, W, C] by interpolation at half-pixel centres, edges renormalised."""
    rows, columns = (_weights(n, scale, kernel) for n in x.shape[1:3])
    return np.einsum("yi,xj,bijc->byxc", rows, columns, x)


def _weights(length, scale, kernel):
    at = (np.arange(scale * length) + 0.5) / scale - 0.5
    weights = kernel(np.abs(at[:, None] - np.arange(length)))
    return weights / weights.sum(1, keepdims=True)


def triangle(x):
    """Linear interpolation."""
    return np.maximum(1 - x, 0)


def keys(x):
    """Keys' cubic convolution kernel, a = -1/2."""
    near, far = 1.5 * x**3 - 2.5 * x**2 + 1, -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2
    return np.where(x < 1, near, np.where(x < 2, far, 0))
