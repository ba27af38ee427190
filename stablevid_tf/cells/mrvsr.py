import keras
from keras import ops

from stablevid_tf.cells.luma import with_colour, ycbcr
from stablevid_tf.cells.recurrent_video_cell import RecurrentVideoCell
from stablevid_tf.constraints import conv2d
from stablevid_tf.layers.loop import ConvSlice, Loop
from stablevid_tf.layers.pixel_shuffle import depth_to_space
from stablevid_tf.numerics.geometry import check_size


@keras.saving.register_keras_serializable(package="stablevid_tf")
class MRVSR(RecurrentVideoCell):
    """MRVSR, middle recurrent video super-resolution, by 4.

    ::

        x     = xi(frames(t-1, t, t+1))                      three conv + ReLU
        h(t)  = relu(phi * [x, relu(K_s * h(t-1))])
        y(t)  = psi([h(t), h(t-1)]) + Y(t)                   two conv + ReLU, conv

    The restored luma is ``y(t)`` after depth-to-space; colour is interpolated
    bicubically. Values are 0...1 inside. The state is ``h``, zero at first. Source:
    Chiche et al., "Stable Long-Term Recurrent Video Super-Resolution", 2022.

    Its one loop is as short as can be: the state convolution ``K_s`` and the slice of
    ``phi`` that sees it. The paper constrains these two layers alone, each to norm 1
    (SRN-C-1.0-1.0 in the words of Tanay et al.), so that their product is at most 1.
    ``constraint=SRNC(0.95, where="loop")`` holds that product itself, below 1, by
    scaling ``K_s``: what :func:`stablevid_tf.diagnostics.certify` then proves.

    Args:
        features: channels inside.
        constraint, **kwargs: see :class:`RecurrentVideoCell`.
    """

    paper = "Chiche et al., Stable Long-Term Recurrent Video Super-Resolution, 2022"
    task = "super-resolution"

    settled = ("channels", "scale", "window")

    def __init__(self, features=128, constraint=None, **kwargs):
        kwargs = {"channels": 3, "scale": 4, "window": 3, **kwargs}
        super().__init__(constraint=constraint, **kwargs)
        if (self.channels, self.scale, self.window) != (3, 4, 3):
            raise ValueError(
                "MRVSR enlarges RGB by 4 and sees three frames. Received: channels="
                f"{self.channels}, scale={self.scale}, window={self.window}"
            )
        check_size("features", features)
        self.features = features
        self.xi = [
            self._conv(features, "head"),
            *(self._conv(features) for _ in range(2)),
        ]
        self.of_state = self._conv(features, loop=(None, None))
        self.phi = self._conv(features, loop=(features, None))
        self.psi = [self._conv(features) for _ in range(2)]
        self.tail = self._conv(self.scale**2, "tail")

    def _conv(self, filters, role="body", loop=None):
        return conv2d(
            self.constraint, filters, role=role, loop=loop, dtype=self.dtype_policy
        )

    def initial_state(self, frame):
        return (self.zeros(frame, self.features),)

    def call(self, frames, state):
        (old,) = state
        x = frames
        for conv in self.xi:
            x = ops.relu(conv(x))
        kept = ops.relu(self.of_state(old))
        new = ops.relu(self.phi(ops.concatenate([x, kept], axis=-1)))
        x = ops.concatenate([new, old], axis=-1)
        for conv in self.psi:
            x = ops.relu(conv(x))
        frame = ops.cast(self.centre(frames), "float32")
        y = 255.0 * ops.cast(self.tail(x), "float32") + ycbcr(frame)[..., :1]
        restored = with_colour(depth_to_space(y, self.scale), frame, self.scale)
        return restored, (new,)

    def loops(self):
        path = (ConvSlice(self.phi, self.features),)
        return [Loop("hidden", ConvSlice(self.of_state), path)]

    def get_config(self):
        return super().get_config() | {"features": self.features}
