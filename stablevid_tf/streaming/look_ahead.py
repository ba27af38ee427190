"""Restoring any number of frames with models that need frames before and after."""

import itertools

import numpy as np

# Frames that a window keeps, at least.
_LEAST_KEPT = 8


def look_ahead(model, frames, ahead):
    """Restores frames window by window, each window as its own clip.

    A window keeps `C = max(8, 2 L)` frames, and sees L frames before and L after
    them, so that its recurrences, forward and backward, have L frames to warm up. One
    whole-clip call restores it, so any clip network is supported, with 3D convolutions
    too. All windows have C + 2 L frames: the first keeps the frames before its
    look-ahead, the last (the video's last C + 2 L frames) all frames that are not
    restored yet. A video that fits in one window is one whole-clip call.

    Cost: (C + 2 L) / C calls per frame, at most 2. Memory: that of a whole-clip call on
    C + 2 L frames. A restored frame is at most C + 2 L frames late.

    Args:
        model: a clip model; `predict_on_batch` takes and returns [1, T, H, W, C].
        frames: iterable of checked float32 [H, W, C] arrays.
        ahead: L, 0 or more.

    Yields:
        [scale H, scale W, C] arrays, as many as `frames`.
    """
    kept = kept_frames(ahead)
    frames = iter(frames)
    window = list(itertools.islice(frames, kept + 2 * ahead))
    start = 0
    while window:
        # One frame tells whether the video goes on; more would only delay.
        following = list(itertools.islice(frames, 1))
        restored = model.predict_on_batch(np.stack(window)[None])[0]
        stop = len(window) - ahead if following else len(window)
        yield from restored[start:stop]
        if not following:
            return
        following += itertools.islice(frames, kept - 1)
        start = stop - len(following)
        window = window[len(following) :] + following


def kept_frames(ahead):
    """How many frames a window keeps: C, see `look_ahead`."""
    return max(_LEAST_KEPT, 2 * ahead)
