import keras

from stablevid_tf.cells.backbone_cell import BackboneCell
from stablevid_tf.layers.loop import ConvSlice, Loop


@keras.saving.register_keras_serializable(package="stablevid_tf")
class FeatCell(BackboneCell):
    """Feature recurrence: each stage sees its own previous output.

    ``x_i(t) = stage_i([x_(i-1)(t), x_i(t-1)])``; the state is the tuple of all
    ``x_i(t-1)``, zero at first. Source: Tanay et al., section 3 (VDnCNN-feat,
    VResNet-feat); the recurrence of DBDNet.

    Its loops, one a stage: ``K_h`` of VDnCNN's convolution; ``K1_h`` and ``K2`` of
    VResNet's block.

    Args: see :class:`BackboneCell`.
    """

    def _stage_on_loop(self, index):
        return (self.features, None)

    def initial_state(self, frame):
        return tuple(self.zeros(frame, self.features) for _ in self.body)

    def call(self, frames, state):
        x = self.features_of(frames)
        new = []
        for stage, previous in zip(self.body, state, strict=True):
            x = stage(x, previous)
            new.append(x)
        return self.image(self.write(x, frames)), tuple(new)

    def loops(self):
        return [
            Loop(
                f"stage {i}",
                ConvSlice(stage.convs[0], self.features),
                tuple(ConvSlice(conv) for conv in stage.convs[1:]),
                feed=(stage.term(stop=self.features),) if i else None,
            )
            for i, stage in enumerate(self.body)
        ]
