import keras
from keras import ops

from stablevid_tf.constraints import conv2d
from stablevid_tf.layers import bilinear
from stablevid_tf.layers.flow_warp import FlowWarp
from stablevid_tf.layers.near_zero import near_zero
from stablevid_tf.layers.reflect import reflect_to_multiple
from stablevid_tf.numerics.geometry import check_size

_CONVOLUTIONS = 3
# Pixels that two frames are shifted against each other along each axis.
_REACH = 2


@keras.saving.register_keras_serializable(package="stablevid_tf")
class LightFlow(keras.layers.Layer):
    """Optical flow of noisy frames at half their size, from coarse to fine.

    ```
    up_l = 2 enlarge(f_(l-1)), 0 at the coarsest level;    w_l = warp(b_l, up_l)
    c_l(d) = mean over 3x3 pixels and channels of |a_l - shift(w_l, d)|
    f_l = up_l + net_l([a_l, w_l, up_l, c_l])
    ```

    `a_l`, `b_l` are the two frames, averaged over blocks of `2^levels`, ..., 4, 2
    pixels, which also averages their noise; `c_l` has the 25 shifts `d` of up to 2
    pixels along each axis (at the finest level only `d = 0`); each net has three 3x3
    convolutions with ReLU and one that writes the flow. It is SPyNet (Ranjan and
    Black, "Optical Flow Estimation using a Spatial Pyramid Network", 2017) made small,
    with the cost volumes of PWC-Net (Sun et al., 2018), for aligning a memory: 4
    levels follow motion of some 30 pixels a frame.

    Args:
        features: channels inside.
        levels: of the pyramid.
        constraint: see `RecurrentVideoCell`; nothing here lies on a feedback loop.

    Call arguments:
        previous, current: [B, H, W, C] in [0, 1], any H and W.

    Output shape:
        [B, ceil(H / 2), ceil(W / 2), 2], float32: for each pixel of the half-size
        current frame where it lay in the previous one, in half-size pixels to the
        right and downwards, as `FlowWarp` takes it.

    Example:
        >>> import numpy as np
        >>> from stablevid_tf.cells import LightFlow
        >>> frames = np.zeros((2, 1, 13, 18, 3), "float32")
        >>> LightFlow(features=4)(*frames).shape
        TensorShape([1, 7, 9, 2])
    """

    def __init__(self, features=24, levels=4, constraint=None, **kwargs):
        super().__init__(autocast=False, **kwargs)
        check_size("flow features", features)
        check_size("levels", levels)
        if isinstance(constraint, dict):
            constraint = keras.saving.deserialize_keras_object(constraint)
        self.features = features
        self.levels = levels
        self.constraint = constraint
        self.warp = FlowWarp("border", dtype=self.dtype_policy)
        # Coarsest first.
        self.nets = [self._net() for _ in range(levels)]

    def _net(self):
        widths = [self.features] * _CONVOLUTIONS
        body = [
            conv2d(
                self.constraint,
                width,
                role="body" if i else "head",
                activation="relu",
                dtype=self.dtype_policy,
            )
            for i, width in enumerate(widths)
        ]
        # Untrained, nothing moves.
        tail = conv2d(
            self.constraint,
            2,
            role="tail",
            kernel_initializer=near_zero(1e-4),
            dtype=self.dtype_policy,
        )
        return [*body, tail]

    def build(self, previous_shape, current_shape):
        for net in self.nets:
            reach = 0 if net is self.nets[-1] else _REACH
            channels = current_shape[-1] + previous_shape[-1] + 2
            channels += (2 * reach + 1) ** 2
            for conv in net:
                conv.build((None, None, None, channels))
                channels = conv.filters

    def call(self, previous, current):
        _, height, width, _ = ops.shape(current)
        flow = self.pyramid(previous, current)[-1]
        return flow[:, : (height + 1) // 2, : (width + 1) // 2]

    def pyramid(self, previous, current):
        """The flows of every level, coarsest first, of frames padded by reflection."""
        multiple = 2**self.levels
        before = self._means(reflect_to_multiple(previous, multiple))
        after = self._means(reflect_to_multiple(current, multiple))
        flows = []
        for net, first, second in zip(self.nets, after, before, strict=True):
            if flows:
                flow = 2.0 * bilinear.enlarge(flows[-1], 2)
                # Each net corrects the flow that it is given: no gradient flows back
                # through what it sees of it (as in RAFT), which halves the cost.
                second = self.warp(second, ops.stop_gradient(flow))
            else:
                flow = ops.zeros((*ops.shape(first)[:3], 2), "float32")
            cost = _cost(first, second, 0 if net is self.nets[-1] else _REACH)
            seen = [first, second, ops.stop_gradient(flow), cost]
            x = ops.concatenate(seen, axis=-1)
            for conv in net:
                x = conv(x)
            flows.append(flow + ops.cast(x, "float32"))
        return flows

    def _means(self, frame):
        """Coarsest level first; the frame itself is left out."""
        x, levels = ops.cast(frame, "float32"), []
        for _ in range(self.levels):
            x = ops.average_pool(x, 2, strides=2, data_format="channels_last")
            levels.insert(0, x)
        return levels

    def compute_output_shape(self, previous_shape, current_shape):
        batch, height, width, _ = current_shape
        height, width = (n if n is None else (n + 1) // 2 for n in (height, width))
        return (batch, height, width, 2)

    def compute_output_spec(self, previous, current):
        # float32 whatever the policy: a flow is never rounded.
        shape = self.compute_output_shape(previous.shape, current.shape)
        return keras.KerasTensor(shape, "float32")

    def get_config(self):
        return super().get_config() | {
            "features": self.features,
            "levels": self.levels,
            "constraint": keras.saving.serialize_keras_object(self.constraint),
        }


def _cost(first, second, reach):
    """Mean absolute difference of 3x3 pixels at every shift: [B, H, W, (2 r + 1)^2]."""
    _, height, width, _ = ops.shape(first)
    padded = second
    for axis, length in ((1, height), (2, width)):
        if reach:  # The last pixel is repeated beyond the edge.
            at = ops.clip(ops.arange(-reach, length + reach), 0, length - 1)
            padded = ops.take(padded, at, axis=axis)
    costs = [
        ops.mean(
            ops.abs(first - padded[:, i : i + height, j : j + width]),
            axis=-1,
            keepdims=True,
        )
        for i in range(2 * reach + 1)
        for j in range(2 * reach + 1)
    ]
    return ops.average_pool(
        ops.concatenate(costs, axis=-1),
        3,
        strides=1,
        padding="same",
        data_format="channels_last",
    )
