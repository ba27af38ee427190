import keras
from keras import ops

from stablevid_tf import backend
from stablevid_tf.numerics.geometry import check_size


@keras.saving.register_keras_serializable(package="stablevid_tf")
class RecurrentVideoCell(keras.layers.Layer):
    """The contract of every recurrent restorer's cell.

    A cell is two methods. ``initial_state(frame)`` makes a nest of tensors from a
    frame's own shape, so any resolution works; ``call(frames, state)`` restores one
    frame and gives the next state, the same nest. Running over time is
    :func:`stablevid_tf.cells.unroll`; a ``keras.Model`` is made by
    :class:`stablevid_tf.models.RecurrentRestorer`.

    A cell that declares its feedback loops (:meth:`loops`) can be constrained
    (``where="loop"``), certified and dampened.

    Args:
        channels: of an image; 3 (RGB) or 1 (grey).
        scale: output pixels per input pixel along each axis.
        window: input frames that one step sees, odd, centred on the frame it
            restores.
        constraint: an :class:`stablevid_tf.constraints.SRNC`, or None.

    Call arguments:
        frames: [B, H, W, window * channels] in [0, 1], earliest frame first.
        state: as :meth:`initial_state` gives it, or as the last call returned it.

    Output:
        ``(restored [B, scale * H, scale * W, channels], state)``.
    """

    # Whether frames can be restored one by one; False of clip networks.
    causal = True

    def __init__(self, channels=3, scale=1, window=1, constraint=None, **kwargs):
        # No autocast: a frame is never rounded; convolutions cast what they see.
        super().__init__(autocast=False, **kwargs)
        check_size("channels", channels)
        check_size("scale", scale)
        if not isinstance(window, int) or window < 1 or window % 2 == 0:
            raise ValueError(
                "window must be an odd number of frames (1, 3, 7, ...). "
                f"Received: {window!r}"
            )
        self.channels = channels
        self.scale = scale
        self.window = window
        if isinstance(constraint, dict):
            constraint = keras.saving.deserialize_keras_object(constraint)
        self.constraint = constraint

    def initial_state(self, frame):
        """The state before the first frame.

        Args:
            frame: [B, H, W, channels]; only its shape is used.
        """
        raise NotImplementedError

    def call(self, frames, state):
        raise NotImplementedError

    def ahead(self, frames, state):
        """What training's steps need of frames alone, for a whole clip at once.

        Faster than frame by frame, at the price of memory. Losses on it may be added
        here (``add_loss``), which is not possible inside a time loop.

        Args:
            frames: [B, T, H, W, channels], the clip.
            state: before its first frame.

        Returns:
            A tuple of [B, T, ...]; ``call`` gets each frame's part as further
            arguments, and does without where they are not given.
        """
        return ()

    def loops(self):
        """The feedback loops, a list of :class:`stablevid_tf.layers.loop.Loop`."""
        raise NotImplementedError(
            f"{type(self).__name__} does not declare its feedback loops. Write "
            "loops(self), returning a list of stablevid_tf.layers.loop.Loop (empty "
            "where nothing is fed back)."
        )

    def build_by_call(self):
        """Make every weight, by tracing a small frame."""
        with backend.outside_graph():
            state = self.initial_state(ops.zeros((1, 8, 8, self.channels)))
        # Traced, not called: a call would leave a node in a Functional graph.
        frames = keras.KerasTensor((1, 8, 8, self.window * self.channels))
        self.compute_output_spec(frames, state)
        self.built = True

    def build_from_config(self, config):
        # The shapes saved are of no use: weights do not depend on them.
        self.build_by_call()

    def centre(self, frames):
        """The frame being restored, out of the window [B, H, W, window * channels]."""
        start = self.window // 2 * self.channels
        return frames[..., start : start + self.channels]

    def zeros(self, frame, features):
        """Zero maps [B, H, W, features] for a state, of the frame's size."""
        batch, height, width, _ = ops.shape(frame)
        return ops.zeros((batch, height, width, features), self.compute_dtype)

    def get_config(self):
        return super().get_config() | {
            "channels": self.channels,
            "scale": self.scale,
            "window": self.window,
            "constraint": keras.saving.serialize_keras_object(self.constraint),
        }
