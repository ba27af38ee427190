import keras
from keras import ops

from stablevid_tf.cells.luma import with_colour, ycbcr
from stablevid_tf.cells.recurrent_video_cell import RecurrentVideoCell
from stablevid_tf.constraints import conv2d
from stablevid_tf.layers.loop import ConvSlice, Loop
from stablevid_tf.layers.pixel_shuffle import depth_to_space
from stablevid_tf.numerics.geometry import check_size

_LAYERS = 8  # as the public weights count them: six of the body, two heads


@keras.saving.register_keras_serializable(package="stablevid_tf")
class RLSPSuperResolution(RecurrentVideoCell):
    """RLSP, super-resolution by 4: recurrent latent space propagation.

    ::

        x     = body([frames(t-1, t, t+1), h(t-1), y(t-1)])       six conv + ReLU
        h(t)  = relu(K_h * x)
        y(t)  = K_y * x + Y(t)                                    16 channels

    The restored luma is ``y(t)`` after depth-to-space; colour is interpolated
    bicubically. Values are 0...255 inside. The state is ``(h, y)``, zero at first.
    Source: Fuoli et al., "Efficient Video Super-Resolution through Recurrent Latent
    Space Propagation", 2019.

    Public weights (:meth:`load_public_weights`) sharpen a still scene for ever and
    settle in a wrong picture after some hundred frames: the known case of drift.

    ``K_h`` and ``K_y`` are one convolution, so there is one loop: the state slice of
    the first convolution, the body, both heads.

    Args:
        features: channels inside (48, 64 or 128 in the paper).
        constraint, **kwargs: see :class:`RecurrentVideoCell`.
    """

    paper = (
        "Fuoli et al., Efficient Video Super-Resolution through Recurrent Latent Space "
        "Propagation, 2019"
    )
    task = "super-resolution"

    settled = ("channels", "scale", "window")

    def __init__(self, features=64, constraint=None, **kwargs):
        kwargs = {"channels": 3, "scale": 4, "window": 3, **kwargs}
        super().__init__(constraint=constraint, **kwargs)
        if (self.channels, self.scale, self.window) != (3, 4, 3):
            raise ValueError(
                "RLSP enlarges RGB by 4 and sees three frames. Received: channels="
                f"{self.channels}, scale={self.scale}, window={self.window}"
            )
        check_size("features", features)
        self.features = features
        self.body = [
            self._conv(features, "head", (self.inputs, None)),
            *(self._conv(features, "body", (None, None)) for _ in range(5)),
        ]
        self.heads = self._conv(features + self.scale**2, "tail", (None, None))

    def _conv(self, filters, role, loop):
        return conv2d(
            self.constraint, filters, role=role, loop=loop, dtype=self.dtype_policy
        )

    def initial_state(self, frame):
        previous = ops.cast(self.zeros(frame, self.scale**2), "float32")
        return self.zeros(frame, self.features), previous

    def call(self, frames, state):
        hidden, previous = state
        x = ops.concatenate(
            [
                ops.cast(self.levels(frames), self.compute_dtype),
                hidden,
                ops.cast(previous, self.compute_dtype),
            ],
            axis=-1,
        )
        for conv in self.body:
            x = ops.relu(conv(x))
        x = self.heads(x)
        hidden, detail = x[..., : self.features], x[..., self.features :]
        frame = ops.cast(self.centre(frames), "float32")
        y = ops.cast(detail, "float32") + ycbcr(frame)[..., :1]
        restored = with_colour(depth_to_space(y, self.scale), frame, self.scale)
        return restored, (ops.relu(hidden), y)

    def loops(self):
        entry = ConvSlice(self.body[0], self.inputs)
        path = tuple(ConvSlice(conv) for conv in (*self.body[1:], self.heads))
        return [Loop("rlsp", entry, path)]

    def load_public_weights(self, mapping):
        """Take weights in the layout of the public ones.

        Args:
            mapping: ``layer0_kernel`` ... ``layer7_kernel`` [3, 3, cin, cout] and
                ``layer0_bias`` ...: the body, then the heads of h and of y.

        Raises:
            ValueError: an array is missing or has another shape.
        """
        arrays = [
            [self._array(mapping, f"layer{i}_{what}") for what in ("kernel", "bias")]
            for i in range(_LAYERS)
        ]
        *body, of_h, of_y = arrays
        both = [ops.concatenate(pair, axis=-1) for pair in zip(of_h, of_y, strict=True)]
        new = [*body, both]
        for i, (conv, (kernel, bias)) in enumerate(
            zip((*self.body, self.heads), new, strict=True)
        ):
            if kernel.shape != conv.kernel.shape or bias.shape != conv.bias.shape:
                raise ValueError(
                    f"Layer {i} of RLSP with features={self.features} has a kernel "
                    f"{tuple(conv.kernel.shape)}. Received: {tuple(kernel.shape)}; "
                    "build the model with the weights' number of features"
                )
        for conv, (kernel, bias) in zip((*self.body, self.heads), new, strict=True):
            getattr(conv, "assign_kernel", conv.kernel.assign)(kernel)
            conv.bias.assign(bias)

    def _array(self, mapping, name):
        if name not in mapping:
            raise ValueError(
                f"RLSP's weights are layer0_kernel ... layer{_LAYERS - 1}_bias; "
                f"{name} is missing. Received: {sorted(mapping)}"
            )
        return ops.convert_to_tensor(mapping[name], "float32")

    def get_config(self):
        return super().get_config() | {"features": self.features}
