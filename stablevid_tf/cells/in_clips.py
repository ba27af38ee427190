"""Networks without a state on videos of any length: a bounded clip at a time."""

from keras import ops

from stablevid_tf import backend


def in_clips(restore, total, length):
    """All frames of a video, ``length`` after ``length``, in bounded memory.

    Args:
        restore: ``restore(start)`` gives the restored frames ``start`` to ``start +
            length - 1``: [B, length, ...]. What it gives past the end is left out.
        total: frames of the video, an integer or a scalar tensor.
        length: frames at a time.

    Returns:
        [B, total, ...].
    """

    def step(state, start):
        return state, restore(start)

    starts = length * ops.arange(-(-total // length), dtype="int32")
    # Never unrolled: clips side by side in one graph would need memory together.
    _, clips = backend.scan(step, (), starts, unroll=0)
    count, batch, length, *image = ops.shape(clips)
    frames = ops.reshape(ops.moveaxis(clips, 0, 1), (batch, count * length, *image))
    return frames[:, :total]


def fold_time(frames):
    """[B, T, ...] -> [B T, ...]."""
    batch, time, *image = ops.shape(frames)
    return ops.reshape(frames, (batch * time, *image))


def unfold_time(images, time):
    """[B T, ...] -> [B, T, ...]."""
    count, *image = ops.shape(images)
    return ops.reshape(images, (count // time, time, *image))
