import collections

import numpy as np

# Means over blocks of 8x8 pixels: noise of sigma 30/255 falls to 4/255.
_BLOCK = 8
_HISTORY = 32
# In the unit of the frames, [0, 1].
_LEAST_CHANGE = 0.05


def scenes(frames):
    """Numbers the scenes of a video.

    The change at a frame is the mean absolute difference to the frame before, both
    averaged over blocks of 8x8 pixels. A scene begins if it is above 0.05, above four
    times its running median, and above twice the last change. So noise, motion and the
    second half of a flash do not begin a scene.

    Args:
        frames: iterable of float32 [H, W, C] arrays in [0, 1].

    Yields:
        `(scene, frame)`; scenes count from 0.
    """
    scene, before = 0, None
    changes = collections.deque(maxlen=_HISTORY)
    for frame in frames:
        small = _block_sums(frame) / _BLOCK**2
        if before is not None:
            change = np.abs(small - before).mean()
            if changes:
                usual = max(4 * np.median(changes), 2 * changes[-1])
                scene += bool(change > max(usual, _LEAST_CHANGE))
            changes.append(change)
        before = small
        yield scene, frame


def _block_sums(frame):
    rows, columns = (np.arange(0, n, _BLOCK) for n in frame.shape[:2])
    return np.add.reduceat(np.add.reduceat(frame, rows, axis=0), columns, axis=1)
