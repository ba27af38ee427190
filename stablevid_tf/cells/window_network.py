from keras import ops

from stablevid_tf.cells.in_clips import fold_time, in_clips, unfold_time
from stablevid_tf.cells.recurrent_video_cell import RecurrentVideoCell
from stablevid_tf.numerics.geometry import check_size


class WindowNetwork(RecurrentVideoCell):
    """A cell without a state: each frame from the window of frames around it.

    Step by step it is a cell like others. A whole clip does not run in a time loop:
    frames are folded into the batch, all of them in training (batch normalisation
    sees them together), ``clip_length`` at a time otherwise, so that memory does not
    grow with the video.

    Args:
        clip_length: frames restored together outside training; no result depends on
            it.
        **kwargs: see :class:`RecurrentVideoCell`.
    """

    can_number = False

    def __init__(self, clip_length=8, **kwargs):
        super().__init__(**kwargs)
        check_size("clip_length", clip_length)
        self.clip_length = clip_length

    def initial_state(self, frame):
        return ()

    def loops(self):
        return []

    def restore(self, frames, training=False):
        total, half = ops.shape(frames)[1], self.window // 2

        def around(start, length):
            at = start + ops.arange(-half, length + half, dtype="int32")
            # The clip's edges are repeated.
            at = ops.clip(at, 0, total - 1)
            return self.together(ops.take(frames, at, axis=1))

        if training or (isinstance(total, int) and total <= self.clip_length):
            return around(0, total)
        length = self.clip_length
        return in_clips(lambda start: around(start, length), total, length)

    def together(self, frames):
        """Restore frames that all have their neighbours.

        Args:
            frames: [B, T + window - 1, H, W, channels].

        Returns:
            [B, T, scale H, scale W, channels].
        """
        time = ops.shape(frames)[1] - self.window + 1
        near = [frames[:, i : i + time] for i in range(self.window)]
        seen = fold_time(ops.concatenate(near, axis=-1))
        return unfold_time(self(seen, ())[0], time)

    def get_config(self):
        return super().get_config() | {"clip_length": self.clip_length}
