import keras
from keras import ops

from stablevid_tf.constraints import conv2d
from stablevid_tf.layers import bilinear
from stablevid_tf.layers.flow_warp import FlowWarp
from stablevid_tf.numerics.geometry import check_size

_WIDTHS = (32, 64, 32, 16, 2)
_KERNEL = 7
# Of the pictures (RGB in [0, 1]) that image classifiers are trained on.
_MEAN = (0.485, 0.456, 0.406)
_DEVIATION = (0.229, 0.224, 0.225)


@keras.saving.register_keras_serializable(package="stablevid_tf")
class PyramidFlow(keras.layers.Layer):
    """SPyNet: optical flow from coarse to fine, a small network at each level.

    ::

        f_0 = 0;    up_l = 2 enlarge(f_(l-1))
        f_l = up_l + net_l([a_l, warp(b_l, up_l), up_l])

    ``a_l, b_l`` are the two frames, normalised by mean and deviation, in a pyramid of
    2x2 means; each net has five 7x7 convolutions 8-32-64-32-16-2 with ReLU between.
    Flows are enlarged with corners aligned; the warp takes the nearest pixel outside.
    Source: Ranjan and Black, "Optical Flow Estimation using a Spatial Pyramid
    Network", 2017, in the form that BasicVSR (Chan et al., 2021) uses.

    Frames whose sides ``2^(levels - 1)`` does not divide are resized bilinearly to the
    next multiples, and the flow back.

    Args:
        levels: of the pyramid (6 in the paper).
        constraint: see :class:`RecurrentVideoCell`; nothing here lies on a feedback
            loop.

    Call arguments:
        reference, other: [B, H, W, 3] RGB in [0, 1], any H and W.

    Output shape:
        [B, H, W, 2], float32: for each pixel of ``reference`` where it lies in
        ``other``, in pixels to the right and downwards, as
        :class:`stablevid_tf.layers.FlowWarp` takes it.

    Example:
        >>> import numpy as np
        >>> from stablevid_tf.cells import PyramidFlow
        >>> frames = np.zeros((2, 1, 13, 18, 3), "float32")
        >>> PyramidFlow(levels=2)(*frames).shape
        TensorShape([1, 13, 18, 2])
    """

    def __init__(self, levels=6, constraint=None, **kwargs):
        super().__init__(autocast=False, **kwargs)
        check_size("levels", levels)
        if isinstance(constraint, dict):
            constraint = keras.saving.deserialize_keras_object(constraint)
        self.levels = levels
        self.constraint = constraint
        self.warp = FlowWarp("border", dtype=self.dtype_policy)
        # Coarsest first.
        self.nets = [self._net() for _ in range(levels)]

    def _net(self):
        last = len(_WIDTHS) - 1
        return [
            conv2d(
                self.constraint,
                width,
                _KERNEL,
                role={0: "head", last: "tail"}.get(i, "body"),
                activation=None if i == last else "relu",
                dtype=self.dtype_policy,
            )
            for i, width in enumerate(_WIDTHS)
        ]

    def build(self, reference_shape, other_shape):
        for net in self.nets:
            channels = reference_shape[-1] + other_shape[-1] + 2
            for conv in net:
                conv.build((None, None, None, channels))
                channels = conv.filters

    def call(self, reference, other):
        _, height, width, _ = ops.shape(reference)
        multiple = 2 ** (self.levels - 1)
        rows, columns = (-(-n // multiple) * multiple for n in (height, width))
        pyramids = [self._pyramid(x, rows, columns) for x in (reference, other)]
        flow = ops.zeros_like(pyramids[0][0][..., :2])
        for net, first, second in zip(self.nets, *pyramids, strict=True):
            if net is not self.nets[0]:
                _, up, across, _ = ops.shape(first)
                flow = 2.0 * bilinear.resize(flow, up, across, corners=True)
            x = ops.concatenate([first, self.warp(second, flow), flow], axis=-1)
            for conv in net:
                x = conv(x)
            flow = flow + ops.cast(x, "float32")
        shrunk = [
            ops.cast(n, "float32") / ops.cast(resized, "float32")
            for n, resized in ((width, columns), (height, rows))
        ]
        return bilinear.resize(flow, height, width) * ops.stack(shrunk)

    def _pyramid(self, frame, rows, columns):
        """Normalised, coarsest level first."""
        x = bilinear.resize(ops.cast(frame, "float32"), rows, columns)
        levels = [(x - ops.array(_MEAN)) / ops.array(_DEVIATION)]
        for _ in range(self.levels - 1):
            levels.insert(0, ops.average_pool(levels[0], 2, strides=2))
        return levels

    def compute_output_shape(self, reference_shape, other_shape):
        return (*reference_shape[:-1], 2)

    def compute_output_spec(self, reference, other):
        # float32 whatever the policy: a flow is never rounded.
        shape = self.compute_output_shape(reference.shape, other.shape)
        return keras.KerasTensor(shape, "float32")

    def get_config(self):
        return super().get_config() | {
            "levels": self.levels,
            "constraint": keras.saving.serialize_keras_object(self.constraint),
        }
