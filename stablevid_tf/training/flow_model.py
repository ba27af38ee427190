import keras
from keras import ops


@keras.saving.register_keras_serializable(package="stablevid_tf")
class FlowModel(keras.Model):
    """A flow network over clips, so that it can be trained on its own.

    A memory that is to be aligned learns nothing as long as the flow is wrong, and the
    flow learns nothing as long as the memory is not used. Train the flow first, with
    `WarpError` on noisy clips and their clean targets.

    Args:
        flow: a layer whose `pyramid(previous, current)` gives the flows of every
            level, such as `stablevid_tf.cells.LightFlow`.

    Call arguments:
        frames: [B, T, H, W, C]; 2^levels divides H and W.

    Output:
        One flow for each level of the flow network's pyramid, coarsest first, each
        [B, T - 1, H', W', 2]: from each frame but the first to the one before. The
        loss of every level is trained.

    Example:
        >>> import numpy as np
        >>> from stablevid_tf.cells import LightFlow
        >>> from stablevid_tf.training import FlowModel
        >>> model = FlowModel(LightFlow(4, levels=2))
        >>> [f.shape for f in model(np.zeros((1, 3, 16, 16, 3), "float32"))]
        [TensorShape([1, 2, 4, 4, 2]), TensorShape([1, 2, 8, 8, 2])]
    """

    def __init__(self, flow, **kwargs):
        super().__init__(autocast=False, **kwargs)
        self.flow = flow

    def build(self, input_shape):
        if not self.flow.built:
            frame = (None, None, None, input_shape[-1])
            self.flow.build(frame, frame)
        self.built = True

    def call(self, frames):
        batch, time, *image = ops.shape(frames)
        before, after = (
            ops.reshape(x, (batch * (time - 1), *image))
            for x in (frames[:, :-1], frames[:, 1:])
        )
        return [
            ops.reshape(flow, (batch, time - 1, *ops.shape(flow)[1:]))
            for flow in self.flow.pyramid(before, after)
        ]

    def compute_loss(
        self, x=None, y=None, y_pred=None, sample_weight=None, training=True
    ):
        own = super().compute_loss
        return sum(own(x, y, flow, sample_weight, training) for flow in y_pred)

    def get_config(self):
        return {
            "name": self.name,
            "flow": keras.saving.serialize_keras_object(self.flow),
        }

    @classmethod
    def from_config(cls, config):
        config = dict(config)
        return cls(keras.saving.deserialize_keras_object(config.pop("flow")), **config)
