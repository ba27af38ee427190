import keras
from keras import ops

from stablevid_tf import backend
from stablevid_tf.cells import RecurrentVideoCell
from stablevid_tf.models import RecurrentRestorer


class Subject:
    """The model under diagnosis: it restores a frame and keeps a state.

    Args:
        model: a `models.RecurrentRestorer` (its folded twin, which inference runs, is
            diagnosed), a `cells.RecurrentVideoCell`, any object with
            `initial_state(frame)` and `step(frame, state)`, or a Keras layer with
            `initial_state(frame)` and `call(frame, state)`. Frames are
            [B, H, W, channels]; a step returns `(restored, state)`.

    Attributes:
        name: the name in reports.
        model: the folded model, the cell or the object that runs.
        cell: the recurrent cell; the object itself if it has none.
        channels, scale, latency: as of a restorer. Defaults for an object without
            them: 3, 1 and 0.

    Raises:
        ValueError: `model` is none of these.
    """

    def __init__(self, model):
        self.name = getattr(model, "name", type(model).__name__)
        if isinstance(model, RecurrentVideoCell):
            model = RecurrentRestorer(model)
        if isinstance(model, RecurrentRestorer):
            model.build()
            model = model.fold()
            self._step = model._step
        elif hasattr(model, "initial_state") and hasattr(model, "step"):
            self._step = model.step
        elif hasattr(model, "initial_state") and isinstance(model, keras.layers.Layer):
            self._step = model
        else:
            raise ValueError(
                "A diagnosis needs a recurrent model, with `initial_state(frame)` and "
                "`step(frame, state)`. A model of whole clips has no state that could "
                f"fail. Received: {self.name} ({type(model).__name__})"
            )
        self.model = model
        if isinstance(model, RecurrentRestorer):
            self.cell = model.cell
        else:
            self.cell = getattr(model, "cell", model)
        self.channels = getattr(model, "channels", 3)
        self.scale = getattr(model, "scale", 1)
        self.latency = getattr(model, "latency", 0)

    def initial_state(self, frame):
        """The state before the first frame, from a frame [B, H, W, channels]."""
        return self.model.initial_state(frame)

    def step(self, frame, state):
        """`(restored, state)`; can be traced and differentiated."""
        return self._step(frame, state)

    def run(self, frames, state=None):
        """`(restored [B, T, s H, s W, C], state)` of frames [B, T, H, W, C].

        Restored frames are `latency` frames late, as those of `step` are.
        """
        if state is None:
            state = self.initial_state(frames[:, 0])

        def step(state, frame):
            restored, state = self.step(frame, state)
            return state, restored

        state, restored = backend.scan(step, state, ops.moveaxis(frames, 1, 0))
        return ops.moveaxis(restored, 0, 1), state

    def stateless(self):
        """Whether no state is carried between frames, except a window of inputs."""
        frame = ops.zeros((1, 16, 16, self.channels))
        holder = self.model
        if isinstance(holder, RecurrentRestorer):
            holder = self.cell
        return not keras.tree.flatten(holder.initial_state(frame))
