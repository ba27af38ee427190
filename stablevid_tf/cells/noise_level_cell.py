import keras
from keras import ops

from stablevid_tf.cells.cell_around import CellAround


@keras.saving.register_keras_serializable(package="stablevid_tf")
class NoiseLevelCell(CellAround):
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
        super().__init__(cell, frame_number=cell.frame_number, **kwargs)
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

    def get_config(self):
        return super().get_config() | {"sigma": self.sigma}
