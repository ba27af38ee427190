import keras
from keras import ops

from stablevid_tf.cells.cell_around import CellAround
from stablevid_tf.cells.eightfold import eightfold, four_flips


@keras.saving.register_keras_serializable(package="stablevid_tf")
class SelfEnsembleCell(CellAround):
    """A cell that averages another's eight flips and rotations.

    ``y(t) = mean over g of g^-1(cell(g(frames), h_g(t-1)))``, g the eight symmetries of
    a square, each with a state of its own: the state is a pair, of the four upright
    and of the four transposed ones, each the cell's with four times the batch. Source:
    the x8 self-ensemble of Fan et al., 2019 (WDVR's challenge models).

    The loops are the cell's: the same convolutions, whatever the frame's orientation.

    Args:
        cell: a :class:`RecurrentVideoCell`.
    """

    @property
    def frame_channels(self):
        return self.cell.frame_channels

    def initial_state(self, frame):
        turned = ops.swapaxes(frame, 1, 2)
        return tuple(self.cell.start(four_flips(x)) for x in (frame, turned))

    def call(self, frames, state):
        new = []

        def restore(x, turned):
            restored, after = self.cell.advance(x, state[turned])
            new.append(after)
            return restored

        return eightfold(restore, frames), tuple(new)

    def restore(self, frames, training=False):
        return eightfold(lambda x, turned: self.cell.restore(x, training), frames)
