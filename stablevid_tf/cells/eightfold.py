"""The average over the eight flips and rotations of an image."""

from keras import ops

_ROWS, _COLUMNS = -3, -2
_FLIPS = ((), (_ROWS,), (_COLUMNS,), (_ROWS, _COLUMNS))


def eightfold(restore, frames):
    """``mean over g of g^-1(restore(g(frames)))``, g the symmetries of a square.

    The eight are four flips of the frames and four of the transposed frames; four lie
    together in the batch.

    Args:
        restore: ``restore(frames, turned)`` for frames of four times the batch,
            ``turned`` whether they are transposed.
        frames: [B, ..., H, W, C].

    Returns:
        [B, ..., s H, s W, C].
    """
    total = 0.0
    for turned in (False, True):
        x = ops.swapaxes(frames, _ROWS, _COLUMNS) if turned else frames
        found = restore(four_flips(x), turned)
        parts = zip(ops.split(found, 4, axis=0), _FLIPS, strict=True)
        mean = sum(_flip(part, axes) for part, axes in parts) / 8
        total = total + (ops.swapaxes(mean, _ROWS, _COLUMNS) if turned else mean)
    return total


def four_flips(frames):
    """[B, ..., H, W, C] -> [4 B, ..., H, W, C]."""
    return ops.concatenate([_flip(frames, axes) for axes in _FLIPS], axis=0)


def _flip(x, axes):
    return ops.flip(x, axis=axes) if axes else x
