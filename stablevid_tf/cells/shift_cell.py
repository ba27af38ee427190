import keras

from stablevid_tf.cells.backbone_cell import BackboneCell


@keras.saving.register_keras_serializable(package="stablevid_tf")
class ShiftCell(BackboneCell):
    """Feature shifting: each stage sees its own INPUT at the previous frame.

    ``x_i(t) = stage_i([x_(i-1)(t), x_(i-1)(t-1)])``; the state is the tuple of all
    ``x_(i-1)(t-1)``, zero at first. Information moves one frame per stage and never
    loops: a feedforward network over ``stages + 1`` frames. Source: Tanay et al.,
    figure 2.

    Args: see :class:`BackboneCell`.
    """

    def initial_state(self, frame):
        return tuple(self.zeros(frame, self.features) for _ in self.body)

    def call(self, frames, state):
        x = self.features_of(frames)
        new = []
        for stage, previous in zip(self.body, state, strict=True):
            new.append(x)
            x = stage(x, previous)
        return self.image(self.write(x, frames)), tuple(new)

    def loops(self):
        return []
