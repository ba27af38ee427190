"""What the add-ons of RIRN have in common."""

import keras

from stablevid_tf.cells.deblurring_cell import DeblurringCell
from stablevid_tf.constraints import conv2d

_METHODS = {
    "initial_state": "initial_state(frame), returning (hidden, memory)",
    "propagate": "propagate(frames, state), returning features, (hidden, memory)",
    "decode": "decode(features, frames), returning the restored frame",
}
_NUMBERS = ("hidden_channels", "features_channels")
_ON = ("hidden", "features")


class AddOn(DeblurringCell):
    """A cell around a cell that joins one of its tensors with that of one frame ago.

    ``on="hidden"``: the joined state replaces h(t), so it is what the cell (and this
    add-on) sees at the next frame: our guess of the paper's figure S1, which draws no
    second state. ``on="features"``: the joined features are decoded and remembered;
    the cell's own h(t) does not depend on them (our guess too).

    Subclasses write ``join(new, previous)``, and ``hidden_path`` and ``memory_loops``.

    Args:
        cell: a :class:`stablevid_tf.cells.DeblurringCell`, an add-on too; its
            constraint and dtype policy hold for the add-on.
        on: ``"hidden"`` or ``"features"``.
    """

    paper = "Park et al., Recurrence-in-Recurrence Networks for Video Deblurring, 2021"

    # The cell says them.
    settled = ("channels", "scale", "window", "frame_number")

    def __init__(self, cell, on, **kwargs):
        _check(type(self).__name__, cell, on)
        kwargs.setdefault("dtype", cell.dtype_policy)
        super().__init__(
            channels=cell.channels,
            scale=cell.scale,
            window=cell.window,
            constraint=cell.constraint,
            frame_number=cell.frame_number,
            **kwargs,
        )
        self.cell = cell
        self.on = on
        self.hidden_channels = cell.hidden_channels
        self.features_channels = cell.features_channels

    @property
    def width(self):
        """Channels of the tensor that is joined."""
        return getattr(self, f"{self.on}_channels")

    def conv(self, filters, kernel_size=3, loop=(None, None)):
        return conv2d(
            self.constraint,
            filters,
            kernel_size,
            loop=loop,
            dtype=self.dtype_policy,
        )

    def initial_state(self, frame):
        hidden, memory = self.cell.initial_state(frame)
        if self.on == "hidden":
            return hidden, memory
        *space, _ = keras.ops.shape(hidden)
        previous = keras.ops.zeros((*space, self.width), self.compute_dtype)
        return hidden, (memory, previous)

    def propagate(self, frames, state):
        hidden, memory = state
        if self.on == "hidden":
            features, (new, memory) = self.cell.propagate(frames, state)
            return features, (self.join(new, hidden), memory)
        memory, previous = memory
        features, (hidden, memory) = self.cell.propagate(frames, (hidden, memory))
        features = self.join(features, previous)
        return features, (hidden, (memory, features))

    def decode(self, features, frames):
        restored = self.cell.decode(features, frames)
        # Its parts were called, not itself: Keras would take it for unbuilt.
        self.cell.built = True
        return restored

    def get_config(self):
        cell = keras.saving.serialize_keras_object(self.cell)
        return super().get_config() | {"cell": cell, "on": self.on}

    @classmethod
    def from_config(cls, config):
        config = dict(config)
        cell = dict(config.pop("cell"))
        # One constraint for the whole nest: a folded twin changes the outermost.
        cell["config"] = cell["config"] | {"constraint": config.pop("constraint")}
        return cls(keras.saving.deserialize_keras_object(cell), **config)


def _check(name, cell, on):
    missing = [
        *(number for number in _NUMBERS if getattr(cell, number, None) is None),
        *(words for method, words in _METHODS.items() if not _has(cell, method)),
    ]
    if missing:
        raise ValueError(
            f"{name} wraps a cell that names its hidden state and its features. Of "
            f"{type(cell).__name__} it misses: {'; '.join(missing)}. Subclass "
            "stablevid_tf.cells.DeblurringCell and write them"
        )
    if on not in _ON:
        raise ValueError(f"on must be one of {_ON}. Received: {on!r}")


def _has(cell, method):
    if not isinstance(cell, DeblurringCell):
        return False
    return getattr(type(cell), method) is not getattr(DeblurringCell, method)
