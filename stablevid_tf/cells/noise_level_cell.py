import keras
from keras import ops

from stablevid_tf.cells.recurrent_video_cell import RecurrentVideoCell


@keras.saving.register_keras_serializable(package="stablevid_tf")
class NoiseLevelCell(RecurrentVideoCell):
    """A cell with a noise map that is told one level for every pixel and frame.

    ``y(t), h(t) = cell([frame(t), sigma / 255], h(t-1))``. State and loops are the
    cell's.

    Args:
        cell: a :class:`RecurrentVideoCell` built with ``noise_map=True``.
        sigma: the noise's standard deviation in units of 255, 0 to 255.

    Raises:
        ValueError: a cell without a noise map; sigma outside its range.
    """

    def __init__(self, cell, sigma, **kwargs):
        if not getattr(cell, "noise_map", False):
            raise ValueError(
                "Only a network built with noise_map=True can be told a noise level. "
                f"Received: {type(cell).__name__} without a noise map"
            )
        if not 0 <= sigma <= 255:
            raise ValueError(
                f"sigma is in units of 255, 0 to 255. Received: sigma={sigma!r}"
            )
        super().__init__(
            channels=cell.channels,
            scale=cell.scale,
            window=cell.window,
            constraint=cell.constraint,
            frame_number=cell.frame_number,
            **{"dtype": cell.dtype_policy, **kwargs},
        )
        self.cell = cell
        self.sigma = float(sigma)

    def initial_state(self, frame):
        return self.cell.initial_state(frame)

    def call(self, frames, state):
        level = self.sigma / 255.0 * ops.ones_like(frames[..., :1])
        parts = []
        for i in range(self.window):
            parts += [frames[..., i * self.channels : (i + 1) * self.channels], level]
        number = frames[..., self.window * self.channels :]
        return self.cell(ops.concatenate([*parts, number], axis=-1), state)

    def loops(self):
        return self.cell.loops()

    def get_config(self):
        cell = keras.saving.serialize_keras_object(self.cell)
        # Built with this layer: weights do not depend on the shapes it saw.
        cell.pop("build_config", None)
        # What the cell's own configuration says is not said twice.
        own = {"cell": cell, "sigma": self.sigma}
        return keras.layers.Layer.get_config(self) | own

    @classmethod
    def from_config(cls, config):
        config = dict(config)
        cell = keras.saving.deserialize_keras_object(config.pop("cell"))
        return cls(cell, **config)
