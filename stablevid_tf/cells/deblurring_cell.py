import keras

from stablevid_tf.cells.recurrent_video_cell import RecurrentVideoCell
from stablevid_tf.layers.loop import around


@keras.saving.register_keras_serializable(package="stablevid_tf")
class DeblurringCell(RecurrentVideoCell):
    """A cell that names its hidden state and its features, so that add-ons wrap it.

    ::

        f(t), (h(t), m(t)) = propagate(frames, (h(t-1), m(t-1)))
        restored(t)        = decode(f(t), frames)

    ``h`` is the hidden state, ``f`` the features that are decoded, both maps of one
    size, and ``m``, the memory, whatever else is remembered (a nest of tensors, often
    empty). :class:`stablevid_tf.cells.IRM` and :class:`stablevid_tf.cells.ATB` refine
    or blend h or f of any such cell and are such cells themselves, so they nest.

    A cell of one's own subclasses this, sets ``hidden_channels`` and
    ``features_channels``, and writes ``initial_state``, ``propagate`` and ``decode``;
    to be certified also :meth:`hidden_path`. Source of the split: Park et al.,
    "Recurrence-in-Recurrence Networks for Video Deblurring", figure S1.

    Args: see :class:`RecurrentVideoCell`.

    Example:
        >>> import keras
        >>> from stablevid_tf.cells import ATB, IRM, DeblurringCell
        >>> class Plain(DeblurringCell):
        ...     hidden_channels = features_channels = 8
        ...     def __init__(self, **kwargs):
        ...         super().__init__(**kwargs)
        ...         self.inside = keras.layers.Conv2D(8, 3, padding="same")
        ...         self.tail = keras.layers.Conv2D(3, 3, padding="same")
        ...     def initial_state(self, frame):
        ...         return self.zeros(frame, 8), ()
        ...     def propagate(self, frames, state):
        ...         hidden, _ = state
        ...         seen = keras.ops.concatenate([frames, hidden], axis=-1)
        ...         features = keras.ops.tanh(self.inside(seen))
        ...         return features, (features, ())
        ...     def decode(self, features, frames):
        ...         return self.tail(features) + frames
        >>> from stablevid_tf.models import RecurrentRestorer
        >>> model = RecurrentRestorer(ATB(IRM(Plain())))
    """

    task = "deblurring"

    # Channels of h and of f; a subclass sets them.
    hidden_channels = None
    features_channels = None

    def initial_state(self, frame):
        """``(h, m)`` before the first frame.

        Args:
            frame: [B, H, W, channels]; only its shape is used.
        """
        return super().initial_state(frame)

    def propagate(self, frames, state):
        """One frame further.

        Args:
            frames: [B, H, W, window * channels].
            state: ``(hidden, memory)``.

        Returns:
            ``features, (hidden, memory)``.
        """
        raise NotImplementedError

    def decode(self, features, frames):
        """The restored frame [B, scale * H, scale * W, channels], float32."""
        raise NotImplementedError

    def call(self, frames, state):
        features, state = self.propagate(frames, state)
        return self.decode(features, frames), state

    def hidden_path(self):
        """What lies on the way from h(t-1) to h(t): terms of a Loop's path."""
        raise NotImplementedError(
            f"{type(self).__name__} does not say how its hidden state is fed back. "
            "Write hidden_path(self), returning a tuple of terms of "
            "stablevid_tf.layers.loop, in the order in which the state meets them."
        )

    def memory_loops(self):
        """The feedback loops of the memory, beside that of the hidden state."""
        return []

    def loops(self):
        return [around("hidden state", self.hidden_path()), *self.memory_loops()]
