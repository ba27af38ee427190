"""Shrinking along the two axes of a picture, by weights."""

import numpy as np


def shrink(clip, scale, taps, kernel, centre, edges):
    """A clip made ``scale`` times smaller, by the same weights along both axes.

    Pixel ``i`` of an axis is ``sum_k w_k x(i scale + k)``, with weights
    ``kernel(k - centre)`` made to sum to 1, at the whole ``k`` in ``taps``.

    Args:
        clip: [T, H, W, C], sides divisible by ``scale``.
        scale: integer.
        taps: range of offsets ``k``.
        kernel: function of a distance in pixels of the clip.
        centre: where pixel 0 of the result lies, in pixels of the clip.
        edges: how ``np.pad`` goes on past an edge: "symmetric" (edge pixels twice)
            or "reflect" (once).

    Raises:
        ValueError: sides that do not divide.
    """
    if any(side % scale for side in clip.shape[1:3]):
        raise ValueError(
            f"Frames shrink by {scale} only where both sides divide by it: cut them "
            f"first. Received: {clip.shape[2]}x{clip.shape[1]} pixels"
        )
    weights = kernel(np.arange(taps.start, taps.stop) - centre)
    weights = (weights / weights.sum()).astype(clip.dtype)
    for axis in (1, 2):
        clip = _axis(clip, axis, scale, taps, weights, edges)
    return clip


def _axis(clip, axis, scale, taps, weights, edges):
    length = clip.shape[axis]
    # Places past the edges, folded back; np.pad repeats folding in tiny pictures.
    before, after = max(0, -taps.start), max(0, taps.stop - scale)
    places = np.pad(np.arange(length), (before, after), edges)
    # The picture ends where its last block ends.
    starts = np.arange(0, length, scale)
    return sum(
        weight * clip.take(places[starts + tap + before], axis)
        for tap, weight in zip(taps, weights, strict=True)
        if weight
    )
