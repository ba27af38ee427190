import keras
from keras import ops

from stablevid_tf.layers.flow_warp import FlowWarp


@keras.saving.register_keras_serializable(package="stablevid_tf")
class WarpError(keras.losses.Loss):
    """How well a flow moves each frame onto the next one: for training a flow network.

    ```
    mean sqrt((W x(t-1) - x(t))^2 + epsilon^2)
        + smoothness * mean |grad f| e^(-10 |grad x|)
    ```

    `x` are clean frames at the flow's size (means over blocks of pixels), `W` the
    bilinear warp by the flow `f`; the second term lets the flow change at edges only.
    Source: the unsupervised losses of Yu, Harley and Derpanis, "Back to Basics:
    Unsupervised Learning of Optical Flow via Brightness Constancy and Motion
    Smoothness", 2016.

    Args:
        smoothness: weight of the second term.
        epsilon: in the image's own units ([0, 1]).
        **kwargs: as in `keras.losses.Loss`.

    Call arguments:
        y_true: clean clips [B, T, H, W, C].
        y_pred: flows [B, T - 1, H / s, W / s, 2], from each frame to the one before,
            in pixels of their own size; s divides H and W.

    Example:
        >>> import numpy as np
        >>> from stablevid_tf.training import WarpError
        >>> still = np.ones((1, 3, 8, 8, 3), "float32")
        >>> flow = np.zeros((1, 2, 4, 4, 2), "float32")
        >>> round(float(WarpError()(still, flow)), 4)
        0.001
    """

    def __init__(self, smoothness=0.02, epsilon=1e-3, **kwargs):
        super().__init__(**kwargs)
        self.smoothness = smoothness
        self.epsilon = epsilon

    def call(self, y_true, y_pred):
        batch, time, height, width, channels = ops.shape(y_true)
        _, pairs, rows, columns, _ = ops.shape(y_pred)
        frames = ops.reshape(y_true, (batch * time, height, width, channels))
        block = height // rows
        if block > 1:
            frames = ops.average_pool(
                frames, block, strides=block, data_format="channels_last"
            )
        frames = ops.reshape(frames, (batch, time, rows, columns, channels))
        flat = lambda x: ops.reshape(x, (batch * pairs, *ops.shape(x)[2:]))  # noqa: E731
        before, after, flow = (flat(x) for x in (frames[:, :-1], frames[:, 1:], y_pred))
        error = FlowWarp("border")(before, flow) - after
        match = ops.mean(ops.sqrt(error**2 + self.epsilon**2))
        rough = 0.0
        for axis in (1, 2):
            edges = ops.mean(ops.abs(_slope(after, axis)), axis=-1, keepdims=True)
            bends = ops.sqrt(_slope(flow, axis) ** 2 + 1e-6)
            rough = rough + ops.mean(ops.exp(-10.0 * edges) * bends)
        return match + self.smoothness * rough

    def get_config(self):
        return super().get_config() | {
            "smoothness": self.smoothness,
            "epsilon": self.epsilon,
        }


def _slope(x, axis):
    """Differences between neighbours along an axis."""
    length = ops.shape(x)[axis]
    return ops.take(x, range(1, length), axis) - ops.take(x, range(length - 1), axis)
