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
    half, length = window // 2, ops.shape(frames)[1]
    edges = [frames[:, :1]] * half, [frames[:, -1:]] * half
    padded = ops.concatenate([*edges[0], frames, *edges[1]], axis=1)
    return ops.concatenate([padded[:, i : i + length] for i in range(window)], axis=-1)


def unroll(cell, frames, state=None, training=False):
    """``restored(t), state(t) = cell(window(t), state(t-1))`` for every frame.

    Args:
        cell: a :class:`RecurrentVideoCell`.
        frames: [B, T, H, W, C] in [0, 1].
        state: the state before the first frame, from :meth:`RecurrentVideoCell.start`
            (the default) or another call of this function.
        training: compute what can be ahead of the loop (``cell.ahead``).

    Returns:
        ``(restored [B, T, s H, s W, C], state)``.
    """
    if state is None:
        state = cell.start(frames[:, 0])
    ahead = ()
    if training:
        numbered = cell.frame_number is not None
        ahead = cell.ahead(frames, state["state"] if numbered else state)
    clip = (windows(frames, cell.window), *ahead)

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
