import keras

from stablevid_tf.cells.backbone_cell import BackboneCell


@keras.saving.register_keras_serializable(package="stablevid_tf")
class SingleCell(BackboneCell):
    """No recurrence: each frame (or window of frames) by itself.

    ``x_0 = relu(K_in * frames)``, ``x_i = stage_i(x_(i-1))``, ``y = frame + K_out *
    x_n``; the state is empty. With ``window`` 3 or 7 these are the paper's -mf3 and
    -mf7.

    Args: see :class:`BackboneCell`.
    """

    def initial_state(self, frame):
        return ()

    def call(self, frames, state):
        x = self.features_of(frames)
        for stage in self.body:
            x = stage(x)
        return self.image(self.write(x, frames)), state

    def loops(self):
        return []
