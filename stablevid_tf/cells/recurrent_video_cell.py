import keras
from keras import ops

from stablevid_tf import backend
from stablevid_tf.cells.unroll import unroll
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

    With ``frame_number`` the network is told how far the video has come: one channel
    more at the end of ``frames``, constant over the image, ``min(t, frame_number) /
    frame_number`` for the t-th frame, t = 1 the first. Source: Mori and Ukita,
    "Time-series Initialization and Conditioning for Video-agnostic Stabilization of
    Video Super-Resolution using Recurrent Networks" (frame-number conditioning), who
    say that the number is normalised, not by what (our guess). No cell counts: what
    runs over time calls :meth:`start` and :meth:`advance`, which keep t beside the
    cell's state; a clip network calls :meth:`numbered` with the places in its clip.

    Args:
        channels: of an image; 3 (RGB) or 1 (grey).
        scale: output pixels per input pixel along each axis.
        window: input frames that one step sees, odd, centred on the frame it
            restores.
        constraint: an :class:`stablevid_tf.constraints.SRNC`, or None.
        frame_number: frames after which the counter stands still, such as the length
            of the longest training video; None: frames are not numbered.

    Call arguments:
        frames: [B, H, W, :attr:`inputs`] in [0, 1], earliest frame first.
        state: as :meth:`initial_state` gives it, or as the last call returned it.

    Output:
        ``(restored [B, scale * H, scale * W, channels], state)``.
    """

    # Arguments that an architecture settles: not written into its configuration, and
    # not accepted by models.build.
    settled = ()
    # Whether frames can be restored one by one; False of clip networks.
    causal = True
    # Whether a frame's number can be told to it.
    can_number = True

    def __init__(
        self,
        channels=3,
        scale=1,
        window=1,
        constraint=None,
        frame_number=None,
        **kwargs,
    ):
        # No autocast: a frame is never rounded; convolutions cast what they see.
        super().__init__(autocast=False, **kwargs)
        check_size("channels", channels)
        check_size("scale", scale)
        if not isinstance(window, int) or window < 1 or window % 2 == 0:
            raise ValueError(
                "window must be an odd number of frames (1, 3, 7, ...). "
                f"Received: {window!r}"
            )
        if frame_number is not None:
            check_size("frame_number", frame_number)
            if not self.can_number:
                raise ValueError(
                    f"{type(self).__name__} has no memory, and no use for a frame's "
                    f"number. Leave frame_number out. Received: {frame_number!r}"
                )
        self.channels = channels
        self.scale = scale
        self.window = window
        if isinstance(constraint, dict):
            constraint = keras.saving.deserialize_keras_object(constraint)
        self.constraint = constraint
        self.frame_number = frame_number

    @property
    def frame_channels(self):
        """Channels of a frame as it comes in: an image's, and what a cell adds."""
        return self.channels

    @property
    def inputs(self):
        """Channels of ``frames``: the window's, and one for a frame number."""
        return self.window * self.frame_channels + (self.frame_number is not None)

    def initial_state(self, frame):
        """The state before the first frame.

        Args:
            frame: [B, H, W, channels]; only its shape is used.
        """
        raise NotImplementedError

    def call(self, frames, state):
        raise NotImplementedError

    def start(self, frame, number=0):
        """The state before the first frame, and the counter where frames are numbered.

        Args:
            frame: see :meth:`initial_state`.
            number: frames of the video that came before, an integer or int32 [B]: a
                clip that is cut out of a video passes its true place.

        Returns:
            The initial state; where frames are numbered ``{"state": the initial state,
            "number": int32 [B]}``.
        """
        state = self.initial_state(frame)
        if self.frame_number is None:
            return state
        return {"state": state, "number": counted(frame, number)}

    def advance(self, frames, state, *ahead):
        """One step from a state as :meth:`start` makes it.

        Args:
            frames: [B, H, W, window * channels], without the number.
            state: from :meth:`start` or the last call.
            *ahead: this frame's part of what :meth:`ahead` gave.

        Returns:
            ``(restored, state)``; the counter is one higher, at most ``frame_number``.
        """
        if self.frame_number is None:
            return self(frames, state, *ahead)
        number = ops.minimum(state["number"] + 1, self.frame_number)
        restored, new = self(self.numbered(frames, number), state["state"], *ahead)
        return restored, {"state": new, "number": number}

    def numbered(self, frames, number):
        """Frames as ``call`` takes them: with the frame number where it is asked for.

        Args:
            frames: [..., H, W, window * channels].
            number: integers, 1 for the first frame, of a shape that goes with the
                leading axes: [B], or [T] for clips [B, T, H, W, C].
        """
        if self.frame_number is None:
            return frames
        reached = ops.minimum(number, self.frame_number) / self.frame_number
        reached = ops.cast(reached, frames.dtype)[..., None, None, None]
        return ops.concatenate(
            [frames, reached * ops.ones_like(frames[..., :1])], axis=-1
        )

    def numbered_clip(self, frames, before=0):
        """:meth:`numbered` of a clip [B, T, H, W, C].

        Args:
            frames: the clip.
            before: frames of the video before it, an integer or int32 [B].
        """
        numbers = ops.arange(1, ops.shape(frames)[1] + 1, dtype="int32")
        before = ops.convert_to_tensor(before, "int32")
        return self.numbered(frames, before[..., None] + numbers)

    def levels(self, frames):
        """Frames in 0...255 for a network that computes so; their number as it is."""
        images = self.window * self.channels
        return ops.concatenate(
            [255.0 * frames[..., :images], frames[..., images:]], axis=-1
        )

    def restore(self, frames, training=False):
        """A whole clip from the initial state: [B, T, H, W, channels] -> restored."""
        return unroll(self, frames, training=training)[0]

    def ways(self):
        """How the states of a video come about: each way the network goes through it.

        Returns:
            A list of ``(start, step, backwards)``: ``start(frame, number)`` gives the
            state before a video's first frame (backwards: behind its last, ``number``
            being one more than there are), ``step(frames, state)`` the next, of
            ``frames`` [B, H, W, window * channels].
        """
        return [(self.start, lambda *at: self.advance(*at)[1], False)]

    def restore_from(self, frames, states, training=False):
        """A clip out of a longer video, from the states around it.

        Args:
            frames: [B, T + window - 1, H, W, channels]: the clip, and its neighbours
                that the window sees.
            states: one of each of :meth:`ways`: after the frame before the clip; of a
                way backwards, after the frame behind it.
            training: see :func:`unroll`.

        Returns:
            [B, T, s H, s W, channels].
        """
        return unroll(self, frames, states[0], training, margins=True)[0]

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
            state = self.initial_state(ops.zeros((1, 8, 8, self.frame_channels)))
        # Traced, not called: a call would leave a node in a Functional graph.
        frames = keras.KerasTensor((1, 8, 8, self.inputs))
        self.compute_output_spec(frames, state)
        self.built = True

    def build_from_config(self, config):
        # The shapes saved are of no use: weights do not depend on them.
        self.build_by_call()

    def centre(self, frames):
        """The image being restored, out of ``frames`` [B, H, W, inputs]."""
        start = self.window // 2 * self.frame_channels
        return frames[..., start : start + self.channels]

    def zeros(self, frame, features):
        """Zero maps [B, H, W, features] for a state, of the frame's size."""
        batch, height, width, _ = ops.shape(frame)
        return ops.zeros((batch, height, width, features), self.compute_dtype)

    def get_config(self):
        own = {
            "channels": self.channels,
            "scale": self.scale,
            "window": self.window,
            "constraint": keras.saving.serialize_keras_object(self.constraint),
            "frame_number": self.frame_number,
        }
        free = {name: own[name] for name in own if name not in self.settled}
        return super().get_config() | free


def counted(frame, number):
    """The frames before one, for every video of its batch: int32 [B]."""
    count = ops.zeros((ops.shape(frame)[0],), "int32")
    return count + ops.cast(number, "int32")
