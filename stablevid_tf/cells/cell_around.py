"""What cells that hold one other cell, and no weights of their own, have in common."""

import keras

from stablevid_tf.cells.recurrent_video_cell import RecurrentVideoCell


class CellAround(RecurrentVideoCell):
    """A cell around a cell: its loops, channels, scale, window and constraint.

    Subclasses write ``initial_state`` and ``call``, and add to ``get_config`` what they
    take beside the cell.

    Args:
        cell: a :class:`RecurrentVideoCell`.
    """

    def __init__(self, cell, **kwargs):
        super().__init__(
            channels=cell.channels,
            scale=cell.scale,
            window=cell.window,
            constraint=cell.constraint,
            **{"dtype": cell.dtype_policy, **kwargs},
        )
        self.cell = cell

    def loops(self):
        return self.cell.loops()

    def get_config(self):
        cell = keras.saving.serialize_keras_object(self.cell)
        # Built with this layer: weights do not depend on the shapes it saw.
        cell.pop("build_config", None)
        # What the cell's own configuration says is not said twice.
        return keras.layers.Layer.get_config(self) | {"cell": cell}

    @classmethod
    def from_config(cls, config):
        config = dict(config)
        cell = keras.saving.deserialize_keras_object(config.pop("cell"))
        return cls(cell, **config)
