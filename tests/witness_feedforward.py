"""NumPy float64 witnesses of WDVR, FastDVDnet, weight normalisation, self-ensemble.

Written from the equations; imports nothing of the library and no framework.
"""

import math

import numpy as np
import witness


def weight_norm(v, gain):
    """``g v / ||v||``, filter by filter."""
    v, kernel = np.asarray(v, np.float64), np.zeros(v.shape)
    for i in range(v.shape[-1]):
        kernel[..., i] = gain[i] * v[..., i] / math.sqrt((v[..., i] ** 2).sum())
    return kernel


def conv3d(x, kernel, bias=None, edges="repeat"):
    """[B, T, H, W, cin]: same size; zeros around frames, ``edges`` around the clip."""
    time, reach = x.shape[1], kernel.shape[0] // 2
    y = np.zeros((*x.shape[:-1], kernel.shape[-1]))
    for t in range(time):
        for tap in range(kernel.shape[0]):
            at = t + tap - reach
            if edges == "repeat" or 0 <= at < time:
                y[:, t] += witness.conv(x[:, np.clip(at, 0, time - 1)], kernel[tap])
    return y if bias is None else y + np.asarray(bias, np.float64)


def wide(x, convs, scale, conv=witness.conv):
    """``x + scale K * relu(K_n * ... K_1 * x)``; the last of ``convs`` is K."""
    inside = x
    for kernel, bias in convs[:-1]:
        inside = conv(inside, kernel, bias)
    return x + scale * conv(np.maximum(inside, 0), *convs[-1])


def wdvr(frames, weights, scale, conv):
    """The network on stacked windows (2D) or a clip (3D), before sub-pixels move."""
    x = np.asarray(frames, np.float64) - 0.5
    y = conv(x, *weights["head"])
    for convs in weights["body"]:
        y = wide(y, convs, 1 / math.sqrt(len(weights["body"])), conv)
    out = conv(y, *weights["tail"]) + conv(x, *weights["skip"])
    images = out.reshape(-1, *out.shape[-3:])
    images = witness.depth_to_space(images, scale) + 0.5
    return images.reshape(*out.shape[:-3], *images.shape[1:])


def batch_norm(x, norm, epsilon=1e-5):
    """Inference: with the stored mean and variance."""
    gamma, beta, mean, variance = (np.asarray(n, np.float64) for n in norm)
    return gamma * (x - mean) / np.sqrt(variance + epsilon) + beta


def _units(x, units):
    for kernel, norm in units:
        x = np.maximum(batch_norm(witness.conv(x, kernel), norm), 0)
    return x


def _down(x, units):
    """Stride 2 with one row and column before the first, then plain units."""
    (kernel, norm), *rest = units
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    y = witness.conv(padded, kernel, padding="valid")[:, ::2, ::2]
    return _units(np.maximum(batch_norm(y, norm), 0), rest)


def three_frames(frames, sigma, w):
    """FastDVDnet's block on three frames [B, H, W, 3]; sigma in 1/255."""
    level = np.full((*frames[0].shape[:-1], 1), sigma / 255)
    each = [
        _units(np.concatenate([f, level], -1), [unit])
        for f, unit in zip(frames, w["frames"], strict=True)
    ]
    x0 = _units(np.concatenate(each, -1), [w["joined"]])
    x1 = _down(x0, w["down1"])
    x2 = _down(x1, w["down2"])
    up = lambda x, units, kernel: witness.depth_to_space(  # noqa: E731
        witness.conv(_units(x, units), kernel), 2
    )
    x1 = x1 + up(x2, w["up2"], w["shuffled2"])
    x0 = x0 + up(x1, w["up1"], w["shuffled1"])
    return frames[1] - witness.conv(_units(x0, [w["last"]]), w["tail"])


def five_frames(frames, sigma, first, second):
    """One restored frame from five: reflected to multiples of 4, and cropped."""
    height, width = frames[0].shape[1:3]
    grow = ((0, 0), (0, -height % 4), (0, -width % 4), (0, 0))
    frames = [np.pad(np.asarray(f, np.float64), grow, mode="reflect") for f in frames]
    middle = [three_frames(frames[i : i + 3], sigma, first) for i in range(3)]
    return three_frames(middle, sigma, second)[:, :height, :width]


def eightfold(restore, frames):
    """The average over rotations and flips of [B, T, H, W, C], one by one."""
    found = []
    for flipped in (False, True):
        for turns in range(4):
            x = np.rot90(frames, turns, axes=(2, 3))
            x = np.flip(x, axis=3) if flipped else x
            y = restore(np.ascontiguousarray(x))
            y = np.flip(y, axis=3) if flipped else y
            found.append(np.rot90(y, -turns, axes=(2, 3)))
    return np.mean(found, axis=0)
