import keras

from stablevid_tf.cells.strength_cell import StrengthCell


@keras.saving.register_keras_serializable(package="stablevid_tf")
class StrengthClip(StrengthCell):
    """A clip network that scales what another clip network removes.

    As `StrengthCell`, of whole clips: the second pass restores the restored clip.

    Args:
        cell: a clip network of scale 1, such as `BiRLSP`.
        strength: S, 0 to 2.

    Call arguments:
        frames: [B, T, H, W, channels] in [0, 1].
    """

    causal = False

    def build_by_call(self):
        self.cell.build_by_call()
        self.compute_output_spec(keras.KerasTensor((1, 1, 8, 8, self.channels)))
        self.built = True

    def call(self, frames):
        if self.strength == 0:
            return frames
        once = self.cell(frames)
        if self.strength <= 1:
            return self.blended(frames, once)
        return self.blended(once, self.cell(once))
