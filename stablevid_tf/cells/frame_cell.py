import keras
from keras import ops

from stablevid_tf.cells.backbone_cell import BackboneCell
from stablevid_tf.layers.loop import ConvSlice, Loop


@keras.saving.register_keras_serializable(package="stablevid_tf")
class FrameCell(BackboneCell):
    """Frame recurrence: the input convolution sees the previous output.

    ``x_0(t) = relu(K_in * [frames(t), y(t-1)])``; the state is ``y(t-1)`` before
    depth-to-space, [B, H, W, channels * scale^2], float32, zero at first. Source:
    Tanay et al., section 3 (-frame), after FRVSR without its warp.

    Its one loop: the state slice of the input convolution, all stages, the output
    convolution. The global skip carries the frame and not the state: no gain.

    Args: see :class:`BackboneCell`.
    """

    def _head(self):
        return self._conv(self.features, role="head", loop=(self.inputs, None))

    def _stage_on_loop(self, index):
        return (None, None)

    def _tail_on_loop(self):
        return (None, None)

    def initial_state(self, frame):
        state = self.zeros(frame, self.channels * self.scale**2)
        return (ops.cast(state, "float32"),)

    def call(self, frames, state):
        (previous,) = state
        x = self.features_of(ops.concatenate([frames, previous], axis=-1))
        for stage in self.body:
            x = stage(x)
        out = self.write(x, frames)
        return self.image(out), (out,)

    def loops(self):
        path = [stage.term() for stage in self.body]
        entry = ConvSlice(self.head, self.inputs)
        return [Loop("frame", entry, (*path, ConvSlice(self.tail)))]
