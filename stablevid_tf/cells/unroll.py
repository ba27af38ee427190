"""Running a cell over time."""

import keras
from keras import ops

from stablevid_tf import backend


def windows(frames, window):
    """Each frame with its neighbours, the clip's edges repeated.

    Args:
        frames: [B, T, H, W, C].
        window: odd number of frames.

    Returns:
        [B, T, H, W, window * C], earliest frame first.
    """
    if window == 1:
        return frames
    half = window // 2
    edges = [frames[:, :1]] * half, [frames[:, -1:]] * half
    return windows_inside(
        ops.concatenate([*edges[0], frames, *edges[1]], axis=1), window
    )


def windows_inside(frames, window):
    """Each frame with its neighbours, of all but the ``window // 2`` at either end.

    Args:
        frames: [B, T + window - 1, H, W, C].
        window: odd number of frames.

    Returns:
        [B, T, H, W, window * C], earliest frame first.
    """
    length = ops.shape(frames)[1] - window + 1
    return ops.concatenate([frames[:, i : i + length] for i in range(window)], axis=-1)


def unroll(cell, frames, state=None, training=False, margins=False):
    """``restored(t), state(t) = cell(window(t), state(t-1))`` for every frame.

    Args:
        cell: a :class:`RecurrentVideoCell`.
        frames: [B, T, H, W, C] in [0, 1].
        state: the state before the first frame, from :meth:`RecurrentVideoCell.start`
            (the default) or another call of this function.
        training: compute what can be ahead of the loop (``cell.ahead``).
        margins: of a clip out of a longer video: the first and the last ``window //
            2`` frames are seen in windows and not restored. Otherwise the clip's edges
            are repeated.

    Returns:
        ``(restored [B, T, s H, s W, C], state)``.
    """
    seen = (windows_inside if margins else windows)(frames, cell.window)
    if margins:
        half = cell.window // 2
        frames = frames[:, half : half + ops.shape(seen)[1]]
    if state is None:
        state = cell.start(frames[:, 0])
    ahead = ()
    if training:
        numbered = cell.frame_number is not None
        ahead = cell.ahead(frames, state["state"] if numbered else state)
    clip = (seen, *ahead)

    def step(state, at):
        frame, *more = at
        restored, state = cell.advance(frame, state, *more)
        return state, restored

    seen = tuple(ops.moveaxis(x, 1, 0) for x in clip)
    moves = training and _has_statistics(cell)
    state, restored = backend.scan(step, state, seen, assigns=moves)
    return ops.moveaxis(restored, 0, 1), state


def _has_statistics(cell):
    """Whether training moves variables at every frame."""
    layers = cell._flatten_layers()
    return any(isinstance(each, keras.layers.BatchNormalization) for each in layers)
