import keras

from stablevid_tf.cells.backbone_cell import BackboneCell
from stablevid_tf.layers.loop import ConvSlice, Loop


@keras.saving.register_keras_serializable(package="stablevid_tf")
class RLSPCell(BackboneCell):
    """Recurrent latent space propagation: the last features return to the first stage.

    ``x_1(t) = stage_1([x_0(t), x_n(t-1)])``, the other stages as they are; the state
    is ``x_n(t-1)``, zero at first. Source: Tanay et al., section 3 (-RLSP), after
    Fuoli et al.

    Its one loop: the state slice of the first stage, then all stages.

    Args: see :class:`BackboneCell`.
    """

    def _stage_on_loop(self, index):
        return (self.features if index == 0 else None, None)

    def initial_state(self, frame):
        return (self.zeros(frame, self.features),)

    def call(self, frames, state):
        (previous,) = state
        first, *rest = self.body
        x = first(self.features_of(frames), previous)
        for stage in rest:
            x = stage(x)
        return self.image(self.write(x, frames)), (x,)

    def loops(self):
        first = self.body[0].convs
        path = [ConvSlice(conv) for conv in first[1:]]
        path += [stage.term() for stage in self.body[1:]]
        return [Loop("rlsp", ConvSlice(first[0], self.features), tuple(path))]
