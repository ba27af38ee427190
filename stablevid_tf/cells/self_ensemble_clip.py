import keras

from stablevid_tf.cells.eightfold import eightfold
from stablevid_tf.cells.self_ensemble_cell import SelfEnsembleCell


@keras.saving.register_keras_serializable(package="stablevid_tf")
class SelfEnsembleClip(SelfEnsembleCell):
    """A clip network that averages another's eight flips and rotations.

    As :class:`SelfEnsembleCell`, of whole clips: there is no ``step``.

    Args:
        cell: a clip network, such as :class:`BiRLSP` or :class:`WDVR3D`.

    Call arguments:
        frames: [B, T, H, W, channels] in [0, 1].
    """

    causal = False

    def build_by_call(self):
        self.compute_output_spec(keras.KerasTensor((1, 1, 8, 8, self.channels)))
        self.built = True

    def call(self, frames):
        return eightfold(lambda x, turned: self.cell(x), frames)
